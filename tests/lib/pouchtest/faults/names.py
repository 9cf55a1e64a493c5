"""Names that workload and world share."""

BASE = "fault-base:latest"
SMALL = "fault-small"
