"""Layers that were made here, or came as a plain tar, are compressed by the first push of their image, for good."""

import concurrent.futures
import io
import json
import random
import secrets
import tarfile

import pouch
import pytest
from pouchtest.containerd import PrivateContainerd
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.fault_proxy import FaultProxy
from pouchtest.faults.control import Control
from pouchtest.images import busybox_image_tar, busybox_rootfs
from pouchtest.paths import build_dir, find_program
from pouchtest.procs import wait_until
from pouchtest.registry import PrivateRegistry
from pouchtest.remains import left_behind
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="registry", scope="module")
def registry_fixture():
    with PrivateRegistry() as registry:
        yield registry


@pytest.fixture(name="archive", scope="module")
def archive_fixture(tmp_path_factory):
    """An image with some MiB that compress to a half."""
    noise = random.Random(2).randbytes(3 * 2**20).hex()
    return busybox_image_tar(tmp_path_factory.mktemp("gzip") / "box.tar", name="box:1", files={"noise": noise})


@pytest.fixture(name="containerd")
def containerd_fixture():
    with PrivateContainerd() as containerd:
        yield containerd


@pytest.fixture(name="root")
def root_fixture(containerd, archive):
    with embed_root(containerd) as uri:
        run(POUCH, "-H", uri, "load", "-q", "-i", archive)
        yield uri


def push(uri, name):
    with pouch.Client(uri) as client, client.open("image.push", [name]) as stream:
        messages = [json.loads(frame.data) for frame in stream]
        (image,) = stream.finish()["Images"]
        return image, messages


def inspect(uri, name):
    with pouch.Client(uri) as client:
        return client.call("image.inspect", [name])


