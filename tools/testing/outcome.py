"""What a stage found, and reading it from the reports of the various test runners."""

import dataclasses
import fnmatch
import json
import pathlib
import re
import xml.etree.ElementTree


@dataclasses.dataclass
class Outcome:
    """Counts of one stage; `failed` and `skipped` hold (test, reason)."""

    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)

    def fail(self, test, reason=""):
        self.failed.append((test, reason))

    def skip(self, test, reason=""):
        self.skipped.append((test, reason or "no reason given"))

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def from_gtest(folder):
    """The JSON reports that GoogleTest writes, one per program."""
    outcome = Outcome()
    for file in sorted(pathlib.Path(folder).glob("*.json")):
        for suite in json.loads(file.read_text())["testsuites"]:
            for case in suite["testsuite"]:
                _count_gtest(outcome, f"{suite['name']}.{case['name']}", case)
    return outcome


def _count_gtest(outcome, name, case):
    if case.get("status") == "NOTRUN":
        return
    if case.get("result") == "SKIPPED":
        outcome.skip(name, " ".join(part.get("message", "") for part in case.get("skipped", [{}])).strip())
    elif case.get("failures"):
        outcome.fail(name, case["failures"][0]["failure"].splitlines()[0])
    else:
        outcome.passed += 1


def from_junit(file):
    """A JUnit XML report: pytest's and JUnit's own."""
    outcome = Outcome()
    for case in xml.etree.ElementTree.parse(file).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
        skipped = case.find("skipped")
        problem = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        if problem is not None:
            outcome.fail(name, (problem.get("message") or "").split("\n")[0])
        elif skipped is not None:
            outcome.skip(name, skipped.get("message") or (skipped.text or "").strip())
        else:
            outcome.passed += 1
    return outcome


def from_go(lines):
    """The events of `go test -json`."""
    outcome, output = Outcome(), {}
    for line in lines:
        event = json.loads(line) if line.startswith("{") else {}
        key = (event.get("Package", ""), event.get("Test"))
        action = event.get("Action")
        if key[1] is None:
            if action == "fail" and not any(test.startswith(f"{key[0]}.") for test, _ in outcome.failed):
                outcome.fail(key[0], "did not build or ended early")
            continue
        if action == "output":
            output.setdefault(key, []).append(event["Output"].strip())
        elif action == "pass":
            outcome.passed += 1
        elif action in ("fail", "skip"):
            told = [text for text in output.get(key, []) if not text.startswith(("---", "==="))]
            getattr(outcome, action)(".".join(key), " ".join(told)[-300:])
    return outcome


_LAST = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped", re.MULTILINE)
_NAMED = re.compile(r"^(FAIL|SKIP) (\S+?):?(?: (.*))?$", re.MULTILINE)


def from_script(text, code, name):
    """A script of ours: lines `FAIL test: reason` and `SKIP test: reason`, at last `N passed, N failed, N skipped`."""
    outcome = Outcome()
    totals = _LAST.findall(text)
    for verdict, test, reason in _NAMED.findall(text):
        (outcome.fail if verdict == "FAIL" else outcome.skip)(test, reason)
    if totals:
        passed, failed, skipped = map(int, totals[-1])
        outcome.passed = passed
        for _ in range(len(outcome.failed), failed):
            outcome.fail(name, "see the output above")
        for _ in range(len(outcome.skipped), skipped):
            outcome.skip(name)
    if not totals or (code != 0 and not outcome.failed):
        outcome.fail(name, f"exited with {code}" + ("" if totals else " without a result line"))
    return outcome


def known_skips(file):
    """tests/skips.txt: `stage test-pattern  # reason` per line."""
    known = []
    for line in pathlib.Path(file).read_text().splitlines():
        entry, _, reason = line.partition("#")
        if entry.strip():
            stage, pattern = entry.split()
            if not reason.strip():
                raise ValueError(f"{file}: {entry.strip()}: a skip needs its reason")
            known.append((stage, pattern))
    return known


def judge_skips(stage, outcome, known):
    """A skip that is not in the list is a failure."""
    for test, reason in outcome.skipped:
        if not any(fnmatch.fnmatch(stage, s) and fnmatch.fnmatchcase(test, p) for s, p in known):
            outcome.fail(test, f"skipped ({reason}) but not listed in tests/skips.txt")
