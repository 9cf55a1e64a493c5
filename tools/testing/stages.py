"""The stages of a test run. A stage whose inputs are not there is not listed."""

import os
import pathlib
import shutil
import subprocess

import outcome as results
from outcome import Outcome

REPO = pathlib.Path(__file__).resolve().parents[2]
# Seconds after which a stage is ended; the whole CI tier has 20 minutes, first builds apart.
_LIMIT = 3600
# The bindings' tests have stages of their own, which count each test; the sanitizers cannot see into their languages.
_BINDINGS = "^(python|go|java)_test$"
_PYTEST_SUITES = {"support": "tests/lib", "tools": "tools/testing tools/specgen tools/vm"}
# The part of tests/e2e that is the stage `hosts`: networks and other engines, which share subnets and take each their
# turn, and the faults. So each of the two lanes has half of the work.
_HOSTS = ("differential", "test_network*.py", "test_ports.py", "test_dns.py", "test_macvlan.py", "test_cni.py", "test_faults.py")


class Shown:
    """Tells at once."""

    def __call__(self, text):
        print(text, end="", flush=True)

    def flush(self):
        pass


class Kept:
    """Tells when asked to, for what runs beside something that is shown."""

    def __init__(self):
        self.texts = []

    def __call__(self, text):
        self.texts.append(text)

    def flush(self):
        print("".join(self.texts), end="", flush=True)
        self.texts.clear()


