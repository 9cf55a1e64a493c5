"""Containers in every state, made before the machine boots again; after_boot.py looks at what became of them."""

import os

from vmtest import wait_for

TICKER = "i=0; while true; do echo $i; i=$((i+1)); sleep 0.2; done"


def test_make_containers(service):
    old = service.docker("ps", "--all", "--quiet").lines
    if old:
        service.docker("rm", "--force", *old)
    service.run("--name", "running", "busybox", "sh", "-c", TICKER)
    service.run("--name", "limited", "--memory", "64m", "--runtime", "crun", "busybox", "sleep", "10000")
    service.run("--name", "auto", "--rm", "busybox", "sleep", "10000")
    service.docker("create", "--name", "created", "--network", "none", "busybox", "echo", "started later")
    service.docker("run", "--name", "exited", "--network", "none", "busybox", "sh", "-c", "echo done; exit 3", check=False)
    wait_for(lambda: len(service.docker("logs", "running").lines) > 5)
    # What was acknowledged is on the disk already; this is for the log lines, of which no call tells.
    os.sync()
