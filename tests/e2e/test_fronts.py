"""image.pull and image.push through a real nginx in front of a real registry, as the world has them: one that is busy,
broken, slow, forgetful or lying. The end is the image, whole, or an error that names what happened; nothing is left."""

import hashlib
import json
import secrets
import threading

import pouch
import pytest
from pouchtest.embed import embed_root
from pouchtest.fault_proxy import FaultProxy
from pouchtest.images import busybox_image_tar
from pouchtest.nginx import Nginx
from pouchtest.paths import build_dir, find_program
from pouchtest.procs import wait_until
from pouchtest.registry import PrivateRegistry
from pouchtest.remains import left_behind
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="archive", scope="module")
def archive_fixture(tmp_path_factory):
    noise = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(3 * 2**14))
    return busybox_image_tar(tmp_path_factory.mktemp("fronts") / "box.tar", name="box:1", files={"noise": noise})


@pytest.fixture(name="registry", scope="module")
def registry_fixture(archive):
    with PrivateRegistry() as registry:
        registry.push(archive, "team/box:1")
        yield registry


@pytest.fixture(name="root")
def root_fixture():
    with embed_root() as uri:
        yield uri
        assert left_behind(uri) == []


@pytest.fixture(name="loaded", scope="module")
def loaded_fixture(archive):
    """A root with box:1, for pushes."""
    with embed_root() as uri:
        run(POUCH, "-H", uri, "load", "-q", "-i", archive)
        yield uri


def inspect(name):
    return json.loads(run(find_program("skopeo"), "inspect", "--tls-verify=false", f"docker://{name}").out)


def pull(uri, front, repository="team/box"):
    with pouch.Client(uri) as client, client.open("image.pull", options={"fromImage": f"{front.host}/{repository}:1"}) as stream:
        for _ in stream:
            pass
        (image,) = stream.finish()["Images"]
        return image


def check_pull(uri, front, registry):
    """Pulls; the digests are those that skopeo reads behind the front, and the image runs."""
    image = pull(uri, front)
    seen = inspect(f"{registry.host}/team/box:1")
    assert image["Digest"] == seen["Digest"]
    done = run(POUCH, "-H", uri, "run", "--rm", "--network=none", "--pull=never", f"{front.host}/team/box:1", "wc", "-c", "/noise")
    assert done.out.split()[0] == str(3 * 2**20)


def push(uri, front):
    repository = f"team/pushed-{secrets.token_hex(4)}"
    name = f"{front.host}/{repository}:1"
    run(POUCH, "-H", uri, "tag", "box:1", name)
    with pouch.Client(uri) as client, client.open("image.push", [name]) as stream:
        for _ in stream:
            pass
        (image,) = stream.finish()["Images"]
        return repository, image


def check_push(uri, front, registry):
    """Pushes; skopeo reads the same digest behind the front, and every blob of it."""
    repository, image = push(uri, front)
    name = f"{registry.host}/{repository}:1"
    assert inspect(name)["Digest"] == image["Digest"]
    with embed_root() as other:
        assert run(POUCH, "-H", other, "pull", "-q", name).out == f"{name}\n"
    assert left_behind(uri) == []


# name: what becomes of requests; what the front must have answered at least once.
TROUBLES = {
    "busy": ({"around": "limit_req_zone $server_port zone=all:1m rate=4r/s;",
              "everything": "limit_req zone=all; limit_req_status 429; add_header Retry-After 1 always;"}, 429),
    "busy at first": ({"first": "add_header Retry-After 0 always; return 429;"}, 429),
    "server errors": ({"first": "return 500;"}, 500),
    "bad gateways": ({"first": "return 502;"}, 502),
    "no service": ({"first": "return 503;"}, 503),
    "cut connections": ({"first": "return 444;"}, 444),
    "short connections": ({"server": "keepalive_requests 1;"}, None),
}


@pytest.mark.parametrize("trouble", TROUBLES)
class TestTroubles:
    def test_pull(self, root, registry, trouble):
        directives, status = TROUBLES[trouble]
        with Nginx(registry.host, **directives) as front:
            check_pull(root, front, registry)
            assert status is None or status in front.statuses()

    def test_push(self, loaded, registry, trouble):
        directives, status = TROUBLES[trouble]
        with Nginx(registry.host, **directives) as front:
            check_push(loaded, front, registry)
            assert status is None or status in front.statuses()


# Lengths that lie: sub_filter, which finds nothing, takes nginx's own header away, and add_header gives another one.
LYING = ("sub_filter_types *; sub_filter nothing-of-the-kind x; sub_filter_once off; chunked_transfer_encoding off; "
         "add_header Content-Length {};")


