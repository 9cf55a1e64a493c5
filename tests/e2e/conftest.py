"""For all end-to-end tests."""


def pytest_configure(config):
    config.addinivalue_line("markers", "vm: means something on another host too: runs in the test machine as well")
