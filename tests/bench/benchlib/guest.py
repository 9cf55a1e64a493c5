"""What a guest costs its host process: openings, latencies, the keeper's memory and wake-ups.

Each measure is a function that gives a row: its name, unit, aim, our summary, and a peer's where there is a like one.
"""

import contextlib
import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import pouch
from pouchtest import BUSYBOX, end_keepers, mounts, private_dir
from pouchtest.embed import keepers

from .report import percentile

_LIMIT = 60  # seconds for anything; beyond it something hangs
_OPEN = """
import sys, time
import pouch
start = time.perf_counter()
client = pouch.Client(sys.argv[1])
opened = time.perf_counter()
client.containers.list(all=True)
print(opened - start, time.perf_counter() - opened, flush=True)
sys.stdin.read()
"""


class Opened:
    """A fresh process that opens a root and stays until the end of the block; `seconds` is what
    opening took, `listing` what a list of all containers took then."""

    def __init__(self, uri):
        self._process = subprocess.Popen([sys.executable, "-c", _OPEN, uri], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self.seconds, self.listing = map(float, self._process.stdout.readline().split())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate(timeout=_LIMIT)


def row(name, aim, samples, peer=None, percent=50):
    """Milliseconds from seconds; `peer` is (name, samples)."""
    found = {"name": name, "unit": "ms", "percentile": percent, "aim": aim,
             "value": round(percentile(samples, percent) * 1000, 3), "samples": len(samples)}
    if peer:
        value = percentile(peer[1], percent) * 1000
        found |= {"peer": peer[0], "peer_value": round(value, 3), "ratio": round(found["value"] / value, 3)}
    return found


def config(*command, tty=False, binds=()):
    return {"Image": BUSYBOX, "Cmd": list(command), "Tty": tty, "OpenStdin": tty,
            "HostConfig": {"NetworkMode": "none", "Binds": list(binds)}}


def openings(uri, folder, containers, rounds):
    """A root with many stopped containers: the first process, and one that joins it."""
    with pouch.Client(uri) as client:
        made = [client.containers.create(config("true"))["Id"] for _ in range(containers)]
    first, second, listing = [], [], []
    for _ in range(rounds):
        end_keepers(folder)
        with Opened(uri) as one:
            first.append(one.seconds)
            listing.append(one.listing)
            with Opened(uri) as two:
                second.append(two.seconds)
    with pouch.Client(uri) as client:
        for container in made:
            client.containers.remove(container)
    return [row(f"open a root with {containers} stopped containers", 15, first),
            row(f"then list all {containers}", None, listing),
            row("a second process joins it", 5, second)]


@contextlib.contextmanager
def running(client, body):
    """A started container of our client's; gone afterwards."""
    container = client.containers.create(body)["Id"]
    try:
        client.containers.start(container)
        yield container
    finally:
        client.containers.remove(container, force=True)


@contextlib.contextmanager
def running_docker(docker, body):
    """The same with docker-py."""
    host = docker.create_host_config(network_mode="none", binds=body["HostConfig"]["Binds"])
    container = docker.create_container(BUSYBOX, body["Cmd"], tty=body["Tty"], stdin_open=body["OpenStdin"],
                                        host_config=host)["Id"]
    try:
        docker.start(container)
        yield container
    finally:
        docker.remove_container(container, force=True)


def lines(send, receive, count):
    """Seconds from each line's writing until it is read at the other end."""
    samples = []
    for number in range(count):
        line = b"%09d\n" % number
        start = time.perf_counter()
        send(line)
        seen = b""
        while len(seen) < len(line):
            seen += receive()
        samples.append(time.perf_counter() - start)
    return samples


def followed(client, docker, folder, count):
    """From a write in a container (cat, from a fifo that the host writes to) to the follower of its log."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    body = config("cat", "/fifo", binds=[f"{fifo}:/fifo"])
    with running(client, body) as container, open(fifo, "wb", buffering=0) as file:
        with client.containers.logs(container, follow=True, stdout=True) as stream:
            ours = lines(file.write, lambda: stream.next(_LIMIT).data, count)
    with running_docker(docker, body) as container, open(fifo, "wb", buffering=0) as file:
        pieces = docker.logs(container, stream=True, follow=True)
        peer = lines(file.write, lambda: next(pieces), count)
    return [row("a container's line to the follower of its log", 10, ours, ("docker-py logs", peer), 99)]


def echoed(client, docker, count):
    """From a keystroke to its echo by a container's terminal."""
    body = config("cat", tty=True)

    def keys(send, receive):
        samples = []
        for _ in range(count):
            start = time.perf_counter()
            send(b"x")
            receive()
            samples.append(time.perf_counter() - start)
            time.sleep(0.002)
        return samples

    with running(client, body) as container:
        with client.containers.attach(container, stream=True, stdin=True, stdout=True) as stream:
            ours = keys(stream.write, lambda: stream.next(_LIMIT))
    with running_docker(docker, body) as container:
        socket = docker.attach_socket(container, {"stdin": 1, "stdout": 1, "stream": 1})
        peer = keys(socket._sock.sendall, lambda: socket._sock.recv(64))
        socket.close()
    return [row("a keystroke to its echo", 5, ours, ("docker-py attach", peer), 99)]


class _Deletions(logging.Handler):
    """How long containerd took to delete tasks, in seconds, as the library's records tell."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def emit(self, record):
        if found := re.search(r"tasks\.delete on .*: (\d+) us$", record.getMessage()):
            self.seconds.append(int(found.group(1)) / 1e6)


@contextlib.contextmanager
def _task_deletions():
    logger = logging.getLogger("pouch.bench")
    handler = _Deletions()
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    with pouch.forward_logs("debug", logger.name):
        yield handler.seconds
    logger.removeHandler(handler)


def exits(client, docker, count):
    """From the end of a container's process to the answer of a wait for it, and what containerd has of that."""
    with _task_deletions() as deletions:
        ours, peer = _exits(client, docker, count)
    return [row("a container's exit to the answer of a wait", 5, ours, ("docker-py wait", peer)),
            row("of that, containerd's deletion of the task", None, deletions)]


def _exits(client, docker, count):
    body = config("sleep", "1000")
    ours, peer = [], []
    for _ in range(count):
        with running(client, body) as container, client.containers.wait(container) as stream:
            pid = client.containers.inspect(container)["State"]["Pid"]
            start = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            next(stream.messages())
            ours.append(time.perf_counter() - start)
        with running_docker(docker, body) as container:
            pid = docker.inspect_container(container)["State"]["Pid"]
            answer = _background_wait(docker, container)
            start = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            peer.append(answer() - start)
    return ours, peer


def _background_wait(docker, container):
    """docker-py's wait blocks: in a thread, which is given time to ask. Gives a function: when the answer came."""
    ended = []
    thread = threading.Thread(target=lambda: (docker.wait(container), ended.append(time.perf_counter())))
    thread.start()
    time.sleep(0.1)

    def answer():
        thread.join(_LIMIT)
        return ended[0]

    return answer


def first_containers(tar, rounds):
    """An empty root, no containerd: to the exit of the first container, the image's loading apart."""
    samples = []
    for _ in range(rounds):
        with private_dir() as folder:
            uri = f"embed://{folder}/root?run={folder}/run"
            try:
                start = time.perf_counter()
                with pouch.Client(uri) as client:
                    opened = time.perf_counter() - start
                    client.images.load_file(tar)
                    start = time.perf_counter()
                    assert client.containers.run(BUSYBOX, ["echo", "hi"], network="none", remove=True) == b"hi\n"
                    samples.append(opened + time.perf_counter() - start)
            finally:
                end_keepers(folder)
                mounts.unmount_below(folder)
    return [row("an empty root with a containerd of its own to the first container's exit", 250, samples)]


def pss_kib(pids):
    text = "".join(pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(number) for number in re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE))


