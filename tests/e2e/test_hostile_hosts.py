"""Host processes in unpleasant conditions: what runs in containers, and the keeper, see none of it."""

import os
import pathlib
import resource
import secrets
import signal
import subprocess
import sys

import pytest
from pouchtest import PrivateContainerd, cgroups, embed_root, find_program, mounts, networks, procs
from pouchtest.embed import keeper, new_root
from pouchtest.paths import REPO, build_dir

pytest_plugins = ["pouchtest.fixtures"]

# A program that uses the library: its words to the container come as arguments.
_PROGRAM = """
import sys
import pouch
uri, tar, command = sys.argv[1:4]
with pouch.Client(uri) as client:
    client.images.load_file(tar)
    print(client.containers.run("busybox", ["sh", "-c", command], network="none", remove=True,
                                User="nobody").decode(), end="")
    client.containers.run("busybox", ["sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done"],
                          network="none", detach=True, name="counts")
    print("READY", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def containerd():
    with PrivateContainerd() as daemon:
        yield daemon


@pytest.fixture
def uri(containerd):
    with embed_root(containerd) as address:
        yield address
        subprocess.run([build_dir() / "bin/pouch", "-H", address, "rm", "--force", "counts"], capture_output=True,
                       check=False, timeout=60)


class Host:
    """The program in a process of its own, made hostile by `setup`, which runs in the child before exec."""

    def __init__(self, uri, tar, command, setup=None, prefix=(), env=None, **options):
        path = f"{REPO}/tests/lib:{build_dir()}/python"
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", _PROGRAM, uri, str(tar), command], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=setup,
            env={**os.environ, "PYTHONPATH": path, **(env or {})}, **options)
        lines = []
        for line in self.process.stdout:
            if line == "READY\n":
                break
            lines.append(line)
        else:
            raise AssertionError(f"the host ended: {self.process.stderr.read()}")
        self.output = "".join(lines)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def root_of(uri):
    return pathlib.Path(uri.removeprefix("embed://").partition("?")[0])


def keeper_pids(uri):
    found = [pid for pid in procs.mentioning(str(root_of(uri))) if "pouch-keeper" in procs.cmdline(pid).split()[0]]
    assert len(found) == 2, [procs.cmdline(pid) for pid in found]
    return found


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def log_size(uri):
    return sum(path.stat().st_size for path in root_of(uri).glob("containers/*/*-json.log"))


def assert_goes_on(uri):
    """The container that counts is still read, without any client."""
    before = log_size(uri)
    assert procs.wait_until(lambda: log_size(uri) > before, 30)


def test_ignored_and_blocked_signals(uri, busybox_tar):
    def setup():
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})

    with Host(uri, busybox_tar, "grep -E '^Sig(Ign|Blk)' /proc/self/status", setup, restore_signals=False) as host:
        inside = dict(line.split(":\t") for line in host.output.splitlines())
        # busybox's shell itself ignores SIGQUIT.
        assert int(inside["SigIgn"], 16) & ~(1 << (signal.SIGQUIT - 1)) == 0
        assert int(inside["SigBlk"], 16) == 0
        for pid in keeper_pids(uri):
            # The keeper's own choice: SIGPIPE ignored; its supervisor reads three signals from a descriptor.
            assert status_of(pid)["SigIgn"] == "0000000000001000"
            assert int(status_of(pid)["SigBlk"], 16) & ~0x14002 == 0
        mine = status_of(host.process.pid)
        assert int(mine["SigIgn"], 16) & 1 << (signal.SIGCHLD - 1), "the host's own choice is left alone"


def test_stray_descriptors(uri, busybox_tar):
    reader, writer = os.pipe()

    def setup():
        for fd in range(20, 60):
            os.dup2(writer, fd, inheritable=True)

    with Host(uri, busybox_tar, "ls /proc/self/fd", setup, close_fds=False) as host:
        os.close(writer)
        # ls has its own folder open as well.
        assert host.output.split() == ["0", "1", "2", "3"]
    # Nobody but the host had the pipe: with it gone it is at its end, though keeper and container live on.
    os.set_blocking(reader, False)
    assert procs.wait_until(lambda: at_end(reader), 20)
    os.close(reader)
    assert len(keeper_pids(uri)) == 2


def at_end(reader):
    try:
        return os.read(reader, 1) == b""
    except BlockingIOError:
        return False


def test_umask(uri, busybox_tar):
    command = "umask; cat /etc/hosts >/dev/null && cat /etc/passwd >/dev/null && ls / >/dev/null && echo readable"
    with Host(uri, busybox_tar, command, lambda: os.umask(0o777)) as host:
        assert host.output == "0022\nreadable\n"
        for pid in keeper_pids(uri):
            assert status_of(pid)["Umask"] == "0022"


def test_few_descriptors(uri, busybox_tar):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    setup = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (48, hard))  # noqa: E731
    with Host(uri, busybox_tar, "ulimit -n", setup) as host:
        assert int(host.output) != 48
        assert_goes_on(uri)


def test_affinity_nice_and_session(uri, busybox_tar):
    def setup():
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.nice(5)

    wanted = status_of("self")["Cpus_allowed_list"]
    command = "grep Cpus_allowed_list /proc/self/status; cut -d' ' -f19 /proc/self/stat"
    with Host(uri, busybox_tar, command, setup) as host:
        assert host.output == f"Cpus_allowed_list:\t{wanted}\n{os.nice(0)}\n", "as the containerd of this test"
        for pid in keeper_pids(uri):
            assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)
            assert os.getsid(pid) != os.getsid(host.process.pid)


def test_preloaded_library(uri, busybox_tar):
    library = build_dir() / "lib/libpouch.so.1"  # any that the keeper and busybox do not have anyway
    with Host(uri, busybox_tar, "env", env={"LD_PRELOAD": str(library), "SECRET": "of the host"}) as host:
        assert "LD_PRELOAD" not in host.output and "SECRET" not in host.output
        for pid in keeper_pids(uri):
            assert str(library) not in pathlib.Path(f"/proc/{pid}/maps").read_text()
            assert not [item for item in procs.environ(pid) if item.startswith((b"LD_PRELOAD", b"SECRET"))]


@pytest.fixture
def limited_groups():
    """A control group in each hierarchy, the memory limited where it can be."""
    name = f"pouch-test-{secrets.token_hex(4)}"
    groups = [hierarchy / name for hierarchy in cgroups.hierarchies()]
    for group in groups:
        group.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (group / file).exists():
                (group / file).write_text((group.parent / file).read_text())
        for file, value in (("memory.limit_in_bytes", "512M"), ("pids.max", "100")):
            if (group / file).exists():
                (group / file).write_text(value)
    yield groups
    procs.wait_until(lambda: not any((group / "cgroup.procs").read_text() for group in groups), 20)
    cgroups.remove_group(name)


def test_all_of_the_hosts_control_group_is_killed(uri, busybox_tar, limited_groups):
    def setup():
        for group in limited_groups:
            (group / "cgroup.procs").write_text("0")

    name = limited_groups[0].name
    with Host(uri, busybox_tar, "cat /proc/self/cgroup", setup) as host:
        assert name not in host.output
        for pid in keeper_pids(uri):
            assert name not in pathlib.Path(f"/proc/{pid}/cgroup").read_text()
        killed = {int(pid) for group in limited_groups for pid in (group / "cgroup.procs").read_text().split()}
        assert host.process.pid in killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        host.process.wait(20)
        assert_goes_on(uri)
    assert len(keeper_pids(uri)) == 2


def test_program_is_found_without_path(uri, busybox_tar):
    # An empty environment, as cron and systemd give one.
    env = find_program("env")
    path = f"PYTHONPATH={REPO}/tests/lib:{build_dir()}/python"
    with Host(uri, busybox_tar, "echo $HOME", prefix=(env, "-i", path)) as host:
        assert host.output.strip() in ("/", "/root", "")
        assert_goes_on(uri)


# What a container has of the mounts and networks that its host has made for it.
_ELSEWHERE = """
import json
import sys
import pouch
uri, tar = sys.argv[1:3]
LOOK = "ls /sys/class/net | tr '\\\\n' ' '; stat -f -c %T /memory; cat /deep/file; ip -4 -o address show eth0 2>/dev/null | wc -l"
with pouch.Client(uri) as client:
    client.images.load_file(tar)
    client.volumes.create({"Name": "memory", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}})
    client.containers.run("busybox", ["sh", "-c", "mkdir -p /v/a/b; echo deep >/v/a/b/file"], network="none", remove=True,
                          host_config={"Binds": ["plain:/v"]})
    host = {"Binds": ["memory:/memory"], "Mounts": [
        {"Type": "volume", "Source": "plain", "Target": "/deep", "VolumeOptions": {"Subpath": "a/b"}}]}
    for network in ("none", "bridge", "host"):
        print(client.containers.run("busybox", ["sh", "-c", LOOK], network=network, remove=True, host_config=host).decode(),
              end="")
    client.containers.run("busybox", ["sh", "-c", "while :; do echo line; sleep 0.02; done"], detach=True, name="counts",
                          network="bridge", host_config=host)
