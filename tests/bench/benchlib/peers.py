"""What is compared: each peer runs a busybox `true` from its creation to its removal, one or several at a time."""

import concurrent.futures
import contextlib
import json
import os
import resource
import subprocess
import time
import uuid

import docker
from pouchtest import BUSYBOX

_LIMIT = 120  # seconds for one batch; beyond it something hangs


def cpu_seconds(pids):
    """What these processes have used so far, all their threads and all their children that have ended, and such children
    of ours. The kernel's own threads, which end namespaces later, are nobody's."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), of the whole process
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                after_name = stat.read().rpartition(")")[2].split()
            total += sum(map(int, after_name[13:15])) / os.sysconf("SC_CLK_TCK")  # cutime, cstime
    return total


class BenchError(RuntimeError):
    pass


class Peer:
    """`group` is what the ratios go by: in-process, pouchd, containerd, dockerd, podman, runtime."""

    def __init__(self, name, group):
        self.name = name
        self.group = group
        self.daemons = lambda: []  # pids of the processes that work for it beside its own children

    def batch(self, count):
        """Runs `count` containers at the same time; the seconds that each took."""
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self.timed(), range(count)))

    def timed(self):
        start = time.monotonic()
        self.once()
        return time.monotonic() - start

    def once(self):
        raise NotImplementedError

    def close(self):
        pass


class CommandPeer(Peer):
    """A whole process per container, measured from its start to its end."""

    def __init__(self, name, group, command, env=None):
        """`command` gets a fresh name for the container and gives the words."""
        super().__init__(name, group)
        self._command = command
        self._env = {**os.environ, **(env or {})}

    def once(self):
        words = [os.fspath(word) for word in self._command(f"b-{uuid.uuid4().hex[:12]}")]
        done = subprocess.run(words, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=_LIMIT)
        if done.returncode != 0:
            raise BenchError(f"{self.name}: {' '.join(words)} exited with {done.returncode}: {done.stderr.decode()}")


class ResidentPeer(Peer):
    """bench_run_loop: a program that holds one client open and measures each run itself."""

    def __init__(self, name, group, program, uri, runtime, network="none", env=None):
        super().__init__(name, group)
        config = {"Image": BUSYBOX, "Cmd": ["true"],
                  "HostConfig": {"NetworkMode": network, "AutoRemove": True, "Runtime": runtime}}
        self._process = subprocess.Popen([program, uri, json.dumps(config)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self._answer()
        self.daemons = lambda: [self._process.pid]

    def batch(self, count):
        try:
            self._process.stdin.write(f"{count}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is told by the answer
        return [int(word) / 1e6 for word in self._answer().split()]

    def close(self):
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise BenchError(f"{self.name}: bench_run_loop ended with {self._process.wait()}")
        return line


class DockerPyPeer(Peer):
    """docker-py, as Python programs use a daemon: create, start, wait, remove on a client that stays open."""

    def __init__(self, name, group, address, runtime):
        super().__init__(name, group)
        self._client = docker.APIClient(base_url=address, version="1.41", timeout=_LIMIT)
        self._runtime = runtime

    def once(self):
        client = self._client
        host = client.create_host_config(network_mode="none", runtime=self._runtime)
        container = client.create_container(BUSYBOX, ["true"], host_config=host)["Id"]
        client.start(container)
        code = client.wait(container)["StatusCode"]
        client.remove_container(container)
        if code != 0:
            raise BenchError(f"{self.name}: the container exited with {code}")

    def close(self):
        self._client.close()
