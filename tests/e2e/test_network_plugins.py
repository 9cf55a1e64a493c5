"""Networks that others make: drivers and address managers behind libnetwork's protocols. The plugins are of tests alone."""

import json
import os
import socket

import pytest
from pouchtest import echo, networks, procs
from pouchtest.embed import embed_root
from pouchtest.faults.control import Control
from pouchtest.faults.pouchd import FaultyPouchd
from pouchtest.network_plugin import IpamPlugin, NetworkPlugin
from pouchtest.paths import build_dir
from pouchtest.ports import free_port
from pouchtest.run import run
from pouchtest.sleepers import endpoints, pings, sleeper

pytest_plugins = ["pouchtest.fixtures"]


@pytest.fixture
def docker(pouchd):
    return pouchd.docker


@pytest.fixture
def driver(docker):
    with NetworkPlugin(f"pouchtestnet{os.getpid()}") as plugin:
        yield plugin
        networks.clear(docker)
        assert not plugin.networks and not plugin.endpoints and not plugin.links()


@pytest.fixture
def ipam(docker):
    with IpamPlugin(f"pouchtestipam{os.getpid()}") as plugin:
        yield plugin
        networks.clear(docker)
        assert not plugin.taken


def test_a_driver_makes_the_links(docker, driver):
    network = docker("network", "create", "--driver", driver.name, "--opt", "a=b", "--subnet", "10.186.1.0/24",
                     "--ip-range", "10.186.1.128/25", "plug1").out.strip()
    created = driver.networks[network]
    assert created["Options"]["com.docker.network.generic"] == {"a": "b"}
    assert created["IPv4Data"] == [{"AddressSpace": "LocalDefault", "Pool": "10.186.1.0/24", "Gateway": "10.186.1.1/24"}]
    assert created["IPv6Data"] == []
    sleeper(docker, "c1", "--network", "plug1", "--publish", "127.0.0.1:8081:80")
    sleeper(docker, "c2", "--network", "plug1", "--ip", "10.186.1.7", "--mac-address", "02:00:00:00:00:07", "--network-alias", "other")
    [first, second] = driver.asked("NetworkDriver.CreateEndpoint")
    assert first["Options"]["com.docker.network.portmap"] == [
        {"Proto": 6, "Port": 80, "IP": "", "HostIP": "127.0.0.1", "HostPort": 8081, "HostPortEnd": 8081}]
    assert first["Interface"] == {"Address": "10.186.1.128/24", "AddressIPv6": "", "MacAddress": ""}
    assert second["Interface"] == {"Address": "10.186.1.7/24", "AddressIPv6": "", "MacAddress": "02:00:00:00:00:07"}
    shown = endpoints(docker, "c1")["plug1"]
    assert (shown["IPAddress"], shown["Gateway"], shown["MacAddress"]) == ("10.186.1.128", "10.186.1.1", "02:42:de:ad:be:01")
    assert shown["EndpointID"] in driver.endpoints
    link = docker("exec", "c1", "ip", "link", "show", "plug0").out
    assert "02:42:de:ad:be:01" in link and "UP" in link
    routes = docker("exec", "c1", "ip", "route").out
    assert "default via 10.186.1.1 dev plug0" in routes and "198.51.100.0/24 dev plug0" in routes
    assert pings(docker, "c1", "10.186.1.7") and pings(docker, "c1", "other") and pings(docker, "c2", "10.186.1.1")
    docker("rm", "--force", "c1", "c2")
    docker("network", "rm", "plug1")
    # Whoever looks for plugins of volumes on this machine asks it what it is.
    asked = [method for method in driver.methods() if method != "Plugin.Activate"]
    assert asked[-1] == "NetworkDriver.DeleteNetwork" and "NetworkDriver.Leave" in asked


