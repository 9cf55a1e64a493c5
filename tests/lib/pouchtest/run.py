"""Running a command, with the whole story in the error when it fails."""

import dataclasses
import os
import subprocess
import time


@dataclasses.dataclass
class Result:
    args: list
    code: int
    out: str
    err: str
    seconds: float

    @property
    def lines(self):
        return self.out.splitlines()


class CommandError(AssertionError):
    def __init__(self, result, what):
        command = " ".join(result.args)
        super().__init__(f"{command}: {what}\nstdout: {result.out}\nstderr: {result.err}")
        self.result = result


def run(*args, check=True, timeout=60, stdin="", env=None, cwd=None, text=True):
    """Runs a command to its end. `check`: raise CommandError unless it exits with 0. `env` is added to ours.

    `stdin` may be a string, bytes or an open file; `text=False` leaves the output as bytes.
    """
    args = [os.fspath(a) for a in args]
    feed = {"stdin": stdin} if hasattr(stdin, "fileno") else {"input": _bytes(stdin)}
    start = time.monotonic()
    process_env = {**os.environ, **{k: str(v) for k, v in (env or {}).items()}}
    try:
        done = subprocess.run(args, capture_output=True, timeout=timeout, env=process_env, cwd=cwd, **feed)
    except subprocess.TimeoutExpired as error:
        late = Result(args, -1, _text(error.stdout or b""), _text(error.stderr or b""), timeout)
        raise CommandError(late, f"no end after {timeout} s") from None
    out = _text(done.stdout) if text else done.stdout
    err = _text(done.stderr) if text else done.stderr
    result = Result(args, done.returncode, out, err, time.monotonic() - start)
    if check and done.returncode != 0:
        raise CommandError(result, f"exit code {done.returncode}")
    return result


def _bytes(value):
    return value.encode() if isinstance(value, str) else value


def _text(value):
    return value.decode("utf-8", "replace")
