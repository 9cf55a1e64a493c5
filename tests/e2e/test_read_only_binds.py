"""Read-only binds of a folder with something mounted in it: how far "read-only" reaches."""

import json
import shutil
import subprocess

import pytest
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]

# Which of a mount's folder and the one mounted in it can be written to.
_LOOK = ('for m in "$@"; do w=; touch /$m/x 2>/dev/null && w=top; touch /$m/sub/x 2>/dev/null && w=$w,sub; '
         'grep -q " /$m/sub " /proc/mounts && w=$w,mounted; echo $m=$w; done')


@pytest.fixture(scope="module")
def pouchd(busybox_tar):
    with Pouchd() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        yield daemon


@pytest.fixture
def docker(pouchd):
    yield pouchd.docker
    ids = pouchd.docker("ps", "--all", "--quiet").lines
    if ids:
        pouchd.docker("rm", "--force", *ids)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "sub").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "sub"], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path / "sub"], check=True)


def look(run, mounts, *options, **more):
    """{"a": what can be written to below /a} of mounts {"a": "type=bind,…"} or {"a": "-v's mode"}."""
    words = [word for name, (flag, text) in mounts.items() for word in (flag, text.format(name))]
    lines = run("run", *options, *words, "busybox", "sh", "-c", _LOOK, "sh", *mounts, **more).lines
    return dict(line.split("=") for line in lines)


def bind(source, extra=""):
    return "--mount", f"type=bind,src={source},dst=/{{}}{extra}"


def short(source, mode):
    return "--volume", f"{source}:/{{}}:{mode}"


def test_read_only_reaches_what_is_mounted_below(docker, pouchd, source):
    mounts = {
        "a": short(source, "ro"),
        "b": bind(source, ",readonly"),
        "c": bind(source, ",readonly,bind-recursive=writable"),
        "d": bind(source, ",readonly,bind-recursive=disabled"),
        "e": bind(source, ",readonly,bind-recursive=readonly,bind-propagation=rprivate"),
        "f": bind(source),
        "g": short(source, "rro"),
        "h": short(source, "ro-non-recursive"),
    }
    expected = {"a": ",mounted", "b": ",mounted", "c": ",sub,mounted", "d": "", "e": ",mounted", "f": "top,sub,mounted",
                "g": ",mounted", "h": ",sub,mounted"}
    assert look(docker, mounts, "--name", "c1") == expected
    points = json.loads(docker("inspect", "c1").out)[0]["Mounts"]
    assert {point["Destination"][1:]: point["RW"] for point in points} == {name: name == "f" for name in mounts}
    # Another start, and another container that has the same.
    assert dict(line.split("=") for line in docker("start", "--attach", "c1").lines) == expected
    taken = docker("run", "--rm", "--volumes-from", "c1", "busybox", "sh", "-c", _LOOK, "sh", *mounts)
    assert dict(line.split("=") for line in taken.lines) == expected
    # Our own command says the same, by the same flags.
    assert look(pouchd.pouch, mounts, "--rm") == expected


def test_older_clients_have_it_as_it_was(docker, source):
    old = {"DOCKER_API_VERSION": "1.43"}
    mounts = {"a": short(source, "ro"), "b": bind(source, ",readonly")}
    assert look(docker, mounts, "--name", "c1", env=old) == {"a": ",sub,mounted", "b": ",sub,mounted"}
    shown = json.loads(docker("inspect", "c1", env=old).out)[0]
    assert shown["HostConfig"]["Binds"] == [f"{source}:/a:ro"]
    assert {point["Destination"]: point["Mode"] for point in shown["Mounts"]} == {"/a": "ro", "/b": ""}
    assert "BindOptions" not in shown["HostConfig"]["Mounts"][0]
    shown = json.loads(docker("inspect", "c1").out)[0]
    assert shown["HostConfig"]["Binds"] == [f"{source}:/a:ro-non-recursive"]
    assert shown["HostConfig"]["Mounts"][0]["BindOptions"] == {"ReadOnlyNonRecursive": True}


def test_what_is_refused(docker, pouchd, source):
    for args, words in [
            (["--volume", f"{source}:/a:ro,rro"], "invalid mode: ro,rro"),
            (["--volume", "vol1:/a:rro"], 'mount mode "rro" requires a bind mount'),
            (["--mount", f"type=bind,src={source},dst=/a,bind-recursive=writable"],
             "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction"),
            (["--mount", f"type=bind,src={source},dst=/a,bind-recursive=readonly"],
             "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction"),
            (["--mount", f"type=bind,src={source},dst=/a,ro,bind-recursive=readonly"],
             "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction")]:
        for command in (docker, pouchd.pouch):
            refused = command("create", *args, "busybox", check=False)
            assert refused.code != 0 and words in refused.err, (args, refused.err)


def test_a_runtime_that_cannot(docker, source, hugetlb):
    """crun says what it can since 1.8.6. What asks for nothing is then read-only at the top alone."""
    told = subprocess.run([shutil.which("crun"), "features"], capture_output=True, text=True, check=False)
    can = told.returncode == 0 and "rro" in json.loads(told.stdout)["mountOptions"]
    assert look(docker, {"a": bind(source, ",readonly")}, "--runtime", "crun") == {"a": ",mounted" if can else ",sub,mounted"}
    forced = docker("run", "--runtime", "crun", *[word.format("a") for word in short(source, "rro")], "busybox", "true", check=False)
    assert forced.code == (0 if can else 125)
    assert can or 'rro is not supported by runtime "crun": OCI features struct is not available' in forced.err
