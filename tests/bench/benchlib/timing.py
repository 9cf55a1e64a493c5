"""Wall and CPU seconds and the memory of one command, with what daemons spend for it."""

import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import threading
import time


def timed(command, daemons=(), env=None, output=subprocess.DEVNULL):
    """Wall and CPU seconds of a command and of the daemons that serve it, and the peak of the command's memory."""
    before = sum(map(cpu_of, daemons))
    start = time.monotonic()
    process = subprocess.Popen([os.fspath(word) for word in command], stdout=output, stderr=subprocess.PIPE,
                               env={**os.environ, **(env or {})})
    peak = _watch_peak(process.pid)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command[0], stderr=error.decode(errors="replace")[-300:])
    cpu = usage.ru_utime + usage.ru_stime + sum(map(cpu_of, daemons)) - before
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "peak_mib": peak()}


def median_of(samples):
    return {field: round(statistics.median(sample[field] for sample in samples), 2) for field in samples[0]}


def cpu_of(pid):
    """Its own and of its ended children."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _watch_peak(pid):
    """What ends the watch and gives MiB: the peak of the program's memory, without what it was forked from."""
    seen, over = [0], threading.Event()

    def look():
        while not over.wait(0.02):
            with contextlib.suppress(OSError):
                found = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
                seen[0] = int(found.group(1)) if found else seen[0]

    thread = threading.Thread(target=look)
    thread.start()

    def end():
        over.set()
        thread.join()
        return round(seen[0] / 1024, 1)

    return end
