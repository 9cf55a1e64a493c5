"""Images on a disk that is full: a clear error, nothing left, and success once there is room."""

import contextlib
import os

import pouch
import pytest
from pouchtest import mounts
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir
from pouchtest.registry import PrivateRegistry
from pouchtest.remains import left_behind
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
MIB = 2**20


@pytest.fixture(name="large", scope="module")
def large_fixture(tmp_path_factory):
    """An archive of an image of 40 MiB that do not compress."""
    folder = tmp_path_factory.mktemp("large")
    return busybox_image_tar(folder / "large.tar", name="large:1", more=[{"noise": os.urandom(20 * MIB).hex()}])


@contextlib.contextmanager
def small_disk(folder, size):
    """A folder on an ext4 of so many bytes."""
    image, place = folder / "disk.img", folder / "disk"
    with open(image, "wb") as file:
        file.truncate(size)
    run("mkfs.ext4", "-q", "-F", "-m", "0", image)
    place.mkdir()
    run("mount", "-o", "loop", image, place)
    try:
        yield place
    finally:
        mounts.unmount_below(place)


def pull(uri, large):
    with PrivateRegistry() as registry, pouch.Client(uri) as client:
        registry.push(large, "large:1")
        with client.open("image.pull", options={"fromImage": f"{registry.host}/large:1"}) as stream:
            return stream.finish()["Images"][0]["Reference"]


def load(uri, large):
    with pouch.Client(uri) as client:
        client.images.load_file(large)
    return "large:1"


@pytest.mark.parametrize("bring", [pull, load])
def test_no_room_for_an_image(bring, large, tmp_path):
    with small_disk(tmp_path, 160 * MIB) as disk, PrivateContainerd(disk / "c") as containerd, embed_root(containerd) as root:
        run(POUCH, "-H", root, "ps")
        ballast = disk / "ballast"
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 30 * MIB)
        before = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        with pytest.raises(pouch.ResourceExhausted, match="(?i)no space left"):
            bring(root, large)
        assert left_behind(root) == []
        with pouch.Client(root) as client:
            assert client.call("image.list") == []
        # What it had stored went at once.
        assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > before - MIB
        ballast.unlink()
        name = bring(root, large)
        assert run(POUCH, "-H", root, "run", "--rm", "--network=none", name, "ls", "/noise").out == "/noise\n"
        assert left_behind(root) == []
