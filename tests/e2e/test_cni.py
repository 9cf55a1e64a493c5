"""Lists of CNI plugins as networks, with Debian's plugins: pouchd lives in a namespace that plays the machine, whose
iptables chains the plugin portmap leaves."""

import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess

import pytest
from pouchtest import echo, networks, procs
from pouchtest.dns_server import Upstream
from pouchtest.faults.control import Control
from pouchtest.faults.pouchd import FaultyPouchd
from pouchtest.pouchd import Pouchd
from pouchtest.sleepers import endpoints, pings, sleeper

pytest_plugins = ["pouchtest.fixtures"]

_MACHINE = f"pzc{os.getpid() % 10**6}"


class Machine(Pouchd):
    def command(self):
        return ["nsenter", f"--net=/run/netns/{_MACHINE}", *super().command()]


class FaultyMachine(FaultyPouchd):
    def command(self):
        return ["nsenter", f"--net=/run/netns/{_MACHINE}", *super().command()]


@pytest.fixture(scope="module")
def machine():
    networks.ip("netns", "add", _MACHINE)
    networks.ip("-netns", _MACHINE, "link", "set", "lo", "up")
    yield
    networks.ip("netns", "delete", _MACHINE)


@pytest.fixture(scope="module")
def pouchd(machine, busybox_tar):  # pylint: disable=unused-argument
    with Machine() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        yield daemon


@pytest.fixture
def docker(pouchd):
    yield pouchd.docker
    networks.clear(pouchd.docker)


def on_machine(*words):
    return subprocess.run(["nsenter", f"--net=/run/netns/{_MACHINE}", *words], capture_output=True, text=True, check=True).stdout


