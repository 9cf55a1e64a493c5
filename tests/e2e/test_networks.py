"""User networks: packets prove what they join and what they keep apart; ip and nft that nothing is left."""

import ipaddress
import json
import os
import time

import pytest
from pouchtest import echo, networks, procs
from pouchtest.pouchd import Pouchd
from pouchtest.sleepers import endpoints, pings, sleeper

pytest_plugins = ["pouchtest.fixtures"]


def network(docker, name):
    return json.loads(docker("network", "inspect", name).out)[0]


def routes(docker, name, family="-4"):
    return [line.strip() for line in docker("exec", name, "ip", family, "route").out.splitlines()]


def test_a_bridge_without_an_address(docker):
    """A container that has the gateway's address is the gateway."""
    net = docker("network", "create", "--subnet", "10.190.9.0/24", "--opt", "com.docker.network.bridge.inhibit_ipv4=true", "net1").out
    root = docker("info", "--format", "{{.ID}}").out
    assert not networks.subnets(f"pn{root[:6]}{net[:7]}")
    sleeper(docker, "c1", "--network", "net1")
    assert not pings(docker, "c1", "10.190.9.1")
    assert "default via 10.190.9.1 dev eth0" in routes(docker, "c1")


def test_options_of_an_endpoint(docker):
    docker("network", "create", "net1")
    docker("network", "create", "net2")
    options = ["driver-opt=com.docker.network.endpoint.ifname=foobar0",
               "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"]
    sleeper(docker, "c1", "--network", ",".join(["name=net1", *options]), "--network", "net2")
    assert docker("exec", "c1", "cat", "/proc/sys/net/ipv4/conf/foobar0/log_martians").out == "1\n"
    docker("network", "disconnect", "net1", "c1")
    assert docker("exec", "c1", "ip", "link", "show", "eth0").code == 0
    for option, message in (("com.docker.network.endpoint.ifname=a/b", 'invalid interface name "a/b"'),
                            ("com.docker.network.endpoint.sysctls=net.ipv4.ip_forward=1", "it must be of the form"),
                            ("colour=red", "DriverOpts colour of an endpoint is not supported")):
        refused = docker("network", "connect", "--driver-opt", option, "net1", "c1", check=False)
        assert refused.code == 1, option
        refused = docker("create", "--network", f"name=net1,driver-opt={option}", "busybox", check=False)
        assert refused.code == 1 and message in refused.err, refused.err


def test_life(docker):
    net = docker("network", "create", "--label", "a=b", "--opt", "com.docker.network.driver.mtu=1400", "net1").out.strip()
    assert len(net) == 64
    assert docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").lines == [
        "bridge bridge local", "host host local", "net1 bridge local", "none null local"]
    assert docker("network", "ls", "--quiet", "--no-trunc", "--filter", "label=a").lines == [net]
    sleeper(docker, "c1", "--network", "net1")
    shown = network(docker, "net1")
    [pool] = shown["IPAM"]["Config"]
    [member] = shown["Containers"].values()
    endpoint = endpoints(docker, "c1")["net1"]
    assert member["Name"] == "c1" and member["IPv4Address"] == f"{endpoint['IPAddress']}/{endpoint['IPPrefixLen']}"
    assert ipaddress.ip_address(endpoint["IPAddress"]) in ipaddress.ip_network(pool["Subnet"])
    assert endpoint["DNSNames"][0] == "c1" and endpoint["NetworkID"] == net
    assert "mtu 1400" in docker("exec", "c1", "ip", "link", "show", "eth0").out
    assert f"default via {pool['Gateway']} dev eth0" in routes(docker, "c1")
    busy = docker("network", "rm", "net1", check=False)
    assert busy.code == 1 and 'network net1 has active endpoints (name:"c1"' in busy.err
    docker("rm", "--force", "c1")
    docker("network", "rm", "net1")
    assert "network net1 not found" in docker("network", "inspect", "net1", check=False).err


