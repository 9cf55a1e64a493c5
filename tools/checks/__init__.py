"""The checks behind tools/check. Each module has `run(context) -> list of problems`, one line each."""
