"""clang-tidy over the build's compile commands, in parallel.

A file that passed is remembered by a hash of everything that its result depends on (its own text, the text of each
header of ours that it includes, the command, the configuration), so that a second run only looks at what changed.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess

from .context import REPO, is_generated

_INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)
_FOLDERS = ("core", "capi", "daemon", "cli", "bindings", "examples", "tests")
_PROBLEM = re.compile(r": (error|warning): ")


def run(context):
    database = context.build / "compile_commands.json"
    if not database.exists():
        return [f"{database} is missing; configure and build first (cmake --preset dev && cmake --build --preset dev)"]
    units = [_Unit(entry, context.build) for entry in json.loads(database.read_text())]
    units = [unit for unit in units if unit.is_ours()]
    if context.changed_only:
        units = [unit for unit in units if unit.reads(context.changed)]
    cache = _cache_folder(context.build)
    todo = [unit for unit in units if not (cache / unit.digest()).exists()]
    # The slow ones (gRPC) first, so that no core idles at the end.
    todo.sort(key=lambda unit: "ctrd" not in unit.path)
    with concurrent.futures.ThreadPoolExecutor(context.jobs) as pool:
        results = pool.map(lambda unit: _check(unit, context.build, cache), todo)
        problems = [line for lines in results for line in lines]
    return sorted(set(problems))


def _check(unit, build, cache):
    command = ["clang-tidy", "-p", build, "--quiet", "--extra-arg=-Wno-unknown-warning-option", REPO / unit.path]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    lines = [line.replace(f"{REPO}/", "") for line in done.stdout.splitlines() if _PROBLEM.search(line)]
    if done.returncode != 0 and not lines:
        lines = [f"{unit.path}: clang-tidy exited with {done.returncode}: {done.stderr.strip()}"]
    if not lines:
        (cache / unit.digest()).touch()
    return lines


def _cache_folder(build):
    home = os.environ.get("XDG_CACHE_HOME") or (os.path.expanduser("~/.cache") if "HOME" in os.environ else build)
    folder = pathlib.Path(home) / "pouch-tidy"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class _Unit:
    """One compile command."""

    # File → the files of ours that it includes directly; shared by all units.
    _direct = {}

    def __init__(self, entry, build):
        self.command = entry["command"]
        file = pathlib.Path(entry["directory"], entry["file"]).resolve()
        self.path = str(file.relative_to(REPO)) if file.is_relative_to(REPO) else ""
        self._build = build
        self._digest = None

    def is_ours(self):
        return self.path.split("/")[0] in _FOLDERS and not is_generated(self.path)

    def digest(self):
        if self._digest is None:
            hasher = hashlib.sha256(_tool_version().encode())
            hasher.update((REPO / ".clang-tidy").read_bytes())
            # The command without the build folder's and the repository's place.
            hasher.update(self.command.replace(str(self._build), "B").replace(str(REPO), "R").encode())
            for file in sorted(self._closure()):
                hasher.update(file.name.encode() + b"\0" + file.read_bytes())
            self._digest = hasher.hexdigest()
        return self._digest

    def reads(self, changed):
        names = {str(file.relative_to(REPO)) for file in self._closure() if file.is_relative_to(REPO)}
        return bool(names & changed)

    def _closure(self):
        folders = [pathlib.Path(word[2:]) for word in shlex.split(self.command) if word.startswith("-I")]
        seen, todo = set(), [REPO / self.path]
        while todo:
            file = todo.pop()
            if file not in seen:
                seen.add(file)
                todo += self._includes(file, folders)
        return seen

    def _includes(self, file, folders):
        key = (file, tuple(folders))
        if key not in self._direct:
            found = []
            for name in _INCLUDE.findall(file.read_text(errors="replace")):
                place = next((f / name for f in (file.parent, *folders) if (f / name).is_file()), None)
                if place is not None:
                    found.append(place.resolve())
            self._direct[key] = found
        return self._direct[key]


def _tool_version():
    return subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
