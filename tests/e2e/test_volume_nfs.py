"""Volumes on servers of NFS and SMB: what is said when one cannot be mounted."""

import pytest
from pouchtest import mounts
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]


@pytest.fixture(scope="module")
def daemon(busybox_tar):
    with Pouchd() as found:
        found.docker("load", "--input", busybox_tar)
        yield found


@pytest.fixture
def docker(daemon):
    yield daemon.docker
    ids = daemon.docker("ps", "--all", "--quiet").lines
    if ids:
        daemon.docker("rm", "--force", *ids)
    names = daemon.docker("volume", "ls", "--quiet").lines
    if names:
        daemon.docker("volume", "rm", *names)


def create(docker, name, options, device=":/", kind="nfs"):
    return docker("volume", "create", "-o", f"type={kind}", "-o", f"o={options}", "-o", f"device={device}", name, check=False)


def test_what_cannot_be_mounted(docker, daemon):
    create(docker, "nowhere", "addr=a..b,nfsvers=4")
    refused = docker("run", "--rm", "-v", "nowhere:/s:nocopy", "busybox", "true", check=False)
    assert refused.code == 125 and 'error resolving passed in network volume address: look up "a..b"' in refused.err
    # Nobody listens on that port; or the kernel has no NFS at all.
    create(docker, "refused", "addr=127.0.0.1,port=1,nfsvers=4,soft,retrans=1,timeo=10")
    refused = docker("run", "--rm", "-v", "refused:/s:nocopy", "busybox", "true", check=False)
    assert refused.code == 125 and "failed to mount local volume" in refused.err
    assert "port not allowed in CIFS device URL" in create(docker, "smb", "username=me", "//host:99/share", "cifs").err
    assert not mounts.mounted(daemon.dir / "home/volumes")
