"""What goes wrong in one run of the workload."""

import dataclasses
from typing import Optional


@dataclasses.dataclass(frozen=True)
class Scenario:
    mode: str  # "embed" or "pouchd"
    action: str  # "none", "kill", "fail:ENOSPC", …, "random"
    role: str = ""  # whose point it is; of "random": who is killed
    point: str = ""
    nth: int = 1
    after: Optional[float] = None  # of "random": seconds into the workload

    def __str__(self):
        where = f" {self.point}#{self.nth}" if self.point else ""
        when = f" after {self.after:.2f} s" if self.after is not None else ""
        return f"{self.mode}: {self.action} {self.role}{where}{when}"


# What may fail at a kind of point.
_SYSTEM = ("ENOSPC", "EIO", "EMFILE")
_RPC = ("Unavailable", "DeadlineExceeded", "ENOSPC", "EIO", "EMFILE")


def errors_of(point):
    return _RPC if point.startswith(("rpc.", "keeper.")) else _SYSTEM
