"""Limits on a host with control groups v2 alone, read where the kernel keeps them, under runc and crun."""

import pytest
from vmtest import CGROUPS, container_group, read, wait_for

RUNTIMES = ("runc", "crun")


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    return request.param


def test_the_machine_has_v2_alone():
    assert (CGROUPS / "cgroup.controllers").exists()
    assert " cgroup /" not in open("/proc/self/mountinfo", encoding="utf-8").read()


def test_info(docker):
    assert docker("info", "--format", "{{.CgroupVersion}} {{.CgroupDriver}}").out == "2 cgroupfs\n"


def test_limits(service, docker, runtime):
    docker("run", "--detach", "--name", "c1", "--network", "none", "--runtime", runtime, "--memory", "64m", "--memory-swap",
           "96m", "--memory-reservation", "32m", "--pids-limit", "20", "--cpus", "0.5", "--cpuset-cpus", "0",
           "--cpu-shares", "512", "busybox", "sleep", "1000")
    group = container_group(service, "c1")
    assert read(group, "memory.max") == str(64 << 20)
    assert read(group, "memory.swap.max") == str(32 << 20)
    assert read(group, "memory.low") == str(32 << 20)
    assert read(group, "pids.max") == "20"
    assert read(group, "cpu.max") == "50000 100000"
    assert read(group, "cpuset.cpus") == "0"
    # Docker's shares 2…262144 are v2's weights 1…10000; runtimes differ in how they round.
    assert 15 <= int(read(group, "cpu.weight")) <= 70
    # With a control group namespace of its own the container sees its group as the root.
    assert docker("exec", "c1", "cat", "/proc/self/cgroup").out == "0::/\n"
    assert docker("exec", "c1", "cat", "/sys/fs/cgroup/memory.max").out == f"{64 << 20}\n"


def test_without_limits(service, docker, runtime):
    docker("run", "--detach", "--name", "c1", "--network", "none", "--runtime", runtime, "busybox", "sleep", "1000")
    group = container_group(service, "c1")
    assert (read(group, "memory.max"), read(group, "pids.max")) == ("max", "max")
    assert service.inspect("c1", "{{.HostConfig.CgroupnsMode}}") == "private"


def test_out_of_memory(service, docker, runtime):
    docker("run", "--name", "c1", "--network", "none", "--runtime", runtime, "--memory", "16m", "--memory-swap", "16m",
           "busybox", "tail", "/dev/zero", check=False)
    assert service.inspect("c1", "{{.State.ExitCode}} {{.State.OOMKilled}}") == "137 true"


def test_pids_limit_holds(docker, runtime):
    done = docker("run", "--rm", "--network", "none", "--runtime", runtime, "--pids-limit", "5", "busybox", "sh", "-c",
                  "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait", check=False)
    assert "can't fork" in done.err


def test_host_namespace_and_privileged(docker, runtime):
    here = docker("run", "--rm", "--network", "none", "--runtime", runtime, "--cgroupns", "host", "busybox", "cat",
                  "/proc/self/cgroup").out
    assert here.startswith("0::/") and here != "0::/\n"
    docker("run", "--rm", "--network", "none", "--runtime", runtime, "--privileged", "busybox", "sh", "-c",
           "mkdir /sys/fs/cgroup/inside && rmdir /sys/fs/cgroup/inside")


def test_nothing_is_left(service, docker, runtime):
    docker("run", "--detach", "--name", "c1", "--network", "none", "--runtime", runtime, "busybox", "sleep", "1000")
    group = container_group(service, "c1")
    assert group.is_dir()
    docker("rm", "--force", "c1")
    wait_for(lambda: not group.exists(), 20)


def test_limits_outlive_a_reload_of_systemd(service, docker, runtime):
    docker("run", "--detach", "--name", "c1", "--network", "none", "--runtime", runtime, "--memory", "64m", "--cpus", "0.5",
           "busybox", "sleep", "1000")
    group = container_group(service, "c1")
    service.reload_systemd()
    assert read(group, "memory.max") == str(64 << 20)
    assert read(group, "cpu.max") == "50000 100000"
