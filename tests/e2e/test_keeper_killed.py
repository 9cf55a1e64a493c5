"""Both processes of the keeper killed at once, while nobody asks the engine that is open for anything: it has another
keeper, and what the keeper does goes on."""

import contextlib
import json
import os
import pathlib
import signal

import pouch
import pytest
from pouchtest.embed import embed_root, keepers, kill_keepers
from pouchtest.pouchd import Pouchd
from pouchtest.procs import wait_until

pytest_plugins = ["pouchtest.fixtures"]
pytestmark = pytest.mark.vm  # there systemd makes the place where the next one runs

SECONDS = 30
COUNT = "i=0; while true; do i=$((i + 1)); echo $i; usleep 20000; done"
ASK = "while true; do nslookup other >/dev/null 2>&1 && echo found || echo lost; usleep 50000; done"


class Engine:
    """Its client, the root that it is on, and where its keeper runs."""

    def __init__(self, client, root, folder):
        self.client, self.root, self.folder = client, pathlib.Path(root), folder
        self.made = []

    def run(self, command, **options):
        container = self.client.containers.run("busybox", ["sh", "-c", command], detach=True, **options)
        self.made.append(container)
        return container

    def lines(self, container):
        """What the log has, read without the engine."""
        log = self.root / "containers" / container.id / f"{container.id}-json.log"
        return [json.loads(line)["log"].strip() for line in log.read_text().splitlines() if line.endswith("}")]

    def keepers(self):
        return set(keepers(self.folder))


@pytest.fixture(name="engine", params=["embed", "unix"])
def engine_fixture(request, busybox_tar):
    with embed_root() if request.param == "embed" else Pouchd() as made:
        if request.param == "embed":
            uri, root = made, made.removeprefix("embed://").split("?")[0]
            folder = root.removesuffix("/root")
        else:
            uri, root, folder = made.uri, made.dir / "home", made.dir
        with pouch.Client(uri) as client:
            client.images.load_file(str(busybox_tar))
            engine = Engine(client, root, folder)
            yield engine
            for container in engine.made:
                with contextlib.suppress(pouch.NotFound, pouch.Conflict):  # of AutoRemove, under way
                    container.remove(force=True)
            client.networks.prune()


def kill_all(engine):
    old = kill_keepers(engine.folder)
    assert old
    assert wait_until(lambda: engine.keepers() and not engine.keepers() & old, SECONDS), engine.keepers()


def test_logs_go_on(engine):
    counter = engine.run(COUNT, network="none")
    for _ in range(2):
        before = len(engine.lines(counter))
        kill_all(engine)
        assert wait_until(lambda b=before: len(engine.lines(counter)) > b + 100, SECONDS)
    lines = list(dict.fromkeys(map(int, engine.lines(counter))))  # each kill may repeat a chunk
    assert len(lines) > 200
    assert lines == sorted(lines)


def test_names_are_answered(engine):
    engine.client.networks.create({"Name": "names"})
    engine.run("sleep 1000", network="names", name="other")
    asker = engine.run(ASK, network="names")
    assert wait_until(lambda: "found" in engine.lines(asker), SECONDS)
    kill_all(engine)
    before = len(engine.lines(asker))
    assert wait_until(lambda: engine.lines(asker)[before:].count("found") > 5, SECONDS), engine.lines(asker)[before:]


def test_exits_are_recorded(engine):
    """Also of a container that nobody waits for, and AutoRemove."""
    ends = engine.run("sleep 1000", network="none", host_config={"AutoRemove": True})
    engine.run("sleep 1000", network="none")
    pid = engine.client.containers.inspect(ends.id)["State"]["Pid"]
    kill_all(engine)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not (engine.root / "containers" / ends.id).exists(), SECONDS)
