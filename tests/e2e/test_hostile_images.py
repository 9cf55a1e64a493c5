"""Hostile layers, in every way that images come and on every path that unpacks: a clear word, and nothing left or touched."""

import gzip
import os
import pathlib
import subprocess
import tarfile

import pouch
import pytest
from pouchtest import layers, trees
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root
from pouchtest.layers import entry
from pouchtest.paths import private_dir
from pouchtest.registry import PrivateRegistry
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

OK = None
# Where links of the layers lead to: a file and a folder of ours that stay as they are.
OUTSIDE = "/tmp/pouch-test-outside"
LONG = "n" * 300
KIB_70 = "v" * 70_000
BASE = layers.layer(entry("ok", data="x"), entry("d", "folder"), entry("d/secret", data="secret"))


def one(*entries, **options):
    return [layers.layer(*entries, **options)]


def over(*entries):
    """A layer over an ordinary one."""
    return [BASE, layers.layer(*entries)]


def cut(data, part):
    return data[:int(len(data) * part)]


BIG = layers.layer(entry("big", data=os.urandom(300_000)))
# name: (layers, what load and pull say, what import says of the top one); OK: the image comes.
CASES = {
    "dotdot": (one(entry("../../x")), "it leads out of the root", "its name holds"),
    "dotdot inside": (one(entry("a/../../x")), "it leads out of the root", "its name holds"),
    "absolute": (one(entry(f"{OUTSIDE}/x")), OK, "its name is absolute"),
    "hard link out": (one(entry("h", "hardlink", target="../../etc/passwd")), "it leads out of the root|link", "its name holds"),
    "hard link to the host": (one(entry("h", "hardlink", target="/etc/passwd")), 'a hard link to "etc/passwd": it is in no layer|link',
                              "its name is absolute"),
    "hard link to nothing": (one(entry("h", "hardlink", target="nosuch")), "it is in no layer|link", "which is not before it"),
    "hard link by a link": (one(entry("l", "link", target=OUTSIDE), entry("h", "hardlink", target="l/file")), "it is in no layer|link",
                            "which is not before it"),
    "hard link by an earlier layer's link": (
        [layers.layer(entry("l", "link", target=OUTSIDE)), layers.layer(entry("h", "hardlink", target="l/file"))],
        "it is in no layer|link", "which is not before it"),
    "hard link to what is removed": (
        [BASE, layers.layer(entry(".wh.d")), layers.layer(entry("h", "hardlink", target="d/secret"))], "it is in no layer|link",
        "which is not before it"),
    "file by a link": (one(entry("l", "link", target=OUTSIDE), entry("l/file", data="changed")), OK, OK),
    "file by an earlier layer's link": (
        [layers.layer(entry("l", "link", target=OUTSIDE)), layers.layer(entry("l/file", data="changed"))], OK, OK),
    "file by a link upwards": (
        [layers.layer(entry("l", "link", target="../../../../.." + OUTSIDE)), layers.layer(entry("l/file", data="changed"))], OK, OK),
    "file in place of an earlier layer's link": (
        [layers.layer(entry("l", "link", target=f"{OUTSIDE}/file")), layers.layer(entry("l", data="changed"))], OK, OK),
    "links in a circle": (one(entry("l", "link", target="l"), entry("l/x")), "too many links", "too many links"),
    "a file for a folder": (one(entry("f"), entry("f/x")), '"f" is no folder|not a directory', '"f" is no folder|not a directory'),
    "devices": (one(entry("null", "char", devmajor=1, devminor=3), entry("loop", "block", devmajor=7)), OK, OK),
    "a whiteout as a device": (over(entry("ok", "char")), "character device 0:0 is a whiteout", "character device 0:0 is a whiteout"),
    "set-id": (one(entry("s", mode=0o6755), entry("t", "folder", mode=0o1777)), OK, OK),
    "attributes of the overlay": (one(entry("d", "folder", xattrs={"trusted.overlay.redirect": "/etc"})), OK, "would steer the overlay"),
    "attributes too long": (one(entry("f", xattrs={"user.k": KIB_70})), 'attribute|setxattr', 'attribute|setxattr'),
    "attributes of no kind": (one(entry("f", xattrs={"nonsense": "x"})), OK, OK),
    "access lists": (one(entry("f", pax_headers={"SCHILY.acl.access": "user::rwx,user:lisa:r-x,group::rwx,mask::rwx,other::--x"})), OK, OK),
    "names in Latin-1": (one(entry("n\udce4me", data="x")), OK, OK),
    "long names, PAX": (one(entry("d/" * 200 + "x", data="x"), entry("s", "link", target="t/" * 400)), OK, OK),
    "long names, GNU": (one(entry("d/" * 200 + "x", data="x"), entry("s", "link", target="t/" * 400), format=tarfile.GNU_FORMAT), OK, OK),
    "a name too long for a file": (one(entry(LONG)), "(?i)file name too long", "(?i)file name too long"),
    "a path too long": (one(entry("d/" * 3000 + "x")), "too long", "its name is too long"),
    "whiteout of the root": (over(entry(".wh.")), "whiteout", "it is a whiteout"),
    "whiteout of .": (over(entry(".wh..")), "whiteout", "it is a whiteout"),
    "whiteout of ..": (over(entry(".wh...")), "whiteout", "it is a whiteout"),
    "whiteout of .. in a folder": (over(entry("d/.wh...")), "whiteout", "it is a whiteout"),
    "whiteout by a link": ([layers.layer(entry("l", "link", target=OUTSIDE)), layers.layer(entry("l/.wh.file"))], OK, "it is a whiteout"),
    "opaque root": (over(entry(".wh..wh..opq"), entry("new", data="x"), entry("d", "folder"), entry("d/new", data="y")), OK, "it is a whiteout"),
    "owners": (one(entry("f", uid=2**40)), "its owner is no 32 bit number|invalid argument", "its owner is no 32 bit number"),
    "no tar": ([b"x" * 5000], "not a tar archive|invalid tar header", "not a tar archive"),
    "truncated": ([cut(BIG, 0.5)], "truncated|unexpected EOF", "truncated"),
    "truncated gzip": ([cut(gzip.compress(BIG), 0.5)], "truncated|unexpected EOF", "truncated|damaged"),
    "a bit flipped in gzip": ([gzip.compress(BIG)[:-6] + bytes([gzip.compress(BIG)[-6] ^ 1]) + gzip.compress(BIG)[-5:]],
                              "damaged|invalid checksum", "damaged|truncated"),
}
# Where containerd unpacks it is containerd's to refuse them: so it takes these, inside the root, for what they are there.
CONTAINERD_TAKES = {"dotdot", "dotdot inside", "a whiteout as a device", "owners"}


