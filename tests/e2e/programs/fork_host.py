"""A parent with eight threads in calls that forks children by multiprocessing; each opens a client of its own.

    fork_host.py URI ARCHIVE CHILDREN EVERY

At most four children live at a time; every EVERYth runs a container. Ends with 0 and one line of JSON (calls per thread),
or names what went wrong on stderr.
"""

import faulthandler
import json
import multiprocessing
import signal
import sys
import threading
import time
import traceback

import pouch

WIDTH = 4
STOP = threading.Event()
FAILED = []
COUNTS = {}


def run_none(client, _name):
    assert client.containers.run("busybox", ["echo", "hi"], network="none", remove=True) == b"hi\n"


def run_bridge(client, _name):
    assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"


def look(client, name):
    assert client.containers.inspect(name)["State"]["Running"]
    assert [one for one in client.containers.list() if f"/{name}" in one["Names"]]


def execute(client, name):
    assert client.containers.get(name).exec_run(["echo", "x"]).output == b"x\n"


def feed(client, _name):
    data = b"0123456789" * 5000
    assert client.containers.run("busybox", ["cat"], network="none", remove=True, stdin=data) == data


THREADS = {"run1": run_none, "run2": run_none, "bridge": run_bridge, "look": look, "exec": execute, "feed": feed}


def repeat(client, name, what):
    try:
        while not STOP.is_set():
            THREADS[what](client, name)
            COUNTS[what] += 1
    except BaseException:  # pylint: disable=broad-except
        FAILED.append(f"{what}: {traceback.format_exc()}")


def follow(stream, what, check):
    """Reads a stream until it is cancelled."""
    try:
        for frame in stream:
            check(frame)
            COUNTS[what] += 1
    except pouch.Cancelled:
        pass
    except BaseException:  # pylint: disable=broad-except
        FAILED.append(f"{what}: {traceback.format_exc()}")


class Lines:
    """A log whose lines are numbers, whole and in order."""

    def __init__(self):
        self.rest, self.next = b"", 0

    def __call__(self, frame):
        *lines, self.rest = (self.rest + frame.data).split(b"\n")
        for line in lines:
            assert int(line) == self.next, (line, self.next)
            self.next += 1


def child(inherited, uri, archive, runs):
    try:
        inherited.system.ping()
        raise AssertionError("the parent's client works in a child")
    except pouch.Forked:
        pass
    with pouch.Client(uri) as own:
        assert own.system.ping()["ApiVersion"]
        own.containers.list(all=True)
        if runs:
            if uri.startswith("mock:"):
                own.images.load_file(archive)
            assert own.containers.run("busybox", ["echo", "child"], remove=True) == b"child\n"


def reap(children, limit):
    while len(children) > limit:
        for one in [one for one in children if not one.is_alive()]:
            one.join()
            children.remove(one)
            if one.exitcode != 0:
                FAILED.append(f"a child ended with {one.exitcode}")
        if FAILED:
            return
        time.sleep(0.005)


def main():
    uri, archive, count, every = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    client = pouch.Client(uri)
    client.images.load_file(archive)
    name = "fork-host"
    counting = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done"
    if uri.startswith("mock:"):
        counting = "echo 0; sleep 1000"
    talker = client.containers.run("busybox", counting, name=name, detach=True, network="none")
    streams = {"log": (talker.follow(), Lines()), "events": (client.system.events(), lambda frame: None)}
    COUNTS.update(dict.fromkeys([*THREADS, *streams], 0))
    threads = [threading.Thread(target=repeat, args=(client, name, what)) for what in THREADS]
    threads += [threading.Thread(target=follow, args=(stream, what, check)) for what, (stream, check) in streams.items()]
    for thread in threads:
        thread.start()
    context = multiprocessing.get_context("fork")
    children = []
    for number in range(count):
        if FAILED:
            break
        reap(children, WIDTH - 1)
        children.append(context.Process(target=child, args=(client, uri, archive, number % every == 0)))
        children[-1].start()
    reap(children, 0)
    before = dict(COUNTS)
    deadline = time.monotonic() + 60
    while not FAILED and any(COUNTS[what] == before[what] for what in THREADS) and time.monotonic() < deadline:
        time.sleep(0.01)
    STOP.set()
    for stream, _ in streams.values():
        stream.cancel()
    for thread in threads:
        thread.join()
    if any(COUNTS[what] == before[what] for what in THREADS):
        FAILED.append(f"a thread of the parent stands still: {before}, {COUNTS}")
    client.containers.remove(name, force=True)
    client.close()
    print("\n".join(FAILED), file=sys.stderr)
    print(json.dumps(COUNTS))
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