def test_networks_are_apart_and_containers_within_one_are_not(docker):
    for name in ("net1", "net2"):
        docker("network", "create", name)
    sleeper(docker, "a1", "--network", "net1")
    sleeper(docker, "a2", "--network", "net1")
    sleeper(docker, "b1", "--network", "net2")
    sleeper(docker, "d1")
    address = {name: next(iter(endpoints(docker, name).values()))["IPAddress"] for name in ("a1", "a2", "b1", "d1")}
    assert pings(docker, "a1", address["a2"], 5)
    for source, target in (("a1", "b1"), ("b1", "a2"), ("a1", "d1"), ("d1", "a1")):
        assert not pings(docker, source, address[target]), (source, target)
    # Joined to both it reaches both, and leads nobody through.
    docker("network", "connect", "net2", "a1")
    assert pings(docker, "a1", address["b1"], 5) and not pings(docker, "a2", address["b1"])


def test_connect_and_disconnect_of_a_running_container(docker):
    begin = time.time()
    docker("network", "create", "--subnet", "10.190.1.0/24", "net1")
    docker("network", "create", "--subnet", "10.190.2.0/24", "net2")
    sleeper(docker, "c1", "--network", "net1", "--hostname", "h1")
    docker("network", "connect", "--ip", "10.190.2.77", "--alias", "other", "net2", "c1")
    found = endpoints(docker, "c1")
    assert found["net2"]["IPAddress"] == "10.190.2.77" and found["net2"]["Aliases"] == ["other"]
    assert "inet 10.190.2.77/24" in docker("exec", "c1", "ip", "address", "show", "eth1").out
    assert "10.190.2.77\th1" in docker("exec", "c1", "cat", "/etc/hosts").out
    assert "default via 10.190.1.1 dev eth0" in routes(docker, "c1")
    assert pings(docker, "c1", "10.190.2.1", 5)
    again = docker("network", "connect", "net2", "c1", check=False)
    assert "endpoint with name c1 already exists in network net2" in again.err
    # The way out moves, and the address is another's.
    docker("network", "disconnect", "net1", "c1")
    assert list(endpoints(docker, "c1")) == ["net2"]
    assert "default via 10.190.2.1 dev eth1" in routes(docker, "c1")
    assert "eth0" not in docker("exec", "c1", "ip", "link").out
    assert "10.190.1." not in docker("exec", "c1", "cat", "/etc/hosts").out
    docker("network", "connect", "net1", "c1")
    assert "eth0" in docker("exec", "c1", "ip", "link").out
    docker("stop", "--time", "0", "c1")
    docker("start", "c1")
    assert sorted(endpoints(docker, "c1")) == ["net1", "net2"]
    assert endpoints(docker, "c1")["net2"]["IPAddress"] == "10.190.2.77"
    lines = docker("events", "--since", str(begin), "--until", str(int(time.time()) + 1), "--filter", "type=network",
                   "--format", "{{.Action}} {{.Actor.Attributes.name}}").lines
    assert lines[:6] == ["create net1", "create net2", "connect net1", "connect net2", "disconnect net1", "connect net1"]


def test_a_stopped_container_joins_and_leaves(docker):
    docker("network", "create", "net1")
    docker("create", "--name", "c1", "busybox", "sleep", "1000")
    docker("network", "connect", "net1", "c1")
    assert sorted(endpoints(docker, "c1")) == ["bridge", "net1"]
    docker("network", "disconnect", "bridge", "c1")
    docker("start", "c1")
    assert list(endpoints(docker, "c1")) == ["net1"]
    assert "eth1" not in docker("exec", "c1", "ip", "link").out


def test_several_networks_from_the_start(docker):
    docker("network", "create", "--subnet", "10.190.1.0/24", "net1")
    docker("network", "create", "--subnet", "10.190.2.0/24", "net2")
    docker("network", "create", "--subnet", "10.190.3.0/24", "--internal", "aaa")
    sleeper(docker, "c1", "--network", "net2", "--network", "name=net1,ip=10.190.1.9,gw-priority=5", "--network", "aaa")
    assert endpoints(docker, "c1")["net1"]["IPAddress"] == "10.190.1.9"
    assert "inet 10.190.2." in docker("exec", "c1", "ip", "address", "show", "eth0").out
    assert [line for line in routes(docker, "c1") if line.startswith("default")] == ["default via 10.190.1.1 dev eth2"]


