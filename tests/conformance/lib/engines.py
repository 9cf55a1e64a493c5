"""The engines of the matrix: each a context manager that gives an URI."""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from pouchtest.dockerd import PrivateDockerd  # noqa: E402
from pouchtest.embed import new_root  # noqa: E402
from pouchtest.pouchd import Pouchd  # noqa: E402


@contextlib.contextmanager
def mock():
    yield "mock://"


@contextlib.contextmanager
def embed():
    # As users have it: the root runs its containerd itself. The daemons are given one.
    with new_root() as uri:
        yield uri


@contextlib.contextmanager
def unix():
    with Pouchd() as pouchd:
        yield pouchd.uri


@contextlib.contextmanager
def dockerd():
    with PrivateDockerd() as daemon:
        yield f"unix://{daemon.socket}"


ENGINES = {"mock": mock, "embed": embed, "unix": unix, "dockerd": dockerd}
