"""Terminals as users have them: the docker CLI against pouchd, and the pouch command in-process, through pouchd and on
a stock dockerd, typed at through a pseudo-terminal. All of them behave alike."""

import signal

import pytest
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.paths import build_dir, docker_cli
from pouchtest.pouchd import Pouchd
from pouchtest.procs import wait_until
from pouchtest.run import run
from pouchtest.terminal import Terminal

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
NONE = ("--network", "none")
KEYS = b"\x10\x11"  # ctrl-p, ctrl-q


class Client:
    """One command line tool on one engine. `old`: with the words and codes of API 1.41."""

    def __init__(self, command, env, old=False):
        self.command, self.env, self.old = [str(word) for word in command], env, old

    def __call__(self, *args, **options):
        return run(*self.command, *args, env=self.env, **options)

    def type(self, *args, **options):
        return Terminal([*self.command, *args], env=self.env, **options)

    @property
    def name(self):
        return "docker" if "docker" in self.command[0] else "pouch"

    def is_running(self, name):
        return self("inspect", "-f", "{{.State.Running}}", name).out == "true\n"


@pytest.fixture(name="clients", scope="module")
def clients_fixture(busybox_tar):
    with embed_root() as embed, Pouchd() as pouchd, PrivateDockerd() as dockerd:
        docker = {"DOCKER_HOST": pouchd.uri, "DOCKER_CONFIG": pouchd.dir / "cli"}
        clients = {
            "pouch-embed": Client([POUCH, "-H", embed], {}),
            "pouch-unix": Client([POUCH, "-H", pouchd.uri], {}),
            "pouch-dockerd": Client([POUCH, "-H", dockerd.host], {}, old=True),
            "docker-1.41": Client([docker_cli()], {**docker, "DOCKER_API_VERSION": "1.41"}, old=True),
            "docker-1.50": Client([docker_cli()], {**docker, "DOCKER_API_VERSION": "1.50"}),
        }
        for name in ("pouch-embed", "pouch-unix", "pouch-dockerd"):
            clients[name]("load", "-i", busybox_tar)
        yield clients


@pytest.fixture(name="client", params=["pouch-embed", "pouch-unix", "pouch-dockerd", "docker-1.41", "docker-1.50"])
def client_fixture(request, clients):
    client = clients[request.param]
    yield client
    if ids := client("ps", "-aq").lines:
        client("rm", "-f", *ids)


def resize(client, terminal, rows, columns):
    """Docker's command misses a change that comes while it tells the size for the first time."""
    terminal.resize(rows, columns)
    text = f"is-{rows}x{columns}\r\n"
    for _ in range(60 if client.name == "docker" else 0):
        if wait_until(lambda: terminal.has_printed(text), 1):
            break
        terminal.process.send_signal(signal.SIGWINCH)
    terminal.expect(text)


def sized(rows, columns):
    """A script's line that waits for a size of its terminal."""
    return f'until stty size 2>/dev/null | grep -qx "{rows} {columns}"; do sleep 0.05; done; echo is-{rows}x{columns}'


def await_raw(terminal):
    assert wait_until(terminal.is_raw, 60), terminal.output


def test_run(client):
    script = f"{sized(31, 97)}; echo $TERM; read x; echo got $x; {sized(40, 100)}; exit 7"
    with client.type("run", "-it", "--name", "aa", *NONE, "busybox", "sh", "-c", script, size=(31, 97)) as terminal:
        terminal.expect("is-31x97\r\n")
        terminal.expect("xterm\r\n")
        assert terminal.is_raw()
        terminal.send("hello\r")
        terminal.expect("hello\r\ngot hello\r\n")  # the container's terminal echoes, once
        resize(client, terminal, 40, 100)
        assert terminal.wait() == 7
        assert terminal.settings() == terminal.settings_before
    assert "got hello\r\n" in client("logs", "aa", text=False).out.decode()


def test_control_c_is_a_key(client):
    script = 'trap "echo int; exit 9" INT; echo ready; while true; do sleep 0.1; done'
    with client.type("run", "-it", "--rm", *NONE, "busybox", "sh", "-c", script) as terminal:
        terminal.expect("ready\r\n")
        await_raw(terminal)
        terminal.send("\x03")
        terminal.expect("int\r\n")
        assert terminal.wait() == 9


