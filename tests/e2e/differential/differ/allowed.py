"""The differences that are meant, each with its reason. The list only shrinks: an entry that is not used fails."""

import dataclasses
import fnmatch
import pathlib

from .compare import may_be_allowed

FILE = pathlib.Path(__file__).resolve().parents[1] / "allowed.txt"


class AllowedError(Exception):
    pass


@dataclasses.dataclass
class Entry:
    case: str
    verb: str
    field: str
    reason: str
    used: bool = False

    def matches(self, difference):
        return (difference.case == self.case and difference.verb == self.verb
                and fnmatch.fnmatchcase(difference.field, self.field.replace("[", "[[]")))

    def __str__(self):
        return f"{self.case} | {self.verb} | {self.field}"


class Allowed:
    def __init__(self, file=FILE, names=None):
        """`names`: the cases that exist."""
        self.entries = []
        for number, line in enumerate(pathlib.Path(file).read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self.entries.append(_entry(f"{file.name}:{number}", line, names))

    def covers(self, difference):
        """Whether the difference is allowed; never stops at the first entry, so that each is marked used."""
        found = [entry for entry in self.entries if entry.matches(difference)]
        for entry in found:
            entry.used = True
        return bool(found) and may_be_allowed(difference.verb, difference.field)

    def unused(self, cases):
        """Entries of the cases that ran which no difference needed."""
        return [entry for entry in self.entries if entry.case in cases and not entry.used]


def _entry(where, line, names):
    entry, _, reason = line.partition("#")
    parts = [part.strip() for part in entry.split("|")]
    if len(parts) != 3 or not all(parts) or not reason.strip():
        raise AllowedError(f"{where}: expected `case | command | field  # reason`")
    if names is not None and parts[0] not in names:
        raise AllowedError(f"{where}: no such case: {parts[0]}")
    if not may_be_allowed(parts[1], parts[2]):
        raise AllowedError(f"{where}: exit codes and containers' output may not differ")
    return Entry(*parts, reason.strip())
