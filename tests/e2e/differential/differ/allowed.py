"""The differences that are meant, each with its reason. The list only shrinks: an entry that is not used fails."""

import dataclasses
import fnmatch
import pathlib

from .compare import may_be_allowed

FILE = pathlib.Path(__file__).resolve().parents[1] / "allowed.txt"


class AllowedError(Exception):
    pass


@dataclasses.dataclass(eq=False)
class Entry:
    case: str
    verb: str
    field: str
    reason: str
    used: bool = False

    def matches(self, difference):
        return (self.is_of(difference.case) and _fits(difference.verb, self.verb)
                and _fits(difference.field, self.field))

    def is_of(self, case):
        return _fits(case, self.case)

    def __str__(self):
        return f"{self.case} | {self.verb} | {self.field}"


def _fits(text, pattern):
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


class Allowed:
    def __init__(self, names, file=FILE):
        """`names`: the cases that can run on this machine."""
        self._names = names
        self.entries = []
        for number, line in enumerate(pathlib.Path(file).read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self.entries.append(_entry(f"{file.name}:{number}", line))

    def covers(self, difference):
        """Whether the difference is allowed; never stops at the first entry, so that each is marked used."""
        found = [entry for entry in self.entries if entry.matches(difference)]
        for entry in found:
            entry.used = True
        return bool(found) and may_be_allowed(difference.verb, difference.field)

    def unused(self, cases):
        """Entries that no difference needed although all their cases ran."""
        wanted = {entry: {name for name in self._names if entry.is_of(name)} for entry in self.entries}
        return [entry for entry, names in wanted.items() if not entry.used and names <= set(cases)]


def _entry(where, line):
    entry, _, reason = line.partition("#")
    parts = [part.strip() for part in entry.split("|")]
    if len(parts) != 3 or not all(parts) or not reason.strip():
        raise AllowedError(f"{where}: expected `case | command | field  # reason`")
    if not may_be_allowed(parts[1], parts[2]):
        raise AllowedError(f"{where}: exit codes and containers' output may not differ")
    return Entry(*parts, reason.strip())
