"""Runs the test stages, tells each one's time, and ends with one line: N passed, N failed, N skipped."""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import outcome as results
import stages
from outcome import Outcome

REPO = stages.REPO
sys.path.insert(0, str(REPO / "tests/lib"))

from pouchtest.cgroups import hugetlb_cgroup  # noqa: E402
from pouchtest.leaks import RUN_VARIABLE, LeakGuard  # noqa: E402


def parse_arguments():
    names = [*stages.available(), "leaks"]
    parser = argparse.ArgumentParser(prog="tools/test", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, metavar="STAGE",
                        help=f"only this stage, repeatable: {', '.join(names)}")
    parser.add_argument("--long", metavar="NAME", help="a long test: one of tests/long")
    parser.add_argument("--soak", type=float, metavar="HOURS", help="the soak test, for so many hours")
    parser.add_argument("--list", action="store_true", help="names the stages and ends")
    return parser.parse_args()


def choose(arguments):
    """The stages to run, as [(name, function)]."""
    if arguments.long:
        return [("build", stages.build), (arguments.long, lambda run: stages.long_test(run, arguments.long))]
    if arguments.soak:
        hours = str(arguments.soak)
        return [("build", stages.build), ("soak", lambda run: stages.long_test(run, "soak", "--hours", hours))]
    wanted = arguments.only or [name for name in stages.available() if name not in stages.ON_REQUEST]
    return [(name, stage) for name, stage in stages.available().items() if name in wanted]


def run_stage(name, stage, run, known):
    print(f"\n=== {name}: {(stage.__doc__ or '').strip()}", flush=True)
    start = time.monotonic()
    try:
        outcome = stage(run)
    except Exception as error:  # pylint: disable=broad-except
        outcome = Outcome()
        outcome.fail(name, f"{type(error).__name__}: {error}")
    results.judge_skips(name, outcome, known)
    return outcome, time.monotonic() - start


def report(name, outcome, seconds):
    for test, reason in outcome.skipped:
        print(f"  SKIPPED {test}: {reason}")
    for test, reason in outcome.failed:
        print(f"  FAILED {test}: {reason}")
    print(f"--- {name}: {outcome} in {seconds:.1f} s", flush=True)


def check_leaks(guard, scratch):
    outcome = Outcome()
    for leak in guard.leaks():
        outcome.fail("leak", leak)
    for entry in sorted(scratch.iterdir()):
        outcome.fail("leak", f"file: {entry}")
    if not outcome.failed:
        outcome.passed = 1
    return outcome


def run_all(chosen, scratch):
    known = results.known_skips(REPO / "tests/skips.txt")
    temporary = scratch / "t"
    temporary.mkdir()
    run = stages.Run(scratch, {RUN_VARIABLE: scratch.name, "TMPDIR": str(temporary)})
    guard = LeakGuard(own_only=scratch.name if os.environ.get("POUCH_LEAKS") == "own" else "")
    table = []
    with hugetlb_cgroup():
        for name, stage in chosen:
            outcome, seconds = run_stage(name, stage, run, known)
            report(name, outcome, seconds)
            table.append((name, outcome, seconds))
            if name == "build" and outcome.failed:
                break
    outcome, seconds = run_stage("leaks", _leak_stage(guard, temporary), run, known)
    report("leaks", outcome, seconds)
    return [*table, ("leaks", outcome, seconds)]


def _leak_stage(guard, temporary):
    def leaks(_run):
        """Nothing is left behind: mounts, links, rules, processes, control groups, files."""
        return check_leaks(guard, temporary)

    return leaks


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join([*stages.available(), "leaks"]))
        return 0
    # An interrupted run cleans up too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.umask(0o022)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="pouch-run-"))
    try:
        table = run_all(choose(arguments), scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("\n=== stages")
    total = Outcome()
    for name, outcome, seconds in table:
        print(f"{seconds:8.1f} s  {name}: {outcome}")
        total.add(outcome)
    for test, reason in total.failed:
        print(f"FAILED {test}: {reason}")
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
