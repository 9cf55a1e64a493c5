"""Looking at processes through /proc, and ending those that a test started, each by its pid."""

import os
import pathlib
import signal
import time


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def cmdline(pid):
    """The command line as one string; empty for kernel threads, zombies and who is gone."""
    try:
        raw = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")


def environ(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def start_time(pid):
    """Ticks since boot at which a process started; with the pid it names a process for good. None if gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def parent(pid):
    """The pid of a process's parent; None if it is gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def mentioning(text):
    """Pids of the processes (ourselves and our ancestors apart) whose command line contains `text`."""
    mine = ancestors()
    return [pid for pid in all_pids() if pid not in mine and text in cmdline(pid)]


def ancestors():
    chain, pid = set(), os.getpid()
    while pid:
        chain.add(pid)
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            break
        pid = int(stat.rpartition(")")[2].split()[1])
    return chain


def end(pid, grace=5.0):
    """SIGTERM, then SIGKILL after `grace` seconds; returns when the process is gone."""
    started = start_time(pid)
    for signo, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        if started is None or start_time(pid) != started:
            return
        try:
            os.kill(pid, signo)
        except ProcessLookupError:
            return
        if wait_until(lambda: start_time(pid) != started, seconds):
            return
    raise TimeoutError(f"process {pid} ({cmdline(pid)}) survived SIGKILL")


def wait_until(condition, seconds, pause=0.01):
    """Asks `condition` until it holds; False when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def heed_signals():
    """What a shell's background job ignores is not ignored by the programs that tests start, as by those of users."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGQUIT, signal.SIGHUP):  # nohup's
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
