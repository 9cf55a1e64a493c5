"""Networks whose containers are reached at their own addresses, or leave under a chosen one: servers tell who came."""

import json
import os
import subprocess

import pytest
from pouchtest import echo, networks, procs
from pouchtest.ports import free_port
from pouchtest.serving import Container

pytest_plugins = ["pouchtest.fixtures"]

_NUMBER = os.getpid() % 10**6
_HOST, _WORLD = "198.18.91.1", "198.18.91.2"
_HOST6, _WORLD6 = "fd00:91::1", "fd00:91::2"
_SUBNET, _SUBNET6 = "10.187.91.0/24", "fd00:187:91::/64"
_BRIDGE = "com.docker.network.bridge."


@pytest.fixture(scope="module")
def world():
    """Another host, which has routes to the subnets."""
    with networks.outside_host(f"pzg{_NUMBER}", f"{_HOST}/24", f"{_WORLD}/24") as name:
        networks.ip("address", "add", f"{_HOST6}/64", "dev", f"{name}h", "nodad")
        networks.ip("-netns", name, "address", "add", f"{_WORLD6}/64", "dev", "eth0", "nodad")
        networks.ip("-netns", name, "route", "add", _SUBNET, "via", _HOST)
        networks.ip("-netns", name, "route", "add", _SUBNET6, "via", _HOST6)
        yield name


def create(docker, name, *options, subnet=_SUBNET, flags=()):
    words = [word for option in options for word in ("--opt", option)]
    docker("network", "create", "--subnet", subnet, *flags, *words, name)


def pings(netns, address):
    done = subprocess.run([*echo.enter(netns=netns), "busybox", "ping", "-c", "1", "-W", "1", address], capture_output=True, check=False)
    return done.returncode == 0


def published(pouchd):
    """The elements of the sets of published ports."""
    out = subprocess.run(["nft", "-j", "list", "table", "inet", f"pouch_{pouchd.root_id}"], capture_output=True, text=True,
                         check=False).stdout
    sets = [entry["set"] for entry in json.loads(out or '{"nftables": []}')["nftables"] if "set" in entry]
    return [element["concat"] for found in sets if found["name"].startswith("published") for element in found.get("elem", [])]


def test_a_routed_network(pouchd, docker, world):
    create(docker, "routed", f"{_BRIDGE}gateway_mode_ipv4=routed")
    port = free_port()
    web = Container(docker, "web", "--network", "routed", "--publish", f"{port}:80", "--publish", "53/udp")
    docker("network", "create", "other")
    other = Container(docker, "other", "--network", "other")
    assert web.ports == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}], "53/udp": [{"HostIp": "0.0.0.0", "HostPort": ""}]}
    assert "80/tcp" in docker("ps", "--filter", "name=web", "--format", "{{.Ports}}").out
    with web.serves("80/tcp", "81/tcp", "53/udp"):
        for client in ({"netns": world}, {"pid": other.pid}, {}):
            assert echo.ask(web.address, 80, **client)[0] == "web", client
            assert echo.ask(web.address, 53, "udp", **client)[0] == "web", client
        # Who comes is told as whom it is, and what is not published is not reached.
        assert echo.ask(web.address, 80, netns=world) == ["web", _WORLD]
        assert not echo.ask(web.address, 81, netns=world, seconds=0.5)
        assert not echo.ask(web.address, 81, pid=other.pid, seconds=0.5)
        assert pings(world, web.address)
        # The host has no port for it.
        assert not echo.ask("127.0.0.1", port, seconds=0.5) and not echo.ask(_HOST, port, netns=world, seconds=0.5)
    with echo.server("world", "80/tcp", netns=world):
        assert echo.ask(_WORLD, 80, pid=web.pid) == ["world", web.address]
    assert len(published(pouchd)) == 2
    docker("rm", "--force", "web")
    assert procs.wait_until(lambda: published(pouchd) == [], 10)