class Lists:
    """A folder of lists; what the plugin host-local keeps is there too."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "leases"

    def write(self, name, *plugins, version="1.0.0"):
        document = {"cniVersion": version, "name": name, "plugins": list(plugins)}
        (self.folder / f"{name}.conflist").write_text(json.dumps(document))

    def bridge(self, name, subnet, **more):
        return {"type": "bridge", "bridge": name, "isGateway": True, "ipMasq": True, "hairpinMode": True,
                "ipam": {"type": "host-local", "dataDir": str(self.data), "ranges": [[{"subnet": subnet}]],
                         "routes": [{"dst": "0.0.0.0/0"}]}, **more}

    def leases(self, name):
        folder = self.data / name
        return sorted(path.name for path in folder.iterdir() if path.name[0].isdigit()) if folder.is_dir() else []


@pytest.fixture
def lists(machine, tmp_path):  # pylint: disable=unused-argument
    yield Lists(tmp_path)
    for link in json.loads(on_machine("ip", "-json", "link", "show", "type", "bridge")):
        if link and link["ifname"].startswith("ct-"):
            on_machine("ip", "link", "delete", link["ifname"])


def create(docker, lists, name, *args):
    return docker("network", "create", "--driver", "cni", "--opt", f"cni.conf_dir={lists.folder}", *args, name)


def attachments(pouchd):
    with contextlib.closing(sqlite3.connect(f"file:{pouchd.dir}/home/pouch.db?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM intents WHERE kind = 'attachment'").fetchone()[0]


def test_a_list_makes_a_network(pouchd, docker, lists):
    lists.write("web", lists.bridge("ct-web", "10.188.1.0/24"), {"type": "portmap", "capabilities": {"portMappings": True}})
    create(docker, lists, "web")
    shown = json.loads(docker("network", "inspect", "web").out)[0]
    assert (shown["Driver"], shown["Scope"], shown["IPAM"]["Config"]) == ("cni", "local", [])
    sleeper(docker, "c1", "--network", "web", "--publish", "80")
    sleeper(docker, "c2", "--network", "web", "--network-alias", "other")
    one, two = endpoints(docker, "c1")["web"], endpoints(docker, "c2")["web"]
    assert (one["IPAddress"], one["IPPrefixLen"], one["Gateway"]) == ("10.188.1.2", 24, "10.188.1.1")
    assert lists.leases("web") == ["10.188.1.2", "10.188.1.3"]
    assert one["MacAddress"] in docker("exec", "c1", "ip", "link", "show", "eth0").out
    assert "default via 10.188.1.1 dev eth0" in docker("exec", "c1", "ip", "route").out
    assert f"{one['IPAddress']}\tc1" in docker("exec", "c1", "cat", "/etc/hosts").out or one["IPAddress"] in docker("exec", "c1", "cat", "/etc/hosts").out
    assert pings(docker, "c1", two["IPAddress"]) and pings(docker, "c1", "other") and pings(docker, "c2", "c1")
    port = int(docker("port", "c1", "80/tcp").lines[0].rsplit(":", 1)[1])
    pid = int(docker("inspect", "--format", "{{.State.Pid}}", "c1").out)
    with echo.server("c1", "80/tcp", pid=pid):
        assert echo.ask("10.188.1.1", port, netns=_MACHINE, seconds=3)[0] == "c1"
    busy = docker("run", "--rm", "--network", "web", "--publish", f"{port}:80", "busybox", "true", check=False)
    assert busy.code == 125 and "port is already allocated" in busy.err
    docker("rm", "--force", "c1", "c2")
    docker("network", "rm", "web")
    assert not lists.leases("web") and attachments(pouchd) == 0
    assert str(port) not in on_machine("iptables-save")
    assert not list((pathlib.Path(pouchd.dir) / "home/cni").iterdir())


def test_joining_and_leaving(pouchd, docker, lists):
    lists.write("more", lists.bridge("ct-more", "10.188.2.0/24"))
    create(docker, lists, "joined", "--opt", "cni.list=more")
    sleeper(docker, "c1")
    docker("network", "connect", "--driver-opt", "K=V", "joined", "c1")
    assert endpoints(docker, "c1")["joined"]["IPAddress"] == "10.188.2.2"
    assert pings(docker, "c1", "10.188.2.1") and docker("exec", "c1", "ip", "link", "show", "eth1").code == 0
    docker("kill", "c1")
    docker("wait", "c1")
    docker("start", "c1")
    assert pings(docker, "c1", "10.188.2.1")
    assert procs.wait_until(lambda: len(lists.leases("more")) == 1, 10)
    docker("network", "disconnect", "joined", "c1")
    assert not lists.leases("more") and docker("exec", "c1", "ip", "link", "show", "eth1", check=False).code
    docker("rm", "--force", "c1")
    docker("network", "rm", "joined")
    assert attachments(pouchd) == 0


def test_wishes_are_a_plugins_capabilities(docker, lists):
    lists.write("plain", lists.bridge("ct-plain", "10.188.3.0/24"))
    lists.write("rich", lists.bridge("ct-rich", "10.188.4.0/24", capabilities={"ips": True, "mac": True}))
    create(docker, lists, "plain")
    create(docker, lists, "rich")
    for args, message in ((["--publish", "80"], 'HostConfig.PortBindings: no plugin of the CNI network plain'),
                          (["--ip", "10.188.3.9"], 'IPAMConfig: no plugin of the CNI network "plain" takes it (capability "ips")'),
                          (["--mac-address", "02:00:00:00:00:09"], 'MacAddress: no plugin of the CNI network "plain" takes it')):
        refused = docker("run", "--rm", "--network", "plain", *args, "busybox", "true", check=False)
        assert refused.code == 125 and message in refused.err
    out = docker("run", "--rm", "--network", "rich", "--ip", "10.188.4.9", "--mac-address", "02:00:00:00:00:09", "busybox",
                 "ip", "address", "show", "eth0").out
    assert "10.188.4.9/24" in out and "02:00:00:00:00:09" in out
    # No plugin's affair.
    out = docker("run", "--rm", "--network", "plain", "--link-local-ip", "169.254.7.9", "--link-local-ip", "fe80::7:9", "busybox",
                 "ip", "address", "show", "eth0").out
    assert "10.188.3.2/24" in out and "169.254.7.9/16" in out and "fe80::7:9/64" in out
    docker("network", "rm", "plain", "rich")
    assert not lists.leases("rich") and not lists.leases("plain")


def test_name_servers_of_a_plugin(docker, lists):
    dns = {"nameservers": ["10.188.7.1"], "search": ["example.org"]}
    lists.write("names", {**lists.bridge("ct-names", "10.188.7.0/24"), "dns": dns})
    create(docker, lists, "names")
    sleeper(docker, "c1", "--network", "names", "--network-alias", "www")
    sleeper(docker, "c2", "--network", "names", "--dns", "10.188.7.99", "--dns-search", "of.mine")
    assert docker("exec", "c1", "cat", "/etc/resolv.conf").lines[:2] == ["search example.org", "nameserver 127.0.0.11"]
    assert docker("exec", "c2", "cat", "/etc/resolv.conf").lines[0] == "search of.mine"
    with networks.inside(_MACHINE):
        server = Upstream("10.188.7.1")
    with contextlib.closing(server):
        found = docker("exec", "c1", "nslookup", "mail.example.org").out
        assert "192.0.2.7" in found and ("mail.example.org", 1) in server.asked
        own = endpoints(docker, "c1")["names"]["IPAddress"]  # a container's name is its own before it is theirs
        assert f"({own})" in docker("exec", "c1", "ping", "-c", "1", "www").out
        assert docker("exec", "c2", "nslookup", "ftp.example.org", check=False).code != 0
        assert not [name for name, _ in server.asked if name.startswith("ftp")]


def test_mistakes(docker, lists):
    lists.write("good", lists.bridge("ct-good", "10.188.5.0/24"))
    lists.write("noplugin", {"type": "nosuchplugin"})
    for name, args, message in (
            ("nolist", [], 'no CNI network "nolist" in'),
            ("noplugin", [], "nosuchplugin"),
            ("good", ["--opt", "cni.lists=x"], 'Options "cni.lists" is none of driver cni'),
            ("good", ["--subnet", "10.188.5.0/24"], "IPAM.Config is not supported with driver cni"),
            ("good", ["--internal"], "Internal is not supported with driver cni"),
            ("good", ["--ipv6"], "EnableIPv6 is not supported with driver cni")):
        refused = create_refused(docker, lists, name, args)
        assert message in refused.err, refused.err
    assert not docker("network", "ls", "--quiet", "--filter", "driver=cni").lines


def create_refused(docker, lists, name, args):
    refused = docker("network", "create", "--driver", "cni", "--opt", f"cni.conf_dir={lists.folder}", *args, name, check=False)
    assert refused.code == 1
    return refused


def test_a_plugin_that_fails(pouchd, docker, lists):
    lists.write("half", lists.bridge("ct-half", "10.188.6.0/24"), {"type": "tuning", "sysctl": {"net.ipv4.nosuch": "1"}})
    create(docker, lists, "half")
    failed = docker("run", "--name", "c1", "--network", "half", "busybox", "true", check=False)
    assert failed.code and "join network half" in failed.err and "tuning" in failed.err
    assert procs.wait_until(lambda: attachments(pouchd) == 0, 10) and not lists.leases("half")
    docker("rm", "c1")
    docker("network", "rm", "half")


@pytest.mark.parametrize("point", ["cni.add.after", "cni.cache.after", "cni.del.before", "cni.uncache.before"])
def test_killed_amid_a_life(point, lists, busybox_tar, tmp_path):
    lists.write("amid", lists.bridge("ct-amid", "10.188.8.0/24"))

    def live():
        docker("run", "--rm", "--network", "amid", "busybox", "true", check=False)
        docker("network", "rm", "amid", check=False)

    with FaultyMachine(Control(tmp_path)) as pouchd:
        docker = pouchd.docker
        docker("load", "--input", busybox_tar)
        create(docker, lists, "amid")
        assert pouchd.killed_at(point, 1, live, role="*")
        assert procs.wait_until(lambda: attachments(pouchd) == 0 and not lists.leases("amid"), 20)
        if docker("network", "ls", "--quiet", "--filter", "name=amid").lines:
            docker("network", "rm", "amid")


def test_a_list_that_is_gone(pouchd, docker, lists):
    lists.write("gone", lists.bridge("ct-gone", "10.188.7.0/24"))
    create(docker, lists, "gone")
    sleeper(docker, "c1", "--network", "gone")
    (lists.folder / "gone.conflist").unlink()
    docker("rm", "--force", "c1")
    docker("network", "rm", "gone")
    assert not lists.leases("gone") and attachments(pouchd) == 0


def findings(pouchd, network):
    report = json.loads(pouchd.pouch("check", "--format", "json", check=False).out)
    return [finding for finding in report["Findings"] if finding["Name"] == f"network {network}"]


def test_what_is_not_as_plugins_left_it_is_found(pouchd, docker, lists):
    """STATUS and CHECK: in `pouch check`, with the command that mends it."""
    lists.write("kept", lists.bridge("ct-kept", "10.188.9.0/24"))
    create(docker, lists, "kept")
    sleeper(docker, "c1", "--network", "kept")
    assert [(finding["Level"], finding["Message"]) for finding in findings(pouchd, "kept")] == [
        ("ok", "the CNI plugins of kept are ready")]
    pid = docker("inspect", "--format", "{{.State.Pid}}", "c1").out.strip()
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "address", "flush", "dev", "eth0"], check=True)
    found = findings(pouchd, "kept")[1]
    assert found["Level"] == "warning" and "container c1 is not in it as its plugins made it: " in found["Message"]
    for command in found["Fix"].split(" && "):
        pouchd.pouch(*command.split()[1:])
    assert len(findings(pouchd, "kept")) == 1
    (lists.folder / "kept.conflist").unlink()
    assert [finding["Level"] for finding in findings(pouchd, "kept")] == ["error"]


_NOTE = """#!/bin/sh
folder=$(dirname "$0")
input=$(cat)
[ "$CNI_COMMAND" = VERSION ] || echo "$CNI_COMMAND $input" | tr -d '\\n' >>"$folder/calls"
[ "$CNI_COMMAND" = VERSION ] || echo >>"$folder/calls"
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.1.0", "supportedVersions": ["1.1.0"]}' ;;
ADD)
  nsenter --net="$CNI_NETNS" ip link add "$CNI_IFNAME" type veth peer name other
  echo '{"cniVersion": "1.1.0", "interfaces": [{"name": "'"$CNI_IFNAME"'", "sandbox": "'"$CNI_NETNS"'"}], "ips": []}' ;;
