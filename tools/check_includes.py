#!/usr/bin/python3
"""Checks who may include whom: the table of docs/architecture, and one folder per third-party library."""

import pathlib
import re
import sys

from checks.context import CXX, REPO, Context, is_test

_BELOW_MANAGERS = "base sys store api ctrd registry spec io events cni plugin"
_MANAGERS = ("image", "volume", "network", "container", "system")

_MANAGER_FOLDERS = tuple(f"core/{name}" for name in _MANAGERS)

# Folder → the other folders it may include. A folder not named here is free (tests, tools).
ALLOWED = {
    "core/base": "",
    "core/sys": "core/base",
    # A name server without rights, which talks to strangers: it has what it needs and no more.
    "core/dns": "core/base core/sys",
    "core/store": "core/base",
    "core/api": "core/base",
    "core/ctrd": "core/base core/api",
    "core/net": "core/base",
    # JSON as everywhere: through core/api.
    "core/registry": "core/base core/api core/net",
    "core/spec": "core/base core/api",
    # Speaks to CNI's plugins; knows nothing of networks and containers.
    "core/cni": "core/base core/api core/sys",
    "core/io": "core/base core/sys",
    "core/events": "core/base core/sys core/store core/api",
    "core/plugin": "core/base core/api core/sys",
    **{f"core/{name}": " ".join(f"core/{below}" for below in _BELOW_MANAGERS.split()) for name in _MANAGERS},
    # Images are copied from a dockerd by the engine that speaks its API.
    "core/engine": " ".join(f"core/{name}" for name in (*_BELOW_MANAGERS.split(), *_MANAGERS, "remote")),
    "core/remote": "core/base core/api core/net",
    "core/mock": "core/base core/api",
    # The C functions call Engine; which engine is the factories' affair.
    "capi": "core/base core/api core/engine core/remote core/mock",
    "daemon/http": "core/base core/api core/io daemon/bridge",
    "daemon/bridge": "core/base core/api",
    "daemon/cri": "core/base core/api",
    # The keeper tends the containers of a root beside LocalEngine, with the same managers.
    "daemon/keeper": "core/base core/api core/sys core/store core/ctrd core/io core/events core/container core/network "
    "core/engine core/dns",
    "daemon": "core/base core/api core/engine core/mock core/sys core/io daemon/http daemon/bridge daemon/cri",
    "cli": "capi",
    "bindings": "capi",
    "examples": "capi",
}

# Third-party headers → the folders that may use them.
THIRD_PARTY = {
    # The CLI is a user of the C ABI, whose documents are JSON, and may include nothing of core.
    r"json/": "core/api cli",
    r"grpc|google/protobuf/|.*\.pb\.h$": "core/ctrd daemon/cri",
    r"nghttp2/": "core/ctrd",
    r"sqlite3": "core/store",
    r"curl/": "core/net core/registry core/remote",
    r"libmnl/|libnftnl/|netlink/|linux/(rt)?netlink|linux/netfilter|linux/if_link": "core/sys",
    r"boost/": "daemon/http",
    r"archive(_entry)?\.h": "core/image cli",
    r"isa-l|igzip_lib|zstd|zlib": "core/image",
    r"CLI/": "cli daemon",
    r"pybind11/|Python\.h": "bindings/python",
    r"jni\.h": "bindings/java",
    r"gtest/|gmock/|benchmark/": "",
}

_INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def rule_of(path):
    """The longest folder in the table that holds the file."""
    matches = [folder for folder in ALLOWED if path.startswith(f"{folder}/")]
    return max(matches, key=len, default=None)


def target_of(path, name):
    """The repository path that an include names, or None for system and third-party headers."""
    for place in (REPO / name, (REPO / path).parent / name, REPO / "capi/include" / name):
        if place.is_file() and place.resolve().is_relative_to(REPO):
            return str(place.resolve().relative_to(REPO))
    return None


def problem_of(path, name):
    """Why the file may not include `name`, or None."""
    target = target_of(path, name)
    rule = rule_of(path)
    if target is not None:
        other = rule_of(target) or target.split("/", maxsplit=1)[0]
        if rule is None or other == rule or _is_below(other, ALLOWED[rule].split()):
            return None
        if rule in _MANAGER_FOLDERS and other in _MANAGER_FOLDERS and is_interface(REPO / target):
            return None
        return f"{rule} may not include {other} ({name})"
    for pattern, folders in THIRD_PARTY.items():
        if re.match(pattern, name) and not _is_below(path, folders.split()):
            return f"{name} belongs to {folders or 'tests'} only"
    return None


def is_interface(header):
    """A manager offers to another what that other declared: a header of pure virtual functions without a source."""
    return not header.with_suffix(".cc").exists() and "= 0;" in header.read_text()


def _is_below(path, folders):
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def run(context):
    problems = []
    for path in context.sources(*CXX):
        if is_test(path):
            continue
        for number, line in enumerate((REPO / path).read_text().splitlines(), 1):
            match = _INCLUDE.match(line)
            reason = problem_of(path, match.group(2)) if match else None
            if reason:
                problems.append(f"{path}:{number}: {reason}")
    return problems


if __name__ == "__main__":
    found = run(Context(build=pathlib.Path("build")))
    print("\n".join(found))
    sys.exit(bool(found))