def test_the_modes_of_the_families_are_two(docker, world):
    create(docker, "mixed", f"{_BRIDGE}gateway_mode_ipv6=routed", flags=("--ipv6", "--subnet", _SUBNET6))
    port = free_port()
    web = Container(docker, "web", "--network", "mixed", "--publish", f"{port}:80")
    assert web.ports["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": str(port)}, {"HostIp": "::", "HostPort": ""}]
    assert f"0.0.0.0:{port}->80/tcp" in docker("ps", "--format", "{{.Ports}}").out
    with web.serves("80/tcp", "81/tcp"):
        assert echo.ask(_HOST, port, netns=world) == ["web", _WORLD]
        assert not echo.ask(web.address, 80, netns=world, seconds=0.5)
        assert echo.ask(web.address6, 80, netns=world) == ["web", _WORLD6]
        assert not echo.ask(web.address6, 81, netns=world, seconds=0.5)
        assert not echo.ask(_HOST6, port, netns=world, seconds=0.5)
        assert pings(world, web.address6) and not pings(world, web.address)
    with echo.server("world", "80/tcp", netns=world):
        assert echo.ask(_WORLD6, 80, pid=web.pid) == ["world", web.address6]
        assert echo.ask(_WORLD, 80, pid=web.pid) == ["world", _HOST]


def test_a_network_that_does_not_lead_out_moves_no_port(docker, world):
    create(docker, "a-mixed", f"{_BRIDGE}gateway_mode_ipv6=routed", flags=("--ipv6", "--subnet", _SUBNET6))
    docker("network", "create", "beside")
    web = Container(docker, "web", "--network", "a-mixed", "--publish", "80")
    before = web.ports
    docker("network", "connect", "beside", "web")
    assert web.read().ports == before
    with web.serves("80/tcp"):
        assert echo.ask(_HOST, web.port(), netns=world) == ["web", _WORLD]
        assert echo.ask(web.networks["a-mixed"]["GlobalIPv6Address"], 80, netns=world) == ["web", _WORLD6]


def test_several_ports_that_are_one(pouchd, docker, world):
    """Two ports of the host, one of the container; and two containers with the same one."""
    create(docker, "routed", f"{_BRIDGE}gateway_mode_ipv4=routed")
    first = Container(docker, "first", "--network", "routed", "--publish", "8080:80", "--publish", "8081:80")
    second = Container(docker, "second", "--network", "routed", "--publish", "8080:80")
    with first.serves("80/tcp"), second.serves("80/tcp"):
        assert echo.ask(first.address, 80, netns=world)[0] == "first"
        assert echo.ask(second.address, 80, netns=world)[0] == "second"
        assert len(published(pouchd)) == 2
    # Its address goes to another, whose port is published too.
    docker("rm", "--force", "first")
    third = Container(docker, "third", "--network", "routed", "--ip", first.address, "--publish", "80")
    with third.serves("80/tcp"):
        assert len(published(pouchd)) == 2
        assert echo.ask(third.address, 80, netns=world)[0] == "third"


def test_unprotected(docker, world):
    create(docker, "open", f"{_BRIDGE}gateway_mode_ipv4=nat-unprotected")
    web = Container(docker, "web", "--network", "open", "--publish", "80")
    docker("network", "create", "other")
    other = Container(docker, "other", "--network", "other")
    with web.serves("80/tcp", "81/tcp"):
        assert echo.ask(_HOST, web.port(), netns=world) == ["web", _WORLD]
        assert echo.ask(web.address, 81, netns=world) == ["web", _WORLD]
        assert not echo.ask(web.address, 81, pid=other.pid, seconds=0.5)
    with echo.server("world", "80/tcp", netns=world):
        assert echo.ask(_WORLD, 80, pid=web.pid) == ["world", _HOST]


def test_trusted_links(docker, world):
    link = f"{world}h"
    create(docker, "trusting", f"{_BRIDGE}trusted_host_interfaces={link}:nosuch0")
    create(docker, "wary", f"{_BRIDGE}trusted_host_interfaces=nosuch0", subnet="10.187.92.0/24")
    networks.ip("-netns", world, "route", "add", "10.187.92.0/24", "via", _HOST)
    web = Container(docker, "web", "--network", "trusting", "--publish", "127.0.0.1::80")
    shy = Container(docker, "shy", "--network", "wary", "--publish", "127.0.0.1::80")
    with web.serves("80/tcp", "81/tcp"), shy.serves("80/tcp"):
        assert echo.ask("127.0.0.1", web.port())[0] == "web"
        assert echo.ask(web.address, 80, netns=world) == ["web", _WORLD]
        assert not echo.ask(web.address, 81, netns=world, seconds=0.5)
        assert not echo.ask(shy.address, 80, netns=world, seconds=0.5)
        assert not pings(world, web.address)


