"""Volumes with a size: how much containers can put into them, on a root whose file system has project quotas:
ext4 and XFS."""

import json
import os
import subprocess

import pytest
from pouchtest import procs, quotas
from pouchtest.faults.control import Control
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]
pytestmark = pytest.mark.vm

_MIB = 1 << 20


class Daemon(Pouchd):
    """pouchd whose home is a file system of its own, which can go without its quotas."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.home = self.dir / "home"
        self.home.mkdir()
        self.control = Control(self.dir)
        self.why_not = quotas.make(self.dir / "image", self.home, kind)

    def environment(self):
        return {**os.environ, **self.control.environment}

    def end(self):
        """Ends pouchd alone; its containerd goes on."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)

    def again(self):
        own, self._own_containerd = self._own_containerd, False
        try:
            self.start()
        finally:
            self._own_containerd = own

    def end_keeper(self):
        for pid in procs.mentioning(str(self.dir)):
            if "pouch-keeper" in procs.cmdline(pid):
                procs.end(pid)


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def daemon(request, busybox_tar):
    found = Daemon(request.param)
    try:
        if found.why_not:
            pytest.skip(f"no project quotas here: {found.why_not}")
        found.start()
        found.docker("load", "--input", busybox_tar)
        yield found
    finally:
        found.process = found.process or subprocess.Popen(["true"])
        found.stop()


@pytest.fixture
def docker(daemon):
    yield daemon.docker
    ids = daemon.docker("ps", "--all", "--quiet").lines
    if ids:
        daemon.docker("rm", "--force", "--volumes", *ids)
    names = daemon.docker("volume", "ls", "--quiet").lines
    if names:
        daemon.docker("volume", "rm", *names)
    assert quotas.limits(daemon.home) == {}


def shown(docker, name):
    return json.loads(docker("volume", "inspect", name).out)[0]


def fill(docker, *names):
    """Writes until nothing more goes in; how many bytes went in, of each."""
    mounts = [word for name in names for word in ("--volume", f"{name}:/{name}")]
    script = "; ".join(f"dd if=/dev/zero of=/{name}/more bs=64k count=200 2>&1 | grep -oE 'No space left|quota exceeded'"
                       f"; mkdir -p /{name}/sub; stat -c %s /{name}/more" for name in names)
    lines = docker("run", "--rm", *mounts, "busybox", "sh", "-c", script).lines
    assert all(line in ("No space left", "quota exceeded") for line in lines[::2]), lines
    return [int(line) for line in lines[1::2]]


def is_full(size, limit):
    # The volume's two folders take a block each, and a large file needs some for its map.
    return limit - 32768 <= size <= limit


def test_a_volume_takes_what_its_size_allows(docker, daemon):
    docker("volume", "create", "--opt", "size=1m", "small")
    docker("volume", "create", "--opt", "size=3MiB", "big")
    docker("volume", "create", "--opt", "size=0", "free")
    assert shown(docker, "small")["Options"] == {"size": "1m"}
    places = {name: shown(docker, name)["Mountpoint"] for name in ("small", "big", "free")}
    projects = {name: quotas.project(place) for name, place in places.items()}
    assert projects["small"] != projects["big"] and projects["free"] == 0
    assert quotas.limits(daemon.home) == {projects["small"]: _MIB, projects["big"]: 3 * _MIB}
    small, big = fill(docker, "small", "big")
    assert is_full(small, _MIB) and is_full(big, 3 * _MIB), (small, big)
    # One is full, not the file system, nor the other.
    docker("run", "--rm", "-v", "small:/s", "-v", "big:/b", "-v", "free:/f", "busybox", "sh", "-c",
           "rm /b/more; dd if=/dev/zero of=/b/x bs=64k count=32 2>/dev/null && dd if=/dev/zero of=/f/x bs=64k count=96 2>/dev/null")
    assert docker("run", "--rm", "-v", "small:/s", "busybox", "sh", "-c", "df -k /s | awk 'END {print $2}'").out == "1024\n"
    usage = {row["Name"]: row["Size"] for row in json.loads(docker("system", "df", "-v", "--format", "{{json .Volumes}}").out)}
    assert set(usage) == {"small", "big", "free"} and usage["big"].startswith("2.")


def test_what_is_asked_for_with_a_mount(docker, daemon):
    """Volumes made by the way, with the image's files, which are put in their place at once."""
    docker("run", "--name", "seed", "busybox", "sh", "-c", "mkdir /data; dd if=/dev/zero of=/data/seed bs=64k count=8 2>/dev/null")
    docker("commit", "--change", "VOLUME /data", "seed", "seeded")
    written = docker("run", "--name", "c1", "--mount", "type=volume,src=made,dst=/data,volume-opt=size=1m", "seeded", "sh", "-c",
                 "dd if=/dev/zero of=/data/more bs=64k count=64 2>/dev/null; stat -c %s /data/seed /data/more")
    seed, more = map(int, written.lines)
    assert seed == 8 * 65536 and is_full(seed + more, _MIB)
    # Without a name, and it goes with its container.
    docker("run", "--rm", "--mount", "type=volume,dst=/data,volume-opt=size=1m", "busybox", "sh", "-c",
           "! dd if=/dev/zero of=/data/more bs=64k count=64")
    assert list(quotas.limits(daemon.home).values()) == [_MIB]
    docker("rm", "c1")
    docker("rmi", "seeded")


