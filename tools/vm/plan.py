"""What is to run in the machine: a list of steps, as JSON on the tests' disk.

A step is {"kind": "gtest", "name": program, "filter": "…"}, {"kind": "pytest", "name": …, "arguments": […]},
{"kind": "reboot"} (systemd shuts down in order) or {"kind": "power-cut"} (nothing is written out, nobody is told).
"""

import json
import subprocess

from image import REPO
from locations import build_dir

# ctest's labels of the programs that start containerd, keepers or containers.
LABELS = {"system", "integration", "vm"}


def make(tests):
    """The steps for the tests named on the command line; all that are meant for the machine without a name."""
    if not tests:
        return [*_programs(_ctest()), *_suites()]
    return [_step(test) for test in tests]


def labelled(ctest):
    """The programs with one of our labels, of ctest's JSON."""
    found = []
    for test in ctest["tests"]:
        labels = next((entry["value"] for entry in test.get("properties", []) if entry["name"] == "LABELS"), [])
        if LABELS & set(labels):
            found.append(test["name"])
    return found


def marked(folder):
    """The test files with our marker, relative to the repository."""
    return sorted(str(file.relative_to(REPO)) for file in folder.glob("test_*.py") if "pytest.mark.vm" in file.read_text())


def _ctest():
    done = subprocess.run(["ctest", "--test-dir", build_dir(), "--show-only=json-v1"], check=True, capture_output=True)
    return json.loads(done.stdout)


def _programs(ctest):
    return [{"kind": "gtest", "name": name, "filter": "*"} for name in labelled(ctest)]


def _suites():
    return [
        # The others' modules need what is not there, so they are not even collected.
        _pytest("e2e", ["-m", "vm", *marked(REPO / "tests/e2e")]),
        _pytest("vm", sorted(str(file.relative_to(REPO)) for file in (REPO / "tests/vm").glob("test_*.py"))),
        _pytest("before", ["tests/vm/before_boot.py"]),
        {"kind": "reboot"},
        _pytest("after-reboot", ["tests/vm/after_boot.py"]),
        _pytest("before-again", ["tests/vm/before_boot.py"]),
        {"kind": "power-cut"},
        _pytest("after-power-cut", ["tests/vm/after_boot.py"]),
    ]


def _pytest(name, arguments):
    return {"kind": "pytest", "name": name, "arguments": arguments}


def _step(test):
    if test in ("reboot", "power-cut"):
        return {"kind": test}
    if test.startswith("tests/"):
        return _pytest(test, [test])
    name, _, pattern = test.partition(":")
    if not (build_dir() / "bin" / name).exists():
        raise ValueError(f"{test}: neither a file below tests/ nor a program of {build_dir()}/bin")
    return {"kind": "gtest", "name": name, "filter": pattern or "*"}
