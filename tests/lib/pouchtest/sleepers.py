"""Containers that only sleep, in networks, by the docker CLI."""

import json


def sleeper(docker, name, *args):
    """Runs one; its endpoints by the networks' names."""
    docker("run", "--detach", "--name", name, *args, "busybox", "sleep", "1000")
    return endpoints(docker, name)


def endpoints(docker, name):
    return json.loads(docker("inspect", name).out)[0]["NetworkSettings"]["Networks"]


def pings(docker, name, address, wait=1):
    """Whether a container gets an answer within so many seconds."""
    family = "-6" if ":" in address else "-4"
    return docker("exec", name, "ping", family, "-c", "1", "-W", str(wait), address, check=False).code == 0
