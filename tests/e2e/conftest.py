"""For all end-to-end tests."""

from pouchtest import procs


def pytest_configure(config):
    procs.heed_signals()
    config.addinivalue_line("markers", "vm: means something on another host too: runs in the test machine as well")
