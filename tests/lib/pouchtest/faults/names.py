"""Names that workload and world share."""

import zlib

BASE = "fault-base:latest"
SMALL = "fault-small"
PULLED = "fault-pulled"
PUSHED = "fault-pushed"

# The parts of the workload in their order, each a method of it.
WORKLOAD_SECTIONS = ("open", "session", "transfers", "finite", "live", "auto_remove", "bridged", "networks", "volumes",
                     "input", "terminal", "failing", "left", "committed", "tell")


def links_of(uri):
    """How links begin that the workload names itself, on the engine of that address; a tag follows."""
    return f"pzf{zlib.crc32(uri.encode()) & 0xfffff:05x}"
