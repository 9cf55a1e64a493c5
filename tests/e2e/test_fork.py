"""A parent whose threads are in calls forks many children, each with a client of its own; nothing hangs.

$POUCH_FORK_CHILDREN children each time (tests/long/fork: 500)."""

import os
import sys

import pytest
from pouchtest import Pouchd, embed_root
from pouchtest.hosts import run_host
from pouchtest.paths import REPO, build_dir

pytest_plugins = ["pouchtest.fixtures"]

CHILDREN = int(os.environ.get("POUCH_FORK_CHILDREN", "60"))
EVERY = 10  # each so-manieth child runs a container
SECONDS = 120 + CHILDREN
PROGRAMS = {"c": [build_dir() / "bin/fork_host"],
            "python": [sys.executable, REPO / "tests/e2e/programs/fork_host.py"]}


@pytest.fixture(params=["embed", "unix", "mock"])
def uri(request, leak_guard):  # pylint: disable=unused-argument
    if request.param == "mock":
        yield "mock://"
    elif request.param == "embed":
        with embed_root() as address:
            yield address
    else:
        with Pouchd() as pouchd:
            yield pouchd.uri


@pytest.mark.parametrize("language", PROGRAMS)
def test_children_of_a_parent_in_calls(uri, busybox_tar, language):
    done = run_host([*PROGRAMS[language], uri, busybox_tar, str(CHILDREN), str(EVERY)], SECONDS)
    assert done.returncode == 0, done.stderr
