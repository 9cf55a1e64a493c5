"""image.push into real registries: what they have afterwards is what skopeo and dockerd read back, digest for digest."""

import contextlib
import hashlib
import json
import random
import secrets

import pouch
import pytest
from pouchtest.certificates import Authority
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.fault_proxy import FaultProxy
from pouchtest.images import busybox_image_tar, busybox_oci_layout
from pouchtest.paths import build_dir, find_program
from pouchtest.pouchd import Pouchd
from pouchtest.registry import PrivateRegistry
from pouchtest.run import run
from pouchtest.token_server import TokenServer

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
ALICE = ("alice", "secret-1")


@pytest.fixture(name="registry", scope="module")
def registry_fixture():
    with PrivateRegistry() as registry:
        yield registry


@pytest.fixture(name="archive", scope="module")
def archive_fixture(tmp_path_factory):
    """An image with a layer of some MiB that does not compress well."""
    noise = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(3 * 2**14))
    return busybox_image_tar(tmp_path_factory.mktemp("push") / "box.tar", name="box:1", files={"noise": noise})


@pytest.fixture(name="root", params=["embed", "unix"])
def root_fixture(request, archive):
    with contextlib.ExitStack() as stack:
        uri = stack.enter_context(embed_root()) if request.param == "embed" else stack.enter_context(Pouchd()).uri
        run(POUCH, "-H", uri, "load", "-q", "-i", archive)
        yield uri


def push(uri, name, **options):
    with pouch.Client(uri) as client, client.open("image.push", [name], options=options) as stream:
        messages = [json.loads(frame.data) for frame in stream]
        return stream.finish()["Images"], messages


def tag(uri, source, name):
    run(POUCH, "-H", uri, "tag", source, name)


def inspect(name, *words):
    """What skopeo reads of an image in a registry."""
    told = run(find_program("skopeo"), "inspect", "--tls-verify=false", *words, f"docker://{name}")
    return json.loads(told.out)


def statuses(messages):
    return [message.get("status", "") for message in messages]


def test_pushed_images_are_read_back(root, registry, tmp_path):
    name = f"{registry.host}/team/read-back:1"
    tag(root, "box:1", name)
    (image,), messages = push(root, name)
    assert image["Reference"] == name
    assert statuses(messages)[0] == f"The push refers to repository [{registry.host}/team/read-back]"
    assert messages[-1]["aux"] == {"Tag": "1", "Digest": image["Digest"], "Size": image["Size"]}
    assert messages[-2]["status"] == f"1: digest: {image['Digest']} size: {image['Size']}"
    seen = inspect(name)
    assert seen["Digest"] == image["Digest"]
    with pouch.Client(root) as client:
        facts = client.call("image.inspect", [name])
        assert f"{registry.host}/team/read-back@{image['Digest']}" in facts["RepoDigests"]
        assert [layer["mediaType"].rsplit(".", 1)[1] for layer in inspect(name, "--raw")["layers"]] == ["tar+gzip"]
        assert facts["Descriptor"]["digest"] == image["Digest"]
        events = [(e["Action"], e["Actor"]["Attributes"]["name"]) for e in past_events(client)]
    assert ("push", f"{registry.host}/team/read-back") in events
    run(find_program("skopeo"), "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", f"--tmpdir={tmp_path}",
        f"docker://{name}", f"dir:{tmp_path}/copy")


def past_events(client):
    options = {"since": "1970-01-01T00:00:01Z", "until": "2100-01-01T00:00:00Z", "filters": {"event": ["push"]}}
    with client.open("system.events", options=options) as stream:
        out = [json.loads(next(iter(stream)).data)]
        stream.cancel()
        return out


def test_dockerd_pulls_what_was_pushed(registry, archive):
    name = f"{registry.host}/team/for-docker:1"
    with embed_root() as uri:
        run(POUCH, "-H", uri, "load", "-q", "-i", archive)
        tag(uri, "box:1", name)
        (image,), _ = push(uri, name)
        with pouch.Client(uri) as client:
            own_id = client.call("image.inspect", [name])["Id"]
    with PrivateDockerd() as dockerd:
        dockerd.docker("pull", "-q", name)
        told = json.loads(dockerd.docker("image", "inspect", name).out)[0]
        assert told["Id"] == own_id
        assert told["RepoDigests"] == [f"{registry.host}/team/for-docker@{image['Digest']}"]


