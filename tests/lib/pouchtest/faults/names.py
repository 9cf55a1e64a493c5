"""Names that workload and world share."""

BASE = "fault-base:latest"
SMALL = "fault-small"
PULLED = "fault-pulled"
PUSHED = "fault-pushed"
