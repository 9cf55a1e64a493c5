"""What a workload did, line by line, written before and after each step so that a kill loses nothing of it."""

import json
import os
import pathlib
import time


class Journal:
    """Written by the workload."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, phase, step, **facts):
        line = json.dumps({"phase": phase, "step": step, "time": time.time(), **facts})
        os.write(self._fd, line.encode() + b"\n")


class Container:
    """What the journal says about one container."""

    def __init__(self, key):
        self.key = key
        self.id = None
        self.names = set()
        self.done = set()
        self.begun = set()
        self.facts = {}

    @property
    def is_acknowledged(self):
        return "create" in self.done

    @property
    def is_removed(self):
        return "remove" in self.done

    @property
    def may_be_gone(self):
        return "remove" in self.begun or bool(self.facts.get("auto_remove") and "start" in self.begun)


class Story:
    """Read by the judge."""

    def __init__(self, path):
        self.lines = []
        path = pathlib.Path(path)
        for line in path.read_text().splitlines() if path.exists() else []:
            self.lines.append(json.loads(line))
        self.containers = {}
        self.images = {}
        self.finished = any(line["step"] == "workload" and line["phase"] == "done" for line in self.lines)
        for line in self.lines:
            self._take(line)

    def failures(self):
        return [f"{line['step']} {line.get('key', '')}: {line['error']}" for line in self.lines
                if line["phase"] == "failed"]

    def _take(self, line):
        if line["step"].startswith("image."):
            done, begun = self.images.setdefault(line["name"], (set(), set()))
            begun.add(line["step"])
            if line["phase"] == "done":
                done.add(line["step"])
        elif "key" in line:
            self._take_container(line)

    def _take_container(self, line):
        container = self.containers.setdefault(line["key"], Container(line["key"]))
        container.begun.add(line["step"])
        container.facts.update(line.get("facts", {}))
        if line["phase"] != "done":
            if "name" in line and line["step"] == "rename":
                container.names.add(line["name"])
            return
        container.done.add(line["step"])
        container.id = line.get("id") or container.id
        if "name" in line:
            # A rename that was acknowledged leaves one name; one that was not, two that it may have.
            container.names = {line["name"]}
