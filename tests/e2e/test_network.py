"""The default bridge: packets prove it, and ip and nft show that nothing is left."""

import contextlib
import ipaddress
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from pouchtest import mounts, networks, procs
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]

# Answers each request with the address that it came from; tells its port when it listens.
SERVER = textwrap.dedent("""
    import http.server, sys
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.client_address[0].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *args):
            pass
    server = http.server.HTTPServer((sys.argv[1], 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
""")


@contextlib.contextmanager
def http_server(address, *prefix):
    process = subprocess.Popen([*prefix, sys.executable, "-c", SERVER, address], text=True, stdout=subprocess.PIPE)
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def docker(pouchd):
    yield pouchd.docker
    ids = pouchd.docker("ps", "--all", "--quiet").lines
    if ids:
        pouchd.docker("rm", "--force", *ids)


def inspect(docker, name):
    return json.loads(docker("inspect", name).out)[0]


def settings(docker, name):
    return inspect(docker, name)["NetworkSettings"]


def sandboxes(pouchd):
    return [path for path, _, _ in mounts.mounted() if path.startswith(f"{pouchd.dir}/run/netns/")]


def test_plain_run(docker):
    result = docker("run", "--rm", "busybox", "echo", "hi")
    assert (result.out, result.err) == ("hi\n", "")


def test_what_the_container_sees(docker):
    docker("run", "--detach", "--name", "c1", "--hostname", "h1", "busybox", "sleep", "100")
    seen = settings(docker, "c1")
    endpoint = seen["Networks"]["bridge"]
    assert endpoint["IPAddress"] == seen["IPAddress"] and endpoint["MacAddress"] == seen["MacAddress"]
    net = ipaddress.ip_interface(f"{endpoint['IPAddress']}/{endpoint['IPPrefixLen']}").network
    assert ipaddress.ip_address(endpoint["Gateway"]) in net
    assert endpoint["EndpointID"] and endpoint["NetworkID"] and os.path.exists(seen["SandboxKey"])
    addresses = docker("exec", "c1", "ip", "address", "show", "eth0").out
    assert f"inet {endpoint['IPAddress']}/{endpoint['IPPrefixLen']} " in addresses and "inet6" not in addresses
    assert endpoint["MacAddress"] in addresses
    assert "LOOPBACK,UP" in docker("exec", "c1", "ip", "address", "show", "lo").out
    routes = docker("exec", "c1", "ip", "route").out.splitlines()
    assert f"default via {endpoint['Gateway']} dev eth0" in [line.strip() for line in routes]
    assert f"{endpoint['IPAddress']}\th1\n" in docker("exec", "c1", "cat", "/etc/hosts").out
    assert docker("exec", "c1", "hostname").out == "h1\n"
    assert "nameserver " in docker("exec", "c1", "cat", "/etc/resolv.conf").out
    assert docker("ps", "--format", "{{.Networks}}").out == "bridge\n"
    docker("stop", "--time", "0", "c1")
    after = settings(docker, "c1")
    assert after["IPAddress"] == "" and after["Networks"]["bridge"]["IPAddress"] == ""


def test_dns_options(docker):
    text = docker("run", "--rm", "--dns", "10.9.9.9", "--dns-search", "x.y", "--dns-option", "ndots:3",
                  "--add-host", "up:host-gateway", "busybox", "cat", "/etc/resolv.conf", "/etc/hosts").out
    assert "search x.y\nnameserver 10.9.9.9\noptions ndots:3\n" in text
    assert "\tup\n" in text


def test_mac_address(docker):
    docker("run", "--detach", "--name", "m1", "--mac-address", "02:42:ac:00:11:22", "busybox", "sleep", "100")
    assert settings(docker, "m1")["Networks"]["bridge"]["MacAddress"] == "02:42:ac:00:11:22"
    assert "02:42:ac:00:11:22" in docker("exec", "m1", "ip", "link", "show", "eth0").out


@pytest.mark.parametrize("option", [("--ip", "10.0.0.9")])
def test_unsupported_is_named(docker, option):
    result = docker("run", "--rm", *option, "busybox", "true", check=False)
    assert result.code == 125 and "support" in result.err, result.err


