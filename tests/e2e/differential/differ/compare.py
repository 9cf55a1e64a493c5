"""Compares two engines' answers to one case, step by step."""

import dataclasses
import json
import re

from . import normalise
from .cases import CONTAINER_OUTPUT

_WITH_SIZES = ("ps", "images", "history")
_NEWER_WORDS = (
    ("failed to create task for container: ", ""),
    ("unknown or invalid runtime name: ", "Unknown runtime specified "),
    ("invalid IPC mode: ", "Invalid IPC mode: "),
    ("name=seccomp,profile=builtin", "name=seccomp,profile=default"),
    (r"no such image: \S+: (?=No such image: )", ""),
)


@dataclasses.dataclass
class Difference:
    """`field` is code, stdout, stderr, or a path into the JSON that a step printed (`.HostConfig.Mounts[].Type`)."""

    case: str
    step: int
    verb: str
    command: str
    field: str
    expected: object
    found: object

    def __str__(self):
        head = f"{self.case} step {self.step}: {self.command}\n  {self.field}"
        return f"{head}\n    dockerd: {_show(self.expected)}\n    pouchd:  {_show(self.found)}"


def _show(value):
    return "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False)


def words_of_versions(text):
    """What Moby itself words otherwise at 1.50 than at 1.41."""
    for pattern, replacement in _NEWER_WORDS:
        text = re.sub(pattern, replacement, text)
    return text


class _Absent:
    def __repr__(self):
        return "absent"


ABSENT = _Absent()


class Comparison:
    def __init__(self, case, folders):
        """`folders`: of the oracle's and of ours, lists of (path, name)."""
        self._case = case
        self._names = (normalise.Names(), normalise.Names())
        self._folders = folders

    def differences(self, expected, found, newest):
        """`newest`: ours was asked at 1.50, where what a version changed is not compared."""
        result = []
        for number, step in enumerate(self._case.steps, 1):
            pair = (expected[number - 1], found[number - 1])
            for field, left, right in self._step(step, pair, newest):
                command = pair[0].command if len(pair[0].command) < 200 else pair[0].command[:200] + "…"
                result.append(Difference(self._case.name, number, step.verb, command, field, left, right))
        return result

    def _step(self, step, pair, newest):
        left, right = pair
        code = step.newest_code if newest and step.newest_code is not None else left.code
        if code != right.code:
            yield "code", self._told(0, left), self._told(1, right)
        if newest and step.versioned:
            return
        if step.json and left.code == 0 and right.code == 0:
            documents = [self._document(side, answer.out) for side, answer in enumerate(pair)]
            yield from (item for item in paths(*documents) if not newest or ABSENT not in item[1:])
        else:
            yield from self._texts("stdout", step, newest, left.out, right.out)
        yield from self._texts("stderr", step, newest, left.err, right.err)

    def _told(self, side, answer):
        return [answer.code, self._text(side, answer.out)[-500:], self._text(side, answer.err)[-500:]]

    def _texts(self, field, step, newest, *values):
        texts = [self._text(side, value) for side, value in enumerate(values)]
        if newest:
            texts = [words_of_versions(text) for text in texts]
        if step.verb in _WITH_SIZES:
            texts = [normalise.sizes(text) for text in texts]
        if step.made_anew:
            texts = [normalise.made_anew(text) for text in texts]
        if step.sort:
            texts = ["\n".join(sorted(text.splitlines())) for text in texts]
        if texts[0] != texts[1]:
            yield field, texts[0], texts[1]

    def _text(self, side, value):
        return normalise.text(value, self._names[side], self._folders[side])

    def _document(self, side, value):
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = [json.loads(line) for line in value.splitlines() if line.strip()]
        # Names of its own, or a field that may differ would shift those of all later steps.
        return normalise.document(parsed, normalise.Names(), self._folders[side])


def paths(left, right, path=""):
    """Where two documents differ, as (path, left, right); the items of a list share a path."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in {**left, **right}:
            yield from paths(left.get(name, ABSENT), right.get(name, ABSENT), f"{path}.{name}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for one, other in zip(left, right):
            yield from paths(one, other, f"{path}[]")
    elif left != right or isinstance(left, bool) != isinstance(right, bool):
        yield path or ".", left, right


def may_be_allowed(verb, field):
    """An exit code and a container's output are never allowed to differ."""
    return field != "code" and not (field == "stdout" and verb in CONTAINER_OUTPUT)
