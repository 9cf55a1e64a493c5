"""clang-format for C and C++, gofmt for Go."""

import concurrent.futures
import re
import shutil
import subprocess

from .context import CXX, REPO

_BATCH = 20


def run(context):
    problems = []
    files = context.sources(*CXX)
    batches = [files[i:i + _BATCH] for i in range(0, len(files), _BATCH)]
    with concurrent.futures.ThreadPoolExecutor(context.jobs) as pool:
        for found in pool.map(_clang_format, batches):
            problems += found
    return problems + _gofmt(context.sources(".go"))


def _clang_format(files):
    done = subprocess.run(["clang-format", "--dry-run", *files], cwd=REPO, capture_output=True, text=True, check=False)
    places = re.findall(r"^(\S+?):(\d+):\d+: warning: code should be clang-formatted", done.stderr, re.MULTILINE)
    first = {}
    for path, line in places:
        first.setdefault(path, line)
    if done.returncode != 0 and not first:
        return [done.stderr.strip()]
    return [f"{path}:{line}: not formatted; run clang-format -i {path}" for path, line in first.items()]


def _gofmt(files):
    if not files or not shutil.which("gofmt"):
        return []
    done = subprocess.run(["gofmt", "-l", *files], cwd=REPO, capture_output=True, text=True, check=False)
    return [f"{path}: not formatted; run gofmt -w {path}" for path in done.stdout.split()] + done.stderr.splitlines()
