"""Control groups: what crun needs on cgroup v1, and removing the groups that a private daemon left."""

import contextlib
import errno
import fcntl
import os
import pathlib
import subprocess
import time

from . import mounts, procs

ROOT = pathlib.Path("/sys/fs/cgroup")
_HUGETLB = ROOT / "hugetlb"
# The source name in the mount table tells our mount from one that was there before.
_SOURCE = "pouch-test"


def is_v1():
    return not (ROOT / "cgroup.controllers").exists()


@contextlib.contextmanager
def hugetlb_cgroup():
    """Mounts the hugetlb controller while in use: crun refuses a cgroup v1 host that knows it but lacks the mount.

    Runs side by side share the mount through a lock on /sys/fs/cgroup; the last one unmounts.
    """
    if not is_v1() or os.geteuid() != 0 or not _hugetlb_known():
        yield
        return
    lock = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _share(lock)
        yield
        _unshare(lock)
    finally:
        os.close(lock)


def remove_group(name):
    """Removes a control group with all its children from every hierarchy. The group must have no process."""
    for hierarchy in hierarchies():
        top = hierarchy / name
        if top.is_dir():
            for folder, _, _ in os.walk(top, topdown=False):
                procs.wait_until(lambda: _is_removed(folder), 5)  # pylint: disable=cell-var-from-loop


def _is_removed(folder):
    """A group is busy until its last process is reaped."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True


def hierarchies():
    """Where control groups are mounted: several folders with v1, one with v2."""
    return [pathlib.Path(path) for path, kind, _ in mounts.mounted(ROOT) if kind in ("cgroup", "cgroup2")]


def _hugetlb_known():
    lines = pathlib.Path("/proc/cgroups").read_text().splitlines()
    return any(line.split()[0] == "hugetlb" and line.split()[3] == "1" for line in lines)


def _source():
    found = mounts.mounted(_HUGETLB)
    return found[-1][2] if found else None


def _share(lock):
    while True:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if _source():
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)  # another is about to mount it, and then shares the lock for as long as it runs
            continue
        if not _source():
            _HUGETLB.mkdir(exist_ok=True)
            subprocess.run(["mount", "-t", "cgroup", "-o", "hugetlb", _SOURCE, _HUGETLB], check=True)
        # To LOCK_SH by way of the loop: the conversion lets go of the lock for a moment.


def _unshare(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if _source() == _SOURCE:
        subprocess.run(["umount", _HUGETLB], check=True)
        # A daemon that saw the mount at its start goes on to make its groups here, now as plain folders.
        for folder, _, _ in os.walk(_HUGETLB, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
