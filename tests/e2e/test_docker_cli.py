"""The docker CLI that users have, against pouchd, with the oldest and the newest API that matter."""

import json
import subprocess
import threading
import time

import pytest
from pouchtest.paths import docker_cli
from pouchtest.pouchd import Pouchd
from pouchtest.procs import wait_until

pytest_plugins = ["pouchtest.fixtures"]
pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def pouchd(busybox_tar):
    with Pouchd() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        yield daemon


@pytest.fixture(params=["1.41", "1.50"])
def docker(request, pouchd):
    """Calls the CLI; what a test leaves is removed."""

    def call(*args, **options):
        env = {"DOCKER_API_VERSION": request.param, **options.pop("env", {})}
        return pouchd.docker(*args, env=env, **options)

    call.version = request.param
    yield call
    ids = call("ps", "--all", "--quiet").lines
    if ids:
        call("rm", "--force", *ids)


def run(docker, *args, **options):
    return docker("run", "--network", "none", *args, **options)


def inspect(docker, name, template):
    return docker("inspect", "--format", template, name).out.strip()


def popen(pouchd, docker, *args, **options):
    env = {"DOCKER_HOST": pouchd.uri, "DOCKER_CONFIG": str(pouchd.dir / "cli"), "DOCKER_API_VERSION": docker.version}
    return subprocess.Popen([docker_cli(), *args], env=env, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_version_and_info(docker):
    server = json.loads(docker("version", "--format", "{{json .Server}}").out)
    assert server["ApiVersion"] == "1.50" and server["MinAPIVersion"] == "1.24"
    assert docker("info", "--format", "{{.OSType}}").out == "linux\n"


def test_run_prints_and_removes(docker):
    result = run(docker, "--rm", "busybox", "echo", "hi")
    assert (result.out, result.err) == ("hi\n", "")
    assert docker("ps", "--all", "--quiet").out == ""


def test_streams_and_exit_code(docker):
    result = run(docker, "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (result.code, result.out, result.err) == (7, "out\n", "err\n")


def test_missing_program_is_127(docker):
    result = run(docker, "--rm", "busybox", "/nosuch", check=False)
    assert result.code == 127, result.err
    assert docker("ps", "--all", "--quiet").out == ""


def test_program_without_permission_is_126(docker):
    result = run(docker, "--rm", "busybox", "/etc/passwd", check=False)
    assert result.code == 126, result.err


def test_stdin(docker):
    data = "".join(f"line {i}\n" for i in range(200_000))
    assert run(docker, "--rm", "-i", "busybox", "cat", stdin=data).out == data


def test_stdin_is_closed(docker):
    assert run(docker, "--rm", "-i", "busybox", "wc", "-c", stdin="12345").out.strip() == "5"


def test_large_output(docker):
    result = run(docker, "--rm", "busybox", "sh", "-c", "head -c 30000000 /dev/zero", text=False)
    assert len(result.out) == 30_000_000


def test_missing_image_is_told(docker):
    result = docker("create", "--network", "none", "--pull", "never", "nosuch", check=False)
    assert result.code == 1 and "No such image: nosuch:latest" in result.err


def test_detached_exec_logs(pouchd, docker):
    name = run(docker, "--detach", "--name", "d1", "busybox", "sh", "-c",
               "echo one; echo two >&2; while [ ! -e /go ]; do sleep 0.1; done; echo three").out.strip()
    assert len(name) == 64
    assert docker("exec", "d1", "echo", "in").out == "in\n"
    assert docker("exec", "-i", "d1", "cat", stdin="to exec").out == "to exec"
    assert docker("exec", "d1", "sh", "-c", "exit 3", check=False).code == 3
    assert docker("exec", "d1", "/nosuch", check=False).code in (126, 127)
    follow = popen(pouchd, docker, "logs", "--follow", "d1")
    docker("exec", "--detach", "d1", "touch", "/go")
    out, err = follow.communicate(timeout=30)
    assert (out, err) == ("one\nthree\n", "two\n")
    assert docker("wait", "d1").out == "0\n"
    assert docker("logs", "--tail", "1", "d1").out == "three\n"
    stamped = docker("logs", "--timestamps", "d1").lines
    assert stamped[0].endswith("Z one")
    assert docker("logs", "--since", stamped[-1].split()[0], "d1").out == "three\n"
    assert "one" not in docker("logs", "--until", "1", "d1").out


def test_list_filters_and_formats(docker):
    run(docker, "--detach", "--name", "up", "--label", "a=b", "busybox", "sleep", "100")
    run(docker, "--name", "gone", "busybox", "false", check=False)
    names = "{{.Names}}"
    assert docker("ps", "--format", names).lines == ["up"]
    assert docker("ps", "--all", "--format", names).lines == ["gone", "up"]
    assert docker("ps", "--all", "--filter", "status=exited", "--format", names).lines == ["gone"]
    assert docker("ps", "--all", "--filter", "exited=1", "--format", names).lines == ["gone"]
    assert docker("ps", "--filter", "label=a=b", "--format", names).lines == ["up"]
    assert docker("ps", "--filter", "label=a=c", "--format", names).lines == []
    assert docker("ps", "--all", "--last", "1", "--format", names).lines == ["gone"]
    assert docker("ps", "--format", "{{.Status}}").out.startswith("Up ")
    assert docker("ps", "--filter", "nosuch=1", check=False).code == 1


def test_stop_kill_rename_wait(docker):
    run(docker, "--detach", "--name", "s1", "busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done")
    docker("rename", "s1", "s2")
    assert inspect(docker, "s2", "{{.Name}} {{.State.Running}}") == "/s2 true"
    docker("stop", "--time", "5", "s2")
    assert docker("wait", "s2").out == "5\n"
    docker("start", "s2")
    docker("kill", "--signal", "KILL", "s2")
    assert docker("wait", "s2").out == "137\n"
    assert docker("kill", "s2", check=False).code == 1
    assert docker("rm", "s2").out == "s2\n"
    assert "No such container: s2" in docker("rm", "s2", check=False).err


def test_conflicts(docker):
    run(docker, "--detach", "--name", "c1", "busybox", "sleep", "100")
    again = docker("create", "--network", "none", "--name", "c1", "busybox", check=False)
    assert again.code == 1 and "in use" in again.err
    assert docker("rm", "c1", check=False).code == 1
    assert docker("rm", "--force", "c1").code == 0


def test_attach_and_start_attached(pouchd, docker):
    docker("create", "--network", "none", "--name", "a1", "--interactive", "busybox", "sh", "-c", "read x; echo got $x")
    assert docker("start", "--attach", "--interactive", "a1", stdin="word\n").out == "got word\n"
    run(docker, "--detach", "--name", "a2", "busybox", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
    attached = popen(pouchd, docker, "attach", "--no-stdin", "--sig-proxy=false", "a2")
    assert attached.stdout.readline() == "tick\n"
    attached.kill()  # the first SIGTERM is passed on or ignored
    attached.communicate(timeout=20)
    assert inspect(docker, "a2", "{{.State.Running}}") == "true"


def test_events(pouchd, docker):
    since = time.time()
    run(docker, "--rm", "--name", "e1", "busybox", "true")
    lines = docker("events", "--since", f"{since:.9f}", "--until", f"{time.time():.9f}", "--filter", "container=e1",
                   "--format", "{{.Action}}").lines
    assert [line for line in lines if line in ("create", "attach", "start", "die", "destroy")] == [
        "create", "attach", "start", "die", "destroy"]
    live = popen(pouchd, docker, "events", "--filter", "event=start", "--format", "{{.Type}} {{.Actor.Attributes.name}}")
    first = []
    reader = threading.Thread(target=lambda: first.append(live.stdout.readline()))
    reader.start()
    assert wait_for(lambda: run(docker, "--rm", "--name", "e2", "busybox", "true") and first)
    live.terminate()
    live.communicate(timeout=20)
    reader.join()
    assert first == ["container e2\n"]


def test_images(docker, busybox_tar):
    assert docker("images", "--format", "{{.Repository}}:{{.Tag}}").lines == ["busybox:latest"]
    docker("tag", "busybox", "r.example:5000/team/box:v1")
    assert docker("images", "--quiet", "--filter", "reference=r.example:5000/team/*").lines != []
    assert inspect(docker, "r.example:5000/team/box:v1", "{{.Os}}") == "linux"
    assert "Untagged: r.example:5000/team/box:v1" in docker("rmi", "r.example:5000/team/box:v1").out
    assert "No such image" in docker("rmi", "r.example:5000/team/box:v1", check=False).err
    assert "Loaded image: busybox:latest" in docker("load", "--input", busybox_tar).out
    broken = docker("load", stdin="this is no image", check=False)
    assert broken.code == 1


def test_inspect_finds_nothing(docker):
    result = docker("inspect", "nosuch", check=False)
    assert result.code == 1 and "o such object: nosuch" in result.err


def test_client_that_is_killed_leaves_the_container(pouchd, docker):
    client = popen(pouchd, docker, "run", "--network", "none", "--name", "k1", "busybox", "sh", "-c",
                   "while :; do echo tick; sleep 0.1; done")
    assert client.stdout.readline() == "tick\n"
    client.kill()
    client.communicate(timeout=20)
    # Its first output may be read before the start's end is written down.
    assert wait_until(lambda: inspect(docker, "k1", "{{.State.Running}}") == "true", 10)


def test_limits_and_mounts_arrive(docker, tmp_path):
    (tmp_path / "file").write_text("from host")
    result = run(docker, "--rm", "--memory", "64m", "--hostname", "h1", "--env", "A=b", "--workdir", "/tmp",
                 "--volume", f"{tmp_path}:/m:ro", "--read-only", "--cap-drop", "ALL", "busybox",
                 "sh", "-c", "hostname; echo $A; pwd; cat /m/file; grep CapEff /proc/self/status")
    assert result.lines[:3] == ["h1", "b", "/tmp"]
    assert result.lines[3].startswith("from host")
    assert "0000000000000000" in result.out


def test_unsupported_is_named(docker):
    result = docker("run", "--rm", "--network", "none", "--init", "busybox", "true", check=False)
    assert result.code == 125 and "HostConfig.Init" in result.err


def test_many_at_a_time(pouchd, docker):
    results = []

    def one(i):
        results.append(run(docker, "--rm", "busybox", "echo", str(i), timeout=120).out.strip())

    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results, key=int) == [str(i) for i in range(12)]
