"""What is said about registries: mirrors and insecure ones, in a registries file and by pouchd's options."""

import json

import pouch
import pytest
from pouchtest.certificates import Authority
from pouchtest.embed import embed_root
from pouchtest.images import busybox_image_tar
from pouchtest.paths import build_dir
from pouchtest.ports import free_port
from pouchtest.pouchd import Pouchd
from pouchtest.registry import PrivateRegistry
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"


@pytest.fixture(name="archive", scope="module")
def archive_fixture(tmp_path_factory):
    return busybox_image_tar(tmp_path_factory.mktemp("archive") / "box.tar", name="box:1")


@pytest.fixture(name="registry", scope="module")
def registry_fixture(archive):
    """A plain one with library/box:1 and team/box:1."""
    with PrivateRegistry() as registry:
        registry.push(archive, "library/box:1")
        registry.push(archive, "team/box:1")
        yield registry


@pytest.fixture(name="file")
def file_fixture(tmp_path):
    return tmp_path / "registries.json"


@pytest.fixture(name="root")
def root_fixture(file):
    with embed_root() as uri:
        yield f"{uri}&registries={file}"


def pull(client, name):
    with client.open("image.pull", options={"fromImage": name}) as stream:
        return stream.finish()["Images"]


def write(file, **settings):
    file.write_text(json.dumps(settings))


def test_mirrors_of_a_registries_file(root, registry, file):
    dead = f"http://127.0.0.1:{free_port()}"
    write(file, **{"registry-mirrors": [dead, registry.url], "mirrors": {"nosuch.invalid": [registry.url + "/"]}})
    run(POUCH, "-H", root, "pull", "-q", "box:1")
    run(POUCH, "-H", root, "pull", "-q", "nosuch.invalid/team/box:1")
    names = {line.split()[0] for line in run(POUCH, "-H", root, "images").lines[1:]}
    assert names == {"box", "nosuch.invalid/team/box"}
    assert run(POUCH, "-H", root, "run", "--rm", "--network=none", "box:1", "echo", "hi").out == "hi\n"


def test_a_change_holds_for_who_is_there_already(root, registry, file):
    with pouch.Client(root) as client:
        with pytest.raises(pouch.Unavailable, match="nosuch.invalid"):
            pull(client, "nosuch.invalid/team/box:1")
        write(file, mirrors={"nosuch.invalid": [registry.url]})
        assert pull(client, "nosuch.invalid/team/box:1")[0]["IsNew"]


def test_who_was_asked_is_told(root, file):
    first, second = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    write(file, mirrors={"nosuch.invalid": [first, second]})
    with pouch.Client(root) as client, pytest.raises(pouch.Unavailable) as error:
        pull(client, "nosuch.invalid/team/box:1")
    for asked in (first, second, "https://nosuch.invalid"):
        assert asked in str(error.value)


def test_an_insecure_registry(root, archive, file, tmp_path):
    """Under a name that is not a loopback address and without a certificate that the host trusts."""
    certificate, key = Authority(tmp_path).issue("registry")
    with PrivateRegistry(tls=(certificate, key)) as private:
        private.push(archive, "team/box:1")
        host = f"registry.localhost:{private.port}"
        with pouch.Client(root) as client:
            with pytest.raises(pouch.PouchError, match="certificate"):
                pull(client, f"{host}/team/box:1")
            write(file, **{"insecure-registries": [host]})
            assert pull(client, f"{host}/team/box:1")[0]["IsNew"]


def test_a_proxy_of_the_file(root, registry, file):
    """It is asked where it is to be, and named; loopback addresses need none."""
    proxy = f"http://127.0.0.1:{free_port()}"
    write(file, **{"https-proxy": proxy})
    with pouch.Client(root) as client:
        with pytest.raises(pouch.Unavailable, match=f"proxy {proxy}"):
            pull(client, "nosuch.invalid/team/box:1")
        write(file, **{"https-proxy": proxy, "no-proxy": "nosuch.invalid"})
        with pytest.raises(pouch.Unavailable, match="nosuch.invalid") as error:
            pull(client, "nosuch.invalid/team/box:1")
        assert "proxy" not in str(error.value)
        write(file, **{"https-proxy": proxy, "mirrors": {"nosuch.invalid": [registry.url]}})
        assert pull(client, "nosuch.invalid/team/box:1")[0]["IsNew"]


def test_a_file_that_is_wrong(root, file):
    run(POUCH, "-H", root, "ps")
    write(file, mirror=[])
    text = f'registries file "{file}": unknown key "mirror"'
    with pouch.Client(root) as client:
        with pytest.raises(pouch.InvalidArgument) as error:
            pull(client, "box:1")
        assert str(error.value) == text
        assert f"WARNING: {text}" in client.call("system.info")["Warnings"]
        findings = {one["Name"]: one for one in client.call("system.check")["Findings"]}
    assert findings["registries"]["Level"] == "warning" and text in findings["registries"]["Message"]
    # What needs no registry works.
    run(POUCH, "-H", root, "images")


def test_options_of_pouchd_as_dockerds(registry):
    options = [f"--registry-mirror={registry.url}", "--insecure-registry=reg.example:5000", "--insecure-registry=10.0.0.0/8"]
    with Pouchd(args=options) as pouchd:
        assert "Downloaded" in pouchd.docker("pull", "box:1").out
        info = json.loads(pouchd.docker("info", "--format", "{{json .RegistryConfig}}").out)
        assert info["Mirrors"] == [registry.url + "/"]
        assert info["InsecureRegistryCIDRs"] == ["::1/128", "127.0.0.0/8", "10.0.0.0/8"]
        assert info["IndexConfigs"]["reg.example:5000"] == {"Name": "reg.example:5000", "Mirrors": [], "Secure": False, "Official": False}
        assert info["IndexConfigs"]["docker.io"]["Mirrors"] == [registry.url + "/"]
        text = pouchd.docker("info").out
        assert " Insecure Registries:\n  reg.example:5000\n" in text and f" Registry Mirrors:\n  {registry.url}/\n" in text


@pytest.mark.parametrize("option, text", [
    ("--registry-mirror=mirror.example", 'mirror "mirror.example": it is no http or https URL'),
    ("--insecure-registry=http://r.example", 'insecure registry "http://r.example": it is neither a host, nor host:port, nor a CIDR'),
    ("--registries-file=here", 'registries file "here" is not an absolute path'),
])
def test_options_that_are_wrong(option, text, tmp_path):
    done = run(build_dir() / "bin/pouchd", f"--home-dir={tmp_path}/home", f"--exec-root-dir={tmp_path}/run",
               f"--listen=unix://{tmp_path}/p", option, check=False)
    assert done.code == 1 and text in done.err


def test_an_address_with_a_file_that_is_relative():
    with pytest.raises(pouch.InvalidArgument, match='registries file "here" is not an absolute path'):
        pouch.Client("embed:///nosuch?registries=here")
