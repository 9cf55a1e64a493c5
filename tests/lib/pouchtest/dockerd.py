"""Debian's dockerd as the oracle: what an unmodified daemon answers to the same call."""

import contextlib
import json
import os
import socket

from . import cgroups, mounts, networks
from .containerd import PrivateContainerd
from .daemon import Daemon
from .paths import docker_cli, find_program
from .run import run


class PrivateDockerd(Daemon):
    """dockerd on a containerd of its own, with all its folders in a private one.

    Without a network, or with `bridge` on a bridge of its own from which nothing leads anywhere else.

        with PrivateDockerd() as dockerd:
            dockerd.load(tar)
            dockerd.docker("run", "--rm", "--network", "none", "busybox", "echo", "hi")
    """

    name = "dockerd"

    def __init__(self, folder=None, bridge=False):
        super().__init__(folder)
        self._bridge = f"dk{os.getpid()}" if bridge else ""
        self.socket = self.dir / "d.sock"
        self.host = f"unix://{self.socket}"
        self.containerd = PrivateContainerd(self.dir / "containerd")
        self._cgroup = self.dir.name

    def command(self):
        # An absent configuration file is an error, and the default one is the machine's.
        (self.dir / "daemon.json").write_text("{}")
        return [
            find_program("dockerd"),
            f"--config-file={self.dir}/daemon.json",
            f"--host={self.host}",
            f"--data-root={self.dir}/data",
            f"--exec-root={self.dir}/exec",
            f"--pidfile={self.dir}/pid",
            f"--containerd={self.containerd.socket}",
            f"--cgroup-parent=/{self._cgroup}",
            f"--bridge={self._bridge or 'none'}",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            f"--userland-proxy={'true' if self._bridge else 'false'}",  # without one it publishes at no IPv6 address
        ]

    def start(self):
        self.containerd.start()
        if self._bridge:
            networks.ip("link", "add", self._bridge, "type", "bridge")
            networks.ip("address", "add", f"198.19.{os.getpid() % 250}.1/24", "dev", self._bridge)
            networks.ip("link", "set", self._bridge, "up")
        return super().start()

    def is_ready(self):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(2)
            sock.connect(str(self.socket))
            sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"200 OK" in sock.recv(256)
        return False

    def docker(self, *args, **options):
        """The user's docker CLI against this daemon. `options` as for `run`."""
        env = {"DOCKER_HOST": self.host, "DOCKER_CONFIG": self.dir / "cli", **options.pop("env", {})}
        return run(docker_cli(), *args, env=env, **options)

    def load(self, tar):
        return self.docker("load", "--input", tar)

    def before_stop(self):
        ids = self.docker("ps", "--all", "--quiet").lines
        if ids:
            self.docker("rm", "--force", *ids)

    def clean_up(self):
        self.containerd.stop()
        if self._bridge:
            networks.ip("link", "delete", self._bridge, check=False)
        mounts.unmount_below(self.dir)
        cgroups.remove_group(self._cgroup)

    def info(self):
        return json.loads(self.docker("info", "--format", "{{json .}}").out)
