"""Eight roots at once, four of them on one containerd: none sees, names or removes what another has."""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import pouch
import pytest
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root, keepers
from pouchtest.paths import find_program
from pouchtest.procs import wait_until
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

PROGRAM = pathlib.Path(__file__).parent / "programs/session_client.py"
HOST = {"NetworkMode": "none"}
SEED = int(os.environ.get("POUCH_KILL_SEED", "1"))
ROUNDS = int(os.environ.get("POUCH_KILL_ROUNDS", "2"))
LIMIT = 60


class Root:
    """One root: what it is to keep, and the programs that come and are killed."""

    def __init__(self, number, uri, busybox_tar):
        self.number, self.uri = number, uri
        self.folder = uri.partition("://")[2].partition("/root?")[0]
        self.client = pouch.Client(uri)
        self.client.images.load_file(str(busybox_tar))
        self.kept = self.client.containers.run("busybox", ["sleep", "1000"], name="kept", detach=True, host_config=HOST)
        self.made = self.client.containers.create({"Image": "busybox", "HostConfig": HOST}, name="made")["Id"]
        self.id = self.client.system.info()["ID"]
        self.random = random.Random(f"{SEED} {number}")
        self.problem = None

    def ids(self):
        return {found["Id"] for found in self.client.containers.list(all=True)}

    def keepers(self):
        return keepers(f"{self.folder}/")

    def suffer(self):
        """Programs with sessions, killed at any moment; sometimes the keeper or its worker at the same time."""
        try:
            for _ in range(ROUNDS):
                process = subprocess.Popen([sys.executable, PROGRAM, self.uri, "-", "wait"], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
                with process:
                    time.sleep(self.random.uniform(0.1, 3))
                    victims = self.random.choice(([], self.keepers(), self.keepers()[-1:]))
                    for pid in victims:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    os.killpg(process.pid, signal.SIGKILL)
        except Exception as error:  # pylint: disable=broad-except
            self.problem = error

    def is_clean(self):
        with pouch.Client(self.uri):  # whoever opens it sees to what is left
            return self.ids() == {self.kept.id, self.made}

    def told_ids(self):
        with self.client.system.events(since="2001-01-01T00:00:00Z", until=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(
                time.time() + 1))) as stream:
            return {event["Actor"]["ID"] for event in stream.messages() if event["Type"] == "container"}


def ctr(containerd, *args):
    return run(find_program("ctr"), "--address", containerd.socket, *args).out


@pytest.fixture(name="world")
def world_fixture(busybox_tar):
    """(the shared containerd, eight roots of which the first four are on it)."""
    with contextlib.ExitStack() as stack:
        shared = stack.enter_context(PrivateContainerd())
        uris = [stack.enter_context(embed_root(shared)) for _ in range(4)]
        uris += [stack.enter_context(embed_root()) for _ in range(4)]
        roots = [Root(number, uri, busybox_tar) for number, uri in enumerate(uris)]
        yield shared, roots
        for root in roots:
            for container in root.client.containers.list(all=True):
                with contextlib.suppress(pouch.NotFound):
                    root.client.containers.remove(container["Id"], force=True)
            root.client.close()


def test_none_touches_another(world):
    shared, roots = world
    print(f"seed {SEED}, {ROUNDS} rounds")
    threads = [threading.Thread(target=root.suffer) for root in roots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [root.problem for root in roots] == [None] * 8
    for root in roots:
        assert wait_until(root.is_clean, LIMIT, 0.2), (root.number, root.ids())
        assert root.kept.status == "running"
    assert len({root.id for root in roots}) == 8
    told = [root.told_ids() for root in roots]
    for number, ids in enumerate(told):
        assert not any(ids & other for other in told[:number])
    for root in roots[:4]:  # judged by containerd itself
        namespace = f"pouch-{root.id}"
        assert wait_until(lambda n=namespace, r=root: running(shared, n) == {r.kept.id}, LIMIT, 0.2)
        assert wait_until(lambda n=namespace, r=root: active_snapshots(shared, n) == {r.kept.id, r.made}, LIMIT, 0.2)
    remove_all_of(roots[0])
    for root in roots[1:]:
        assert root.ids() == {root.kept.id, root.made} and root.kept.status == "running"
        assert root.client.containers.run("busybox", ["echo", "hi"], remove=True, network="none") == b"hi\n"


def running(containerd, namespace):
    lines = ctr(containerd, "--namespace", namespace, "tasks", "ls").splitlines()[1:]
    return {line.split()[0] for line in lines if line.split()[2] == "RUNNING"}


def active_snapshots(containerd, namespace):
    lines = ctr(containerd, "--namespace", namespace, "snapshots", "ls").splitlines()[1:]
    return {line.split()[0] for line in lines if line.split()[-1] == "Active"}


def remove_all_of(root):
    """Everything of one root, the image and its layers on the shared containerd included."""
    for container in (root.kept.id, root.made):
        root.client.containers.remove(container, force=True)
    root.client.images.remove("busybox", force=True)
    assert root.ids() == set() and root.client.images.list() == []