@pytest.fixture(name="outside", autouse=True)
def outside_fixture():
    folder = pathlib.Path(OUTSIDE)
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("whole")
    before = trees.describe(folder)
    yield folder
    after = trees.describe(folder)
    (folder / "file").unlink()
    folder.rmdir()
    assert after == before


class World:
    """A containerd with a root on each of two snapshotters: layers are unpacked in place on one, by containerd on the other."""

    def __init__(self, containerd, registry, uris):
        self.containerd, self.registry, self.uris = containerd, registry, uris

    def load(self, client, made, name):
        return self.upload(client.open("image.load"), layers.docker_archive(made, f"t/{name}:1"))

    def pull(self, client, made, name):
        image = layers.push(self.registry, [layers.compressed(one) for one in made], f"t/{name}:1")
        with client.open("image.pull", options={"fromImage": image}) as stream:
            return self._end(stream)

    def import_(self, client, made, name):
        return self.upload(client.open("image.import_tar", options={"repo": f"t/{name}", "tag": "1"}), made[-1])

    def upload(self, stream, data):
        with stream:
            try:
                stream.write(data)
                stream.close_write()
            except pouch.PouchError:
                pass  # it tells in the end why it takes no more
            return self._end(stream)

    @staticmethod
    def _end(stream):
        for _ in stream:
            pass
        return stream.finish()

    def left(self):
        """All that any namespace holds."""
        found = []
        for namespace in self.containerd.namespaces():
            def ctr(*words):
                return self.containerd.ctr(*words, namespace=namespace).lines
            found += ctr("leases", "ls", "-q") + ctr("content", "active")[1:] + ctr("content", "ls", "-q") + ctr("images", "ls", "-q")
            for snapshotter in ("overlayfs", "native"):
                found += ctr("snapshots", "--snapshotter", snapshotter, "ls")[1:]
        temporary = self.containerd.dir / "root/tmpmounts"
        return found + list(temporary.iterdir() if temporary.exists() else [])


@pytest.fixture(name="worlds", scope="module")
def worlds_fixture():
    with PrivateContainerd() as containerd, PrivateRegistry() as registry, embed_root(containerd) as first, \
            embed_root(containerd) as second:
        yield World(containerd, registry, {"overlayfs": first, "native": f"{second}&snapshotter=native"})


@pytest.fixture(name="world")
def world_fixture(worlds):
    yield worlds
    for uri in worlds.uris.values():
        with pouch.Client(uri) as client:
            remove_all(client)


def remove_all(client):
    for image in client.call("image.list", options={"all": True}):
        client.call("image.remove", [image["Id"]], options={"force": True})


@pytest.mark.parametrize("snapshotter", ["overlayfs", "native"])
@pytest.mark.parametrize("case", CASES)
def test_case(world, case, snapshotter):
    made, expected, on_import = CASES[case]
    if snapshotter == "native" and case in CONTAINERD_TAKES:
        expected = OK
    name = f"case-{list(CASES).index(case)}"
    with pouch.Client(world.uris[snapshotter]) as client:
        for way, told in ((world.load, expected), (world.pull, expected), (world.import_, on_import)):
            if told is OK:
                way(client, made, name)
                remove_all(client)
            else:
                with pytest.raises(pouch.InvalidArgument, match=told):
                    way(client, made, name)
                assert client.call("image.list", options={"all": True}) == []
        assert world.left() == []


