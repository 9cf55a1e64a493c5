"""What a scenario runs in: a containerd, a root, perhaps a pouchd, and the processes that may be killed."""

import contextlib
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys

from .. import mounts, procs
from ..containerd import PrivateContainerd
from ..embed import end_keepers, keeper
from ..images import busybox_image_tar
from ..paths import REPO, build_dir, find_program, private_dir
from ..pouchd import Pouchd
from ..registry import PrivateRegistry
from ..run import run
from .control import Control
from .names import BASE, PULLED, SMALL


class World:
    """A containerd and one root on it, used in-process ("embed") or through a pouchd ("pouchd")."""

    def __init__(self, mode):
        self.mode = mode
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _set_up(self):
        self.dir = self._stack.enter_context(private_dir())
        self.control = Control(self.dir)
        self.containerd = self._stack.enter_context(PrivateContainerd(self.dir / "c"))
        self._stack.callback(mounts.unmount_below, self.dir)
        self._stack.callback(self._remove_bridge)
        self._stack.callback(end_keepers, self.dir)
        self.pouchd = None
        if self.mode == "pouchd":
            self._start_pouchd()
        else:
            self.root, self.run_dir = self.dir / "root", self.dir / "run"
            self.uri = f"embed://{self.root}?run={self.run_dir}&containerd={self.containerd.socket}"
        base = busybox_image_tar(self.dir / "base.tar", name=BASE)
        self.small_tar = busybox_image_tar(self.dir / "small.tar", f"{SMALL}:loaded", files={"small": "x" * 100_000})
        self.registry = self._stack.enter_context(PrivateRegistry())
        pulled = busybox_image_tar(self.dir / "pulled.tar", f"{PULLED}:1", files={"pulled": "y" * 200_000},
                                   more=[{"a/one": "1" * 50_000}, {"a/.wh.one": "", "b/two": "2"}])
        self.registry.push(pulled, f"{PULLED}:1")
        self.pouch("load", "--input", base)
        with self.database() as database:
            self.root_id = database.execute("SELECT value FROM root WHERE key='id'").fetchone()[0]
        self.namespace = f"pouch-{self.root_id}"

    def _start_pouchd(self):
        folder = self.dir / "d"
        self.pouchd = _FaultyPouchd(folder, self.containerd, self.control.environment)
        self._stack.enter_context(self.pouchd)
        self.root, self.run_dir = folder / "home", folder / "run"
        self.uri = self.pouchd.uri

    def _remove_bridge(self):
        """A keeper that ends while a container runs leaves it; the campaign may end there."""
        if not getattr(self, "root_id", None):
            return
        subprocess.run([find_program("ip"), "link", "delete", f"pb-{self.root_id}"], capture_output=True, check=False)
        subprocess.run([find_program("nft"), "delete", "table", "inet", f"pouch_{self.root_id}"], capture_output=True,
                       check=False)

    # --- looking ---

    @contextlib.contextmanager
    def database(self):
        connection = sqlite3.connect(f"file:{self.root}/pouch.db?mode=ro", uri=True, timeout=10)
        try:
            yield connection
        finally:
            connection.close()

    def rows(self):
        """The containers' rows, as {id: {column: value}}."""
        with self.database() as database:
            database.row_factory = sqlite3.Row
            return {row["id"]: dict(row) for row in database.execute("SELECT * FROM containers")}

    def volumes(self):
        """The volumes' states by name."""
        with self.database() as database:
            return dict(database.execute("SELECT name, state FROM volumes"))

    def references(self):
        with self.database() as database:
            return {name for (name,) in database.execute("SELECT reference FROM image_references")}

    def ctr(self, *args, **options):
        return self.containerd.ctr(*args, namespace=self.namespace, **options)

    def keeper(self):
        """(pid of the supervisor, pid of the worker), None for who is not there."""
        return keeper(self.run_dir)

    # --- acting ---

    def near_prune(self):
        """Old events are removed with each 256th: the next run shall come by."""
        with sqlite3.connect(self.root / "pouch.db", timeout=30) as database:
            (last,) = database.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
            database.execute("INSERT INTO events(seq, time_ns, type, action, actor_id, attributes_json, scope) "
                             "VALUES(?, 0, 'image', 'load', 'faults', '{}', 'local')", (last + 1 + (239 - last) % 256,))
        database.close()

    def pouch(self, *args, **options):
        """Our command line, a process of its own that opens the root."""
        options.setdefault("timeout", 90)
        return run(build_dir() / "bin/pouch", "-H", self.uri, *args, env=self.control.environment, **options)

    def start_workload(self, tag, journal, sections, marked=False):
        """Those sections of it; `marked`: with their beginnings among the points that are met."""
        command = [sys.executable, "-m", "pouchtest.faults.workload", self.uri, journal, tag, self.small_tar,
                   self.registry.host, "--sections", ",".join(sections)]
        command += ["--marks", self.control.met_path] if marked else []
        log = open(self.dir / f"workload-{tag}.log", "wb")
        path = f"{REPO}/tests/lib:{build_dir()}/python"
        with log:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**os.environ, **self.control.environment, "PYTHONPATH": path})
        # One that still runs when the campaign is broken off would launch a keeper again and again.
        self._stack.callback(_end, process)
        return process

    def revive(self):
        """Daemons that were killed are started again, as systemd would."""
        if self.containerd.process.poll() is not None:
            self.containerd.start()
        if self.pouchd and self.pouchd.process.poll() is not None:
            self.pouchd.start()

    def victims(self, workload):
        """Who may be killed now, as {role: pid}."""
        supervisor, worker = self.keeper()
        found = {"host": workload.pid if workload.poll() is None else None, "supervisor": supervisor,
                 "keeper": worker, "containerd": self.containerd.pid,
                 "pouchd": self.pouchd.pid if self.pouchd else None}
        found.update({f"shim{i}": pid for i, pid in enumerate(self.containerd.shims())})
        return {role: pid for role, pid in found.items() if pid}

    def end_keeper(self):
        """As at its idle end; the next engine starts another."""
        supervisor, _ = self.keeper()
        if supervisor:
            procs.end(supervisor)


class _FaultyPouchd(Pouchd):
    """A pouchd with faults, on the world's containerd."""

    def __init__(self, folder, containerd, environment):
        super().__init__(pathlib.Path(folder), containerd)
        self._environment = environment

    def environment(self):
        return {**os.environ, **self._environment}


def _end(process):
    process.kill()
    process.wait()


def kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
