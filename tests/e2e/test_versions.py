"""Several versions on one root: today's library, one of the next format, one that needs the root alone, an older keeper."""

import contextlib
import sqlite3
import subprocess
import sys

import pouch
import pytest
from pouchtest import procs
from pouchtest.embed import embed_root, end_keepers
from pouchtest.paths import REPO, build_dir
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
NEXT = build_dir() / "lib/next"
ALONE = build_dir() / "lib/alone"
OLDER_KEEPER = build_dir() / "bin/older/pouch-keeper"
# Of each noun what touches rows; the others say the same of every library.
SCRIPTS = ("container-create-bad", "container-lifecycle", "container-list", "container-logs", "container-names",
           "container-stop-kill", "container-wait", "events", "exec", "gone-before", "image-from-rootfs", "image-load",
           "image-tag-remove", "session", "system")


@pytest.fixture(name="root")
def root_fixture():
    with embed_root() as uri:
        yield uri


def folder_of(uri):
    return uri.partition("://")[2].partition("/root?")[0]


def command(uri, *args, library=build_dir() / "lib", **options):
    return run(POUCH, "-H", uri, *args, env={"LD_LIBRARY_PATH": library}, **options)


def numbers(uri):
    with contextlib.closing(sqlite3.connect(f"{folder_of(uri)}/root/pouch.db")) as database:
        return {key: int(value) for key, value in database.execute(
            "SELECT key, value FROM root WHERE key IN ('format', 'min_reader', 'min_writer')")}


def conform(uri, library):
    done = subprocess.run([REPO / "tests/conformance/run", "--engine", "embed", "--language", "c", "--uri", uri,
                           "--library", library, *SCRIPTS], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert f"{len(SCRIPTS)} passed" in done.stdout


def test_next_format_and_today_s_live_on_one_root(root, busybox_tar):
    """The next one migrates while today's has the root open, and both pass the scripts; so does today's keeper."""
    with pouch.Client(root) as client:
        client.images.load_file(str(busybox_tar))
        held = client.containers.run("busybox", ["sleep", "1000"], name="held", detach=True, network="none")
        today = numbers(root)
        assert command(root, "ps", "-q", "--no-trunc", library=NEXT).out.strip() == held.id
        assert numbers(root) == {**today, "format": today["format"] + 1}
        assert held.status == "running"
        held.remove(force=True)  # the scripts expect a root without containers
        conform(root, NEXT)
        if "busybox:latest" not in {tag for image in client.images.list() for tag in image["RepoTags"]}:
            client.images.load_file(str(busybox_tar))
        assert client.containers.run("busybox", ["echo", "hi"], remove=True, network="none") == b"hi\n"
    conform(root, build_dir() / "lib")
    assert numbers(root)["format"] == today["format"] + 1


def test_a_migration_that_needs_the_root_alone(root, busybox_tar):
    command(root, "load", "-i", busybox_tar)
    today = numbers(root)
    holder = subprocess.Popen([sys.executable, "-c", "import sys, pouch; c = pouch.Client(sys.argv[1]);"
                               "print(c.containers.list(), flush=True); sys.stdin.read()", root],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"[]\n"
        refused = command(root, "ps", library=ALONE, check=False)
        assert refused.code == 1 and "its migration needs it alone, and others have it open: pid " in refused.err
        assert str(holder.pid) in refused.err
        assert numbers(root) == today
        holder.stdin.close()
    end_keepers(folder_of(root))
    assert command(root, "images", "-q", library=ALONE).out
    assert numbers(root) == {**today, "format": today["format"] + 1, "min_writer": today["format"] + 1}
    refused = command(root, "ps", check=False)
    assert refused.code == 1 and f"needs a Pouch that knows format {today['format'] + 1}" in refused.err


def test_an_older_keeper(root, busybox_tar):
    """Today's library works with it, but says so where it needs what that one has not learnt."""
    older = f"{root}&keeper={OLDER_KEEPER}"
    with pouch.Client(older) as client:
        client.images.load_file(str(busybox_tar))
        assert client.containers.run("busybox", ["echo", "hi"], remove=True, network="none") == b"hi\n"
        with pytest.raises(pouch.Unavailable, match=r"open a session: the root's keeper \(pid \d+, .*knows no sessions"):
            pouch.Client(root, session=True)
    end_keepers(folder_of(root))
    assert procs.wait_until(lambda: not procs.mentioning(f"{folder_of(root)}/root/bin"), 30)
    with pouch.Client(root, session=True) as client:
        assert client.containers.run("busybox", ["echo", "hi"], remove=True, network="none") == b"hi\n"
