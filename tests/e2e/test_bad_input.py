"""What nobody should send to pouchd: each is refused with the right status and a clear word, and nothing changed."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import socket
import tarfile
import threading
import time

import pytest
from pouchtest import procs
from pouchtest.leaks import LeakGuard
from pouchtest.pouchd import Pouchd

pytest_plugins = ["pouchtest.fixtures"]

MIB = 1 << 20
HEAD_SECONDS = 30  # what pouchd waits for the end of a request's head
STRICT = {"Pouch-Strict": "1"}
CREATE = "/containers/create"
NONE = '"HostConfig":{"NetworkMode":"none"}'


@pytest.fixture(name="daemon", scope="module")
def daemon_fixture(busybox_tar):
    daemon = Pouchd()
    with LeakGuard(own_only=str(daemon.dir)), daemon:
        daemon.docker("load", "--input", busybox_tar)
        daemon.docker("create", "--network", "none", "--name", "here", "busybox", "true")
        daemon.docker("run", "--network", "none", "--name", "loud", "--log-opt", "max-size=4m", "--log-opt", "max-file=2",
                      "--detach", "busybox", "yes")
        daemon.early = raw_connection(daemon)
        daemon.early.sendall(b"GET /_ping HTTP/1.1\r\nHos")
        daemon.early_since = time.monotonic()
        daemon.used = resources(daemon)
        yield daemon
        daemon.early.close()


@pytest.fixture(name="pouchd", autouse=True)
def pouchd_fixture(daemon):
    """The daemon; after each test it answers as before and holds nothing more."""
    before = state(daemon)
    yield daemon
    assert daemon.request("GET", "/_ping")[0] == 200
    assert state(daemon) == before
    now = {}

    def settled():
        # Against the beginning of all tests, so that a leak adds up: a few are pooled connections and idle threads.
        now.update(resources(daemon))
        return now["fds"] <= daemon.used["fds"] + 4 and now["threads"] <= daemon.used["threads"] + 4

    assert procs.wait_until(settled, 15, pause=0.1), f"at first {daemon.used}, now {now}"


def state(daemon):
    """What a bad request must not change."""
    containers = json.loads(daemon.request("GET", "/containers/json?all=1")[2])
    images = json.loads(daemon.request("GET", "/images/json?all=1")[2])
    kept = [(c["Id"], c["Names"], c["State"]) for c in containers]
    files = sorted(str(path.relative_to(daemon.dir)) for path in (daemon.dir / "home").glob("*"))
    return kept, [(i["Id"], i["RepoTags"]) for i in images], [name for name in files
                                                                          if "pouch.db" not in name and name != "home/log"]


def resources(daemon):
    status = pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return {
        "fds": len(os.listdir(f"/proc/{daemon.pid}/fd")),
        "threads": int(fields["Threads"]),
        "peak": int(fields["VmHWM"].split()[0]) << 10,
        "memory": int(fields["VmRSS"].split()[0]) << 10,
    }


def raw_connection(daemon, timeout=20):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    connection.connect(str(daemon.socket))
    return connection


def talk(daemon, data, timeout=20):
    """Sends bytes as they are; (status, all that came until the server closed or was silent for long)."""
    with contextlib.closing(raw_connection(daemon, timeout)) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.") else 0, answer


def post(daemon, path, body, headers=None):
    status, _, answer = daemon.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
    return status, json.loads(answer) if answer.strip() else {}


# Documents


@pytest.mark.parametrize("body, path", [
    ('{"Image":"busybox","NoSuch":1,%s}' % NONE, "NoSuch"),
    ('{"Image":"busybox","HostConfig":{"NetworkMode":"none","NoSuch":1}}', "HostConfig.NoSuch"),
    ('{"Image":5,%s}' % NONE, "Image"),
    ('{"Image":null,%s}' % NONE, "Image"),
    ('{"Image":"busybox","Cmd":"true",%s}' % NONE, "Cmd"),
    ('{"Image":"busybox","Cmd":["a",1],%s}' % NONE, "Cmd[1]"),
    ('{"Image":"busybox","Labels":{"a":1},%s}' % NONE, "Labels.a"),
    ('{"Image":"busybox","HostConfig":{"NetworkMode":"none","Memory":"64m"}}', "HostConfig.Memory"),
    ('{"Image":"busybox","HostConfig":{"NetworkMode":"none","Memory":1.5}}', "HostConfig.Memory"),
    ('{"Image":"busybox","HostConfig":{"NetworkMode":"none","Memory":99999999999999999999}}', "HostConfig.Memory"),
    ('{"Image":"busybox","HostConfig":[]}', "HostConfig"),
])
def test_strict_documents(pouchd, body, path):
    status, answer = post(pouchd, CREATE, body, STRICT)
    assert (status, answer["code"]) == (400, "InvalidArgument")
    assert path in answer["message"] and answer["details"]["path"] == path


@pytest.mark.parametrize("headers", [{}, STRICT], ids=["lenient", "strict"])
@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"5", b'"x"', b"{} {}", b"/*x*/{}", b"nonsense", b"\xff\xfe\x00", b'{"Image":"b\xff"}', b'{"Image":"a\x00b"}', b'{"Image":"a\nb"}',
    b'{"Image":"busybox","Image":"busybox"}' + b" " * 10 + b"x", b"[" * 100_000, b'{"a":' * 100_000,
    b'{"Image":{}}', b'{"Image":"busybox","HostConfig":{"Memory":"x"}}', b'{"Image":"busybox","Env":{}}',
    b'{"Image":"busybox","Env":[1]}', b'{"Image":"busybox","Tty":"yes"}',
], ids=range(20))
def test_documents_that_are_none(pouchd, body, headers):
    status, answer = post(pouchd, CREATE, body, headers)
    assert status == 400 and answer["message"], answer


def test_documents_of_another_type(pouchd):
    for kind in ("text/plain", "application/x-tar", ""):
        status, answer = post(pouchd, CREATE, b'{"Image":"busybox"}', {"Content-Type": kind})
        assert status == 400 and "Content-Type" in answer["message"], answer


@pytest.mark.parametrize("headers", [{}, STRICT], ids=["lenient", "strict"])
@pytest.mark.parametrize("method, path", [
    ("GET", "/containers/json?limit=x"),
    ("GET", "/containers/json?filters=%7B"),
    ("GET", "/containers/json?filters=5"),
    ("GET", "/containers/json?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D"),
    ("GET", "/containers/json?filters=%7B%22status%22%3A%5B%22nosuch%22%5D%7D"),
    ("GET", "/images/json?filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D"),
    ("GET", "/events?since=x"),
    ("GET", "/events?until=1e400"),
    ("GET", "/containers/loud/logs?stdout=1&since=x"),
    ("GET", "/containers/loud/logs"),
    ("POST", "/containers/loud/kill?signal=NOSUCH"),
    ("POST", "/containers/loud/kill?signal=0"),
    ("POST", "/containers/loud/kill?signal=99999999999"),
    ("POST", "/containers/loud/kill?signal=%00"),
    ("POST", "/containers/loud/stop?signal=NOSUCH"),
    ("POST", "/containers/loud/stop?t=x"),
    ("POST", "/containers/loud/stop?t=99999999999999999999"),
    ("POST", "/containers/loud/wait?condition=nosuch"),
    ("POST", "/containers/here/rename"),
    ("POST", "/containers/here/rename?name="),
    ("POST", "/containers/here/rename?name=..%2Fx"),
    ("POST", "/containers/here/rename?name=a%00b"),
    ("POST", "/containers/here/rename?name=" + "x" * 300),
    ("POST", "/images/busybox/tag?repo=Bad"),
    ("POST", "/images/busybox/tag?repo=x&tag=bad/tag"),
    ("POST", "/images/busybox/tag?repo="),
    ("POST", "/images/busybox/tag?repo=..%2F..%2Fx"),
], ids=lambda value: value if isinstance(value, str) and len(value) < 70 else None)
def test_queries(pouchd, method, path, headers):
    status, _, body = pouchd.request(method, path, headers=headers)
    assert status == 400, (status, body)
    assert json.loads(body)["message"]


def test_strict_queries(pouchd):
    for path in ("/containers/json?nosuch=1", "/containers/json?all=maybe", "/containers/json?all=1&all=1",
                 "/containers/json?limit=1.5"):
        status, _, body = pouchd.request("GET", path, headers=STRICT)
        assert (status, json.loads(body)["code"]) == (400, "InvalidArgument"), path


@pytest.mark.parametrize("name", ["a", "-x", ".x", "a b", "../x", "a/b", "x" * 300, "\u00e9x", "a\nb", "a\0b", "%s"])
def test_names(pouchd, name):
    query = "".join(f"%{byte:02x}" for byte in name.encode())
    status, answer = post(pouchd, f"{CREATE}?name={query}", '{"Image":"busybox",%s}' % NONE)
    assert status == 400 and "nvalid container name" in answer["message"], answer
    assert "\n" not in answer["message"] and "\0" not in answer["message"]


def test_absent_things(pouchd):
    status, answer = post(pouchd, CREATE, '{"Image":"nosuch",%s}' % NONE)
    assert (status, answer["message"]) == (404, "No such image: nosuch:latest")
    status, answer = post(pouchd, CREATE, '{"Image":"nosuch",%s}' % NONE, STRICT)
    assert status == 404 and "load" in answer["details"]["hint"] and "No such image" in answer["message"]
    for method, path in (("GET", "/containers/nosuch/json"), ("POST", "/containers/nosuch/start"),
                         ("DELETE", "/containers/nosuch"), ("GET", "/images/nosuch/json"), ("GET", "/exec/nosuch/json"),
                         ("DELETE", "/images/nosuch"), ("GET", "/containers/..%2F..%2Fetc/json"), ("GET", "/nosuch"),
                         ("GET", "/containers/" + "f" * 5000 + "/json")):
        status, _, body = pouchd.request(method, path)
        assert status == 404 and json.loads(body)["message"], (path, status)


def test_unsupported_is_named(pouchd):
    for field, value in (("Init", "true"), ("RestartPolicy", '{"Name":"always"}'), ("UsernsMode", '"x"')):
        body = '{"Image":"busybox","HostConfig":{"NetworkMode":"none","%s":%s}}' % (field, value)
        status, answer = post(pouchd, CREATE, body)
        assert status == 501 and f"HostConfig.{field}" in answer["message"], answer


def test_other_containers_that_are_absent(pouchd):
    """Not 404, which Docker's clients take for an image that is to be pulled."""
    absent = "No such container: nosuch"
    for field, words in (("Links", f"could not get container for nosuch: {absent}"), ("VolumesFrom", absent)):
        body = '{"Image":"busybox","HostConfig":{"NetworkMode":"none","%s":["nosuch"]}}' % field
        status, answer = post(pouchd, CREATE, body)
        assert status == 400 and words in answer["message"], answer


