"""json-file with max-size and max-file: the options reach the keeper, and who follows loses nothing."""

import json
import pathlib

import pouch
import pytest
from pouchtest.embed import embed_root
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]

BURSTS, LINES = 40, 40  # one burst is less than a file: at most one rotation in each


def files_of(log_path):
    """The files of a log, newest first."""
    path = pathlib.Path(log_path)
    return [path, *sorted(path.parent.glob(path.name + ".*"), key=lambda p: int(p.suffix[1:]))]


@pytest.fixture(name="uri", scope="module", params=["embed", "unix"])
def uri_fixture(request):
    with embed_root() if request.param == "embed" else Pouchd() as engine:
        yield engine if request.param == "embed" else engine.uri


def test_follower_reads_every_line_over_rotations(uri, busybox_tar):
    script = f"from=1; while read x; do seq $from $((from + {LINES - 1})); from=$((from + {LINES})); done"
    with pouch.Client(uri) as client:
        client.images.load_file(str(busybox_tar))
        made = client.containers.create({
            "Image": "busybox", "Cmd": ["sh", "-c", script], "OpenStdin": True, "StdinOnce": True,
            "HostConfig": {"NetworkMode": "none",
                           "LogConfig": {"Type": "json-file", "Config": {"max-size": "4k", "max-file": "2"}}}})
        container = client.containers.get(made["Id"])
        attached = client.containers.attach(container.id, stream=True, stdin=True)
        container.start()
        followed = b""
        with container.follow() as stream:
            for burst in range(1, BURSTS + 1):
                attached.write(b"go\n")
                while not followed.endswith(b"\n%d\n" % (burst * LINES)):
                    followed += stream.next(timeout=60).data
        attached.close_write()
        assert container.wait() == 0
        attached.close()
        assert followed.split() == [b"%d" % i for i in range(1, BURSTS * LINES + 1)]
        files = files_of(container.reload().attrs["LogPath"])
        assert [f.suffix for f in files] == [".log", ".1"]
        assert files[1].stat().st_size >= 4096
        kept = [int(line) for line in container.logs().split()]
        in_files = [int(json.loads(line)["log"]) for file in reversed(files) for line in file.read_text().splitlines()]
        assert kept == in_files == list(range(in_files[0], BURSTS * LINES + 1)) and in_files[0] > 1
        container.remove()
        assert not any(f.exists() for f in files)


def test_options_of_the_docker_cli(busybox_tar):
    with Pouchd() as daemon:
        daemon.docker("load", "--input", busybox_tar)
        daemon.docker("run", "--name", "aa", "--network", "none", "--log-opt", "max-size=1k", "--log-opt", "max-file=3",
                      "busybox", "seq", "500")
        path, options = daemon.docker("inspect", "-f", "{{.LogPath}} {{json .HostConfig.LogConfig.Config}}",
                                      "aa").out.split(maxsplit=1)
        assert json.loads(options) == {"max-size": "1k", "max-file": "3"}
        assert [f.suffix for f in files_of(path)] == [".log", ".1", ".2"]
        kept = daemon.docker("logs", "aa").lines
        assert kept == [str(i) for i in range(501 - len(kept), 501)] and 10 < len(kept) < 200
        daemon.docker("rm", "aa")