def test_who_is_held_to_a_size(docker, daemon):
    """ext4 lets pass who may use up reserved resources, XFS nobody."""
    docker("volume", "create", "--opt", "size=1m", "vol1")
    docker("run", "--rm", "--privileged", "-v", "vol1:/v", "busybox", "sh", "-c", "dd if=/dev/zero of=/v/x bs=64k count=32; true")
    written = os.stat(f"{shown(docker, 'vol1')['Mountpoint']}/x").st_size
    assert written == 2 * _MIB if daemon.kind == "ext4" else is_full(written, _MIB), written


def test_sizes_that_are_refused(docker):
    for args, words in [(["size=lots"], "invalid size"), (["size=-1"], "invalid size"), (["size=1x"], "invalid suffix"),
                        (["size=1m", "type=tmpfs", "device=tmpfs"], "a quota of what is mounted (type, device) is not supported")]:
        options = [word for arg in args for word in ("--opt", arg)]
        refused = docker("volume", "create", *options, "vol1", check=False)
        assert refused.code != 0 and words in refused.err, (args, refused.err)
    assert docker("volume", "ls", "--quiet").out == ""


def test_restarts(docker, daemon):
    """The limit holds after a restart, is refused where quotas went, and is there again when they came back."""
    docker("volume", "create", "--opt", "size=1m", "vol1")
    project = quotas.project(shown(docker, "vol1")["Mountpoint"])
    daemon.kill()
    daemon.again()
    assert is_full(*fill(docker, "vol1"), _MIB)
    daemon.end()
    daemon.end_keeper()
    subprocess.run(["umount", daemon.home], check=True)
    assert quotas.mount(daemon.dir / "image", daemon.home, "noquota") is None
    daemon.again()
    refused = docker("run", "--rm", "-v", "vol1:/v", "busybox", "true", check=False)
    assert refused.code == 125 and "size quota requested for volume but no quota support" in refused.err
    refused = docker("volume", "create", "--opt", "size=1m", "vol2", check=False)
    assert "quota size requested but no quota support" in refused.err
    daemon.end()
    daemon.end_keeper()
    subprocess.run(["umount", daemon.home], check=True)
    assert quotas.mount(daemon.dir / "image", daemon.home) is None
    daemon.again()
    assert is_full(*fill(docker, "vol1"), _MIB) and quotas.project(shown(docker, "vol1")["Mountpoint"]) == project


def test_a_volume_whose_project_was_lost_gets_another(docker, daemon):
    """As after a copy of the root with a program that knows nothing of projects."""
    docker("volume", "create", "--opt", "size=1m", "vol1")
    docker("run", "--rm", "-v", "vol1:/v", "busybox", "sh", "-c", "mkdir -p /v/a/b; dd if=/dev/zero of=/v/a/b/f bs=64k count=8")
    place = os.path.dirname(shown(docker, "vol1")["Mountpoint"])
    lost = quotas.project(place)
    os.rename(place, f"{place}.old")
    subprocess.run(["cp", "-a", f"{place}.old", place], check=True)
    subprocess.run(["rm", "-r", f"{place}.old"], check=True)
    assert quotas.project(place) == 0
    more = fill(docker, "vol1")[0]
    assert is_full(more + 8 * 65536, _MIB)
    project = quotas.project(place)
    assert project not in (0, lost) and quotas.project(f"{place}/_data/a/b/f") == project
    quotas.lift(daemon.home, lost)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_death_in_between_leaves_no_limit(docker, daemon, moment, nth):
    """At the first the volume is being made, at the second removed."""
    daemon.control.rule("kill", "pouchd", f"sys.limit_project.{moment}", nth)
    docker("volume", "create", "--opt", "size=1m", "vol1", check=False)
    if nth == 2:
        docker("volume", "rm", "vol1", check=False)
    assert daemon.process.wait(30) != 0 and daemon.control.fired()
    daemon.control.clear()
    daemon.again()
    docker("volume", "create", "--opt", "size=2m", "vol2")
    assert procs.wait_until(lambda: list(quotas.limits(daemon.home).values()) == [2 * _MIB], 60), (
        f"{quotas.limits(daemon.home)}; {daemon.log()}")
    assert docker("volume", "ls", "--quiet").out == "vol2\n"


def test_a_reset_leaves_no_limit(docker, daemon):
    """Of another root on the same file system."""
    docker("volume", "create", "--opt", "size=2m", "stays")
    uri = f"embed://{daemon.home}/other?run={daemon.dir}/other&containerd={daemon.containerd.socket}"
    for args in (["volume", "create", "-o", "size=1m", "goes"], ["system", "reset", "-f"]):
        run(build_dir() / "bin/pouch", "-H", uri, *args)
        assert len(quotas.limits(daemon.home)) == (2 if "create" in args else 1)
    assert not (daemon.home / "other").exists() and list(quotas.limits(daemon.home).values()) == [2 * _MIB]
