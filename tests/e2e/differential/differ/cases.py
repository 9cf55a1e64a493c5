"""Reads the cases: YAML files, each a map of case name to steps."""

import dataclasses
import pathlib
import shlex

import yaml

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "cases"
# Commands whose output is a container's own: nothing of it may ever be allowed to differ.
CONTAINER_OUTPUT = ("run", "exec", "logs", "start", "attach")
_STEP_FIELDS = {"docker", "stdin", "stdin_file", "env", "json", "sort", "save", "background", "join", "now", "plus", "file",
                "until", "prints", "versioned", "newest_code", "signal", "made_anew"}
_CASE_FIELDS = {"steps", "files", "needs"}


class CaseError(Exception):
    pass


@dataclasses.dataclass
class Step:
    """One step; README.md says what each field means."""

    fields: dict

    def __getattr__(self, name):
        return self.fields.get(name)

    @property
    def words(self):
        return with_network(shlex.split(self.fields.get("docker") or self.fields.get("until") or ""))

    @property
    def verb(self):
        """What the allow-list calls the step: the command, with its noun (`image inspect`)."""
        words = self.words
        nouns = ("container", "image", "network", "system", "volume")
        return " ".join(words[:2]) if words and words[0] in nouns else words[0] if words else "step"


@dataclasses.dataclass
class Case:
    name: str
    steps: list
    files: dict
    needs: str


def with_network(words):
    """`run` and `create` get `--network none` unless they name a network."""
    if not words or words[0] not in ("run", "create") or any(w.startswith(("--network", "--net")) for w in words):
        return words
    return [words[0], "--network", "none", *words[1:]]


def load(folder=FOLDER):
    """All cases, in the order of the files and within them."""
    found = {}
    for file in sorted(folder.glob("*.yaml")):
        for name, content in yaml.safe_load(file.read_text()).items():
            if name in found:
                raise CaseError(f"{file.name}: {name}: a case of that name is already there")
            found[name] = _case(file.name, name, content)
    return list(found.values())


def _case(file, name, content):
    content = {"steps": content} if isinstance(content, list) else content
    unknown = set(content) - _CASE_FIELDS
    if unknown:
        raise CaseError(f"{file}: {name}: unknown fields: {', '.join(sorted(unknown))}")
    steps = []
    for number, item in enumerate(content["steps"], 1):
        fields = {"docker": item} if isinstance(item, str) else item
        if not isinstance(fields, dict) or set(fields) - _STEP_FIELDS:
            raise CaseError(f"{file}: {name}: step {number}: unknown fields: {item}")
        steps.append(Step(fields))
    return Case(name, steps, content.get("files", {}), content.get("needs", ""))


def missing(case):
    """Why the oracle cannot run the case on this machine; empty if it can."""
    if case.needs == "capabilities" and not _has_all_capabilities():
        return "dockerd starts no container with all capabilities where the machine withholds one"
    return ""


def _has_all_capabilities():
    status = pathlib.Path("/proc/self/status").read_text()
    bounding = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    return int(bounding.split()[1], 16) == (1 << (last + 1)) - 1
