"""The examples that tools/quickstart runs, in-process and through a pouchd."""

import os
import subprocess
import sys

import pytest
from pouchtest.embed import embed_root
from pouchtest.paths import REPO, build_dir
from pouchtest.pouchd import Pouchd

sys.path.insert(0, str(REPO / "tools/demo"))
import quickstart  # noqa: E402

pytest_plugins = ["pouchtest.fixtures"]
quickstart.BUILD = build_dir()


@pytest.fixture(name="hosts", scope="module")
def hosts_fixture(busybox_tar):
    """The address of each engine, with the image."""
    env = {**os.environ, "PYTHONPATH": f"{build_dir()}/python", "LD_LIBRARY_PATH": f"{build_dir()}/lib"}
    load = "import sys, pouch; pouch.Client(sys.argv[1]).images.load_file(sys.argv[2])"
    with embed_root() as embed, Pouchd() as pouchd:
        for uri in (embed, pouchd.uri):
            subprocess.run(["/usr/bin/python3", "-c", load, uri, busybox_tar], env=env, check=True)
        yield {"embed": embed, "unix": pouchd.uri}


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{REPO}/capi/include",
                    REPO / "examples/c/hello.c", f"-L{build_dir()}/lib", "-lpouch", "-o", folder / "hello"], check=True)
    return folder


@pytest.mark.parametrize("engine", ["embed", "unix"])
@pytest.mark.parametrize("language", ["C", "Python", "Go", "Java"])
def test_hello(language, engine, hosts, folder):
    command, where, env = quickstart.examples(folder)[language]
    done = subprocess.run([*map(str, command), hosts[engine]], cwd=where, env={**os.environ, **env}, text=True,
                          capture_output=True, timeout=240, check=False)
    assert (done.returncode, done.stdout) == (0, "hello from a container\n"), done.stderr


@pytest.mark.parametrize("language", ["C", "Python", "Go", "Java"])
def test_an_error_is_told(language, folder):
    """No image: an exit code, a line that says so, and no stack trace."""
    command, where, env = quickstart.examples(folder)[language]
    done = subprocess.run([*map(str, command), "mock://"], cwd=where, env={**os.environ, **env}, text=True,
                          capture_output=True, timeout=240, check=False)
    assert done.returncode == 1 and "No such image: busybox" in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("exit status")]) == 1, done.stderr