def test_joining_and_leaving(docker, driver):
    docker("network", "create", "--driver", driver.name, "--subnet", "10.186.2.0/24", "plug2")
    sleeper(docker, "c1")
    sleeper(docker, "c2", "--network", "plug2")
    assert not pings(docker, "c1", "c2")
    docker("network", "connect", "--driver-opt", "x=y", "--link-local-ip", "169.254.7.9", "plug2", "c1")
    assert "169.254.7.9/16" in docker("exec", "c1", "ip", "address", "show", "plug0").out
    assert driver.asked("NetworkDriver.CreateEndpoint")[-1]["Options"]["x"] == "y"
    assert pings(docker, "c1", "10.186.2.2") and pings(docker, "c1", "c2")
    assert len(json.loads(docker("network", "inspect", "plug2").out)[0]["Containers"]) == 2
    docker("network", "disconnect", "plug2", "c1")
    assert len(driver.endpoints) == 1 and "plug0" not in docker("exec", "c1", "ip", "link").out
    assert not pings(docker, "c1", "c2")
    docker("kill", "c2")
    docker("wait", "c2")
    docker("start", "c2")
    assert pings(docker, "c2", "10.186.2.1")
    docker("rm", "--force", "c1", "c2")
    docker("network", "rm", "plug2")


def test_what_a_driver_refuses(docker, driver):
    refused = docker("network", "create", "--driver", driver.name, "--opt", "refuse=1", "plug3", check=False)
    assert refused.code == 1 and "no such networks here" in refused.err
    assert "plug3" not in docker("network", "ls").out
    docker("network", "create", "--driver", driver.name, "plug3")
    docker("create", "--name", "c1", "--network", "name=plug3,driver-opt=refuse=1", "busybox", "true")
    refused = docker("start", "c1", check=False)
    assert refused.code == 1 and "no such endpoints here" in refused.err
    assert docker("inspect", "--format", "{{.State.Status}}", "c1").out.strip() == "created"
    docker("rm", "c1")
    docker("network", "rm", "plug3")


def test_a_driver_that_is_away(docker, driver):
    docker("network", "create", "--driver", driver.name, "plug4")
    sleeper(docker, "c1", "--network", "plug4")
    driver.stop()
    docker("rm", "--force", "c1")  # nobody waits for it
    away = docker("network", "rm", "plug4", check=False)
    assert away.code == 1 and "plug4" in docker("network", "ls").out
    driver.listen()
    assert len(driver.endpoints) == 1
    docker("network", "rm", "plug4")
    assert not driver.endpoints


@pytest.mark.parametrize("point", ["plugin.call.after", "row.intents.insert.before"])
def test_killed_amid_a_start(point, driver, busybox_tar, tmp_path):
    """Whatever a driver was asked for by an engine that died, the next one undoes."""
    with FaultyPouchd(Control(tmp_path)) as pouchd:
        docker = pouchd.docker
        docker("load", "--input", busybox_tar)
        docker("network", "create", "--driver", driver.name, "plug6")
        times = 0
        while pouchd.killed_at(point, times + 1, lambda: docker(
                "run", "--detach", "--name", "c1", "--network", "plug6", "busybox", "sleep", "1000", check=False)):
            times += 1
            docker("rm", "--force", "c1")
            assert procs.wait_until(lambda: not driver.endpoints and not driver.links() - {f"tb{next(iter(driver.networks))[:7]}"}, 20)
        assert times >= 2
        networks.clear(docker)


def test_a_reset(driver, ipam, busybox_tar):
    """Of a root with a running container: plugins are told, and the folder is empty."""
    with embed_root() as uri:
        def pouch(*args):
            return run(build_dir() / "bin/pouch", "-H", uri, *args)

        pouch("load", "-i", busybox_tar)
        pouch("network", "create", "--driver", driver.name, "plug7")
        pouch("network", "create", "--ipam-driver", ipam.name, "ipam7")
        pouch("run", "-d", "--network", "plug7", "busybox", "sleep", "1000")
        pouch("run", "-d", "--network", "ipam7", "busybox", "sleep", "1000")
        assert driver.endpoints and ipam.taken
        pouch("system", "reset", "-f")
        assert not driver.endpoints and not driver.networks and not ipam.taken


def test_names_of_drivers(docker):
    for args, message in ((["--driver", "nosuch"], 'could not find plugin nosuch in v1 plugin registry: plugin "nosuch" not found'),
                          (["--ipam-driver", "nosuch"], 'could not find IPAM driver "nosuch"')):
        refused = docker("network", "create", *args, "plug5", check=False)
        assert refused.code == 1 and message in refused.err
    with NetworkPlugin(f"pouchtestwide{os.getpid()}", scope="global") as plugin:
        refused = docker("network", "create", "--driver", plugin.name, "plug5", check=False)
        assert refused.code == 1 and 'scope "global"' in refused.err


