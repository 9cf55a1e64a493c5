"""What users meet when something is missing: the exact text, soon, and nothing left behind."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import sys

import pytest
from pouchtest import procs
from pouchtest.containerd import PrivateContainerd
from pouchtest.embed import embed_root
from pouchtest.fuse import fuse_mount
from pouchtest.paths import build_dir, find_program, private_dir
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
HINT = "\n\nRun 'pouch run --help' for more information\n"
NOT_ROOT = (f"the local engine needs to be root, this is user {NOBODY}; run it as root (sudo), or use "
            "unix:///run/pouchd.sock for a running pouchd, or mock:// for tests")
START_CONTAINERD = ("start containerd (systemctl start containerd), or name its socket when the root is made "
                    "(containerd=…)")
START_POUCHD = "start a pouchd that listens there (systemctl start pouchd), or use embed:// as root"


@pytest.fixture(name="library", scope="module")
def library_fixture():
    """A copy of the programs and of the Python binding that any user may read."""
    with private_dir(parent="/tmp") as folder:  # $TMPDIR may be closed to others
        folder.chmod(0o755)
        (folder / "lib").mkdir()
        (folder / "bin").mkdir()
        shutil.copy(build_dir() / "lib/libpouch.so.1", folder / "lib")
        for program in ("pouch", "pouch-keeper"):
            shutil.copy(build_dir() / "bin" / program, folder / "bin")
        shutil.copytree(build_dir() / "python", folder / "python", ignore=shutil.ignore_patterns("__pycache__"))
        yield folder


@pytest.fixture(name="folder")
def folder_fixture(leak_guard):  # pylint: disable=unused-argument
    with private_dir(parent="/tmp") as folder:
        yield folder


@pytest.fixture(name="call")
def call_fixture(library):
    """Runs `pouch` on a host, by default as root: how it ended, and that it was soon."""

    def call(host, *args, prefix=(), **env):
        # A loaded machine may be slow; a wait that is built in is slow every time.
        for _ in range(3):
            result = run(*prefix, library / "bin/pouch", "-H", host, *args, check=False,
                         env={"LD_LIBRARY_PATH": library / "lib", **env})
            if result.seconds < 1:
                return result
        raise AssertionError(f"{args} took {result.seconds} s")

    return call


def python(library, code, prefix=(), interpreter=sys.executable):
    return run(*prefix, interpreter, "-c", code, check=False,
               env={"LD_LIBRARY_PATH": library / "lib", "PYTHONPATH": library / "python"})


def fails(result, text, code=1):
    assert (result.code, result.out, result.err) == (code, "", text)


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# As an ordinary user


def test_an_ordinary_user_is_told_the_ways_out(call, folder):
    folder.chmod(0o777)
    host = f"embed://{folder}/root"
    fails(call(host, "ps", prefix=AS_NOBODY), f'Error: open engine root "{folder}/root": {NOT_ROOT}\n')
    fails(call(host, "run", "busybox", prefix=AS_NOBODY),
          f'pouch: open engine root "{folder}/root": {NOT_ROOT}{HINT}', 125)
    fails(call("embed://", "ps", prefix=AS_NOBODY), f'Error: open engine root "/var/lib/pouch": {NOT_ROOT}\n')
    assert contents(folder) == []


def test_an_ordinary_user_of_python_gets_the_finding(library):
    code = ("import pouch\n"
            "try: pouch.Client('embed:///nonexistent/root')\n"
            "except pouch.PermissionDenied as error: print(error, error.details['finding'], sep='\\n')")
    done = python(library, code, AS_NOBODY)
    assert done.out == f'open engine root "/nonexistent/root": {NOT_ROOT}\nuser\n', done.err


def test_an_ordinary_user_has_the_mock_and_the_check(call):
    assert call("mock://", "ps", prefix=AS_NOBODY).code == 0
    report = json.loads(call("embed://", "check", "--format", "json", prefix=AS_NOBODY).out)
    assert report["Findings"][0]["Level"] == "error" and report["Findings"][0]["Message"] + "; " + report[
        "Findings"][0]["Fix"] == NOT_ROOT


# Without containerd, shim, runtime, keeper


def silent_socket(path):
    """A socket file at which nobody listens any more."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize("kind,why", [("absent", "No such file or directory"), ("refused", "Connection refused")])
