"""Images on snapshotters of several kinds: the same trees, whoever unpacks them."""

import pouch
import pytest
from pouchtest import layers, trees
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root
from pouchtest.layers import entry
from pouchtest.paths import build_dir, find_program
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="containerd")
def containerd_fixture():
    with PrivateContainerd() as containerd:
        yield containerd


def stack():
    """Layers that meet: folders of both, a replaced one, whiteouts, an opaque folder, a link to a file of a lower one."""
    with open(find_program("busybox"), "rb") as program:
        lowest = layers.layer(
            entry("bin", "folder"), entry("bin/busybox", data=program.read(), mode=0o755), entry("bin/sh", "link", target="busybox"),
            entry("d", "folder", mode=0o750, uid=3), entry("d/kept", data="kept"), entry("d/gone", data="gone"),
            entry("o", "folder"), entry("o/hidden", data="hidden"), entry("turned", "folder"), entry("turned/in", data="in"),
            entry("l", "link", target="/d"))
    middle = layers.layer(
        entry("d/new", data="new"), entry("d/.wh.gone"), entry("o", "folder"), entry("o/.wh..wh..opq"), entry("o/fresh", data="fresh"),
        entry("turned", data="a file now"))
    top = layers.layer(entry("d", "folder", mode=0o700), entry("d/late", data="late"), entry(".wh.turned"), entry("l", data="no link"))
    return [lowest, middle, top]


@pytest.mark.parametrize("snapshotter", ["overlayfs", "native"])
def test_layers_that_meet(containerd, snapshotter, tmp_path):
    made = stack()
    archive = tmp_path / "stack.tar"
    archive.write_bytes(layers.docker_archive(made, "t/stack:1", Cmd=["/bin/sh"]))
    with embed_root(containerd) as uri:
        uri += f"&snapshotter={snapshotter}"
        # The lowest two, and then one on top of what is there.
        first = tmp_path / "first.tar"
        first.write_bytes(layers.docker_archive(made[:2], "t/first:1"))
        for one in (first, archive):
            run(POUCH, "-H", uri, "load", "-q", "-i", one)
        with pouch.Client(uri) as client:
            (namespace,) = (name for name in containerd.namespaces() if name.startswith("pouch-"))
            diff_ids = client.call("image.inspect", ["t/stack:1"])["RootFS"]["Layers"]
        with trees.mounted_snapshot(containerd, namespace, trees.chain_id(diff_ids), snapshotter) as tree:
            found = {path.relative_to(tree).as_posix(): path.read_text() for path in tree.rglob("*")
                     if path.is_file() and path.parent.name != "bin"}
            assert found == {"d/kept": "kept", "d/new": "new", "d/late": "late", "o/fresh": "fresh", "l": "no link"}
            assert oct((tree / "d").stat().st_mode)[-4:] == "0700"
        done = run(POUCH, "-H", uri, "run", "--rm", "--network=none", "t/stack:1", "/bin/busybox", "cat", "/d/late", "/o/fresh")
        assert done.out == "latefresh"