def test_an_address_manager(docker, ipam):
    docker("network", "create", "--ipam-driver", ipam.name, "--ipam-opt", "c=d", "--aux-address", "printer=10.187.0.254",
           "--subnet", "10.187.0.0/24", "ipam1")
    [pool] = ipam.asked("IpamDriver.RequestPool")
    assert pool == {"AddressSpace": "here", "Pool": "10.187.0.0/24", "SubPool": "", "Options": {"c": "d"}, "V6": False}
    shown = json.loads(docker("network", "inspect", "ipam1").out)[0]["IPAM"]
    assert shown["Driver"] == ipam.name and shown["Options"] == {"c": "d"}
    assert shown["Config"] == [{"Subnet": "10.187.0.0/24", "Gateway": "10.187.0.253", "AuxiliaryAddresses": {"printer": "10.187.0.254"}}]
    sleeper(docker, "c1", "--network", "ipam1", "--publish", "80")
    sleeper(docker, "c2", "--network", "ipam1", "--ip", "10.187.0.9")
    one, two = endpoints(docker, "c1")["ipam1"], endpoints(docker, "c2")["ipam1"]
    assert (one["IPAddress"], one["Gateway"], two["IPAddress"]) == ("10.187.0.252", "10.187.0.253", "10.187.0.9")
    assert ipam.asked("IpamDriver.RequestAddress")[-2]["Options"] == {"com.docker.network.endpoint.macaddress": one["MacAddress"]}
    assert pings(docker, "c1", "10.187.0.9") and pings(docker, "c1", "c2") and pings(docker, "c1", "10.187.0.253")
    assert docker("port", "c1").out.startswith("80/tcp -> ")
    taken = docker("run", "--rm", "--network", "ipam1", "--ip", "10.187.0.9", "busybox", "true", check=False)
    assert taken.code == 125 and "10.187.0.9 is taken" in taken.err
    docker("rm", "--force", "c1", "c2")
    assert procs.wait_until(lambda: ipam.taken["10.187.0.0/24"] == {"10.187.0.253", "10.187.0.254"}, 10)
    docker("network", "rm", "ipam1")


def test_pools_that_an_address_manager_chooses(docker, ipam):
    refused = docker("network", "create", "--ipam-driver", ipam.name, "--ipam-opt", "refuse=1", "ipam2", check=False)
    assert refused.code == 1 and "no pools left" in refused.err
    docker("network", "create", "--ipam-driver", ipam.name, "ipam2")
    again = docker("network", "create", "--ipam-driver", ipam.name, "ipam2", check=False)
    assert again.code == 1 and "already exists" in again.err
    out = docker("run", "--rm", "--network", "ipam2", "busybox", "ip", "-4", "address", "show", "eth0").out
    assert "inet 10.187.0.253/24" in out
    docker("network", "rm", "ipam2")


@pytest.fixture
def world():
    """Another host, which knows its neighbour alone."""
    with networks.outside_host(f"pzw{os.getpid() % 10**6}", "198.18.92.1/24", "198.18.92.2/24") as name:
        yield name


def pid_of(docker, name):
    return int(docker("inspect", "--format", "{{.State.Pid}}", name).out)


def members(docker, network):
    return sorted(each["Name"] for each in json.loads(docker("network", "inspect", network).out)[0]["Containers"].values())


def test_who_has_no_gateway_gets_out_by_a_bridge(docker, driver, world):
    """Docker's docker_gwbridge: with it go ports; the container's own networks are shown, and the host is its neighbour."""
    docker("network", "create", "--driver", driver.name, "--opt", "no-gateway=1", "--subnet", "10.186.9.0/24", "lone")
    port = free_port()
    sleeper(docker, "c1", "--network", "lone", "--publish", f"{port}:80")
    sleeper(docker, "c2", "--network", "lone")
    assert members(docker, "docker_gwbridge") == ["c1", "c2"]
    assert list(json.loads(docker("inspect", "c1").out)[0]["NetworkSettings"]["Networks"]) == ["lone"]
    with echo.server("world", "80/tcp", netns=world), echo.server("c1", "80/tcp", pid=pid_of(docker, "c1")):
        assert echo.ask("198.18.92.2", 80, pid=pid_of(docker, "c1")) == ["world", "198.18.92.1"]
        assert echo.ask("198.18.92.1", port, netns=world) == ["c1", "198.18.92.2"]
    # By its name, and so in its own network, another is reached; through the bridge it is not.
    assert pings(docker, "c1", "c2")
    [address] = [words.split()[1].split("/")[0] for words in docker("exec", "c2", "ip", "-4", "address", "show", "eth0").lines
                 if "inet" in words]
    assert not pings(docker, "c1", address)
    assert address not in docker("exec", "c2", "cat", "/etc/hosts").out
    docker("stop", "--time", "0", "c1")
    assert members(docker, "docker_gwbridge") == ["c2"]
    docker("start", "c1")
    assert members(docker, "docker_gwbridge") == ["c1", "c2"]
    # The driver is not asked for ports that are not its to publish.
    assert "NetworkDriver.ProgramExternalConnectivity" not in driver.methods()
    docker("rm", "--force", "c1", "c2")
    assert members(docker, "docker_gwbridge") == []
    docker("network", "rm", "docker_gwbridge")


