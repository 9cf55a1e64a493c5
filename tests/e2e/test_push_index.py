"""image.push with an index: images of here, one per platform, become one name in a registry."""

import contextlib
import json
import secrets

import pouch
import pytest
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.fault_proxy import FaultProxy
from pouchtest.images import busybox_image_tar, busybox_rootfs
from pouchtest.paths import build_dir, find_program
from pouchtest.pouchd import Pouchd
from pouchtest.registry import PrivateRegistry
from pouchtest.remains import left_behind
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture(name="registry", scope="module")
def registry_fixture():
    with PrivateRegistry() as registry:
        yield registry


@pytest.fixture(name="archive", scope="module")
def archive_fixture(tmp_path_factory):
    return busybox_image_tar(tmp_path_factory.mktemp("index") / "box.tar", name="box:1")


@pytest.fixture(name="rootfs", scope="module")
def rootfs_fixture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rootfs")
    busybox_rootfs(folder / "rootfs")
    run("tar", "-C", folder / "rootfs", "-cf", folder / "rootfs.tar", ".")
    return folder / "rootfs.tar"


@pytest.fixture(name="root", params=["embed", "unix"], scope="module")
def root_fixture(request, archive, rootfs):
    """Has box:1 of the host's platform, and arm:1 and arm6:1 of others."""
    with contextlib.ExitStack() as stack:
        uri = stack.enter_context(embed_root()) if request.param == "embed" else stack.enter_context(Pouchd()).uri
        run(POUCH, "-H", uri, "load", "-q", "-i", archive)
        run(POUCH, "-H", uri, "import", "--platform", "linux/arm64/v8", rootfs, "arm:1")
        run(POUCH, "-H", uri, "import", "--platform", "linux/arm/v6", rootfs, "arm6:1")
        yield uri


def push(uri, name, *index, **options):
    with pouch.Client(uri) as client, client.open("image.push", [name], options={"index": list(index), **options}) as stream:
        messages = [json.loads(frame.data) for frame in stream]
        (image,) = stream.finish()["Images"]
        return image, messages


def raw(name):
    return json.loads(run(find_program("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{name}").out)


def pull(uri, name, **options):
    with pouch.Client(uri) as client, client.open("image.pull", options={"fromImage": name, **options}) as stream:
        (image,) = stream.finish()["Images"]
        return image, client.call("image.inspect", [image["Id"]])


def test_an_index_is_read_back(root, registry, tmp_path):
    name = f"{registry.host}/team/many-{secrets.token_hex(4)}:1"
    with FaultProxy(registry, lambda *_: None) as proxy:
        by_proxy = name.replace(registry.host, proxy.host)
        image, messages = push(root, by_proxy, "box:1", "arm:1", "arm6:1")
        assert image["Reference"] == by_proxy and messages[-1]["aux"]["Digest"] == image["Digest"]
        sent = [path for method, path, _ in proxy.requests if method == "PATCH"]
        assert sent
        again, _ = push(root, by_proxy, "box:1", "arm:1", "arm6:1")
        assert again == image
        assert [path for method, path, _ in proxy.requests if method == "PATCH"] == sent  # nothing is uploaded twice
    index = raw(name)
    assert index["mediaType"] == OCI_INDEX and index["schemaVersion"] == 2
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": host_architecture(root)},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
        {"os": "linux", "architecture": "arm", "variant": "v6"},
    ]
    assert all(entry["size"] > 100 for entry in index["manifests"])
    with pouch.Client(root) as client:
        own = {name: client.call("image.inspect", [name]) for name in ("box:1", "arm:1", "arm6:1")}
    assert [entry["digest"] for entry in index["manifests"]] == [facts["Descriptor"]["digest"] for facts in own.values()]
    with embed_root() as other:
        for platform, local in (("linux/arm64", "arm:1"), ("linux/arm/v6", "arm6:1"), ("", "box:1")):
            pulled, facts = pull(other, name, **({"platform": platform} if platform else {}))
            assert pulled["Digest"] == image["Digest"] and pulled["Id"] == own[local]["Id"]
            assert facts["Descriptor"]["digest"] == own[local]["Descriptor"]["digest"]
        assert left_behind(other) == []
    for architecture, variant, local in (("arm64", "v8", "arm:1"), ("arm", "v6", "arm6:1")):
        run(find_program("skopeo"), "--override-arch", architecture, "--override-variant", variant, "copy", "--quiet",
            "--insecure-policy", "--src-tls-verify=false", f"--tmpdir={tmp_path}", f"docker://{name}", f"dir:{tmp_path}/{local}")
        manifest = json.loads((tmp_path / local / "manifest.json").read_text())
        assert manifest["config"]["digest"] == own[local]["Id"]


