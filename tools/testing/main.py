"""Runs the test stages, tells each one's time, and ends with one line: N passed, N failed, N skipped."""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
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
    """One stage with what it told: (name, outcome, seconds)."""
    run.tell(f"\n=== {name}: {(stage.__doc__ or '').strip()}\n")
    start = time.monotonic()
    try:
        outcome = stage(run)
    except Exception as error:  # pylint: disable=broad-except
        outcome = Outcome()
        outcome.fail(name, f"{type(error).__name__}: {error}")
    results.judge_skips(name, outcome, known)
    seconds = time.monotonic() - start
    for test, reason in outcome.skipped:
        run.tell(f"  SKIPPED {test}: {reason}\n")
    for test, reason in outcome.failed:
        run.tell(f"  FAILED {test}: {reason}\n")
    run.tell(f"--- {name}: {outcome} in {seconds:.1f} s\n")
    return name, outcome, seconds


class Lane:
    """A run of its own, in its own folder, with a look at what it leaves."""

    def __init__(self, undo, tell):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="pouch-run-"))
        undo.callback(shutil.rmtree, self.scratch, ignore_errors=True)
        self.temporary = self.scratch / "t"
        self.temporary.mkdir()
        variables = {RUN_VARIABLE: self.scratch.name, "TMPDIR": str(self.temporary)}
        self.run = stages.Run(self.scratch, variables, tell)
        self.guard = None

    def watch(self):
        """From now on what is new is left behind; to be called when the folders of all lanes are there."""
        self.guard = LeakGuard(own_only=self.scratch.name if os.environ.get("POUCH_LEAKS") == "own" else "")

    def find_leaks(self, outcome):
        for leak in self.guard.leaks():
            outcome.fail("leak", leak)
        for entry in sorted(self.temporary.iterdir()):
            outcome.fail("leak", f"file: {entry}")


def make_lanes(undo):
    lanes = [Lane(undo, stages.Shown()), Lane(undo, stages.Kept())]
    for lane in lanes:
        lane.watch()
    return lanes


def run_beside(chosen, known, lane, table):
    """Starts the stages in a thread, which shows what they told when each has ended."""

    def work():
        for name, stage in chosen:
            table.append(run_stage(name, stage, lane.run, known))
            lane.run.tell.flush()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def run_all(chosen, undo):
    known = results.known_skips(REPO / "tests/skips.txt")
    lanes = make_lanes(undo)
    beside = [item for item in chosen if item[0] in stages.BESIDE] if "e2e" in dict(chosen) else []
    if beside:
        for lane in lanes:  # each test would see what the other lane has at the moment
            lane.run.environment["POUCH_LEAKS"] = "own"
    table, table_beside, thread = [], [], None
    with hugetlb_cgroup():
        for name, stage in chosen:
            if (name, stage) in beside:
                continue
            if name == "e2e" and beside:
                thread = run_beside(beside, known, lanes[1], table_beside)
            table.append(run_stage(name, stage, lanes[0].run, known))
            if name == "build" and table[-1][1].failed:
                break
        if thread:
            thread.join()
    table += table_beside
    table.append(run_stage("leaks", _leak_stage(lanes), lanes[0].run, known))
    return table


def _leak_stage(lanes):
    def leaks(_run):
        """Nothing is left behind: mounts, links, rules, processes, control groups, files."""
        outcome = Outcome()
        for lane in lanes:
            lane.find_leaks(outcome)
        outcome.passed = 0 if outcome.failed else 1
        return outcome

    return leaks


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join([*stages.available(), "leaks"]))
        return 0
    # An interrupted run cleans up too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.umask(0o022)
    with contextlib.ExitStack() as undo:
        table = run_all(choose(arguments), undo)
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
