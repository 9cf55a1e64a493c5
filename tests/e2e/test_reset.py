"""pouch system reset: one root goes with all that it owns, judged by others' tools; its neighbours stay."""

import json
import pathlib
import subprocess

import pouch as library
import pytest
from pouchtest import procs
from pouchtest.cgroups import hierarchies
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root, new_root
from pouchtest.mounts import mounted
from pouchtest.paths import build_dir, private_dir
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


def pouch(uri, *args, **options):
    return run(POUCH, "-H", uri, *args, **options)


def facts_of(uri):
    return json.loads(pouch(uri, "info", "--format", "{{json .}}").out)["Pouch"]


def fill(uri, busybox_tar):
    """Images, a running container, a stopped one, one with an exec under way."""
    pouch(uri, "load", "-i", busybox_tar)
    pouch(uri, "run", "-d", "--name", "runs", "--network", "none", "busybox", "sleep", "1000")
    pouch(uri, "run", "--name", "ended", "--network", "none", "busybox", "echo", "hi")
    pouch(uri, "create", "--name", "made", "--network", "none", "busybox", "true")


def assert_gone(facts):
    root, run_dir = facts["Root"], facts["RunRoot"]
    assert not pathlib.Path(root).exists()
    assert not pathlib.Path(run_dir).exists()
    assert [path for path, _, _ in mounted() if path.startswith((root + "/", run_dir + "/"))] == []
    assert procs.mentioning(root + "/") == [] and procs.mentioning(run_dir + "/") == []
    assert [top for top in hierarchies() if (top / facts["ContainerdNamespace"]).exists()] == []


def test_a_root_with_a_private_containerd(busybox_tar):
    with private_dir() as folder, new_root(folder) as uri:
        fill(uri, busybox_tar)
        facts = facts_of(uri)
        told = pouch(uri, "system", "reset", "-f")
        assert told.out == f"Removed root {facts['Root']}: 3 containers, 1 images\n"
        assert_gone(facts)
        again = pouch(uri, "system", "reset", "-f", check=False)
        assert again.code != 0 and "there is none" in again.err


def test_neighbours_on_one_containerd_stay(busybox_tar):
    with PrivateContainerd() as containerd, embed_root(containerd) as one, embed_root(containerd) as other:
        for uri in (one, other):
            fill(uri, busybox_tar)
        facts = facts_of(one)
        assert facts["ContainerdNamespace"] in containerd.namespaces()
        pouch(one, "system", "reset", "-f")
        assert_gone(facts)
        assert facts["ContainerdNamespace"] not in containerd.namespaces()
        there = facts_of(other)["ContainerdNamespace"]
        assert len(containerd.ctr("tasks", "ls", "-q", namespace=there).lines) == 1
        assert pouch(other, "exec", "runs", "echo", "in").out == "in\n"
        pouch(other, "system", "reset", "-f")
        assert containerd.namespaces() == []


def test_after_an_image_that_was_committed_and_removed(busybox_tar):
    """The garbage collector has taken its layer, and containerd still counts it."""
    with PrivateContainerd() as containerd, embed_root(containerd) as uri:
        fill(uri, busybox_tar)
        pouch(uri, "commit", "ended", "committed")
        pouch(uri, "run", "--rm", "--network", "none", "committed", "true")
        pouch(uri, "rmi", "committed")
        facts = facts_of(uri)
        pouch(uri, "system", "reset", "-f")
        assert_gone(facts)
        assert containerd.namespaces() == []


def test_who_has_it_open_is_named(busybox_tar):
    with private_dir() as folder, new_root(folder) as uri:
        fill(uri, busybox_tar)
        with subprocess.Popen([POUCH, "-H", uri, "wait", "runs"], stdout=subprocess.PIPE) as waiting:
            assert procs.wait_until(lambda: (folder / "root/owners").exists() and any(
                file.read_text().split()[:1] == [str(waiting.pid)] for file in (folder / "root/owners").iterdir()), 60)
            told = pouch(uri, "system", "reset", "-f", check=False)
            assert told.code != 0 and f"it is open in process {waiting.pid};" in told.err
            # Nothing was touched, and it can be opened.
            assert "runs" in pouch(uri, "ps").out
            facts = facts_of(uri)
            pouch(uri, "system", "reset", "-f", "--in-use")
            waiting.kill()
        assert_gone(facts)


def test_asks_first(busybox_tar):
    with private_dir() as folder, new_root(folder) as uri:
        pouch(uri, "load", "-i", busybox_tar)
        told = run(POUCH, "-H", uri, "system", "reset", stdin="n\n")
        assert "WARNING! This will remove all containers" in told.out and "[y/N]" in told.out
        assert "busybox" in pouch(uri, "images").out
        assert "Removed root" in run(POUCH, "-H", uri, "system", "reset", stdin="y\n").out


def test_a_reset_broken_off_is_repeated(busybox_tar):
    with private_dir() as folder, new_root(folder) as uri:
        fill(uri, busybox_tar)
        facts = facts_of(uri)
        (folder / "root/resetting").touch()
        told = pouch(uri, "ps", check=False)
        assert told.code != 0 and "it is being reset" in told.err
        pouch(uri, "system", "reset", "-f")
        assert_gone(facts)


def test_files_of_others_stay(busybox_tar):
    with private_dir() as folder, new_root(folder) as uri:
        pouch(uri, "load", "-i", busybox_tar)
        (folder / "root/mine").write_text("kept")
        pouch(uri, "system", "reset", "-f")
        assert [entry.name for entry in (folder / "root").iterdir()] == ["mine"]


def test_a_root_that_is_a_file_system_of_its_own(busybox_tar):
    """What it is mounted from is emptied, and stays mounted: that was somebody else's doing."""
    with private_dir() as folder, new_root(folder) as uri:
        (folder / "root").mkdir(mode=0o700)
        subprocess.run(["mount", "--bind", folder / "root", folder / "root"], check=True)
        try:
            fill(uri, busybox_tar)
            pouch(uri, "system", "reset", "-f")
            assert list((folder / "root").iterdir()) == []
            assert [path for path, _, _ in mounted(folder / "root")] == [str(folder / "root")]
        finally:
            subprocess.run(["umount", folder / "root"], check=True)


def test_python(busybox_tar):
    with private_dir() as folder, new_root(folder) as uri:
        fill(uri, busybox_tar)
        facts = facts_of(uri)
        gone = library.reset(uri)
        assert gone == {"Containers": 3, "Images": 1, "Root": facts["Root"], "RootId": facts["RootId"]}
        assert_gone(facts)
        with pytest.raises(library.NotFound):
            library.reset(uri)


@pytest.mark.parametrize("uri", ["mock://", "unix:///run/pouchd.sock"])
def test_only_a_root_of_this_host(uri):
    told = pouch(uri, "system", "reset", "-f", check=False)
    assert told.code != 0 and "only a root of this host can be, by its folder (embed:///var/lib/pouch)" in told.err
