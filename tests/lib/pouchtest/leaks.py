"""What a test run must not leave behind: mounts, network things, processes, control groups, files.

`snapshot()` looks at the whole machine; `LeakGuard` compares before and after and names what is new. On a machine
that others use at the same time, `own_only` limits it to what mentions the run's own folder or id.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

from . import cgroups, mounts, procs

# A process is ours if it carries this variable (what tests start inherits it) or is a program of this trade.
RUN_VARIABLE = "POUCH_TEST_RUN"
_PROGRAMS = ("containerd", "crun", "ctr", "docker", "dnsmasq", "kata", "pouch", "runc", "runsc", "skopeo")
# Folders whose entries are compared, with the beginnings of the names that count ("" = every name).
_FOLDERS = {
    "/etc/cni": "",
    "/etc/containerd": "",
    "/etc/docker": "",
    "/opt": "",
    "/run": "",
    "/run/containerd": "",
    "/run/containerd/fifo": "",
    "/run/containerd/runc": "",
    "/run/containerd/s": "",
    "/run/crun": "",
    "/run/docker": "",
    "/run/docker/netns": "",
    "/run/netns": "",
    "/run/pouch": "",
    "/run/runc": "",
    "/sys/fs/cgroup": "",
    "/var/lib": "",
    "/var/lib/cni": "",
    "/var/lib/pouch": "",
}
_TEMPORARY = ("pouch", "containerd", "ctd-", "docker", "runc", "go-build", "oci", "pt-", "storage")


class LeakError(AssertionError):
    pass


def snapshot():
    """Everything that could leak, as {kind: {name: detail}}."""
    return {
        "mount": {f"{path} ({kind})": path for path, kind, _ in mounts.mounted()},
        "network link": {name: _link_owner(name) for name in _entries("/sys/class/net")},
        "nftables line": _nftables(),
        "process": _processes(),
        "control group": _control_groups(),
        "file": _files(),
    }


class LeakGuard:
    """Compares the machine before and after a block; raises LeakError that names each thing left."""

    def __init__(self, own_only="", settle=5.0):
        """`own_only`: text (a folder, an id) that a thing must mention to count. `settle`: seconds to wait for ends."""
        self._own_only = own_only
        self._settle = settle
        self.before = snapshot()

    def leaks(self):
        """What is new, one line each; waits a little for what is just about to go."""
        found = []
        procs.wait_until(lambda: not self._compare(found), self._settle, pause=0.2)
        return found

    def check(self):
        found = self.leaks()
        if found:
            raise LeakError("left behind:\n  " + "\n  ".join(found))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.check()

    def _compare(self, found):
        found.clear()
        after = snapshot()
        for kind, things in after.items():
            for name, detail in things.items():
                if name not in self.before[kind] and self._own_only in f"{name} {detail}":
                    found.append(f"{kind}: {name}" if detail in name else f"{kind}: {name}: {detail}")
        return found


def _link_owner(name):
    """What says whose a link is: the alias of a root's bridge is the root's folder, and its ports are the root's."""
    link = pathlib.Path("/sys/class/net", name)
    texts = [name]
    for folder in (link, link / "master"):
        try:
            texts.append((folder / "ifalias").read_text().strip())
        except OSError:
            pass
    return " ".join(filter(None, texts))


def _entries(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _files():
    found = {}
    for folder, beginning in _FOLDERS.items():
        for name in _entries(folder):
            if name.startswith(beginning):
                found[f"{folder}/{name}"] = ""
    temporary = tempfile.gettempdir()
    for folder in {"/tmp", temporary}:
        for name in _entries(folder):
            if name.startswith(_TEMPORARY):
                found[f"{folder}/{name}"] = ""
    return found


def _nftables():
    program = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not program:
        return {}
    rules = subprocess.run([program, "--stateless", "list", "ruleset"], capture_output=True, text=True, check=False)
    return {line.strip(): "" for line in rules.stdout.splitlines() if line.strip(" \t}")}


def _control_groups():
    found = {}
    for hierarchy in cgroups.hierarchies():
        for folder, children, _ in os.walk(hierarchy):
            depth = len(pathlib.Path(folder).relative_to(hierarchy).parts)
            found.update({f"{folder}/{child}": "" for child in children})
            if depth >= 2:
                children.clear()
    return found


def _processes():
    found = {}
    mine = procs.ancestors()
    for pid in procs.all_pids():
        command = procs.cmdline(pid)
        started = procs.start_time(pid)
        if pid in mine or not command or started is None:
            continue
        run = _run_of(pid)
        if run or os.path.basename(command.split()[0]).startswith(_PROGRAMS):
            found[f"pid {pid} started {started}"] = f"{command[:300]} {run}".strip()
    return found


def _run_of(pid):
    """The test run that a process was started by, as its environment tells it."""
    beginning = f"{RUN_VARIABLE}=".encode()
    return next((item.decode() for item in procs.environ(pid) if item.startswith(beginning)), "")
