"""Clients that are attached while the keeper's worker is killed get all the output, in order."""

import hashlib
import os
import pathlib
import random
import re
import signal
import threading

import pouch
import pytest
from pouchtest import procs
from pouchtest.embed import embed_root, keeper, keepers
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]

LINES, BURST = 6000, 20
# Bursts with a breath between, so that a kill meets the worker in all it does.
COUNT = (f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i + 1)); [ $((i % {BURST})) -gt 0 ] || usleep 12000; "
         "done")
LINE = re.compile(rb"line (\d+)\r?")
SECONDS = 120


def folder_of(root):
    return pathlib.Path(root.removeprefix("embed://").split("/root?")[0])


@pytest.fixture(name="engine", scope="module", params=["embed", "unix"])
def engine_fixture(request, tmp_path_factory):
    archive = busybox_image_tar(tmp_path_factory.mktemp("image") / "busybox.tar")
    with embed_root() if request.param == "embed" else Pouchd() as made:
        uri = made if request.param == "embed" else made.uri
        folder = folder_of(made) if request.param == "embed" else made.dir
        with pouch.Client(uri) as client:
            client.images.load_file(str(archive))
            yield client, folder


class Killer:
    """Kills the worker now and then while its block runs. One that has lived for a second is replaced at once."""

    def __init__(self, folder, pause=1.1):
        self._folder, self._pause = folder, pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.kills = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        while not self._over.wait(self._pause):
            pids = keepers(self._folder)
            for pid in pids:
                if procs.parent(pid) in pids:
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1


def created(client, command=COUNT, **config):
    host = {"NetworkMode": "none"} | config.pop("HostConfig", {})
    return client.containers.create({"Image": "busybox", "Cmd": ["sh", "-c", command], "HostConfig": host} | config)["Id"]


def read_all(stream):
    return b"".join(frame.data for frame in iter(lambda: stream.next(timeout=SECONDS), None))


def assert_complete(output, kills):
    """Each line, in order; a kill may repeat a chunk, from the middle of a line on."""
    at, repeats = 0, 0
    for text in output.split(b"\n")[:-1]:
        if text.rstrip(b"\r") == b"line %d" % at:
            at += 1
            continue
        repeats += 1
        found = LINE.fullmatch(text)
        number = int(found[1]) if found else None
        assert number is None or number < at, f"lost before {text!r}: line {at}"
        if number is not None:
            at = number + 1
    assert at == LINES
    assert repeats <= 2 * kills


@pytest.mark.parametrize("config", [{}, {"Tty": True}, {"HostConfig": {"AutoRemove": True}}],
                         ids=["pipes", "terminal", "auto-remove"])
def test_every_line_reaches_the_client(engine, config):
    client, folder = engine
    made = created(client, **config)
    with client.containers.attach(made, stream=True, stdout=True, stderr=True) as stream:
        client.containers.start(made)
        with Killer(folder) as killer:
            output = read_all(stream)
        stream.finish()
    assert killer.kills >= 2
    assert_complete(output, killer.kills)


def test_input_and_its_answers(engine):
    """What is written before and after a kill comes back, each once."""
    client, folder = engine
    made = created(client, "cat", OpenStdin=True, StdinOnce=True)
    with client.containers.attach(made, stream=True, stdin=True, stdout=True) as stream:
        client.containers.start(made)
        for turn in range(3):
            text = b"turn %d\n" % turn
            stream.write(text, timeout=SECONDS)
            assert stream.next(timeout=SECONDS).data == text
            with Killer(folder) as killer:
                assert procs.wait_until(lambda: killer.kills, SECONDS)  # pylint: disable=cell-var-from-loop
            assert procs.wait_until(lambda: len(keepers(folder)) == 2, SECONDS)
            with pytest.raises(TimeoutError):
                stream.next(timeout=0.5)
        stream.close_write()
        assert read_all(stream) == b""
        stream.finish()


