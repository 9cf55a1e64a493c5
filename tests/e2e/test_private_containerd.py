"""The containerd that a root runs for itself, as users meet it: nothing to set up, and nothing breaks when it dies."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest
from pouchtest import procs
from pouchtest.cgroups import hierarchies
from pouchtest.containerd import shim_socket
from pouchtest.embed import end_keepers, new_root
from pouchtest.leaks import LeakGuard
from pouchtest.paths import build_dir, find_program, private_dir
from pouchtest.pouchd import Pouchd
from pouchtest.procs import wait_until
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
COUNT = 'i=0; while true; do i=$((i+1)); echo "$i"; sleep 0.05; done'


class Root:
    """A root with its engine's address, and its processes by name."""

    def __init__(self, folder, uri):
        self.folder, self.uri = folder, uri

    def pouch(self, *args, **options):
        return run(POUCH, "-H", self.uri, *args, **options)

    def processes(self):
        found = {"containerd": [], "minder": [], "keeper": [], "shim": []}
        for pid in procs.mentioning(str(self.folder)):
            words = procs.cmdline(pid).split()
            if not words:
                continue
            name = os.path.basename(words[0])
            kind = {"containerd": "containerd", "containerd-shim-runc-v2": "shim"}.get(name)
            if name == "pouch-keeper":
                kind = "minder" if "--mind-containerd" in words else "keeper"
            if kind:
                found[kind].append(pid)
        return found

    def kill(self, *kinds):
        """SIGKILL; returns when they are gone."""
        pids = [pid for kind in kinds for pid in self.processes()[kind]]
        assert pids
        sockets = [socket for pid in pids if (socket := shim_socket(pid))]
        for pid in pids:
            started = procs.start_time(pid)
            if started is None:
                continue
            os.kill(pid, signal.SIGKILL)
            assert wait_until(lambda: procs.start_time(pid) != started, 30)  # pylint: disable=cell-var-from-loop
        for socket in sockets:  # what a killed shim leaves, nobody takes away
            pathlib.Path(socket).unlink(missing_ok=True)


@pytest.fixture(name="root")
def root_fixture(busybox_tar):
    with private_dir() as folder, LeakGuard(own_only=folder.name), new_root(folder) as uri:
        root = Root(folder, uri)
        root.pouch("load", "-i", busybox_tar)
        name = json.loads(root.pouch("info", "--format", "{{json .}}").out)["Pouch"]["ContainerdNamespace"]
        yield root
        ids = root.pouch("ps", "-aq").lines
        if ids:
            root.pouch("rm", "-f", *ids)
        end_keepers(folder)
        assert wait_until(lambda: groups_of(name) == [], 20), groups_of(name)


def groups_of(name):
    """The control groups of the top level with this name."""
    return [str(folder / name) for folder in hierarchies() if (folder / name).exists()]


def numbers(text):
    return [int(line) for line in text.split()]


def assert_counts(text):
    """Nothing lost and in order; a kill may repeat what was just being written."""
    seen = list(dict.fromkeys(numbers(text)))
    assert seen and seen == list(range(1, len(seen) + 1))


def start_shim(namespace, name, address, state):
    """A shim as containerd has it started before it dies, with nothing noted about it: (pid, bundle)."""
    bundle = state / "io.containerd.runtime.v2.task" / namespace / name
    (bundle / "rootfs").mkdir(parents=True)
    (bundle / "config.json").write_text('{"ociVersion": "1.0.2"}')
    os.mkfifo(bundle / "log")
    reader = os.open(bundle / "log", os.O_RDWR)  # containerd's end, which the shim waits for
    run(find_program("containerd-shim-runc-v2"), "-namespace", namespace, "-address", address, "-publish-binary",
        find_program("containerd"), "-id", name, "start", cwd=bundle, env={"TTRPC_ADDRESS": f"{address}.ttrpc"})
    time.sleep(0.5)
    os.close(reader)
    (pid,) = procs.mentioning(f"-namespace {namespace} -id {name} -address {address}")
    return pid, bundle


