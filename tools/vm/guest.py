"""Runs in the test machine: takes the steps of plan.json one by one, over reboots, and writes to the host's port.

What it prints is a script's output as tools/testing reads it: FAIL and SKIP lines, at last the counts.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

DISK = pathlib.Path("/testvm")
STATE = pathlib.Path("/var/lib/testvm/state.json")
PORT = pathlib.Path("/dev/virtio-ports/testvm")
_PORT_SECONDS = 60
END = "testvm: end "
REPORTS = pathlib.Path("/var/lib/testvm/reports")


def mount_trees(plan):
    """Repository and build appear under the paths that they have on the host."""
    for name, path in plan["mounts"].items():
        target = pathlib.Path(path)
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", DISK / name, target], check=True)


def wait_for_port():
    """systemd reaches its goal without the device manager, which names the port when it comes to it."""
    end = time.monotonic() + _PORT_SECONDS
    while not PORT.exists() and time.monotonic() < end:
        time.sleep(0.1)


def load_state():
    """What an earlier boot has done: {"next": step, "boot": how many before, "passed", "failed", "skipped"}."""
    if STATE.exists():
        state = json.loads(STATE.read_text())
        return {**state, "boot": state["boot"] + 1}
    return {"next": 0, "boot": 0, "passed": 0, "failed": [], "skipped": []}


def save_state(state):
    """On the disk before a boot, whatever kind."""
    STATE.parent.mkdir(parents=True, exist_ok=True)
    new = STATE.with_suffix(".new")
    with open(new, "w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    new.rename(STATE)
    folder = os.open(STATE.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


class Guest:
    def __init__(self, plan, state, port):
        self.plan, self.state, self.port = plan, state, port
        sys.path.insert(0, f"{plan['repo']}/tools/testing")
        self.results = __import__("outcome")
        self.environment = {
            **os.environ,
            "PATH": f"{DISK}/bin:{os.environ['PATH']}",
            "POUCH_BUILD_DIR": plan["build"],
            "POUCH_TESTVM_BOOT": str(state["boot"]),
            "PYTHONPATH": f"{plan['repo']}/tests/lib:{plan['build']}/python:{plan['repo']}/tools/testing",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def say(self, text):
        self.port.write((text + "\n").encode(errors="replace"))
        self.port.flush()

    def call(self, command, env=None):
        full = {**self.environment, **(env or {})}
        with subprocess.Popen(command, cwd=self.plan["repo"], env=full, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            for line in child.stdout:
                self.port.write(line)
                self.port.flush()
        return child.returncode

    def gtest(self, step):
        report = REPORTS / f"{step['name']}.json"
        program = f"{self.plan['build']}/bin/{step['name']}"
        code = self.call([program, f"--gtest_filter={step['filter']}", "--gtest_brief=1"],
                         {"GTEST_OUTPUT": f"json:{report}"})
        found = self.results.from_gtest(REPORTS) if report.exists() else self.results.Outcome()
        report.unlink(missing_ok=True)
        return self._judged(step, found, code)

    def pytest(self, step):
        report = REPORTS / "report.xml"
        code = self.call(["/usr/bin/python3", "-m", "pytest", "-v", "-p", "no:cacheprovider", "--tb=short",
                          f"--junitxml={report}", *step["arguments"]])
        found = self.results.from_junit(report) if report.exists() else self.results.Outcome()
        report.unlink(missing_ok=True)
        return self._judged(step, found, code)

    def _judged(self, step, found, code):
        if code != 0 and not found.failed:
            found.fail(step["name"], f"exited with {code}")
        if not found.passed and not found.failed:
            found.fail(step["name"], "ran no test")
        return found

    def run_steps(self):
        """True when all is done, False when the machine is about to boot."""
        REPORTS.mkdir(parents=True, exist_ok=True)
        while self.state["next"] < len(self.plan["steps"]):
            step = self.plan["steps"][self.state["next"]]
            self.state["next"] += 1
            if step["kind"] in ("reboot", "power-cut"):
                self.boot_again(step["kind"])
                return False
            self.say(f"--- {step['name']}")
            start = time.monotonic()
            found = {"gtest": self.gtest, "pytest": self.pytest}[step["kind"]](step)
            self.say(f"--- {step['name']}: {found} in {time.monotonic() - start:.1f} s")
            self.state["passed"] += found.passed
            self.state["failed"] += [[f"{step['name']}/{test}", reason] for test, reason in found.failed]
            self.state["skipped"] += [[f"{step['name']}/{test}", reason] for test, reason in found.skipped]
        return True

    def boot_again(self, kind):
        save_state(self.state)
        self.say(f"--- {kind}")
        if kind == "reboot":
            subprocess.run(["systemctl", "reboot"], check=True)
        else:
            # As if somebody had pulled the plug: no signal, nothing written out.
            pathlib.Path("/proc/sysrq-trigger").write_text("b")

    def conclude(self):
        for verdict, tests in (("FAIL", self.state["failed"]), ("SKIP", self.state["skipped"])):
            for test, reason in tests:
                self.say(f"{verdict} {test.replace(' ', '_')}: {reason}")
        self.say(f"{self.state['passed']} passed, {len(self.state['failed'])} failed, "
                 f"{len(self.state['skipped'])} skipped")
        self.say(f"{END}{1 if self.state['failed'] else 0}")


def run_plan(plan, port):
    state = load_state()
    uptime = pathlib.Path("/proc/uptime").read_text().split()[0]
    guest = Guest(plan, state, port)
    guest.say(f"testvm: boot {state['boot']}, up after {uptime} s")
    if guest.run_steps():
        guest.conclude()
        subprocess.run(["systemctl", "poweroff"], check=True)


def main():
    plan = json.loads((DISK / "plan.json").read_text())
    mount_trees(plan)
    if plan["steps"] is None:
        return
    wait_for_port()
    with open(PORT, "wb") as port:
        try:
            run_plan(plan, port)
        except Exception as error:  # pylint: disable=broad-except
            port.write(f"FAIL testvm: {type(error).__name__}: {error}\n{END}1\n".encode())
            port.flush()
            subprocess.run(["systemctl", "poweroff"], check=True)


if __name__ == "__main__":
    main()
