"""Session clients: whatever such a client made is removed when it closes or its process dies, however it died."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pouch
import pytest
from pouchtest import procs
from pouchtest.containerd import PrivateContainerd
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root, keepers, kill_keepers
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd
from pouchtest.procs import wait_until
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
PROGRAM = os.path.join(os.path.dirname(__file__), "programs/session_client.py")
HOST = {"NetworkMode": "none"}
# What is promised is 2 s on a quiet machine; the time that it took is reported.
LIMIT = 30


class Engine:
    """One engine under test: its address, and a client outside of all sessions that looks on."""

    def __init__(self, uri, embed, folder, pouchd=None):
        self.uri = uri
        self.embed = embed  # the same root, in-process
        self.folder = folder
        self.pouchd = pouchd
        self.client = pouch.Client(embed)

    def ids(self):
        return {found["Id"] for found in self.client.containers.list(all=True)}

    def images(self):
        return {name for found in self.client.images.list() for name in found.get("RepoTags") or []}

    def removals(self, since):
        """Times (s since 1970) of what was removed since then, by container."""
        now = time.time()
        with self.client.system.events(since=stamp(since), until=stamp(now)) as stream:
            found = [event for event in stream.messages() if event["Action"] == "destroy"]
        return {event["Actor"]["ID"]: event["timeNano"] / 1e9 for event in found}

    def keepers(self):
        return keepers(self.folder)


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e9):09d}Z"


class Program:
    """tests/e2e/programs/session_client.py at work."""

    def __init__(self, uri, archive, mode="wait"):
        self.process = subprocess.Popen([sys.executable, PROGRAM, uri, str(archive), mode], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.told = self.hear()
        self.containers = self.told["containers"]

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "the program has ended"
        return json.loads(line)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(name="containerd", scope="module")
def containerd_fixture():
    with PrivateContainerd() as containerd:
        yield containerd


@pytest.fixture(name="engine", params=["embed", "unix"], scope="module")
def engine_fixture(request, containerd):
    if request.param == "embed":
        with embed_root(containerd) as uri:
            yield Engine(uri, uri, uri.partition("//")[2].partition("/root?")[0])
        return
    with Pouchd(containerd=containerd) as pouchd:
        embed = f"embed://{pouchd.dir}/home?run={pouchd.dir}/run&containerd={containerd.socket}"
        yield Engine(pouchd.uri if request.param == "unix" else pouchd.tcp, embed, pouchd.dir, pouchd)


@pytest.fixture(name="others", autouse=True)
def others_fixture(request, busybox_tar):
    """A container and a name of somebody else, which nothing here may touch; nothing else may be left."""
    if "engine" not in request.fixturenames:
        yield None
        return
    engine = request.getfixturevalue("engine")
    if "busybox:latest" not in engine.images():
        engine.client.images.load_file(str(busybox_tar))
    kept = engine.client.containers.run("busybox", ["sleep", "1000"], detach=True, host_config=HOST)
    yield kept
    assert engine.ids() == {kept.id}
    assert kept.status == "running"
    kept.remove(force=True)
    assert engine.images() == {"busybox:latest"}
    assert wait_until(lambda: not os.listdir(session_folder(engine)), LIMIT)


def session_folder(engine):
    return engine.embed.partition("://")[2].partition("?")[0] + "/sessions"


@pytest.fixture(name="own_tar")
def own_tar_fixture(tmp_path):
    """An image that only the session has, with a second name."""
    return busybox_image_tar(tmp_path / "own.tar", name="own:1", config={"Labels": {"x": "y"}})


def assert_removed(engine, program, since, record):
    gone = wait_until(lambda: not engine.ids() & set(program.containers), LIMIT, 0.05)
    assert gone, f"left: {engine.ids() & set(program.containers)}"
    took = max(engine.removals(since)[container] for container in program.containers) - since
    record("seconds", round(took, 3))
    print(f"removed after {took:.3f} s")


@pytest.mark.parametrize("engine", ["embed", "unix", "tcp"], indirect=True)
def test_killed(engine, own_tar, record_property):
    with Program(engine.uri, own_tar) as program:
        assert set(program.containers) <= engine.ids() and "own:1" in engine.images()
        since = time.time()
        program.process.kill()
        assert_removed(engine, program, since, record_property)
        assert wait_until(lambda: "own:1" not in engine.images(), LIMIT)


def test_closed(engine, own_tar, record_property):
    with Program(engine.uri, own_tar, "close") as program:
        since = time.time()
        program.tell("now")
        assert_removed(engine, program, since, record_property)
        assert wait_until(lambda: "own:1" not in engine.images(), LIMIT)
        assert program.process.poll() is None


def test_process_group_killed(engine, own_tar, record_property):
    with Program(engine.uri, own_tar) as program:
        since = time.time()
        program.kill()
        assert_removed(engine, program, since, record_property)


def test_exit_during_calls(engine, own_tar, record_property):
    with Program(engine.uri, own_tar, "exit") as program:
        since = time.time()
        program.tell("now")
        assert_removed(engine, program, since, record_property)


def test_child_outlives_its_parent(engine, own_tar, record_property):
    """It has all descriptors of its parent, and does not keep the session alive (over TCP nobody could tell)."""
    with Program(engine.uri, own_tar, "fork") as program:
        since = time.time()
        program.process.kill()
        assert_removed(engine, program, since, record_property)
        assert procs.start_time(program.told["child"]) is not None


def test_two_sessions(engine, own_tar, record_property):
    """An image that both have loaded goes with the second one."""
    with Program(engine.uri, own_tar, "command") as staying, Program(engine.uri, own_tar) as leaving:
        since = time.time()
        leaving.process.kill()
        assert_removed(engine, leaving, since, record_property)
        staying.tell("still-works")
        assert staying.hear() == {"made": "still-works"}
        assert set(staying.containers) <= engine.ids()
        assert "own:1" in engine.images()
        since = time.time()
        staying.process.kill()
        assert_removed(engine, staying, since, record_property)
        assert wait_until(lambda: "own:1" not in engine.images() and len(engine.ids()) == 1, LIMIT)


def test_what_others_take_over_stays(engine, own_tar):
    """A name that somebody else gives, and an image with a container of somebody else."""
    with Program(engine.uri, own_tar) as program:
        other = engine.client.containers.create({"Image": "own:1", "Cmd": ["true"], "HostConfig": HOST})["Id"]
        program.process.kill()
        assert wait_until(lambda: not engine.ids() & set(program.containers), LIMIT, 0.05)
        assert wait_until(lambda: not os.listdir(session_folder(engine)), LIMIT)
        image = engine.client.containers.inspect(other)["Image"]
        assert engine.client.images.inspect(image)["Id"] == image
        engine.client.containers.remove(other)
        engine.client.images.remove(image)


def test_keeper_killed_too(engine, own_tar, record_property):
    """Then whoever opens the root next sees to it, or the keeper that a pouchd which is still there starts."""
    with Program(engine.uri, own_tar) as program:
        killed = kill_keepers(engine.folder)
        assert killed
        program.kill()
        assert wait_until(lambda: not killed & set(engine.keepers()), LIMIT)
        since = time.time()
        with pouch.Client(engine.embed):
            assert_removed(engine, program, since, record_property)


def test_keeper_killed_before(engine, own_tar, record_property):
    """While the program lives, its own engine sees to another one."""
    with Program(engine.uri, own_tar) as program:
        killed = kill_keepers(engine.folder)
        assert wait_until(lambda: set(engine.keepers()) - killed, LIMIT)
        since = time.time()
        program.kill()
        assert_removed(engine, program, since, record_property)


def test_worker_of_the_keeper_killed(engine, own_tar, record_property):
    with Program(engine.uri, own_tar) as program:
        since = time.time()
        os.kill(max(engine.keepers()), signal.SIGKILL)
        program.process.kill()
        assert_removed(engine, program, since, record_property)


@pytest.mark.parametrize("engine", ["unix"], indirect=True)
def test_pouchd_killed(engine, own_tar, record_property):
    """Its sessions end with it; calls in them are refused by the next one."""
    with Program(engine.uri, own_tar, "command") as program:
        since = time.time()
        engine.pouchd.process.kill()
        engine.pouchd.process.wait()
        assert_removed(engine, program, since, record_property)
        engine.pouchd.start()
        program.tell("too-late")
        answer = program.hear()
        assert answer["error"] == "Closed" and "has ended: nothing can be made in it" in answer["message"]


def test_command_line(engine, tmp_path):
    names = {"run": "of-run", "create": "of-create"}
    result = run(POUCH, "-H", engine.uri, "--session", "run", "--network", "none", "busybox", "echo", "hi")
    assert result.out == "hi\n"
    run(POUCH, "-H", engine.uri, "--session", "run", "-d", "--name", names["run"], "--network", "none", "busybox",
        "sleep", "1000")
    run(POUCH, "-H", engine.uri, "--session", "create", "--name", names["create"], "--network", "none", "busybox")
    own = busybox_image_tar(tmp_path / "own.tar", name="cli:1", config={"Labels": {"a": "b"}})
    assert run(POUCH, "-H", engine.uri, "--session", "load", "-i", own).out == "Loaded image: cli:1\n"
    run(POUCH, "-H", engine.uri, "--session", "tag", "busybox", "other:2")
    assert wait_until(lambda: len(engine.ids()) == 1, LIMIT, 0.05)
    assert wait_until(lambda: engine.images() == {"busybox:latest"}, LIMIT, 0.05)


def test_exec_in_a_container_of_another(engine, others):
    with pouch.Client(engine.uri, session=True) as client:
        exec_id = client.execs.create(others.id, {"Cmd": ["sleep", "1000"]})["Id"]
        client.execs.start(exec_id, {"Detach": True}).finish()
        assert client.execs.inspect(exec_id)["Running"]

    def has_ended():
        try:
            return not engine.client.execs.inspect(exec_id)["Running"]
        except pouch.NotFound:
            return True

    assert wait_until(has_ended, LIMIT, 0.05)


def test_volumes_of_a_session(engine):
    """Those of its own and of its containers go; one that somebody else's container has stays."""
    with pouch.Client(engine.uri, session=True) as client:
        for name in ("sv-own", "sv-shared"):
            client.volumes.create({"Name": name})
        config = {"Image": "busybox", "Volumes": {"/own": {}}, "HostConfig": {**HOST, "Binds": ["sv-made:/made"]}}
        client.containers.create(config)
        other = engine.client.containers.create({"Image": "busybox", "HostConfig": {**HOST, "Binds": ["sv-shared:/x"]}})["Id"]
        assert len(engine.client.volumes.list()["Volumes"]) == 4
    assert wait_until(lambda: [found["Name"] for found in engine.client.volumes.list()["Volumes"]] == ["sv-shared"], LIMIT)
    engine.client.containers.remove(other)
    # The session may not have seen yet that it is another's now, and take it.
    engine.client.volumes.remove("sv-shared", force=True)


