"""`pouch check`: each thing that containers need, looked at with and without an engine that can be opened."""

import json

import pytest
from pouchtest.embed import embed_root
from pouchtest.paths import build_dir, private_dir
from pouchtest.pouchd import Pouchd
from pouchtest.run import run

pytest_plugins = ["pouchtest.fixtures"]

POUCH = build_dir() / "bin/pouch"
NAMES = {"user", "privileges", "root", "space", "containerd", "shim", "runtime", "keeper", "overlayfs", "cgroups",
         "nftables", "forwarding", "limits", "registries"}


def check(host, *args, code=0, **options):
    result = run(POUCH, "-H", host, "check", *args, check=False, **options)
    assert result.code == code, result.out + result.err
    assert result.err == ""
    return result


def findings(host, code=0, **options):
    report = json.loads(check(host, "--format", "json", code=code, **options).out)
    assert report["Ok"] == (code == 0)
    return {finding["Name"]: finding for finding in report["Findings"]}


@pytest.fixture(name="folder")
def folder_fixture():
    with private_dir() as folder:
        yield folder


def test_a_root_that_works_before_and_after_it_is_made():
    with embed_root() as host:
        before = findings(host)
        assert {name for name, finding in before.items() if finding["Level"] == "error"} == set()
        assert NAMES <= set(before)
        assert before["root"]["Message"].endswith(", to be made at first use")
        run(POUCH, "-H", host, "ps")
        after = findings(host)
        assert not after["root"]["Message"].endswith("first use")
        # With the settings of the root, without naming them again.
        assert findings(host.split("?")[0])["containerd"] == before["containerd"]


def test_pouchd_tells_its_own_findings_after_the_way_to_it():
    with Pouchd() as pouchd:
        there = findings(pouchd.uri)
        assert there["socket"]["Message"] == f'a pouchd answers at "{pouchd.uri}"'
        assert NAMES <= set(there)
        assert there["containerd"]["Message"].endswith(f'at "{pouchd.containerd.socket}"')
        status, _, body = pouchd.request("GET", "/v1.50/system/check")
        assert status == 200 and json.loads(body)["Ok"] is True


def test_one_line_each_and_the_exit_code(folder):
    host = f"embed://{folder}/root?containerd={folder}/no.sock"
    lines = check(host, code=1).out.splitlines()
    assert lines[0].split() == ["LEVEL", "NAME", "FINDING"]
    assert [line for line in lines if line.split()[:2] == ["error", "containerd"]] == [
        f'error     containerd   reach containerd at "{folder}/no.sock": No such file or directory; start containerd '
        "(systemctl start containerd), or name its socket when the root is made (containerd=…)"]
    assert check(host, "--format", "{{.Name}}={{.Level}}", code=1).lines[0] == "user=ok"
    assert not list(folder.iterdir())  # it only looks


def test_what_is_missing_is_named_with_what_mends_it(folder):
    host = f"embed://{folder}/root?containerd={folder}/no.sock&runtime=/no/runtime&keeper=/no/keeper"
    found = findings(host, code=1)
    assert found["keeper"]["Message"] == (
        'find program "pouch-keeper": "/no/keeper" (from the option) is not an executable file')
    assert found["keeper"]["Fix"] == "install pouch-keeper beside libpouch, or name it (keeper=…, or POUCH_KEEPER_PATH)"


def test_asking_for_another_containerd_than_the_root_has_is_a_finding():
    with embed_root() as host:
        other = f"{host.split('?')[0]}?containerd=/other.sock"
        run(POUCH, "-H", host, "ps")
        assert "it was made with containerd" in findings(other, code=1)["root"]["Message"]


def test_nobody_listens():
    found = findings("unix:///nonexistent/p.sock", code=1)
    assert found["socket"]["Fix"] == (
        "start a pouchd that listens there (systemctl start pouchd), or use embed:// as root")


def test_the_mock_is_fine():
    assert {finding["Level"] for finding in findings("mock://").values()} == {"ok"}


def test_a_bad_address_is_an_error():
    result = run(POUCH, "-H", "gopher://x", "check", check=False)
    assert (result.code, result.out) == (1, "") and result.err.startswith('Error: open "gopher://x": ')
