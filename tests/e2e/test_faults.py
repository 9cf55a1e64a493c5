"""Kills and failures at points of the code, judged by others' tools: a short, seeded choice of tests/long/faults."""

import os

import pytest
from pouchtest.faults import UNMET, Campaign, Scenario, catalogue, judge
from pouchtest.faults.points import step_of

pytest_plugins = ["pouchtest.fixtures"]

_SEED = int(os.environ.get("POUCH_FAULTS_SEED", "1"))
_CHOSEN = 14
_RANDOM = 6

# What went wrong once.
_REGRESSIONS = [
    # The answer was lost, and the task stayed.
    Scenario("embed", "fail:EIO", "host", "rpc.tasks.create.after", 3),
    # The same with a root file system.
    Scenario("embed", "fail:Unavailable", "host", "rpc.snapshots.prepare.after", 3),
    # The keeper kept the streams of a container that had ended.
    Scenario("embed", "fail:EMFILE", "host", "keeper.drain.before", 2),
    # A removal that could not be recorded was never ended, and who waited for it waited for ever.
    Scenario("embed", "fail:ENOSPC", "host", "row.containers.delete.before", 2),
    # What an engine that died half-way in an import left stayed until the next import.
    Scenario("embed", "kill", "host", "rpc.leases.delete.before", 1),
    # A line that did not fit on the disk was lost.
    Scenario("pouchd", "fail:ENOSPC", "keeper", "sys.write.before", 9),
    # The task of a container that was removed stayed.
    Scenario("embed", "fail:ENOSPC", "host", "rpc.tasks.delete.before", 5),
    # One failure of a removal made a dead container.
    Scenario("pouchd", "fail:EMFILE", "pouchd", "sys.remove_tree.before", 2),
    # The end of the input was never told to the process.
    Scenario("embed", "fail:DeadlineExceeded", "keeper", "rpc.tasks.close_io.before", 1),
    # The keeper's wait broke, and it took that for containerd's end.
    Scenario("embed", "fail:ENOSPC", "keeper", "rpc.tasks.wait.before", 9),
    # A view on a layer that was there stayed until containerd's collector came by.
    Scenario("embed", "fail:ENOSPC", "host", "image.stage.before", 1),
    # A lease that could not be deleted at once stayed as long as the engine lived.
    Scenario("pouchd", "fail:ENOSPC", "pouchd", "rpc.leases.delete.before", 1),
]


@pytest.fixture(scope="module")
def campaign(hugetlb):  # pylint: disable=unused-argument
    with Campaign(_SEED) as made:
        for mode in ("embed", "pouchd"):
            made.survey(mode)
        assert not made.failed, made.failed
        yield made


def verdict(campaign, scenario):
    return [] if campaign.run(scenario) else campaign.failed[-1][1]


def test_workload_meets_the_points(campaign):
    met = {step_of(point) for counter in campaign.met.values() for _, point, _ in counter}
    there = catalogue()
    assert met <= there, f"points that the source's list lacks: {met - there}"
    assert there - met <= set(UNMET), f"points that nothing meets: {there - met - set(UNMET)}"
    assert set(UNMET) <= there, f"points that there are not: {set(UNMET) - there}"


def test_the_judge_sees_what_is_left(campaign):
    world = campaign._world("embed")
    assert not judge.leftovers(world, campaign.baselines["embed"])
    stray = world.root / "containers/stray"
    stray.mkdir()
    world.ctr("snapshots", "prepare", "stray")
    found = judge.leftovers(world, campaign.baselines["embed"])
    world.ctr("snapshots", "rm", "stray")
    stray.rmdir()
    assert "left: folder stray" in found and "left: snapshot stray" in found
    assert not judge.leftovers(world, campaign.baselines["embed"])


@pytest.mark.parametrize("scenario", _REGRESSIONS, ids=str)
def test_what_went_wrong_once(campaign, scenario):
    assert not verdict(campaign, scenario)


@pytest.mark.parametrize("number", range(_CHOSEN))
def test_chosen_points(campaign, number):
    scenarios = campaign.scenarios()
    campaign.random.shuffle(scenarios)
    assert not verdict(campaign, scenarios[number]), str(scenarios[number])


@pytest.mark.parametrize("number", range(_RANDOM))
def test_random_kills(campaign, number):
    scenario = campaign.random_kills(["embed", "pouchd"], _RANDOM)[number]
    assert not verdict(campaign, scenario), str(scenario)
