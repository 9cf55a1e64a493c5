"""Programs that end while their threads are in calls: no crash, no hang, and what they have begun is whole."""

import sys

import pytest
from pouchtest import Pouchd, embed_root
from pouchtest.hosts import run_host
from pouchtest.paths import REPO, build_dir
from pouchtest.procs import wait_until
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

ROUNDS = 2
SECONDS = 60
C_WAYS = {"return": 7, "exit": 7, "_exit": 7, "quick_exit": 7, "thread": 7, "atexit": 7}
PYTHON_WAYS = {"exit": 7, "_exit": 7, "end": 0, "error": 1, "atexit": 7, "atexit-error": 7}
WAYS = [*(("c", how, code) for how, code in C_WAYS.items()), *(("python", how, code) for how, code in PYTHON_WAYS.items())]


def program(language):
    if language == "c":
        return [build_dir() / "bin/exit_host"]
    return [sys.executable, REPO / "tests/e2e/programs/exit_host.py"]


@pytest.fixture(name="uri", params=["embed", "unix", "mock"], scope="module")
def uri_fixture(request):
    if request.param == "mock":
        yield "mock://"
    elif request.param == "embed":
        with embed_root() as address:
            yield address
    else:
        with Pouchd() as pouchd:
            yield pouchd.uri


def pouch(uri, *arguments, check=True):
    return run(build_dir() / "bin/pouch", "-H", uri, *arguments, timeout=60, check=check)


def remove_all(uri):
    """The engine itself is still removing what such a program has left to be removed, so that some are gone before we
    come, or just going; nothing else may be in the way."""
    def is_empty():
        if not (left := pouch(uri, "ps", "--all", "--quiet").lines):
            return True
        done = pouch(uri, "rm", "--force", *left, check=False)
        for line in done.err.splitlines():
            assert "is already in progress" in line or "No such container" in line, done.err
        return False

    assert wait_until(is_empty, 60, 0.2)


@pytest.fixture(name="bystander")
def bystander_fixture(uri, busybox_tar):
    """A container of nobody's that runs; all are removed afterwards."""
    if uri == "mock://":
        yield lambda: True
        return
    pouch(uri, "load", "--input", busybox_tar)
    pouch(uri, "run", "--detach", "--name", "stays", "--network", "none", "busybox", "sleep", "1000")
    yield lambda: pouch(uri, "ps", "--filter", "name=stays", "--format", "{{.State}}").out == "running\n"
    remove_all(uri)


@pytest.mark.parametrize(("language", "how", "code"), WAYS)
def test_exit_amid_calls(uri, busybox_tar, bystander, language, how, code):
    for _ in range(ROUNDS):
        done = run_host([*program(language), uri, busybox_tar, how], SECONDS, stdin="\n")
        assert (done.returncode, done.stdout) == (code, "ready\n"), done.stderr
    assert bystander()
