"""What the machine's tests share."""

import json
import pathlib

from pouchtest import procs
from pouchtest.paths import docker_cli
from pouchtest.run import run

CGROUPS = pathlib.Path("/sys/fs/cgroup")
SOCKET = "unix:///run/pouchd.sock"


class Service:
    """pouchd.service."""

    def docker(self, *args, **options):
        options.setdefault("timeout", 180)
        return run(docker_cli(), *args, env={"DOCKER_HOST": SOCKET}, **options)

    def run(self, *args, **options):
        """A container without a network, detached."""
        return self.docker("run", "--detach", "--network", "none", *args, **options).out.strip()

    def inspect(self, name, template="{{json .}}"):
        text = self.docker("inspect", "--format", template, name).out
        return json.loads(text) if template.startswith("{{json") else text.strip()

    @staticmethod
    def start():
        if run("systemctl", "start", "pouchd.service", check=False).code != 0:
            raise AssertionError(run("journalctl", "--unit=pouchd.service", "--lines=20", "--output=cat").out)

    @staticmethod
    def reload_systemd():
        """systemd looks at all units anew, and makes and drops one: then it sets its control groups right."""
        run("systemctl", "daemon-reload")
        run("systemd-run", "--quiet", "--wait", "--collect", "--property=MemoryMax=100M", "true")

    def main_pid(self):
        return int(run("systemctl", "show", "--property=MainPID", "--value", "pouchd.service").out)


def group_of(pid):
    """The folder of a process's control group."""
    path = pathlib.Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")
    return CGROUPS / path.lstrip("/")


def container_group(service, name):
    """A container's folder below /sys/fs/cgroup."""
    return group_of(service.inspect(name, "{{.State.Pid}}"))


def keepers(text="pouch-keeper"):
    """Pids of keepers whose command line has a text; who minds a root's own containerd is none."""
    lines = {pid: procs.cmdline(pid) for pid in procs.mentioning(text)}
    return [pid for pid, line in lines.items()
            if line.split()[:1] and line.split()[0].endswith("/pouch-keeper") and "--mind-containerd" not in line]


def read(folder, name):
    return (folder / name).read_text().strip()


def wait_for(condition, seconds=120):
    assert procs.wait_until(condition, seconds, pause=0.2), "it did not come true"