def executed(client, made, *command, **config):
    config = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True} | config
    return client.execs.start(client.execs.create(made, config)["Id"], {"Tty": config.get("Tty", False)})


@pytest.mark.parametrize("config", [{}, {"Tty": True}], ids=["pipes", "terminal"])
def test_execs_outlive_the_worker_too(engine, config):
    """They have no log: what a worker that dies has read and not sent is lost, and nothing else."""
    client, folder = engine
    made = created(client, "sleep 1000")
    client.containers.start(made)
    with executed(client, made, "sh", "-c", COUNT, **config) as stream:
        with Killer(folder) as killer:
            lines = [text.rstrip(b"\r") for text in read_all(stream).split(b"\n")]
        assert stream.finish()["ExitCode"] == 0
    assert killer.kills >= 2
    assert lines[0] == b"line 0" and lines[-2:] == [b"line %d" % (LINES - 1), b""]
    whole = [int(found[1]) for found in map(LINE.fullmatch, lines) if found]
    assert whole == sorted(set(whole)) and len(whole) >= LINES - killer.kills * 5 * BURST
    client.containers.remove(made, force=True)


def test_input_of_an_exec(engine):
    client, folder = engine
    made = created(client, "sleep 1000")
    client.containers.start(made)
    text = random.Random(2).randbytes(1_000_000)
    with executed(client, made, "sh", "-c", "sleep 3; sha256sum", AttachStdin=True) as stream, Killer(folder) as killer:
        for start in range(0, len(text), 10_000):
            stream.write(text[start:start + 10_000], timeout=SECONDS)
        stream.close_write()
        assert read_all(stream) == hashlib.sha256(text).hexdigest().encode() + b"  -\n"
        assert stream.finish()["ExitCode"] == 0
    assert killer.kills >= 2
    client.containers.remove(made, force=True)


def test_input_that_waits_while_workers_die(engine):
    """It is in sockets, in the keeper and in the pipe: the process gets each byte, once and in order."""
    client, folder = engine
    text = random.Random(1).randbytes(3_000_000)
    made = created(client, "sleep 4; sha256sum", OpenStdin=True, StdinOnce=True)
    with client.containers.attach(made, stream=True, stdin=True, stdout=True) as stream, Killer(folder) as killer:
        client.containers.start(made)
        for start in range(0, len(text), 10_000):
            stream.write(text[start:start + 10_000], timeout=SECONDS)
        stream.close_write()
        assert read_all(stream) == hashlib.sha256(text).hexdigest().encode() + b"  -\n"
        stream.finish()
    assert killer.kills >= 2


def test_input_typed_while_there_is_no_worker(engine):
    client, folder = engine
    made = created(client, "cat", OpenStdin=True, StdinOnce=True)
    with client.containers.attach(made, stream=True, stdin=True, stdout=True) as stream:
        client.containers.start(made)
        for turn in range(5):
            supervisor, worker = keeper(folder)
            os.kill(supervisor, signal.SIGSTOP)
            os.kill(worker, signal.SIGKILL)
            try:
                stream.write(b"turn %d\n" % turn, timeout=SECONDS)
            finally:
                os.kill(supervisor, signal.SIGCONT)
            assert stream.next(timeout=SECONDS).data == b"turn %d\n" % turn
        stream.close_write()
        assert read_all(stream) == b""
        stream.finish()


def test_an_older_keeper_goes_on_as_it_did():
    """It knows no positions; attached clients come back to it all the same."""
    with embed_root() as root, pouch.Client(f"{root}&keeper={build_dir()}/bin/older/pouch-keeper") as client:
        client.images.load_file(str(busybox_image_tar(folder_of(root) / "busybox.tar")))
        made = created(client)
        with client.containers.attach(made, stream=True, stdout=True) as stream:
            client.containers.start(made)
            with Killer(folder_of(root)) as killer:
                output = read_all(stream)
            stream.finish()
        assert killer.kills >= 2
        assert output.startswith(b"line 0\n") and output.endswith(b"line %d\n" % (LINES - 1))