# Sizes


@pytest.mark.parametrize("path", [CREATE, "/containers/here/exec"])
@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
def test_large_document(pouchd, path, chunked):
    before = resources(pouchd)["peak"]
    size = 100 * MIB
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode()
    piece = b" " * MIB
    piece = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
    with contextlib.closing(raw_connection(pouchd)) as connection:
        connection.sendall(head)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                connection.sendall(piece)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(65536)
    assert answer.split()[1] == b"413", answer[:200]
    # A document may have 16 MiB; it is kept once, and while it grows twice.
    assert resources(pouchd)["peak"] - before < 50 * MIB


def test_large_heads(pouchd):
    for head in (b"GET /" + b"x" * MIB + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"GET /_ping HTTP/1.1\r\nX: " + b"y" * MIB + b"\r\n\r\n",
                 b"GET /_ping HTTP/1.1\r\n" + b"".join(b"H%d: v\r\n" % i for i in range(100_000)) + b"\r\n"):
        status, answer = talk(pouchd, head)
        assert status in (413, 431), answer[:200]


# HTTP


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    b"\0" * 1000,
    os.urandom(5000),
    b"GET\r\n\r\n",
    b"GET /_ping\r\n\r\n",
    b"GET /_ping HTTP/9.9\r\n\r\n",
    b"GET /_ping HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET /_ping HTTP/1.1\r\n: empty\r\n\r\n",
    b"GET /_ping HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    b"POST /containers/create HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /containers/create HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /containers/create HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"ffffffffffffffffff\r\n",
    b"POST /containers/create HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
], ids=range(15))
def test_garbage(pouchd, data):
    status, answer = talk(pouchd, data)
    # What is cut in the middle, and cannot be told from a slow client, may end without an answer.
    assert status in (0, 400, 413, 431, 505), answer[:200]
    assert b"200 OK" not in answer


