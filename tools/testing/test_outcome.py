"""Reading test reports: a failure or a skip must never get lost on the way to the last line."""

import json

import outcome as results
import pytest
from outcome import Outcome


def test_gtest_report(tmp_path):
    cases = [
        {"name": "Good", "status": "RUN", "result": "COMPLETED"},
        {"name": "Bad", "status": "RUN", "result": "COMPLETED", "failures": [{"failure": "x.cc:1\nwrong"}]},
        {"name": "Skipped", "status": "RUN", "result": "SKIPPED", "skipped": [{"message": "no root"}]},
        {"name": "DISABLED_Off", "status": "NOTRUN", "result": "SUPPRESSED"},
    ]
    (tmp_path / "a_test.json").write_text(json.dumps({"testsuites": [{"name": "S", "testsuite": cases}]}))
    found = results.from_gtest(tmp_path)
    assert found.passed == 1
    assert found.failed == [("S.Bad", "x.cc:1")]
    assert found.skipped == [("S.Skipped", "no root")]


def test_junit_report(tmp_path):
    file = tmp_path / "r.xml"
    file.write_text(
        '<testsuites><testsuite><testcase classname="a" name="good"/>'
        '<testcase classname="a" name="bad"><failure message="wrong&#10;more"/></testcase>'
        '<testcase classname="a" name="broken"><error message="oops"/></testcase>'
        '<testcase classname="a" name="off"><skipped message="why"/></testcase></testsuite></testsuites>'
    )
    found = results.from_junit(file)
    assert (found.passed, found.failed, found.skipped) == (
        1, [("a.bad", "wrong"), ("a.broken", "oops")], [("a.off", "why")])


def test_go_events():
    events = [
        {"Action": "pass", "Package": "p", "Test": "TestGood"},
        {"Action": "output", "Package": "p", "Test": "TestBad", "Output": "x_test.go:1: wrong\n"},
        {"Action": "fail", "Package": "p", "Test": "TestBad"},
        {"Action": "fail", "Package": "p"},
        {"Action": "fail", "Package": "q"},
    ]
    found = results.from_go([json.dumps(event) for event in events] + ["# build output"])
    assert found.passed == 1
    assert found.failed == [("p.TestBad", "x_test.go:1: wrong"), ("q", "did not build or ended early")]


def test_script():
    text = "ok a\nFAIL b: wrong\nSKIP c: no root\n1 passed, 1 failed, 1 skipped\n"
    found = results.from_script(text, 1, "s")
    assert (found.passed, found.failed, found.skipped) == (1, [("b", "wrong")], [("c", "no root")])


@pytest.mark.parametrize(
    ("text", "code"), [("", 0), ("3 passed, 0 failed, 0 skipped\n", 1), ("3 passed, 2 failed, 0 skipped\n", 0)])
def test_script_that_cannot_be_trusted_fails(text, code):
    assert results.from_script(text, code, "s").failed


def test_unlisted_skip_is_a_failure(tmp_path):
    file = tmp_path / "skips.txt"
    file.write_text("# comment\nunit Known.*  # needs a device\n")
    known = results.known_skips(file)
    outcome = Outcome(skipped=[("Known.One", "r"), ("Other.One", "r")])
    results.judge_skips("unit", outcome, known)
    assert [test for test, _ in outcome.failed] == ["Other.One"]
    file.write_text("unit Known.*\n")
    with pytest.raises(ValueError, match="needs its reason"):
        results.known_skips(file)