def test_what_is_not_what_the_config_says(world):
    """A layer with another diff id, and a blob with another digest."""
    other = layers.digest_of(b"another")
    archive = layers.docker_archive([gzip.compress(BASE)], "t/lie:1", diff_ids=[other])
    with pouch.Client(world.uris["overlayfs"]) as client, pouch.Client(world.uris["native"]) as copying:
        for one_client in (client, copying):
            with pytest.raises(pouch.DataLoss, match=f"unpacks to {layers.digest_of(BASE)}, but the image config says {other}"):
                world.upload(one_client.open("image.load"), archive)
            image = layers.push(world.registry, [gzip.compress(BASE)], "t/lie:1", diff_ids=[other])
            with pytest.raises(pouch.DataLoss, match=f"unpacks to {layers.digest_of(BASE)}, but the image config says {other}"), \
                    one_client.open("image.pull", options={"fromImage": image}) as stream:
                stream.finish()
            assert world.left() == []


@pytest.mark.parametrize("form", ["--format=gnu", "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1",
                                  "--format=posix --sparse-version=1.0"])
def test_sparse_files(world, form):
    """As GNU tar writes them: all of it comes, by every way, on every path."""
    with private_dir() as folder:
        with open(folder / "sparse", "wb") as file:
            for number in range(30):  # more pieces than fit into one header
                file.seek(number * 300_000)
                file.write(b"piece %d" % number)
            file.truncate(10_000_000)
        run("tar", "-C", folder, "--sparse", *form.split(), "-cf", folder / "layer.tar", "sparse")
        expected = trees.describe(folder)["sparse"].split()[-4]
        made = [(folder / "layer.tar").read_bytes()]
    assert len(made[0]) < 500_000
    for snapshotter, uri in world.uris.items():
        with pouch.Client(uri) as client:
            for way in (world.load, world.pull, world.import_):
                if snapshotter == "native" and form == "--format=gnu" and way != world.import_:
                    with pytest.raises(pouch.InvalidArgument, match="unhandled tar header type 83"):  # containerd knows no such
                        way(client, made, "sparse")
                    continue
                way(client, made, f"sparse-{way.__name__.strip('_')}")
                assert tree(world, client, snapshotter)["sparse"].split()[-4] == expected, (snapshotter, way.__name__)
                remove_all(client)


def tree(world, client, snapshotter):
    """The root file system of the only image."""
    (image,) = client.call("image.list", options={"all": True})
    chain = trees.chain_id(client.call("image.inspect", [image["Id"]])["RootFS"]["Layers"])
    (namespace,) = (one for one in world.containerd.namespaces()
                    if chain in world.containerd.ctr("snapshots", "--snapshotter", snapshotter, "ls", namespace=one).out)
    with trees.mounted_snapshot(world.containerd, namespace, chain, snapshotter) as folder:
        return trees.describe(folder)


def test_what_comes_of_what_is_taken(world):
    """Names, modes and devices are inside the root, and as the layer has them."""
    for snapshotter, uri in world.uris.items():
        found = {}
        with pouch.Client(uri) as client:
            for case in ("absolute", "file by a link upwards", "devices", "set-id", "names in Latin-1", "long names, PAX", "opaque root"):
                world.load(client, CASES[case][0], "t")
                found[case] = tree(world, client, snapshotter)
                remove_all(client)
        assert f"{OUTSIDE[1:]}/x" in found["absolute"]
        assert "l/file" in found["file by a link upwards"] or f"{OUTSIDE[1:]}/file" in found["file by a link upwards"]
        assert found["devices"]["null"].split()[2] == str(os.makedev(1, 3)) and found["devices"]["loop"].split()[2] == str(os.makedev(7, 0))
        assert found["set-id"]["s"].startswith("0o106755 ") and found["set-id"]["t"].startswith("0o41777 ")
        assert "n\udce4me" in found["names in Latin-1"]
        assert "d/" * 200 + "x" in found["long names, PAX"]
        assert sorted(found["opaque root"]) == [".", "d", "d/new", "new"], snapshotter


def test_bombs_end_with_a_word(world):
    """Some KiB that unpack to more than may be: the number of entries of an archive, which no disk is needed for."""
    with pouch.Client(world.uris["overlayfs"]) as client:
        header = layers.layer(entry("x"))[:512]
        archive = gzip.compress(header * 1_000_000, 1)
        assert len(archive) < 10_000_000
        with pytest.raises(pouch.ResourceExhausted, match="over the limit of 200000 entries"):
            world.upload(client.open("image.load"), archive)
        for compress in (gzip.compress, zstd):
            # A file of 1 TiB, of which its header is all that comes.
            info = tarfile.TarInfo("huge")
            info.size = 2**40
            bomb = info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 10_000
            with pytest.raises(pouch.ResourceExhausted, match="over the limit of .* bytes"):
                world.load(client, [compress(bomb)], "bomb")
            with pytest.raises(pouch.ResourceExhausted, match="over the limit of .* bytes"):
                world.pull(client, [compress(bomb)], "bomb")
            with pytest.raises(pouch.ResourceExhausted, match="over the limit of .* bytes"):
                world.import_(client, [compress(bomb)], "bomb")
        assert world.left() == []


def zstd(data):
    return subprocess.run(["zstd", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
