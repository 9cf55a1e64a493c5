"""An engine root of one's own for embed://, from the build under test."""

import contextlib
import errno
import os
import pathlib
import shutil
import signal
import tempfile

from . import mounts, networks, procs
from .containerd import PrivateContainerd, end_shims


@contextlib.contextmanager
def _root_folder():
    """A private folder; a keeper that was being started when the others were ended is ended when it shows itself."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="pouch-test-"))
    try:
        yield path
    finally:
        try:
            shutil.rmtree(path)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            end_keepers(path)
            shutil.rmtree(path)


@contextlib.contextmanager
def new_root(folder=None):
    """Gives the URI of a new root that runs a containerd itself, as users have it, in a private folder or in `folder`."""
    with contextlib.ExitStack() as stack:
        folder = folder or stack.enter_context(_root_folder())
        stack.callback(mounts.unmount_below, folder)
        stack.callback(networks.remove_remains, f"{folder}/root")
        stack.callback(end_shims, folder)
        stack.callback(end_keepers, folder)
        yield f"embed://{folder}/root?run={folder}/run"


@contextlib.contextmanager
def embed_root(containerd=None):
    """Gives the URI of a new root in a private folder, on a containerd of its own unless one is given."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_root_folder())
        containerd = containerd or stack.enter_context(PrivateContainerd())
        stack.callback(mounts.unmount_below, folder)
        stack.callback(networks.remove_remains, f"{folder}/root")
        stack.callback(end_keepers, folder)
        yield f"embed://{folder}/root?run={folder}/run&containerd={containerd.socket}"


def end_keepers(folder):
    """Ends the keepers and containerds of the roots in a folder. They outlive their clients by design, for seconds."""
    # Again as long as there are some: a supervisor may have started a worker meanwhile.
    while pids := keepers(folder):
        for pid in pids:
            # One that is killed leaves its control group: time enough for a busy machine.
            procs.end(pid, grace=30.0)


def keepers(folder):
    """Pids of the keepers, supervisors and workers, of the roots in a folder."""
    # Its copy in the root, under the program's name.
    return [pid for pid in procs.mentioning(str(folder)) if procs.cmdline(pid).split(" ")[0].endswith("/pouch-keeper")]


def kill_keepers(folder):
    """All processes of the keepers at once, as far as that goes; their pids. A worker that runs on for a moment would take
    its supervisor's place, so they are stopped first."""
    pids = set(keepers(folder))
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    return pids


def keeper(folder):
    """(pid of the supervisor, pid of the worker) of the one root in a folder, None for who is not there."""
    pids = [pid for pid in keepers(folder) if "--mind-containerd" not in procs.cmdline(pid)]
    supervisor = next((pid for pid in pids if procs.parent(pid) not in pids), None)
    return supervisor, next((pid for pid in pids if procs.parent(pid) == supervisor), None)
