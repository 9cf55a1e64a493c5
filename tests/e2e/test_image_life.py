"""image.save, history and prune: archives that others load, and images that nobody needs."""

import contextlib
import hashlib
import io
import json
import random
import tarfile

import pouch
import pytest
from pouchtest.containerd import PrivateContainerd
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.images import busybox_image_tar, busybox_oci_layout
from pouchtest.paths import build_dir, find_program
from pouchtest.pouchd import Pouchd
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="root", params=["embed", "unix"])
def root_fixture(request, tmp_path):
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1", config={"Labels": {"kind": "box"}})
    with contextlib.ExitStack() as stack:
        uri = stack.enter_context(embed_root()) if request.param == "embed" else stack.enter_context(Pouchd()).uri
        run(POUCH, "-H", uri, "load", "-q", "-i", archive)
        yield uri


def save(uri, *names, **options):
    with pouch.Client(uri) as client, client.open("image.save", options={"names": list(names), **options}) as stream:
        data = b"".join(frame.data for frame in stream)
        stream.finish()
    return data


def load(uri, data):
    with pouch.Client(uri) as client, client.open("image.load") as stream:
        for at in range(0, len(data), 2**16):
            stream.write(data[at:at + 2**16])
        stream.close_write()
        for _ in stream:
            pass
        return stream.finish()


def image_id(uri, name):
    with pouch.Client(uri) as client:
        return client.call("image.inspect", [name])["Id"]


def add_names(uri):
    for name in ("box:2", "example.com:5000/team/box:3"):
        run(POUCH, "-H", uri, "tag", "box:1", name)


def test_saved_images_come_back(root):
    add_names(root)
    own = image_id(root, "box:1")
    data = save(root, "box", "example.com:5000/team/box:3")
    assert save(root, "box", "example.com:5000/team/box:3") == data  # the same bytes each time
    with embed_root() as other:
        result = load(other, data)
        assert sorted(result["References"]) == ["box:1", "box:2", "example.com:5000/team/box:3"]
        assert image_id(other, "box:2") == own
        done = run(POUCH, "-H", other, "run", "--rm", "--network=none", "box:1", "echo", "hi")
        assert done.out == "hi\n"


def test_a_large_image_comes_back_whole(root, tmp_path):
    """More than any queue on the way holds."""
    noise = random.Random(2).randbytes(32 * 2**20).hex()
    run(POUCH, "-H", root, "load", "-q", "-i", busybox_image_tar(tmp_path / "large.tar", name="large:1", files={"noise": noise}))
    data = save(root, "large:1")
    assert len(data) > 64 * 2**20
    with embed_root() as other:
        load(other, data)
        done = run(POUCH, "-H", other, "run", "--rm", "--network=none", "large:1", "sha256sum", "/noise")
        assert done.out.split()[0] == hashlib.sha256(noise.encode()).hexdigest()


def test_saved_by_id_it_has_no_name(root):
    own = image_id(root, "box:1")
    for name in (own, own[7:19]):
        with tarfile.open(fileobj=io.BytesIO(save(root, name))) as tar:
            (item,) = json.load(tar.extractfile("manifest.json"))
        assert item["RepoTags"] is None


def test_others_load_what_was_saved(root, tmp_path):
    """dockerd, ctr and skopeo; compressed layers of an OCI image, too."""
    layout = busybox_oci_layout(tmp_path / "layout.tar")
    with pouch.Client(root) as client, client.open("image.load") as stream:
        stream.write(layout.read_bytes())
        stream.close_write()
        loaded = stream.finish()
    run(POUCH, "-H", root, "tag", loaded["Ids"][0], "zipped:1")
    archive = tmp_path / "saved.tar"
    archive.write_bytes(save(root, "box:1", "zipped:1"))
    ids = {name: image_id(root, name) for name in ("box:1", "zipped:1")}
    with PrivateDockerd() as dockerd:
        told = dockerd.docker("load", "-i", archive).out
        assert "Loaded image: box:1" in told and "Loaded image: zipped:1" in told
        for name, own in ids.items():
            assert json.loads(dockerd.docker("image", "inspect", name).out)[0]["Id"] == own
            assert dockerd.docker("run", "--rm", "--network", "none", name, "echo", "hi").out == "hi\n"
    with PrivateContainerd() as containerd:
        ctr = ("ctr", "--address", containerd.socket)
        run(*ctr, "image", "import", archive)
        names = run(*ctr, "image", "ls", "-q").out.split()
        assert "docker.io/library/box:1" in names and "docker.io/library/zipped:1" in names
    seen = json.loads(run(find_program("skopeo"), "inspect", "--config", f"docker-archive:{archive}:box:1").out)
    assert seen["config"]["Labels"] == {"kind": "box"}


