"""One private daemon: start, wait until it is ready, stop by pid, and show its log when something went wrong."""

import contextlib
import pathlib
import shutil
import subprocess
import tempfile

from . import procs
from .paths import find_program


class DaemonError(RuntimeError):
    pass


class Daemon:
    """A daemon in a private folder. Subclasses give `name`, `command` and `is_ready`, and may clean up more."""

    name = "daemon"
    ready_seconds = 30.0
    stop_seconds = 15.0

    def __init__(self, folder=None):
        """`folder`: where to keep everything (it stays); else a private one, removed on stop."""
        self._own_folder = folder is None
        self.dir = pathlib.Path(folder or tempfile.mkdtemp(prefix="pouch-test-"))
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log_path = self.dir / f"{self.name}.log"
        self.process = None

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        raise NotImplementedError

    def environment(self):
        """The daemon's environment; None inherits ours."""
        return None

    def before_stop(self):
        """What to do while the daemon still answers; errors don't matter, `clean_up` comes after."""

    def clean_up(self):
        """What is left to do when the daemon is gone, however it went."""

    @property
    def pid(self):
        return self.process.pid

    def log(self, lines=40):
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def start(self):
        # The daemon dies with the test run even when that is killed: setpriv asks the kernel for it.
        command = [find_program("setpriv"), "--pdeathsig", "TERM", *map(str, self.command())]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
            )
        ready = procs.wait_until(lambda: self._gone() or self.is_ready(), self.ready_seconds)
        if not ready or self._gone():
            story = self.log()
            fate = f"exited with {self.process.poll()}" if self._gone() else f"not ready in {self.ready_seconds} s"
            self.stop()
            raise DaemonError(f"{self.name}: {fate}; its log ends with:\n{story}")
        return self

    def stop(self):
        """Ends the daemon and removes all it left. Safe to call twice."""
        if self.process is not None:
            if not self._gone():
                with contextlib.suppress(Exception):
                    self.before_stop()
                self._end()
            self.process = None
            self.clean_up()
        if self._own_folder and self.dir.exists():
            shutil.rmtree(self.dir)

    def kill(self):
        """SIGKILL, as a crash would; `start` may follow."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _end(self):
        self.process.terminate()
        try:
            self.process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def runs(self):
        return self.process is not None and not self._gone()

    def _gone(self):
        return self.process.poll() is not None
