"""A pouchd of one's own, from the build under test."""

import contextlib
import http.client
import os
import socket

from . import mounts, procs
from .containerd import PrivateContainerd, end_shims
from .daemon import Daemon
from .paths import build_dir, docker_cli
from .ports import free_port
from .run import run


class Pouchd(Daemon):
    """pouchd on a unix socket and a loopback port, on a containerd of its own unless one is given. With "private" pouchd
    runs one itself.

        with Pouchd() as pouchd:
            pouchd.pouch("run", "--rm", "busybox", "echo", "hi")
    """

    name = "pouchd"

    def __init__(self, folder=None, containerd=None, args=()):
        super().__init__(folder)
        self.socket = self.dir / "p.sock"
        self.uri = f"unix://{self.socket}"
        self.port = free_port()
        self.tcp = f"tcp://127.0.0.1:{self.port}"
        self._own_containerd = containerd is None
        self.containerd = containerd or PrivateContainerd(self.dir / "containerd")
        self._is_private = containerd == "private"
        self._args = args

    def command(self):
        return [
            build_dir() / "bin/pouchd",
            f"--listen={self.uri}",
            f"--listen={self.tcp}",
            f"--home-dir={self.dir}/home",
            f"--exec-root-dir={self.dir}/run",
            *([] if self._is_private else [f"--containerd={self.containerd.socket}"]),
            *self._args,
        ]

    def start(self):
        if self._own_containerd and not self.containerd.runs():
            self.containerd.start()
        return super().start()

    def is_ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/_ping")[0] == 200
        return False

    def request(self, method, path, body=None, headers=None, timeout=30):
        """One HTTP request over the unix socket: (status, headers, body)."""
        connection = UnixConnection(self.socket, timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def pouch(self, *args, **options):
        """Our CLI against this daemon. `options` as for `run`."""
        return run(build_dir() / "bin/pouch", "-H", self.uri, *args, **options)

    def docker(self, *args, **options):
        """The user's docker CLI against this daemon."""
        env = {"DOCKER_HOST": self.uri, "DOCKER_CONFIG": self.dir / "cli", **options.pop("env", {})}
        return run(docker_cli(), *args, env=env, **options)

    def before_stop(self):
        ids = self.docker("ps", "--all", "--quiet").lines
        if ids:
            self.docker("rm", "--force", *ids)

    def clean_up(self):
        # The keeper outlives pouchd by design; with its root gone it has nothing to keep.
        # A supervisor may start a worker meanwhile.
        while keepers := [pid for pid in procs.mentioning(str(self.dir)) if _is_keeper(pid)]:
            for pid in keepers:
                procs.end(pid)
        if self._own_containerd:
            self.containerd.stop()
        end_shims(self.dir)
        mounts.unmount_below(self.dir)


def _is_keeper(pid):
    if "pouch-keeper" in procs.cmdline(pid):
        return True
    try:
        return "pouch-keeper" in os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