def test_first_container_of_an_empty_root(root):
    assert root.pouch("run", "--rm", "--network", "none", "busybox", "echo", "hi").out == "hi\n"
    info = json.loads(root.pouch("info", "--format", "{{json .}}").out)["Pouch"]
    assert info["ContainerdPrivate"] is True
    assert info["Containerd"] == f"{root.folder}/run/containerd.sock"
    assert info["ContainerdVersion"]
    found = root.processes()
    assert len(found["containerd"]) == len(found["minder"]) == 1
    # Nothing runs and nobody is there: within seconds no process is left, and no control group.
    assert wait_until(lambda: not any(root.processes().values()), 60)
    assert groups_of(info["ContainerdNamespace"]) == []


@pytest.mark.parametrize("victims", [("containerd",), ("minder",), ("keeper", "minder", "containerd")])
def test_killed_under_a_running_container(root, victims):
    root.pouch("run", "-d", "--name", "counter", "--network", "none", "busybox", "sh", "-c", COUNT)
    with subprocess.Popen([POUCH, "-H", root.uri, "logs", "-f", "counter"], stdout=subprocess.PIPE, text=True) as logs:
        try:
            assert logs.stdout.readline() == "1\n"
            pid = root.pouch("inspect", "--format", "{{.State.Pid}}", "counter").out
            root.kill(*victims)
            assert root.pouch("exec", "counter", "echo", "in").out == "in\n"
            assert "counter" in root.pouch("ps").out
            assert root.pouch("inspect", "--format", "{{.State.Pid}}", "counter").out == pid
            # The follower of before still sees what comes now.
            now = numbers(root.pouch("logs", "counter").out)[-1]
            assert wait_until(lambda: int(logs.stdout.readline()) > now, 60)
        finally:
            logs.kill()
    assert root.pouch("run", "--rm", "--network", "none", "busybox", "echo", "more").out == "more\n"
    root.pouch("stop", "-t", "0", "counter")
    assert_counts(root.pouch("logs", "counter").out)
    assert root.pouch("inspect", "--format", "{{.State.ExitCode}}", "counter").out == "137\n"
    root.pouch("rm", "counter")


def test_exit_while_all_were_killed_is_told_afterwards(root):
    root.pouch("run", "-d", "--name", "quick", "--network", "none", "busybox", "sh", "-c",
               "echo begun; while ! [ -e /go ]; do sleep 0.05; done; exit 5")
    pid = int(root.pouch("inspect", "--format", "{{.State.Pid}}", "quick").out)
    root.kill("keeper", "minder", "containerd")
    open(f"/proc/{pid}/root/go", "w").close()
    assert wait_until(lambda: procs.start_time(pid) is None, 60)
    assert root.pouch("wait", "quick").out == "5\n"
    assert root.pouch("logs", "quick").out == "begun\n"
    root.pouch("rm", "quick")


def test_host_and_its_control_group_are_killed(root):
    """What runs is in groups of the root's own: who kills all of the program's group kills the program alone."""
    group = f"/pouch-test-{os.getpid()}"
    hierarchies = [f"/sys/fs/cgroup/{name}{group}" for name in ("memory", "pids", "systemd")
                   if os.path.isdir(f"/sys/fs/cgroup/{name}")] or [f"/sys/fs/cgroup{group}"]
    for folder in hierarchies:
        os.mkdir(folder)
    try:
        enter = "".join(f"echo 0 > {folder}/cgroup.procs; " for folder in hierarchies)
        run("/bin/sh", "-c", enter + 'exec "$@"', "sh", POUCH, "-H", root.uri, "run", "-d", "--name", "counter",
            "--network", "none", "busybox", "sh", "-c", COUNT)
        for folder in hierarchies:
            with open(f"{folder}/cgroup.procs") as left:
                assert left.read() == ""
        for pids in root.processes().values():
            for pid in pids:
                with open(f"/proc/{pid}/cgroup") as groups:
                    assert "/pouch-" in groups.read()
    finally:
        for folder in hierarchies:
            os.rmdir(folder)
    root.pouch("rm", "-f", "counter")


