"""What the long tests tell at their end, kept as tests/reports/NAME.txt."""

import datetime
import os
import re
import subprocess

from .paths import REPO


def commit():
    """The commit under test; "+" behind it: and what is not committed."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=REPO, capture_output=True, text=True, check=False).stdout.strip()
    changed = [line for line in git("status", "--porcelain").splitlines() if "tests/reports/" not in line]
    return (git("rev-parse", "HEAD") or "unknown") + ("+" if changed else "")


def finish(name, lines, passed, failed, is_kept=True):
    """Prints the report of tests/long/NAME and keeps it; the exit code. `is_kept`: of less than the whole it is not."""
    lines = [*lines, f"{passed} passed, {failed} failed, 0 skipped"]
    print("\n".join(lines), flush=True)
    if is_kept:
        keep(name, lines)
    return 1 if failed else 0


def keep(name, lines):
    """The report alone."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    head = f"tests/long/{name}, {today}, commit {commit()}, {os.cpu_count()} CPUs"
    path = REPO / f"tests/reports/{name}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([head, "", *lines]) + "\n", encoding="utf-8")


def pytest_counts(done):
    """(passed, failed) of a pytest run with its output; whatever else went wrong is one failure."""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return counts.get("passed", 0), failed or int(done.returncode != 0)