def test_detach_and_attach(client):
    with client.type("run", "-it", "--name", "aa", *NONE, "busybox", "cat") as terminal:
        await_raw(terminal)
        terminal.send("one\r")
        terminal.expect("one\r\none\r\n")
        terminal.send(KEYS)
        assert terminal.wait() == 0
        assert terminal.settings() == terminal.settings_before
    assert client.is_running("aa")
    with client.type("attach", "aa") as terminal:
        await_raw(terminal)
        terminal.send("two\r")
        terminal.expect("two\r\ntwo\r\n")
        terminal.send(KEYS[:1])
        terminal.send(KEYS[1:])
        assert terminal.wait() == 1
        assert terminal.output.endswith(b"read escape sequence\r\n")
    with client.type("attach", "--detach-keys", "a,b", "aa") as terminal:
        await_raw(terminal)
        terminal.send(KEYS[:1] + b"xa\r")
        terminal.expect("xa\r\n")
        terminal.send("ab")
        assert terminal.wait() == 1
        assert terminal.output.endswith(b"read escape sequence\r\n")
    assert client.is_running("aa")
    with client.type("attach", "aa") as terminal:
        await_raw(terminal)
        terminal.send("\x04")
        assert terminal.wait() == 0
    assert not client.is_running("aa")


def test_start_attached(client):
    client("create", "-it", "--name", "aa", *NONE, "busybox", "sh", "-c", f"{sized(9, 33)}; read x; exit $x")
    with client.type("start", "-ai", "aa", size=(9, 33)) as terminal:
        terminal.expect("is-9x33\r\n")
        terminal.send("5\r")
        assert terminal.wait() == 5
    with client.type("start", "-ai", "aa", size=(9, 33)) as terminal:
        terminal.expect("is-9x33\r\n")
        terminal.send(KEYS)
        assert terminal.wait() == 0
    assert client.is_running("aa")


def test_exec(client):
    client("run", "-d", "--name", "aa", *NONE, "busybox", "sleep", "1000")
    script = f"{sized(12, 34)}; tty; {sized(13, 35)}; read x; exit $x"
    with client.type("exec", "-it", "aa", "sh", "-c", script, size=(12, 34)) as terminal:
        terminal.expect("is-12x34\r\n/dev/pts/")
        resize(client, terminal, 13, 35)
        terminal.send("4\r")
        assert terminal.wait() == 4
        assert terminal.settings() == terminal.settings_before
    with client.type("exec", "-it", "aa", "cat") as terminal:
        await_raw(terminal)
        terminal.send("one\r")
        terminal.expect("one\r\none\r\n")
        terminal.send(KEYS)
        assert terminal.wait() == 1
        assert terminal.output.endswith(b"read escape sequence\r\n")
    with client.type("exec", "-it", "aa", "nosuch") as terminal:
        assert terminal.wait() == (126 if client.old else 127)
        assert b"nosuch" in terminal.output


def test_codes_of_what_cannot_run(client):
    for program, code in [("nosuch", 127), ("/etc", 126)]:
        with client.type("run", "-it", "--rm", *NONE, "busybox", program) as terminal:
            assert terminal.wait() == code, terminal.output
            assert terminal.settings() == terminal.settings_before
    with client.type("run", "-it", "--rm", *NONE, "-m", "1", "busybox", "true") as terminal:
        assert terminal.wait() == 125, terminal.output
    assert client("ps", "-aq").out == ""


def test_input_that_is_no_terminal(client):
    client("run", "-dit", "--name", "aa", *NONE, "busybox", "cat")
    for words in [("run", "-it", *NONE, "busybox", "true"), ("exec", "-it", "aa", "true"), ("attach", "aa")]:
        result = client(*words, check=False)
        assert (result.code, result.out, result.err) == (1, "", "the input device is not a TTY\n"), words
    without = client("run", "-t", "--rm", *NONE, "busybox", "sh", "-c", "echo out; echo err >&2; tty", text=False)
    assert without.out == b"out\r\nerr\r\n/dev/pts/0\r\n" and without.err == b""


def test_attach_to_what_does_not_run(client):
    client("create", "--name", "aa", *NONE, "busybox", "true")
    result = client("attach", "aa", check=False)
    assert (result.code, result.err) == (1, "You cannot attach to a stopped container, start it first\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_terminal_is_restored_on_a_signal(clients, number):
    client = clients["pouch-unix"]
    with client.type("run", "-it", "--name", "aa", *NONE, "busybox", "cat") as terminal:
        await_raw(terminal)
        terminal.process.send_signal(number)
        assert terminal.wait() == -number
        assert terminal.settings() == terminal.settings_before
    assert client.is_running("aa")
    client("rm", "-f", "aa")
