"""The mounts below a folder."""

import pathlib
import subprocess


def mounted(under=None):
    """Mount points as (path, type, source), in the order they were mounted; `under` limits to one folder."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        path = _unescape(left.split()[4])
        kind, source = right.split()[:2]
        if under is None or path == str(under) or path.startswith(f"{under}/"):
            found.append((path, kind, source))
    return found


def unmount_below(folder):
    """Unmounts all that is mounted in a folder, the latest first. Returns what it found."""
    found = mounted(folder)
    for path, kind, source in reversed(found):
        done = subprocess.run(["umount", "-l", path], capture_output=True, text=True, check=False)
        # A shim that ends takes its mounts along.
        if done.returncode != 0 and (path, kind, source) in mounted(folder):
            raise RuntimeError(f"umount {path}: {done.stderr}")
    return found


def _unescape(path):
    # The kernel writes blank, tab, newline and backslash as octal escapes.
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, char)
    return path
