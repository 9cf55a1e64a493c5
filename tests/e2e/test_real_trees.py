"""Layers of a real Debian tree, unpacked by us and by containerd's Diff.Apply: the mounted trees are equal in everything.

$POUCH_TREES (paths, by colons), $POUCH_TREES_LAYERS and $POUCH_TREES_SEED say of what, how many layers, and which changes.
"""

import os

import pouch
import pytest
from pouchtest import trees
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root
from pouchtest.paths import build_dir, private_dir
from pouchtest.real_trees import RealTree
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
SOURCES = os.environ.get("POUCH_TREES", "/etc:/usr/share/zoneinfo:/usr/share/perl5:/usr/lib/git-core:/usr/lib/dbus-1.0:/usr/lib/openssh:"
                         "/usr/share/terminfo:/var/lib/dpkg/alternatives").split(":")
LAYERS = int(os.environ.get("POUCH_TREES_LAYERS", "3"))
SEED = int(os.environ.get("POUCH_TREES_SEED", "1"))
CHANGES = 4  # of each kind, in each layer


@pytest.fixture(name="tree")
def tree_fixture():
    with private_dir() as folder:
        tree = RealTree(folder, SOURCES, SEED)
        for number in range(LAYERS):
            if number > 0:
                tree.change(CHANGES)
            tree.add_layer()
        yield tree


def test_as_containerd_unpacks_it(tree):
    archive = tree.folder / "image.tar"
    diff_ids = tree.docker_archive(archive, "t/debian:1")
    with PrivateContainerd() as containerd, embed_root(containerd) as uri:
        run(POUCH, "-H", uri, "load", "-q", "-i", archive, timeout=1200)
        with pouch.Client(uri) as client:
            assert client.call("image.inspect", ["t/debian:1"])["RootFS"]["Layers"] == diff_ids
        (ours,) = (name for name in containerd.namespaces() if name.startswith("pouch-"))
        containerd.ctr("images", "import", archive, timeout=1200)
        found = {}
        for number in range(1, LAYERS + 1):
            chain = trees.chain_id(diff_ids[:number])
            for namespace in (ours, containerd.namespace):
                with trees.mounted_snapshot(containerd, namespace, chain) as folder:
                    found[namespace] = trees.describe(folder)
            del found[ours]["."], found[containerd.namespace]["."]  # its time is that of its making
            assert trees.differences(found[ours], found[containerd.namespace]) == [], f"seed {SEED}, {number} layers"
        # And it is what was there: names, kinds, owners and content.
        there = trees.describe(tree.root)
        del there["."]
        assert sorted(there) == sorted(found[ours])
        assert [name for name in there if there[name].split()[:3] != found[ours][name].split()[:3]] == []
        assert len(there) > 1000
