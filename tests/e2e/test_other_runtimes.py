"""Hosts with machinery of their own beside the library: reapers of children, gRPC, protobuf, OpenSSL."""

import os
import subprocess
import sys

import pytest
from pouchtest.embed import embed_root, new_root
from pouchtest.hosts import run_host
from pouchtest.paths import REPO, build_dir

pytest_plugins = ["pouchtest.fixtures"]

PROGRAMS = REPO / "tests/e2e/programs"
SECONDS = 240


@pytest.fixture(name="fresh_uri")
def fresh_uri_fixture():
    """A root whose keeper and containerd the host itself has to start."""
    with new_root() as uri:
        yield uri


@pytest.fixture(name="go_reaper", scope="module")
def go_reaper_fixture(tmp_path_factory):
    program = tmp_path_factory.mktemp("go") / "reaper"
    env = {**os.environ, "PKG_CONFIG_PATH": f"{build_dir()}/pkgconfig", "GOPROXY": "off"}
    subprocess.run(["go", "build", "-o", program, "."], cwd=PROGRAMS / "reaper", env=env, check=True, timeout=SECONDS)
    return program


def test_go_host_that_collects_every_child(fresh_uri, busybox_tar, go_reaper):
    done = run_host([go_reaper, fresh_uri, busybox_tar], SECONDS, library_path=True)
    assert done.returncode == 0, done.stderr


def test_jvm_with_children(fresh_uri, busybox_tar):
    subprocess.run([build_dir() / "bin/pouch", "-H", fresh_uri, "load", "--input", busybox_tar], check=True, timeout=60,
                   capture_output=True)
    jars = f"{build_dir()}/java/pouch.jar:/usr/share/java/gson.jar"
    done = run_host(["java", "-Xcheck:jni", "-cp", jars, f"-Djava.library.path={build_dir()}/lib", PROGRAMS / "Reaper.java",
                     fresh_uri], SECONDS, library_path=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("order", ["before", "after"])
def test_grpc_protobuf_and_openssl_in_one_process(busybox_tar, order):
    with embed_root() as uri:
        done = run_host([sys.executable, PROGRAMS / "grpc_host.py", uri, busybox_tar, order], SECONDS)
    assert done.returncode == 0, done.stderr