def test_what_cannot_be_saved(root):
    with pytest.raises(pouch.NotFound, match="No such image: nosuch"):
        save(root, "box:1", "nosuch")
    with pytest.raises(pouch.InvalidArgument, match="names"):
        save(root)
    with pytest.raises(pouch.NotFound, match="does not provide the specified platform"):
        save(root, "box:1", platform='{"os":"linux","architecture":"mips"}')
    assert save(root, "box:1", platform='{"os":"linux","architecture":"amd64"}')


@pytest.mark.parametrize("root", ["embed"], indirect=True)
def test_a_lost_blob_is_told(root):
    """A part that somebody took from containerd."""
    socket = root.partition("containerd=")[2]
    with pouch.Client(root) as client:
        (layer,) = client.call("image.inspect", ["box:1"])["RootFS"]["Layers"]
        for namespace in run("ctr", "--address", socket, "namespaces", "ls", "-q").out.split():
            run("ctr", "--address", socket, "--namespace", namespace, "content", "rm", layer, check=False)
        with pytest.raises(pouch.DataLoss, match="containerd has lost the blob"):
            save(root, "box:1")


def test_history(root):
    with pouch.Client(root) as client:
        (step,) = client.call("image.history", ["box:1"])
    assert step["Id"] == image_id(root, "box:1")
    assert step["Tags"] == ["box:1"] and step["CreatedBy"] == "busybox-static" and step["Size"] > 0
    assert step["Created"] == 1704067200
    with pouch.Client(root) as client, pytest.raises(pouch.NotFound):
        client.call("image.history", ["nosuch"])


def images(uri):
    with pouch.Client(uri) as client:
        return sorted(name for image in client.call("image.list") for name in image["RepoTags"] or ["<none>"])


def prune(uri, **filters):
    with pouch.Client(uri) as client:
        return client.call("image.prune", options={"filters": filters} if filters else None)


def test_prune(root, tmp_path):
    other = busybox_image_tar(tmp_path / "other.tar", name="box:1", config={"Labels": {"kind": "other"}}, files={"x": "y" * 2**20})
    run(POUCH, "-H", root, "load", "-q", "-i", other)
    assert images(root) == ["<none>", "box:1"]
    used = run(POUCH, "-H", root, "create", "--network=none", "box:1").out.strip()
    result = prune(root)
    assert [item for item in result["ImagesDeleted"] if "Deleted" in item] and result["SpaceReclaimed"] > 0
    assert images(root) == ["box:1"]
    assert prune(root) == {"ImagesDeleted": None, "SpaceReclaimed": 0}
    # A container needs it.
    assert prune(root, dangling=["false"])["ImagesDeleted"] is None
    run(POUCH, "-H", root, "rm", used)
    assert prune(root, dangling=["false"], label=["kind=box"])["ImagesDeleted"] is None
    assert prune(root, dangling=["false"], **{"label!": ["kind=other"]})["ImagesDeleted"] is None
    assert prune(root, dangling=["false"], until=["24h"])["ImagesDeleted"] is not None  # made in 2024
    assert images(root) == []


@pytest.mark.parametrize("filters", [{"colour": ["red"]}, {"dangling": ["perhaps"]}, {"until": ["noon"]}])
def test_bad_filters(root, filters):
    with pytest.raises(pouch.InvalidArgument, match="nvalid filter|failed to parse value as time"):
        prune(root, **filters)
