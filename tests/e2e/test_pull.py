"""image.pull from real registries: plain, with accounts, behind a proxy that breaks what it can; and from many sides at once."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time

import pouch
import pytest
from pouchtest.certificates import Authority
from pouchtest.embed import embed_root
from pouchtest.fault_proxy import FaultProxy
from pouchtest.faults.control import Control
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd
from pouchtest.procs import wait_until
from pouchtest.registry import PrivateRegistry
from pouchtest.remains import left_behind
from pouchtest.run import run
from pouchtest.token_server import TokenServer

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
ALICE = ("alice", "secret-1")


@pytest.fixture(name="registry", scope="module")
def registry_fixture(tmp_path_factory):
    """A plain registry with team/box:1, of one layer with a file of 3 MiB that does not compress well."""
    folder = tmp_path_factory.mktemp("registry")
    noise = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(3 * 2**14))
    archive = busybox_image_tar(folder / "box.tar", name="box:1", files={"noise": noise})
    with PrivateRegistry() as registry:
        registry.push(archive, "team/box:1")
        registry.archive = archive
        registry.noise = hashlib.sha256(noise.encode()).hexdigest()
        yield registry


@pytest.fixture(name="root")
def root_fixture():
    with embed_root() as uri:
        yield uri


def pull(uri, image, **options):
    with pouch.Client(uri) as client, client.open("image.pull", options={"fromImage": image, **options}) as stream:
        messages = [json.loads(frame.data) for frame in stream]
        return stream.finish()["Images"], messages


def check_runs(uri, image, registry):
    done = run(POUCH, "-H", uri, "run", "--rm", "--network=none", "--pull=never", image, "sha256sum", "/noise")
    assert done.out.split()[0] == registry.noise


def test_pulled_images_run_and_are_known_by_tag_and_digest(root, registry):
    name = f"{registry.host}/team/box"
    (image,), messages = pull(root, name, tag="1")
    assert image["IsNew"] and image["Reference"] == f"{name}:1"
    assert [m["status"] for m in messages if "id" not in m][-1] == f"Status: Downloaded newer image for {name}:1"
    check_runs(root, f"{name}:1", registry)
    check_runs(root, f"{name}@{image['Digest']}", registry)
    with pouch.Client(root) as client:
        facts = client.call("image.inspect", [image["Id"]])
    assert facts["RepoTags"] == [f"{name}:1"]
    assert facts["RepoDigests"] == [f"{name}@{image['Digest']}"]
    assert left_behind(root) == []


def test_what_is_here_is_not_fetched_again(root, registry):
    with FaultProxy(registry, lambda *_: None) as proxy:
        pull(root, f"{proxy.host}/team/box:1")
        first = len(proxy.blobs())
        (image,), messages = pull(root, f"{proxy.host}/team/box:1")
        assert not image["IsNew"]
        assert messages[-1]["status"] == f"Status: Image is up to date for {proxy.host}/team/box:1"
        assert len(proxy.blobs()) == first
    # The same layers under another name.
    with FaultProxy(registry, lambda *_: None) as proxy:
        (image,), _ = pull(root, f"{proxy.host}/team/box:1")
        assert image["IsNew"]
        assert proxy.blobs() == []


def test_by_digest(root, registry):
    name = f"{registry.host}/team/box"
    (image,), _ = pull(root, f"{name}:1")
    run(POUCH, "-H", root, "rmi", f"{name}:1")
    (again,), _ = pull(root, f"{name}@{image['Digest']}")
    assert again["Id"] == image["Id"]
    with pouch.Client(root) as client:
        facts = client.call("image.inspect", [f"{name}@{image['Digest']}"])
    assert facts["RepoTags"] == [] and facts["RepoDigests"] == [f"{name}@{image['Digest']}"]


def test_all_tags(root, registry, tmp_path):
    other = busybox_image_tar(tmp_path / "two.tar", name="two:2", config={"Cmd": ["true"]})
    for tag in ("a", "b"):
        registry.push(other, f"team/several:{tag}")
    registry.push(registry.archive, "team/several:c")
    images, _ = pull(root, f"{registry.host}/team/several", **{"all-tags": True})
    by_tag = {image["Reference"].rpartition(":")[2]: image["Id"] for image in images}
    assert sorted(by_tag) == ["a", "b", "c"]
    assert by_tag["a"] == by_tag["b"] != by_tag["c"]


@pytest.mark.parametrize("image, code, text", [
    ("team/nosuch:1", pouch.NotFound, "manifest for {host}/team/nosuch:1 not found"),
    ("team/box:nosuch", pouch.NotFound, "manifest for {host}/team/box:nosuch not found: manifest unknown"),
    ("team/box@sha256:" + "0" * 64, pouch.NotFound, "not found"),
    ("Team/box", pouch.InvalidArgument, "invalid reference format"),
])
def test_what_is_not_there(root, registry, image, code, text):
    with pytest.raises(code) as error:
        pull(root, f"{registry.host}/{image}")
    assert text.format(host=registry.host) in str(error.value)
    assert left_behind(root) == []


def test_nobody_there(root):
    with pytest.raises(pouch.Unavailable) as error:
        pull(root, "127.0.0.1:1/team/box:1")
    assert "https://127.0.0.1:1" in str(error.value) and "Connection refused" in str(error.value)


def test_wrong_platform(root, registry):
    with pytest.raises(pouch.InvalidArgument) as error:
        pull(root, f"{registry.host}/team/box:1", platform="linux/amd64/v1/more")
    assert "expected os[/architecture[/variant]]" in str(error.value)


def test_accounts(root, registry):
    with PrivateRegistry(accounts=dict([ALICE])) as private:
        name = private.push(registry.archive, "team/box:1", account=ALICE)
        with pytest.raises(pouch.Unauthenticated):
            pull(root, name)
        with pytest.raises(pouch.Unauthenticated):
            pull(root, name, auth={"username": "alice", "password": "wrong"})
        (image,), _ = pull(root, name, auth={"username": "alice", "password": ALICE[1]})
        assert image["IsNew"]


def test_stored_account(registry, tmp_path):
    """As `docker login` stores it, in the folder of $DOCKER_CONFIG."""
    with PrivateRegistry(accounts=dict([ALICE])) as private, embed_root() as uri:
        name = private.push(registry.archive, "team/box:1", account=ALICE)
        env = {"DOCKER_CONFIG": str(tmp_path)}
        (tmp_path / "config.json").write_text(json.dumps({"auths": {private.host: {"auth": "YWxpY2U6c2VjcmV0LTE="}}}))
        assert run(POUCH, "-H", uri, "pull", "-q", name, env=env).out == f"{name}\n"
        assert run(POUCH, "-H", uri, "pull", "-q", name, check=False).code == 1


def test_credential_helper(registry, tmp_path):
    """docker-credential-… of $PATH, asked by the process that pulls."""
    helper = tmp_path / "docker-credential-tests"
    helper.write_text('#!/bin/sh\n[ "$1" = get ] && read host\n[ "$host" = "$POUCH_TEST_HOST" ] || { echo credentials not found '
                      'in native keychain; exit 1; }\necho "{\\"Username\\": \\"alice\\", \\"Secret\\": \\"secret-1\\"}"\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "tests"}')
    with PrivateRegistry(accounts=dict([ALICE])) as private, embed_root() as uri:
        name = private.push(registry.archive, "team/box:1", account=ALICE)
        env = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}", "POUCH_TEST_HOST": private.host}
        assert run(POUCH, "-H", uri, "pull", "-q", name, env=env).out == f"{name}\n"
        refused = run(POUCH, "-H", uri, "pull", "-q", name.replace("box:1", "other:1"), env={**env, "POUCH_TEST_HOST": ""},
                      check=False)
        assert refused.code == 1 and "no basic auth credentials" in refused.err
        env["PATH"] = "/usr/bin"
        lost = run(POUCH, "-H", uri, "pull", "-q", name, env=env, check=False)
        assert lost.code == 1 and "docker-credential-tests" in lost.err


def test_tokens(root, registry, tmp_path):
    certificate, key = Authority(tmp_path).issue("tokens")
    with TokenServer(certificate, key, accounts=dict([ALICE]), refresh_tokens=["refresh-me"]) as tokens, \
            PrivateRegistry(tokens=tokens) as private:
        name = private.push(registry.archive, "team/box:1", account=ALICE)
        with pytest.raises(pouch.Unauthenticated):
            pull(root, name)
        before = tokens.asked
        (image,), _ = pull(root, name, auth={"username": "alice", "password": ALICE[1]})
        assert image["IsNew"]
        assert tokens.asked == before + 1
        run(POUCH, "-H", root, "rmi", name)
        (image,), _ = pull(root, name, auth={"identitytoken": "refresh-me"})
        assert image["IsNew"]


def test_tokens_for_anybody(root, registry, tmp_path):
    certificate, key = Authority(tmp_path).issue("tokens")
    with TokenServer(certificate, key, accounts=dict([ALICE]), anonymous=True) as tokens, \
            PrivateRegistry(tokens=tokens) as private:
        name = private.push(registry.archive, "team/box:1", account=ALICE)
        (image,), _ = pull(root, name)
        assert image["IsNew"]


def test_tls(root, registry, tmp_path):
    certificate, key = Authority(tmp_path).issue("registry")
    with PrivateRegistry(tls=(certificate, key)) as private:
        name = private.push(registry.archive, "team/box:1")
        (image,), _ = pull(root, name)
        assert image["IsNew"]


class TestFaults:
    """What a registry or the way to it does wrong; each pull must succeed, with the image whole, and leave nothing."""

    def pull(self, root, registry, fault):
        with FaultProxy(registry, fault) as proxy:
            (image,), _ = pull(root, f"{proxy.host}/team/box:1")
            check_runs(root, f"{proxy.host}/team/box:1", registry)
            assert left_behind(root) == []
            assert image["IsNew"]
            return proxy

    def test_busy(self, root, registry):
        self.pull(root, registry, lambda number, *_: {"status": 429, "headers": {"Retry-After": "0"}} if number % 2 else None)

    def test_server_errors(self, root, registry):
        self.pull(root, registry, lambda number, *_: {"status": 503} if number % 2 else None)

    def test_cut_connections_are_resumed(self, root, registry):
        proxy = self.pull(root, registry, lambda _, path, __: {"cut": 700_000} if "/blobs/" in path else None)
        ranges = [span for _, span in proxy.blobs() if span]
        assert ranges and all(span.startswith("bytes=") for span in ranges)

    def test_cut_connections_without_ranges(self, root, registry):
        counts = {}

        def fault(_, path, __):
            if "/blobs/" not in path:
                return None
            counts[path] = counts.get(path, 0) + 1
            return {"cut": 600_000 * counts[path], "no_ranges": True}

        self.pull(root, registry, fault)

    def test_lengths_that_lie(self, root, registry):
        def fault(number, path, _):
            return {"length": 10_000_000} if "/blobs/" in path and number % 2 else None

        self.pull(root, registry, fault)


@pytest.mark.parametrize("what", ["/manifests/", "/blobs/"])
def test_bytes_that_were_changed(root, registry, what):
    with FaultProxy(registry, lambda _, path, __: {"flip": True} if what in path else None) as proxy:
        with pytest.raises(pouch.DataLoss):
            pull(root, f"{proxy.host}/team/box:1")
    assert left_behind(root) == []
    with pouch.Client(root) as client:
        assert client.call("image.list") == []


def test_four_processes_do_the_work_once(root, registry, tmp_path):
    control = Control(tmp_path)
    control.record()
    with FaultProxy(registry, lambda *_: None) as proxy:
        name = f"{proxy.host}/team/box:1"
        pull_it = lambda _: run(POUCH, "-H", root, "pull", "-q", name, env=control.environment, check=False)  # noqa: E731
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = list(pool.map(pull_it, range(4)))
        assert [(one.code, one.err) for one in done] == [(0, "")] * 4
        layers = [path for path, _ in proxy.blobs()]
        with pouch.Client(root) as client:
            config = client.call("image.inspect", [name])["Id"]
        assert sum(not path.endswith(config) for path in layers) == 1
        unpacked = sum(count for (_, point, _), count in control.met().items() if point == "image.stage.before")
        assert unpacked == 1
        check_runs(root, name, registry)
        assert left_behind(root) == []


def test_killed_and_pulled_again(root, registry):
    """The process dies amid a layer; the next pull is whole, and nothing of the dead one stays."""
    with FaultProxy(registry, lambda *_: None) as proxy:
        name = f"{proxy.host}/team/box:1"
        for _ in range(3):
            process = subprocess.Popen([POUCH, "-H", root, "pull", "-q", name], stdout=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.03)
            process.send_signal(signal.SIGKILL)
            process.wait()
        pull(root, name)
        check_runs(root, name, registry)
        assert left_behind(root) == []


def test_cancelled(root, registry):
    with FaultProxy(registry, lambda _, path, __: time.sleep(5) if "/blobs/" in path else None) as proxy:
        with pouch.Client(root) as client:
            stream = client.open("image.pull", options={"fromImage": f"{proxy.host}/team/box:1"})
            next(iter(stream))
            stream.cancel()
            with pytest.raises(pouch.Cancelled):
                stream.finish()
            stream.close()
    with pouch.Client(root) as client:
        assert client.call("image.list") == []


def test_run_pulls_what_is_missing(root, registry):
    name = f"{registry.host}/team/box:1"
    done = run(POUCH, "-H", root, "run", "--rm", "--network=none", name, "echo", "hi")
    assert done.out == "hi\n"
    assert done.err.startswith(f"Unable to find image '{name}' locally\n1: Pulling from team/box\n")
    absent = run(POUCH, "-H", root, "run", "--pull=never", f"{registry.host}/team/box:2", check=False)
    assert absent.code == 125 and "No such image" in absent.err
    assert run(POUCH, "-H", root, "run", "--rm", "--network=none", "--pull=always", "-q", name, "echo", "hi").out == "hi\n"


@pytest.mark.parametrize("mode", ["embed", "unix"])
def test_a_stream_that_is_let_go_lets_the_pull_go_on(mode, registry, tmp_path):
    """Freed without a cancel: the image comes all the same; with one it does not (test_cancelled)."""
    with contextlib.ExitStack() as stack:
        uri = stack.enter_context(embed_root()) if mode == "embed" else stack.enter_context(Pouchd()).uri
        proxy = stack.enter_context(FaultProxy(registry, lambda _, path, __: time.sleep(1) if "/blobs/" in path else None))
        name = f"{proxy.host}/team/box:1"
        with pouch.Client(uri) as client:
            # pouch_stream_free alone: close() of this binding cancels, too.
            client.open("image.pull", options={"fromImage": name})._native.free()
            assert wait_until(lambda: any(name in (image["RepoTags"] or []) for image in client.call("image.list")), 30)
