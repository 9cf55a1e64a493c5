"""The control file of core/base/fault.h."""

import collections
import os
import pathlib

VARIABLE = "POUCH_FAULTS_FILE"


class Control:
    """One control file, which our processes look at again at each point."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "faults"
        self.met_path = pathlib.Path(folder) / "points-met"
        self.clear()

    @property
    def environment(self):
        return {VARIABLE: str(self.path)}

    def record(self):
        """From now on each point that is met is noted."""
        self.met_path.unlink(missing_ok=True)
        self._write(f"record {self.met_path}\n")

    def met(self):
        """How often each (role, point, kind) was met since record()."""
        if not self.met_path.exists():
            return collections.Counter()
        lines = self.met_path.read_text().splitlines()
        return collections.Counter(tuple(line.split()) for line in lines if len(line.split()) == 3)

    def met_by_section(self):
        """The same as (section of the workload, Counter), in their order; what came before the first has the name ""."""
        found = [("", collections.Counter())]
        for line in self.met_path.read_text().splitlines() if self.met_path.exists() else []:
            words = line.split()
            if len(words) == 2 and words[0] == "section":
                found.append((words[1], collections.Counter()))
            elif len(words) == 3:
                found[-1][1][tuple(words)] += 1
        return found

    def rule(self, action, role, point, nth):
        """One fault; what fired before is forgotten."""
        self.rules((action, role, point, nth))

    def rules(self, *rules):
        """Several at once, each (action, role, point, nth)."""
        self._forget_marks()
        self._write("".join(" ".join(map(str, rule)) + "\n" for rule in rules))

    def clear(self):
        self._write("\n")

    def fired(self):
        """Where the fault acted: "role pid point", or None."""
        mark = pathlib.Path(f"{self.path}.fired-1")
        return mark.read_text().strip() if mark.exists() else None

    def _forget_marks(self):
        for mark in self.path.parent.glob(f"{self.path.name}.fired-*"):
            mark.unlink()

    def _write(self, text):
        # Another inode each time: who looks sees either the old text or the new one.
        new = self.path.with_name("faults.new")
        new.write_text(text)
        os.rename(new, self.path)
