"""The command line's push, save, history, prune, login and logout, as Docker's users know them."""

import json
import os
import stat
import tarfile

import pytest
from pouchtest.embed import embed_root
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd
from pouchtest.registry import PrivateRegistry
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="pouch")
def pouch_fixture(tmp_path, monkeypatch):
    """Runs the command on a root that has box:1, with accounts of its own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1")
    with embed_root() as uri:
        run(POUCH, "-H", uri, "load", "-q", "-i", archive)
        yield lambda *words, **options: run(POUCH, "-H", uri, *words, **options)


@pytest.fixture(name="registry", scope="module")
def registry_fixture():
    with PrivateRegistry(accounts={"alice": "secret-1"}) as registry:
        yield registry


def test_login_push_pull_logout(pouch, registry, tmp_path):
    name = f"{registry.host}/team/box"
    pouch("tag", "box:1", f"{name}:1")
    refused = pouch("push", f"{name}:1", check=False)
    assert refused.code == 1 and refused.err == f"Error: {name}: no basic auth credentials\n"
    wrong = pouch("login", "-u", "alice", "--password-stdin", registry.host, stdin="wrong\n", check=False)
    assert wrong.code == 1 and "failed with status: 401 Unauthorized" in wrong.err
    assert not (tmp_path / "docker/config.json").exists()
    done = pouch("login", "-u", "alice", "--password-stdin", registry.host, stdin="secret-1\n")
    assert done.out == "Login Succeeded\n" and done.err == ""
    config = tmp_path / "docker/config.json"
    assert list(json.loads(config.read_text())["auths"]) == [registry.host]
    assert stat.S_IMODE(os.stat(config).st_mode) == 0o600
    told = pouch("push", f"{name}:1").lines
    assert told[0] == f"The push refers to repository [{name}]"
    assert told[-2].endswith(": Pushed") and told[-1].startswith("1: digest: sha256:")
    assert pouch("push", "-q", f"{name}:1").out == f"{name}:1\n"
    pouch("rmi", f"{name}:1")
    assert pouch("pull", "-q", f"{name}:1").out == f"{name}:1\n"
    assert pouch("logout", registry.host).out == f"Removing login credentials for {registry.host}\n"
    assert pouch("logout", registry.host).out == f"Not logged in to {registry.host}\n"
    assert pouch("push", f"{name}:1", check=False).code == 1


def test_the_account_of_this_host_serves_a_daemon(registry, tmp_path, monkeypatch):
    """Which has none of its own."""
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    with Pouchd() as pouchd:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        run(POUCH, "-H", pouchd.uri, "load", "-q", "-i", archive)
        run(POUCH, "-H", pouchd.uri, "tag", "box:1", f"{registry.host}/team/daemon:1")
        run(POUCH, "-H", pouchd.uri, "login", "-u", "alice", "--password-stdin", registry.host, stdin="secret-1")
        run(POUCH, "-H", pouchd.uri, "push", "-q", f"{registry.host}/team/daemon:1")
        run(POUCH, "-H", pouchd.uri, "pull", "-q", f"{registry.host}/team/daemon:1")


@pytest.mark.parametrize("words, text", [
    (("login", "-p", "x", "--password-stdin", "h"), "--password and --password-stdin are mutually exclusive"),
    (("login", "--password-stdin", "h"), "the --password-stdin option requires --username to be set"),
    (("login", "-u", "me", "h"), "Cannot perform an interactive login from a non TTY device"),
    (("push", "-a", "box:1"), "tag can't be used with --all-tags/-a"),
    (("save", "nosuch"), "No such image: nosuch:latest"),
    (("history", "nosuch"), "No such image: nosuch:latest"),
    (("image", "prune", "-f", "--filter", "colour=red"), "nvalid filter 'colour'"),
])
def test_refusals(pouch, words, text):
    done = pouch(*words, stdin="", check=False)
    assert done.code == 1 and text in done.err


def test_push_without_tag(pouch, registry):
    pouch("tag", "box:1", f"{registry.host}/team/latest")
    done = pouch("push", f"{registry.host}/team/latest", check=False)
    assert done.out.startswith("Using default tag: latest\nThe push refers to repository")


def test_save(pouch, tmp_path):
    file = tmp_path / "saved.tar"
    pouch("save", "-o", file, "box:1")
    with tarfile.open(file) as tar:
        assert json.load(tar.extractfile("manifest.json"))[0]["RepoTags"] == ["box:1"]
    before = file.read_bytes()
    assert pouch("save", "-o", file, "nosuch", check=False).code == 1
    assert file.read_bytes() == before  # a failure leaves what was there
    assert sorted(os.listdir(tmp_path)) == ["box.tar", "saved.tar"]
    pouch("rmi", "box:1")
    assert pouch("load", "-i", file).out == "Loaded image: box:1\n"


def test_history(pouch):
    lines = pouch("history", "box:1").lines
    assert lines[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert "busybox-static" in lines[1] and "years ago" in lines[1]
    assert pouch("history", "--format", "{{.CreatedBy}} {{.Comment}}", "box:1").out == "busybox-static \n"
    (line,) = pouch("history", "-q", "--no-trunc", "box:1").lines
    assert line.startswith("sha256:")


def test_prune(pouch):
    assert pouch("image", "prune", "-f").out == "Total reclaimed space: 0B\n"
    asked = pouch("image", "prune", "-a", stdin="n\n", check=False)
    assert asked.code == 1 and asked.out.endswith("Are you sure you want to continue? [y/N] ")
    done = pouch("image", "prune", "-a", stdin="y\n").out
    assert "Deleted Images:\nuntagged: box:1\ndeleted: sha256:" in done and "Total reclaimed space: 2" in done
    assert pouch("images", "-q").out == ""


def test_df(pouch):
    """Two images that share a layer, one of them used: each layer counts once."""
    pouch("create", "--name", "one", "box:1", "true")
    pouch("run", "--name", "two", "--network=none", "box:1", "sh", "-c", "head -c 1000000 /dev/zero > /large")
    pouch("commit", "two", "more:1")
    plain = [line.split() for line in pouch("system", "df").lines]
    assert plain[0] == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert plain[1][:3] == ["Images", "2", "1"] and plain[2][:3] == ["Containers", "2", "0"]
    assert plain[3] == ["Local", "Volumes", "0", "0", "0B", "0B"] and plain[4] == ["Build", "Cache", "0", "0", "0B", "0B"]
    one, whole = (json.loads(pouch("image", "inspect", name).out)[0]["Size"] for name in ("box:1", "more:1"))
    shown = json.loads(pouch("system", "df", "-v", "--format", "json").out)
    sizes = {image["Repository"]: (image["SharedSize"], image["Containers"]) for image in shown["Images"]}
    assert sizes["box"][1] == "2" and sizes["more"] == (sizes["box"][0], "0")
    assert 1_000_000 < whole - one < 1_100_000
    assert plain[1][3] == pouch("images", "--format", "{{.Size}}", "more:1").out.strip()
    assert pouch("system", "df", "--format", "{{.Type}}={{.TotalCount}}").lines[0] == "Images=2"
    verbose = pouch("system", "df", "-v").out
    for title in ("Images space usage:", "Containers space usage:", "Local Volumes space usage:", "Build cache usage: 0B"):
        assert title in verbose
    assert {line.split()[-1] for line in verbose.splitlines() if "Exited" in line or "Created " in line} == {"one", "two"}
