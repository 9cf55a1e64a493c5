"""The code blocks of README.md, run as they stand: in-process, and through a pouchd."""

import os
import re
import subprocess

import pytest
from pouchtest.embed import embed_root
from pouchtest.paths import REPO, build_dir
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]

_TEXT = (REPO / "README.md").read_text()
# Blocks of other languages (console) are for reading.
_BLOCKS = re.findall(r"^```(sh|python|go|java|c)\n(.*?)^```$", _TEXT, re.MULTILINE | re.DOTALL)
_SETUP = next(body for _, body in _BLOCKS if "PKG_CONFIG_PATH" in body)
_GO_MODULE = "-require=pouch.dev/pouch@v0.0.0", f"-replace=pouch.dev/pouch={REPO}/bindings/go"


def cases():
    """Each block with each engine that it is for."""
    for number, (language, body) in enumerate(_BLOCKS):
        if body == _SETUP:
            continue
        engines = ["mock"] if "mock://" in body else ["embed", "unix"]
        if "docker -H" in body:
            engines.remove("embed")
        for engine in engines:
            yield pytest.param(language, body, engine, id=f"{number}-{language}-{engine}")


@pytest.fixture(scope="module")
def environment():
    """The environment that the README sets up, on the build under test."""
    script = "set -eu\n" + _SETUP.replace("$PWD/build", str(build_dir())) + "env -0\n"
    done = subprocess.run(["bash", "-c", script], cwd=REPO, capture_output=True, check=True)
    variables = dict(entry.split("=", 1) for entry in os.fsdecode(done.stdout).split("\0") if "=" in entry)
    return {**variables, "GOPROXY": "off", "GOTOOLCHAIN": "local", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def hosts(environment, busybox_tar):
    """The address of each engine; its image is there, whichever block runs first."""
    with embed_root() as embed, Pouchd() as pouchd:
        addresses = {"embed": embed, "unix": pouchd.uri, "mock": "mock://"}
        for uri in (embed, pouchd.uri):
            load = "import sys, pouch; pouch.Client(sys.argv[1]).images.load_file(sys.argv[2])"
            subprocess.run(["/usr/bin/python3", "-c", load, uri, busybox_tar], env=environment, check=True)
        yield addresses


def commands(language, body, folder):
    """Writes the block as a program; the commands that build and run it."""
    name = {"java": "Hello.java", "python": "test_block.py", "c": "hello.c", "go": "main.go", "sh": "block.sh"}[language]
    (folder / name).write_text(body)
    if language == "sh":
        return [["bash", "-eu", name]]
    if language == "python":
        runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "def test_" in body else []
        return [["/usr/bin/python3", *runner, name]]
    if language == "java":
        return [["java", name]]
    if language == "c":
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "pouch"], capture_output=True, text=True, check=True,
                               env={**os.environ, "PKG_CONFIG_PATH": f"{build_dir()}/pkgconfig"}).stdout.split()
        return [["cc", "-Wall", "-Wextra", "-Werror", name, *flags, "-o", "hello"], ["./hello"]]
    return [["go", "mod", "init", "hello"], ["go", "mod", "edit", *_GO_MODULE], ["go", "run", "."]]


@pytest.mark.parametrize("language, body, engine", list(cases()))
def test_block(language, body, engine, environment, hosts, busybox_tar, tmp_path):
    (tmp_path / "busybox.tar").symlink_to(busybox_tar)
    env = {**environment, "POUCH_HOST": hosts[engine], "DOCKER_CONFIG": str(tmp_path / "docker")}
    output = ""
    for command in commands(language, body, tmp_path):
        done = subprocess.run(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=240, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: exited with {done.returncode}\n{done.stdout}"
        output += done.stdout
    wanted = "1 passed" if "def test_" in body else "hi" if re.search(r"\bhi\b", body) else ""
    assert re.search(rf"\b{wanted}\b", output) or not wanted, output


def test_there_is_a_block_of_each_language():
    assert {language for language, _ in _BLOCKS} == {"sh", "python", "go", "java", "c"}


def test_the_commands_named_are_there():
    named = re.findall(r"^\$ (tools/\w+)", _TEXT, re.MULTILINE)
    assert set(named) == {"tools/quickstart", "tools/test"}
    assert all(os.access(REPO / name, os.X_OK) for name in named)
