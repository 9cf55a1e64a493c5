"""A containerd of one's own."""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal

from . import cgroups, mounts, procs
from .daemon import Daemon
from .paths import find_program
from .run import run

# Pouch uses neither CRI nor these snapshotters; without them containerd is up in some 15 ms. runtime.v1.linux stays:
# containerd 1.6 has no task service without it.
_DISABLED = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
]
# containerd keeps its shims' sockets and runc's state here whatever its own folders are.
_RUN = pathlib.Path("/run/containerd")
_SHIM_SOCKETS = _RUN / "s"


class PrivateContainerd(Daemon):
    """containerd with root, state and socket in a private folder.

        with PrivateContainerd() as containerd:
            containerd.ctr("version")
    """

    name = "containerd"

    def __init__(self, folder=None):
        super().__init__(folder)
        self.socket = self.dir / "c.sock"
        self.address = f"unix://{self.socket}"
        # runc's state and control groups are the machine's, by namespace and id: two containerds would collide.
        self.namespace = f"t-{secrets.token_hex(4)}"

    def command(self):
        config = self.dir / "containerd.toml"
        disabled = ", ".join(f'"{name}"' for name in _DISABLED)
        config.write_text(
            "version = 2\n"
            f'root = "{self.dir}/root"\n'
            f'state = "{self.dir}/state"\n'
            f"disabled_plugins = [{disabled}]\n"
            f'[grpc]\n  address = "{self.socket}"\n'
            f'[plugins."io.containerd.internal.v1.opt"]\n  path = "{self.dir}/opt"\n'
        )
        return [find_program("containerd"), "--config", config]

    def environment(self):
        # A shim that is killed leaves its runtime's request files (runc-process*) behind: here they go with the folder.
        temporary = self.dir / "tmp"
        temporary.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(temporary)}

    def is_ready(self):
        return self.socket.exists() and self.ctr("version", check=False).code == 0

    def ctr(self, *args, namespace=None, **options):
        """Runs containerd's own client, in a namespace of our own by default. `options` as for `run`."""
        namespace = namespace or self.namespace
        return run(find_program("ctr"), "--address", self.socket, "--namespace", namespace, *args, **options)

    def namespaces(self):
        return self.ctr("namespaces", "ls", "-q").lines

    def shims(self):
        """Pids of the shims that belong to this containerd."""
        return [pid for pid in procs.mentioning(str(self.socket)) if "containerd-shim" in procs.cmdline(pid)]

    def before_stop(self):
        """Kills every container, so that the shims end as they should and leave nothing."""
        for namespace in self.namespaces():
            for line in self.ctr("tasks", "ls", namespace=namespace).lines[1:]:
                self._remove_task(line.split()[0], namespace)
            _remove_namespace(namespace)

    def clean_up(self):
        # Shims outlive a containerd that crashed, by design.
        for pid in self.shims():
            _end_shim(pid)
        mounts.unmount_below(self.dir)
        for folder in (_RUN / "runc", _RUN / "fifo", _SHIM_SOCKETS, _RUN):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _remove_task(self, task, namespace):
        self.ctr("tasks", "kill", "-s", "KILL", "--all", task, namespace=namespace, check=False)
        procs.wait_until(lambda: self._is_stopped(task, namespace), 5, pause=0.05)
        self.ctr("tasks", "rm", "--force", task, namespace=namespace, check=False)

    def _is_stopped(self, task, namespace):
        lines = self.ctr("tasks", "ls", namespace=namespace).lines[1:]
        return not any(line.split()[0] == task and line.split()[2] != "STOPPED" for line in lines)


def end_shims(folder):
    """Ends the shims of containerds with their socket in the folder, as tests leave them that fail."""
    for pid in procs.mentioning(f"-address {folder}/"):
        _end_shim(pid)


def _end_shim(pid):
    """Ends a shim that outlived its containerd, its container first, and removes what the two kept in /run."""
    words = procs.cmdline(pid).split()
    namespace, container = (words[words.index(flag) + 1] for flag in ("-namespace", "-id"))
    socket = shim_socket(pid)
    for child in _children(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        procs.wait_until(lambda: procs.start_time(child) is None, 5)  # pylint: disable=cell-var-from-loop
    procs.end(pid)
    if socket:
        pathlib.Path(socket).unlink(missing_ok=True)
    shutil.rmtree(_RUN / "runc" / namespace / container, ignore_errors=True)
    _remove_namespace(namespace)


def _remove_namespace(namespace):
    """Removes the empty control groups and the empty folder that runc keeps for a containerd namespace."""
    cgroups.remove_group(namespace)
    with contextlib.suppress(OSError):
        (_RUN / "runc" / namespace).rmdir()


def _children(pid):
    try:
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def shim_socket(pid):
    """The path of the listening unix socket among a process's descriptors."""
    inodes = set()
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) == 8 and fields[6] in inodes and fields[7].startswith(str(_SHIM_SOCKETS)):
            return fields[7]
    return None
