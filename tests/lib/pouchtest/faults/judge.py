"""Says what is wrong after a scenario, by ctr, findmnt, ip, nft, /proc, /sys/fs/cgroup and files: not by us."""

import json
import os
import pathlib
import re
import subprocess

from .. import cgroups, procs
from ..paths import find_program
from .names import links_of

_SETTLED = ("created", "exited", "running", "dead")
_TEMPORARY = re.compile(r"\.new-[0-9a-f]{12}$")


class Baseline:
    """What is there while no container is."""

    def __init__(self, world):
        self.snapshots = set(_column(world, "snapshots", "ls"))
        self.content = set(_column(world, "content", "ls"))
        self.images = set(_column(world, "images", "ls"))
        self.mounts = _mounts(world)
        self.links = _links(world)
        self.rules = _rules(world)


def problems(world, story, baseline, faulted):
    """One line for each thing that is wrong. `faulted`: the role that was killed, which may repeat log lines or end
    a container."""
    rows = world.rows()
    found = []
    found += _unsettled(rows)
    found += _expectations(rows, story, faulted)
    found += _ctr(world, rows, baseline)
    found += _running(world, rows, baseline)
    found += _files(world, rows)
    if None in world.keeper() and any(world.keeper()):
        found.append("the keeper's one half is without the other")
    for container in story.containers.values():
        if container.id in rows:
            found += _log(rows[container.id], container, faulted)
    return found


def leftovers(world, baseline, has_keeper=True):
    """What is wrong once all containers and images of the scenario were removed. A keeper has the bridge and its rules
    as long as it lives."""
    own = {f"pb-{world.root_id}", *_rules(world)} if has_keeper else set()
    found = _ctr(world, world.rows(), baseline) + _running(world, world.rows(), baseline)
    found += _files(world, world.rows())
    for kind, now, before in (("snapshot", _column(world, "snapshots", "ls"), baseline.snapshots),
                              ("content", _column(world, "content", "ls"), baseline.content),
                              ("image", _column(world, "images", "ls"), baseline.images),
                              ("mount", _mounts(world), baseline.mounts),
                              ("link", _links(world) - own, baseline.links),
                              ("nft", _rules(world) - own, baseline.rules)):
        found += [f"left: {kind} {name}" for name in sorted(set(now) - set(before))]
        found += [f"missing: {kind} {name}" for name in sorted(set(before) - set(now))
                  if kind in ("snapshot", "content", "image")]
    found += [f"left: ingest {name}" for name in _column(world, "content", "active")]
    return found


def _unsettled(rows):
    return [f"{row['name']} is {row['state']} for good (owner {row['owner_token']})" for row in rows.values()
            if row["state"] not in _SETTLED]


def _expectations(rows, story, faulted):
    # Also what was not acknowledged.
    found = [f"left: {row['name']} of a session that is over" for row in rows.values()
             if row["name"].startswith("session-")]
    for container in story.containers.values():
        row = rows.get(container.id) if container.id else None
        if container.is_removed and row:
            found.append(f"{container.key}: removal was acknowledged, but it is {row['state']}")
        if container.is_acknowledged and not row and not container.may_be_gone and container.key != "session":
            found.append(f"{container.key}: its creation was acknowledged, but it is not there")
        if not row:
            continue
        if row["name"] not in container.names:
            found.append(f"{container.key}: its name is {row['name']}, not one of {sorted(container.names)}")
        if row["state"] == "dead" and "remove" not in container.begun:
            found.append(f"{container.key}: dead: {row['error']}")
        found += _run_of(container, row, faulted)
    return found


def _run_of(container, row, faulted):
    """Whether it runs as acknowledged."""
    ends_early = faulted.startswith("shim")
    if container.key == "runs" and "start" in container.done and row["state"] != "running" and not ends_early:
        return [f"runs: its start was acknowledged, but it is {row['state']} ({row['exit_code']})"]
    if container.key == "live" and "stop" in container.done and "restart" not in container.begun:
        if row["state"] != "exited":
            return [f"live: its stop was acknowledged, but it is {row['state']}"]
    if container.key == "finite" and "wait" in container.done and row["state"] != "exited":
        return [f"finite: its end was acknowledged, but it is {row['state']}"]
    if container.key == "finite" and "start" in container.done and not ends_early and row["state"] == "exited":
        if row["exit_code"] != 0:
            return [f"finite: it exited with {row['exit_code']}: {row['error']}"]
    return []


def _ctr(world, rows, baseline):
    """containerd's records, tasks and snapshots are those of the rows."""
    found = []
    snapshots = set(_column(world, "snapshots", "ls"))
    keys = {row["snapshot_key"] for row in rows.values()}
    # Of a dead one, whose removal failed half-way, it may be gone.
    wanted = {row["snapshot_key"]: row["state"] for row in rows.values() if row["state"] != "dead"}
    found += [f"{rows_name(rows, key)}, {wanted[key]}: its snapshot is missing" for key in wanted.keys() - snapshots]
    kinds = _kinds(world)
    found += [f"left: snapshot {name}" for name in snapshots - keys - baseline.snapshots if kinds.get(name) != "Committed"]
    found += [f"left: record {name}" for name in _column(world, "containers", "ls") if name not in rows]
    found += [f"left: lease {name}" for name in _column(world, "leases", "ls")]
    tasks = {line.split()[0]: line.split()[2] for line in world.ctr("tasks", "ls").lines[1:]}
    running = {id_ for id_, row in rows.items() if row["state"] == "running"}
    found += [f"{rows[id_]['name']}: runs by its row, its task is {tasks.get(id_)}" for id_ in running
              if tasks.get(id_) != "RUNNING"]
    found += [f"left: task {id_} {status}" for id_, status in tasks.items() if id_ not in running]
    return found


