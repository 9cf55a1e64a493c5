"""The test machine's own decisions: what goes into an image's name, which mirror, which tests, what a result is."""

import json
import threading

import disk
import guest
import image
import machine
import plan
import pytest

SOURCES = [
    "Other|bookworm|main|http://mirror.example/other/",
    "Debian|bookworm-updates|main|http://mirror.example/updates/",
    "Debian|bookworm|main|http://mirror.example/debian/",
]


def test_packages_without_comments():
    assert image.read_packages("# all\n\nrunc    # runs\ncrun\n") == ["runc", "crun"]
    names = image.read_packages((image.HERE / "packages.txt").read_text())
    assert "systemd-sysv" in names and not [name for name in names if " " in name or "#" in name]


def test_mirror_is_apts_own():
    assert image.choose_mirror(SOURCES, "bookworm") == "http://mirror.example/debian/"
    with pytest.raises(ValueError, match="no mirror"):
        image.choose_mirror(SOURCES, "trixie")


def test_codename():
    assert image.codename('ID=debian\nVERSION_CODENAME="bookworm"\n') == "bookworm"
    with pytest.raises(ValueError, match="Debian only"):
        image.codename("ID=other\n")


def test_each_input_names_another_image():
    base = image.inputs_hash("bookworm", ["a", "b"], {"/etc/x": "1"})
    assert base == image.inputs_hash("bookworm", ["b", "a"], {"/etc/x": "1"})
    others = {image.inputs_hash("trixie", ["a", "b"], {"/etc/x": "1"}), image.inputs_hash("bookworm", ["a"], {"/etc/x": "1"}),
              image.inputs_hash("bookworm", ["a", "b"], {"/etc/x": "2"})}
    assert len(others) == 3 and base not in others


def test_cache_folder(monkeypatch):
    monkeypatch.setenv("POUCH_TESTVM_CACHE", "/x")
    assert str(image.cache_dir()) == "/x"
    monkeypatch.delenv("POUCH_TESTVM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert str(image.cache_dir()) == "/cache/pouch-testvm"


def test_programs_by_label():
    def entry(name, *labels):
        return {"name": name, "properties": [{"name": "LABELS", "value": list(labels)}] if labels else []}

    listed = {"tests": [entry("a", "unit"), entry("b", "integration"), entry("c"), entry("d", "unit", "vm")]}
    assert plan.labelled(listed) == ["b", "d"]


def test_files_with_the_marker():
    found = plan.marked(image.REPO / "tests/e2e")
    assert "tests/e2e/test_pouchd.py" in found and "tests/e2e/test_docs.py" not in found


def test_steps_of_the_command_line(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/x_test").touch()
    monkeypatch.setenv("POUCH_BUILD_DIR", str(tmp_path))
    assert plan.make(["x_test:A.*", "tests/vm/test_y.py", "power-cut"]) == [
        {"kind": "gtest", "name": "x_test", "filter": "A.*"},
        {"kind": "pytest", "name": "tests/vm/test_y.py", "arguments": ["tests/vm/test_y.py"]},
        {"kind": "power-cut"},
    ]
    with pytest.raises(ValueError, match="nosuch_test"):
        plan.make(["nosuch_test"])


@pytest.mark.parametrize(("line", "code"), [
    ("testvm: end 0\n", 0), ("testvm: end 1\n", 1), ("testvm: end\n", None), ("testvm: end x\n", None),
    ("a test that prints testvm: end 0\n", None), ("3 passed, 0 failed, 0 skipped\n", None)])
def test_result_line(line, code):
    assert machine.exit_code(line) == code


def test_no_result_is_a_failure(tmp_path):
    """Whatever ends the machine early, nothing looks like success."""
    assert machine._run(["sh", "-c", "echo 5 passed, 0 failed, 0 skipped"], 60) is None
    assert machine._run(["sh", "-c", "echo 'testvm: end 0'"], 60) == 0
    assert machine._run(["sleep", "60"], 0.1) is None


def test_disk_has_room_for_its_files(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    assert disk.size_for(tmp_path) == 16 << 20
    with open(tmp_path / "b", "wb") as file:
        file.truncate(100 << 20)
    assert 125 << 20 < disk.size_for(tmp_path) < 160 << 20


def test_state_over_boots(tmp_path, monkeypatch):
    monkeypatch.setattr(guest, "STATE", tmp_path / "lib/state.json")
    first = guest.load_state()
    assert (first["next"], first["boot"]) == (0, 0)
    first["next"], first["failed"] = 3, [["a", "wrong"]]
    guest.save_state(first)
    assert json.loads((tmp_path / "lib/state.json").read_text())["next"] == 3
    assert guest.load_state() == {"next": 3, "boot": 1, "passed": 0, "failed": [["a", "wrong"]], "skipped": []}


def test_the_port_may_come_late(tmp_path, monkeypatch):
    monkeypatch.setattr(guest, "PORT", tmp_path / "port")
    later = threading.Timer(0.3, (tmp_path / "port").touch)
    later.start()
    guest.wait_for_port()
    assert guest.PORT.exists()
    later.join()


class Port:
    def __init__(self):
        self.text = ""

    def write(self, data):
        self.text += data.decode()

    def flush(self):
        pass


def test_guest_counts_and_stops_at_a_boot(monkeypatch):
    steps = [{"kind": "gtest", "name": "a"}, {"kind": "reboot"}, {"kind": "gtest", "name": "b"}]
    state = {"next": 0, "boot": 0, "passed": 0, "failed": [], "skipped": []}
    port = Port()
    monkeypatch.setattr(guest, "REPORTS", image.HERE)
    run = guest.Guest({"repo": str(image.REPO), "build": "/b", "steps": steps}, state, port)

    def one_of_each(step):
        outcome = run.results.Outcome(passed=2)
        outcome.fail("T.x", "wrong")
        return outcome

    monkeypatch.setattr(run, "gtest", one_of_each)
    booted = []
    monkeypatch.setattr(run, "boot_again", booted.append)
    assert not run.run_steps() and booted == ["reboot"] and state["next"] == 2
    assert run.run_steps()
    run.conclude()
    assert port.text.endswith("FAIL a/T.x: wrong\nFAIL b/T.x: wrong\n4 passed, 2 failed, 0 skipped\ntestvm: end 1\n")


def test_a_program_that_ran_nothing_fails():
    run = guest.Guest({"repo": str(image.REPO), "build": "/b", "steps": []}, {"boot": 0}, Port())
    judged = run._judged({"name": "a"}, run.results.Outcome(), 0)
    assert judged.failed == [("a", "ran no test")]
    judged = run._judged({"name": "a"}, run.results.Outcome(passed=1), 139)
    assert judged.failed == [("a", "exited with 139")]