def test_unknown_methods_and_versions(pouchd):
    for method in (b"BREW", b"get", b"TRACE", b"CONNECT", b"PATCH"):
        assert talk(pouchd, method + b" /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] in (400, 404, 501)
    for version in ("v1.10", "v1.99", "v2.0", "v1.x", "v"):
        assert pouchd.request("GET", f"/{version}/info")[0] in (400, 404), version


def test_pipelined_requests_end_at_the_bad_one(pouchd):
    good = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = talk(pouchd, good + good + b"garbage\r\n\r\n" + good)[1]
    assert answer.count(b"HTTP/1.1 200") == 2 and answer.count(b"HTTP/1.1 400") == 1


def test_half_requests(pouchd):
    """Many clients stop in the middle; others are served meanwhile; when they go nothing is left."""
    halves = [b"", b"G", b"GET /_ping HT", b"GET /_ping HTTP/1.1\r\nHost: x\r\n",
              b"POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"Image",
              b"POST /images/load HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nhalf"]
    with contextlib.ExitStack() as stack:
        for half in halves * 8:
            connection = stack.enter_context(contextlib.closing(raw_connection(pouchd)))
            connection.sendall(half)
        start = time.monotonic()
        assert pouchd.request("GET", "/containers/json?all=1")[0] == 200
        assert time.monotonic() - start < 5


def test_slow_requests_are_served(pouchd):
    request = b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with contextlib.closing(raw_connection(pouchd)) as connection:
        for byte in request:
            connection.sendall(bytes([byte]))
            time.sleep(0.01)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_slow_reader_costs_no_memory(pouchd):
    """`yes` writes as fast as it can; a follower that does not read must not fill the daemon."""
    before = resources(pouchd)["memory"]
    follow = b"GET /containers/loud/%b HTTP/1.1\r\nHost: x\r\nConnection: %b\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(contextlib.closing(raw_connection(pouchd)))
            connection.sendall(follow % (b"logs?follow=1&stdout=1", b"close"))
            assert connection.recv(10).startswith(b"HTTP/1.1")
        for _ in range(10):
            time.sleep(0.2)
            assert resources(pouchd)["memory"] - before < 64 * MIB
            assert pouchd.request("GET", "/_ping")[0] == 200


# Archives


def archive(*entries):
    """A tar of (name, bytes) or TarInfo."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                tar.addfile(info, io.BytesIO(entry[1]))
    return buffer.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def manifest(config="c.json", layers=("l.tar",), tags=("hostile:latest",)):
    return json.dumps([{"Config": config, "RepoTags": list(tags), "Layers": list(layers)}]).encode()


def config(*diff_ids):
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    return json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()


def load(daemon, data):
    """(failed, what was said)."""
    # Hundreds of MiB are unpacked before they are refused: that may take its time on a busy machine.
    status, _, body = daemon.request("POST", "/images/load?quiet=1", data, {"Content-Type": "application/x-tar"}, timeout=180)
    return status >= 400 or b'"error"' in body, body


ZERO = "sha256:" + "0" * 64
HOSTILE = {
    "empty": b"",
    "zeros": b"\0" * 10240,
    "no archive": b"this is no archive" * 100,
    "random": os.urandom(50_000),
    "gzip of nothing": gzip.compress(b""),
    "half a gzip": gzip.compress(archive(("manifest.json", b"[]")) + os.urandom(5000))[:-2000],
    "no manifest": archive(("x", b"y")),
    "manifest is no JSON": archive(("manifest.json", b"{")),
    "manifest of another kind": archive(("manifest.json", b'{"a":1}')),
    "manifest too deep": archive(("manifest.json", b"[" * 50_000)),
    "manifest too large": archive(("manifest.json", b"[" + b" " * (5 * MIB) + b"]")),
    "config missing": archive(("manifest.json", manifest())),
    "config is no JSON": archive(("manifest.json", manifest()), ("c.json", b"nonsense"), ("l.tar", b"")),
    "layer missing": archive(("manifest.json", manifest()), ("c.json", config(ZERO))),
    "layer is another": archive(("manifest.json", manifest()), ("c.json", config(ZERO)), ("l.tar", archive(("a", b"b")))),
    "layers do not match": archive(("manifest.json", manifest(layers=())), ("c.json", config(ZERO))),
    "too many layers": archive(("manifest.json", manifest(layers=["l.tar"] * 1000)), ("c.json", config(*[ZERO] * 1000)),
                               ("l.tar", archive())),
    "config outside": archive(("manifest.json", manifest("../../../../etc/passwd"))),
    "config absolute": archive(("manifest.json", manifest("/etc/passwd")), ("c.json", config())),
    "layer outside": archive(("manifest.json", manifest(layers=["../../../../etc/passwd"])), ("c.json", config(ZERO))),
    "config is a link out": archive(("manifest.json", manifest()), link("c.json", "/etc/passwd")),
    "layer is a link out": archive(("manifest.json", manifest()), ("c.json", config(ZERO)), link("l.tar", "/etc/shadow")),
    "layer is a hard link out": archive(("manifest.json", manifest()), ("c.json", config(ZERO)),
                                        link("l.tar", "../../etc/shadow", tarfile.LNKTYPE)),
    "links in a circle": archive(("manifest.json", manifest()), link("c.json", "d.json"), link("d.json", "c.json")),
    "layer is a device": archive(("manifest.json", manifest()), ("c.json", config(ZERO)), link("l.tar", "", tarfile.CHRTYPE)),
    "bad name": archive(("manifest.json", manifest(layers=(), tags=["Bad Name"])), ("c.json", config())),
    "OCI index to nowhere": archive(("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", json.dumps(
        {"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 5,
                                            "digest": "sha256:../../../../etc/passwd"}]}).encode())),
    "OCI index of negative size": archive(("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", json.dumps(
        {"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": -5,
                                            "digest": ZERO}]}).encode())),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives(pouchd, what):
    failed, told = load(pouchd, HOSTILE[what])
    assert failed, told
    assert b"root:" not in told, "a file of the host is told"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_archive(pouchd, busybox_tar, share):
    # Under a name of its own, so that it counts if it is taken all the same.
    data = busybox_tar.read_bytes().replace(b"busybox:latest", b"hostile:latest")
    data = data[:int(len(data) * share)]
    if share == 0.999:
        data = data[:-2048]
    failed, told = load(pouchd, data[: data.rindex(b"manifest.json")] if b"manifest.json" in data else data)
    assert failed, told


def test_upload_that_ends_early(pouchd, busybox_tar):
    data = busybox_tar.read_bytes()
    head = f"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    status, answer = talk(pouchd, head + data[: len(data) // 2])
    assert status in (0, 400) or b'"error"' in answer, answer[:300]
    with contextlib.closing(raw_connection(pouchd)) as connection:
        connection.sendall(head + data[: len(data) // 3])


LAYERS = {
    "a path outside": [("../../../../{mark}", b"x")],
    "an absolute path": [("{dir}/{mark}", b"x")],
    "through a link": [link("out", "{dir}"), ("out/{mark}", b"x")],
    "through a link upwards": [link("out", "../../../../../../../../../../{dir}"), ("out/{mark}", b"x")],
    "a hard link out": [link("shadow", "../../../../../../../../../../etc/shadow", tarfile.LNKTYPE)],
    "a whiteout outside": [("../../../../.wh.{keep}", b"")],
    "a whiteout through a link": [link("out", "{dir}"), ("out/.wh.{keep}", b"")],
}


@pytest.mark.parametrize("what", LAYERS)
def test_hostile_layers(pouchd, tmp_path, what):
    """A layer stays within its root whether it is taken or refused."""
    keep = tmp_path / "keep"
    keep.write_text("kept")
    words = {"mark": "mark-of-a-hostile-layer", "dir": str(tmp_path), "keep": "keep"}
    layer = archive(*[_filled(entry, words) for entry in LAYERS[what]])
    digest = "sha256:" + hashlib.sha256(layer).hexdigest()
    failed, told = load(pouchd, archive(("manifest.json", manifest()), ("c.json", config(digest)), ("l.tar", layer)))
    try:
        assert keep.read_text() == "kept" and sorted(p.name for p in tmp_path.iterdir()) == ["keep"]
        assert b"root:" not in told
        for folder in ("/", "/tmp", str(pouchd.dir), str(pouchd.dir / "containerd"), str(pouchd.dir / "home")):
            assert words["mark"] not in os.listdir(folder)
    finally:
        if not failed:
            pouchd.request("DELETE", "/images/hostile:latest?force=1")


def _filled(entry, words):
    if isinstance(entry, tarfile.TarInfo):
        return link(entry.name.format(**words), entry.linkname.format(**words), entry.type)
    return entry[0].format(**words), entry[1]


def test_archive_of_too_many_entries(pouchd):
    entry = archive(("x", b""))[:512]
    before = resources(pouchd)["peak"]
    failed, told = load(pouchd, gzip.compress(entry * 250_000, 1))
    assert failed and b"entries" in told
    assert resources(pouchd)["peak"] - before < 64 * MIB


def test_archive_that_grows(pouchd):
    """256 KiB on the wire, 256 MiB unpacked, in a file that nothing refers to."""
    block = gzip.compress(b"\0" * (16 * MIB), 9)
    info = tarfile.TarInfo("junk")
    info.size = 256 * MIB
    head = info.tobuf(tarfile.PAX_FORMAT)
    before = resources(pouchd)["peak"]
    failed, _ = load(pouchd, gzip.compress(head) + block * 16 + gzip.compress(archive(("manifest.json", b"[]"))))
    assert failed
    assert resources(pouchd)["peak"] - before < 96 * MIB


# All at a time, and the client that said nothing more


def test_all_at_a_time(pouchd):
    """Bad requests side by side with good ones: each good one is answered."""
    answers = []

    def good():
        for _ in range(20):
            answers.append(pouchd.request("GET", "/containers/json?all=1")[0])

    def bad():
        for data in (b"\0" * 100, b"GET /x HTTP/1.1\r\n\r\n", b"POST /images/load HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"):
            talk(pouchd, data)

    threads = [threading.Thread(target=target) for target in (good, bad, good, bad, bad, bad)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 40


def test_unfinished_head_is_given_up(pouchd):
    """Opened before the first test of this file."""
    pouchd.early.settimeout(max(1.0, pouchd.early_since + HEAD_SECONDS + 10 - time.monotonic()))
    answer = pouchd.early.recv(1000)
    assert answer == b"" or answer.split()[1] == b"408"
