"""pytest fixtures for every suite: `from pouchtest.fixtures import *` in its conftest.py."""

import os

import pytest

from .cgroups import hugetlb_cgroup
from .images import busybox_image_tar
from .leaks import RUN_VARIABLE, LeakGuard

__all__ = ["busybox_tar", "hugetlb", "leak_guard"]


@pytest.fixture
def leak_guard():
    """Fails the test if it leaves anything. On a machine shared with others set POUCH_LEAKS=own."""
    own = os.environ.get(RUN_VARIABLE, "pouch-test-") if os.environ.get("POUCH_LEAKS") == "own" else ""
    with LeakGuard(own_only=own) as guard:
        yield guard


@pytest.fixture(scope="session")
def busybox_tar(tmp_path_factory):
    """The busybox image as a docker-archive."""
    return busybox_image_tar(tmp_path_factory.mktemp("image") / "busybox.tar")


@pytest.fixture(scope="session")
def hugetlb():
    """crun works on a cgroup v1 host."""
    with hugetlb_cgroup():
        yield