def test_a_pulled_image_is_pushed_as_it_came(root, registry, tmp_path):
    """Compressed layers, an OCI manifest: the digest stays."""
    layout = busybox_oci_layout(tmp_path / "layout.tar")
    run_id = secrets.token_hex(4)  # the registry is the module's
    source, target = f"{registry.host}/team/came-{run_id}:1", f"{registry.host}/team/went-{run_id}:1"
    run(find_program("skopeo"), "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", f"--tmpdir={tmp_path}",
        f"oci-archive:{layout}:latest", f"docker://{source}")
    with pouch.Client(root) as client, client.open("image.pull", options={"fromImage": source}) as stream:
        (pulled,) = stream.finish()["Images"]
    tag(root, source, target)
    (pushed,), messages = push(root, target)
    assert pushed["Digest"] == pulled["Digest"] == inspect(target)["Digest"]
    # The registry has the layer already, in the repository it came from.
    assert any(status == f"Mounted from team/came-{run_id}" for status in statuses(messages))


def test_layers_that_are_here_in_another_form(root, registry, archive):
    """Loaded plain, pulled compressed: the layer is unpacked already, and its compressed blob is there for the push."""
    run_id = secrets.token_hex(4)
    source, target = registry.push(archive, f"team/form-{run_id}:1"), f"{registry.host}/team/again-{run_id}:1"
    with pouch.Client(root) as client, client.open("image.pull", options={"fromImage": source}) as stream:
        (pulled,) = stream.finish()["Images"]
    tag(root, source, target)
    (pushed,), _ = push(root, target)
    assert pushed["Digest"] == pulled["Digest"] == inspect(source)["Digest"]


def test_what_is_there_is_not_sent_again(root, registry):
    with FaultProxy(registry, lambda *_: None) as proxy:
        name = f"{proxy.host}/team/twice-{secrets.token_hex(4)}:1"
        tag(root, "box:1", name)
        push(root, name)
        sent = len([r for r in proxy.requests if r[0] == "PATCH"])
        assert sent > 0
        _, messages = push(root, name)
        assert len([r for r in proxy.requests if r[0] == "PATCH"]) == sent
        assert "Layer already exists" in statuses(messages)


def test_all_tags(root, registry):
    name = f"{registry.host}/team/many"
    for one in ("a", "b"):
        tag(root, "box:1", f"{name}:{one}")
    images, _ = push(root, name, **{"all-tags": True})
    assert sorted(image["Reference"] for image in images) == [f"{name}:a", f"{name}:b"]
    assert inspect(f"{name}:a")["Digest"] == inspect(f"{name}:b")["Digest"]


@pytest.mark.parametrize("name, code, text", [
    ("{host}/team/nosuch:1", pouch.NotFound, "An image does not exist locally with the tag: {host}/team/nosuch"),
    ("{host}/team/some:2", pouch.NotFound, "tag does not exist: {host}/team/some:2"),
    ("{host}/team/some@sha256:" + "0" * 64, pouch.InvalidArgument, "cannot push a digest reference"),
    ("{host}/Team/some", pouch.InvalidArgument, "invalid reference format"),
])
def test_what_cannot_be_pushed(root, registry, name, code, text):
    tag(root, "box:1", f"{registry.host}/team/some:1")
    with pytest.raises(code, match=text.format(host=registry.host).replace("(", "\\(")):
        push(root, name.format(host=registry.host))


def test_accounts(root):
    with PrivateRegistry(accounts=dict([ALICE])) as registry:
        name = f"{registry.host}/team/box:1"
        tag(root, "box:1", name)
        with pytest.raises(pouch.Unauthenticated):
            push(root, name)
        with pytest.raises(pouch.Unauthenticated):
            push(root, name, auth={"username": ALICE[0], "password": "wrong"})
        (image,), _ = push(root, name, auth={"username": ALICE[0], "password": ALICE[1]})
        assert inspect(name, "--creds", ":".join(ALICE))["Digest"] == image["Digest"]
        with pouch.Client(root) as client:
            account = {"username": ALICE[0], "password": ALICE[1], "serveraddress": registry.host}
            assert client.call("system.login", config=account) == {"Status": "Login Succeeded", "IdentityToken": ""}
            with pytest.raises(pouch.Unauthenticated, match="failed with status: 401 Unauthorized"):
                client.call("system.login", config={**account, "password": "wrong"})


