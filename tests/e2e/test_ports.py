"""Published ports, asked from other hosts, the host itself and containers: the servers tell who came to them."""

import contextlib
import json
import os
import socket
import subprocess

import pytest
from pouchtest import echo, networks, procs
from pouchtest.embed import keeper
from pouchtest.faults.control import Control
from pouchtest.faults.pouchd import FaultyPouchd
from pouchtest.ports import free_port
from pouchtest.pouchd import Pouchd
from pouchtest.serving import Container

pytest_plugins = ["pouchtest.fixtures"]

_NUMBER = os.getpid() % 10**6
_HOST = "198.18.90.1"
_WORLD = "198.18.90.2"


@pytest.fixture(scope="module")
def world():
    """Another host; it knows no route but to its neighbour."""
    with networks.outside_host(f"pzp{_NUMBER}", f"{_HOST}/24", f"{_WORLD}/24") as name:
        networks.ip("address", "add", "fd00:90::1/64", "dev", f"{name}h", "nodad")
        networks.ip("-netns", name, "address", "add", "fd00:90::2/64", "dev", "eth0", "nodad")
        yield name


def elements(pouchd):
    """How many ports are in the rules."""
    out = subprocess.run(["nft", "-j", "list", "table", "inet", f"pouch_{pouchd.root_id}"], capture_output=True, text=True,
                         check=False).stdout
    maps = [entry["map"] for entry in json.loads(out or '{"nftables": []}')["nftables"] if "map" in entry]
    return sum(len(found.get("elem", [])) for found in maps)


def is_free(port):
    with socket.socket() as mine:
        try:
            mine.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("network", ["bridge", "mine"])
def test_who_reaches_a_port(pouchd, docker, world, network):
    if network == "mine":
        docker("network", "create", "mine")
    web = Container(docker, "web", "--network", network, "--publish", "80", "--publish", "53:53/udp")
    peer = Container(docker, "peer", "--network", network)
    docker("network", "create", "other")
    other = Container(docker, "other", "--network", "other")
    port = web.port()
    gateway = web.networks[network]["Gateway"]
    with web.serves("80/tcp", "53/udp"):
        for protocol, number in (("tcp", port), ("udp", 53)):
            # From another host, as whom it is; from the host itself, also by 127.0.0.1.
            assert echo.ask(_HOST, number, protocol, netns=world) == ["web", _WORLD]
            assert echo.ask(_HOST, number, protocol)[0] == "web"
            assert echo.ask("127.0.0.1", number, protocol) == ["web", gateway]
            # From a container beside it, from one in another network, and from itself.
            for client in (peer, other, web):
                assert echo.ask(_HOST, number, protocol, pid=client.pid), (protocol, client.name)
            assert echo.ask(gateway, number, protocol, pid=peer.pid)
        # What is not published is not reached.
        assert not echo.ask(web.address, 80, pid=other.pid, seconds=0.5)
    assert elements(pouchd) == 2
    docker("rm", "--force", "web")
    assert procs.wait_until(lambda: elements(pouchd) == 0, 10)
    assert not echo.ask("127.0.0.1", port)
    assert procs.wait_until(lambda: is_free(port), 10)


def kernel_has_sctp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True


@pytest.mark.vm
@pytest.mark.skipif(not kernel_has_sctp(), reason="the kernel has no SCTP")
def test_sctp(docker, world):
    web = Container(docker, "web", "--publish", "80/sctp", "--publish", f"127.0.0.1:{free_port()}:81/sctp")
    peer = Container(docker, "peer")
    port, inner = web.port("80/sctp"), web.port("81/sctp")
    with web.serves("80/sctp", "81/sctp"):
        assert echo.ask(_HOST, port, "sctp", netns=world) == ["web", _WORLD]
        assert echo.ask(_HOST, port, "sctp")[0] == "web"
        assert echo.ask("127.0.0.1", inner, "sctp")[0] == "web"
        assert echo.ask(_HOST, port, "sctp", pid=peer.pid)[0] == "web"
        assert not echo.ask(_HOST, inner, "sctp", netns=world, seconds=0.5)
    taken = docker("run", "--rm", "--publish", f"{port}:80/sctp", "busybox", "true", check=False)
    assert taken.code == 125 and "port is already allocated" in taken.err