def test_host_and_containers_reach_each_other(docker):
    docker("run", "--detach", "--name", "web", "busybox", "sh", "-c",
           "mkdir /www; echo inside >/www/index.html; httpd -f -h /www -p 80")
    seen = settings(docker, "web")
    with http_server(seen["Gateway"]) as port:
        me = docker("run", "--rm", "busybox", "wget", "-qO-", f"http://{seen['Gateway']}:{port}/").out
        assert ipaddress.ip_address(me) in ipaddress.ip_network(f"{seen['IPAddress']}/22", strict=False)
    fetch = ("wget", "-qO-", f"http://{seen['IPAddress']}/")
    assert docker("run", "--rm", "busybox", "sh", "-c", f"until {' '.join(fetch)}; do sleep 0.1; done").out == "inside\n"
    assert subprocess.run(["curl", "-s", f"http://{seen['IPAddress']}/"], capture_output=True, text=True,
                          check=True).stdout == "inside\n"


def test_the_world_is_reached_under_the_hosts_address(docker):
    number = os.getpid() % 250
    with networks.outside_host(f"pzw{os.getpid() % 10**6}", f"198.18.{number}.1/24", f"198.18.{number}.2/24") as world:
        with http_server(f"198.18.{number}.2", "ip", "netns", "exec", world) as port:
            out = docker("run", "--rm", "busybox", "wget", "-qO-", f"http://198.18.{number}.2:{port}/").out
            assert out == f"198.18.{number}.1"
        # And nobody gets in from there, though there is a route.
        docker("run", "--detach", "--name", "web", "busybox", "sh", "-c", "echo x >/index.html; httpd -f -h / -p 80")
        address = settings(docker, "web")["IPAddress"]
        networks.ip("-netns", world, "route", "add", "default", "via", f"198.18.{number}.1")
        docker("exec", "web", "sh", "-c", "until wget -qO- http://127.0.0.1/; do sleep 0.1; done")
        tried = subprocess.run(["ip", "netns", "exec", world, "curl", "-s", "-m", "2", f"http://{address}/"], check=False)
        assert tried.returncode != 0


def test_restart_gets_a_network_again(docker):
    docker("run", "--detach", "--name", "r1", "busybox", "sleep", "100")
    first = settings(docker, "r1")
    docker("stop", "--time", "0", "r1")
    docker("start", "r1")
    second = settings(docker, "r1")
    assert second["IPAddress"] and second["EndpointID"] != first["EndpointID"]
    assert "eth0" in docker("exec", "r1", "ip", "route").out


def test_events(docker):
    docker("run", "--name", "e1", "busybox", "true")
    docker("rm", "e1")
    lines = docker("events", "--since", "60s", "--until", str(int(time.time()) + 1), "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}")
    mine = [line for line in lines.lines if line.split()[2] in ("e1", "bridge")][-7:]
    assert mine == ["container create e1", "container attach e1", "network connect bridge", "container start e1",
                    "container die e1", "network disconnect bridge", "container destroy e1"]


def test_nothing_is_left_of_a_container(pouchd, docker):
    docker("run", "--detach", "--name", "k1", "busybox", "sleep", "100")
    docker("run", "--detach", "--name", "k2", "busybox", "sleep", "100")
    assert procs.wait_until(lambda: len(sandboxes(pouchd)) == 2, 20)
    bridge = f"pb-{pouchd.root_id}"
    assert procs.wait_until(lambda: len(networks.ports(bridge)) == 2, 20)
    docker("stop", "--time", "0", "k1")
    docker("rm", "--force", "k2")
    assert procs.wait_until(lambda: not sandboxes(pouchd) and not networks.ports(bridge), 20)


def test_failed_start_leaves_nothing(pouchd, docker):
    assert docker("run", "--name", "f1", "busybox", "/nosuch", check=False).code == 127
    assert settings(docker, "f1")["IPAddress"] == ""
    bridge = f"pb-{pouchd.root_id}"
    assert procs.wait_until(lambda: not sandboxes(pouchd) and not networks.ports(bridge), 20)


