"""File trees: all of one as text, to compare; and the root file systems of images, mounted."""

import contextlib
import hashlib
import os
import stat

from .mounts import unmount_below
from .paths import private_dir
from .procs import wait_until
from .run import run


def describe(root):
    """All of a tree: {path: text} with kind, mode, owner, device, time, attributes, target, content and hard links."""
    root = os.fsencode(root)
    found, first = {}, {}
    for path in sorted(_paths(root)):
        name = os.path.relpath(path, root)
        found[os.fsdecode(name)] = _describe_one(path, name, first)
    return found


def differences(one, other, limit=20):
    """What differs between two of these: [(path, text or None, text or None)]."""
    names = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    return [(name, one.get(name), other.get(name)) for name in names[:limit]]


def _paths(root):
    yield root
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            yield os.path.join(folder, name)


def _describe_one(path, name, first):
    info = os.lstat(path)
    words = [oct(info.st_mode), f"{info.st_uid}:{info.st_gid}", str(info.st_rdev), str(info.st_mtime_ns)]
    for key in sorted(os.listxattr(path, follow_symlinks=False)):
        words.append(f"{key}={os.getxattr(path, key, follow_symlinks=False).hex()}")
    if stat.S_ISLNK(info.st_mode):
        words.append(f"-> {os.readlink(path)!r}")
    elif stat.S_ISREG(info.st_mode):
        with open(path, "rb") as file:
            words.append(hashlib.sha256(file.read()).hexdigest())
    if not stat.S_ISDIR(info.st_mode):
        words.append(f"like {first.setdefault((info.st_dev, info.st_ino), name)!r} of {info.st_nlink}")
    return " ".join(words)


@contextlib.contextmanager
def mounted_snapshot(containerd, namespace, key, snapshotter="overlayfs"):
    """A committed snapshot of a PrivateContainerd, mounted to be read; the folder's path is given."""
    view = f"test-view-{os.urandom(4).hex()}"

    def ctr(*words, **options):
        return containerd.ctr("snapshots", "--snapshotter", snapshotter, *words, namespace=namespace, **options)

    with private_dir() as folder, contextlib.ExitStack() as stack:
        target = folder / "tree"
        target.mkdir()
        stack.callback(ctr, "rm", view, check=False)
        stack.callback(unmount_below, folder)

        # The collector may take the view, which no lease holds; the layers below it stay.
        def mount():
            ctr("view", view, key, check=False)
            told = ctr("mounts", target, view, check=False)
            return told.code == 0 and run("sh", "-c", told.out)

        assert wait_until(mount, 10), ctr("view", view, key, check=False).err
        yield target


def chain_id(diff_ids):
    """The name of the snapshot of layers with these diff ids, by the image specification."""
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = "sha256:" + hashlib.sha256(f"{chain} {diff_id}".encode()).hexdigest()
    return chain