class TestPull:
    def test_slow_bytes(self, root, registry):
        """Some hundred KiB a second: far above the rule for what is given up."""
        with Nginx(registry.host, blobs="limit_rate 700k;") as front:
            check_pull(root, front, registry)

    def test_bytes_too_slow_for_the_deadline(self, root, registry):
        with Nginx(registry.host, blobs="limit_rate 1k;") as front, pouch.Client(root) as client:
            stream = client.open("image.pull", options={"fromImage": f"{front.host}/team/box:1"})
            assert wait_until(lambda: left_behind(root) != [], 30)
            stream.cancel()
            with pytest.raises(pouch.Cancelled):
                stream.finish()
            stream.close()
            assert wait_until(lambda: left_behind(root) == [], 30)
            assert client.call("image.list") == []

    def test_a_front_that_dies_and_comes_back(self, root, registry):
        """Amid a layer; what has come is not asked for again."""
        with Nginx(registry.host, blobs="limit_rate 500k;") as front, pouch.Client(root) as client:
            with client.open("image.pull", options={"fromImage": f"{front.host}/team/box:1"}) as stream:
                for frame in stream:
                    if json.loads(frame.data).get("progressDetail", {}).get("current", 0) > 300_000:
                        break
                front.kill()
                front.start()
                for _ in stream:
                    pass
                stream.finish()
            assert any(span.startswith("bytes=") for *_, span in front.answers())
            check_pull(root, front, registry)

    def test_answers_that_are_cut(self, root, registry):
        """The connection to the registry breaks amid each blob, and so nginx cuts its own."""
        with FaultProxy(registry, lambda _, path, __: {"cut": 700_000} if "/blobs/" in path else None) as proxy, \
                Nginx(proxy.host) as front:
            check_pull(root, front, registry)
            assert any(span.startswith("bytes=") for *_, span in front.answers())

    def test_ranges_that_are_ignored(self, root, registry):
        counts = {}

        def cut_later_each_time(_, path, __):
            counts[path] = counts.get(path, 0) + 1
            return {"cut": 600_000 * counts[path]} if "/blobs/" in path else None

        with FaultProxy(registry, cut_later_each_time) as proxy, \
                Nginx(proxy.host, everything='max_ranges 0; proxy_set_header Range ""; proxy_set_header Host $http_host;') as front:
            check_pull(root, front, registry)
            spans = [(status, span) for status, *_, span in front.answers() if span.startswith("bytes=")]
            assert spans and all(status == 200 for status, _ in spans)

    def test_ranges_that_are_refused(self, root, registry):
        """416 for what was cut: it comes from its beginning."""
        counts = {}

        def cut_once(_, path, __):
            counts[path] = counts.get(path, 0) + 1
            return {"cut": 700_000} if "/blobs/" in path and counts[path] == 1 else None

        with FaultProxy(registry, cut_once) as proxy, Nginx(proxy.host, server="if ($http_range) { return 416; }") as front:
            check_pull(root, front, registry)
            assert 416 in front.statuses()

    @pytest.mark.parametrize("length", [500_000, 50_000_000])
    def test_blobs_whose_length_lies(self, root, registry, length):
        with Nginx(registry.host, blobs=LYING.format(length)) as front:
            check_pull(root, front, registry)

    def test_manifests_whose_length_lies(self, root, registry):
        with Nginx(registry.host, everything=LYING.format(50_000)) as front:
            with pytest.raises((pouch.Unavailable, pouch.DataLoss)) as error:
                pull(root, front)
        assert front.host in str(error.value)

    def test_a_registry_that_is_away_for_a_while(self, root, archive):
        with PrivateRegistry() as own:
            own.push(archive, "team/box:1")
            own.kill()
            with Nginx(own.host) as front:
                result = {}
                puller = threading.Thread(target=lambda: result.update(image=pull(root, front)))
                puller.start()
                assert wait_until(lambda: 502 in front.statuses(), 30)
                own.start()
                puller.join()
                assert "image" in result
                check_pull(root, front, own)


# What never gets better: directives, error, and what it names.
HOPELESS = {
    "busy": ({"server": "return 429;"}, pouch.ResourceExhausted, "429"),
    "busy for long": ({"server": "add_header Retry-After 3600 always; return 429;"}, pouch.ResourceExhausted, "429"),
    "server error": ({"server": "return 500;"}, pouch.Unavailable, "500"),
    "bad gateway": ({"server": "return 502;"}, pouch.Unavailable, "502"),
    "cut": ({"server": "return 444;"}, pouch.Unavailable, "Empty reply from server"),
    "forbidden": ({"server": "return 403;"}, pouch.PermissionDenied, "403|denied"),
    "a web page": ({"server": "default_type text/html; return 200 '<html>hello</html>';"}, pouch.PouchError, "."),
}


@pytest.mark.parametrize("trouble", HOPELESS)
class TestHopeless:
    def test_pull(self, root, registry, trouble):
        directives, error, text = HOPELESS[trouble]
        with Nginx(registry.host, **directives) as front, pytest.raises(error, match=text) as raised:
            pull(root, front)
        assert front.host in str(raised.value)
        with pouch.Client(root) as client:
            assert client.call("image.list") == []

    def test_push(self, loaded, registry, trouble):
        directives, error, text = HOPELESS[trouble]
        with Nginx(registry.host, **directives) as front, pytest.raises(error, match=text) as raised:
            push(loaded, front)
        assert front.host in str(raised.value)
        assert left_behind(loaded) == []


class TestPush:
    def test_answers_that_are_cut(self, loaded, registry):
        """Amid a layer, twice: nginx has it all, its registry only a part."""
        cuts = []

        def cut_twice(_, path, headers):
            if "/uploads/" in path and int(headers.get("Content-Length") or 0) > 2**20 and len(cuts) < 2:
                cuts.append(path)
                return {"take": 2**20}
            return None

        with FaultProxy(registry, cut_twice) as proxy, Nginx(proxy.host) as front:
            check_push(loaded, front, registry)
        assert len(cuts) == 2

    def test_bodies_that_are_too_large(self, loaded, registry):
        with Nginx(registry.host, server="client_max_body_size 1m;") as front, \
                pytest.raises(pouch.PouchError, match="too large for the registry") as raised:
            push(loaded, front)
        assert front.host in str(raised.value)
        assert left_behind(loaded) == []

    def test_a_registry_that_answers_late(self, loaded, registry):
        """Later than nginx waits: it says 504 in its place."""
        seen = []

        def sleep_once(_, path, __):
            if "digest=" in path and not seen:
                seen.append(path)
                threading.Event().wait(3)
            return None

        with FaultProxy(registry, sleep_once) as proxy, Nginx(proxy.host, blobs="proxy_read_timeout 1s;") as front:
            check_push(loaded, front, registry)
            assert 504 in front.statuses()