def test_killed_daemon_and_keeper_leave_nothing(busybox_tar):
    """pouchd and the keeper's processes die at once; the next pouchd finds the container ended, and cleans up."""
    with Pouchd() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        bridge = f"pb-{daemon.docker('info', '--format', '{{.ID}}').out.strip()}"
        daemon.docker("run", "--detach", "--name", "c1", "busybox", "sleep", "1000")
        daemon.docker("run", "--detach", "--name", "c2", "busybox", "sleep", "1000")
        address = settings(daemon.docker, "c2")["IPAddress"]
        pid = inspect(daemon.docker, "c1")["State"]["Pid"]
        keepers = [p for p in procs.mentioning(str(daemon.dir)) if "pouch-keeper" in procs.cmdline(p)]
        daemon.kill()
        for victim in [*keepers, pid]:
            os.kill(victim, signal.SIGKILL)
        assert procs.wait_until(lambda: procs.start_time(pid) is None, 20)
        daemon.start()
        assert procs.wait_until(lambda: inspect(daemon.docker, "c1")["State"]["Status"] == "exited", 20)
        assert settings(daemon.docker, "c2")["IPAddress"] == address  # runs on
        assert procs.wait_until(lambda: len(sandboxes(daemon)) == 1 and len(networks.ports(bridge)) == 1, 20)
        daemon.docker("exec", "c2", "ping", "-c", "1", "-W", "5", settings(daemon.docker, "c2")["Gateway"])
    assert procs.wait_until(lambda: bridge not in networks.bridges(), 20)
    assert f"pouch_{bridge[3:]}" not in networks.tables()


def test_what_others_took_away_is_made_again(pouchd, docker):
    docker("run", "--rm", "busybox", "true")
    networks.ip("link", "delete", f"pb-{pouchd.root_id}")
    assert docker("run", "--rm", "busybox", "ip", "route").out.startswith("default via ")
    subprocess.run(["/usr/sbin/nft", "delete", "table", "inet", f"pouch_{pouchd.root_id}"], check=True)
    docker("run", "--rm", "busybox", "true")
    assert f"pouch_{pouchd.root_id}" in networks.tables()


def test_a_foreign_drop_is_warned_of(pouchd, docker):
    table = f"pzdrop{os.getpid()}"
    # With a priority far behind all others, and dropping nothing: what its conditions let pass is not looked at.
    chain = 'type filter hook forward priority 500; policy drop;\noifname != "pznone" accept'
    rules = f"table ip {table} {{\nchain FORWARD {{\n{chain}\n}}\n}}\n"
    subprocess.run(["/usr/sbin/nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        result = docker("create", "busybox", "true")
        assert f"WARNING: The chain FORWARD of nftables table ip {table} drops forwarded packets" in result.err
        assert f"pb-{pouchd.root_id}" in result.err
        assert docker("create", "--network", "none", "busybox", "true").err == ""
    finally:
        subprocess.run(["/usr/sbin/nft", "delete", "table", "ip", table], check=True)


def test_eight_roots_share_nothing(busybox_tar):
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Pouchd())
        daemons = [first, *(stack.enter_context(Pouchd(containerd=first.containerd)) for _ in range(7))]
        for daemon in daemons:
            daemon.docker("load", "--input", busybox_tar)
        runs = [subprocess.Popen(["docker", "run", "--detach", "--name", "c1", "busybox", "sleep", "100"],
                                 env={**os.environ, "DOCKER_HOST": daemon.uri}, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for daemon in daemons]
        for process in runs:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
        ids = [daemon.docker("info", "--format", "{{.ID}}").out.strip() for daemon in daemons]
        nets = []
        for root in ids:
            [subnet] = networks.subnets(f"pb-{root}")
            nets.append(ipaddress.ip_interface(subnet).network)
            assert len(networks.ports(f"pb-{root}")) == 1 and f"pouch_{root}" in networks.tables()
        assert len(set(ids)) == 8
        assert not [(a, b) for a in nets for b in nets if a is not b and a.overlaps(b)]
        # Neighbours do not reach each other.
        other = settings(daemons[1].docker, "c1")["IPAddress"]
        assert daemons[0].docker("exec", "c1", "ping", "-c", "1", "-W", "1", other, check=False).code != 0
        assert daemons[0].docker("exec", "c1", "ping", "-c", "1", "-W", "5",
                                 settings(daemons[0].docker, "c1")["Gateway"]).code == 0
