"""Beside firewalld, whose zones reject what they do not know on its way through the host: what works all the same, what is
said of the rest, and that the command which is named mends it. Nothing of firewalld's is changed by us."""

import contextlib
import json
import os
import re
import shutil

import pytest
from pouchtest import echo, networks
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]
pytestmark = pytest.mark.vm

_NUMBER = os.getpid() % 10**6
_HOST = "198.18.91.1"
_WORLD = "198.18.91.2"
_CHAIN = "The chain filter_FORWARD of nftables table inet firewalld drops forwarded packets"


def why_not():
    """Why we cannot have firewalld to ourselves; "" when we can."""
    if not os.path.isdir("/run/systemd/system") or not shutil.which("firewall-cmd"):
        return "no firewalld, or no systemd to start it"
    return "firewalld runs already" if run("systemctl", "is-active", "firewalld", check=False).code == 0 else ""


def firewall(*args):
    return run("firewall-cmd", *args).out.strip()


def start():
    run("systemctl", "start", "firewalld", timeout=120)
    # It answers when its rules are there; for systemd it runs before.
    assert firewall("--state") == "running"


def stop():
    run("systemctl", "stop", "firewalld", timeout=120)


@pytest.fixture(scope="module")
def firewalld():
    reason = why_not()
    if reason:
        pytest.skip(reason)
    try:
        start()
        assert firewall("--get-default-zone") == "public"
        yield
    finally:
        stop()


@pytest.fixture(scope="module")
def pouchd(firewalld, pouchd):
    """As elsewhere, once firewalld runs."""
    return pouchd


@pytest.fixture(scope="module")
def world():
    """Another host; it knows no route but to its neighbour."""
    with networks.outside_host(f"pzf{_NUMBER}", f"{_HOST}/24", f"{_WORLD}/24") as name:
        yield name


def theirs():
    """firewalld's rules."""
    return re.sub(r" # handle \d+", "", run("nft", "list", "table", "inet", "firewalld").out)


class Server:
    """A container that publishes port 80."""

    def __init__(self, docker, name, network):
        self.docker, self.name = docker, name
        self.told = docker("run", "--detach", "--name", name, "--network", network, "--publish", "80", "busybox", "sleep", "1000").err
        found = json.loads(docker("inspect", name).out)[0]
        self.pid = found["State"]["Pid"]
        self.address = found["NetworkSettings"]["Networks"][network]["IPAddress"]
        self.port = int(found["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])

    def pings(self, address):
        return self.docker("exec", self.name, "ping", "-c", "1", "-W", "2", address, check=False).code == 0

    def reaches_the_world(self):
        return self.pings(_WORLD)

    def assert_published(self, world):
        """From another host, from this one, and from a container elsewhere."""
        with echo.server(self.name, "80/tcp", pid=self.pid):
            assert echo.ask(_HOST, self.port, netns=world) == [self.name, _WORLD]
            assert echo.ask(_HOST, self.port)[0] == self.name
            assert echo.ask("127.0.0.1", self.port)[0] == self.name

    def is_reached_by(self, other):
        with echo.server(self.name, "80/tcp", pid=self.pid):
            return echo.ask(self.address, 80, pid=other.pid, seconds=1) is not None


@contextlib.contextmanager
def mended(told):
    """With the commands that a warning names; and without them again."""
    command = told.split("To let them: ")[1].strip()
    device = re.search(r"--change-interface=(\S+)$", command).group(1)
    run("sh", "-c", command.replace("; ", " && "))
    try:
        yield command
    finally:
        for permanent in ([], ["--permanent"]):
            firewall(*permanent, "--zone=trusted", f"--remove-interface={device}")


@pytest.mark.parametrize("network", ["bridge", "mine"])
def test_what_is_rejected_is_said_and_can_be_mended(docker, world, network):
    rules = theirs()
    if network == "mine":
        docker("network", "create", "mine")
    docker("network", "create", "other")
    web = Server(docker, "web", network)
    assert f"WARNING: {_CHAIN}: containers on the network {network} cannot reach other hosts. To let them: " in web.told, web.told
    other, peer = Server(docker, "other", "other"), Server(docker, "peer", network)
    assert not web.reaches_the_world()
    # What firewalld lets pass by itself.
    web.assert_published(world)
    assert web.is_reached_by(peer) and not web.is_reached_by(other)
    # The name server is asked within the container, whatever firewalld thinks of packets to the host.
    assert network == "bridge" or web.pings("peer")
    assert theirs() == rules
    with mended(web.told) as command:
        assert web.reaches_the_world() and not other.reaches_the_world()
        web.assert_published(world)
        assert web.is_reached_by(peer) and not web.is_reached_by(other) and not other.is_reached_by(web)
        assert Server(docker, "later", network).told == ""
        # Over a start of all of firewalld's rules anew, too.
        firewall("--reload")
        assert "--permanent" in command and web.reaches_the_world()
        web.assert_published(world)
    assert not web.reaches_the_world()


def test_a_default_zone_that_accepts_is_no_reason_to_warn(docker, world):
    firewall("--set-default-zone=trusted")
    try:
        web = Server(docker, "web", "bridge")
        assert web.told == "" and web.reaches_the_world()
        web.assert_published(world)
    finally:
        firewall("--set-default-zone=public")


def test_firewalld_comes_and_goes(docker, world):
    """Its start and its end leave our rules alone."""
    stop()
    try:
        web = Server(docker, "web", "bridge")
        assert web.told == "" and web.reaches_the_world()
        web.assert_published(world)
    finally:
        start()
    web.assert_published(world)
    assert not web.reaches_the_world()
    assert _CHAIN in docker("create", "busybox", "true").err
    with mended(docker("create", "busybox", "true").err):
        assert web.reaches_the_world()