def host_architecture(root):
    with pouch.Client(root) as client:
        return client.call("image.inspect", ["box:1"])["Architecture"]


def test_dockerd_pulls_its_own(root, registry):
    name = f"{registry.host}/team/for-docker-{secrets.token_hex(4)}:1"
    run(POUCH, "-H", root, "push", "-q", "--index", "arm:1", "--index", "box:1", name)
    with PrivateDockerd() as dockerd:
        dockerd.docker("pull", "-q", name)
        told = json.loads(dockerd.docker("image", "inspect", name).out)[0]
    with pouch.Client(root) as client:
        assert told["Id"] == client.call("image.inspect", ["box:1"])["Id"]


def test_what_another_repository_has_is_mounted(root, registry):
    run_id = secrets.token_hex(4)
    for local in ("box", "arm"):
        run(POUCH, "-H", root, "tag", f"{local}:1", f"{registry.host}/team/one-{local}-{run_id}:1")
        run(POUCH, "-H", root, "push", "-q", f"{registry.host}/team/one-{local}-{run_id}:1")
    with FaultProxy(registry, lambda *_: None) as proxy:
        # The proxy is another registry to the engine, so the origins are told anew.
        for local in ("box", "arm"):
            run(POUCH, "-H", root, "tag", f"{local}:1", f"{proxy.host}/team/one-{local}-{run_id}:1")
            run(POUCH, "-H", root, "push", "-q", f"{proxy.host}/team/one-{local}-{run_id}:1")
        del proxy.requests[:]
        _, messages = push(root, f"{proxy.host}/team/both-{run_id}:1", "box:1", "arm:1")
        assert not [path for method, path, _ in proxy.requests if method == "PATCH"]
    mounted = {message["status"] for message in messages if message.get("status", "").startswith("Mounted from ")}
    assert mounted == {f"Mounted from team/one-box-{run_id}", f"Mounted from team/one-arm-{run_id}"}


def test_docker_manifests_make_a_list(registry, archive, tmp_path):
    """Of Docker's manifests alone it is Docker's list; with one of OCI an index, which takes both."""
    run_id = secrets.token_hex(4)
    source = f"{registry.host}/team/docker-{run_id}:1"
    run(find_program("skopeo"), "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", f"--tmpdir={tmp_path}",
        "--format=v2s2", f"docker-archive:{archive}", f"docker://{source}")
    name = f"{registry.host}/team/list-{run_id}:1"
    with embed_root() as uri:
        pull(uri, source)
        image, _ = push(uri, name, source)
        told = raw(name)
        assert told["mediaType"] == DOCKER_LIST and len(told["manifests"]) == 1
        assert told["manifests"][0]["digest"] == json.loads(run(
            find_program("skopeo"), "inspect", "--tls-verify=false", f"docker://{source}").out)["Digest"]
        pulled, _ = pull(uri, name)
        assert pulled["Digest"] == image["Digest"]


@pytest.mark.parametrize("name, index, options, code, text", [
    ("x:1", ["box:1", "nosuch:1"], {}, pouch.NotFound, "No such image: nosuch:1"),
    ("x:1", ["box:1", "arm:1", "box:1"], {}, pouch.InvalidArgument, "index: box:1 and box:1 are both for linux/"),
    ("x", ["box:1"], {"all-tags": True}, pouch.InvalidArgument, "all-tags: an index has one tag"),
    ("x:1", ["arm:1", "box:1"], {"platform": '{"os":"linux","architecture":"arm64"}'}, pouch.InvalidArgument,
     "index: box:1 is for linux/.*, not for linux/arm64"),
    ("x:1", ["Bad Name"], {}, pouch.InvalidArgument, "invalid reference format"),
])
def test_what_makes_no_index(root, registry, name, index, options, code, text):
    with pytest.raises(code, match=text):
        push(root, f"{registry.host}/team/{name}", *index, **options)
    with pouch.Client(root) as client, pytest.raises(pouch.NotFound):
        client.call("image.distribution", [f"{registry.host}/team/x:1"])


def test_dockerd_makes_none():
    with PrivateDockerd() as dockerd, pouch.Client(dockerd.host) as client:
        with pytest.raises(pouch.NotImplementedByEngine, match="image.push: option index"):
            client.open("image.push", ["127.0.0.1:1/x:1"], options={"index": ["busybox"]})
