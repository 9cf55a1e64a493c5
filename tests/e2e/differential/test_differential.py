"""Each case of the differential runner is a test."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from differ.cases import load, missing  # noqa: E402
from differ.runner import Runner  # noqa: E402

pytest_plugins = ["pouchtest.fixtures"]


@pytest.fixture(name="runner", scope="module")
def runner_fixture(busybox_tar):
    with Runner(busybox_tar) as runner:
        yield runner


@pytest.mark.parametrize("name", [case.name for case in load()])
def test_case(runner, name):
    reason = missing(runner.cases[name])
    if reason:
        pytest.skip(reason)
    differences = runner.run(name)
    assert not differences, "\n".join(differences)


def test_allowed_differences_are_needed(runner):
    assert not runner.unused()