def test_without_containerd(call, folder, kind, why, busybox_tar):
    path = folder / "c.sock"
    if kind == "refused":
        silent_socket(path)
    host = f"embed://{folder}/root?run={folder}/run&containerd={path}"
    text = f'reach containerd at "{path}": {why}; {START_CONTAINERD}'
    fails(call(host, "load", "-i", str(busybox_tar)), f"Error: {text}\n")
    assert not procs.mentioning(str(folder))
    # What needs no containerd goes on working.
    assert call(host, "ps", "-aq").out == ""
    assert call(host, "images", "-q").out == ""


def test_containerd_goes_after_the_root_was_made(call, busybox_tar):
    with PrivateContainerd() as containerd, embed_root(containerd) as host:
        assert call(host, "load", "-i", str(busybox_tar)).code == 0
        containerd.stop()
        text = f'reach containerd at "{containerd.socket}": No such file or directory; {START_CONTAINERD}'
        fails(call(host, "run", "--network", "none", "busybox", "true"), f"pouch: {text}{HINT}", 125)
        assert call(host, "ps", "-aq").out == ""


class BareContainerd(PrivateContainerd):
    """A containerd that finds the named programs only."""

    def __init__(self, *programs):
        super().__init__()
        self.bin = self.dir / "bin"
        self.bin.mkdir()
        shutil.copy(find_program("containerd"), self.bin)
        for program in programs:
            (self.bin / program).symlink_to(find_program(program))

    def command(self):
        return ["env", f"PATH={self.bin}", self.bin / "containerd", *super().command()[1:]]


def test_without_the_shim(call, busybox_tar):
    with BareContainerd("runc") as containerd, embed_root(containerd) as host:
        assert call(host, "load", "-i", str(busybox_tar)).code == 0
        finding = (f'containerd does not find the shim "io.containerd.runc.v2" (tried {containerd.bin})',
                   "apt-get install containerd, or put the shim on containerd's PATH")
        fails(call(host, "run", "--rm", "--network", "none", "busybox", "true"),
              f"pouch: failed to create task for container: {finding[0]}; {finding[1]}{HINT}", 125)
        assert call(host, "ps", "-aq").out == ""
        assert error_of(call, host, "shim") == finding


def test_without_the_runtime(call, busybox_tar):
    with BareContainerd("containerd-shim-runc-v2") as containerd, embed_root(containerd) as host:
        assert call(host, "load", "-i", str(busybox_tar)).code == 0
        finding = (f'the runtime "runc" is not there (tried {containerd.bin})',
                   "apt-get install runc, or choose another runtime (runtime=…)")
        fails(call(host, "run", "--rm", "--network", "none", "busybox", "true"),
              f"pouch: failed to create task for container: {finding[0]}; {finding[1]}{HINT}", 125)
        assert call(host, "ps", "-aq").out == ""
        assert error_of(call, host, "runtime") == finding


def test_without_a_runtime_of_ones_own(call, busybox_tar):
    with embed_root() as host:
        assert call(host, "load", "-i", str(busybox_tar)).code == 0
        other = f"{host}&runtime=/nonexistent/runtime"
        finding = ('the runtime "/nonexistent/runtime" is not there ("/nonexistent/runtime" is not an executable file)',
                   "install it on containerd's PATH, or choose another runtime (runtime=…)")
        fails(call(other, "run", "--rm", "--network", "none", "busybox", "true"),
              f"pouch: failed to create task for container: {finding[0]}; {finding[1]}{HINT}", 125)
        assert error_of(call, other, "runtime") == finding


def test_a_runtimes_last_words(call, busybox_tar, hugetlb):  # pylint: disable=unused-argument
    with embed_root() as host:
        assert call(host, "load", "-i", str(busybox_tar)).code == 0
        done = call(host, "run", "--rm", "--network", "none", "busybox", "nosuch")
        fails(done, "pouch: failed to create task for container: failed to create shim task: OCI runtime create failed: "
              'runc create failed: unable to start container process: exec: "nosuch": executable file not found in '
              f"$PATH: unknown{HINT}", 127)
        done = call(host, "run", "--rm", "--network", "none", "--runtime", "crun", "busybox", "nosuch")
        assert done.code == 127 and "executable file `nosuch` not found in $PATH" in done.err
        assert call(host, "ps", "-aq").out == ""


