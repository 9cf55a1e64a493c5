"""What the engine has to say: the name of a call from the caller to pouchd, keeper and containerd; the root's own log."""

import json
import os
import pathlib

import pytest
from pouchtest import procs
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root
from pouchtest.paths import build_dir, private_dir
from pouchtest.pouchd import Pouchd
from pouchtest.run import run

import pouch as library

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
CONFIG = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}


def lines_with(path, *words):
    text = pathlib.Path(path).read_text()
    return [line for line in text.splitlines() if all(word in line for word in words)]


def folders_of(host):
    """The root and the run folder of an address made by embed_root."""
    root, query = host.removeprefix("embed://").split("?")
    return pathlib.Path(root), pathlib.Path(dict(pair.split("=") for pair in query.split("&"))["run"])


def run_named(host, tar, name):
    """Creates and runs a container, all under one name; its id."""
    with library.Client(host) as client:
        client.images.load_file(str(tar))
        made = client.call("container.create", config=CONFIG, request_id=name)["Id"]
        with client.open("container.wait", [made], options={"condition": "next-exit"}, request_id=name) as wait:
            client.call("container.start", [made], request_id=name)
            wait.finish()
        client.call("container.remove", [made], request_id=name)
    return made


def test_the_name_of_a_call_reaches_pouchd_and_the_keeper(busybox_tar):
    with Pouchd(args=["--debug"]) as pouchd:
        made = run_named(pouchd.uri, busybox_tar, "req-e2e-1")
        assert lines_with(pouchd.log_path, "http[", "request=req-e2e-1", f'"/v1.50/containers/{made}/start"')
        assert lines_with(pouchd.log_path, "api[", f"object={made}", "request=req-e2e-1", "container.start: Ok")
        # Work that goes on on other threads has it too.
        assert lines_with(pouchd.log_path, "ctrd[", "request=req-e2e-1", "tasks.start")
        assert lines_with(pouchd.log_path, "ctrd[", "request=req-e2e-1", "snapshots.prepare")
        keeper = pouchd.dir / "run/keeper.log"
        assert lines_with(keeper, "io[", f"object={made}", "request=req-e2e-1", "open_stdio")


def test_a_call_without_a_name_gets_one(busybox_tar):
    with Pouchd(args=["--debug"]) as pouchd:
        pouchd.docker("load", "-i", busybox_tar)
        line = lines_with(pouchd.log_path, "image.load: Ok")[0]
        assert len(line.split("request=")[1].split(":")[0]) == 16
        pouchd.request("GET", "/v1.50/containers/json", headers={"Pouch-Request-Id": "bad id\twith blanks"})
        assert not lines_with(pouchd.log_path, "request=bad")


def test_in_process_the_environment_opens_the_log(busybox_tar):
    with private_dir() as folder, embed_root() as host:
        root, run_folder = folders_of(host)
        log = folder / "pouch.log"
        run(POUCH, "-H", host, "load", "-i", busybox_tar, env={"POUCH_LOG": f"debug:{log}"})
        run(POUCH, "-H", host, "run", "--rm", "--network", "none", "busybox", "true", env={"POUCH_LOG": f"debug:{log}"})
        started = lines_with(log, "api[", "container.start: Ok")[-1]
        name = started.split("request=")[1].split(":")[0]
        # pouch_container_run is one call: its steps have one name.
        assert lines_with(log, f"request={name}:", "container.create: Ok")
        assert lines_with(log, f"request={name}:", "tasks.create")
        root_id = json.loads(run(POUCH, "-H", host, "info", "--format", "json").out)["ID"]
        assert lines_with(log, f"root={root_id}", f"request={name}:", "tasks.create")
        assert lines_with(run_folder / "keeper.log", f"request={name}:", "open_stdio")
        assert not lines_with(log, "busybox_tar")
        assert (root / "pouch.db").exists()


def test_a_bad_level_is_an_error():
    done = run(POUCH, "-H", "mock://", "ps", env={"POUCH_LOG": "loud"}, check=False)
    assert (done.code, done.err) == (1, 'Error: environment POUCH_LOG="loud": expected error, warning, info, debug or '
                                     "trace, then maybe :path\n")


def test_nothing_is_said_unless_asked(busybox_tar):
    with embed_root() as host:
        for words in (["load", "-i", busybox_tar], ["run", "--rm", "--network", "none", "busybox", "true"]):
            assert run(POUCH, "-H", host, *words, env={"POUCH_LOG": ""}).err == ""


def test_warnings_stay_in_the_root(busybox_tar):
    with PrivateContainerd() as containerd, embed_root(containerd) as host:
        root, _ = folders_of(host)
        with library.Client(host) as client:
            client.images.load_file(str(busybox_tar))
            # The keeper watches it.
            client.containers.run("busybox", ["sleep", "1000"], network="none", detach=True, name="sleeper")
            assert not (root / "log/pouch.log").exists()
            os.kill(containerd.pid, 9)
            log = root / "log/pouch.log"
            assert procs.wait_until(lambda: log.exists() and lines_with(log, "warning", "containerd's events"), 30)
            root_id = client.system.info()["ID"]
            line = lines_with(log, "containerd's events")[0]
            assert f" root={root_id}" in line and oct(log.stat().st_mode & 0o777) == "0o600"
            assert line in client.system.diagnose()["Log"]
        containerd.start()
        run(POUCH, "-H", host, "rm", "-f", "sleeper")


# system.diagnose


@pytest.mark.parametrize("kind", ["embed", "unix"])
def test_diagnose_tells_who_does_what(busybox_tar, kind):
    if kind == "embed":
        with embed_root() as host:
            check_diagnosis(host, busybox_tar)
    else:
        with Pouchd() as pouchd:
            check_diagnosis(pouchd.uri, busybox_tar)


def check_diagnosis(host, tar):
    with library.Client(host) as client:
        client.images.load_file(str(tar))
        box = client.containers.run("busybox", ["sh", "-c", "sleep 1000 # s3cret"], network="none", detach=True,
                                    Env=["TOKEN=s3cret"], Labels={"password": "s3cret"})
        client.execs.create(box.id, {"Cmd": ["echo", "s3cret"], "Env": ["A=s3cret"]})
        text = run(POUCH, "-H", host, "system", "diagnose").out
        report = json.loads(text)
        box.remove(force=True)
    assert "s3cret" not in text
    assert report["Check"]["Ok"] and report["Counts"]["Running"] == 1 and report["Counts"]["Images"] == 1
    (row,) = report["Active"]
    assert (row["Kind"], row["Id"], row["State"], row["Generation"]) == ("container", box.id, "running", 1)
    assert row["Pid"] > 0
    owners = {owner["Token"]: owner for owner in report["Owners"]}
    assert owners[row["Owner"]]["Alive"] and sum(owner["Self"] for owner in owners.values()) == 1
    assert all(owner["Pid"] > 0 for owner in owners.values())
    keeper = report["Keeper"]
    assert {stream["Container"] for stream in keeper["Streams"]} == {box.id}
    assert keeper["Pid"] in {owner["Pid"] for owner in owners.values()} or keeper["WorkerPid"] in {
        owner["Pid"] for owner in owners.values()}
    assert any(plugin["Id"] == "overlayfs" and "Error" not in plugin for plugin in report["Plugins"])
    assert [event["Action"] for event in report["Events"]][-3:] == ["create", "start", "exec_create"]
    assert {limit["Name"] for limit in report["Limits"]} >= {"nofile", "nproc"}
    assert report["Pouch"]["RootId"] and report["Version"]["Version"]
