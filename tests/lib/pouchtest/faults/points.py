"""The points that there are, read from the source, so that one which no workload meets is seen."""

import re

from ..paths import REPO

# Folders with code of the local engine, and what stands for a point in them.
_CORE = REPO / "core"
_RPC = re.compile(r'\.name = "([a-z_.]+)"')
_SQL = re.compile(r'"((?:INSERT|UPDATE|DELETE)\s(?:[^"]|"\s*\n\s*")*)"')
_NETLINK = re.compile(r'request\(message, "(netlink\.[a-z_]+)"')
_PLAIN = re.compile(r'(?:with_faults|fault_(?:kill|status|errno))\(\s*"([a-z_.]+)"(?:, "([a-z]+)")?')
_KEEPER = re.compile(r"kNames = \{(.*?)\};", re.DOTALL)

_NOBODY = "no operation of 0.1 calls it"
_RESET = "of a reset, which has a test of its own (tests/e2e/test_reset.py)"
_ROOT = "when a root is made, before there is anything to judge"
_COPY = "of a copy from another containerd, which has tests of its own (tests/e2e/test_copy_from.py)"
_FAILURE = "only after a failure or a kill"
_CNI = "of lists of CNI plugins (tests/e2e/test_cni.py)"
_PLUGIN = "of plugins (tests/e2e/test_network_plugins.py, test_volumes.py)"

# Points that the workload without a fault does not meet, and why.
UNMET = {
    "cni.add": _CNI,
    "cni.cache": _CNI,
    "cni.check": _CNI,
    "cni.del": _CNI,
    "cni.gc": _CNI,
    "cni.status": _CNI,
    "cni.uncache": _CNI,
    "keeper.close_stdin": _NOBODY,
    "keeper.close_waiters": _NOBODY,
    "keeper.hello": "of each connection, before there is a call to fail",
    "keeper.shutdown": _RESET,
    "netlink.add_dummy": "of macvlan networks without a parent, where the kernel has such links (tests/e2e/test_macvlan.py)",
    "netlink.forget_flow": "of datagrams that came before (tests/e2e/test_ports.py)",
    "netlink.move_link": _PLUGIN,
    "netlink.set_mac": _PLUGIN,
    "plugin.call": _PLUGIN,
    "row.containers.update-dead": _FAILURE,
    "row.root.insert": _ROOT,
    "rpc.containers.get": _NOBODY,
    "rpc.containers.list": _RESET,
    "rpc.containers.update": _NOBODY,
    "rpc.content.delete": _RESET,
    "rpc.content.list": _RESET,
    "rpc.content.status": _NOBODY,
    "rpc.content.statuses": _RESET,
    "rpc.diff.apply": "where containerd's folders are not in sight",
    "rpc.images.get": _COPY,
    "rpc.introspection.server": _NOBODY,
    "rpc.namespaces.create": _NOBODY,
    "rpc.namespaces.delete": _RESET,
    "rpc.namespaces.get": _NOBODY,
    "rpc.namespaces.list": _NOBODY,
    "rpc.snapshots.update": _NOBODY,
    "rpc.tasks.pids": _NOBODY,
    "sys.limit_project": "of volumes with a size, where there are quotas (tests/e2e/test_volume_quota.py)",
    "sys.sync": _ROOT,
}


def catalogue():
    """Names without the moment: {"rpc.tasks.start", "row.containers.update-running", "sys.rename", …}."""
    names = set()
    for path in sorted(_CORE.rglob("*.cc")):
        if path.name.endswith("_test.cc") or "testing" in path.parts or path.parent.name == "mock":
            continue
        text = path.read_text()
        if path.parent.name == "ctrd":
            names.update(f"rpc.{name}" for name in _RPC.findall(text))
        names.update(filter(None, map(_row, _SQL.findall(text))))
        names.update(_NETLINK.findall(text))
        if path.name != "fault.cc":
            names.update(match[0] for match in _PLAIN.findall(text))
        if path.parent.name == "io" and path.name == "wire.cc":
            names.update(f"keeper.{name}" for name in re.findall(r'"([a-z_]+)"', _KEEPER.search(text).group(1)))
    return names


def step_of(point):
    """A point without its moment."""
    return point.rpartition(".")[0]


def _row(sql):
    """As core/store/connection.cc names it."""
    words = re.sub(r'"\s*\n\s*"', "", sql).split()
    verb = words[0]
    if verb == "UPDATE":
        table = words[1]
    else:
        after = next((i for i, word in enumerate(words) if word in ("INTO", "FROM")), None)
        if after is None or after + 1 >= len(words):
            return None
        table = words[after + 1]
    state = re.search(r"SET state = '([a-z]+)'", " ".join(words))
    # A pattern that a check of SQL texts looks for, not a statement.
    if not re.fullmatch(r"[a-z_]+(\(.*)?", table):
        return None
    return f"row.{table.split('(')[0]}.{verb.lower()}" + (f"-{state.group(1)}" if state else "")
