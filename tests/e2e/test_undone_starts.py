"""Failures of what is done after a failure, or an end: nothing stays, nothing is lost."""

import json
import os
import signal

import pytest
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import keeper
from pouchtest.faults.control import Control
from pouchtest.faults.pouchd import FaultyPouchd
from pouchtest.images import busybox_image_tar
from pouchtest.procs import wait_until

pytest_plugins = ["pouchtest.fixtures"]


@pytest.mark.parametrize("step", ["rpc.tasks.delete.before", "rpc.tasks.kill.before"])
def test_a_task_that_could_not_be_ended_at_once(step, tmp_path):
    control = Control(tmp_path)
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1")
    with PrivateContainerd() as containerd, FaultyPouchd(control, containerd) as pouchd:
        pouchd.docker("load", "-q", "-i", archive)
        pouchd.docker("create", "--name", "undone", "--network", "none", "box:1", "sleep", "1000")
        control.rules(("fail:ENOSPC", "pouchd", "row.containers.update-running.before", 1),
                      ("fail:Unavailable", "pouchd", step, 1))
        assert pouchd.docker("start", "undone", check=False).code == 1
        namespace = next(name for name in containerd.namespaces() if name.startswith("pouch-"))
        assert wait_until(lambda: not containerd.ctr("tasks", "ls", "-q", namespace=namespace).out, 10)
        assert wait_until(lambda: pouchd.docker("inspect", "-f", "{{.State.Status}}", "undone").out == "created\n", 10)
        pouchd.docker("start", "undone")
        pouchd.docker("rm", "-f", "undone")


@pytest.mark.parametrize("step", ["row.containers.update", "row.endpoints.delete", "store.commit"])
def test_an_exit_that_could_not_be_recorded_at_once(step, tmp_path):
    """Its code is known when the task is gone."""
    control = Control(tmp_path)
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1")
    with FaultyPouchd(control) as pouchd:
        pouchd.docker("load", "-q", "-i", archive)
        pouchd.docker("run", "--detach", "--name", "ends", "--network", "none", "box:1", "sh", "-c", "read -t 0.5 x; exit 7")
        control.rules(*(("fail:ENOSPC", "pouchd", f"{step}.before", nth) for nth in (1, 2)))
        assert pouchd.docker("wait", "ends").out == "7\n"
        assert control.fired()
        control.clear()
        assert pouchd.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "ends").out == "exited 7\n"
        pouchd.docker("rm", "ends")


def test_an_exit_that_is_recorded_late_and_the_next_start(tmp_path):
    """Who tries the exit again leaves the start alone that is under way by then."""
    control = Control(tmp_path)
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1")
    with FaultyPouchd(control) as pouchd:
        pouchd.docker("load", "-q", "-i", archive)
        pouchd.docker("run", "--detach", "--name", "again", "--network", "none", "box:1", "sleep", "1000")
        control.rules(("fail:EMFILE", "pouchd", "row.endpoints.update.before", 1),
                      ("delay:1500", "pouchd", "rpc.tasks.start.before", 1))
        pouchd.docker("stop", "-t", "0", "again")
        assert control.fired()
        pouchd.docker("start", "again")
        pouchd.docker("rm", "-f", "again")
        assert pouchd.docker("ps", "-aq").out == ""


def test_what_may_not_outlast_a_power_cut(tmp_path):
    """It is there, whole, as it would be without; the log says so."""
    control = Control(tmp_path)
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1")
    with FaultyPouchd(control) as pouchd:
        pouchd.docker("load", "-q", "-i", archive)
        control.rule("fail:EIO", "pouchd", "store.sync.before", "1+")
        pouchd.docker("create", "--name", "made", "-v", "named:/x", "-v", "/y", "--network", "none", "box:1", "true")
        assert pouchd.docker("start", "-a", "made").code == 0
        pouchd.docker("rm", "-v", "made")
        assert pouchd.docker("ps", "-aq").out == ""
        assert pouchd.docker("volume", "ls", "-q").lines == ["named"]
        assert "a change may not outlast a power cut: injected fault" in pouchd.log(1000)


@pytest.mark.parametrize(("fate", "step"), [("delay:2000", "rpc.tasks.delete.before"), ("kill", "rpc.tasks.delete.after")])
def test_an_exec_whose_end_is_being_recorded(fate, step, tmp_path):
    """Its starter has seen the code and is slow, or dead; a keeper that opens the root then does not take it for killed."""
    control = Control(tmp_path)
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1")
    with FaultyPouchd(control) as pouchd:
        pouchd.docker("load", "-q", "-i", archive)
        pouchd.docker("run", "--detach", "--name", "around", "--network", "none", "box:1", "sleep", "1000")
        exec_id = made_exec(pouchd, "around", "sh", "-c", "exit 7")
        control.rule(fate, "pouchd", step, 1)
        posted(pouchd, f"/exec/{exec_id}/start", {"Detach": True})
        assert wait_until(control.fired, 10)
        if fate == "kill":
            os.kill(keeper(pouchd.dir)[1], signal.SIGKILL)
            control.clear()
            pouchd.process.wait()
            pouchd.start()
        else:
            pouchd.docker("kill", "around")
            os.kill(keeper(pouchd.dir)[1], signal.SIGKILL)
        assert wait_until(lambda: not inspected_exec(pouchd, exec_id)["Running"], 20)
        assert inspected_exec(pouchd, exec_id)["ExitCode"] == 7
        pouchd.docker("rm", "-f", "around")


def made_exec(pouchd, container, *command):
    return json.loads(posted(pouchd, f"/containers/{container}/exec", {"Cmd": command}))["Id"]


def posted(pouchd, path, document):
    status, _, body = pouchd.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
    assert status < 300, body
    return body


def inspected_exec(pouchd, exec_id):
    return json.loads(pouchd.request("GET", f"/exec/{exec_id}/json")[2])
