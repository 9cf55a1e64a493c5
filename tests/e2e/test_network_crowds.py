"""Many networks, many processes, many roots at once: no address, subnet, bridge or rule is two's.

tests/long/networks runs it with 500 networks and more rounds.
"""

import contextlib
import ipaddress
import json
import os
import subprocess
import sys
import time

import pouch
import pytest
from pouchtest import networks, procs
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root

pytest_plugins = ["pouchtest.fixtures"]

_NETWORKS = int(os.environ.get("POUCH_CROWD_NETWORKS", "30"))
_ROUNDS = int(os.environ.get("POUCH_CROWD_ROUNDS", "15"))
_PROCESSES = 8
_SECONDS = 60

# Joins and leaves a network with a container of its own; prints each address with when it was surely its own.
_TAKER = """
import json, sys, time
import pouch
uri, number, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
with pouch.Client(uri) as client:
    made = client.containers.create({"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "bridge"}},
                                    name=f"taker{number}", timeout=60)["Id"]
    client.containers.start(made, timeout=60)
    for _ in range(rounds):
        client.networks.connect("shared", {"Container": made}, timeout=60)
        found = client.containers.inspect(made, timeout=60)["NetworkSettings"]["Networks"]["shared"]
        print(json.dumps([found["IPAddress"], found["GlobalIPv6Address"], time.monotonic()]), end=" ")
        end = time.monotonic()
        client.networks.disconnect("shared", {"Container": made}, timeout=60)
        print(end, flush=True)
    client.containers.remove(made, force=True, timeout=60)
"""

_MAKER = """
import json, sys
import pouch
uri, count = sys.argv[1], int(sys.argv[2])
with pouch.Client(uri) as client:
    for number in range(count):
        client.networks.create({"Name": f"net{number}"}, timeout=60)
    print(client.system.info()["ID"], flush=True)
    print(json.dumps([[pool["Subnet"] for pool in client.networks.inspect(f"net{number}", timeout=60)["IPAM"]["Config"]]
                      for number in range(count)]), flush=True)
    sys.stdin.readline()
    for number in range(count):
        client.networks.remove(f"net{number}", timeout=60)
"""


def spawn(script, *args):
    return subprocess.Popen([sys.executable, "-c", script, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)


@pytest.fixture
def root(busybox_tar):
    with embed_root() as uri:
        with pouch.Client(uri) as client:
            client.images.load_file(str(busybox_tar))
        yield uri


def test_addresses_for_eight_processes(root):
    with pouch.Client(root) as client:
        # Hardly more addresses than takers: each is given out again and again.
        client.networks.create({"Name": "shared", "EnableIPv6": True, "IPAM": {"Config": [
            {"Subnet": "10.189.9.0/28"}, {"Subnet": "fd00:189:9::/124"}]}}, timeout=_SECONDS)
        takers = [spawn(_TAKER, root, number, _ROUNDS) for number in range(_PROCESSES)]
        held = {}
        for taker in takers:
            out, _ = taker.communicate()
            assert taker.returncode == 0
            for line in out.splitlines():
                document, end = line.rsplit(" ", 1)
                address, address6, begin = json.loads(document)
                for each in (address, address6):
                    held.setdefault(each, []).append((begin, float(end)))
        assert sum(len(times) for times in held.values()) == 2 * _PROCESSES * _ROUNDS
        for address, times in held.items():
            times.sort()
            for before, after in zip(times, times[1:]):
                assert before[1] <= after[0], f"{address} was two containers' at once"
        client.networks.remove("shared", timeout=_SECONDS)


def test_many_networks_and_endpoints(root):
    with pouch.Client(root) as client:
        names = [f"net{number}" for number in range(_NETWORKS)]
        took = {"create": [], "connect": [], "disconnect": [], "remove": []}

        def timed(what, call, *args):
            begin = time.monotonic()
            call(*args, timeout=_SECONDS)
            took[what].append(time.monotonic() - begin)

        for name in names:
            timed("create", client.networks.create, {"Name": name})
        containers = []
        for number in range(2):
            made = client.containers.create({"Image": "busybox", "Cmd": ["sleep", "1000"]}, name=f"c{number}")["Id"]
            client.containers.start(made, timeout=_SECONDS)
            containers.append(made)
        for name in names:
            for made in containers:
                timed("connect", client.networks.connect, name, {"Container": made})
        subnets = []
        for name in names:
            shown = client.networks.inspect(name)
            assert len({member["IPv4Address"] for member in shown["Containers"].values()}) == 2
            subnets += [ipaddress.ip_network(pool["Subnet"]) for pool in shown["IPAM"]["Config"]]
        subnets.sort()
        assert all(not a.overlaps(b) for a, b in zip(subnets, subnets[1:]))
        for name in names:
            for made in containers:
                timed("disconnect", client.networks.disconnect, name, {"Container": made})
            timed("remove", client.networks.remove, name)
        for what, times in took.items():
            tenth = max(1, len(times) // 10)
            print(f"{what}: {len(times)}, of the first tenth {1000 * sum(times[:tenth]) / tenth:.1f} ms each, "
                  f"of the last {1000 * sum(times[-tenth:]) / tenth:.1f} ms")
        for made in containers:
            client.containers.remove(made, force=True, timeout=_SECONDS)
        mine = f"pn{client.system.info()['ID'][:6]}"
        assert procs.wait_until(lambda: not [name for name in networks.bridges() if name.startswith(mine)], 20)


def test_eight_roots_share_nothing():
    with contextlib.ExitStack() as stack:
        containerd = stack.enter_context(PrivateContainerd())
        uris = [stack.enter_context(embed_root(containerd)) for _ in range(_PROCESSES)]
        makers = [spawn(_MAKER, uri, max(2, _NETWORKS // 10)) for uri in uris]
        roots = {maker.stdout.readline().strip()[:6] for maker in makers}
        assert len(roots) == _PROCESSES
        subnets = sorted(ipaddress.ip_network(subnet) for maker in makers for pools in json.loads(maker.stdout.readline())
                         for subnet in pools)
        assert all(not a.overlaps(b) for a, b in zip(subnets, subnets[1:]))
        made = {name for name in networks.bridges() if name[2:8] in roots and name.startswith("pn")}
        assert len(made) == _PROCESSES * max(2, _NETWORKS // 10)
        on_links = [subnet for bridge in made for subnet in networks.subnets(bridge)]
        assert len({ipaddress.ip_interface(each).network for each in on_links}) == len(subnets)
        for maker in makers:
            maker.communicate("\n")
            assert maker.returncode == 0
        assert not networks.bridges() & made
