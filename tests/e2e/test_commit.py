"""container.commit, container.export and image.import_tar: what a container has become is an image, or a tar that becomes one."""

import contextlib
import hashlib
import io
import json
import tarfile

import pouch
import pytest
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.faults.control import Control
from pouchtest.faults.pouchd import FaultyPouchd
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir
from pouchtest.pouchd import Pouchd
from pouchtest.procs import wait_until
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
WRITES = """
echo new > /new; rm /etc/group; mkdir -p /d/e; echo x > /d/e/f; ln -s /new /link; ln /new /hard
chmod 4755 /new; chown 12:34 /d; mkfifo /fifo; rm -r /root; mkdir /root; touch -d '2001-02-03 04:05:06' /d/e/f
"""


@pytest.fixture(name="root", params=["embed", "unix"])
def root_fixture(request, tmp_path):
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1", config={"Labels": {"kind": "box"}})
    with contextlib.ExitStack() as stack:
        uri = stack.enter_context(embed_root()) if request.param == "embed" else stack.enter_context(Pouchd()).uri
        run(POUCH, "-H", uri, "load", "-q", "-i", archive)
        yield uri


@pytest.fixture(name="written")
def written_fixture(root):
    """A container that has written a good deal and ended."""
    pouch_run(root, "--name", "written", "box:1", "sh", "-c", WRITES, check=False)
    return "written"


def pouch_run(uri, *words, **options):
    return run(POUCH, "-H", uri, "run", "--network=none", *words, **options)


def commit(uri, container, **options):
    with pouch.Client(uri) as client:
        return client.call("container.commit", options={"container": container, **options})["Id"]


def inspect(uri, name):
    with pouch.Client(uri) as client:
        return client.call("image.inspect", [name])


def read_export(uri, container):
    with pouch.Client(uri) as client, client.open("container.export", [container]) as stream:
        data = b"".join(frame.data for frame in stream)
        stream.finish()
    return data


LOOK = """cd /; ls -l new link fifo; stat -c '%a %u:%g %h' new d; stat -c %Y d/e/f; cat new d/e/f
ls -d etc/group 2>&1; ls -a root | wc -l"""


def test_a_commit_has_what_the_container_wrote(root, written):
    own = commit(root, written, repo="made", tag="1", author="me", comment="all of it")
    facts = inspect(root, "made:1")
    assert facts["Id"] == own and facts["Author"] == "me" and facts["Comment"] == "all of it"
    assert len(facts["RootFS"]["Layers"]) == 2 and facts["Config"]["Labels"] == {"kind": "box"}
    seen = pouch_run(root, "--rm", "made:1", "sh", "-c", LOOK).out
    lines = seen.splitlines()
    assert "4755 0:0 2" in lines and "755 12:34 3" in lines and "981173106" in lines
    assert any(line.endswith("/new") and "->" in line for line in lines) and lines[0].startswith("prw")
    assert "ls: etc/group: No such file or directory" in lines and lines[-1].strip() == "2"
    with pouch.Client(root) as client:
        steps = client.call("image.history", ["made:1"])
    assert [step["Comment"] for step in steps] == ["all of it", ""] and steps[0]["CreatedBy"].startswith("sh -c")


def test_changes(root, written):
    with pouch.Client(root) as client:
        client.call("container.commit", config={"Env": ["B=body"], "Labels": {"of": "body"}},
                    options={"container": written, "repo": "changed",
                             "changes": ["ENV A=1", "CMD [\"echo\",\"hi\"]", "LABEL more=x", "EXPOSE 80", "WORKDIR /d", "USER 12"]})
    config = inspect(root, "changed")["Config"]
    assert "A=1" in config["Env"] and "B=body" in config["Env"] and any(e.startswith("PATH=") for e in config["Env"])
    assert config["Cmd"] == ["echo", "hi"] and config["WorkingDir"] == "/d" and config["User"] == "12"
    assert config["Labels"] == {"of": "body", "more": "x", "kind": "box"} and config["ExposedPorts"] == {"80/tcp": {}}
    assert pouch_run(root, "--rm", "changed").out == "hi\n"


def test_without_writes_there_is_no_layer(root):
    run(POUCH, "-H", root, "create", "--network=none", "--name", "idle", "box:1")
    commit(root, "idle", repo="same")
    assert inspect(root, "same")["RootFS"]["Layers"] == inspect(root, "box:1")["RootFS"]["Layers"]
    assert inspect(root, "same")["Id"] != inspect(root, "box:1")["Id"]


def wait_for_file(root, path):
    assert wait_until(lambda: run(POUCH, "-H", root, "exec", "runs", "cat", path, check=False).out, 10)


