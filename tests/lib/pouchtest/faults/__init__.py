"""Killing our processes at every point, failing every step, and judging what is left by everybody's tools but ours.

`Campaign` runs scenarios: a workload with a journal of what was acknowledged, one fault in it, then the judge.
core/base/fault.h describes the points and the control file.
"""

from . import judge
from .campaign import Campaign
from .control import Control
from .points import UNMET, catalogue
from .scenario import Scenario
from .world import World

__all__ = ["UNMET", "Campaign", "Control", "Scenario", "World", "catalogue", "judge"]