def test_keeper_stays_for_a_session_that_made_nothing(engine):
    with pouch.Client(engine.uri, session=True):
        assert engine.keepers()
        assert len(os.listdir(session_folder(engine))) == 1
    assert wait_until(lambda: not os.listdir(session_folder(engine)), LIMIT)


def test_mock_through_pouchd():
    """Objects of a session on a MockEngine vanish at its close; others see that."""
    with Pouchd(args=["--mock"]) as pouchd, pouch.Client(pouchd.uri) as other:
        session = pouch.Client(pouchd.uri, session=True)
        with session.images.from_rootfs(reference="busybox", cmd=["sh"]) as stream:
            stream.write(empty_tar())
            stream.close_write()
            stream.finish()
        made = session.containers.run("busybox", ["sleep", "1000"], detach=True, network="none")
        assert [found["Id"] for found in other.containers.list()] == [made.id]
        session.close()
        assert wait_until(lambda: not other.containers.list(all=True) and not other.images.list(), LIMIT)


def empty_tar():
    return b"\0" * 10240


def test_dockerd_has_none():
    with PrivateDockerd() as dockerd:
        with pytest.raises(pouch.NotImplementedByEngine, match="system.session"):
            pouch.Client(dockerd.host, session=True)
        result = run(POUCH, "-H", dockerd.host, "--session", "ps", check=False)
        assert result.code == 1 and "system.session" in result.err