def test_a_running_container_goes_on(root):
    # In one step: the commit's pause may come between any two system calls.
    pouch_run(root, "-d", "--name", "runs", "box:1", "sh", "-c",
              "i=0; while true; do i=$((i+1)); echo $i > /next; mv /next /count; sleep 0.05; done")
    wait_for_file(root, "/count")
    commit(root, "runs", repo="snap:1")
    commit(root, "runs", repo="snap:2", pause=False)
    first = pouch_run(root, "--rm", "snap:1", "cat", "/count").out
    now = run(POUCH, "-H", root, "exec", "runs", "cat", "/count").out
    assert wait_until(lambda: run(POUCH, "-H", root, "exec", "runs", "cat", "/count").out not in (first, now), 10)
    assert int(first) > 0
    run(POUCH, "-H", root, "rm", "-f", "runs")


@pytest.mark.parametrize("error", ["Unavailable", "ENOSPC"])
def test_it_goes_on_although_containerd_did_not_hear(error, tmp_path):
    control = Control(tmp_path)
    archive = busybox_image_tar(tmp_path / "box.tar", name="box:1")
    with FaultyPouchd(control) as pouchd:
        pouchd.docker("load", "-q", "-i", archive)
        pouchd.docker("run", "-d", "--name", "runs", "--network", "none", "box:1", "sleep", "1000")
        control.rules(*((f"fail:{error}", "pouchd", "rpc.tasks.resume.before", nth) for nth in (1, 2, 3)))
        pouchd.docker("commit", "runs", "snap:1")
        assert control.fired()
        # A task that is paused takes no exec.
        assert pouchd.docker("exec", "runs", "echo", "on").out == "on\n"


def test_an_image_without_a_name(root, written):
    own = commit(root, written)
    assert inspect(root, own)["RepoTags"] == []
    assert pouch_run(root, "--rm", own, "cat", "/new").out == "new\n"


@pytest.mark.parametrize("container, options, code, text", [
    ("nosuch", {}, pouch.NotFound, "No such container: nosuch"),
    ("written", {"repo": "Bad"}, pouch.InvalidArgument, "invalid reference format"),
    ("written", {"tag": "x"}, pouch.InvalidArgument, "no name"),
    ("written", {"changes": ["RUN ls"]}, pouch.InvalidArgument, "run is not a valid change command"),
])
def test_what_is_refused(root, written, container, options, code, text):
    assert written == "written"
    with pytest.raises(code, match=text):
        commit(root, container, **options)


def test_the_commits_of_a_commit_reach_docker(root, written, tmp_path):
    """By save and load: two layers on top of another."""
    commit(root, written, repo="one")
    pouch_run(root, "--name", "second", "one", "sh", "-c", "echo two > /two; rm /new")
    own = commit(root, "second", repo="two")
    archive = tmp_path / "two.tar"
    run(POUCH, "-H", root, "save", "-o", archive, "two")
    with PrivateDockerd() as dockerd:
        dockerd.docker("load", "-q", "-i", archive)
        assert json.loads(dockerd.docker("image", "inspect", "two").out)[0]["Id"] == own
        assert dockerd.docker("run", "--rm", "--network", "none", "two", "sh", "-c", "cat /two; ls /new 2>&1 || true").out.startswith("two\n")


@pytest.fixture(name="frozen")
def frozen_fixture(root, tmp_path):
    """Kills a committer while its container stands still: a function that does it."""
    pouch_run(root, "-d", "--name", "runs", "box:1", "sh", "-c", "while true; do date +%s%N > /now; sleep 0.02; done")
    wait_for_file(root, "/now")
    control = Control(tmp_path)
    control.rule("kill", "host", "rpc.diff.diff.before", 1)

    def freeze():
        run(POUCH, "-H", root, "commit", "runs", "never", env=control.environment, check=False)
        assert control.fired()
    yield freeze
    run(POUCH, "-H", root, "rm", "-f", "runs")


def goes_on(root):
    # exec is refused while it stands still.
    first = run(POUCH, "-H", root, "exec", "runs", "cat", "/now").out
    return wait_until(lambda: run(POUCH, "-H", root, "exec", "runs", "cat", "/now").out != first, 10)


@pytest.mark.parametrize("root", ["embed"], indirect=True)
def test_a_container_goes_on_when_its_committer_dies(root, frozen):
    """The next engine on the root lets it go on."""
    frozen()
    assert goes_on(root)


