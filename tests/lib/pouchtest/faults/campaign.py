"""Runs scenarios, judges each, counts."""

import collections
import dataclasses
import itertools
import random
import threading
import time

from .. import procs
from . import judge
from .journal import Story
from .names import PULLED, PUSHED, SMALL
from .points import UNMET, catalogue, step_of
from .scenario import Scenario, errors_of
from .world import World, kill

_WORKLOAD_SECONDS = 150.0
_SETTLE_SECONDS = 25.0
_FIRST_LOOK_SECONDS = 6.0
_ONCE = ("row.networks.insert", "row.network_pools.insert")  # with the first container of a root
_KEEPER_ENDS = 8  # after each so many scenarios, when the bridge and its rules must be gone, too


class Campaign:
    """Scenarios in worlds that are kept as long as nothing goes wrong in them. One thread for each mode."""

    def __init__(self, seed, say=print):
        self.random = random.Random(seed)
        self.seed = seed
        self.say = say
        self.worlds = {}
        self.baselines = {}
        self.failed = []
        self.counts = collections.Counter()
        self.met = {}  # mode → Counter of (role, point, kind)
        self.sections = {}  # mode → [(section, Counter)]
        self.seconds = {}  # mode → how long the workload takes without a fault
        self.hit = set()  # points at which something was done
        self._unmet = set()  # scenarios whose section has not met their point
        self._tags = itertools.count(1)
        self._lock = threading.Lock()  # of counts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for mode in list(self.worlds):
            self._drop(mode)

    # --- choosing ---

    def survey(self, mode):
        """Runs the workload without a fault and notes the points that it meets."""
        world = self._world(mode)
        world.control.record()
        self.run(Scenario(mode, "none"))
        self.met[mode] = world.control.met()
        self.sections[mode] = world.control.met_by_section()

    def scenarios(self):
        """Each met point killed, and failed in each way, at a time of its meetings that the seed chooses."""
        found = []
        for mode, met in sorted(self.met.items()):
            kinds = {(role, point): kind for role, point, kind in sorted(met)}
            for (role, point), kind in sorted(kinds.items()):
                times = met[role, point, kind]
                actions = ["kill"]
                if kind == "fail":
                    actions += [f"fail:{error}" for error in errors_of(point)]
                found += [self._placed(mode, action, (role, point, kind), self.random.randint(1, times))
                          for action in actions]
        return found

    def _placed(self, mode, action, met, nth):
        """With the section in which the nth meeting is. The keeper's come when they come."""
        role, point, _ = met
        whole = Scenario(mode, action, role, point, nth)
        before = 0
        for section, counter in self.sections[mode]:
            if nth > before + counter[met]:
                before += counter[met]
                continue
            if not section or role == "keeper":
                return whole
            found = dataclasses.replace(whole, section=section)
            earlier = found.sections()[:found.sections().index(section)]
            counts = dict(self.sections[mode])
            return dataclasses.replace(found, nth_alone=nth - before + sum(counts[name][met] for name in earlier))
        return whole

    def random_kills(self, modes, count):
        roles = {"embed": ["host", "keeper", "supervisor", "containerd", "shim"],
                 "pouchd": ["host", "pouchd", "keeper", "supervisor", "containerd", "shim"]}
        found = []
        for i in range(count):
            mode = modes[i % len(modes)]
            found.append(Scenario(mode, "random", self.random.choice(roles[mode]),
                                  after=self.random.uniform(0.05, self.seconds.get(mode, 6.0))))
        return found

    # --- running ---

    def run(self, scenario):
        """One scenario; False when something was wrong, which is then told in `failed`."""
        began = time.monotonic()
        try:
            found = self._run(scenario)
            if scenario.section and scenario in self._unmet:
                found += self._run(scenario.whole())
        except Exception as error:  # pylint: disable=broad-except
            found = [f"{type(error).__name__}: {error}"]
        self._count("run")
        if found:
            self.failed.append((scenario, found))
            self.say(f"FAILED {scenario} ({time.monotonic() - began:.1f} s)")
            for line in found[:20]:
                self.say(f"    {line}")
            self._drop(scenario.mode)
        return not found

    def _run(self, scenario):
        if scenario.point.startswith(_ONCE):
            self._drop(scenario.mode)
        world = self._world(scenario.mode)
        if scenario.point.startswith("netlink."):
            world.end_keeper()  # the bridge goes with it, and is made anew
        world.near_prune()
        tag = f"t{next(self._tags)}"
        journal = world.dir / f"journal-{tag}"
        if scenario.point:
            nth = scenario.nth_alone if scenario.section else scenario.nth
            world.control.rule(scenario.action, scenario.role, scenario.point, nth)
        began = time.monotonic()
        faulted, found = self._work(world, scenario, tag, journal)
        if scenario.action == "none":
            self.seconds[scenario.mode] = time.monotonic() - began
        if scenario.action != "none":
            self._note(world, scenario)
            world.control.clear()
        story = Story(journal)
        found += [f"{line['step']}: {line['error']}" for line in story.lines if line["phase"] == "wrong"]
        if scenario.action == "none":
            found += story.failures()
        world.revive()
        found += self._judge(world, story, faulted)
        return found + self._clear(world)

    def _note(self, world, scenario):
        if scenario.action == "random":
            return
        if world.control.fired():
            self.hit.add(step_of(scenario.point))
            self._unmet.discard(scenario)  # a soak runs it again
            self._count("fired")
        elif scenario.section:
            self._unmet.add(scenario)
            self._count("not met in the section alone")
        else:
            self._count("not met")

    def _count(self, what):
        with self._lock:
            self.counts[what] += 1

    def _work(self, world, scenario, tag, journal):
        """Runs the workload to its end: (who was killed, what was wrong)."""
        workload = world.start_workload(tag, journal, scenario.sections(), marked=scenario.action == "none")
        began = time.monotonic()
        faulted = scenario.role if scenario.action == "kill" else ""
        pending = scenario.action == "random"
        while workload.poll() is None:
            now = time.monotonic() - began
            if pending and now >= scenario.after:
                pending = False
                faulted = self._kill_one(world, workload, scenario.role)
            world.revive()
            if now > _WORKLOAD_SECONDS:
                kill(workload.pid)
                workload.wait()
                return faulted, [f"the workload hangs; its log: {self._log_of(world, tag)}"]
            time.sleep(0.02)
        died_of_us = faulted == "host" or (workload.returncode == -9 and scenario.role in ("host", "*"))
        if workload.returncode != 0 and not died_of_us:
            return faulted, [f"the workload exited with {workload.returncode}: {self._log_of(world, tag)}"]
        return faulted, []

    def _kill_one(self, world, workload, role):
        victims = {name: pid for name, pid in world.victims(workload).items() if name.startswith(role)}
        if not victims:
            self._count("nobody to kill")
            return ""
        kill(self.random.choice([victims[name] for name in sorted(victims)]))
        self._count(f"killed {role}")
        return role

    @staticmethod
    def _log_of(world, tag):
        return (world.dir / f"workload-{tag}.log").read_text(errors="replace")[-2000:]

    # --- judging ---

    def _judge(self, world, story, faulted):
        # Whoever opens the root next puts it in order.
        world.pouch("ps", "--all")
        baseline = self.baselines[world.mode]
        look = lambda: judge.problems(world, story, baseline, faulted)  # noqa: E731
        found = _settle(look, _FIRST_LOOK_SECONDS)
        if found:
            # A failure inside a clean-up is put right by the next keeper.
            self._count("needed the next keeper")
            world.end_keeper()
            world.pouch("ps", "--all")
            found = _settle(look, _SETTLE_SECONDS)
        return found

    def _clear(self, world):
        """Removes what the scenario made; what then is left over is wrong."""
        ids = list(world.rows())
        if ids:
            world.pouch("rm", "--force", *ids)
        # An import sweeps what one before left half-done.
        world.pouch("load", "--input", world.small_tar)
        # The name with a digest goes with the last of the tags, if there is one.
        for is_digest in (False, True):
            names = [name for name in world.references() if any(part in name for part in (SMALL, PULLED, PUSHED))
                     and ("@" in name) == is_digest]
            if names:
                world.pouch("rmi", *names)
        world.pouch("network", "prune", "--force")
        names = list(world.volumes())  # not what the host's plugins have, which is others'
        if names:
            world.pouch("volume", "rm", *names)
        # And what a pull that failed has kept for the next.
        world.pouch("image", "prune", "--force")
        has_keeper = self.counts["run"] % _KEEPER_ENDS != 0
        if not has_keeper:
            world.end_keeper()
        return _settle(lambda: judge.leftovers(world, self.baselines[world.mode], has_keeper), _SETTLE_SECONDS)

    # --- worlds ---

    def _world(self, mode):
        if mode not in self.worlds:
            world = World(mode)
            world.__enter__()
            self.worlds[mode] = world
            self.baselines[mode] = judge.Baseline(world)
        return self.worlds[mode]

    def _drop(self, mode):
        world = self.worlds.pop(mode, None)
        if world is None:
            return
        try:
            world.__exit__(None, None, None)
        except Exception as error:  # pylint: disable=broad-except
            self.failed.append((Scenario(mode, "end of the world"), [f"{type(error).__name__}: {error}"]))

    # --- telling ---

    def report(self):
        """The lines of the report."""
        there = catalogue()
        met = {step_of(point) for counter in self.met.values() for _, point, _ in counter}
        lines = [f"seed {self.seed}",
                 f"points hit {len(self.hit & there)} of {len(met & there)} met of {len(there)} in the source"]
        lines += [f"not met by the workload: {', '.join(sorted(there - met - set(UNMET))) or 'none'}"]
        for reason in sorted(set(UNMET.values())):
            names = [name for name in sorted(there - met) if UNMET.get(name) == reason]
            lines += [f"not met, {reason}: {', '.join(names)}"] if names else []
        lines += [f"met, but not in the source's list: {', '.join(sorted(met - there)) or 'none'}"]
        lines += [f"{name}: {count}" for name, count in sorted(self.counts.items())]
        for scenario, found in self.failed:
            lines.append(f"FAILED {scenario}: {found[0]}")
        return lines


def _settle(look, seconds):
    """What is wrong, once nothing is or after so many seconds."""
    found = []

    def is_well():
        found[:] = look()
        return not found

    procs.wait_until(is_well, seconds, pause=0.2)
    return list(found)
