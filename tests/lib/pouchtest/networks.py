"""The host's network as ip and nft show it, and network namespaces that play other hosts."""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def ip(*args, check=True):
    """The output of iproute2's `ip`."""
    return subprocess.run([shutil.which("ip", path=_PATH), *args], capture_output=True, text=True, check=check).stdout


@contextlib.contextmanager
def inside(namespace):
    """The calling thread is in a network namespace: sockets that it makes are of there for good."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/thread-self/ns/net", "rb") as before, open(f"/run/netns/{namespace}", "rb") as other:
        if setns(other.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), f"enter the network namespace {namespace}")
        try:
            yield
        finally:
            setns(before.fileno(), 0)


def bridges():
    """Names of the bridges of all roots."""
    return {link["ifname"] for link in json.loads(ip("-json", "link", "show", "type", "bridge") or "[]")
            if link.get("ifname", "").startswith(("pb-", "pn"))}


def all_links():
    """Names of all links."""
    return {link["ifname"] for link in json.loads(ip("-json", "link", "show") or "[]") if "ifname" in link}


def ports(bridge):
    """Names of the links that are plugged into a bridge."""
    return {link["ifname"] for link in json.loads(ip("-json", "link", "show", "master", bridge) or "[]")}


def subnets(bridge):
    """The IPv4 addresses of a link, with prefix."""
    return {f"{address['local']}/{address['prefixlen']}"
            for link in json.loads(ip("-json", "-4", "address", "show", "dev", bridge) or "[]")
            for address in link.get("addr_info", [])}


def tables():
    """Names of the nftables tables of all roots."""
    out = subprocess.run([shutil.which("nft", path=_PATH), "list", "tables"], capture_output=True, text=True, check=True)
    return {line.split()[2] for line in out.stdout.splitlines() if line.startswith("table inet pouch_")}


def remains(root_id):
    """Names of the links and tables of a root. Others make some at the same time."""
    short = root_id[:6]
    links = {name for name in all_links() if name == f"pb-{root_id}" or name[:8] in {f"{kind}{short}" for kind in ("pn", "pd", "pv")}}
    return links | {name for name in tables() if name == f"pouch_{root_id}"}


def clear(docker):
    """Removes all containers and networks; `docker` runs the CLI."""
    ids = docker("ps", "--all", "--quiet").lines
    if ids:
        docker("rm", "--force", *ids)
    made = docker("network", "ls", "--quiet", "--filter", "type=custom").lines
    if made:
        docker("network", "rm", *made)


def names_of(root):
    """What the bridge and the table of a root (its folder) are called."""
    file = pathlib.Path(root) / "pouch.db"
    if not file.exists():
        return None, None
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        row = database.execute("SELECT value FROM root WHERE key = 'id'").fetchone()
    return (f"pb-{row[0]}", f"pouch_{row[0]}") if row and row[0] else (None, None)


def remove_remains(root):
    """The bridge and the table of a root whose keeper was killed, so that one failure stays one."""
    bridge, table = names_of(root)
    if bridge in bridges():
        ip("link", "delete", bridge, check=False)
    if table in tables():
        subprocess.run([shutil.which("nft", path=_PATH), "delete", "table", "inet", table], check=False)


@contextlib.contextmanager
def outside_host(name, host_address, address):
    """A network namespace that plays another host: a link to it with these two addresses (with prefix).

    Gives its name, for `ip netns exec`. It has no route but to its neighbour: what comes from elsewhere cannot be
    answered, so that an answer proves that the source was the host's.
    """
    link = f"{name}h"
    with contextlib.ExitStack() as stack:
        ip("netns", "add", name)
        stack.callback(ip, "netns", "delete", name)
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        stack.callback(ip, "link", "delete", link, check=False)
        ip("address", "add", host_address, "dev", link)
        ip("link", "set", link, "up")
        ip("-netns", name, "address", "add", address, "dev", "eth0")
        ip("-netns", name, "link", "set", "lo", "up")
        ip("-netns", name, "link", "set", "eth0", "up")
        yield name
