"""The kernel's own NFS server, which there is once per machine, for one folder and hosts that play its clients."""

import contextlib
import os
import pathlib
import shutil
import subprocess

_NFSD = pathlib.Path("/proc/fs/nfsd")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_PROGRAMS = ("exportfs", "rpc.mountd", "rpc.nfsd")


def why_not():
    """Why there can be no server of ours here; "" when there can."""
    missing = [name for name in _PROGRAMS if not _program(name)]
    if missing:
        return f"no {', '.join(missing)}"
    if _call("modprobe", "nfsd", check=False).returncode != 0:
        return "the kernel has no nfsd"
    threads = _NFSD / "threads"
    if threads.exists() and int(threads.read_text()) > 0:
        return "somebody else's NFS server runs"
    return ""


class Server:
    """Serves folders to 127.0.0.1 at 127.0.0.1, version 4 alone: that needs no port mapper.

        with Server() as server:
            server.export(folder)
    """

    def __init__(self):
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            if not os.path.ismount(_NFSD):
                _call("mount", "-t", "nfsd", "nfsd", _NFSD)
                stack.callback(_call, "umount", _NFSD, check=False)
            answers = subprocess.Popen([_program("rpc.mountd"), "--foreground", "--no-nfs-version", "3"],
                                       stdin=subprocess.DEVNULL)
            stack.callback(answers.wait, 10)
            stack.callback(answers.terminate)
            # Nobody was here before, so nobody has anything to reclaim: the shortest grace there is.
            _call("rpc.nfsd", "--no-nfs-version", "3", "--grace-time", "10", "--lease-time", "10", "--host", "127.0.0.1", "2")
            stack.callback(_call, "rpc.nfsd", "0")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def export(self, folder, options="rw,no_root_squash"):
        place = f"127.0.0.1:{folder}"
        _call("exportfs", "-o", f"{options},no_subtree_check,insecure", place)
        self._stack.callback(_call, "exportfs", "-u", place, check=False)


def _program(name):
    return shutil.which(name, path=_PATH)


def _call(name, *arguments, check=True):
    command = [_program(name) or name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done
