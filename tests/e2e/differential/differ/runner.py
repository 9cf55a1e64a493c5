"""Starts the engines and runs cases on all of them at a time."""

import concurrent.futures
import contextlib
import shutil

from pouchtest.cgroups import hugetlb_cgroup
from pouchtest.images import busybox_image_tar
from pouchtest.leaks import LeakGuard
from pouchtest.registry import PrivateRegistry

from . import engine as engine_module
from .allowed import Allowed
from .cases import load, missing
from .compare import Comparison
from .engine import CaseRun


class Runner:
    """with Runner(image_tar) as runner: runner.run(case) → the differences that are not allowed, as texts."""

    def __init__(self, image_tar):
        self._image_tar = image_tar
        self.cases = {case.name: case for case in load()}
        self.allowed = Allowed({name for name, case in self.cases.items() if not missing(case)})
        self.ran = set()
        self._engines = engine_module.engines()
        self._undo = None
        self._pool = concurrent.futures.ThreadPoolExecutor(len(self._engines))

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            # Held, so that no other run takes it away from under a container.
            undo.enter_context(hugetlb_cgroup())
            for engine in self._engines:
                undo.enter_context(LeakGuard(own_only=str(engine.daemon.dir)))
            registry = undo.enter_context(PrivateRegistry())
            for tag, text in (("1", "one"), ("2", "two")):
                archive = busybox_image_tar(registry.dir / "box.tar", name=f"box:{tag}", files={"which": text})
                registry.push(archive, f"team/box:{tag}")
            private = undo.enter_context(PrivateRegistry(accounts={"alice": "secret-1"}))
            for number, engine in enumerate(self._engines):
                engine.variables["registry"] = registry.host
                engine.variables["private_registry"] = private.host
                # A repository that no other engine pushes into.
                engine.variables["mine"] = f"{registry.host}/engine-{number}"
            undo.callback(self._stop)
            list(self._pool.map(self._start, self._engines))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *problem):
        return self._undo.__exit__(*problem)

    def _stop(self):
        list(self._pool.map(lambda engine: engine.stop(), self._engines))
        self._pool.shutdown()

    def run(self, name):
        case = self.cases[name]
        answers = list(self._pool.map(lambda engine: CaseRun(case, engine).answers(), self._engines))
        self.ran.add(name)
        found = {}
        for number, engine in enumerate(self._engines[1:], 1):
            comparison = Comparison(case, [_folders(self._engines[0]), _folders(engine)])
            for difference in comparison.differences(answers[0], answers[number], newest=number > 1):
                if not self.allowed.covers(difference):
                    found.setdefault(str(difference), []).append(engine.version)
        return [f"at {' and '.join(versions)}: {text}" for text, versions in found.items()]

    def unused(self):
        return [str(entry) for entry in self.allowed.unused(self.ran)]

    def _start(self, engine):
        engine.start(self._image_tar)
        shutil.copy(self._image_tar, engine.daemon.dir / "busybox.tar")


def _folders(engine):
    folder = engine.daemon.dir
    data = folder / ("data" if engine.name == "dockerd" else "home")
    return [(str(folder / "case"), "<dir>"), (str(data), "<data>"), (str(folder), "<root>"),
            (engine.variables["mine"], "<mine>"),
            *((engine.variables[f"port{i}"], f"<port {i}>") for i in range(10))]
