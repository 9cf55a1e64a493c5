"""What goes wrong in one run of the workload."""

import dataclasses
from typing import Optional

from .names import WORKLOAD_SECTIONS


@dataclasses.dataclass(frozen=True)
class Scenario:
    mode: str  # "embed" or "pouchd"
    action: str  # "none", "kill", "fail:ENOSPC", …, "random"
    role: str = ""  # whose point it is; of "random": who is killed
    point: str = ""
    nth: int = 1
    after: Optional[float] = None  # of "random": seconds into the workload
    section: str = ""  # of the workload, in which it is to happen; "": anywhere in the whole of it
    nth_alone: int = 0  # the same meeting of the point, where only sections() are run

    def sections(self):
        """What is run: a container before, and others after, that must be there in the end."""
        if not self.section:
            return WORKLOAD_SECTIONS
        needed = {"committed": ("left",)}.get(self.section, ())
        return tuple(dict.fromkeys(("open", "finite", *needed, self.section, "left")))

    def whole(self):
        return dataclasses.replace(self, section="")

    def __str__(self):
        where = f" {self.point}#{self.nth}" if self.point else ""
        when = f" after {self.after:.2f} s" if self.after is not None else ""
        return f"{self.mode}: {self.action} {self.role}{where}{when}"


# What may fail at a kind of point.
_SYSTEM = ("ENOSPC", "EIO", "EMFILE")
_RPC = ("Unavailable", "DeadlineExceeded", "ENOSPC", "EIO", "EMFILE")


def errors_of(point):
    return _RPC if point.startswith(("rpc.", "keeper.")) else _SYSTEM
