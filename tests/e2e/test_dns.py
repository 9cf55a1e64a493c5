"""Names on user networks: containers ask 127.0.0.11, dig looks from their network namespaces, a server of the test's own
plays the host's, and processes are killed in between."""

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest
from pouchtest import echo, networks, procs
from pouchtest.dns_server import LARGE, Upstream
from pouchtest.embed import keeper
from pouchtest.sleepers import endpoints, sleeper

pytest_plugins = ["pouchtest.fixtures"]

# Of loopback, and of this process: others may run the same beside it.
_OWN = f"{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
SERVER, NOBODY = f"127.77.{_OWN}", f"127.78.{_OWN}"

@pytest.fixture(scope="module")
def upstream():
    server = Upstream(SERVER)
    yield server
    server.close()


def inspect(docker, name):
    return json.loads(docker("inspect", name).out)[0]


def dig(docker, name, *words, whole=False):
    """What dig says in the container's network namespace: the short answers, sorted, or all."""
    pid = inspect(docker, name)["State"]["Pid"]
    done = subprocess.run(["nsenter", "--net", "--target", str(pid), "dig", "@127.0.0.11", "+tries=1", "+time=8",
                           *([] if whole else ["+short"]), *words], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout if whole else sorted(done.stdout.split())


def status(docker, name, *words):
    out = dig(docker, name, *words, whole=True)
    return out.split("status: ")[1].split(",")[0] if "status: " in out else out


def command_line(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode().split("\0")
    return []


def of_root(pouchd, word):
    """Processes of pouch-keeper that have a word in their command line and whose log is the root's."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if word in command_line(pid) and os.readlink(f"/proc/{pid}/fd/2").startswith(f"{pouchd.dir}/run/"):
                found.append(int(pid))
    return found


def test_names(docker):
    docker("network", "create", "--ipv6", "--subnet", "fd42:dead::/64", "front")
    docker("network", "create", "back")
    sleeper(docker, "one", "--network", "front", "--network-alias", "web", "--network-alias", "one.alias")
    # The first query of a container, and the alias that two share.
    first = docker("run", "--name", "two", "--detach", "--network", "front", "--network-alias", "web", "--link", "one:linked",
                   "busybox", "sh", "-c", "nslookup one > /tmp/first; sleep 1000")
    assert first.code == 0
    v4, v6 = endpoints(docker, "one")["front"]["IPAddress"], endpoints(docker, "one")["front"]["GlobalIPv6Address"]
    resolv = docker("exec", "two", "cat", "/etc/resolv.conf").out
    assert "nameserver 127.0.0.11\n" in resolv and "ndots:0" in resolv and resolv.count("nameserver") == 1
    assert "linked" not in docker("exec", "two", "cat", "/etc/hosts").out  # which would not know of its restart
    assert procs.wait_until(lambda: v4 in docker("exec", "two", "cat", "/tmp/first").out, 10)
    names = ("one", "ONE.", "one.front", "one.alias", "one.alias.front", inspect(docker, "one")["Id"][:12], "linked")
    assert dig(docker, "two", *names) == [v4] * len(names)
    assert dig(docker, "two", "one", "AAAA") == [v6]
    assert dig(docker, "two", "web", "A") == sorted([v4, endpoints(docker, "two")["front"]["IPAddress"]])
    turns = dig(docker, "two", *["web"] * 20, whole=True).split("ANSWER SECTION:")[1:]
    assert len({tuple(turn.split()[:5]) for turn in turns}) == 2
    assert dig(docker, "two", "-x", v4) == ["one.front."] and dig(docker, "two", "-x", v6) == ["one.front."]
    whole = dig(docker, "two", "one", "MX", whole=True)
    assert "status: NOERROR" in whole and "ANSWER: 0" in whole
    whole = dig(docker, "two", "OnE", "A", whole=True)
    assert "\nOnE.\t\t\t600\tIN\tA" in whole and "flags: qr rd ra;" in whole
    assert dig(docker, "two", "+tcp", "one", "A") == [v4]
    # With other networks, other names.
    sleeper(docker, "three", "--network", "back")
    assert dig(docker, "three", "one", "A") == [] and dig(docker, "three", "three", "A") != []
    docker("network", "connect", "--alias", "late", "front", "three")
    assert dig(docker, "three", "one", "A") == [v4] and dig(docker, "one", "late", "A") != []
    docker("rename", "one", "uno")
    assert dig(docker, "three", "uno", "A") == [v4] and dig(docker, "three", "one", "A") == []
    assert dig(docker, "three", "-x", v4) == ["uno.front."]
    docker("network", "disconnect", "front", "three")
    assert dig(docker, "three", "uno", "A") == [] and dig(docker, "uno", "late", "A") == []
    docker("stop", "--time", "0", "uno")
    docker("start", "uno")
    assert dig(docker, "two", "uno", "A") == [endpoints(docker, "uno")["front"]["IPAddress"]]
    docker("stop", "--time", "0", "two")
    assert dig(docker, "uno", "two", "A") == []


def test_forwarding(docker, upstream):
    docker("network", "create", "out")
    docker("network", "create", "--internal", "in")
    server = ("--dns", SERVER)
    sleeper(docker, "asks", "--network", "out", "--dns-search", "lab.example.org", "--dns-option", "ndots:0", *server)
    sleeper(docker, "shut", "--network", "in", *server)
    assert docker("exec", "asks", "cat", "/etc/resolv.conf").out == (
        "search lab.example.org\nnameserver 127.0.0.11\noptions ndots:0\n")
    assert dig(docker, "asks", "www.example.org", "A") == ["192.0.2.7"]
    assert status(docker, "asks", "www.example.com", "A") == "NXDOMAIN"
    assert status(docker, "asks", "www.example.org", "TXT") == "NOERROR"
    assert "192.0.2.7" in docker("exec", "asks", "nslookup", "www.example.org").out
    assert len(dig(docker, "asks", "large.example.org", "A")) == LARGE  # truncated, so dig comes by TCP
    assert "TC" in dig(docker, "asks", "+ignore", "large.example.org", "A", whole=True).upper()
    assert ("large.example.org", 1) in upstream.asked
    before = list(upstream.asked)
    assert status(docker, "shut", "www.example.org", "A") == "SERVFAIL"
    assert dig(docker, "shut", "shut", "A") == [endpoints(docker, "shut")["in"]["IPAddress"]]
    assert dig(docker, "asks", "asks", "A") == [endpoints(docker, "asks")["out"]["IPAddress"]]
    assert upstream.asked == before
    # Nobody there, then the one that answers; and nobody at all.
    sleeper(docker, "second", "--network", "out", "--dns", NOBODY, *server)
    assert dig(docker, "second", "www.example.org", "A") == ["192.0.2.7"]
    sleeper(docker, "none", "--network", "out", "--dns", NOBODY)
    assert status(docker, "none", "www.example.org", "A") == "SERVFAIL"


def test_the_default_bridge_has_no_names(docker):
    sleeper(docker, "plain")
    assert "127.0.0.11" not in docker("exec", "plain", "cat", "/etc/resolv.conf").out
    docker("network", "create", "later")
    sleeper(docker, "other", "--network", "later")
    docker("network", "connect", "later", "plain")
    assert "nameserver 127.0.0.11\n" in docker("exec", "plain", "cat", "/etc/resolv.conf").out
    assert dig(docker, "plain", "other", "A") == [endpoints(docker, "other")["later"]["IPAddress"]]
    assert "Address" in docker("exec", "plain", "nslookup", "other").out


def test_a_name_server_in_a_container(docker):
    """It has port 53 of all its addresses, and its own questions go on to be answered."""
    docker("network", "create", "net")
    sleeper(docker, "mine", "--network", "net")
    sleeper(docker, "asks", "--network", "net")
    pids = {name: inspect(docker, name)["State"]["Pid"] for name in ("mine", "asks")}
    with echo.server("mine", "53/tcp", "53/udp", pid=pids["mine"]):
        for protocol in ("tcp", "udp"):
            assert echo.ask(endpoints(docker, "mine")["net"]["IPAddress"], 53, protocol, pid=pids["asks"])[0] == "mine"
        assert dig(docker, "mine", "asks", "A") == dig(docker, "mine", "+tcp", "asks", "A") == [endpoints(docker, "asks")["net"]["IPAddress"]]


def test_killed(docker, pouchd):
    docker("network", "create", "net")
    sleeper(docker, "a1", "--network", "net")
    sleeper(docker, "b1", "--network", "net")
    there = [endpoints(docker, "a1")["net"]["IPAddress"]]
    assert dig(docker, "b1", "a1", "A") == there
    [server] = of_root(pouchd, "--serve-names")
    killed = time.monotonic()
    os.kill(server, signal.SIGKILL)
    assert dig(docker, "b1", "a1", "A") == there and dig(docker, "a1", "+tcp", "a1", "A") == there
    assert time.monotonic() - killed < 5  # milliseconds, but for a busy machine; the query is not asked twice
    [second] = of_root(pouchd, "--serve-names")
    with open(f"/proc/{second}/status", encoding="utf-8") as file:
        worker = int(next(line for line in file if line.startswith("PPid:")).split()[1])
    assert second != server
    os.kill(worker, signal.SIGKILL)
    assert procs.wait_until(lambda: dig(docker, "b1", "a1", "A") == there, 20)
    assert dig(docker, "a1", "+tcp", "b1", "A") == [endpoints(docker, "b1")["net"]["IPAddress"]]
    supervisor, worker = keeper(pouchd.dir)
    os.kill(supervisor, signal.SIGKILL)  # the worker takes its place and has another
    assert procs.wait_until(lambda: keeper(pouchd.dir)[0] == worker and keeper(pouchd.dir)[1], 10)
    assert procs.wait_until(lambda: dig(docker, "b1", "a1", "A") == there, 20)
    assert len(of_root(pouchd, "--serve-names")) == 1
    for pid in of_root(pouchd, "--run-dir"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    sleeper(docker, "c1", "--network", "net")
    assert procs.wait_until(lambda: dig(docker, "b1", "c1", "A") == [endpoints(docker, "c1")["net"]["IPAddress"]], 20)
    assert dig(docker, "c1", "a1", "A") == there
    # Nothing keeps the namespace of a run that has ended.
    bridge = bridge_of(docker, "net")
    assert len(networks.ports(bridge)) == 3
    docker("rm", "--force", "b1", "c1")
    assert procs.wait_until(lambda: len(networks.ports(bridge)) == 1, 20)


def bridge_of(docker, name):
    gateway = json.loads(docker("network", "inspect", name).out)[0]["IPAM"]["Config"][0]["Gateway"]
    return next(bridge for bridge in networks.bridges()
                if any(subnet.startswith(f"{gateway}/") for subnet in networks.subnets(bridge)))