def test_the_bridge_comes_and_goes_with_networks(docker, driver, world):
    docker("network", "create", "--driver", driver.name, "--opt", "no-gateway=1", "--subnet", "10.186.9.0/24", "lone")
    docker("network", "create", "--driver", driver.name, "--opt", "no-gateway=nor-service", "--subnet", "10.186.10.0/24", "shut")
    docker("network", "create", "--internal", "inside")
    docker("network", "create", "outside")
    sleeper(docker, "c1", "--network", "inside")
    pid = pid_of(docker, "c1")
    with echo.server("world", "80/tcp", netns=world):
        def gets_out():
            return echo.ask("198.18.92.2", 80, pid=pid, seconds=0.5) is not None
        docker("network", "connect", "shut", "c1")
        assert not gets_out()
        docker("network", "connect", "lone", "c1")
        assert gets_out() and members(docker, "docker_gwbridge") == ["c1"]
        docker("network", "connect", "outside", "c1")
        assert gets_out()
        docker("network", "disconnect", "outside", "c1")
        assert gets_out()
        docker("network", "disconnect", "lone", "c1")
        assert not gets_out() and members(docker, "docker_gwbridge") == []


def test_ports_that_a_driver_publishes_stay_its_own(docker, driver):
    docker("network", "create", "--driver", driver.name, "--subnet", "10.186.11.0/24", "plug8")
    docker("network", "create", "a-bridge")
    port = free_port()
    with socket.socket() as plugins:  # which holds it
        plugins.bind(("0.0.0.0", port))
        sleeper(docker, "c1", "--network", "plug8", "--publish", f"{port}:80")
        docker("network", "connect", "a-bridge", "c1")
        docker("network", "disconnect", "a-bridge", "c1")
    assert len(driver.asked("NetworkDriver.ProgramExternalConnectivity")) == 1


@pytest.mark.parametrize("point", ["row.intents.insert.before", "netlink.add_veth.after", "row.endpoints.delete.before"])
def test_killed_amid_a_way_out(point, driver, busybox_tar, tmp_path):
    """Who dies while a running container gets, or loses, the bridge: the container is as if it had not been tried, or done."""
    with FaultyPouchd(Control(tmp_path)) as pouchd:
        docker = pouchd.docker
        docker("load", "--input", busybox_tar)
        docker("network", "create", "--driver", driver.name, "--opt", "no-gateway=1", "lone")
        docker("network", "create", "--internal", "inside")
        sleeper(docker, "c1", "--network", "inside")
        docker("network", "connect", "lone", "c1")
        bridge = f"pn{docker('info', '--format', '{{.ID}}').out[:6]}{docker('network', 'inspect', '--format', '{{.Id}}', 'docker_gwbridge').out[:7]}"

        def change():
            docker("network", "disconnect", "lone", "c1", check=False)
            docker("network", "connect", "lone", "c1", check=False)

        times = 0
        while pouchd.killed_at(point, times + 1, change):
            times += 1
            docker("network", "disconnect", "lone", "c1", check=False)
            assert procs.wait_until(lambda: not driver.endpoints and not networks.ports(bridge), 20), (times, networks.ports(bridge))
            docker("network", "connect", "lone", "c1")
            assert members(docker, "docker_gwbridge") == ["c1"] and len(networks.ports(bridge)) == 1
        assert times >= 1
        docker("rm", "--force", "c1")
        docker("network", "rm", "lone", "inside", "docker_gwbridge")