def test_addresses_of_the_host(docker, world):
    port = free_port()
    first = Container(docker, "first", "--publish", f"{_HOST}:{port}:80")
    second = Container(docker, "second", "--publish", f"127.0.0.1:{port}:80")
    assert docker("port", "first").out == f"80/tcp -> {_HOST}:{port}\n"
    with first.serves("80/tcp"), second.serves("80/tcp"):
        assert echo.ask(_HOST, port, netns=world)[0] == "first"
        assert echo.ask(_HOST, port)[0] == "first"
        assert echo.ask("127.0.0.1", port)[0] == "second"
        # Loopback is the host's alone, whatever others send to it.
        networks.ip("-netns", world, "route", "add", "127.0.0.0/8", "via", _HOST, check=False)
        assert not echo.ask("127.0.0.1", port, netns=world, seconds=0.5)


def test_the_address_that_a_network_publishes_at(docker, world):
    docker("network", "create", "--opt", "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "net1")
    web = Container(docker, "web", "--network", "net1", "--publish", "80", "--publish", f"{_HOST}::81")
    assert [binding["HostIp"] for binding in web.ports["80/tcp"]] == ["127.0.0.1"]
    with web.serves("80/tcp", "81/tcp"):
        assert echo.ask("127.0.0.1", web.port()) and not echo.ask(_HOST, web.port(), netns=world, seconds=0.5)
        assert echo.ask(_HOST, web.port("81/tcp"), netns=world)


def test_ranges_and_random_ports(pouchd, docker):
    taken = Container(docker, "c1", "--publish", "7000-7002:7000-7002", "--publish", "80", "--expose", "90-91", "--publish-all")
    assert [taken.port(f"{number}/tcp") for number in (7000, 7001, 7002)] == [7000, 7001, 7002]
    assert len({taken.port(f"{number}/tcp") for number in (80, 90, 91)}) == 3
    # One of a range.
    second = Container(docker, "c2", "--publish", "7000-7005:80")
    assert second.port() == 7003
    with second.serves("80/tcp"):
        assert echo.ask("127.0.0.1", 7003)[0] == "c2"
    shown = docker("ps", "--filter", "name=c2", "--format", "{{.Ports}}").out
    assert "0.0.0.0:7003->80/tcp" in shown
    assert docker("ps", "--filter", "publish=7003", "--format", "{{.Names}}").lines == ["c2"]
    assert docker("ps", "--filter", "expose=90", "--format", "{{.Names}}").lines == ["c1"]
    assert "7003" in docker("port", "c2", "80").out


def test_taken_ports(docker):
    web = Container(docker, "web", "--publish", "80")
    port = web.port()
    for args in ((f"{port}:80",), (f"127.0.0.1:{port}:80",)):
        refused = docker("run", "--name", "late", "--publish", *args, "busybox", "true", check=False)
        assert refused.code == 125, refused.err
        assert "driver failed programming external connectivity on endpoint late" in refused.err
        assert "failed: port is already allocated" in refused.err
        docker("rm", "late")
    with socket.socket() as others:
        others.bind(("0.0.0.0", 0))
        others.listen()
        number = others.getsockname()[1]
        refused = docker("run", "--rm", "--publish", f"{number}:80", "busybox", "true", check=False)
        assert refused.code == 125 and "address already in use" in refused.err, refused.err
    # What failed keeps nothing.
    again = Container(docker, "again", "--publish", f"{number}:80")
    assert again.port() == number
    # And others are kept out while it is ours.
    with socket.socket() as others, pytest.raises(OSError):
        others.bind(("0.0.0.0", number))


def test_started_again(docker):
    port = free_port()
    web = Container(docker, "web", "--publish", f"{port}:80", "--publish", "81")
    for _ in range(3):
        docker("stop", "--time", "0", "web")
        assert docker("port", "web").out == ""
        docker("start", "web")
        web.read()
        with web.serves("80/tcp"):
            assert echo.ask("127.0.0.1", port)[0] == "web"


def test_ipv6(docker, world):
    docker("network", "create", "--ipv6", "dual")
    web = Container(docker, "web", "--network", "dual", "--publish", "80", "--publish", "[::1]:5353:53/udp")
    peer = Container(docker, "peer", "--network", "dual")
    port = web.port()
    assert {binding["HostIp"] for binding in web.ports["80/tcp"]} == {"0.0.0.0", "::"}
    with web.serves("80/tcp", "53/udp"):
        assert echo.ask("fd00:90::1", port, netns=world) == ["web", "fd00:90::2"]
        assert echo.ask(_HOST, port, netns=world) == ["web", _WORLD]
        assert echo.ask("fd00:90::1", port)[0] == "web"
        assert echo.ask("::1", port)[0] == "web" and echo.ask("::1", 5353, "udp")[0] == "web"
        for client in (peer, web):
            assert echo.ask("fd00:90::1", port, pid=client.pid), client.name


def test_ipv6_of_the_host_leads_to_a_container_that_has_none(docker, world):
    web = Container(docker, "web", "--publish", "80", "--publish", "53:53/udp", "--publish", "[::1]:8181:81")
    port = web.port()
    assert docker("port", "web", "80").lines == [f"0.0.0.0:{port}", f"[::]:{port}"]
    gateway = web.networks["bridge"]["Gateway"]
    with web.serves("80/tcp", "53/udp", "81/tcp"):
        for protocol, number in (("tcp", port), ("udp", 53)):
            for address, netns in (("::1", None), ("fd00:90::1", None), ("fd00:90::1", world)):
                assert echo.ask(address, number, protocol, netns=netns) == ["web", gateway], (protocol, address, netns)
        assert echo.ask("::1", 8181) == ["web", gateway]
    docker("stop", "--time", "0", "web")
    assert procs.wait_until(lambda: not echo.ask("::1", port, seconds=0.5), 10)


def test_much_goes_through_a_relay(docker):
    web = Container(docker, "web", "--publish", "80")
    with socket.socket(socket.AF_INET6) as client, echo.sink(web.pid, 80):
        client.settimeout(20)
        client.connect(("::1", web.port()))
        sent = 0
        for _ in range(256):
            client.sendall(b"x" * 65536)
            sent += 65536
        client.shutdown(socket.SHUT_WR)
        told = b""
        while data := client.recv(100):
            told += data
        assert int(told) == sent


def test_datagrams_find_a_container_that_comes_later(docker, world):
    """Flows that the kernel remembers from before, to nobody, must not go on to nobody."""
    port = free_port()
    with echo.asking(_HOST, port, world) as client:
        assert client() is None
        for _ in range(2):
            web = Container(docker, "web", "--publish", f"{port}:53/udp")
            with web.serves("53/udp"):
                assert client() == ["web", _WORLD]
            docker("rm", "--force", "web")
            blocker = Container(docker, "blocker")  # takes the address that was web's
            assert client() is None
            docker("rm", "--force", blocker.name)


def test_a_container_whose_way_out_changes(docker, world):
    for name in ("net1", "net2"):
        docker("network", "create", name)
    web = Container(docker, "web", "--network", "net1", "--publish", "80")
    port = web.port()
    with web.serves("80/tcp"):
        assert echo.ask(_HOST, port, netns=world) == ["web", _WORLD]
        docker("network", "connect", "net2", "web")
        docker("network", "disconnect", "net1", "web")
        assert web.read().port() == port
        assert echo.ask(_HOST, port, netns=world) == ["web", _WORLD]
        assert echo.ask(_HOST, port, pid=web.pid)
        docker("network", "disconnect", "net2", "web")
        assert not echo.ask(_HOST, port, netns=world, seconds=0.5)
        docker("network", "connect", "net1", "web")
        assert echo.ask(_HOST, port, netns=world) == ["web", _WORLD]


def kill_of_keeper(daemon, who):
    supervisor, worker = keeper(daemon.dir)
    if who == "supervisor":  # its worker takes its place, and holds the ports when its own worker is killed
        os.kill(supervisor, 9)
        assert procs.wait_until(lambda: keeper(daemon.dir)[0] == worker and keeper(daemon.dir)[1], 10)
        supervisor, worker = keeper(daemon.dir)
    os.kill(worker, 9)
    assert procs.wait_until(lambda: keeper(daemon.dir)[1] not in (worker, None), 10)
    assert keeper(daemon.dir)[0] == supervisor


@pytest.mark.parametrize("who", ["pouchd", "worker", "supervisor"])
def test_killed_amid_work(busybox_tar, world, who):
    with Pouchd() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        web = Container(daemon.docker, "web", "--publish", "80")
        port = web.port()
        with web.serves("80/tcp"):
            if who == "pouchd":
                daemon.kill()
            else:
                kill_of_keeper(daemon, who)
            assert echo.ask(_HOST, port, netns=world) == ["web", _WORLD]
            # Its port is nobody else's.
            with socket.socket() as others, pytest.raises(OSError):
                others.bind(("0.0.0.0", port))
            if who == "pouchd":
                daemon.start()
            assert web.read().port() == port
            assert echo.ask("127.0.0.1", port)[0] == "web"
        daemon.docker("rm", "--force", "web")

        def is_free():
            with contextlib.suppress(OSError), socket.socket() as mine:
                mine.bind(("0.0.0.0", port))
                return True
            return False
        assert procs.wait_until(is_free, 10)


def test_removed_rules_are_made_again(pouchd, docker):
    first = Container(docker, "first", "--publish", "80")
    subprocess.run(["nft", "delete", "table", "inet", f"pouch_{pouchd.root_id}"], check=True)
    second = Container(docker, "second", "--publish", "80")
    with first.serves("80/tcp"), second.serves("80/tcp"):
        assert echo.ask("127.0.0.1", first.port())[0] == "first"
        assert echo.ask("127.0.0.1", second.port())[0] == "second"


def test_removed_rules_are_made_again_when_the_way_out_changes(pouchd, docker, world):
    for name in ("net1", "net2"):
        docker("network", "create", name)
    web = Container(docker, "web", "--network", "net1", "--publish", "80")
    docker("network", "connect", "net2", "web")
    subprocess.run(["nft", "delete", "table", "inet", f"pouch_{pouchd.root_id}"], check=True)
    docker("network", "disconnect", "net1", "web")
    with web.serves("80/tcp"):
        assert echo.ask(_HOST, web.read().port(), netns=world) == ["web", _WORLD]


@pytest.mark.parametrize("point", ["row.published_ports.update.after", "netlink.nftables.after", "store.commit.before"])
def test_killed_while_the_way_out_changes(busybox_tar, world, tmp_path, point):
    """The port goes on leading to the container, by whichever network: by rules, not by the keeper's relay."""
    with FaultyPouchd(Control(tmp_path)) as daemon:
        docker = daemon.docker
        docker("load", "--input", busybox_tar)
        for name in ("a-net", "net"):
            docker("network", "create", name)
        web = Container(docker, "web", "--network", "net", "--publish", "80")
        port = web.port()

        def change():
            docker("network", "connect", "a-net", "web", check=False)
            docker("network", "disconnect", "a-net", "web", check=False)

        def leads():
            return echo.ask(_HOST, port, netns=world, seconds=0.5) == ["web", _WORLD]

        times = 0
        with web.serves("80/tcp"):
            while daemon.killed_at(point, times + 1, change):
                times += 1
                assert procs.wait_until(leads, 10), times
                docker("network", "disconnect", "a-net", "web", check=False)
                assert procs.wait_until(leads, 10), times
        assert times >= 2
        networks.clear(docker)


def test_without_a_way_out(docker):
    docker("network", "create", "--internal", "in1")
    web = Container(docker, "web", "--network", "in1", "--publish", "80")
    assert not web.ports.get("80/tcp")
    made = docker("create", "--network", "host", "--publish", "80", "busybox", "true")
    assert "Published ports are discarded when using host network mode" in made.err, made.err


@pytest.mark.parametrize("text, words", [
    ("10.9.9.9.9:80:80", "10.9.9.9.9"),
    ("80:80/xyz", "xyz"),
    ("99999:80", "99999"),
])
def test_refused(docker, text, words):
    result = docker("run", "--rm", "--publish", text, "busybox", "true", check=False)
    assert result.code == 125 and words in result.err, result.err


def test_the_command_line(pouchd, docker):
    port = free_port()
    pouchd.pouch("run", "--detach", "--name", "web", "--publish", f"127.0.0.1:{port}:80", "--publish", f"{port}:80/udp",
                 "--expose", "90", "busybox", "sleep", "1000")
    assert pouchd.pouch("port", "web").lines == docker("port", "web").lines == [
        f"80/tcp -> 127.0.0.1:{port}", f"80/udp -> 0.0.0.0:{port}", f"80/udp -> [::]:{port}"]
    assert pouchd.pouch("port", "web", "80").out == docker("port", "web", "80").out == f"127.0.0.1:{port}\n"
    assert pouchd.pouch("port", "web", "80/udp").lines == [f"0.0.0.0:{port}", f"[::]:{port}"]
    missing = pouchd.pouch("port", "web", "90", check=False)
    assert missing.code == 1 and missing.err == "Error: No public port '90/tcp' published for web\n"
    shown = ("ps", "--format", "{{.Ports}}")
    assert pouchd.pouch(*shown).out == docker(*shown).out
