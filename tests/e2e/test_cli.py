"""The pouch command on real containers, in-process and through a pouchd: both behave alike."""

import json
import re
import signal
import subprocess
import time

import pytest
from pouchtest.embed import embed_root
from pouchtest.images import busybox_rootfs
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd
from pouchtest.procs import wait_until
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="hosts", scope="module")
def hosts_fixture(busybox_tar):
    """The address of each engine, with the image."""
    with embed_root() as embed, Pouchd() as pouchd:
        hosts = {"embed": embed, "unix": pouchd.uri}
        for host in hosts.values():
            assert run(POUCH, "-H", host, "load", "-i", busybox_tar).out == "Loaded image: busybox:latest\n"
        yield hosts
        for host in hosts.values():
            clear(host)


@pytest.fixture(name="host", params=["embed", "unix"])
def host_fixture(request, hosts):
    yield hosts[request.param]
    clear(hosts[request.param])


def clear(host):
    ids = run(POUCH, "-H", host, "ps", "-aq").lines
    if ids:
        run(POUCH, "-H", host, "rm", "-f", *ids)


@pytest.fixture(name="pouch")
def pouch_fixture(host):
    """Calls the command; what a test leaves is removed."""

    def call(*args, **options):
        return run(POUCH, "-H", host, *args, **options)

    return call


