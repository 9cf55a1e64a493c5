"""Programs that use the library, run to their end in a process group of their own."""

import contextlib
import os
import signal
import subprocess

from . import procs
from .paths import REPO, build_dir


def environment(**more):
    """Python programs find the binding of the build under test."""
    path = os.pathsep.join([f"{REPO}/tests/lib", f"{build_dir()}/python"])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **more}


def run_host(command, seconds, stdin="", library_path=False, **options):
    """Runs it with that on stdin; when it does not end in time, the error has the stacks of all threads of all its
    processes. `library_path`: it finds libpouch by LD_LIBRARY_PATH."""
    more = {"LD_LIBRARY_PATH": f"{build_dir()}/lib"} if library_path else {}
    command = [os.fspath(word) for word in command]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment(**more), start_new_session=True, **options) as process:
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            shown = "\n\n".join(stacks(pid) for pid in session(process.pid))
            for pid in session(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"no end after {seconds} s: {command}\n{err}\n{shown}") from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def session(leader):
    """The processes of a session that are alive."""
    found = []
    for pid in procs.all_pids():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == leader and procs.start_time(pid) is not None:
                found.append(pid)
    return found


def stacks(pid):
    """What the threads of a process are doing, as gdb tells it."""
    try:
        done = subprocess.run(["gdb", "--batch", "--nx", "-p", str(pid), "-ex", "thread apply all backtrace 24"],
                              capture_output=True, text=True, timeout=60, check=False)
        told = done.stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        told = str(error)
    return f"--- process {pid}: {procs.cmdline(pid)}\n{told}"