def error_of(call, host, name):
    report = json.loads(call(host, "check", "--format", "json").out)
    return next((f["Message"], f["Fix"]) for f in report["Findings"] if f["Name"] == name and f["Level"] == "error")


def test_without_the_keeper(library, call, busybox_tar):
    with private_dir() as bare, embed_root() as host:
        (bare / "lib").mkdir()
        shutil.copy(library / "lib/libpouch.so.1", bare / "lib")
        env = {"LD_LIBRARY_PATH": bare / "lib", "PATH": "/nowhere/bin"}
        assert call(host, "load", "-i", str(busybox_tar), **env).code == 0
        tried = ["$POUCH_KEEPER_PATH (not set)", f"{bare}/lib", f"{bare}/lib/../bin", f"{bare}/lib/../libexec/pouch",
                 "/nowhere/bin", "/usr/local/libexec/pouch", "/usr/libexec/pouch", "/usr/local/sbin", "/usr/local/bin",
                 "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        finding = (f'find program "pouch-keeper": tried {", ".join(tried)}',
                   "install pouch-keeper beside libpouch, or name it (keeper=…, or POUCH_KEEPER_PATH)")
        done = call(host, "run", "--rm", "--network", "none", "busybox", "true", **env)
        fails(done, f"pouch: {finding[0]}; {finding[1]}{HINT}", 125)
        assert call(host, "ps", "-aq", **env).out == ""
        report = json.loads(call(host, "check", "--format", "json", **env).out)
        keeper = next(f for f in report["Findings"] if f["Name"] == "keeper")
        assert (keeper["Message"], keeper["Fix"]) == finding


# A bad root


def refused_root(call, root, text):
    done = call(f"embed://{root}?containerd=/nonexistent.sock", "ps")
    fails(done, f'Error: open engine root "{root}": {text}\n')


def test_a_root_that_is_a_file(call, folder):
    (folder / "root").write_text("mine")
    refused_root(call, folder / "root", f'use folder "{folder}/root": it is not a folder; give the path of a folder')
    assert (folder / "root").read_text() == "mine"


def test_a_root_behind_a_link(call, folder):
    (folder / "real").mkdir()
    (folder / "root").symlink_to("real")
    refused_root(call, folder / "root",
                 f'use folder "{folder}/root": it is a symbolic link; give the path it leads to')
    assert contents(folder) == ["real", "root"]


def test_a_root_below_a_folder_that_others_may_write_to(call, folder):
    open_folder = folder / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    refused_root(call, open_folder / "root", f'use folder "{open_folder}": others may write to it; '
                 f"chmod go-w {open_folder}, or choose another folder")
    assert contents(folder) == ["open"]


def test_a_root_of_another_user(call, folder):
    root = folder / "root"
    root.mkdir()
    os.chown(root, NOBODY, NOBODY)
    refused_root(call, root, f'use folder "{root}": it belongs to user {NOBODY}; chown root {root}, '
                 "or choose another folder")
    assert contents(root) == [] and root.stat().st_uid == NOBODY


def unsafe(root, name):
    return (f'"{root}" would lie on {name}, where several processes cannot share it safely; choose a root folder on a '
            "local file system (ext4, xfs, btrfs, tmpfs)")


def test_a_root_on_overlay(call, folder):
    for name in ("low", "up", "work", "merged"):
        (folder / name).mkdir()
    merged = folder / "merged"
    # An upper folder on an overlay would not do, so it is on a tmpfs of its own.
    run("mount", "-t", "tmpfs", "pouch-test", folder / "up")
    try:
        for name in ("u", "w"):
            (folder / "up" / name).mkdir()
        run("mount", "-t", "overlay", "pouch-test", "-o",
            f"lowerdir={folder}/low,upperdir={folder}/up/u,workdir={folder}/up/w", merged)
        try:
            refused_root(call, merged / "root", unsafe(merged / "root", "overlay"))
            assert contents(merged) == []
        finally:
            run("umount", merged)
    finally:
        run("umount", folder / "up")


def test_a_root_on_fuse(call, folder):
    mounted = folder / "fuse"
    mounted.mkdir()
    with fuse_mount(mounted):
        refused_root(call, mounted / "root", unsafe(mounted / "root", "FUSE"))


def test_a_run_folder_that_will_not_do(call, folder):
    (folder / "run").write_text("")
    root = folder / "root"
    done = call(f"embed://{root}?run={folder}/run", "ps")
    fails(done, f'Error: open engine root "{root}": use folder "{folder}/run": it is not a folder; '
          "give the path of a folder\n")
    assert contents(folder) == ["run"]