def start(host, *args, **options):
    return subprocess.Popen([POUCH, "-H", host, *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **options)


NONE = ("--network", "none")


def test_run(pouch):
    result = pouch("run", "--rm", *NONE, "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")
    assert pouch("ps", "-aq").out == ""


def test_run_cannot_start(pouch):
    result = pouch("run", "--rm", *NONE, "busybox", "/nosuch", check=False)
    assert result.code == 127 and result.err.startswith("pouch: ") and "/nosuch" in result.err
    assert result.err.endswith("\n\nRun 'pouch run --help' for more information\n")
    assert pouch("run", "--rm", *NONE, "busybox", "/etc/passwd", check=False).code == 126
    assert pouch("run", "--rm", "-d", *NONE, "busybox", "/nosuch", check=False).code == 127
    assert pouch("ps", "-aq").out == ""


def test_absent_image(pouch):
    """What no registry can give: who says so, and the other ways to an image."""
    name = "127.0.0.1:1/nosuch"
    for command, code in (("run", 125), ("create", 1)):
        result = pouch(command, *NONE, name, check=False)
        assert result.code == code and result.err.startswith(f"Unable to find image '{name}:latest' locally\n")
        assert "Connection refused" in result.err and "pouch load" in result.err
    result = pouch("run", *NONE, "--pull=never", name, check=False)
    assert result.code == 125 and f"No such image: {name}:latest" in result.err and "pouch load" in result.err
    result = pouch("create", *NONE, "--pull=never", name, check=False)
    assert result.code == 1 and result.err.startswith(f"Error: No such image: {name}:latest")


def test_input(pouch):
    data = "".join(f"line {i}\n" for i in range(200_000))
    assert pouch("run", "--rm", "-i", *NONE, "busybox", "cat", stdin=data).out == data
    assert pouch("run", "--rm", *NONE, "busybox", "cat", stdin="ignored").out == ""


def test_input_that_nobody_reads(host):
    """The end of the container ends the command, whatever its input does."""
    command = start(host, "run", "--rm", "-i", *NONE, "busybox", "true", stdin=subprocess.PIPE)
    assert command.wait(20) == 0
    command.communicate()


def test_large_output(pouch):
    assert len(pouch("run", "--rm", *NONE, "busybox", "head", "-c", "30000000", "/dev/zero", text=False).out) == 30_000_000


@pytest.mark.parametrize("number,code", [(signal.SIGINT, 42), (signal.SIGTERM, 43)])
def test_signals_go_to_the_container(host, number, code):
    script = "trap 'exit 42' INT; trap 'exit 43' TERM; echo ready; while :; do sleep 0.1; done"
    command = start(host, "run", "--rm", *NONE, "busybox", "sh", "-c", script)
    assert command.stdout.readline() == "ready\n"
    command.send_signal(number)
    assert command.wait(20) == code
    command.communicate()


def test_third_interrupt_ends_the_command(host, pouch):
    command = start(host, "run", "--name", "deaf", *NONE, "busybox", "sh", "-c",
                    "trap '' INT TERM; echo ready; sleep 100")
    assert command.stdout.readline() == "ready\n"
    for _ in range(3):
        command.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert command.wait(20) == 1
    assert "forcefully exiting" in command.communicate()[1]
    assert pouch("inspect", "-f", "{{.State.Running}}", "deaf").out == "true\n"


def test_start_attached(host, pouch):
    pouch("create", *NONE, "-i", "--name", "a1", "busybox", "sh", "-c", "read x; echo got $x; echo err >&2; exit 3")
    result = pouch("start", "-a", "-i", "a1", stdin="word\n", check=False)
    assert (result.code, result.out, result.err) == (3, "got word\n", "err\n")
    assert pouch("start", "a1", "nosuch", check=False).err.endswith("Error: failed to start containers: nosuch\n")
    pouch("create", *NONE, "--name", "a2", "busybox", "sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done")
    command = start(host, "start", "-a", "a2")
    assert command.stdout.readline() == "up\n"
    command.terminate()
    assert command.wait(20) == 9
    command.communicate()


def test_background_exec_logs(host, pouch):
    identity = pouch("run", "-d", "--name", "d1", *NONE, "busybox", "sh", "-c",
                     "echo one; echo two >&2; while [ ! -e /go ]; do sleep 0.1; done; echo three").out.strip()
    assert re.fullmatch("[0-9a-f]{64}", identity)
    assert pouch("exec", "d1", "echo", "in").out == "in\n"
    assert pouch("exec", "-i", "d1", "cat", stdin="to exec").out == "to exec"
    assert pouch("exec", "-e", "A=b", "-w", "/tmp", "-u", "nobody", "d1", "sh", "-c", "echo $A; pwd; id -un").out == \
        "b\n/tmp\nnobody\n"
    assert pouch("exec", "d1", "sh", "-c", "exit 3", check=False).code == 3
    assert pouch("exec", "d1", "/nosuch", check=False).code in (126, 127)
    follow = start(host, "logs", "-f", "d1")
    assert pouch("exec", "-d", "d1", "touch", "/go").out == ""
    assert follow.communicate(timeout=30) == ("one\nthree\n", "two\n")
    assert pouch("wait", "d1").out == "0\n"
    assert pouch("logs", "-n", "1", "d1").out == "three\n"
    stamped = pouch("logs", "-t", "d1").lines
    assert stamped[0].endswith("Z one")
    assert pouch("logs", "--since", stamped[-1].split()[0], "d1").out == "three\n"
    assert pouch("logs", "--until", "1", "d1").out == ""


def test_list(pouch):
    pouch("run", "-d", "--name", "up", "-l", "a=b", *NONE, "busybox", "sleep", "100")
    pouch("run", "--name", "gone", *NONE, "busybox", "sh", "-c", "exit 1; echo never", check=False)
    line = pouch("ps").lines[1]
    assert re.fullmatch(r'[0-9a-f]{12}   busybox   "sleep 100" +\S.* ago +Up .+  up', line), line
    assert pouch("ps", "-a", "--format", "{{.Names}}|{{.Command}}|{{.State}}").lines == [
        'gone|"sh -c \'exit 1; echo…"|exited', 'up|"sleep 100"|running']
    assert pouch("ps", "-a", "--filter", "status=exited", "--format", "{{.Names}}").out == "gone\n"
    assert pouch("ps", "-a", "--filter", "exited=1", "--format", "{{.Names}}").out == "gone\n"
    assert pouch("ps", "--filter", "label=a=b", "--format", '{{.Label "a"}} {{.Labels}}').out == "b a=b\n"
    assert pouch("ps", "-l", "--format", "{{.Names}}").out == "gone\n"
    assert pouch("ps", "-n", "5", "-q").out == pouch("ps", "-aq").out
    assert "virtual" in pouch("ps", "-s").lines[1]
    assert json.loads(pouch("ps", "--format", "json").out)["Names"] == "up"
    assert pouch("ps", "--filter", "nosuch=1", check=False).code == 1


def test_life(pouch):
    pouch("run", "-d", "--name", "s1", *NONE, "busybox", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done")
    assert wait_until(lambda: pouch("logs", "s1").out == "up\n", 20)
    pouch("rename", "s1", "s2")
    assert pouch("rm", "s2", check=False).code == 1
    assert pouch("stop", "-t", "5", "s2").out == "s2\n"
    assert pouch("stop", "s2").out == "s2\n"
    assert pouch("wait", "s2").out == "5\n"
    assert pouch("start", "s2").out == "s2\n"
    assert pouch("kill", "-s", "KILL", "s2").out == "s2\n"
    assert pouch("wait", "s2").out == "137\n"
    result = pouch("kill", "s2", check=False)
    assert result.code == 1 and "is not running" in result.err
    result = pouch("rm", "s2", "nosuch", check=False)
    assert (result.code, result.out, result.err) == (1, "s2\n", "Error: No such container: nosuch\n")


def test_flags_arrive(pouch, tmp_path):
    (tmp_path / "file").write_text("from host\n")
    (tmp_path / "env").write_text("FROM_FILE=yes\n")
    script = "hostname; echo $A $FROM_FILE; pwd; cat /m/file; id -u; grep CapEff /proc/self/status; touch /x || echo ro"
    result = pouch("run", "--rm", *NONE, "-m", "64m", "-h", "h1", "-e", "A=b", "--env-file", tmp_path / "env", "-w",
                   "/tmp", "-v", f"{tmp_path}:/m:ro", "--read-only", "--cap-drop", "ALL", "-u", "0", "busybox", "sh",
                   "-c", script)
    assert result.lines[:5] == ["h1", "b yes", "/tmp", "from host", "0"]
    assert "0000000000000000" in result.out and result.lines[-1] == "ro"
    result = pouch("run", "--rm", *NONE, "--init", "busybox", check=False)
    assert result.code == 125 and "HostConfig.Init" in result.err


def test_inspect(pouch):
    pouch("create", *NONE, "--name", "i1", "-m", "64m", "-l", "a=b", "busybox", "true")
    both = json.loads(pouch("inspect", "i1", "busybox").out)
    assert both[0]["Name"] == "/i1" and both[1]["RepoTags"] == ["busybox:latest"]
    assert pouch("inspect", "-f", '{{.HostConfig.Memory}} {{index .Config.Labels "a"}} {{.State.Health}}', "i1").out == \
        "67108864 b <nil>\n"
    result = pouch("inspect", "-f", "{{.Name}}", "i1", "nosuch", check=False)
    assert (result.code, result.out, result.err) == (1, "/i1\n", "Error: No such object: nosuch\n")
    assert pouch("inspect", "--type", "image", "i1", check=False).code == 1
    assert pouch("inspect", "-f", "{{.Nosuch}}", "i1", check=False).code == 1


def test_images(pouch, tmp_path):
    rows = pouch("images").lines
    assert re.fullmatch(r"busybox      latest    [0-9a-f]{12}   2 years ago|busybox .* [0-9.]+MB", rows[1]), rows
    pouch("tag", "busybox", "r.example:5000/team/box:v1")
    assert pouch("images", "--format", "{{.Repository}}:{{.Tag}}", "r.example:5000/team/*").out == \
        "r.example:5000/team/box:v1\n"
    assert pouch("rmi", "r.example:5000/team/box:v1").out == "Untagged: r.example:5000/team/box:v1\n"
    result = pouch("rmi", "r.example:5000/team/box:v1", check=False)
    assert result.code == 1 and "No such image" in result.err
    rootfs = busybox_rootfs(tmp_path / "rootfs")
    (rootfs / "link").symlink_to("bin/busybox")
    assert pouch("image", "from-rootfs", rootfs, "own:1", "--cmd", "echo", "--cmd", "mine", "-e", "X=y").out == \
        "Made image: own:1\n"
    assert pouch("run", "--rm", *NONE, "own:1").out == "mine\n"
    assert pouch("run", "--rm", *NONE, "own:1", "sh", "-c", "echo $X; readlink /link").out == "y\nbin/busybox\n"
    assert "Deleted: sha256:" in pouch("rmi", "own:1").out
    assert pouch("load", stdin="this is no image", check=False).code == 1


def test_events(host, pouch):
    before = time.time()
    pouch("run", "--rm", "--name", "e1", *NONE, "busybox", "true")
    actions = pouch("events", "--since", f"{before:.9f}", "--until", "0s", "--filter", "container=e1", "--format",
                    "{{.Action}}").lines
    assert actions == ["create", "attach", "start", "die", "destroy"]
    line = pouch("events", "--since", f"{before:.9f}", "--until", "0s", "--filter", "event=die").lines[-1]
    assert re.fullmatch(r"\S+T\S+ container die [0-9a-f]{64} \(exitCode=0, .*name=e1\)", line), line
    live = start(host, "events", "--filter", "event=start")
    started = wait_until(lambda: pouch("run", "--rm", *NONE, "busybox", "true").code == 0, 20)
    assert started and " container start " in live.stdout.readline()
    live.send_signal(signal.SIGINT)
    live.communicate(timeout=20)
    assert live.returncode == -signal.SIGINT


def normalised(text):
    """Ids and times are not the same twice, and so are the widths of columns."""
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", text)
    text = re.sub(r"(Less than a second|About a minute|\d+ (second|minute)s?)( ago)?", "SPAN", text)
    return re.sub(" {3,}", "   ", text)


ALIKE = [
    ["run", "--rm", *NONE, "busybox", "echo", "hi"],
    ["run", "--rm", *NONE, "busybox", "/nosuch"],
    ["run", "--rm", "busybox", "true"],
    ["run", *NONE, "nosuch"],
    ["run", *NONE, "--name", "!", "busybox"],
    ["run", "--rm", *NONE, "-t", "busybox", "tty"],
    ["run", *NONE, "--stop-signal", "FOO", "busybox"],
    ["run", *NONE, "--memory", "1m", "busybox"],
    ["run", "-d", *NONE, "--name", "alike", "busybox", "sleep", "100"],
    ["create", *NONE, "--name", "alike", "busybox"],
    ["ps"],
    ["ps", "--format", "{{.Nosuch}}"],
    ["ps", "--filter", "nosuch=1"],
    ["exec", "alike", "sh", "-c", "echo a; exit 4"],
    ["exec", "alike", "/nosuch"],
    ["rm", "alike"],
    ["rename", "alike", "alike"],
    ["start", "alike"],
    ["stop", "-t", "0", "alike", "nosuch"],
    ["kill", "alike"],
    ["exec", "alike", "true"],
    ["inspect", "-f", "{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{.Config.Image}}", "alike"],
    ["inspect", "nosuch"],
    ["rmi", "busybox"],
    ["images"],
    ["rm", "alike"],
    ["tag", "nosuch", "x"],
    ["tag", "busybox", "UPPER"],
    ["logs", "nosuch"],
    ["wait", "nosuch"],
    ["version", "-f", "{{json .Server}}"],
]


def test_in_process_and_remote_are_alike(hosts):
    for words in ALIKE:
        shown = []
        for host in hosts.values():
            result = run(POUCH, "-H", host, *words, check=False)
            shown.append((result.code, normalised(result.out), normalised(result.err)))
        assert shown[0] == shown[1], words
