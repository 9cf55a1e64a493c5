"""image.import_tar of a URL: the engine fetches it, in-process or in pouchd, as a dockerd does."""

import contextlib
import gzip
import json
import threading

import pouch
import pytest
from pouchtest.dockerd import PrivateDockerd
from pouchtest.embed import embed_root
from pouchtest.file_server import FileServer
from pouchtest.images import busybox_rootfs
from pouchtest.paths import build_dir, docker_cli
from pouchtest.ports import free_port
from pouchtest.pouchd import Pouchd
from pouchtest.remains import left_behind
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="tar", scope="module")
def tar_fixture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rootfs")
    busybox_rootfs(folder / "rootfs")
    (folder / "rootfs/hello").write_text("fetched\n")
    run("tar", "-C", folder / "rootfs", "-cf", folder / "rootfs.tar", ".")
    return (folder / "rootfs.tar").read_bytes()


@pytest.fixture(name="server", scope="module")
def server_fixture(tar):
    with FileServer({
            "/rootfs.tar": tar, "/rootfs.tar.gz": gzip.compress(tar),
            "/private.tar": {"body": tar, "account": "alice:pass word"},
            "/moved.tar": {"status": 302, "headers": {"Location": "/rootfs.tar"}},
            "/loop.tar": {"status": 302, "headers": {"Location": "/loop.tar"}},
            "/to-nowhere.tar": {"status": 302, "headers": {"Location": "/gone.tar"}},
            "/busy.tar": {"status": 503}, "/cut.tar": {"body": tar, "cut": len(tar) // 2}, "/text.tar": b"no tar at all\n" * 100,
            "/empty.tar": b"",
    }) as server:
        yield server


@pytest.fixture(name="root", params=["embed", "unix"], scope="module")
def root_fixture(request):
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(embed_root()) if request.param == "embed" else stack.enter_context(Pouchd()).uri


def import_url(uri, url, **options):
    with pouch.Client(uri) as client, client.open("image.import_tar", options={"fromSrc": url, **options}) as stream:
        messages = [json.loads(frame.data) for frame in stream]
        return stream.finish(), messages


@pytest.mark.parametrize("path", ["rootfs.tar", "rootfs.tar.gz", "moved.tar"])
def test_a_url_becomes_an_image(root, server, path):
    result, messages = import_url(root, f"{server.url}/{path}", repo=f"fetched:{path}", changes=["CMD [\"cat\",\"/hello\"]"])
    assert result["Reference"] == f"fetched:{path}"
    assert messages[0]["status"] == f"Downloading from {server.url}/{path}" and messages[-1]["status"] == result["Id"]
    assert run(POUCH, "-H", root, "run", "--rm", "--network", "none", result["Reference"]).out == "fetched\n"
    with pouch.Client(root) as client:
        assert client.call("image.inspect", [result["Id"]])["Comment"] == f"Imported from {server.url}/{path}"


def test_an_account_in_the_url(root, server):
    """It is used, and told nobody."""
    url = server.url.replace("http://", "http://alice:pass%20word@") + "/private.tar"
    result, messages = import_url(root, url)
    with pouch.Client(root) as client:
        comment = client.call("image.inspect", [result["Id"]])["Comment"]
    assert comment == "Imported from " + server.url.replace("http://", "http://xxxxx@") + "/private.tar"
    assert "pass" not in json.dumps(messages)
    with pytest.raises(pouch.PermissionDenied, match="the server answered 401") as refused:
        import_url(root, url.replace("pass%20word", "wr0ng"))
    assert "wr0ng" not in str(refused.value)


@pytest.mark.parametrize("url, code, text", [
    ("{url}/gone.tar", pouch.NotFound, "fetch {url}/gone.tar: the server answered 404"),
    ("{url}/denied.tar", pouch.PermissionDenied, "fetch {url}/denied.tar: the server answered 403"),
    ("{url}/busy.tar", pouch.Unavailable, "fetch {url}/busy.tar: the server answered 503"),
    ("{url}/to-nowhere.tar", pouch.NotFound, "fetch {url}/to-nowhere.tar, redirected to {url}/gone.tar: the server answered 404"),
    ("{url}/loop.tar", pouch.Unavailable, "fetch {url}/loop.tar: more than 10 redirects"),
    ("{url}/text.tar", pouch.InvalidArgument, "tar"),
    ("{url}/empty.tar", pouch.InvalidArgument, "tar"),
    ("{url}/cut.tar", pouch.Unavailable, "fetch {url}/cut.tar: "),
    ("http://127.0.0.1:{port}/x.tar", pouch.Unavailable, "fetch http://127.0.0.1:{port}/x.tar: .*refused"),
    ("http://no-such-host.invalid/x.tar", pouch.Unavailable, "fetch http://no-such-host.invalid/x.tar: the name cannot be resolved"),
    ("ftp://127.0.0.1/x.tar", pouch.NotImplementedByEngine, "fromSrc: a URL of the scheme \"ftp\""),
    ("http://", pouch.InvalidArgument, "fromSrc: no URL"),
])
def test_what_cannot_be_fetched(root, server, url, code, text):
    words = {"url": server.url, "port": free_port()}
    with pytest.raises(code, match=text.format(**words)):
        import_url(root, url.format(**words))


def test_nothing_stays_of_it(server):
    with embed_root() as uri:
        for path in ("gone", "cut", "text"):
            with pytest.raises((pouch.NotFound, pouch.Unavailable, pouch.InvalidArgument)):
                import_url(uri, f"{server.url}/{path}.tar")
        assert left_behind(uri) == []


def test_a_fetch_that_is_given_up(root, tar):
    """While the server holds the rest back."""
    hold = threading.Event()
    with FileServer({"/slow.tar": {"body": tar, "hold": hold}}) as server, pouch.Client(root) as client:
        stream = client.open("image.import_tar", options={"fromSrc": f"{server.url}/slow.tar", "repo": "slow"})
        next(iter(stream))
        stream.cancel()
        with pytest.raises(pouch.Cancelled):
            stream.finish()
        stream.close()
        with pytest.raises(pouch.NotFound):
            client.call("image.inspect", ["slow"])


def test_the_command_lines(root, server, tmp_path):
    told = run(POUCH, "-H", root, "import", "-m", "came", f"{server.url}/rootfs.tar", "cli:1").out.splitlines()
    assert told[0] == f"Downloading from {server.url}/rootfs.tar" and told[-1].startswith("sha256:")
    assert run(POUCH, "-H", root, "images", "-q", "--no-trunc", "cli:1").out.strip() == told[-1]
    refused = run(POUCH, "-H", root, "import", f"{server.url}/gone.tar", check=False)
    assert refused.code == 1 and "the server answered 404" in refused.err
    if root.startswith("unix"):
        env = {"DOCKER_HOST": root, "DOCKER_CONFIG": tmp_path}
        told = run(docker_cli(), "import", f"{server.url}/rootfs.tar", "docker:1", env=env).out.splitlines()
        assert told[0] == f"Downloading from {server.url}/rootfs.tar" and told[-1].startswith("sha256:")


def test_through_a_dockerd(server):
    """A stock dockerd fetches it itself."""
    with PrivateDockerd() as dockerd:
        result, messages = import_url(dockerd.host, f"{server.url}/rootfs.tar", repo="fetched", tag="1")
        assert messages[0]["status"] == f"Downloading from {server.url}/rootfs.tar"
        assert dockerd.docker("image", "inspect", "-f", "{{.Id}}", "fetched:1").out.strip() == result["Id"]
        with pytest.raises(pouch.NotFound):
            import_url(dockerd.host, f"{server.url}/gone.tar")
