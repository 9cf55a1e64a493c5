"""A pull after one that failed or died does not fetch again what was whole; `image prune` gives it back."""

import json
import os
import signal
import subprocess

import pouch
import pytest
from pouchtest.embed import embed_root
from pouchtest.fault_proxy import FaultProxy
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir, find_program
from pouchtest.procs import wait_until
from pouchtest.registry import PrivateRegistry
from pouchtest.remains import left_behind
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="registry", scope="module")
def registry_fixture(tmp_path_factory):
    """A plain registry with team/two:1, of two layers."""
    folder = tmp_path_factory.mktemp("registry")
    two = busybox_image_tar(folder / "two.tar", files={"one": "1"}, more=[{"noise": os.urandom(2**20).hex()}])
    with PrivateRegistry() as registry:
        registry.push(two, "team/two:1")
        yield registry


@pytest.fixture(name="layers", scope="module")
def layers_fixture(registry):
    """Their digests, lowest first."""
    name = f"docker://{registry.host}/team/two:1"
    document = json.loads(run(find_program("skopeo"), "inspect", "--raw", "--tls-verify=false", name).out)
    return [layer["digest"] for layer in document["layers"]]


@pytest.fixture(name="root")
def root_fixture():
    with embed_root() as uri:
        yield uri


def pull(uri, image):
    with pouch.Client(uri) as client, client.open("image.pull", options={"fromImage": image}) as stream:
        return stream.finish()["Images"]


def blobs(uri, *filters):
    """Of the root's namespace, as ctr sees them."""
    ctr = ("ctr", "--address", uri.partition("containerd=")[2])
    namespaces = run(*ctr, "namespaces", "ls", "-q").out.split()
    return [blob for each in namespaces for blob in run(*ctr, "--namespace", each, "content", "ls", "-q", *filters).out.split()]


def kept(uri):
    return blobs(uri, 'labels."pouch.kept"')


def check(uri, image, proxy, layers):
    assert pull(uri, image)[0]["IsNew"]
    done = run(POUCH, "-H", uri, "run", "--rm", "--network=none", "--pull=never", image, "ls", "/noise")
    assert done.out == "/noise\n"
    assert sum(path.endswith(layers[0]) for path, _ in proxy.blobs()) == 1
    assert left_behind(uri) == [] and kept(uri) == []
    run(POUCH, "-H", uri, "rmi", image)
    assert blobs(uri) == []


def refuse(root, layers, refused):
    """A fault: the second layer is not to be had the first time, once the first one is whole."""
    def fault(_, path, __):
        if not path.endswith(layers[1]) or refused:
            return None
        refused.append(path)
        assert wait_until(lambda: layers[0] in blobs(root), 10)
        return {"status": 404}
    return fault


def test_a_layer_that_was_refused(root, registry, layers):
    with FaultProxy(registry, refuse(root, layers, [])) as proxy:
        name = f"{proxy.host}/team/two:1"
        with pytest.raises(pouch.NotFound):
            pull(root, name)
        assert left_behind(root) == [] and kept(root) == [layers[0]]
        check(root, name, proxy, layers)


def test_a_process_that_died(root, registry, layers):
    killed = []

    def fault(_, path, __):
        if not path.endswith(layers[1]) or killed:
            return None
        killed.append(path)
        assert wait_until(lambda: layers[0] in blobs(root), 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return {"cut": 1000}

    with FaultProxy(registry, fault) as proxy:
        name = f"{proxy.host}/team/two:1"
        process = subprocess.Popen([POUCH, "-H", root, "pull", "-q", name], stdout=subprocess.DEVNULL)
        process.wait(60)
        assert killed and process.returncode == -signal.SIGKILL
        check(root, name, proxy, layers)


def test_prune_gives_it_back(root, registry, layers):
    with FaultProxy(registry, refuse(root, layers, [])) as proxy:
        with pytest.raises(pouch.NotFound):
            pull(root, f"{proxy.host}/team/two:1")
    assert kept(root) == [layers[0]]
    run(POUCH, "-H", root, "image", "prune", "-f")
    assert kept(root) == []
    assert wait_until(lambda: blobs(root) == [], 10)
