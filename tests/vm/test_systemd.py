"""systemd as PID 1: pouchd as its service, keepers and containers beyond the services that started them."""

import signal

import pytest
from pouchtest.embed import embed_root
from pouchtest.paths import build_dir
from pouchtest.run import run
from vmtest import CGROUPS, container_group, group_of, keepers, wait_for

TICKER = "i=0; while true; do echo $i; i=$((i+1)); sleep 0.2; done"


def lines(docker, name):
    return [int(line) for line in docker("logs", name).lines]


def assert_whole_and_growing(docker, name):
    """A counting container's log has each line once, in order, and goes on."""
    seen = lines(docker, name)
    wait_for(lambda: len(lines(docker, name)) > len(seen) + 3)
    after = lines(docker, name)
    assert after == list(range(len(after)))


def in_service(pid):
    return "pouchd.service" in str(group_of(pid))


def test_ready_when_systemd_says_so(service):
    run("systemctl", "restart", "pouchd.service")
    assert service.docker("version").code == 0
    assert run("systemctl", "is-active", "pouchd.service").out == "active\n"


def test_keeper_and_containers_are_not_in_the_service(service, docker):
    service.run("--name", "c1", "busybox", "sleep", "1000")
    assert in_service(service.main_pid())
    for pid in [*keepers("/var/lib/pouch/"), service.inspect("c1", "{{.State.Pid}}")]:
        assert not in_service(pid), group_of(pid)
    procs = (CGROUPS / "system.slice/pouchd.service/cgroup.procs").read_text().split()
    assert procs == [str(service.main_pid())]


def test_systemd_rules_of_delegation(service, docker):
    """Our groups are below a unit of ours that systemd delegates, and processes are only in the leaves."""
    service.run("--name", "c1", "busybox", "sleep", "1000")
    (keeper,) = {group_of(pid) for pid in keepers("/var/lib/pouch/")}
    scope = keeper.parent
    assert scope.name == "pouch.scope"
    assert container_group(service, "c1").parent == scope
    assert run("systemctl", "show", "--property=Delegate", "--value", "pouch.scope").out == "yes\n"
    assert (scope / "cgroup.procs").read_text() == ""


def test_restart(service, docker):
    service.run("--name", "c1", "busybox", "sh", "-c", TICKER)
    before = service.main_pid()
    run("systemctl", "restart", "pouchd.service")
    assert service.main_pid() != before
    assert service.inspect("c1", "{{.State.Running}}") == "true"
    assert_whole_and_growing(docker, "c1")
    assert docker("exec", "c1", "echo", "hi").out == "hi\n"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_end_of_the_service(service, docker, how):
    """Whatever ends the service, all of its control group included, containers and logs go on, exits are seen."""
    service.run("--name", "c1", "busybox", "sh", "-c", TICKER)
    service.run("--name", "c2", "busybox", "sh", "-c", "sleep 2; exit 7")
    if how == "stop":
        run("systemctl", "stop", "pouchd.service")
    else:
        run("systemctl", "kill", "--kill-who=all", "--signal=KILL", "pouchd.service")
    run("systemctl", "restart", "pouchd.service")
    assert docker("wait", "c2").out == "7\n"
    assert_whole_and_growing(docker, "c1")


def test_keeper_killed(service, docker):
    """A keeper that is killed whole comes again, in the same scope."""
    service.run("--name", "c1", "busybox", "sh", "-c", TICKER)
    scope = container_group(service, "c1").parent
    killed = set(keepers("/var/lib/pouch/"))
    (scope / "keeper/cgroup.kill").write_text("1")
    # pouchd may have started the next one already.
    wait_for(lambda: not killed & set(keepers("/var/lib/pouch/")))
    service.run("--name", "c2", "busybox", "sleep", "1000")
    assert {group_of(pid) for pid in keepers("/var/lib/pouch/")} == {scope / "keeper"}
    assert container_group(service, "c2").parent == scope


def test_host_is_a_transient_service():
    """A script in a unit of its own: its end kills all of its control group, and the container goes on."""
    with embed_root() as uri:
        pouch = [str(build_dir() / "bin/pouch"), "-H", uri]
        rootfs = run("mktemp", "--directory").out.strip()
        run("sh", "-c", f"mkdir {rootfs}/bin && cp /bin/busybox {rootfs}/bin/ && ln -s busybox {rootfs}/bin/sh && "
                        f"ln -s busybox {rootfs}/bin/sleep")
        run(*pouch, "image", "from-rootfs", rootfs, "box")
        run("systemd-run", "--quiet", "--wait", "--collect", "--property=KillMode=control-group",
            "--property=Environment=PATH=/usr/sbin:/usr/bin", *pouch, "run", "--detach", "--name", "c1", "--network",
            "none", "box", "sh", "-c", TICKER)
        state = run(*pouch, "inspect", "--format", "{{.State.Status}}", "c1").out.strip()
        first = run(*pouch, "logs", "c1").lines
        wait_for(lambda: len(run(*pouch, "logs", "c1").lines) > len(first))
        run(*pouch, "rm", "--force", "c1")
        run("rm", "-r", rootfs)
        assert state == "running"


@pytest.mark.parametrize("setting", ["PrivateMounts=yes", "ProtectHome=yes"])
def test_host_with_mounts_of_its_own(setting):
    """Its containerd is not there, and yet container and volume are complete."""
    with embed_root() as uri:
        pouch = [str(build_dir() / "bin/pouch"), "-H", uri]
        rootfs = run("mktemp", "--directory").out.strip()
        run("sh", "-c", f"mkdir {rootfs}/bin && cp /bin/busybox {rootfs}/bin/ && ln -s busybox {rootfs}/bin/sh")
        run(*pouch, "image", "from-rootfs", rootfs, "box")
        run(*pouch, "volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "memory")
        told = run("systemd-run", "--quiet", "--wait", "--collect", "--pipe", f"--property={setting}",
                   "--property=Environment=PATH=/usr/sbin:/usr/bin", *pouch, "run", "--rm", "--volume", "memory:/memory", "box",
                   "sh", "-c", "busybox stat -f -c %T /memory; busybox ip -4 -o address show eth0 | busybox wc -l").out
        run("rm", "-r", rootfs)
        assert told == "tmpfs\n1\n"


def test_scope_goes_with_the_last_container(service, docker):
    service.run("--name", "c1", "busybox", "sleep", "1000")
    assert run("systemctl", "is-active", "pouch.scope").out == "active\n"
    docker("rm", "--force", "c1")
    run("systemctl", "stop", "pouchd.service")
    wait_for(lambda: run("systemctl", "is-active", "pouch.scope", check=False).out != "active\n", 60)
    assert not (CGROUPS / "system.slice/pouch.scope").exists()
    run("systemctl", "start", "pouchd.service")


def test_stop_signal_reaches_pouchd_only(service, docker):
    service.run("--name", "c1", "busybox", "sleep", "1000")
    pid = int(service.inspect("c1", "{{.State.Pid}}"))
    run("systemctl", "kill", f"--signal={signal.Signals.SIGTERM.name}", "pouchd.service")
    wait_for(lambda: run("systemctl", "is-active", "pouchd.service", check=False).out != "active\n")
    run("systemctl", "start", "pouchd.service")
    assert int(service.inspect("c1", "{{.State.Pid}}")) == pid
