"""After a boot, in order or not: what ran has exited, the rest is as it was, and nothing of the earlier boot is left."""

import json
import pathlib

import pytest
from pouchtest.run import run
from vmtest import CGROUPS, keepers

EXPECTED = {"created": "created", "exited": "exited", "limited": "exited", "running": "exited"}


@pytest.fixture(scope="module", autouse=True)
def before(service):
    """What is there before anything is started again."""
    return {"tasks": run("ctr", "--namespace", "pouch", "tasks", "ls", "--quiet").lines, "mounts": _mounts(),
            "groups": _groups(service)}


def _mounts():
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if "/pouch" in line.split()[4]]


def _groups(service):
    ids = service.docker("ps", "--all", "--quiet", "--no-trunc").lines
    return [str(path) for name in ids for path in CGROUPS.rglob(f"*{name}*")]


def test_pouchd_came_up_by_itself():
    assert run("systemctl", "is-active", "pouchd.service").out == "active\n"


def test_states(service):
    listed = [json.loads(line) for line in service.docker("ps", "--all", "--format", "{{json .}}").lines]
    assert {entry["Names"]: entry["State"] for entry in listed} == EXPECTED
    assert service.inspect("exited", "{{.State.ExitCode}}") == "3"
    assert service.inspect("running", "{{.State.Pid}} {{.State.Running}}") == "0 false"


def test_nothing_of_the_earlier_boot_runs(before):
    assert before == {"tasks": [], "mounts": [], "groups": []}
    assert not keepers("/var/lib/pouch/")


def test_auto_remove_ended_with_the_boot(service):
    snapshots = run("ctr", "--namespace", "pouch", "snapshots", "ls").lines[1:]
    active = [line.split()[0] for line in snapshots if line.split()[-1] == "Active"]
    ids = service.docker("ps", "--all", "--quiet", "--no-trunc").lines
    assert len(active) == len(ids) == len(EXPECTED)
    # One that was never started has no folder.
    assert {path.name for path in pathlib.Path("/var/lib/pouch/containers").iterdir()} <= set(ids)


def test_logs_are_whole(service):
    seen = [int(line) for line in service.docker("logs", "running").lines]
    assert len(seen) > 5 and seen == list(range(len(seen)))
    assert service.docker("logs", "exited").out == "done\n"


def test_all_start_again(service):
    service.docker("start", "running", "limited")
    assert service.docker("start", "--attach", "created").out == "started later\n"
    assert service.inspect("running", "{{.State.Status}}") == "running"
    service.docker("rm", "--force", *EXPECTED)
    assert service.docker("ps", "--all", "--quiet").out == ""