def manifest_of(name):
    return json.loads(run(find_program("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{name}").out)


def blobs_of(uri, containerd):
    """Digests of what the root's namespace holds."""
    namespace = next(name for name in containerd.namespaces() if name.startswith("pouch"))
    lines = containerd.ctr("content", "ls", namespace=namespace).out.splitlines()[1:]
    return {line.split()[0] for line in lines}


def compressions(messages):
    return {message["id"] for message in messages if message.get("status") == "Compressing"}


def test_layers_are_compressed_once(root, containerd, registry, tmp_path):
    """Loaded, committed, imported, made of a folder: what the registry has is gzip, and the image is the same."""
    made = {"loaded": "box:1"}
    run(POUCH, "-H", root, "run", "--name", "com", "--network", "none", "box:1", "sh", "-c", "echo new > /new; rm /etc/group")
    run(POUCH, "-H", root, "commit", "com", "committed:1")
    run(POUCH, "-H", root, "export", "-o", tmp_path / "com.tar", "com")
    run(POUCH, "-H", root, "import", tmp_path / "com.tar", "imported:1")
    busybox_rootfs(tmp_path / "rootfs")
    run(POUCH, "-H", root, "image", "from-rootfs", tmp_path / "rootfs", "folder:1")
    run(POUCH, "-H", root, "rm", "com")
    made |= {name: f"{name}:1" for name in ("committed", "imported", "folder")}
    for kind, local in made.items():
        name = f"{registry.host}/team/{kind}-{secrets.token_hex(4)}:1"
        run(POUCH, "-H", root, "tag", local, name)
        before = inspect(root, name)
        image, messages = push(root, name)
        after = inspect(root, name)
        told = manifest_of(name)
        assert [layer["mediaType"] for layer in told["layers"]] == [
            "application/vnd.oci.image.layer.v1.tar+gzip"] * len(told["layers"])
        assert after["Id"] == before["Id"] == told["config"]["digest"] and after["RootFS"] == before["RootFS"]
        assert after["Descriptor"]["digest"] == image["Digest"] != before["Descriptor"]["digest"]
        assert after["Size"] == before["Size"] and after["RepoDigests"] == [
            *[n for n in before["RepoDigests"]], f"{name.rsplit(':', 1)[0]}@{image['Digest']}"]
        # What the committed one has of the loaded one is compressed already.
        assert len(compressions(messages)) <= 1
        again, messages = push(root, name)
        assert again == image and not compressions(messages)
        assert "Layer already exists" in [message.get("status") for message in messages]
        with embed_root() as other, pouch.Client(other) as client:
            with client.open("image.pull", options={"fromImage": name}) as stream:
                (pulled,) = stream.finish()["Images"]
            assert pulled["Digest"] == image["Digest"] and pulled["Id"] == after["Id"]
            if kind == "committed":
                told = run(POUCH, "-H", other, "run", "--rm", "--network", "none", name, "sh", "-c", "cat /new; test ! -e /etc/group")
                assert told.out == "new\n"
    # The plain ones are nobody's any more.
    plain = {digest for local in made.values() for digest in inspect(root, local)["RootFS"]["Layers"]}
    assert wait_until(lambda: not plain & blobs_of(root, containerd), 10)
    assert left_behind(root) == []
    assert pouch_run(root, "committed:1", "cat", "/new") == "new\n"


def pouch_run(uri, *words):
    return run(POUCH, "-H", uri, "run", "--rm", "--network", "none", *words).out


def test_equal_layers_have_equal_digests(registry, archive):
    name = f"{registry.host}/team/equal-{secrets.token_hex(4)}:1"
    digests = []
    for _ in range(2):
        with embed_root() as uri:
            run(POUCH, "-H", uri, "load", "-q", "-i", archive)
            run(POUCH, "-H", uri, "tag", "box:1", name)
            digests.append(push(uri, name)[0]["Digest"])
    assert digests[0] == digests[1]


def test_it_is_saved_and_loaded_afterwards(root, registry, tmp_path):
    name = f"{registry.host}/team/saved-{secrets.token_hex(4)}:1"
    run(POUCH, "-H", root, "tag", "box:1", name)
    image, _ = push(root, name)
    own = inspect(root, name)
    run(POUCH, "-H", root, "save", "-o", tmp_path / "box.tar", name)
    for form in ("docker-archive", "oci-archive"):
        told = run(find_program("skopeo"), "inspect", f"{form}:{tmp_path}/box.tar")
        assert "linux" in told.out
    with PrivateDockerd() as dockerd:
        dockerd.load(tmp_path / "box.tar")
        assert json.loads(dockerd.docker("image", "inspect", name).out)[0]["Id"] == own["Id"]
        dockerd.docker("rmi", name)
        dockerd.docker("pull", "-q", name)
        assert json.loads(dockerd.docker("image", "inspect", name).out)[0]["RootFS"]["Layers"] == own["RootFS"]["Layers"]
    with embed_root() as other:
        run(POUCH, "-H", other, "load", "-q", "-i", tmp_path / "box.tar")
        assert inspect(other, name)["Descriptor"]["digest"] == image["Digest"]


def test_pushes_of_one_image_side_by_side(root, registry):
    """Each registry gets the same, and the layer is compressed by one of them."""
    names = [f"{registry.host}/team/side-{number}-{secrets.token_hex(4)}:1" for number in range(3)]
    for name in names:
        run(POUCH, "-H", root, "tag", "box:1", name)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pushed = list(pool.map(lambda name: push(root, name), names))
    assert len({image["Digest"] for image, _ in pushed}) == 1
    assert len([1 for _, messages in pushed if compressions(messages)]) == 1
    assert inspect(root, "box:1")["Descriptor"]["digest"] == pushed[0][0]["Digest"]
    assert left_behind(root) == []


def test_an_image_removed_meanwhile_is_pushed_whole(root, containerd, registry):
    """The lease keeps it until it is there."""
    removed = []

    def remove_it(_, path, _headers):
        if "/uploads/" in path and not removed:
            removed.append(path)
            with pouch.Client(root) as client:
                client.call("image.remove", ["box:1"], options={"force": True})
                client.call("image.remove", [name], options={"force": True})
        return None

    with FaultProxy(registry, remove_it) as proxy:
        name = f"{proxy.host}/team/removed-{secrets.token_hex(4)}:1"
        run(POUCH, "-H", root, "tag", "box:1", name)
        image, _ = push(root, name)
    assert removed and manifest_of(name.replace(proxy.host, registry.host))["layers"][0]["mediaType"].endswith("+gzip")
    assert image["Digest"].startswith("sha256:")
    assert wait_until(lambda: not blobs_of(root, containerd), 10)
    assert left_behind(root) == []


def test_a_save_goes_on_while_its_image_changes(root, registry, tmp_path):
    name = f"{registry.host}/team/while-saved-{secrets.token_hex(4)}:1"
    run(POUCH, "-H", root, "tag", "box:1", name)
    before = inspect(root, name)["Descriptor"]["digest"]
    with pouch.Client(root) as client, client.open("image.save", options={"names": [name]}) as stream:
        frames = iter(stream)
        data = next(frames).data
        image, _ = push(root, name)
        assert image["Digest"] != before
        (tmp_path / "box.tar").write_bytes(data + b"".join(frame.data for frame in frames))
        stream.finish()
    with embed_root() as other:
        run(POUCH, "-H", other, "load", "-q", "-i", tmp_path / "box.tar")
        assert inspect(other, name)["Descriptor"]["digest"] == before


def test_what_came_plain_from_a_registry_stays_so(root, registry, tmp_path):
    """Digest for digest, as all that was pulled."""
    archive = busybox_image_tar(tmp_path / "plain.tar", name="plain:1", files={"plain": "1"})
    source, target = (f"{registry.host}/team/plain-{secrets.token_hex(4)}:1" for _ in range(2))
    run(find_program("skopeo"), "copy", "--quiet", "--insecure-policy", f"--tmpdir={tmp_path}", f"docker-archive:{archive}",
        f"dir:{tmp_path}/dir")
    run(find_program("skopeo"), "copy", "--quiet", "--insecure-policy", f"--tmpdir={tmp_path}", "--dest-tls-verify=false",
        "--dest-decompress", f"dir:{tmp_path}/dir", f"docker://{source}")
    with pouch.Client(root) as client, client.open("image.pull", options={"fromImage": source}) as stream:
        (pulled,) = stream.finish()["Images"]
    run(POUCH, "-H", root, "tag", source, target)
    image, messages = push(root, target)
    assert image["Digest"] == pulled["Digest"] and not compressions(messages)


# Each step of the change of a manifest: whoever dies there leaves an image that is whole.
@pytest.mark.parametrize("point, nth", [
    ("rpc.content.write.after", 3),  # amid the compression
    ("rpc.images.update.after", 1),  # the record says that a change has begun
    ("rpc.content.update.after", 3),  # the old manifest keeps the new one
    ("row.images.update.after", 1),
    ("store.commit.after", 1),  # the database names the new one, the records the old one
    ("rpc.images.update.after", 2),
    ("rpc.images.update.before", 4),
])
def test_a_push_that_dies_leaves_a_whole_image(root, containerd, registry, tmp_path, point, nth):
    control = Control(tmp_path)
    name = f"{registry.host}/team/dies-{secrets.token_hex(4)}:1"
    run(POUCH, "-H", root, "tag", "box:1", name)
    before = inspect(root, name)
    control.rule("kill", "host", point, nth)
    died = run(POUCH, "-H", root, "push", "-q", name, check=False, env=control.environment)
    assert died.code != 0 and control.fired()
    # The next engine sweeps; the collector has run when the other image is gone.
    run(POUCH, "-H", root, "import", "-", "other:1", stdin=empty_tar())
    run(POUCH, "-H", root, "rmi", "other:1")
    assert left_behind(root) == []
    run(POUCH, "-H", root, "save", "-o", tmp_path / "box.tar", name)
    with pouch.Client(root) as client:
        shown = client.call("image.inspect", [name], options={"manifests": True})
        assert shown["Id"] == before["Id"] and all(manifest["Available"] for manifest in shown.get("Manifests", []))
    held = {digest for digest in blobs_of(root, containerd)}
    layers = set(before["RootFS"]["Layers"])
    changed = shown["Descriptor"]["digest"] != before["Descriptor"]["digest"]
    assert len(held) == 3 and bool(layers & held) is not changed  # manifest, config and layer: of one form alone
    image, messages = push(root, name)
    assert bool(compressions(messages)) is not changed
    assert manifest_of(name)["layers"][0]["mediaType"].endswith("+gzip")
    assert inspect(root, name)["Descriptor"]["digest"] == image["Digest"]


def empty_tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    return file.getvalue()
