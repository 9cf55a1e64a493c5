"""Containers whose servers run in their network namespace, made by the docker CLI."""

import json

from . import echo


class Container:
    """A sleeping container; the servers in its namespace answer with its name."""

    def __init__(self, docker, name, *args):
        self.docker, self.name = docker, name
        docker("run", "--detach", "--name", name, *args, "busybox", "sleep", "1000")
        self.read()

    def read(self):
        found = json.loads(self.docker("inspect", self.name).out)[0]
        self.pid = found["State"]["Pid"]
        self.networks = found["NetworkSettings"]["Networks"]
        self.ports = found["NetworkSettings"]["Ports"]
        return self

    @property
    def address(self):
        return next(iter(self.networks.values()))["IPAddress"]

    @property
    def address6(self):
        return next(iter(self.networks.values()))["GlobalIPv6Address"]

    def port(self, port="80/tcp"):
        return int(self.ports[port][0]["HostPort"])

    def serves(self, *ports):
        return echo.server(self.name, *ports, pid=self.pid)
