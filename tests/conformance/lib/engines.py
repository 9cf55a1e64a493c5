"""The engines of the matrix: each a context manager that gives an URI."""

import contextlib
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from pouchtest.containerd import PrivateContainerd  # noqa: E402
from pouchtest.dockerd import PrivateDockerd  # noqa: E402
from pouchtest.pouchd import Pouchd  # noqa: E402


@contextlib.contextmanager
def mock():
    yield "mock://"


@contextlib.contextmanager
def embed():
    with tempfile.TemporaryDirectory(prefix="pouch-") as folder, PrivateContainerd() as containerd:
        yield f"embed://{folder}/root?run={folder}/run&containerd={containerd.socket}"


@contextlib.contextmanager
def unix():
    with Pouchd() as pouchd:
        yield pouchd.uri


@contextlib.contextmanager
def dockerd():
    with PrivateDockerd() as daemon:
        yield f"unix://{daemon.socket}"


ENGINES = {"mock": mock, "embed": embed, "unix": unix, "dockerd": dockerd}
