"""Volumes on servers of NFS and SMB: the kernel's own NFS server, on this host's loopback, and what is said when a share
cannot be mounted."""

import pytest
from pouchtest import mounts, nfs, procs
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]
pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def server():
    reason = nfs.why_not()
    if reason:
        pytest.skip(f"no NFS server here: {reason}")
    with nfs.Server() as found:
        yield found


@pytest.fixture
def share(server, tmp_path):
    """A folder that the server gives away."""
    folder = tmp_path / "share"
    folder.mkdir()
    server.export(folder)
    return folder


@pytest.fixture(scope="module")
def daemon(busybox_tar):
    with Pouchd() as found:
        found.docker("load", "--input", busybox_tar)
        yield found


@pytest.fixture
def docker(daemon):
    yield daemon.docker
    if not daemon.runs():
        daemon.start()
    ids = daemon.docker("ps", "--all", "--quiet").lines
    if ids:
        daemon.docker("rm", "--force", *ids)
    names = daemon.docker("volume", "ls", "--quiet").lines
    if names:
        daemon.docker("volume", "rm", *names)


def create(docker, name, options, device=":/", kind="nfs"):
    return docker("volume", "create", "-o", f"type={kind}", "-o", f"o={options}", "-o", f"device={device}", name, check=False)


def mounted(daemon):
    """[(type, source)] of what volumes have mounted."""
    return [(kind, source) for _, kind, source in mounts.mounted(daemon.dir / "home/volumes")]


def is_unmounted(daemon):
    return procs.wait_until(lambda: not mounted(daemon), 30)


# Without a version the kernel and the server agree on one.
@pytest.mark.parametrize("kind, options", [("nfs", "nfsvers=4.2,soft"), ("nfs", "vers=4,soft"), ("nfs4", "soft")])
def test_a_share_is_mounted_while_containers_have_it(docker, daemon, share, kind, options):
    (share / "there").write_text("of the server\n")
    create(docker, "vol1", f"addr=localhost,{options}", f":{share}", kind)
    assert mounted(daemon) == []
    docker("run", "--detach", "--name", "c1", "-v", "vol1:/s", "busybox", "sleep", "1000")
    assert mounted(daemon) == [("nfs4", f":{share}")]
    assert docker("run", "--rm", "-v", "vol1:/s", "busybox", "sh", "-c",
                  "cat /s/there; echo x >/s/made; grep -o ,addr=127.0.0.1 /proc/mounts | tail -n 1").lines == [
                      "of the server", ",addr=127.0.0.1"]
    # One is gone, the other one goes on.
    assert mounted(daemon) == [("nfs4", f":{share}")]
    assert (share / "made").read_text() == "x\n" and docker("exec", "c1", "cat", "/s/made").out == "x\n"
    assert "volume is in use" in docker("volume", "rm", "vol1", check=False).err
    docker("stop", "--time", "0", "c1")
    assert is_unmounted(daemon)
    docker("start", "c1")
    assert docker("exec", "c1", "cat", "/s/made").out == "x\n"
    docker("rm", "--force", "c1")
    assert is_unmounted(daemon)
    docker("volume", "rm", "vol1")
    assert (share / "made").exists()


def test_parts_and_read_only(docker, daemon, share):
    (share / "a/b").mkdir(parents=True)
    (share / "a/b/file").write_text("deep\n")
    create(docker, "vol1", "addr=127.0.0.1,nfsvers=4.2,soft", f":{share}")
    docker("run", "--rm", "--mount", "type=volume,src=vol1,dst=/s,volume-subpath=a/b,readonly", "busybox", "sh", "-c",
           "grep deep /s/file && ! touch /s/more")
    create(docker, "vol2", "addr=127.0.0.1,nfsvers=4.2,soft,ro", f":{share}")
    assert "Read-only file system" in docker("run", "--rm", "-v", "vol2:/s", "busybox", "touch", "/s/more", check=False).err
    assert is_unmounted(daemon) and not (share / "a/b/more").exists()


def test_files_of_the_image_come_to_an_empty_share(docker, daemon, share):
    docker("run", "--name", "seed", "busybox", "sh", "-c", "mkdir /data; echo x >/data/x; chown 7:8 /data/x; ln -s x /data/l")
    docker("commit", "seed", "seeded")
    create(docker, "vol1", "addr=127.0.0.1,nfsvers=4.2,soft", f":{share}")
    assert docker("run", "--rm", "-v", "vol1:/data", "seeded", "sh", "-c", "stat -c '%u %g' /data/x; cat /data/l").lines == ["7 8", "x"]
    assert {path.name for path in share.iterdir()} == {"x", "l"} and (share / "x").stat().st_uid == 7
    assert is_unmounted(daemon)
    # They are not brought again.
    (share / "x").write_text("changed\n")
    assert docker("run", "--rm", "-v", "vol1:/data", "seeded", "cat", "/data/x").out == "changed\n"
    docker("rm", "seed")
    docker("rmi", "seeded")


def test_a_killed_pouchd_leaves_the_share_to_its_containers(docker, daemon, share):
    # Without a cache, or the client would not see for half a minute what the server has made.
    create(docker, "vol1", "addr=127.0.0.1,nfsvers=4.2,soft,noac", f":{share}")
    docker("run", "--detach", "--name", "c1", "-v", "vol1:/s", "busybox", "sh", "-c", "until test -e /s/end; do sleep 1; done")
    daemon.kill()
    daemon.start()
    assert len(mounted(daemon)) == 1
    docker("exec", "c1", "touch", "/s/made")
    daemon.kill()
    (share / "end").touch()
    # The keeper sees it.
    assert is_unmounted(daemon) and (share / "made").exists()
    daemon.start()
    assert docker("inspect", "--format", "{{.State.ExitCode}}", "c1").out == "0\n"


def test_a_share_that_comes_later(docker, daemon, server, share, tmp_path):
    """A container whose start failed is there, and starts when it can."""
    late = tmp_path / "late"
    create(docker, "vol1", "addr=localhost,nfsvers=4.2,soft", f":{late}")
    docker("create", "--name", "c1", "-v", "vol1:/s:nocopy", "busybox", "cat", "/s/there")
    refused = docker("start", "c1", check=False)
    assert refused.code != 0 and "failed to mount local volume" in refused.err, refused.err
    assert f'":{late}"' in refused.err and "No such file or directory" in refused.err, refused.err
    assert docker("inspect", "--format", "{{.State.Status}}", "c1").out == "created\n" and mounted(daemon) == []
    late.mkdir()
    (late / "there").write_text("now\n")
    server.export(late)
    assert docker("start", "--attach", "c1").out == "now\n"
    assert is_unmounted(daemon)


def test_a_wrong_server(docker, daemon, share):
    create(docker, "vol1", "addr=127.0.0.2,nfsvers=4.2,soft,retrans=1,timeo=10", f":{share}")
    refused = docker("run", "--name", "c1", "-v", "vol1:/s:nocopy", "busybox", "true", check=False)
    assert refused.code == 125 and "failed to mount local volume" in refused.err and "Connection refused" in refused.err, refused.err
    assert mounted(daemon) == []
    docker("rm", "c1")
    docker("volume", "rm", "vol1")
    # Under the same name, at the right one.
    create(docker, "vol1", "addr=127.0.0.1,nfsvers=4.2,soft", f":{share}")
    docker("run", "--rm", "-v", "vol1:/s", "busybox", "touch", "/s/made")
    assert (share / "made").exists()


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