def test_a_chosen_source(docker, world):
    link = f"{world}h"
    chosen, chosen6 = "198.18.91.9", "fd00:91::9"
    networks.ip("address", "add", f"{chosen}/24", "dev", link)
    networks.ip("address", "add", f"{chosen6}/64", "dev", link, "nodad")
    create(docker, "as9", f"com.docker.network.host_ipv4={chosen}", f"com.docker.network.host_ipv6={chosen6}",
           flags=("--ipv6", "--subnet", _SUBNET6))
    docker("network", "create", "other")
    client = Container(docker, "client", "--network", "as9")
    other = Container(docker, "other", "--network", "other")
    with echo.server("world", "80/tcp", "53/udp", netns=world):
        assert echo.ask(_WORLD, 80, pid=client.pid) == ["world", chosen]
        assert echo.ask(_WORLD, 53, "udp", pid=client.pid) == ["world", chosen]
        assert echo.ask(_WORLD6, 80, pid=client.pid) == ["world", chosen6]
        assert echo.ask(_WORLD, 80, pid=other.pid) == ["world", _HOST]


def test_isolated(docker):
    device = f"pzi{_NUMBER}"
    create(docker, "island", f"{_BRIDGE}gateway_mode_ipv4=isolated", f"{_BRIDGE}gateway_mode_ipv6=isolated",
           f"{_BRIDGE}name={device}", flags=("--internal", "--ipv6", "--subnet", _SUBNET6))
    one = Container(docker, "one", "--network", "island")
    two = Container(docker, "two", "--network", "island")
    assert [link.get("addr_info", []) for link in json.loads(networks.ip("-json", "address", "show", "dev", device))] == [[]]
    gateway = _SUBNET.replace("0/24", "1")
    with two.serves("80/tcp"), echo.server("host", "99/tcp"):
        assert echo.ask(two.address, 80, pid=one.pid) == ["two", one.address]
        assert echo.ask(two.address6, 80, pid=one.pid) == ["two", one.address6]
        assert not echo.ask(gateway, 99, pid=one.pid, seconds=0.5)
        assert not echo.ask(two.address, 80, seconds=0.5)  # nor does the host reach it


def test_a_way_out_that_becomes_another_kind(pouchd, docker, world):
    create(docker, "routed", f"{_BRIDGE}gateway_mode_ipv4=routed")
    docker("network", "create", "a-usual")
    port = free_port()
    web = Container(docker, "web", "--network", "routed", "--publish", f"{port}:80")
    address = web.address
    with web.serves("80/tcp"):
        assert echo.ask(address, 80, netns=world)[0] == "web"
        docker("network", "connect", "a-usual", "web")  # leads out now: first by name
        assert web.read().ports["80/tcp"][0] == {"HostIp": "0.0.0.0", "HostPort": str(port)}
        assert echo.ask(_HOST, port, netns=world) == ["web", _WORLD]
        assert address not in [element[0] for element in published(pouchd)]
        docker("network", "disconnect", "a-usual", "web")
        assert web.read().ports["80/tcp"] == [{"HostIp": "0.0.0.0", "HostPort": ""}]
        assert echo.ask(address, 80, netns=world) == ["web", _WORLD]
        assert not echo.ask(_HOST, port, netns=world, seconds=0.5)
        docker("network", "disconnect", "routed", "web")
        assert published(pouchd) == []


def test_ports_come_with_the_first_network_that_leads_out(docker, world):
    docker("network", "create", "--internal", "inside")
    docker("network", "create", "outside")
    port = free_port()
    web = Container(docker, "web", "--network", "inside", "--publish", f"{port}:80")
    with web.serves("80/tcp"):
        assert not echo.ask(_HOST, port, netns=world, seconds=0.5)
        docker("network", "connect", "outside", "web")
        assert echo.ask(_HOST, port, netns=world) == ["web", _WORLD]


def test_what_others_removed_is_made_anew(pouchd, docker, world):
    create(docker, "routed", f"{_BRIDGE}gateway_mode_ipv4=routed")
    web = Container(docker, "web", "--network", "routed", "--publish", "80")
    with web.serves("80/tcp", "81/tcp"):
        subprocess.run(["nft", "delete", "table", "inet", f"pouch_{pouchd.root_id}"], check=True)
        Container(docker, "next", "--network", "routed", "--publish", "80")
        assert echo.ask(web.address, 80, netns=world)[0] == "web"
        assert not echo.ask(web.address, 81, netns=world, seconds=0.5)
        assert len(published(pouchd)) == 2
