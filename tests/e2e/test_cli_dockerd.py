"""The pouch command and the docker CLI against one stock dockerd: the same flags, output and exit codes."""

import time

import pytest
from pouchtest.dockerd import PrivateDockerd
from pouchtest.paths import build_dir
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
NONE = ("--network", "none")
FIELDS = "{{.ID}} {{.Command}} {{.Labels}}|{{.CreatedAt}}|{{.Mounts}}|{{.Networks}}|{{.LocalVolumes}}|{{.State}}|{{.Ports}}"
STATE = ("{{.State.Health}}|{{.Config.Env}}|{{.HostConfig.Memory}}|{{.Config.Labels}}|{{.HostConfig.CapAdd}}|"
         "{{.HostConfig.Binds}}|{{if .State.Running}}up{{end}}|{{printf \"%.3s\" .Path}}")

COMMANDS = [
    ["ps"], ["ps", "-a"], ["ps", "-as"], ["ps", "-a", "--no-trunc"], ["ps", "-q"], ["ps", "-l"], ["ps", "-qn", "1"],
    ["ps", "--format", 'table {{.ID}}\t{{.Names}}\t{{.Label "x"}}'], ["ps", "-a", "--format", FIELDS],
    ["ps", "--filter", "foo=bar"], ["ps", "-a", "--filter", "status=exited", "--format", "table {{.Names}}\\t{{.Image}}"],
    ["images"], ["images", "--digests"], ["images", "-q"], ["images", "--no-trunc"], ["images", "busy*"],
    ["images", "--format", "{{.ID}} {{.Repository}} {{.Tag}} {{.Size}} {{.VirtualSize}} {{.CreatedAt}} {{.Containers}}"],
    ["image", "ls", "--format", "{{upper .Repository}}"],
    ["inspect", "-f", STATE, "aa"], ["inspect", "nosuch"], ["inspect", "-f", "{{.Name}}", "aa", "nosuch"],
    ["inspect", "-f", '{{range .Mounts}}{{.Source}}->{{.Destination}} {{end}}{{index .Config.Labels "x"}}', "aa"],
    ["inspect", "-f", "{{len .Args}} {{join .Args \",\"}} {{json .Args}}", "bb"], ["inspect", "--type", "image", "aa"],
    ["inspect", "-f", "{{nosuch}}", "aa"],
    ["logs", "bb"], ["logs", "-t", "bb"], ["logs", "--tail", "1", "bb"], ["logs", "--since", "xx", "bb"],
    ["wait", "bb", "nosuch"], ["kill", "bb"], ["exec", "bb", "true"], ["exec", "aa", "sh", "-c", "echo a; exit 9"],
    ["exec", "-e", "A=b", "-w", "/tmp", "aa", "sh", "-c", "echo $A; pwd"], ["exec", "aa", "/nosuch"],
    ["start", "aa", "nosuch"], ["rmi", "nosuch"], ["rmi", "-f", "nosuch"], ["tag", "nosuch", "x"], ["rm", "-f", "nosuch"],
    ["events", "--since", "1000000000", "--until", "1000000001"],
    ["run", "--rm", *NONE, "busybox", "sh", "-c", "echo o; echo e >&2; exit 5"], ["run", "--rm", *NONE, "busybox", "/nosuch"],
    ["run", "--rm", *NONE, "busybox", "/etc/passwd"], ["run", "--rm", *NONE, "--stop-signal", "FOO", "busybox"],
    ["run", "--mount", "type=bind,foo=1", "busybox"], ["run", "--cpus", "1.0000000001", "busybox"],
    ["run", "--ulimit", "foo=1", "busybox"], ["run", "-e", "=x", "busybox"], ["run", "-l", "=x", "busybox"],
    ["run", "-d", "-a", "stdout", "busybox"], ["run", "--add-host", "foo", "busybox"], ["run", "-m", "12q", "busybox"],
    ["run", "--security-opt", "foo", "busybox"], ["run", "--shm-size", "-1", "busybox"], ["run", "--pull", "foo", "busybox"],
    ["run", "--rm", *NONE, "-m", "1m", "busybox"], ["run", "--rm", *NONE, "--restart", "foo", "busybox"],
    ["run", "--rm", "-it", "busybox"], ["run", "--foo"], ["run", "-Z"], ["run", "--name"], ["run"], ["rm"], ["exec", "x"],
    ["ps", "x"], ["ps", "--filter", "foo"], ["nosuch"], ["info", "-f", "{{.OSType}} {{.NCPU}} {{.Driver}}"],
    ["version", "-f", "{{.Server.Version}} {{.Server.APIVersion}}"],
]


@pytest.fixture(name="dockerd", scope="module")
def dockerd_fixture(busybox_tar):
    with PrivateDockerd() as dockerd:
        run(POUCH, "-H", dockerd.host, "load", "-i", busybox_tar)
        run(POUCH, "-H", dockerd.host, "run", "-d", *NONE, "--name", "aa", "-l", "x=y", "-l", "b=c", "-e", "A=b", "-v",
            "/tmp:/t", "busybox", "sleep", "1000")
        run(POUCH, "-H", dockerd.host, "run", *NONE, "--name", "bb", "busybox", "sh", "-c",
            "echo one; sleep 0.1; echo two >&2; exit 3", check=False)
        time.sleep(3)  # so that ages do not change from one call to the next
        yield dockerd


def normalised(result):
    err = result.err.replace("Error response from daemon: ", "").replace("Error: ", "").replace("docker", "pouch")
    return result.code, result.out, err.replace("DOCKER", "POUCH")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_as_docker_does(dockerd, words):
    # Ages are in whole seconds: a second try when one of them has turned over in between.
    for _ in range(2):
        ours = normalised(run(POUCH, "-H", dockerd.host, *words, check=False))
        theirs = normalised(dockerd.docker(*words, check=False))
        if ours == theirs:
            break
    assert ours == theirs


def test_what_changes_something(dockerd):
    names = []
    for call in (lambda *words: run(POUCH, "-H", dockerd.host, *words), dockerd.docker):
        identity = call("create", *NONE, "--name", "cc", "-m", "64m", "--cap-add", "NET_ADMIN", "-p", "80", "busybox",
                        "true").out.strip()
        assert len(identity) == 64
        host = call("inspect", "-f", "{{json .HostConfig.PortBindings}} {{.HostConfig.Memory}} {{.HostConfig.CapAdd}}",
                    "cc").out
        names.append((host, call("rename", "cc", "dd").out, call("start", "-a", "dd").out, call("stop", "dd").out,
                      call("rm", "dd").out, call("tag", "busybox", "x:1").out, call("rmi", "x:1").out))
    assert names[0] == names[1]