class Run:
    """What the stages share: folders, environment, the build under test, where they tell what they do."""

    def __init__(self, scratch, variables, tell):
        self.tell = tell
        self.scratch = scratch
        self.jobs = os.cpu_count()
        self.build = REPO / "build"
        self.environment = {
            **os.environ,
            **variables,
            "POUCH_BUILD_DIR": str(self.build),
            "PYTHONPATH": f"{REPO}/tests/lib:{self.build}/python:{REPO}/tools/testing",
            "PYTHONDONTWRITEBYTECODE": "1",
            # Where pytest leaves the folders of its last runs, by whomever it is called: not what tests leave behind.
            "PYTEST_DEBUG_TEMPROOT": str(scratch),
        }

    def call(self, *command, cwd=REPO, env=None, quiet=False):
        """Runs a command with its output shown (unless quiet) and kept: (exit code, output)."""
        full = {**self.environment, **(env or {})}
        lines = []
        with subprocess.Popen(list(map(str, command)), cwd=cwd, env=full, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as child:
            for line in child.stdout:
                lines.append(line)
                if not quiet:
                    self.tell(line)
        return child.returncode, "".join(lines)

    def folder(self, name):
        """An empty folder for a stage's reports."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


def build(run):
    """Configures and builds the dev preset in build/."""
    return _build(run, "dev", [])


def _build(run, preset, targets):
    outcome = Outcome()
    steps = [["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, "--parallel", run.jobs, *targets]]
    for step in steps:
        code, text = run.call(*step, quiet=True)
        if code != 0:
            run.tell(text[-20000:])
            outcome.fail(preset, f"{' '.join(map(str, step))} exited with {code}")
            return outcome
    outcome.passed = 1
    return outcome


def checks(run):
    """Static checks (tools/check), but for clang-tidy, which has a stage of its own."""
    names = ("format", "includes", "sizes", "manners", "language", "generated")
    code, text = run.call("tools/check", "--build", run.build, *names)
    return results.from_script(text, code, "tools/check")


def tidy(run):
    """clang-tidy over everything; what passed before is remembered."""
    code, text = run.call("tools/check", "--build", run.build, "tidy")
    return results.from_script(text, code, "tools/check")


def unit(run):
    """GoogleTest programs and what else ctest knows, the label `long` apart."""
    return _ctest(run, run.build, "gtest", {})


def _ctest(run, folder, name, env):
    reports = run.folder(name)
    junit = run.scratch / f"{name}.xml"
    env = {"GTEST_OUTPUT": f"json:{reports}/", **env}
    code, text = run.call("ctest", "--test-dir", folder, "--parallel", run.jobs, "--timeout", "300", "--label-exclude",
                          "^long$", "--exclude-regex", _BINDINGS, "--output-on-failure", "--output-junit", junit,
                          env=env, quiet=True)
    outcome = results.from_gtest(reports)
    if code != 0:
        run.tell(text[-30000:])
    if not outcome.passed and not outcome.failed:
        outcome.fail("ctest", f"ran no test; it exited with {code}")
    counted = {file.stem for file in reports.glob("*.json")}
    # Programs that are no GoogleTest, and those that died before they wrote a report, count as one test each.
    for test, reason in _ctest_others(junit, counted, outcome):
        outcome.fail(test, reason)
    return outcome


def _ctest_others(junit, counted, outcome):
    whole = results.from_junit(junit)
    names = {test.split(".")[-1] for test, _ in whole.failed + whole.skipped}
    outcome.passed += max(0, whole.passed - len(counted - names))
    outcome.skipped += [item for item in whole.skipped if item[0].split(".")[-1] not in counted]
    return [(test, reason or "ended without a report") for test, reason in whole.failed
            if test.split(".")[-1] not in counted or not outcome.failed]


def _pytest(run, name, folders, env=None):
    report = run.scratch / f"{name}.xml"
    code, _ = run.call("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
                       f"--basetemp={run.scratch}/{name}", f"--junitxml={report}", *folders, env=env)
    shutil.rmtree(run.scratch / name, ignore_errors=True)
    outcome = results.from_junit(report) if report.exists() else Outcome()
    if code not in (0, 1) or (code == 1 and not outcome.failed):
        outcome.fail(name, f"pytest exited with {code}")
    return outcome


def _script(run, program, *arguments, env=None):
    code, text = run.call(program, *arguments, env=env)
    return results.from_script(text, code, str(program))


def python(run):
    """The Python binding's tests."""
    return _pytest(run, "python", ["bindings/python/tests"])


def go(run):
    """The Go binding's tests, with cgo's pointer checks."""
    env = {
        "PKG_CONFIG_PATH": f"{run.build}/pkgconfig",
        "LD_LIBRARY_PATH": f"{run.build}/lib",
        "GODEBUG": "cgocheck=1",
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
    }
    code, text = run.call("go", "test", "-json", "-count=1", "./...", cwd=REPO / "bindings/go", env=env, quiet=True)
    outcome = results.from_go(text.splitlines())
    if code != 0:
        run.tell(text[-20000:])
        if not outcome.failed:
            outcome.fail("go", f"go test exited with {code}")
    return outcome


def java(run):
    """The Java binding's tests."""
    return _script(run, "bindings/java/test")


def conformance(run):
    """The language-neutral scripts through every language and engine."""
    return _script(run, "tests/conformance/run")


def fuzz(run):
    """Each fuzzer for half a minute, and how much of its target the corpus reaches."""
    return _script(run, "tests/fuzz/run", "--seconds", 30, "--seed", 1, "--jobs", run.jobs)


def sanitizers(run):
    """Unit and conformance tests under the address, undefined-behaviour and thread sanitizers."""
    total = Outcome()
    for preset in ("asan", "tsan"):
        built = _build(run, preset, ["--target", "pouch_sanitized"])
        total.add(built)
        if built.failed:
            continue
        env = _sanitizer_environment(preset)
        total.add(_ctest(run, REPO / f"build-{preset}", preset, env))
        if (REPO / "tests/conformance/run").exists():
            env["POUCH_BUILD_DIR"] = str(REPO / f"build-{preset}")
            total.add(_script(run, "tests/conformance/run", "--native", env=env))
    return total


def _sanitizer_environment(preset):
    folder = REPO / "tools/sanitizers"
    if preset == "tsan":
        options = f"suppressions={folder}/tsan.supp:halt_on_error=1:second_deadlock_stack=1"
        return {"TSAN_OPTIONS": options}
    return {
        "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
        "LSAN_OPTIONS": f"suppressions={folder}/lsan.supp:print_suppressions=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def long_test(run, name, *arguments):
    """One of the long tests, tests/long/NAME."""
    program = REPO / "tests/long" / name
    if not program.exists():
        outcome = Outcome()
        outcome.fail(name, f"no such test; there are: {', '.join(long_names()) or 'none'}")
        return outcome
    return _script(run, program, *arguments)


def long_names():
    return sorted(path.name for path in (REPO / "tests/long").glob("*") if os.access(path, os.X_OK))


def _hosts_paths():
    return sorted(str(path.relative_to(REPO)) for pattern in _HOSTS for path in (REPO / "tests/e2e").glob(pattern))


def hosts(run):
    """The part of tests/e2e that has networks, other engines and faults."""
    return _pytest(run, "hosts", _hosts_paths())


def e2e(run):
    """tests/e2e but for what the stage `hosts` has."""
    return _pytest(run, "e2e", ["tests/e2e", *(f"--ignore={path}" for path in _hosts_paths())])


def _pytest_stage(name):
    folders = [folder for folder in _PYTEST_SUITES[name].split() if list((REPO / folder).glob("**/test_*.py"))]
    stage = lambda run: _pytest(run, name, folders)  # noqa: E731
    return stage if folders else None


# Run side by side with e2e, which mostly waits: for containers to start, daemons to answer, deadlines to pass.
BESIDE = ("fuzz", "support", "python", "go", "java", "conformance", "hosts")
# Too long for the CI tier on two cores: `tools/test --only tidy --only sanitizers`.
ON_REQUEST = ("tidy", "sanitizers")


def available():
    """All stages in their order, as {name: function}; the CI tier leaves out those ON_REQUEST."""
    table = {
        "build": build,
        "checks": checks,
        "tools": _pytest_stage("tools"),
        "unit": unit,
        "fuzz": fuzz,
        "support": _pytest_stage("support"),
        "python": python if (REPO / "bindings/python/tests").is_dir() else None,
        "go": go if (REPO / "bindings/go/go.mod").exists() else None,
        "java": java if (REPO / "bindings/java/test").exists() else None,
        "conformance": conformance if (REPO / "tests/conformance/run").exists() else None,
        "hosts": hosts if _hosts_paths() else None,
        "e2e": e2e if (REPO / "tests/e2e").is_dir() else None,
        "tidy": tidy,
        "sanitizers": sanitizers,
    }
    return {name: function for name, function in table.items() if function}
