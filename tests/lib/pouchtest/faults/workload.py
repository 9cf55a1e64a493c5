"""The workload: what a program does with containers and images, each step noted before and after.

usage: python3 -m pouchtest.faults.workload URI JOURNAL TAG IMAGE_TAR REGISTRY [--sections NAME,…] [--marks FILE]
"""

import argparse
import os
import tempfile
import time

import pouch

from .journal import Journal
from .names import BASE, PULLED, PUSHED, SMALL, WORKLOAD_SECTIONS, links_of

LINES = 300
# Numbered lines, so that a gap, a repetition or a wrong order shows.
_COUNT = "i=0; while [ $i -lt %d ]; do echo line $i; i=$((i+1)); done"
_FOREVER = "trap 'exit 0' TERM; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done"
_SECONDS = 90  # no step may take longer, whatever fails
_LOST = ("Unavailable", "Closed", "DeadlineExceeded")


class Workload:
    def __init__(self, arguments):
        self._uri = arguments.uri
        self._journal = Journal(arguments.journal)
        self._tag = arguments.tag
        self._tar = arguments.tar
        self._registry = arguments.registry
        self._marks = arguments.marks
        self._client = None
        self._runs = None  # the container that runs in the end

    def run(self, sections):
        self._journal.write("begin", "workload")
        for name in sections:
            self._mark(name)
            getattr(self, f"_{name}")()
        self._journal.write("done", "workload")

    def _mark(self, name):
        """Tells among the points that are met where a section begins."""
        if not self._marks:
            return
        fd = os.open(self._marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, f"section {name}\n".encode())
        os.close(fd)

    def _open(self):
        self._do("system.ping", None, lambda client: client.system.ping(timeout=_SECONDS) or True)

    def _tell(self):
        self._do("system.info", None, lambda client: client.system.info(timeout=_SECONDS))
        self._do("system.diagnose", None, lambda client: client.system.diagnose(timeout=_SECONDS))

    def _session(self):
        """What a session made goes with it; an image that others have made as well stays."""
        client = self._do("session.open", None, lambda _: pouch.Client(self._uri, session=True))
        if not client:
            return self._images()
        self._image("image.load", f"{SMALL}:loaded", lambda _: client.images.load_file(self._tar))
        made = self._create("session", _FOREVER, client=client)
        if made:
            self._do("start", "session", lambda _: client.containers.start(made, timeout=_SECONDS) or True, id=made)
        self._images()
        return self._do("session.close", None, lambda _: client.close())

    def _images(self):
        name = f"{SMALL}:{self._tag}"
        self._image("image.load", f"{SMALL}:loaded", lambda client: client.images.load_file(self._tar))
        self._image("image.tag", name,
                    lambda client: client.images.tag(f"{SMALL}:loaded", repo=SMALL, tag=self._tag, timeout=_SECONDS))
        self._image("image.remove", f"{SMALL}:loaded",
                    lambda client: client.images.remove(f"{SMALL}:loaded", timeout=_SECONDS))

    def _transfers(self):
        """What comes from a registry and what goes there."""
        pulled, pushed = f"{self._registry}/{PULLED}:1", f"{self._registry}/{PUSHED}-{self._tag}"
        if not self._image("image.pull", pulled, lambda client: self._ended(
                client.images.pull(from_image=pulled, timeout=_SECONDS))):
            return
        self._image("image.tag", f"{pushed}:1",
                    lambda client: client.images.tag(pulled, repo=pushed, tag="1", timeout=_SECONDS))
        self._image("image.push", f"{pushed}:1", lambda client: self._ended(
            client.images.push(pushed, tag="1", timeout=_SECONDS)))
        with tempfile.TemporaryFile() as archive:
            self._image("image.save", pulled, lambda client: self._ended(
                client.images.save(names=[pulled], timeout=_SECONDS), archive))
        self._image("image.remove", f"{pushed}:1",
                    lambda client: client.images.remove(f"{pushed}:1", timeout=_SECONDS))

    @staticmethod
    def _ended(opened, archive=None):
        with opened as stream:
            for frame in stream:
                if archive:
                    archive.write(frame.data)
            return stream.finish() or True

    def _finite(self):
        """One that ends by itself and stays."""
        made = self._create("finite", _COUNT % LINES, lines=LINES,
                            LogConfig={"Type": "json-file", "Config": {"max-size": "8k", "max-file": "9"}})
        if made and self._start("finite", made):
            self._wait("finite", made)

    def _live(self):
        """One that runs until it is stopped, with a further process and a new name; then it is removed."""
        made = self._create("live", _FOREVER)
        if not made or not self._start("live", made):
            return
        self._do("exec", "live", lambda client: self._exec(client, made))
        self._do("rename", "live", lambda client: client.containers.rename(made, name=f"renamed-{self._tag}",
                                                                             timeout=_SECONDS),
                 name=f"renamed-{self._tag}")
        self._do("stop", "live", lambda client: client.containers.stop(made, t=20, timeout=_SECONDS))
        # Again, and not to its end: a second run has a second generation.
        if self._start("live", made, step="restart"):
            self._do("remove", "live", lambda client: client.containers.remove(made, force=True, timeout=_SECONDS))

    def _auto_remove(self):
        made = self._create("auto", _COUNT % 5, auto_remove=True)
        if made and self._start("auto", made):
            self._wait("auto", made, condition="removed", step="remove")

    def _bridged(self):
        made = self._create("bridged", f"ip route | grep -q default && {_COUNT % 3}", NetworkMode="bridge",
                            PortBindings={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]})
        if made and self._start("bridged", made):
            self._wait("bridged", made)
        self._remove("bridged", made)

    def _networks(self):
        """Networks of several kinds; a running container of the second that joins and leaves the others."""
        bridge = f"{links_of(self._uri)}{self._tag}"
        kinds = {"first": {"Options": {"com.docker.network.bridge.enable_icc": "false", "com.docker.network.bridge.name": bridge}},
                 "second": {"EnableIPv6": True}, "third": {"Driver": "macvlan", "Options": {"parent": bridge}}}
        names = [f"{name}-{self._tag}" for name in kinds]
        for name, kind in zip(names, kinds.values()):
            self._network("create", name, lambda client, name=name, kind=kind: client.networks.create(
                {"Name": name, **kind}, timeout=_SECONDS))
        made = self._create("networked", _FOREVER, NetworkMode=names[1],
                            PortBindings={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]})
        if made and self._start("networked", made):
            # The first by name leads out, and the port comes along.
            for step, name in (("connect", names[0]), ("connect", names[2]), ("disconnect", names[0]), ("disconnect", names[2])):
                self._network(step, name, lambda client, step=step, name=name: getattr(client.networks, step)(
                    name, {"Container": made}, timeout=_SECONDS) or True)
        self._remove("networked", made)
        for name in reversed(names):
            self._network("remove", name, lambda client, name=name: client.networks.remove(name, timeout=_SECONDS) or True)

    def _volumes(self):
        """A volume with a name, one that is mounted, and one without a name, which gets the image's files."""
        named, mounted = f"named-{self._tag}", f"mounted-{self._tag}"
        self._network("create", named, lambda client: client.volumes.create({"Name": named}, timeout=_SECONDS), noun="volume")
        options = {"type": "tmpfs", "device": "tmpfs", "o": "size=64k"}
        self._network("create", mounted, lambda client: client.volumes.create(
            {"Name": mounted, "DriverOpts": options}, timeout=_SECONDS), noun="volume")
        subpath = {"Type": "volume", "Source": named, "Target": "/part", "VolumeOptions": {"Subpath": "part", "NoCopy": True}}
        first = self._create("writer", "mkdir -p /named/part && test -e /bin/sh && echo line 0",
                             Binds=[f"{named}:/named", f"{mounted}:/mounted"], Mounts=[{"Type": "volume", "Target": "/bin"}])
        if first and self._start("writer", first) and self._wait("writer", first):
            made = self._create("reader", "test -d /part && echo line 0", Mounts=[subpath], VolumesFrom=[first])
            if made and self._start("reader", made):
                self._wait("reader", made)
            self._remove("reader", made)
        if first:
            self._do("remove", "writer", lambda client: client.containers.remove(first, force=True, v=True, timeout=_SECONDS))
        for name in (named, mounted):
            self._network("remove", name, lambda client, name=name: client.volumes.remove(name, timeout=_SECONDS) or True,
                          noun="volume")

    def _network(self, step, name, action, noun="network"):
        return self._do(f"{noun}.{step}", None, action, name=name)

    def _input(self):
        """Input to its end, and what comes back."""
        made = self._create("input", "cat", OpenStdin=True, StdinOnce=True)
        if made:
            self._do("talk", "input", lambda client: self._talk(client, made))
        self._remove("input", made)

    def _talk(self, client, made):
        with client.containers.attach(made, stream=True, stdin=True, stdout=True, timeout=_SECONDS) as stream:
            client.containers.start(made, timeout=_SECONDS)
            stream.write(b"line 0\n", timeout=_SECONDS)
            stream.close_write()
            stdout, _ = stream.split()
            stream.finish()
        if stdout == b"line 0\n":
            return
        # A kill of the keeper may repeat a chunk, and then does so in the log, too.
        with client.containers.logs(made, stdout=True, timeout=_SECONDS) as stream:
            log = stream.read()
        if stdout != b"line 0\n" * 2 or stdout != log:
            raise AssertionError(f"attach gave {stdout!r}, the log has {log!r}")

    def _terminal(self):
        script = 'until stty size 2>/dev/null | grep -qx "40 100"; do sleep 0.02; done; echo line 0'
        made = self._create("terminal", script, Tty=True)
        if made and self._start("terminal", made):
            if self._do("resize", "terminal",
                        lambda client: client.containers.resize(made, h=40, w=100, timeout=_SECONDS) or True):
                self._wait("terminal", made)
        self._remove("terminal", made)

    def _failing(self):
        """One that cannot be started."""
        def start(client):
            try:
                client.containers.start(made, timeout=_SECONDS)
            except pouch.PouchError as error:
                if "nosuch" in str(error):
                    return True
                raise
            raise AssertionError("a program that there is not was started")

        made = self._create("failing", ["/nosuch"])
        if made:
            self._do("fail", "failing", start)
        self._remove("failing", made)

    def _remove(self, key, made):
        if made:
            self._do("remove", key, lambda client: client.containers.remove(made, force=True, timeout=_SECONDS))

    def _left(self):
        """What shall be there afterwards: one that was never started, and one that runs."""
        self._create("never", "true")
        made = self._create("runs", _FOREVER, NetworkMode="bridge")
        self._runs = made if made and self._start("runs", made) else None

    def _committed(self):
        """An image of the one that runs, to the registry."""
        made = self._runs
        if not made:
            return
        committed = f"{SMALL}:committed-{self._tag}"
        if not self._image("commit", committed, lambda client: client.containers.commit(
                container=made, repo=SMALL, tag=f"committed-{self._tag}", timeout=_SECONDS)) or not self._registry:
            return
        # Its layers are plain until it is pushed.
        pushed = f"{self._registry}/{PUSHED}-{self._tag}"
        self._image("image.tag", f"{pushed}:2",
                    lambda client: client.images.tag(committed, repo=pushed, tag="2", timeout=_SECONDS))
        self._image("image.push", f"{pushed}:2", lambda client: self._ended(
            client.images.push(pushed, tag="2", timeout=_SECONDS)))
        self._image("image.remove", f"{pushed}:2",
                    lambda client: client.images.remove(f"{pushed}:2", timeout=_SECONDS))

    # --- steps ---

    def _create(self, key, command, auto_remove=False, lines=None, client=None, **settings):
        """`client`: another than ours. `settings`: of the container, or of its HostConfig."""
        config = {name: settings.pop(name) for name in ("OpenStdin", "StdinOnce", "Tty") if name in settings}
        config |= {"Image": BASE, "Cmd": command if isinstance(command, list) else ["sh", "-c", command],
                   "HostConfig": {"NetworkMode": "none", "AutoRemove": auto_remove, **settings}}
        name = f"{key}-{self._tag}"
        answer = self._do("create", key,
                          lambda ours: (client or ours).containers.create(config, name=name, timeout=_SECONDS)["Id"],
                          name=name, facts={"auto_remove": auto_remove, "lines": lines}, answers_id=True)
        return answer

    def _start(self, key, made, step="start"):
        return self._do(step, key, lambda client: client.containers.start(made, timeout=_SECONDS) or True, id=made)

    def _wait(self, key, made, condition=None, step="wait"):
        def wait(client):
            try:
                with client.containers.wait(made, condition=condition, timeout=_SECONDS) as stream:
                    result = stream.finish() or {}
                if (result.get("Error") or {}).get("Message"):
                    raise pouch.PouchError(result["Error"]["Message"])
                return True
            except pouch.PouchError as error:
                if condition == "removed" and error.code == "NotFound":
                    return True
                raise

        self._do(step, key, wait)

    def _exec(self, client, made):
        document = {"Cmd": ["echo", "hi"], "AttachStdout": True, "AttachStderr": True}
        process = client.execs.create(made, document, timeout=_SECONDS)["Id"]
        with client.execs.start(process, {}, timeout=_SECONDS) as stream:
            stdout, _ = stream.split()
            result = stream.finish() or {}
        if stdout != b"hi\n" or result.get("ExitCode") != 0:
            raise AssertionError(f"exec answered {stdout!r}, {result}")

    def _image(self, step, name, action):
        return self._do(step, None, action, name=name)

    def _do(self, step, key, action, answers_id=False, **facts):
        """One step; its answer, or None when it failed. A peer that is gone is given time to come back."""
        if key is not None:
            facts["key"] = key
        self._journal.write("begin", step, **facts)
        try:
            answer = action(self._connected())
        except pouch.PouchError as error:
            self._journal.write("failed", step, error=f"{error.code}: {error}", **facts)
            if error.code in _LOST:
                self._reconnect()
            return None
        except AssertionError as error:
            self._journal.write("wrong", step, error=str(error), **facts)
            return None
        if answers_id:
            facts["id"] = answer
        self._journal.write("done", step, **facts)
        return answer or True

    def _connected(self):
        if self._client is None:
            self._client = pouch.Client(self._uri)
        return self._client

    def _reconnect(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self._connected().system.ping(timeout=5)
                return
            except pouch.PouchError:
                time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("uri", "journal", "tag", "tar", "registry"):
        parser.add_argument(name)
    parser.add_argument("--sections", default=",".join(WORKLOAD_SECTIONS), help="in this order")
    parser.add_argument("--marks", help="where the sections' beginnings are noted")
    arguments = parser.parse_args()
    Workload(arguments).run(arguments.sections.split(","))


if __name__ == "__main__":
    main()
