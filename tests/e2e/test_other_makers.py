"""Images that umoci, buildah, skopeo and docker have made: loaded, pulled and run, and pushed again, digest for digest."""

import hashlib
import json
import shutil
import tarfile

import pouch
import pytest
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.images import busybox_image_tar, busybox_rootfs
from pouchtest.paths import build_dir, find_program
from pouchtest.registry import PrivateRegistry
from pouchtest.remains import left_behind
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
WORD = "made-elsewhere"
# Prints the word, if the file of the second layer is there and the one it removed is not.
COMMAND = ["sh", "-c", "test ! -e /etc/group && cat /word"]


@pytest.fixture(name="registry", scope="module")
def registry_fixture():
    with PrivateRegistry() as registry:
        yield registry


@pytest.fixture(name="root")
def root_fixture():
    with embed_root() as uri:
        yield uri


def skopeo(*words):
    return run(find_program("skopeo"), "--insecure-policy", *words)


def umoci(folder, registry):
    """Two layers, the second of which adds and removes: an OCI layout."""
    layout, bundle = folder / "layout", folder / "bundle"
    program = find_program("umoci")
    run(program, "init", "--layout", layout)
    run(program, "new", "--image", f"{layout}:one")
    run(program, "unpack", "--image", f"{layout}:one", bundle)
    (bundle / "rootfs").rmdir()
    busybox_rootfs(bundle / "rootfs")
    run(program, "repack", "--image", f"{layout}:one", bundle)
    shutil.rmtree(bundle)
    run(program, "unpack", "--image", f"{layout}:one", bundle)
    change(bundle / "rootfs")
    run(program, "repack", "--image", f"{layout}:latest", bundle)
    run(program, "config", "--image", f"{layout}:latest", *(f"--config.cmd={word}" for word in COMMAND))
    name = f"{registry.host}/made/umoci:1"
    skopeo("copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{name}")
    archive = folder / "umoci.tar"
    with tarfile.open(archive, "w") as tar:  # of the whole layout
        tar.add(layout, ".")
    return name, archive


def buildah(folder, registry, form="oci"):
    """A layer on an image of its own, committed into its store; docker's manifests or OCI's."""
    policy = folder / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def call(command, *words):
        return run(find_program("buildah"), f"--root={folder}/store", f"--runroot={folder}/run", "--storage-driver=vfs", command, *words,
                   env={"TMPDIR": folder, "BUILDAH_ISOLATION": "chroot"}).out.strip()

    base = call("from", "--signature-policy", policy, "scratch")
    call("copy", "--quiet", base, busybox_rootfs(folder / "rootfs"), "/")
    call("commit", "--quiet", "--signature-policy", policy, f"--format={form}", base, "base")
    top = call("from", "--signature-policy", policy, "--pull-never", "localhost/base")
    change_in = call("mount", top)
    change(folder.joinpath(change_in))
    call("umount", top)
    call("config", "--cmd", json.dumps(COMMAND), top)
    name = f"{registry.host}/made/buildah-{form}:1"
    call("commit", "--quiet", "--signature-policy", policy, f"--format={form}", "--tls-verify=false", top, f"docker://{name}")
    archive = folder / "buildah.tar"
    transport = "oci-archive" if form == "oci" else "docker-archive"
    skopeo("copy", "--quiet", f"--tmpdir={folder}", "--src-tls-verify=false", f"docker://{name}", f"{transport}:{archive}:made/box:1")
    return name, archive


def buildah_docker(folder, registry):
    return buildah(folder, registry, "docker")


def docker(folder, registry):
    """docker commit of a container that has changed its files."""
    name = f"{registry.host}/made/docker:1"
    archive = folder / "docker.tar"
    with PrivateDockerd() as dockerd:
        dockerd.load(busybox_image_tar(folder / "box.tar"))
        dockerd.docker("run", "--name=made", "--network=none", "busybox", "sh", "-c", f"rm /etc/group && echo {WORD} > /word")
        dockerd.docker("commit", "--change", f"CMD {json.dumps(COMMAND)}", "made", name)
        dockerd.docker("push", "--quiet", name)
        dockerd.docker("save", "--output", archive, name)
    return name, archive


def skopeo_zstd(folder, registry):
    """An image of umoci's, compressed anew."""
    source, archive = umoci(folder, registry)
    name = f"{registry.host}/made/zstd:1"
    skopeo("copy", "--quiet", "--src-tls-verify=false", "--dest-compress", "--dest-compress-format=zstd", f"docker://{source}",
           f"dir:{folder}/zstd")
    skopeo("copy", "--quiet", "--dest-tls-verify=false", f"dir:{folder}/zstd", f"docker://{name}")
    return name, archive


def change(rootfs):
    (rootfs / "word").write_text(f"{WORD}\n")
    (rootfs / "etc/group").unlink()


def raw_manifest(name):
    return skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}").out


def digest_of(text):
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def run_image(uri, image):
    return run(POUCH, "-H", uri, "run", "--rm", "--network=none", "--pull=never", image).out


@pytest.mark.parametrize("maker", [umoci, buildah, buildah_docker, docker, skopeo_zstd])
def test_made_elsewhere(root, registry, tmp_path, maker):
    name, archive = maker(tmp_path, registry)
    manifest = raw_manifest(name)
    config = json.loads(manifest)["config"]["digest"]
    assert len(json.loads(manifest)["layers"]) == 2 and ("zstd" in manifest) == (maker is skopeo_zstd)
    with pouch.Client(root) as client:
        with client.open("image.pull", options={"fromImage": name}) as stream:
            (pulled,) = stream.finish()["Images"]
        assert (pulled["Id"], pulled["Digest"]) == (config, digest_of(manifest))
        assert run_image(root, name) == f"{WORD}\n"
        # What is pushed again is the same, byte for byte.
        again = name.replace("/made/", "/again/")
        run(POUCH, "-H", root, "tag", name, again)
        with client.open("image.push", [again]) as stream:
            (pushed,) = stream.finish()["Images"]
        assert pushed["Digest"] == pulled["Digest"]
        assert raw_manifest(again) == manifest
    skopeo("copy", "--quiet", "--src-tls-verify=false", f"docker://{again}", f"dir:{tmp_path}/again")  # which compares all digests
    with embed_root() as other:
        loaded = run(POUCH, "-H", other, "load", "-i", archive).out
        with pouch.Client(other) as client:
            assert config in [image["Id"] for image in client.call("image.list")]
        assert loaded.startswith("Loaded image")
        assert run_image(other, config) == f"{WORD}\n"
        assert left_behind(other) == left_behind(root) == []


def test_docker_reads_back_what_others_made(root, registry, tmp_path):
    """Through Pouch: pulled by it, pushed by it, and pulled by dockerd, which runs it."""
    name, _ = umoci(tmp_path, registry)
    again = f"{registry.host}/for/docker:1"
    run(POUCH, "-H", root, "pull", "-q", name)
    run(POUCH, "-H", root, "tag", name, again)
    run(POUCH, "-H", root, "push", "-q", again)
    digest = digest_of(raw_manifest(name))
    with PrivateDockerd() as dockerd:
        dockerd.docker("pull", "--quiet", again)
        told = json.loads(dockerd.docker("image", "inspect", again).out)[0]
        assert told["RepoDigests"] == [f"{registry.host}/for/docker@{digest}"]
        assert told["Id"] == json.loads(raw_manifest(name))["config"]["digest"]
        assert dockerd.docker("run", "--rm", "--network=none", again).out == f"{WORD}\n"
