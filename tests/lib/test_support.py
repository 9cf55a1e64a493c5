"""The test support's own tests: each private daemon does its main job and leaves nothing."""

import json
import os
import subprocess
import sys
import tarfile
import urllib.request

import pytest

from pouchtest import (
    BUSYBOX,
    LeakError,
    LeakGuard,
    PrivateContainerd,
    PrivateDockerd,
    PrivateRegistry,
    busybox_image_tar,
    busybox_oci_layout,
    free_port,
    hugetlb_cgroup,
    run,
)
from pouchtest import networks
from pouchtest.cgroups import is_v1
from pouchtest.embed import embed_root, kill_keepers
from pouchtest.paths import build_dir
from pouchtest.run import CommandError


@pytest.fixture(name="image", scope="module")
def image_fixture(tmp_path_factory):
    return busybox_image_tar(tmp_path_factory.mktemp("image") / "busybox.tar")


def start_with_ctr(containerd, image):
    containerd.ctr("image", "import", image)
    fifos = containerd.dir / "fifo"
    name = f"docker.io/library/{BUSYBOX}"
    containerd.ctr("run", "--detach", "--fifo-dir", fifos, name, "one", "sleep", "1000")


def run_with_ctr(containerd, *options):
    return containerd.ctr(
        "run", "--rm", "--snapshotter", "overlayfs", *options, f"docker.io/library/{BUSYBOX}", "one", "echo", "hi"
    )


def test_containerd_runs_a_container_and_leaves_nothing(image, leak_guard):
    with PrivateContainerd() as containerd:
        containerd.ctr("image", "import", "--snapshotter", "overlayfs", image)
        assert run_with_ctr(containerd).out == "hi\n"


def test_containerd_runs_a_container_with_crun(image, leak_guard):
    with hugetlb_cgroup(), PrivateContainerd() as containerd:
        containerd.ctr("image", "import", "--snapshotter", "overlayfs", image)
        assert run_with_ctr(containerd, "--runc-binary", "crun").out == "hi\n"


def test_containerd_stop_ends_running_containers(image, leak_guard):
    with PrivateContainerd() as containerd:
        start_with_ctr(containerd, image)
        assert len(containerd.shims()) == 1


def test_containerd_killed_leaves_nothing_after_stop(image, leak_guard):
    with PrivateContainerd() as containerd:
        start_with_ctr(containerd, image)
        containerd.kill()


def test_dockerd_runs_a_container_and_leaves_nothing(image, leak_guard):
    with PrivateDockerd() as dockerd:
        dockerd.load(image)
        assert dockerd.docker("run", "--rm", "--network", "none", "busybox", "echo", "hi").out == "hi\n"
        dockerd.docker("run", "--detach", "--network", "none", "busybox", "sleep", "1000")


def test_registry_takes_and_gives_an_image(image, tmp_path, leak_guard):
    with PrivateRegistry() as registry:
        target = f"docker://{registry.host}/busybox:one"
        run("skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", f"docker-archive:{image}", target)
        with urllib.request.urlopen(f"{registry.url}/v2/busybox/tags/list") as answer:
            assert json.load(answer) == {"name": "busybox", "tags": ["one"]}


def test_image_is_the_same_every_time(image, tmp_path):
    again = busybox_image_tar(tmp_path / "again.tar")
    assert again.read_bytes() == image.read_bytes()
    other = busybox_image_tar(tmp_path / "other.tar", config={"User": "nobody"}, files={"etc/motd": "hello"})
    assert other.read_bytes() != image.read_bytes()


def test_oci_layout(tmp_path):
    path = busybox_oci_layout(tmp_path / "oci.tar")
    with tarfile.open(path) as tar:
        assert {"oci-layout", "index.json"} <= set(tar.getnames())


def test_run_tells_the_whole_story():
    with pytest.raises(CommandError, match=r"exit code 3\nstdout: out\n\nstderr: err\n"):
        run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert run("cat", stdin="fed").out == "fed"
    assert run("false", check=False).code == 1
    with pytest.raises(CommandError, match="no end after"):
        run("sleep", "60", timeout=0.1)


def test_free_ports_are_in_range():
    assert 1024 <= free_port() <= 65535


@pytest.mark.skipif(not is_v1() or os.geteuid() != 0, reason="needs cgroup v1 and root")
def test_hugetlb_mount_is_shared(leak_guard):
    def is_mounted():
        return os.path.ismount("/sys/fs/cgroup/hugetlb")

    with hugetlb_cgroup():
        with hugetlb_cgroup():
            assert is_mounted()
        assert is_mounted()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_guard_finds_a_mount(tmp_path):
    guard = LeakGuard(own_only=str(tmp_path), settle=0.2)
    run("mount", "-t", "tmpfs", "none", tmp_path)
    try:
        with pytest.raises(LeakError, match=f"mount: {tmp_path}"):
            guard.check()
    finally:
        run("umount", tmp_path)
    guard.check()


def test_guard_finds_a_process(tmp_path):
    guard = LeakGuard(own_only=str(tmp_path), settle=0.2)
    code = "import time; time.sleep(60)"
    env = {**os.environ, "POUCH_TEST_RUN": "x"}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], env=env) as process:
        with pytest.raises(LeakError, match="process: pid"):
            guard.check()
        process.kill()
    guard.check()


@pytest.mark.skipif(os.geteuid() != 0, reason="network links need root")
@pytest.mark.parametrize(
    ("make", "remove", "kind"),
    [
        ("ip link add {} type bridge", "ip link del {}", "network link: {}"),
        ("ip netns add {}", "ip netns del {}", "file: /run/netns/{}"),
        ("nft add table ip {}", "nft delete table ip {}", "nftables line: table ip {}"),
        ("mkdir -p /run/pouch/{}", "rm -r /run/pouch/{}; rmdir --ignore-fail-on-non-empty /run/pouch", "file: /run/pouch/{}"),
    ],
)
def test_guard_finds_what_the_network_and_folders_keep(make, remove, kind):
    name = f"ptl{os.getpid()}"
    guard = LeakGuard(own_only=name, settle=0.2)
    run("sh", "-c", make.format(name))
    try:
        assert any(kind.format(name) in leak for leak in guard.leaks())
    finally:
        run("sh", "-c", remove.format(name))
    guard.check()


def test_a_root_whose_keeper_was_killed_takes_its_network_along(image, leak_guard):
    """So that one test's failure stays one: nothing else would take the bridge down."""
    with embed_root() as uri:
        folder = uri.removeprefix("embed://").partition("/root?")[0]
        pouch = build_dir() / "bin/pouch"
        run(pouch, "-H", uri, "load", "-i", image)
        run(pouch, "-H", uri, "run", "-d", "busybox", "sleep", "100")
        bridge, table = networks.names_of(f"{folder}/root")
        assert bridge in networks.bridges() and table in networks.tables()
        kill_keepers(folder)
    assert bridge not in networks.bridges() and table not in networks.tables()
