"""Fixtures of the tests that run in the test machine only (tools/testvm): systemd and control groups v2 are there."""

import os
import pathlib
import shutil

import pytest
from pouchtest.paths import build_dir
from pouchtest.run import run

from vmtest import Service

pytest_plugins = ["pouchtest.fixtures"]
collect_ignore = []


def pytest_configure(config):
    if "POUCH_TESTVM_BOOT" not in os.environ:
        pytest.exit("tests/vm changes the system's services: they run by tools/testvm only", returncode=4)


@pytest.fixture(scope="session")
def service(busybox_tar):
    """pouchd as a service of systemd, on the system's containerd and root, with the busybox image."""
    unit = pathlib.Path("/etc/systemd/system/pouchd.service")
    if not unit.exists():
        shutil.copy(build_dir() / "systemd/pouchd.service", unit)
        config = pathlib.Path("/etc/pouch/config.json")
        config.parent.mkdir(exist_ok=True)
        config.write_text('{"containerd": "/run/containerd/containerd.sock", "add-runtime": {"crun": "/usr/bin/crun"}}')
        run("systemctl", "daemon-reload")
        run("systemctl", "enable", "--quiet", "pouchd.service")
    found = Service()
    found.start()
    found.docker("load", "--input", busybox_tar)
    return found


@pytest.fixture
def docker(service):
    """The docker CLI on the service; what a test leaves is removed."""
    yield service.docker
    ids = service.docker("ps", "--all", "--quiet").lines
    if ids:
        service.docker("rm", "--force", *ids)
