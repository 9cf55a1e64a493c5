"""pouchd as a process: start, stop, crash, and what survives it."""

import json
import os
import signal
import socket
import stat
import subprocess

import pytest
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd, UnixConnection

pytest_plugins = ["pouchtest.fixtures"]
pytestmark = pytest.mark.vm


@pytest.fixture
def pouchd(busybox_tar):
    with Pouchd() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        yield daemon


def start_failing(*args):
    return subprocess.run([build_dir() / "bin/pouchd", *args], capture_output=True, text=True, timeout=30, check=False)


def end(daemon, number):
    """Ends pouchd alone; its containerd and its containers go on."""
    daemon.process.send_signal(number)
    return daemon.process.wait(30)


def restart(daemon):
    # The containerd runs; only pouchd is to be started.
    own, daemon._own_containerd = daemon._own_containerd, False
    try:
        daemon.start()
    finally:
        daemon._own_containerd = own


def test_graceful_stop_with_streams_open(pouchd):
    pouchd.docker("run", "--detach", "--name", "c1", "--network", "none", "busybox", "sleep", "100")
    events = UnixConnection(pouchd.socket)
    events.request("GET", "/events", headers={"Pouch-Strict": "1"})
    answer = events.getresponse()
    assert end(pouchd, signal.SIGTERM) == 0
    assert b"Unavailable" in answer.read()
    assert not pouchd.socket.exists()
    restart(pouchd)
    assert pouchd.docker("inspect", "--format", "{{.State.Running}}", "c1").out == "true\n"
    assert pouchd.docker("exec", "c1", "echo", "hi").out == "hi\n"


def test_crash_leaves_containers_and_a_stale_socket(pouchd):
    pouchd.docker("run", "--detach", "--name", "c1", "--network", "none", "busybox", "sh", "-c",
                  "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two; sleep 0.5; exit 3")
    pouchd.kill()
    assert pouchd.socket.exists()
    restart(pouchd)
    pouchd.docker("exec", "c1", "touch", "/go")
    assert pouchd.docker("wait", "c1").out == "3\n"
    assert pouchd.docker("logs", "c1").out == "one\ntwo\n"


def test_exit_while_no_pouchd_runs(pouchd):
    pouchd.docker("run", "--detach", "--name", "c1", "--network", "none", "busybox", "sh", "-c", "sleep 1; exit 5")
    assert end(pouchd, signal.SIGINT) == 0
    restart(pouchd)
    assert pouchd.docker("wait", "c1").out == "5\n"


def test_two_daemons_on_one_root(pouchd, tmp_path):
    other = Pouchd(containerd=pouchd.containerd)
    other.command = lambda: [
        build_dir() / "bin/pouchd", f"--listen={other.uri}", f"--home-dir={pouchd.dir}/home",
        f"--exec-root-dir={pouchd.dir}/run", f"--containerd={pouchd.containerd.socket}"]
    with other:
        pouchd.docker("run", "--detach", "--name", "c1", "--network", "none", "busybox", "sh", "-c", "sleep 1; exit 6")
        assert other.docker("wait", "c1").out == "6\n"
        assert other.docker("rm", "c1").out == "c1\n"
        assert pouchd.docker("ps", "--all", "--quiet").out == ""


def test_socket_modes_and_a_second_server(pouchd):
    assert stat.S_IMODE(os.stat(pouchd.socket).st_mode) == 0o660
    second = start_failing("--mock", f"--listen={pouchd.uri}")
    assert second.returncode == 1 and "another server listens there" in second.stderr


def test_readiness_pid_file_and_config_file(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(30)
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"listen": [f"unix://{tmp_path}/s"], "pidfile": f"{tmp_path}/pid", "mock": True}))
        with subprocess.Popen([build_dir() / "bin/pouchd", "--config-file", config], stderr=subprocess.DEVNULL,
                              env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}) as daemon:
            assert notify.recv(100) == b"READY=1"
            assert int((tmp_path / "pid").read_text()) == daemon.pid
            client = UnixConnection(tmp_path / "s")
            client.request("GET", "/_ping")
            assert client.getresponse().read() == b"OK"
            daemon.terminate()
            assert notify.recv(100) == b"STOPPING=1"
            assert daemon.wait(30) == 0
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize(("args", "code", "message"), [
    (["--nosuch"], 2, "--nosuch"),
    (["--mock", "--listen=http://x"], 1, "expected unix:///path or tcp://host:port"),
    (["--mock", "--group=no such group"], 1, "no such group"),
    (["--config-file=/nosuch/file"], 2, "/nosuch/file"),
    (["--home-dir=relative"], 1, "relative"),
])
def test_bad_options(tmp_path, args, code, message):
    if not any(arg.startswith("--listen") for arg in args):
        args = [*args, f"--listen=unix://{tmp_path}/s"]
    result = start_failing(*args)
    assert (result.returncode, message in result.stderr) == (code, True), result.stderr
    assert result.stderr.count("\n") == 1