"""


@pytest.fixture(params=["ip netns exec", "private mounts"])
def elsewhere(request):
    """A command that runs another in namespaces of its own."""
    if request.param == "private mounts":
        yield ["unshare", "--mount"]
        return
    name = f"pt-{secrets.token_hex(4)}"
    networks.ip("netns", "add", name)
    try:
        yield ["ip", "netns", "exec", name]
    finally:
        networks.ip("netns", "del", name)


@pytest.fixture(params=["its containerd is elsewhere", "a containerd of its own"])
def any_uri(request, containerd):
    with (embed_root(containerd) if "elsewhere" in request.param else new_root()) as address:
        yield address


def test_in_namespaces_of_its_own(any_uri, busybox_tar, elsewhere):
    env = {**os.environ, "PYTHONPATH": f"{REPO}/tests/lib:{build_dir()}/python"}
    done = subprocess.run([*elsewhere, sys.executable, "-c", _ELSEWHERE, any_uri, str(busybox_tar)], env=env, check=False,
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:6] == ["lo tmpfs", "deep", "0", "eth0 lo tmpfs", "deep", "1"]
    assert lines[7:8] == ["deep"] and " lo " in f" {lines[6]}" and lines[6].endswith(" tmpfs")
    pouch = [build_dir() / "bin/pouch", "-H", any_uri]
    supervisor, _ = keeper(root_of(any_uri).parent)
    refused = subprocess.run([*pouch, "ps"], capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 1 and "is in another mnt namespace than this process" in refused.stderr
    assert_goes_on(any_uri)
    there = ["nsenter", f"--target={supervisor}", "--mount", "--net"]
    subprocess.run([*there, *pouch, "rm", "--force", "counts"], capture_output=True, check=True, timeout=60)
    subprocess.run([*there, *pouch, "system", "reset", "--force"], capture_output=True, check=True, timeout=60)
    assert mounts.mounted(root_of(any_uri).parent) == []  # others' come and go beside us
    assert not root_of(any_uri).exists()