def wake_ups(pids):
    """How often each thread of these processes has gone to sleep so far."""
    found = {}
    for pid in pids:
        for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):  # it has ended
                text = status.read_text()
                found[status.parent.name] = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE).group(1))
    return found


def idleness(uri, folder, containers, seconds):
    """The keeper without and with many idle containers: PSS of both its processes, wake-ups per second."""
    with pouch.Client(uri) as client, contextlib.ExitStack() as stack:
        client.containers.run(BUSYBOX, ["true"], network="none", remove=True)  # a keeper is started when one is needed
        before = pss_kib(keepers(folder))
        for _ in range(containers):
            stack.enter_context(running(client, config("sleep", "100000")))
        time.sleep(15)  # threads that have nothing to do any more end
        after = pss_kib(keepers(folder))
        pids = keepers(folder)
        earlier = wake_ups(pids)
        time.sleep(seconds)
        # Of one that has ended nobody knows how often it did.
        rate = sum(count - earlier.get(thread, 0) for thread, count in wake_ups(pids).items()) / seconds
    return [{"name": "PSS of an idle keeper", "unit": "KiB", "aim": None, "value": before},
            {"name": "PSS of a keeper per running container", "unit": "KiB", "aim": None,
             "value": round((after - before) / containers, 1)},
            {"name": f"wake-ups of a keeper per second, {containers} idle containers", "unit": "1/s", "aim": 1,
             "value": round(rate, 2), "samples": seconds}]