def test_internal_networks_lead_nowhere(docker):
    number = os.getpid() % 250
    docker("network", "create", "--internal", "in1")
    docker("network", "create", "out1")
    sleeper(docker, "c1", "--network", "in1")
    sleeper(docker, "c2", "--network", "in1")
    sleeper(docker, "c3", "--network", "out1")
    assert routes(docker, "c1") and not [line for line in routes(docker, "c1") if line.startswith("default")]
    assert pings(docker, "c1", endpoints(docker, "c2")["in1"]["IPAddress"], 5)
    gateway = network(docker, "in1")["IPAM"]["Config"][0]["Gateway"]
    with networks.outside_host(f"pzi{os.getpid() % 10**6}", f"198.18.{number}.1/24", f"198.18.{number}.2/24"):
        assert pings(docker, "c3", f"198.18.{number}.2", 5)
        # Even with a route of its own making.
        docker("exec", "--privileged", "c1", "ip", "route", "add", "default", "via", gateway)
        assert not pings(docker, "c1", f"198.18.{number}.2")


def test_containers_without_icc_reach_the_host_alone(docker):
    docker("network", "create", "--opt", "com.docker.network.bridge.enable_icc=false", "net1")
    sleeper(docker, "c1", "--network", "net1")
    sleeper(docker, "c2", "--network", "net1")
    assert pings(docker, "c1", endpoints(docker, "c1")["net1"]["Gateway"], 5)
    assert not pings(docker, "c1", endpoints(docker, "c2")["net1"]["IPAddress"])


@pytest.mark.parametrize("masquerade", [True, False])
def test_source_addresses(docker, masquerade):
    number = os.getpid() % 250
    docker("network", "create", "--opt", f"com.docker.network.bridge.enable_ip_masquerade={str(masquerade).lower()}", "net1")
    sleeper(docker, "c1", "--network", "net1")
    with networks.outside_host(f"pzs{os.getpid() % 10**6}", f"198.18.{number}.1/24", f"198.18.{number}.2/24"):
        # The other host has no way back to any address but the host's own.
        assert pings(docker, "c1", f"198.18.{number}.2", 2) == masquerade


def test_ipv6(docker):
    docker("network", "create", "--ipv6", "--subnet", "10.190.1.0/24", "--subnet", "fd00:77:1::/64", "dual")
    docker("network", "create", "--ipv6", "--ipv4=false", "six")
    sleeper(docker, "c1", "--network", "dual", "--ip6", "fd00:77:1::99", "--hostname", "h1")
    sleeper(docker, "c2", "--network", "dual")
    sleeper(docker, "s1", "--network", "six")
    sleeper(docker, "s2", "--network", "six")
    first = endpoints(docker, "c1")["dual"]
    assert first["GlobalIPv6Address"] == "fd00:77:1::99" and first["GlobalIPv6PrefixLen"] == 64
    assert first["IPv6Gateway"] == "fd00:77:1::1" and first["IPAddress"].startswith("10.190.1.")
    assert "fd00:77:1::99\th1" in docker("exec", "c1", "cat", "/etc/hosts").out
    assert pings(docker, "c2", "fd00:77:1::99", 5) and pings(docker, "c2", first["IPAddress"], 5)
    only = endpoints(docker, "s2")["six"]
    assert only["IPAddress"] == "" and only["GlobalIPv6Address"].startswith("fd")
    assert pings(docker, "s1", only["GlobalIPv6Address"], 5)
    assert "inet " not in docker("exec", "s1", "ip", "address", "show", "eth0").out
    assert any(line.startswith(f"default via {only['IPv6Gateway']}") for line in routes(docker, "s1", "-6"))
    assert not pings(docker, "c2", only["GlobalIPv6Address"])
    number = os.getpid() % 250
    with networks.outside_host(f"pz6{os.getpid() % 10**6}", f"198.18.{number}.1/24", f"198.18.{number}.2/24") as world:
        networks.ip("address", "add", f"fd00:99:{number:x}::1/64", "dev", f"{world}h", "nodad")
        networks.ip("-netns", world, "address", "add", f"fd00:99:{number:x}::2/64", "dev", "eth0", "nodad")
        assert pings(docker, "s1", f"fd00:99:{number:x}::2", 5)  # masqueraded: it has no way back to fd…