def test_no_new_privileges(call, busybox_tar):
    with embed_root() as host:
        assert call(host, "load", "-i", str(busybox_tar)).code == 0
        done = call(host, "run", "--rm", "--network", "none", "busybox", "true", prefix=["setpriv", "--no-new-privs"])
        assert done.code == 125
        assert done.err.startswith("pouch: launch \"") and done.err.endswith(
            ": this process has no_new_privs set, and a program started from it could not run containers; start it "
            f"without (setpriv --no-new-privs, systemd's NoNewPrivileges=){HINT}")
        assert call(host, "ps", "-aq").out == ""


# Without pouchd, without rights on its socket


@pytest.mark.parametrize("kind,why", [("absent", "No such file or directory"), ("refused", "Connection refused")])
def test_without_pouchd(call, library, folder, kind, why):
    path = folder / "p.sock"
    if kind == "refused":
        silent_socket(path)
    text = f"connect to unix://{path}: {why}; {START_POUCHD}"
    fails(call(f"unix://{path}", "ps"), f"Error: container.list: {text}\n")
    fails(call(f"unix://{path}", "run", "busybox"), f"pouch: container.create: {text}{HINT}", 125)
    code = (f"import pouch\ntry: pouch.Client('unix://{path}').system.ping()\n"
            "except pouch.Unavailable as error: print(error, error.details['fix'], sep='\\n')")
    assert python(library, code).out == f"system.ping: {text}\n{START_POUCHD}\n"


def test_without_pouchd_over_tcp(call):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refuses
        uri = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        fails(call(uri, "ps"), f"Error: container.list: connect to {uri}: Connection refused; {START_POUCHD}\n")


@pytest.mark.parametrize("group,fix", [
    (0, "use sudo, or have pouchd give the socket to a group (pouchd --group NAME)"),
    (8, "join its group (sudo usermod -aG mail $USER, then log in again)"),
])
def test_without_rights_on_the_socket(call, folder, group, fix):
    folder.chmod(0o755)
    path = folder / "p.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        os.chown(path, 0, group)
        path.chmod(0o660)
        text = f"connect to unix://{path}: permission denied; {fix}"
        fails(call(f"unix://{path}", "ps", prefix=AS_NOBODY), f"Error: container.list: {text}\n")
        report = json.loads(call(f"unix://{path}", "check", "--format", "json", prefix=AS_NOBODY).out)
        assert report == {"Ok": False, "Findings": [
            {"Name": "socket", "Level": "error", "Fix": fix,
             "Message": f"system.check: connect to unix://{path}: permission denied"}]}


# From a virtual environment, through sudo


def make_venv(library, venv):
    """What a wheel installs: the package, and library and keeper beside it."""
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    packages = next(pathlib.Path(venv, "lib").glob("python3*/site-packages"))
    shutil.copytree(library / "python/pouch", packages / "pouch")
    shutil.copytree(library / "lib", packages / "pouch.libs/lib")
    shutil.copytree(library / "bin", packages / "pouch.libs/bin")
    return packages / "pouch.libs/lib"


def test_a_virtual_environment_that_goes_away(library, busybox_tar):
    with private_dir() as folder, embed_root() as host:
        libraries = make_venv(library, folder / "venv")
        code = (f"import pouch\nwith pouch.Client('{host}') as client:\n"
                f"  client.images.load_file('{busybox_tar}')\n"
                "  box = client.containers.run('busybox', 'echo one; cat; echo two', network='none', detach=True,\n"
                "                              name='box', stdin=None)\n"
                "  print(client.containers.run('busybox', ['echo', 'hi'], network='none', remove=True).decode())\n")
        # As sudo starts it: its own PATH, nothing of the user's environment.
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"LD_LIBRARY_PATH={libraries}"]
        done = run(*clean, folder / "venv/bin/python", "-c", code, check=False)
        assert (done.code, done.out) == (0, "hi\n\n"), done.err
        shutil.rmtree(folder / "venv")
        pouch = [build_dir() / "bin/pouch", "-H", host]
        assert run(*pouch, "wait", "box").out == "0\n"
        assert run(*pouch, "logs", "box").out == "one\ntwo\n"
        run(*pouch, "rm", "box")
