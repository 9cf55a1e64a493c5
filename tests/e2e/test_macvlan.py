"""Networks of the drivers macvlan and ipvlan: containers are hosts of their parent's network, which packets prove.

The parent is one end of a veth pair; its other end, in a network namespace, plays the router of that network.
"""

import contextlib
import json
import os

import pytest
from pouchtest import networks, procs
from pouchtest.pouchd import Pouchd
from pouchtest.sleepers import pings, sleeper

pytest_plugins = ["pouchtest.fixtures"]
pytestmark = pytest.mark.vm

_NUMBER = os.getpid() % 10**6
_PARENT = f"pzm{_NUMBER}h"


def kernel_has(kind):
    """Whether links of a kind can be made, tried in a namespace that goes at once."""
    name = f"pzk{_NUMBER}"
    networks.ip("netns", "add", name)
    try:
        networks.ip("-netns", name, "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        more = {"vlan": ("link", "v0", "name", "x0", "type", "vlan", "id", "7"), "dummy": ("x0", "type", "dummy")}
        networks.ip("-netns", name, "link", "add", *more.get(kind, ("x0", "link", "v0", "type", kind)), check=False)
        return "x0" in networks.ip("-netns", name, "link")
    finally:
        networks.ip("netns", "delete", name)


@pytest.fixture(scope="module")
def daemon(busybox_tar):
    with Pouchd() as found:
        found.docker("load", "--input", busybox_tar)
        yield found


@pytest.fixture
def docker(daemon):
    yield daemon.docker
    networks.clear(daemon.docker)


@pytest.fixture
def lan():
    """The network of the parent: its router has 198.18.77.1 and fd00:77::1, and knows nothing else."""
    with networks.outside_host(f"pzm{_NUMBER}", "198.18.78.1/32", "198.18.77.1/24") as router:
        networks.ip("-netns", router, "address", "add", "fd00:77::1/64", "dev", "eth0", "nodad")
        yield router


def create(docker, name, *args, driver="macvlan", subnet="198.18.77.0/24"):
    docker("network", "create", "--driver", driver, "--subnet", subnet, "--opt", f"parent={_PARENT}", *args, name)


def inside(docker, name, *args):
    return docker("exec", name, "ip", *args).out


def drivers():
    return [pytest.param(kind, marks=pytest.mark.skipif(not kernel_has(kind), reason=f"the kernel has no {kind} links"))
            for kind in ("macvlan", "ipvlan")]


@pytest.mark.parametrize("driver", drivers())
def test_hosts_of_the_parents_network(docker, lan, driver):
    create(docker, "n1", "--ipv6", "--subnet", "fd00:77::/64", "--gateway", "198.18.77.1", driver=driver)
    first = sleeper(docker, "c1", "--network", "n1", "--ip", "198.18.77.50")["n1"]
    second = sleeper(docker, "c2", "--network", "n1")["n1"]
    assert first["IPAddress"] == "198.18.77.50" and first["Gateway"] == "198.18.77.1"
    for address in ("198.18.77.1", "fd00:77::1", second["IPAddress"], second["GlobalIPv6Address"]):
        assert pings(docker, "c1", address, 5), address
    # Its own address is what the others see, there is no NAT; and the host itself is not among them.
    assert "198.18.77.50" in networks.ip("-netns", lan, "neigh")
    assert not pings(docker, "c1", "198.18.78.1")
    assert "default via 198.18.77.1 dev eth0" in inside(docker, "c1", "route")
    if driver == "macvlan":
        assert first["MacAddress"] in inside(docker, "c1", "link")
        assert first["MacAddress"] in networks.ip("-netns", lan, "neigh")
    else:
        assert first["MacAddress"] == ""
        refused = docker("run", "--rm", "--network", "name=n1,mac-address=02:42:aa:00:00:01", "busybox", "true", check=False)
        assert "do not support custom mac address" in refused.err
    docker("rm", "--force", "c1")
    assert pings(docker, "c2", "198.18.77.1", 5)
    sleeper(docker, "c3", "--network", "n1", "--ip", "198.18.77.50")


@pytest.mark.parametrize("driver", drivers())
def test_joined_and_left_while_it_runs(docker, lan, driver):
    create(docker, "n1", driver=driver)
    sleeper(docker, "c1")
    docker("network", "connect", "n1", "c1")
    assert pings(docker, "c1", "198.18.77.1", 5)
    docker("network", "disconnect", "n1", "c1")
    assert "eth1" not in inside(docker, "c1", "link")
    docker("network", "connect", "n1", "c1")
    docker("network", "disconnect", "bridge", "c1")
    assert "default via 198.18.77.1 dev eth1" in inside(docker, "c1", "route")
    docker("stop", "--time", "0", "c1")
    docker("start", "c1")
    assert pings(docker, "c1", "198.18.77.1", 5)


def test_modes(docker, lan):
    create(docker, "n1", "--opt", "macvlan_mode=private", "--opt", "com.docker.network.driver.mtu=1300")
    sleeper(docker, "c1", "--network", "n1")
    other = sleeper(docker, "c2", "--network", "n1")["n1"]
    assert pings(docker, "c1", "198.18.77.1", 5) and not pings(docker, "c1", other["IPAddress"])
    assert "mtu 1300" in inside(docker, "c1", "link", "show", "eth0")
    refused = docker("network", "create", "--driver", "macvlan", "--opt", f"parent={_PARENT}", "--opt",
                     "macvlan_mode=passthru", "n2", check=False)
    assert "network n1 is already using parent interface" in refused.err
    # Others may share the parent.
    create(docker, "n3", subnet="198.18.79.0/24")


def test_internal(docker, lan):
    create(docker, "n1", "--internal")
    sleeper(docker, "c1", "--network", "n1")
    assert "default" not in inside(docker, "c1", "route")


@pytest.mark.skipif(not kernel_has("ipvlan"), reason="the kernel has no ipvlan links")
def test_routed(docker, lan):
    create(docker, "n1", "--opt", "ipvlan_mode=l3", driver="ipvlan", subnet="198.18.80.0/24")
    networks.ip("-netns", lan, "route", "add", "198.18.80.0/24", "dev", "eth0")
    found = sleeper(docker, "c1", "--network", "n1")["n1"]
    assert found["Gateway"] == "" and "default dev eth0" in inside(docker, "c1", "route")
    assert "via" not in inside(docker, "c1", "route")


@pytest.mark.skipif(not kernel_has("vlan"), reason="the kernel has no VLAN links")
def test_a_vlan_is_made_and_goes_with_the_last_network(docker, lan):
    networks.ip("-netns", lan, "link", "add", "link", "eth0", "name", "eth0.50", "type", "vlan", "id", "50")
    networks.ip("-netns", lan, "address", "add", "198.18.81.1/24", "dev", "eth0.50")
    networks.ip("-netns", lan, "link", "set", "eth0.50", "up")
    for name, subnet in (("n1", "198.18.81.0/24"), ("n2", "198.18.82.0/24")):
        docker("network", "create", "--driver", "macvlan", "--subnet", subnet, "--opt", f"parent={_PARENT}.50", name)
    docker("network", "rm", "n2")
    sleeper(docker, "c1", "--network", "n1")
    assert pings(docker, "c1", "198.18.81.1", 5)
    docker("rm", "--force", "c1")
    docker("network", "rm", "n1")
    assert f"{_PARENT}.50" not in networks.ip("link")


def test_without_a_parent(docker):
    made = docker("network", "create", "--driver", "macvlan", "n1", check=False)
    if not kernel_has("dummy"):
        assert made.code == 1 and "this kernel has no dummy links" in made.err
        return
    sleeper(docker, "c1", "--network", "n1")
    other = sleeper(docker, "c2", "--network", "n1")["n1"]
    assert pings(docker, "c1", other["IPAddress"], 5) and "default" not in inside(docker, "c1", "route")
    docker("rm", "--force", "c1", "c2")
    docker("network", "rm", "n1")
    root = docker("info", "--format", "{{.ID}}").out.strip()
    assert f"pd{root[:6]}" not in networks.ip("link")


def test_several_subnets(daemon, docker, lan):  # pylint: disable=unused-argument
    """The first one that has room, or that of the address asked for; each with its own gateway."""
    # Not by the docker CLI: it keeps its --subnet options in a map, and sends them in any order.
    pools = [{"Subnet": "10.190.1.0/24", "IPRange": "10.190.1.8/31"}, {"Subnet": "10.190.2.0/24", "Gateway": "10.190.2.77"}]
    asked = {"Name": "n1", "Driver": "macvlan", "Options": {"parent": _PARENT}, "IPAM": {"Config": pools}}
    answer = daemon.request("POST", "/networks/create", json.dumps(asked), {"Content-Type": "application/json"})
    assert answer[0] == 201, answer
    found = [sleeper(docker, f"c{i}", "--network", "n1")["n1"] for i in range(3)]
    assert [(each["IPAddress"], each["Gateway"]) for each in found] == [
        ("10.190.1.8", "10.190.1.1"), ("10.190.1.9", "10.190.1.1"), ("10.190.2.1", "10.190.2.77")]
    asked = sleeper(docker, "c3", "--network", "n1", "--ip", "10.190.2.50")["n1"]
    assert (asked["IPAddress"], asked["Gateway"]) == ("10.190.2.50", "10.190.2.77")
    assert "default via 10.190.2.77" in inside(docker, "c3", "route")
    docker("rm", "--force", "c0", "c1", "c2", "c3")
    docker("network", "rm", "n1")


def test_refused(docker, lan):
    for driver, args, words in (
            ("macvlan", ("--opt", "parent=nosuch0"), "invalid subinterface vlan name nosuch0"),
            ("macvlan", ("--opt", "parent=lo"), "loopback interface is not a valid macvlan parent link"),
            ("macvlan", ("--opt", f"parent={_PARENT}", "--opt", "macvlan_mode=x"), 'requested macvlan mode "x" is not valid'),
            ("ipvlan", ("--opt", f"parent={_PARENT}", "--opt", "ipvlan_mode=x"), 'requested ipvlan mode "x" is not valid')):
        result = docker("network", "create", "--driver", driver, *args, "n", check=False)
        assert result.code == 1 and words in result.err, result.err
    if not kernel_has("ipvlan"):
        result = docker("network", "create", "--driver", "ipvlan", "--opt", f"parent={_PARENT}", "n", check=False)
        assert 'Driver "ipvlan": this kernel has no ipvlan links' in result.err
    assert docker("network", "ls", "--quiet", "--filter", "type=custom").lines == []


def test_a_killed_daemon_and_a_parent_that_goes(busybox_tar):
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Pouchd())
        docker = daemon.docker
        docker("load", "--input", busybox_tar)
        with networks.outside_host(f"pzm{_NUMBER}", "198.18.78.1/32", "198.18.77.1/24"):
            create(docker, "n1")
            sleeper(docker, "c1", "--network", "n1")
            daemon.kill()
            daemon.start()
            assert pings(docker, "c1", "198.18.77.1", 5)
        docker("stop", "--time", "0", "c1")
        gone = docker("start", "c1", check=False)
        assert gone.code == 1 and _PARENT in gone.err
        docker("rm", "c1")
        docker("network", "rm", "n1")
        assert procs.wait_until(lambda: "n1" not in docker("network", "ls", "--format", "{{.Name}}").lines, 5)
