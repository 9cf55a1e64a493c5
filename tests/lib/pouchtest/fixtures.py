"""pytest fixtures for every suite: `from pouchtest.fixtures import *` in its conftest.py."""

import os

import pytest

from . import networks, procs
from .cgroups import hugetlb_cgroup
from .images import busybox_image_tar
from .leaks import RUN_VARIABLE, LeakGuard
from .pouchd import Pouchd

__all__ = ["busybox_tar", "docker", "hugetlb", "leak_guard", "pouchd"]


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


@pytest.fixture(scope="module")
def pouchd(busybox_tar):
    """A pouchd with the image busybox; at its end the root's links and rules must go."""
    with Pouchd() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        daemon.root_id = daemon.docker("info", "--format", "{{.ID}}").out.strip()
        yield daemon
    assert procs.wait_until(lambda: not networks.remains(daemon.root_id), 20), networks.remains(daemon.root_id)


@pytest.fixture
def docker(pouchd):
    """The docker CLI on it. Containers and networks go with the test."""
    yield pouchd.docker
    networks.clear(pouchd.docker)
