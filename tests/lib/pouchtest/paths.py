"""Where things are."""

import contextlib
import os
import pathlib
import shutil
import tempfile

REPO = pathlib.Path(__file__).resolve().parents[3]


def build_dir():
    """The build under test: $POUCH_BUILD_DIR, else build/."""
    return pathlib.Path(os.environ.get("POUCH_BUILD_DIR", REPO / "build")).resolve()


def find_program(name):
    """The path of a program, also where only root's PATH has it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if not found:
        raise FileNotFoundError(f"{name} is not installed; tools/setup installs it")
    return found


def docker_cli():
    """The docker CLI that users have: the first on PATH."""
    return find_program("docker")


@contextlib.contextmanager
def private_dir(prefix="pouch-test-", parent=None):
    """A private folder (0700) with a short name, since a unix socket's path has 107 bytes at most."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)