@pytest.mark.parametrize("root", ["embed"], indirect=True)
def test_who_is_there_already_lets_it_go_on(root, frozen):
    """An engine that was open before the committer died does not wait for the dead."""
    with pouch.Client(root) as client:
        frozen()
        assert client.call("container.commit", options={"container": "runs", "repo": "after"}, timeout=30)["Id"]
        assert goes_on(root)


def test_an_export_holds_the_whole_file_system(root, written):
    with tarfile.open(fileobj=io.BytesIO(read_export(root, written))) as tar:
        entries = {entry.name.removeprefix("./"): entry for entry in tar}
        assert tar.extractfile("new").read() == b"new\n"
    assert "bin/busybox" in entries and "etc/passwd" in entries and "etc/group" not in entries
    assert entries["new"].mode == 0o4755 or entries["hard"].mode == 0o4755
    assert entries["d"].uid == 12 and entries["d/e/f"].mtime == 981173106 and entries["fifo"].isfifo()
    assert entries["link"].issym() and entries["link"].linkname == "/new"


def test_export_of_a_running_container(root):
    pouch_run(root, "-d", "--name", "runs", "--tmpfs", "/tmp", "box:1", "sh", "-c", "echo a > /a; echo t > /tmp/t; sleep 100")
    assert wait_until(lambda: run(POUCH, "-H", root, "exec", "runs", "ls", "/tmp/t", check=False).code == 0, 10)
    with tarfile.open(fileobj=io.BytesIO(read_export(root, "runs"))) as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
    assert "a" in names and "tmp/t" not in names  # what is mounted is not part of it
    run(POUCH, "-H", root, "rm", "-f", "runs")
    with pouch.Client(root) as client, pytest.raises(pouch.NotFound):
        client.open("container.export", ["runs"])


def import_tar(uri, data, **options):
    with pouch.Client(uri) as client, client.open("image.import_tar", options=options) as stream:
        for at in range(0, len(data), 2**20):
            stream.write(data[at:at + 2**20])
        stream.close_write()
        for _ in stream:
            pass
        return stream.finish()


def test_an_export_is_imported(root, written):
    data = read_export(root, written)
    result = import_tar(root, data, repo="imported:2", message="came in", changes=["CMD [\"cat\",\"/new\"]", "ENV X=y"])
    assert result["Reference"] == "imported:2"
    assert pouch_run(root, "--rm", "imported:2").out == "new\n"
    facts = inspect(root, "imported:2")
    assert facts["Comment"] == "came in" and facts["Config"]["Env"] == ["X=y"] and len(facts["RootFS"]["Layers"]) == 1
    nameless = import_tar(root, data)
    assert "Reference" not in nameless and inspect(root, nameless["Id"])["Comment"] == "Imported from -"
    other = import_tar(root, data, repo="arm", platform="linux/arm64/v8")
    facts = inspect(root, other["Id"])
    assert facts["Architecture"] == "arm64" and facts["Variant"] == "v8"


@pytest.mark.parametrize("options, code, text", [
    ({"repo": "Bad"}, pouch.InvalidArgument, "invalid reference format"),
    ({"repo": "a@sha256:" + "0" * 64}, pouch.InvalidArgument, "cannot import digest reference"),
    ({"changes": ["RUN x"]}, pouch.InvalidArgument, "not a valid change command"),
    ({"platform": "a b"}, pouch.InvalidArgument, "platform"),
])
def test_imports_that_are_refused(root, options, code, text):
    with pytest.raises(code, match=text):
        import_tar(root, b"\0" * 1024, **options)


def test_the_command_line(root, tmp_path):
    pouch_run(root, "--name", "com", "box:1", "sh", "-c", "echo x > /x")
    told = run(POUCH, "-H", root, "commit", "-m", "msg", "-a", "me", "-c", "CMD [\"cat\",\"/x\"]", "com", "com:1").out
    assert told.startswith("sha256:")
    assert pouch_run(root, "--rm", "com:1").out == "x\n"
    run(POUCH, "-H", root, "export", "-o", tmp_path / "c.tar", "com")
    assert run(POUCH, "-H", root, "export", "com", text=False).out == (tmp_path / "c.tar").read_bytes()
    assert run(POUCH, "-H", root, "import", "-c", "CMD cat /x", tmp_path / "c.tar", "imp:1").out.startswith("sha256:")
    assert pouch_run(root, "--rm", "imp:1").out == "x\n"
    refused = run(POUCH, "-H", root, "import", tmp_path / "nosuch.tar", check=False)
    assert refused.code == 1 and "nosuch.tar" in refused.err
    assert hashlib.sha256((tmp_path / "c.tar").read_bytes()).hexdigest()
