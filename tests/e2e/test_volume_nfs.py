"""Volumes on an NFS server: the kernel's own, on this host's loopback."""

import contextlib
import os
import pathlib
import shutil
import subprocess

import pytest
from pouchtest import mounts, procs
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]
pytestmark = pytest.mark.vm

_NFSD = pathlib.Path("/proc/fs/nfsd")


def _call(*command, check=True):
    return subprocess.run(command, capture_output=True, text=True, check=check)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """A folder that the kernel's server gives to 127.0.0.1, NFSv4 alone."""
    missing = [name for name in ("exportfs", "rpc.mountd", "rpc.nfsd") if not shutil.which(name, path="/usr/sbin:/sbin")]
    if missing or _call("modprobe", "nfsd", check=False).returncode != 0:
        pytest.skip(f"no NFS server here: {' '.join(missing) or 'the kernel has no nfsd'}")
    folder = tmp_path_factory.mktemp("export")
    with contextlib.ExitStack() as stack:
        if not os.path.ismount(_NFSD):
            _call("mount", "-t", "nfsd", "nfsd", _NFSD)
            stack.callback(_call, "umount", _NFSD, check=False)
        _call("exportfs", "-o", "rw,no_root_squash,no_subtree_check,insecure,fsid=0", f"127.0.0.1:{folder}")
        stack.callback(_call, "exportfs", "-u", f"127.0.0.1:{folder}")
        answers = subprocess.Popen(["/usr/sbin/rpc.mountd", "--foreground", "-N", "3"], stdin=subprocess.DEVNULL)
        stack.callback(answers.wait, 10)
        stack.callback(answers.terminate)
        # Nobody was here before, so nobody has anything to reclaim: the shortest grace there is.
        _call("rpc.nfsd", "-N", "3", "-G", "10", "-L", "10", "-H", "127.0.0.1", "1")
        stack.callback(_call, "rpc.nfsd", "0")
        yield folder


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


def test_a_share_is_mounted_while_containers_have_it(docker, daemon, export):
    (export / "there").write_text("of the server\n")
    create(docker, "share", "addr=localhost,nfsvers=4.2,soft")
    docker("run", "--detach", "--name", "c1", "-v", "share:/s", "busybox", "sleep", "1000")
    found = [kind for path, kind, _ in mounts.mounted(daemon.dir / "home/volumes")]
    assert found == ["nfs4"]
    assert docker("run", "--rm", "-v", "share:/s", "busybox", "sh", "-c",
                  "cat /s/there; echo x >/s/made; grep -o addr=127.0.0.1 /proc/mounts | tail -n 1").lines == [
                      "of the server", "addr=127.0.0.1"]
    assert (export / "made").read_text() == "x\n" and docker("exec", "c1", "cat", "/s/made").out == "x\n"
    docker("rm", "--force", "c1")
    assert procs.wait_until(lambda: not mounts.mounted(daemon.dir / "home/volumes"), 30)
    docker("volume", "rm", "share")
    assert (export / "made").exists()


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
