"""tools/test itself."""

import contextlib

import main


def test_lanes_do_not_take_each_other_for_left_behind():
    with contextlib.ExitStack() as undo:
        lanes = main.make_lanes(undo)
        for lane in lanes:
            assert {str(other.scratch) for other in lanes} <= lane.guard.before["file"].keys()
