"""image.copy_from: what docker and containerd have on this host is an image here, under the same names and digests."""

import contextlib
import json

import pouch
import pytest
from pouchtest.containerd import PrivateContainerd
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd
from pouchtest.registry import PrivateRegistry
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="archive", scope="module")
def archive_fixture(tmp_path_factory):
    return busybox_image_tar(tmp_path_factory.mktemp("archive") / "box.tar", name="box:1")


@pytest.fixture(name="docker", scope="module")
def docker_fixture(archive):
    """A dockerd with box:1, which is box:two as well, and an image without a name."""
    with PrivateDockerd() as dockerd:
        dockerd.docker("load", "-q", "-i", archive)
        dockerd.docker("tag", "box:1", "box:two")
        dockerd.docker("import", "-", stdin=b"\0" * 10240)
        yield dockerd


@pytest.fixture(name="containerd", scope="module")
def containerd_fixture(archive):
    """A containerd with team/box:1 of a registry, as `ctr` pulls it, and an artifact that is no image."""
    with PrivateRegistry() as registry, PrivateContainerd() as containerd:
        name = registry.push(archive, "team/box:1")
        other = registry.put("team/chart", "1", b"{}", "application/vnd.example.config+json")
        for each in (name, other):
            containerd.ctr("images", "pull", "--plain-http", each, namespace="found")
        yield containerd, name, other


@pytest.fixture(name="root", params=["embed", "unix"])
def root_fixture(request):
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(embed_root()) if request.param == "embed" else stack.enter_context(Pouchd()).uri


def copy(uri, *names, **options):
    with pouch.Client(uri) as client:
        with client.open("image.copy_from", options={"names": list(names), **options}) as stream:
            messages = [json.loads(frame.data) for frame in stream]
            return stream.finish(), messages


def check_runs(uri, image):
    assert run(POUCH, "-H", uri, "run", "--rm", "--network=none", "--pull=never", image, "echo", "hi").out == "hi\n"


def images(uri):
    return {line.split()[0] for line in run(POUCH, "-H", uri, "images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").lines}


def test_all_that_docker_has(root, docker):
    result, _ = copy(root, source="docker", address=docker.host)
    assert sorted(result["References"]) == ["box:1", "box:two"]
    assert result["Ids"] == [json.loads(docker.docker("image", "inspect", "box:1").out)[0]["Id"]]
    assert images(root) == {"box:1", "box:two"}
    check_runs(root, "box:two")


def test_one_of_docker_by_the_command_line(root, docker):
    done = run(POUCH, "-H", root, "image", "copy-from", "-q", "--address", docker.host, "docker", "box:two")
    assert done.out == "box:two\n"
    assert images(root) == {"box:two"}


def test_all_that_containerd_has(root, containerd):
    found, name, other = containerd
    result, messages = copy(root, source="containerd", address=str(found.socket), namespace="found")
    assert result["References"] == [name]
    assert any(other in one.get("stream", "") and "no image" in one["stream"] for one in messages)
    assert images(root) == {name}
    check_runs(root, name)
    digest = found.ctr("images", "ls", f"name=={name}", namespace="found").lines[1].split()[2]
    with pouch.Client(root) as client:
        assert client.call("image.inspect", [name])["RepoDigests"] == [f"{name.rsplit(':', 1)[0]}@{digest}"]
    # It is there already.
    again, messages = copy(root, source="containerd", address=str(found.socket), namespace="found")
    assert again == result
    assert not any(one.get("status") == "Downloading" for one in messages)


def test_one_of_containerd_by_the_command_line(root, containerd):
    found, name, _ = containerd
    done = run(POUCH, "-H", root, "image", "copy-from", "--address", found.socket, "-n", "found", "containerd", name)
    assert done.lines[-1] == name and "Pull complete" in done.out
    check_runs(root, name)


@pytest.mark.parametrize("options, code, text", [
    ({"source": "containerd", "names": ["nosuch"]}, pouch.NotFound, "has no image nosuch:latest in its namespace \"found\""),
    ({"source": "containerd", "namespace": "empty", "names": ["nosuch"]}, pouch.NotFound, "in its namespace \"empty\""),
    ({"source": "containerd", "names": ["OTHER"]}, pouch.NotImplementedByEngine, "is no image of containers"),
    ({"source": "containerd", "names": ["BOX"], "platform": "Not one"}, pouch.InvalidArgument, "platform"),
    ({"source": "containerd", "names": ["Bad"]}, pouch.InvalidArgument, "invalid reference"),
    ({"source": "containerd", "address": "relative"}, pouch.InvalidArgument, "no absolute path"),
    ({"source": "containerd", "address": "/nosuch/c.sock"}, pouch.Unavailable, "/nosuch/c.sock"),
    ({"source": "docker", "namespace": "x"}, pouch.InvalidArgument, "namespace"),
    ({"source": "docker", "platform": "linux"}, pouch.InvalidArgument, "platform"),
    ({"source": "docker", "address": "unix:///nosuch/docker.sock"}, pouch.Unavailable, "/nosuch/docker.sock"),
    ({"source": "docker", "address": "ftp://x"}, pouch.InvalidArgument, "ftp"),
    ({"source": "podman"}, pouch.InvalidArgument, "neither docker nor containerd"),
])
def test_what_cannot_be_copied(root, containerd, options, code, text):
    found, name, other = containerd
    options = dict(options)
    names = [{"OTHER": other, "BOX": name}.get(one, one) for one in options.pop("names", [])]
    if options["source"] == "containerd":
        options = {"address": str(found.socket), "namespace": "found", **options}
    with pytest.raises(code) as error:
        copy(root, *names, **options)
    assert text in str(error.value)
    assert images(root) == set()


def test_an_image_that_docker_does_not_have(root, docker):
    with pytest.raises(pouch.NotFound, match="nosuch"):
        copy(root, "nosuch:1", source="docker", address=docker.host)
