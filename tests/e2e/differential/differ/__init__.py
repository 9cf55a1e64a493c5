"""The same docker commands against Debian's dockerd and pouchd, and what differs between their answers."""