def test_link_local_addresses(docker):
    docker("network", "create", "n1")
    sleeper(docker, "c1", "--network", "n1", "--link-local-ip", "169.254.7.9", "--link-local-ip", "fe80::7:9")
    found = docker("exec", "c1", "ip", "address", "show", "eth0").out
    assert "169.254.7.9/16" in found and "fe80::7:9/64" in found
    assert endpoints(docker, "c1")["n1"]["IPAMConfig"] == {"LinkLocalIPs": ["169.254.7.9", "fe80::7:9"]}
    sleeper(docker, "c2", "--network", "n1", "--link-local-ip", "169.254.7.10")
    assert pings(docker, "c2", "169.254.7.9", 5)
    refused = docker("network", "connect", "--link-local-ip", "nonsense", "bridge", "c1", check=False)
    assert refused.code == 1 and "nonsense" in refused.err


def test_fixed_addresses(docker):
    docker("network", "create", "--subnet", "10.190.1.0/29", "--ip-range", "10.190.1.4/30", "--gateway", "10.190.1.6",
           "--aux-address", "printer=10.190.1.5", "net1")
    sleeper(docker, "c1", "--network", "net1")
    assert endpoints(docker, "c1")["net1"]["IPAddress"] == "10.190.1.4"
    full = docker("run", "--rm", "--network", "net1", "busybox", "true", check=False)
    assert full.code == 125 and "no available IPv4 addresses on this network's address pools: net1" in full.err
    sleeper(docker, "c2", "--network", "net1", "--ip", "10.190.1.2")
    for taken in ("10.190.1.2", "10.190.1.5", "10.190.1.6"):
        assert "Address already in use" in docker("run", "--rm", "--network", "net1", "--ip", taken, "busybox", "true",
                                                  check=False).err
    assert "no configured subnet" in docker("run", "--rm", "--network", "net1", "--ip", "10.9.9.9", "busybox", "true",
                                            check=False).err
    docker("network", "create", "chosen")
    assert "only when connecting to networks with user configured subnets" in docker(
        "run", "--rm", "--network", "chosen", "--ip", "10.190.1.3", "busybox", "true", check=False).err
    overlap = docker("network", "create", "--subnet", "10.190.0.0/16", "net2", check=False)
    assert "Pool overlaps with other one on this address space" in overlap.err


def test_two_roots_with_one_subnet(docker, busybox_tar):
    """Whoever names a subnet knows best: within each bridge packets stay as they are, also where the kernel filters those."""
    with Pouchd() as other:
        other.docker("load", "--input", busybox_tar)
        for each in (docker, other.docker):
            each("network", "create", "--subnet", "10.190.6.0/24", "net1")
            sleeper(each, "c1", "--network", "net1", "--ip", "10.190.6.8")
            sleeper(each, "c2", "--network", "net1", "--ip", "10.190.6.9")
        for each, name in ((docker, "first"), (other.docker, "second")):
            pids = [int(each("inspect", "--format", "{{.State.Pid}}", container).out) for container in ("c1", "c2")]
            with echo.server(name, "80/tcp", pid=pids[1]):
                assert echo.ask("10.190.6.9", 80, pid=pids[0]) == [name, "10.190.6.8"]
        other.docker("rm", "--force", "c1", "c2")
        other.docker("network", "rm", "net1")


def test_a_container_in_the_network_of_another(docker):
    sleeper(docker, "c1", "--hostname", "h1")
    inside = docker("run", "--rm", "--network", "container:c1", "busybox", "sh", "-c",
                    "hostname; ip -4 -o address show eth0; cat /etc/hosts").out
    address = endpoints(docker, "c1")["bridge"]["IPAddress"]
    assert inside.startswith("h1\n") and f" {address}/" in inside and f"{address}\th1" in inside
    sleeper(docker, "c2", "--network", "container:c1")
    assert endpoints(docker, "c2") == {}
    assert "container sharing network namespace with another" in docker("network", "connect", "none", "c2", check=False).err
    # When the first ends its address is another's: the second keeps no link with it.
    docker("stop", "--time", "0", "c1")
    assert procs.wait_until(lambda: "eth0" not in docker("exec", "c2", "ip", "link").out, 20)
    gone = docker("run", "--rm", "--network", "container:c1", "busybox", "true", check=False)
    assert gone.code == 125 and "cannot join network of a non running container" in gone.err
    assert "conflicting options: hostname and the network mode" in docker(
        "run", "--rm", "--network", "container:c1", "--hostname", "x", "busybox", "true", check=False).err


