"""A pouchd whose points a control file commands."""

import os

from .. import procs
from ..pouchd import Pouchd


class FaultyPouchd(Pouchd):
    def __init__(self, control, containerd=None):
        super().__init__(containerd=containerd)
        self.control = control

    def environment(self):
        return {**os.environ, **self.control.environment}

    def killed_at(self, point, nth, action, role="pouchd"):
        """Does something while pouchd (role "*": or the keeper) is to die at the nth meeting of a point; starts pouchd again.
        False: the point was met less often, and nobody died."""
        self.control.rule("kill", role, point, nth)
        action()
        procs.wait_until(lambda: self.control.fired() or role == "pouchd", 5)
        fired = self.control.fired()
        self.control.clear()
        if fired and fired.startswith("pouchd "):
            self.process.wait()
            self.start()
        return fired is not None