def rows_name(rows, key):
    return next((row["name"] for row in rows.values() if row["snapshot_key"] == key), key)


def _is_empty(group):
    """Whether a control group has no process; one that goes while it is looked at is none."""
    try:
        return not (group / "cgroup.procs").read_text()
    except OSError:  # ENOENT, or ENODEV of an open file
        return False


def _running(world, rows, baseline):
    """Processes, control groups and mounts are those of the running containers."""
    found = []
    running = {id_ for id_, row in rows.items() if row["state"] == "running"}
    for id_ in running:
        if procs.start_time(rows[id_]["pid"]) is None:
            found.append(f"{rows[id_]['name']}: process {rows[id_]['pid']} is not there")
    for hierarchy in cgroups.hierarchies():
        folder = hierarchy / world.namespace
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()] if folder.is_dir() else []
        # The keeper has one of its own while it lives.
        found += [f"left: control group {folder}/{name}" for name in names
                  if name not in running and _is_empty(folder / name)]
    for pid in world.containerd.shims():
        words = procs.cmdline(pid).split()
        if words and words[words.index("-id") + 1] not in running:
            found.append(f"left: shim {pid}: {' '.join(words)}")
    found += [f"left: mount {path}" for path in _mounts(world) - baseline.mounts
              if not any(id_ in path for id_ in running)]
    return found


def _files(world, rows):
    found = []
    folder = world.root / "containers"
    names = os.listdir(folder) if folder.is_dir() else []
    found += [f"left: folder {name}" for name in names if name not in rows]
    volumes = world.volumes()
    found += [f"volume {name} is {state} for good" for name, state in volumes.items() if state]
    folder = world.root / "volumes"
    found += [f"left: volume {name}" for name in (os.listdir(folder) if folder.is_dir() else []) if name not in volumes]
    io = world.run_dir / "io"
    for name in os.listdir(io) if io.is_dir() else []:
        row = rows.get(name.partition(".")[0])
        if row is None or row["state"] != "running":
            found.append(f"left: file io/{name}")
    runtime = world.run_dir / "runtime" / world.namespace
    for name in os.listdir(runtime) if runtime.is_dir() else []:
        if rows.get(name, {"state": ""})["state"] != "running":
            found.append(f"left: runtime state {name}")
    for top in (world.root, world.run_dir):
        found += [f"left: file {path}" for path in top.rglob("*.new-*") if _TEMPORARY.search(path.name)]
    return found


# --- logs ---

def _log(row, container, faulted):
    if "start" not in container.begun:
        return []
    path = pathlib.Path(row["log_path"])
    texts = []
    for part in [*(path.with_name(f"{path.name}.{i}") for i in range(9, 0, -1)), path]:
        for line in part.read_text().splitlines() if part.exists() else []:
            try:
                texts.append(json.loads(line)["log"])
            except ValueError:
                return [f"{container.key}: a damaged log entry: {line!r}"]
    try:
        numbers = [int(text.removeprefix("line ")) for text in texts]
    except ValueError:
        return [f"{container.key}: a strange log entry among {texts[-3:]}"]
    found = _gaps(container.key, numbers, repeats=faulted in ("keeper", "supervisor", "all"),
                  runs=row["generation"])
    wanted = container.facts.get("lines")
    if wanted and row["state"] == "exited" and row["exit_code"] == 0 and row["started_ns"] is not None:
        if not numbers or max(numbers) != wanted - 1:
            found.append(f"{container.key}: its log ends at {numbers[-1:]} of {wanted}")
    return found


def _gaps(key, numbers, repeats, runs):
    """Each run counts from 0 without gaps; where the keeper was killed, one chunk may be there twice."""
    expected = 0
    restarts = 0
    for number in numbers:
        if number == expected:
            expected += 1
        elif number == 0 and restarts + 1 < max(runs, 1):
            restarts += 1
            expected = 1
        elif number < expected and repeats:
            expected = number + 1
        else:
            return [f"{key}: line {number} in its log where {expected} was to come"]
    return []


# --- other people's tools ---

def _column(world, *command):
    """The first column of what ctr lists."""
    words = [line.split()[0] for line in world.ctr(*command).lines[1:] if line.split()]
    return words


def _kinds(world):
    lines = [line.split() for line in world.ctr("snapshots", "ls").lines[1:]]
    return {words[0]: words[-1] for words in lines if words}


def _mounts(world):
    text = _output("findmnt", "--noheadings", "--list", "--output", "TARGET")
    return {line.strip() for line in text.splitlines() if str(world.dir) in line}


def _links(world):
    """The root's bridge and the host's ends of its containers' links."""
    text = _output("ip", "-json", "link")
    ours = (f"pb-{world.root_id}", f"pn{world.root_id[:6]}", f"pv{world.root_id[:6]}", links_of(world.uri))
    return {link["ifname"] for link in json.loads(text or "[]") if link.get("ifname", "").startswith(ours)}


def _rules(world):
    return {line.strip() for line in _output("nft", "list", "tables").splitlines() if world.root_id in line}


def _output(program, *args):
    done = subprocess.run([find_program(program), *args], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout
