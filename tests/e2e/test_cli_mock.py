"""The pouch command as a process, where no engine is needed: the mock lives as long as one command."""

import os
import subprocess

import pytest
from pouchtest.paths import build_dir
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]


def pouch(*args, host="mock://", **options):
    where = ["-H", host] if host else []
    return run(build_dir() / "bin/pouch", *where, *args, **{"check": False, **options})


def test_version_needs_no_engine():
    result = pouch("--version", host=None)
    assert result.code == 0 and result.out.startswith("Pouch version ")


@pytest.mark.parametrize("words,code,message", [
    (["ps", "--foo"], 125, "unknown flag: --foo\n\nUsage:  pouch ps [OPTIONS]\n\n"),
    (["run", "-m", "12q", "x"], 125, 'invalid argument "12q" for "-m, --memory" flag: invalid suffix'),
    (["run"], 1, "pouch: 'pouch run' requires at least 1 argument\n\n"),
    (["nosuch"], 1, "pouch: unknown command: pouch nosuch\n"),
    (["rm", "nosuch"], 1, "Error: No such container: nosuch\n"),
    (["rm", "-f", "nosuch"], 0, "Error: No such container: nosuch\n"),
    (["inspect", "nosuch"], 1, "Error: No such object: nosuch\n"),
    (["inspect", "-f", "{{x", "nosuch"], 64, "template parsing error: template: :1: unclosed action\n"),
    (["run", "--network", "none", "--pull", "never", "nosuch"], 125, "pouch: No such image: nosuch:latest; "),
    (["run", "--env-file", "/nosuch", "x"], 125, "pouch: open /nosuch: No such file or directory\n"),
    (["run", "-it", "x"], 1, "the input device is not a TTY\n"),
    (["load", "-i", "/nosuch"], 1, "open /nosuch: No such file or directory\n"),
    (["events", "--since", "x"], 1, 'invalid value for "since": '),
    (["ps", "--filter", "nosuch"], 125, "bad format of filter (expected name=value)"),
    (["--log-level", "x", "ps"], 125, 'invalid argument "x" for "-l, --log-level" flag: '),
])
def test_mistakes(words, code, message):
    result = pouch(*words)
    assert result.code == code and message in result.err, result.err


def test_load(busybox_tar):
    assert pouch("load", "-i", busybox_tar).out == "Loaded image: busybox:latest\n"
    with open(busybox_tar, "rb") as tar:
        assert pouch("load", stdin=tar).out == "Loaded image: busybox:latest\n"
    result = pouch("load", stdin=busybox_tar.read_bytes()[:5000])
    assert result.code == 1 and result.err.startswith("Error: "), result.err


def test_from_rootfs(tmp_path):
    (tmp_path / "a").write_text("text")
    assert pouch("image", "from-rootfs", tmp_path, "box:1").out == "Made image: box:1\n"
    assert pouch("image", "from-rootfs", "-q", tmp_path, "box").out.startswith("sha256:")
    assert pouch("image", "from-rootfs", tmp_path / "nosuch", "box").code == 1


def test_host_from_the_environment_and_files(tmp_path):
    env = {"POUCH_HOST": "mock://", "XDG_CONFIG_HOME": tmp_path}
    assert pouch("version", "-f", "{{.Client.Host}}", host=None, env=env).out == "mock://\n"
    (tmp_path / "pouch").mkdir()
    (tmp_path / "pouch/config.json").write_text('{"host": "mock://?wrong=exit-code"}')
    env["POUCH_HOST"] = ""
    assert pouch("version", "-f", "{{.Client.Host}}", host=None, env=env).out == "mock://?wrong=exit-code\n"
    assert pouch("version", "-f", "{{.Client.Host}}", env=env).out == "mock://\n"


def test_engine_that_is_not_there():
    result = pouch("ps", host="unix:///nosuch.sock")
    assert result.code == 1 and result.err.startswith("Error: ") and "unix:///nosuch.sock" in result.err
    assert pouch("run", "x", host="unix:///nosuch.sock").code == 125
    version = pouch("version", host="unix:///nosuch.sock")
    assert version.code == 1 and version.out.startswith("Client:\n")
    assert pouch("ps", host="nosuch://").code == 1


def test_output_that_cannot_be_written():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([build_dir() / "bin/pouch", "-H", "mock://", "ps"], stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert done.returncode == 1 and "No space left on device" in done.stderr


def test_every_command_has_help():
    def commands(*group):
        lines = pouch(*group).lines
        return [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("  -")
                and not line.startswith("   ")]

    names = [[name] for name in commands()]
    for group in ("container", "image", "system"):
        names += [[group, name] for name in commands(group)]
    assert len(names) > 30
    for name in names:
        result = pouch(*name, "--help")
        assert result.code == 0 and result.out.startswith(f"Usage:  pouch {' '.join(name)}"), name


def test_id_file(tmp_path):
    """An id file that was not written goes again."""
    path = tmp_path / "id"
    assert pouch("run", "--cidfile", path, "--network", "none", "absent").code == 125
    assert not os.path.exists(path)
    path.write_text("x")
    result = pouch("run", "--cidfile", path, "nosuch")
    assert result.code == 125 and "container ID file found" in result.err and path.read_text() == "x"