esac
"""


class Note:
    """A plugin of CNI 1.1.0 that writes down what it is told."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "note").write_text(_NOTE)
        (folder / "note").chmod(0o755)

    def collected(self):
        """What each GC since the last look was told to be valid: of each list of attachments, ids and links."""
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        told = [json.loads(line.partition(" ")[2]) for line in lines if line.startswith("GC ")]
        return [[(each["containerID"], each["ifname"]) for each in call["cni.dev/valid-attachments"]] for call in told]


def test_a_list_of_ones_own_is_collected(docker, lists):
    """GC, where the network says that nobody else uses the list; else none, which would take away what others have."""
    note = Note(lists.folder)
    for name in ("own", "shared"):
        lists.write(name, {"type": "note"}, version="1.1.0")
    folder = ["--opt", f"cni.bin_dir={lists.folder}"]
    create(docker, lists, "own", *folder, "--opt", "cni.gc=true")
    assert note.collected() == [[]]
    create(docker, lists, "shared", *folder)
    sleeper(docker, "c1", "--network", "own")
    sleeper(docker, "c2", "--network", "shared")
    assert note.collected() == []
    docker("network", "prune", "--force")
    [valid] = note.collected()
    [(sandbox, link)] = valid
    assert link == "eth0" and sandbox.startswith(docker("inspect", "--format", "{{.Id}}", "c1").out.strip())
    assert docker("network", "ls", "--quiet", "--filter", "driver=cni").lines[1:]
    docker("rm", "--force", "c1", "c2")
    docker("network", "rm", "own", "shared")
    assert note.collected() == [[]]
    refused = create_refused(docker, lists, "own", [*folder, "--opt", "cni.gc=perhaps"])
    assert 'cni.gc: "perhaps" is neither true nor false' in refused.err