def test_tokens(root, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    with TokenServer(certificate, key, accounts=dict([ALICE])) as tokens, PrivateRegistry(tokens=tokens) as registry:
        name = f"{registry.host}/team/box:1"
        tag(root, "box:1", name)
        with pytest.raises((pouch.Unauthenticated, pouch.PermissionDenied)):
            push(root, name)
        (image,), _ = push(root, name, auth={"username": ALICE[0], "password": ALICE[1]})
        with pouch.Client(root) as client:
            told = client.call("image.distribution", [name], options={"auth": {"username": ALICE[0], "password": ALICE[1]}})
        assert told["Descriptor"]["digest"] == image["Digest"]
        assert [platform["os"] for platform in told["Platforms"]] == ["linux"]


class TestFaults:
    """A registry amid trouble: what can be tried again is, and what has arrived is not sent again."""

    def push_by(self, root, registry, fault):
        with FaultProxy(registry, fault) as proxy:
            path = f"team/{secrets.token_hex(4)}:1"
            tag(root, "box:1", f"{proxy.host}/{path}")
            (image,), _ = push(root, f"{proxy.host}/{path}")
            assert inspect(f"{registry.host}/{path}")["Digest"] == image["Digest"]
            return proxy.requests

    def test_busy(self, root, registry):
        self.push_by(root, registry, lambda n, *_: {"status": 429, "headers": {"Retry-After": "0"}} if n % 4 == 2 else None)

    def test_server_errors(self, root, registry):
        self.push_by(root, registry, lambda n, *_: {"status": 503} if n % 5 == 3 else None)

    def test_cut_uploads_are_sent_again(self, root, registry):
        """docker-registry forgets an upload that ends amid a piece."""
        cuts = []

        def cut_twice(_, path, headers):
            if "/uploads/" in path and int(headers.get("Content-Length") or 0) > 2**20 and len(cuts) < 2:
                cuts.append(path)
                return {"take": 2**20}
            return None

        self.push_by(root, registry, cut_twice)
        assert len(cuts) == 2

    def test_pieces_that_arrived_are_not_sent_again(self, registry, tmp_path):
        """Of 40 MiB the first piece, of 32 MiB, is there; the next one gets lost at first."""
        noise = random.Random(1).randbytes(38 * 2**20).hex()  # compresses to a half
        archive = busybox_image_tar(tmp_path / "large.tar", name="box:1", files={"noise": noise})
        sizes = []

        def lose_second(_, path, headers):
            if "/uploads/" in path and int(headers.get("Content-Length") or 0) > 2**20:
                sizes.append(int(headers["Content-Length"]))
                return {"take": 0} if len(sizes) == 2 else None
            return None

        with embed_root() as uri:
            run(POUCH, "-H", uri, "load", "-q", "-i", archive)
            self.push_by(uri, registry, lose_second)
        assert len(sizes) == 3 and sizes[0] == 32 * 2**20 and sizes[1] == sizes[2] < sizes[0]


def test_nothing_stays_of_a_cancelled_push(root, registry):
    def slow(_, path, headers):
        if "/uploads/" in path and int(headers.get("Content-Length") or 0) > 2**20:
            return {"status": 503, "headers": {"Retry-After": "30"}}
        return None

    with FaultProxy(registry, slow) as proxy:
        name = f"{proxy.host}/team/cancelled:1"
        tag(root, "box:1", name)
        with pouch.Client(root) as client:
            stream = client.open("image.push", [name])
            next(iter(stream))
            stream.cancel()
            with pytest.raises(pouch.Cancelled):
                stream.finish()
            stream.close()
            with pytest.raises(pouch.NotFound):
                client.call("image.distribution", [name])