def test_other_namespaces_are_refused(root):
    root.pouch("run", "-d", "--name", "here", "--network", "none", "busybox", "sleep", "1000")
    for flags, kind in ((["--net"], "net"), (["--mount"], "mnt"), (["--pid", "--fork", "--mount-proc"], "mnt"),
                        (["--pid", "--fork"], "pid")):
        told = run("unshare", *flags, POUCH, "-H", root.uri, "ps", check=False)
        assert told.code != 0
        assert re.search(rf"its keeper \(process \d+\) is in another {kind} namespace", told.err), told.err
    root.pouch("rm", "-f", "here")


def test_without_the_package(root):
    for pid in root.processes()["minder"]:
        procs.end(pid)
    told = root.pouch("images", env={"POUCH_CONTAINERD_PATH": "/no/containerd"}, check=False)
    assert told.code == 0  # needs none
    told = root.pouch("run", "--network", "none", "busybox", env={"POUCH_CONTAINERD_PATH": "/no/containerd"}, check=False)
    assert told.code == 125
    assert "apt-get install containerd, or name the socket of one that runs (containerd=…)" in told.err
    assert "Traceback" not in told.err and told.err.count("\n") <= 3


def test_pouchd_with_a_private_one(busybox_tar):
    with Pouchd(containerd="private") as pouchd:
        pouchd.docker("load", "--input", busybox_tar)
        root = Root(pouchd.dir, pouchd.uri)
        pouchd.docker("run", "-d", "--name", "counter", "--network", "none", "busybox", "sh", "-c", COUNT)
        assert json.loads(pouchd.docker("info", "--format", "{{json .Containerd}}").out or "null") is not None
        root.kill("containerd")
        assert pouchd.docker("exec", "counter", "echo", "in").out == "in\n"
        assert "counter" in pouchd.docker("ps").out
        root.kill("keeper", "minder", "containerd")
        assert pouchd.docker("exec", "counter", "echo", "in").out == "in\n"
        pouchd.docker("stop", "-t", "0", "counter")
        assert_counts(pouchd.docker("logs", "counter").out)


def test_shim_that_containerd_lost_is_ended(root):
    shown = json.loads(root.pouch("info", "--format", "{{json .}}").out)["Pouch"]
    namespace, state = shown["ContainerdNamespace"], root.folder / "run/containerd"
    container = root.pouch("run", "-d", "--network", "none", "busybox", "sh", "-c", COUNT).out.strip()
    mine = procs.mentioning(f"-namespace {namespace} -id {container}")
    words = procs.cmdline(mine[0]).split()
    address = words[words.index("-address") + 1]
    lost, bundle = start_shim(namespace, "lost", address, state)
    others = [start_shim(f"{namespace}-other", "lost", address, state)[0]]
    # Another containerd's: its socket is there, too.
    another = root.folder / "another.sock"
    another.touch()
    others.append(start_shim(namespace, "apart", another, root.folder / "another")[0])
    try:
        root.kill("containerd")
        assert wait_until(lambda: procs.start_time(lost) is None, 60), "the lost shim lives on"
        assert wait_until(lambda: not bundle.exists(), 10)
        assert [pid for pid in [*mine, *others] if procs.start_time(pid) is None] == []
        assert root.pouch("ps", "-q", "--no-trunc").lines == [container]
    finally:
        for pid in [lost, *others]:
            procs.end(pid)


def test_end_is_seen_when_the_shim_dies(root):
    for _ in range(5):
        container = root.pouch("run", "-d", "--network", "none", "busybox", "sh", "-c", COUNT).out.strip()
        root.kill("shim")
        assert root.pouch("wait", container, timeout=60).out.strip() in ("137", "255")
        root.pouch("rm", container)
