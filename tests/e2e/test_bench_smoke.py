"""The benchmarks work on the build under test. Their times are not judged here."""

import json

from pouchtest import REPO, build_dir, run

pytest_plugins = ["pouchtest.fixtures"]
_FACTS = {"date", "commit", "build_type", "kernel", "cpu", "cores", "memory_mib", "load", "versions"}
_SUMMARY = {"samples", "p50_ms", "p95_ms", "min_ms"}


def test_quick(tmp_path, leak_guard):
    file = tmp_path / "deep/run.json"
    done = run(REPO / "tests/bench/run", "--quick", "--rounds", "1", "--json", file, timeout=300,
               env={"POUCH_BUILD_DIR": build_dir()})
    document = json.loads(file.read_text())
    assert _FACTS <= document["host"].keys()
    assert {"runc", "containerd", "dockerd", "docker", "pouch"} <= document["host"]["versions"].keys()
    assert document["rounds"] == 1
    assert list(document["runtimes"]) == ["runc"]
    for count, part in document["runtimes"]["runc"].items():
        check_part(int(count), part)
        for name in part["peers"]:
            assert name in done.out
    assert list(document["runtimes"]["runc"]) == ["1", "2"]


def check_part(count, part):
    assert len(part["peers"]) >= 10
    for summary in part["peers"].values():
        assert summary.keys() == _SUMMARY
        assert summary["samples"] == count
        assert 0 < summary["min_ms"] <= summary["p50_ms"] <= summary["p95_ms"]
    assert [ratio["at_most"] for ratio in part["ratios"]] == [1.0, 1.0, None, 0.5, 0.5, 0.5, 0.5]
    for ratio in part["ratios"]:
        if ratio["at_most"] is None:
            assert ratio["met"]
            continue
        assert ratio["met"] == (ratio["p50"] <= ratio["at_most"]) or abs(ratio["p50"] - ratio["at_most"]) < 0.001


def test_unknown_runtime(tmp_path):
    done = run(REPO / "tests/bench/run", "--runtime", "nosuch", "--json", tmp_path / "x.json", check=False)
    assert done.code == 2
    assert "invalid choice: 'nosuch'" in done.err
    assert not (tmp_path / "x.json").exists()


def test_guest(tmp_path, leak_guard):
    file = tmp_path / "guest.json"
    done = run(REPO / "tests/bench/guest", "--quick", "--json", file, timeout=300, env={"POUCH_BUILD_DIR": build_dir()})
    document = json.loads(file.read_text())
    assert _FACTS <= document["host"].keys()
    rows = document["rows"]
    assert len(rows) == 11
    for row in rows:
        assert row["name"] in done.out
        assert row["unit"] != "ms" or row["value"] > 0
    assert [row["peer"] for row in rows if "peer" in row] == ["docker-py logs", "docker-py attach", "docker-py wait"]


def test_pull(tmp_path, leak_guard):
    file = tmp_path / "pull.json"
    done = run(REPO / "tests/bench/pull", "--rounds", "1", "--megabytes", "30", "--peer", "pouch", "--peer", "docker", "--json", file,
               timeout=300, env={"POUCH_BUILD_DIR": build_dir()})
    document = json.loads(file.read_text())
    assert _FACTS <= document["host"].keys() and document["image"]["layers"] == 6 and document["skipped"] == []
    for peer in ("pouch", "docker"):
        assert document["peers"][peer]["wall_s"] > 0 and document["peers"][peer]["cpu_s"] > 0
        assert peer in done.out
    assert [ratio["of"] for ratio in document["ratios"]] == ["wall_s", "cpu_s", "peak_mib"]
