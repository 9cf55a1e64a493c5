"""Beside Docker and podman on one machine: their networks work before, during and after ours, their rules stay as they were,
and what Docker's FORWARD policy keeps from us is said, with what helps.

All live in a network namespace that plays the machine; another one plays the world.
"""

import contextlib
import os
import re
import shutil
import subprocess

import pytest
from pouchtest import echo, mounts, networks, procs
from pouchtest.dockerd import PrivateDockerd
from pouchtest.pouchd import Pouchd
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

_NUMBER = os.getpid() % 10**6
_MACHINE = f"pzn{_NUMBER}"
_WORLD = f"pzo{_NUMBER}"


class Dockerd(PrivateDockerd):
    """With its default bridge and all its rules."""

    def command(self):
        own = ("--bridge", "--iptables", "--ip6tables", "--ip-forward", "--ip-masq", "--userland-proxy")
        words = [word for word in super().command() if not str(word).startswith(own)]
        return ["nsenter", f"--net=/run/netns/{_MACHINE}", *words]


class Neighbour(Pouchd):
    def command(self):
        return ["nsenter", f"--net=/run/netns/{_MACHINE}", *super().command()]


class Podman:
    """In folders of its own, with netavark."""

    def __init__(self, folder, archive):
        config = folder / "containers.conf"
        config.write_text('[network]\nnetwork_backend = "netavark"\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n')
        self._env = {**os.environ, "CONTAINERS_CONF": str(config)}
        self._words = ["nsenter", f"--net=/run/netns/{_MACHINE}", "podman", f"--root={folder}/root", f"--runroot={folder}/run",
                       f"--tmpdir={folder}/tmp", f"--network-config-dir={folder}/networks", "--storage-driver=vfs"]
        self._image = self("load", "--input", archive).out.split("Loaded image")[-1].split(":", 1)[1].split()[0]

    def __call__(self, *words, **options):
        return run(*self._words, *words, env=self._env, **options)

    def docker(self, command, *words, **options):
        """As Server asks for it."""
        words = [self._image if word == "busybox" else word for word in words]
        # It raises limits otherwise, its own lowered ones as well, which wants a capability that not every machine gives.
        limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"] if command == "run" else []
        return self(command, *limits, *words, **options)


@pytest.fixture
def machine():
    with contextlib.ExitStack() as stack:
        for name in (_MACHINE, _WORLD):
            networks.ip("netns", "add", name)
            stack.callback(networks.ip, "netns", "delete", name)
            networks.ip("-netns", name, "link", "set", "lo", "up")
        networks.ip("-netns", _MACHINE, "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", _WORLD)
        for name, link, address in ((_MACHINE, "up0", "198.18.95.1/24"), (_WORLD, "eth0", "198.18.95.2/24")):
            networks.ip("-netns", name, "address", "add", address, "dev", link)
            networks.ip("-netns", name, "link", "set", link, "up")
        # Who finds it off switches it on, and Docker then drops what it does not know.
        on_machine("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")
        yield


def on_machine(*words):
    return subprocess.run(["nsenter", f"--net=/run/netns/{_MACHINE}", *words], capture_output=True, text=True,
                          check=True).stdout


def dockers_rules():
    """Without counters and times."""
    return [re.sub(r"\[\d+:\d+\]", "", line) for line in on_machine("iptables-save").splitlines() if not line.startswith("#")]


class Server:
    """A container that publishes port 80, and one's way to the world."""

    def __init__(self, engine, name):
        self._docker, self._name = engine.docker, name
        self.told = self._docker("run", "--detach", "--name", name, "--publish", "80", "busybox", "sleep", "1000").err
        found = self._docker("inspect", "--format", '{{.State.Pid}} {{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}',
                             name).out.split()
        self._pid, self._port = int(found[0]), int(found[1])

    def reaches_the_world(self):
        return self._docker("exec", self._name, "ping", "-c", "1", "-W", "2", "198.18.95.2", check=False).code == 0

    def is_reached(self):
        with echo.server(self._name, "80/tcp", pid=self._pid):
            return echo.ask("198.18.95.1", self._port, netns=_WORLD, seconds=2) == [self._name, "198.18.95.2"]

    def works(self):
        return self.reaches_the_world() and self.is_reached()


def test_docker_first(machine, busybox_tar):
    with Dockerd() as dockerd:
        dockerd.load(busybox_tar)
        theirs = Server(dockerd, "theirs")
        assert theirs.works()
        rules = dockers_rules()
        assert any("FORWARD DROP" in rule for rule in rules)
        with Neighbour() as pouchd:
            pouchd.docker("load", "--input", busybox_tar)
            ours = Server(pouchd, "ours")
            # Docker drops what others forward, and we do not write into its tables: we say it.
            assert "chain FORWARD of nftables table ip filter drops forwarded packets" in ours.told
            assert not ours.reaches_the_world() and theirs.works()
            bridge = re.search(r"iptables -I FORWARD -i (\S+) -j ACCEPT", ours.told).group(1)
            for direction in ("-i", "-o"):
                on_machine("iptables", "-I", "DOCKER-USER", direction, bridge, "-j", "ACCEPT")
            assert ours.works() and theirs.works()
            for direction in ("-i", "-o"):
                on_machine("iptables", "-D", "DOCKER-USER", direction, bridge, "-j", "ACCEPT")
            second = Server(dockerd, "second")
            assert second.works()
            dockerd.docker("rm", "--force", "second")
            pouchd.docker("rm", "--force", "ours")
        assert procs.wait_until(lambda: "pouch_" not in on_machine("nft", "list", "tables"), 20)
        assert dockers_rules() == rules
        assert theirs.works()


def test_we_first(machine, busybox_tar):
    with Neighbour() as pouchd:
        pouchd.docker("load", "--input", busybox_tar)
        ours = Server(pouchd, "ours")
        assert ours.told == "" and ours.works()
        table = on_machine("nft", "list", "tables")
        with Dockerd() as dockerd:
            dockerd.load(busybox_tar)
            theirs = Server(dockerd, "theirs")
            assert theirs.works()
            dockerd.docker("rm", "--force", "theirs")
        assert all(line in on_machine("nft", "list", "tables") for line in table.splitlines())
        # Docker leaves its policy behind.
        on_machine("iptables", "-P", "FORWARD", "ACCEPT")
        assert ours.works()


def test_podman(machine, busybox_tar, tmp_path):
    is_first = not os.path.exists("/run/containers")
    podman = Podman(tmp_path, busybox_tar)
    try:
        theirs = Server(podman, "theirs")
        assert theirs.works()
        rules = dockers_rules()
        with Neighbour() as pouchd:
            pouchd.docker("load", "--input", busybox_tar)
            ours = Server(pouchd, "ours")
            assert ours.works() and theirs.works()
            second = Server(podman, "second")
            assert second.works() and ours.works()
            podman("rm", "--force", "--time", "0", "second")
            assert ours.works() and theirs.works()
            pouchd.docker("rm", "--force", "ours")
        assert procs.wait_until(lambda: "pouch_" not in on_machine("nft", "list", "tables"), 20)
        assert dockers_rules() == rules
        assert theirs.works()
    finally:
        podman("rm", "--force", "--time", "0", "--all")
        mounts.unmount_below(tmp_path)
        if is_first:
            shutil.rmtree("/run/containers")  # where podman keeps its locks
