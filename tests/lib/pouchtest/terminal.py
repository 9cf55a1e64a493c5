"""A program on a pseudo-terminal, as a user types at it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time


class Terminal:
    """Runs a command on a terminal of its own.

        with Terminal(["docker", "run", "-it", "busybox"], size=(24, 80)) as terminal:
            terminal.expect("# ")
            terminal.send("exit 3\\r")
            assert terminal.wait() == 3
    """

    def __init__(self, command, env=None, size=(24, 80)):
        self.output = b""
        self._seen = 0
        self._master, self._slave = pty.openpty()  # the slave stays open: its settings are looked at afterwards
        self.resize(*size)
        self.settings_before = self.settings()
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [os.fspath(word) for word in command], stdin=self._slave, stdout=self._slave, stderr=self._slave,
            env={**os.environ, **{k: str(v) for k, v in (env or {}).items()}}, preexec_fn=self._control)

    def _control(self):
        os.setsid()
        fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)

    def settings(self):
        """What raw mode changes."""
        return termios.tcgetattr(self._slave)

    def is_raw(self):
        return not self.settings()[3] & termios.ICANON

    def resize(self, rows, columns):
        """The kernel tells the program by SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text):
        os.write(self._master, text.encode() if isinstance(text, str) else text)

    def expect(self, text, timeout=60):
        """Waits until the program has printed the text, behind what was expected before."""
        wanted = text.encode() if isinstance(text, str) else text
        end = time.monotonic() + timeout
        while wanted not in self.output[self._seen:]:
            if not self._read(end):
                raise AssertionError(f"no {wanted!r} within {timeout} s in {self.output[self._seen:]!r}; "
                                     f"all output: {self.output!r}")
        self._seen = self.output.index(wanted, self._seen) + len(wanted)

    def has_printed(self, text):
        """What expect() would find at once."""
        while self._read(0):
            pass
        return text.encode() in self.output[self._seen:]

    def _read(self, end):
        ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        self.output += os.read(self._master, 65536)
        return True

    def wait(self, timeout=60):
        """Waits for the program's end; its exit code, -signal when killed. `output` is whole then."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f"no end within {timeout} s; all output: {self.output!r}")
            self._read(min(end, time.monotonic() + 0.05))
        while self._read(0):
            pass
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)
