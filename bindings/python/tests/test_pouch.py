"""The binding on the mock engine: errors, streams, Ctrl-C, fork, asyncio. Engines are the conformance run's matter."""

import asyncio
import io
import json
import os
import select
import signal
import tarfile
import threading
import time

import pytest

import pouch


def archive(reference="busybox:latest"):
    """A docker-archive with no files in its one layer."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
                         "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [reference], "Layers": []}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in (("config.json", config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(name="client")
def client_fixture(tmp_path):
    file = tmp_path / "busybox.tar"
    file.write_bytes(archive())
    with pouch.Client("mock://") as client:
        assert client.images.load_file(str(file)) == ["busybox:latest"]
        yield client


def deaf_container(client):
    """One that ignores SIGTERM; returned once it has set its trap."""
    container = client.containers.run("busybox", "trap '' TERM; echo ready; sleep 100", detach=True, network="none")
    with container.follow() as stream:
        assert stream.next(timeout=10).data == b"ready\n"
    return container


def test_runs_and_returns_output(client):
    assert client.containers.run("busybox", ["echo", "hi"], network="none") == b"hi\n"
    assert client.containers.run("busybox", ["cat"], network="none", stdin=b"a\0b\xff") == b"a\0b\xff"


def test_pulls_with_progress_and_accounts(client):
    said = []
    image = client.images.pull_image("team/box:1", on_progress=said.append)
    assert image["Reference"] == "team/box:1" and image["IsNew"]
    assert said[-1]["status"] == "Status: Downloaded newer image for team/box:1"
    assert not client.images.pull_image("team/box:1")["IsNew"]
    with pytest.raises(pouch.Unauthenticated):
        client.images.pull_image("team/private")
    assert client.images.pull_image("team/private", auth={"username": "a", "password": "secret"})["IsNew"]
    with pytest.raises(pouch.NotFound):
        client.images.pull_image("absent")


def test_failure_is_an_exception_with_the_exit_code(client):
    with pytest.raises(pouch.ContainerError) as caught:
        client.containers.run("busybox", "echo bad >&2; exit 3", network="none")
    assert caught.value.exit_code == 3 and caught.value.stderr == b"bad\n"


def test_container_object(client):
    container = client.containers.run("busybox", "echo out; sleep 100", name="one", detach=True, network="none")
    while container.logs() != b"out\n":  # until it has begun
        time.sleep(0.01)
    assert client.containers.get("one").id == container.id
    assert container.name == "one" and container.status == "running"
    result = container.exec_run(["sh", "-c", "echo in; exit 4"])
    assert (result.exit_code, result.output) == (4, b"in\n")
    with pytest.raises(pouch.Conflict):
        container.remove()
    container.stop(timeout=1)
    assert container.wait() == 143
    assert container.logs() == b"out\n"
    container.remove()
    with pytest.raises(pouch.NotFound, match="No such container"):
        client.containers.get("one")


def test_terminal_of_a_container(client):
    made = client.containers.create({"Image": "busybox", "Cmd": ["sh", "-c", "read x; stty size; cat"], "Tty": True,
                                     "OpenStdin": True, "HostConfig": {"NetworkMode": "none"}})
    container = client.containers.get(made["Id"])
    with container.attach(stdin=True, detach_keys="a,b") as stream:
        with pytest.raises(pouch.Conflict):
            stream.resize(10, 20)
        container.start()
        stream.resize(10, 20)
        stream.write(b"\n")
        printed = b""
        while not printed.endswith(b"10 20\r\n"):
            printed += stream.next(timeout=10).data
        assert printed == b"\r\n10 20\r\n"
        stream.write(b"ab")
        assert stream.finish() == {"Detached": True}
    container.resize(11, 21)
    assert container.status == "running"
    with pytest.raises(pouch.InvalidArgument):
        container.resize(-1, 0)
    with container.attach(stdin=True) as stream:
        stream.write(b"bye\n\x04")
        assert stream.read() == b"bye\r\nbye\r\n"
        assert stream.finish() == {}
    assert container.wait() == 0
    assert container.logs() == b"\r\n10 20\r\nbye\r\nbye\r\n"


def test_terminal_of_an_exec(client):
    container = client.containers.run("busybox", "sleep 100", detach=True, network="none")
    result = container.exec_run(["sh", "-c", "echo out; echo err >&2"], tty=True)
    assert (result.exit_code, result.stdout, result.stderr) == (0, b"out\r\nerr\r\n", b"")
    with container.exec_open(["sh", "-c", "stty size; read x; stty size; exit 3"], tty=True, size=(5, 6)) as stream:
        assert stream.next(timeout=10).data == b"5 6\r\n"
        stream.resize(7, 8)
        stream.write(b"\n")
        assert stream.read() == b"\r\n7 8\r\n"
        assert stream.finish() == {"ExitCode": 3}
    with container.exec_open(["cat"], tty=True) as stream:
        stream.write(b"\x10\x11")
        assert stream.finish() == {}
    with container.exec_open(["cat"]) as stream:
        with pytest.raises(pouch.Conflict, match="no terminal"):
            stream.resize(7, 8)
    container.kill()


def test_errors_have_class_code_and_path(client):
    with pytest.raises(pouch.InvalidArgument) as caught:
        client.containers.create({"Image": "busybox", "HostConfig": {"Memry": 1}})
    assert caught.value.code == "InvalidArgument" and caught.value.details["path"] == "HostConfig.Memry"
    with pytest.raises(pouch.InvalidArgument):
        client.call("container.fly")
    with pytest.raises(pouch.NotImplementedByEngine, match="HostConfig.Init"):
        client.containers.create({"Image": "busybox", "HostConfig": {"NetworkMode": "none", "Init": True}})


def test_timeout_is_a_deadline(client):
    container = deaf_container(client)
    started = time.monotonic()
    with pytest.raises(pouch.DeadlineExceeded):
        client.containers.stop(container.id, t=60, timeout=0.2)
    assert time.monotonic() - started < 5
    container.remove(force=True)


def test_cancel_from_another_thread(client):
    container = deaf_container(client)
    cancel = pouch.Cancel()
    threading.Timer(0.1, cancel.fire).start()
    with pytest.raises(pouch.Cancelled):
        client.containers.stop(container.id, t=60, cancel=cancel)
    container.remove(force=True)


@pytest.fixture(name="interrupts")
def interrupts_fixture():
    """SIGINT as Python has it: a shell's background jobs begin with it ignored."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_reaches_a_blocked_call(client):
    container = deaf_container(client)
    threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        client.containers.stop(container.id, t=60)
    threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with container.follow() as stream:
        assert stream.next().data == b"ready\n"
        with pytest.raises(KeyboardInterrupt):
            stream.next()
    container.remove(force=True)


