"""What one must know about the machine and the programs to read the numbers."""

import datetime
import os
import pathlib
import re
import shutil
import subprocess

from pouchtest import REPO, find_program
from pouchtest.cgroups import is_v1

_PROGRAMS = ["runc", "crun", "containerd", "ctr", "dockerd", "docker", "podman"]


def facts(build, folder):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _output("git", "-C", str(REPO), "rev-parse", "HEAD"),
        "modified": bool(_output("git", "-C", str(REPO), "status", "--porcelain", "--untracked-files=no")),
        "build_type": build_type(build),
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": _memory_mib(),
        "cgroup": 1 if is_v1() else 2,
        "file_system": _output("stat", "--file-system", "--format=%T", str(folder)),
        "load": [round(value, 2) for value in os.getloadavg()],
        "versions": {"pouch": (REPO / "VERSION").read_text().strip(), **_versions()},
    }


def build_type(build):
    cache = build / "CMakeCache.txt"
    found = re.search(r"^CMAKE_BUILD_TYPE:\w+=(.*)$", cache.read_text(), re.MULTILINE) if cache.exists() else None
    return (found.group(1) or "Debug") if found else "unknown"  # Debug: as cmake/pouch.cmake has it


def _versions():
    found = {}
    for name in _PROGRAMS:
        if name in ("runc", "crun", "containerd", "dockerd", "ctr"):
            program = find_program(name)
        else:
            program = shutil.which(name)
        if program:
            found[name] = (_output(program, "--version").splitlines() or ["unknown"])[0]
    return found


def _cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def _memory_mib():
    kib = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return int(kib.group(1)) // 1024


def _output(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False).stdout.strip()
    except OSError:
        return ""
