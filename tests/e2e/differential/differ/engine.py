"""An engine under comparison: a private daemon, and the docker CLI bound to it at one API version."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.parse

from pouchtest.dockerd import PrivateDockerd
from pouchtest.paths import docker_cli
from pouchtest.ports import free_ports
from pouchtest.pouchd import Pouchd, UnixConnection

STEP_SECONDS = 90


@dataclasses.dataclass
class Answer:
    """What one step gave. `code` is an exit code, or a word when there was none."""

    command: str
    code: object
    out: str
    err: str


class Engine:
    def __init__(self, name, daemon, version, ports):
        self.name = name
        self.daemon = daemon
        self.version = version
        self.images = {}
        self.variables = {f"port{i}": str(port) for i, port in enumerate(ports)}  # of all cases

    def start(self, image_tar):
        self.daemon.start()
        self.daemon.docker("load", "--input", image_tar)
        self.images = self._tags()

    def stop(self):
        self.daemon.stop()

    @property
    def uri(self):
        return f"unix://{self.daemon.socket}"

    def reset(self):
        """Removes what a case left."""
        for container in self.get("/containers/json?all=1"):
            self.request("DELETE", f"/containers/{container['Id']}?force=1")
        after = self._tags()
        for reference in set(after) - set(self.images):
            self.request("DELETE", f"/images/{urllib.parse.quote(reference, safe='/:@')}?force=1")
        for reference in set(self.images) - set(after):
            raise RuntimeError(f"{self.name}: a case took {reference} away")

    def get(self, path):
        return json.loads(self.request("GET", path))

    def request(self, method, path):
        with contextlib.closing(UnixConnection(self.daemon.socket, STEP_SECONDS)) as connection:
            connection.request(method, f"/v1.41{path}")
            return connection.getresponse().read()

    def _tags(self):
        found = {}
        for image in self.get("/images/json?all=1"):
            names = [tag for tag in image["RepoTags"] or [] if tag != "<none>:<none>"]
            found.update({name: image["Id"] for name in names or [image["Id"]]})
        return found

    def environment(self, more=None):
        return {
            **os.environ,
            "DOCKER_HOST": self.uri,
            "DOCKER_CONFIG": str(self.daemon.dir / "cli"),
            "DOCKER_API_VERSION": self.version,
            **(more or {}),
        }


def engines():
    """The oracle first."""
    ports = free_ports(30)  # each publishes at its own
    return [
        Engine("dockerd", PrivateDockerd(bridge=True), "1.41", ports[:10]),
        Engine("pouchd", Pouchd(), "1.41", ports[10:20]),
        Engine("pouchd", Pouchd(), "1.50", ports[20:]),
    ]


class CaseRun:
    """Runs one case on one engine."""

    def __init__(self, case, engine):
        self._case = case
        self._engine = engine
        self.folder = pathlib.Path(engine.daemon.dir) / "case"
        self._variables = {"dir": str(self.folder), "image_tar": str(engine.daemon.dir / "busybox.tar"),
                           **engine.variables}
        self._background = {}

    def answers(self):
        """One Answer per step."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o755)
        for name, content in self._case.files.items():
            self._write(name, content)
        try:
            return [self._step(step) for step in self._case.steps]
        finally:
            for child in self._background.values():
                child.kill()
                child.communicate()
            self._engine.reset()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_text(self._fill(content))

    def _fill(self, text):
        for name, value in self._variables.items():
            text = text.replace(f"${{{name}}}", value)
        return text

    def _step(self, step):
        if step.now:
            self._variables[step.now] = f"{time.time() + (step.plus or 0):.9f}"
            return Answer(f"now {step.now}", 0, "", "")
        if step.file:
            path = pathlib.Path(self._fill(step.file))
            return Answer(f"file {step.file}", 0, path.read_text() if path.is_file() else "(no such file)", "")
        if step.signal:
            self._background[step.signal].send_signal(signal.SIGINT)
            return Answer(f"signal {step.signal}", 0, "", "")
        if step.join:
            return self._join(step)
        if step.until:
            return self._until(step)
        return self._docker(step)

    def _popen(self, step):
        words = [self._fill(word) for word in step.words]
        stdin = subprocess.PIPE if step.stdin is not None else subprocess.DEVNULL
        if step.stdin_file:
            with open(self._fill(step.stdin_file), "rb") as file:
                return words, self._spawn(words, file, step)
        return words, self._spawn(words, stdin, step)

    def _spawn(self, words, stdin, step):
        return subprocess.Popen([docker_cli(), *words], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=self._engine.environment(step.env), start_new_session=True)

    def _docker(self, step):
        words, child = self._popen(step)
        command = " ".join(["docker", *words])
        if step.background:
            self._background[step.background] = child
            return Answer(f"{command} &", 0, "", "")
        answer = _finish(command, child, step.stdin)
        if step.save:
            self._variables[step.save] = answer.out.strip()
        return answer

    def _join(self, step):
        return _finish(f"join {step.join}", self._background.pop(step.join), None)

    def _until(self, step):
        end = time.monotonic() + STEP_SECONDS
        while True:
            words, child = self._popen(step)
            answer = _finish(" ".join(["docker", *words]), child, None)
            # Nothing to print: until it prints nothing.
            found = step.prints in answer.out if step.prints else not answer.out.strip()
            if found or time.monotonic() > end:
                return answer
            time.sleep(0.05)


def _finish(command, child, stdin):
    try:
        out, err = child.communicate(stdin.encode() if stdin is not None else None, STEP_SECONDS)
        code = child.returncode
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        code = f"no end within {STEP_SECONDS} s"
    return Answer(command, code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