def test_pollfd_tells_when_next_would_not_wait(client):
    container = client.containers.run("busybox", "sleep 0.2; echo late", detach=True, network="none")
    with container.follow() as stream:
        with pytest.raises(TimeoutError):
            stream.next(timeout=0)
        assert select.select([stream], [], [], 5)[0] == [stream]
        assert stream.next(timeout=0).data == b"late\n"


def test_asyncio_inside_a_running_loop(client):
    async def follow(word):
        container = client.containers.run("busybox", f"sleep 0.1; echo {word}", detach=True, network="none")
        with container.follow() as stream:
            return b"".join([frame.data async for frame in stream])

    async def both():
        return await asyncio.gather(follow("a"), follow("b"))

    assert asyncio.run(both()) == [b"a\n", b"b\n"]


def test_closed_and_forked(client):
    other = pouch.Client("mock://")
    other.close()
    with pytest.raises(pouch.Closed):
        other.system.ping()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            client.system.ping()
        except pouch.Forked:
            with pouch.Client("mock://") as own:
                code = 0 if own.system.ping()["ApiVersion"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert client.system.ping()["OSType"] == "linux"


def test_logs_carry_the_name_of_the_call(client, caplog):
    with caplog.at_level("DEBUG", logger="pouch"):
        stream = pouch.forward_logs("debug")
        client.call("system.ping", request_id="python-1")
        deadline = time.monotonic() + 10
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
        stream.close()
    record = caplog.records[0]
    assert (record.pouch_request_id, record.pouch_component) == ("python-1", "api")
    assert record.getMessage().startswith("api: system.ping: Ok")


def test_check_with_and_without_a_client(client):
    assert client.system.check() == pouch.check("mock://")
    report = pouch.check("unix:///nonexistent.sock")
    assert not report["Ok"]
    (finding,) = report["Findings"]
    assert (finding["Name"], finding["Level"]) == ("socket", "error") and "pouchd" in finding["Fix"]
    with pytest.raises(pouch.InvalidArgument):
        pouch.check("gopher://")
    with pytest.raises(pouch.DeadlineExceeded):
        pouch.check("mock://", timeout=0)


def test_a_session_is_opened_at_once(tmp_path):
    address = f"unix://{tmp_path}/nobody.sock"
    pouch.Client(address).close()
    with pytest.raises(pouch.Unavailable):
        pouch.Client(address, session=True)
    with pouch.Client("mock://", session=True) as client:
        assert client.containers.list() == []


def test_every_generated_operation_is_known(client):
    from pouch import _operations_gen as operations  # pylint: disable=import-outside-toplevel
    known = 0
    for noun in ("Container", "Exec", "Image", "System"):
        cls = getattr(operations, f"{noun}Operations")
        for verb in (v for v in vars(cls) if not v.startswith("_")):
            assert client.supports(f"{noun.lower()}.{verb}")
            known += 1
    assert known >= 24