def test_links(docker):
    sleeper(docker, "db")
    hosts = docker("run", "--rm", "--link", "db:base", "busybox", "cat", "/etc/hosts").out
    assert f"{endpoints(docker, 'db')['bridge']['IPAddress']}\tbase " in hosts
    docker("stop", "--time", "0", "db")
    assert "Cannot link to a non running container: /db AS base" in docker(
        "run", "--rm", "--link", "db:base", "busybox", "true", check=False).err


def test_prune(docker):
    for name in ("used", "free", "kept"):
        docker("network", "create", *(("--label", "keep=1") if name == "kept" else ()), name)
    docker("create", "--network", "used", "--name", "c1", "busybox", "true")
    assert docker("network", "prune", "--force", "--filter", "label!=keep").lines[:2] == ["Deleted Networks:", "free"]
    assert docker("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").lines == ["kept", "used"]


@pytest.mark.parametrize("arguments, words", [
    (("--driver", "nosuch", "n"), "plugin \"nosuch\" not found"),
    (("--subnet", "10.1.1.1/24", "n"), "invalid subnet 10.1.1.1/24: it should be 10.1.1.0/24"),
    (("--subnet", "10.190.1.0/24", "--gateway", "10.190.1.1", "--opt", "com.docker.network.bridge.enable_icc=perhaps", "n"),
     "failed to parse com.docker.network.bridge.enable_icc value"),
    (("--opt", "com.docker.network.bridge.gateway_mode_ipv4=bent", "n"),
     "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: bent (unknown gateway mode bent)"),
    (("--opt", "com.docker.network.bridge.gateway_mode_ipv6=isolated", "n"),
     "gateway mode 'isolated' can only be used for an internal network"),
    (("--opt", "com.docker.network.host_ipv4=::1", "n"), "failed to parse com.docker.network.host_ipv4 value"),
    (("--subnet", "10.190.1.0/24", "--subnet", "10.190.2.0/24", "n"), "bridge driver doesn't support multiple subnets"),
    (("host",), "operation is not permitted on predefined host network"),
    (("--opt", "com.docker.network.bridge.name=lo", "n"), "the host has a link"),
])
def test_refused(docker, arguments, words):
    result = docker("network", "create", *arguments, check=False)
    assert result.code == 1 and words in result.err, result.err
    assert docker("network", "ls", "--quiet", "--filter", "type=custom").lines == []


def test_options_that_nobody_knows_are_kept(docker):
    device = f"pzbr{os.getpid() % 10**6}"
    docker("network", "create", "--opt", "some.vendor.option=1", "--opt", f"com.docker.network.bridge.name={device}",
           "--opt", "com.docker.network.container_iface_prefix=net", "net1")
    assert network(docker, "net1")["Options"]["some.vendor.option"] == "1"
    assert networks.ip("link", "show", device)
    assert "net0" in docker("run", "--rm", "--network", "net1", "busybox", "ip", "link").out
    docker("network", "rm", "net1")
    assert device not in networks.ip("link", "show", "type", "bridge")


def test_killed_daemons_leave_nothing_and_running_containers_their_connections(busybox_tar):
    with Pouchd() as daemon:
        docker = daemon.docker
        docker("load", "--input", busybox_tar)
        docker("network", "create", "net1")
        docker("network", "create", "net2")
        sleeper(docker, "c1", "--network", "net1")
        docker("network", "connect", "net2", "c1")
        before = endpoints(docker, "c1")
        daemon.kill()
        daemon.start()
        assert endpoints(docker, "c1") == before
        for found in before.values():
            assert pings(docker, "c1", found["Gateway"], 5)
        docker("rm", "--force", "c1")
        docker("network", "rm", "net1", "net2")
        root = docker("info", "--format", "{{.ID}}").out.strip()
    left = f"pn{root[:6]}"
    assert procs.wait_until(lambda: not [name for name in networks.bridges() if name.startswith(left)], 20)
