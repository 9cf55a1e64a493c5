"""A reboot, played: every process of a root dies, the kernel forgets namespaces, links, addresses and rules, and the boot
has another id. What comes then finds networks, ports and containers as they were, and nothing that is not accounted for."""

import subprocess
import sys

pytest_plugins = ["pouchtest.fixtures"]

# In a mount namespace of its own, where the file of the boot's id is another one.
_PLAY = """
import json, pathlib, subprocess, sys, uuid
from pouchtest import echo, mounts, networks, procs
from pouchtest.containerd import end_shims
from pouchtest.pouchd import Pouchd

boot = pathlib.Path(sys.argv[2])
boot.write_text(f"{uuid.uuid4()}\\n")
subprocess.run(["mount", "--bind", boot, "/proc/sys/kernel/random/boot_id"], check=True)

def inspect(docker, name):
    return json.loads(docker("inspect", name).out)[0]

def serves(docker, name):
    found = inspect(docker, name)
    port = int(found["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])
    with echo.server(name, "80/tcp", pid=found["State"]["Pid"]):
        return port, echo.ask("127.0.0.1", port)[0] == name

def links(root):
    return {name for name in networks.remains(root) if not name.startswith("pouch_")}

with Pouchd() as daemon:
    docker = daemon.docker
    docker("load", "--input", sys.argv[1])
    root = docker("info", "--format", "{{.ID}}").out.strip()
    docker("network", "create", "net1")
    docker("network", "create", "--internal", "--subnet", "10.189.7.0/24", "net2")
    docker("run", "--detach", "--name", "c1", "--network", "net1", "--publish", "80", "busybox", "sleep", "1000")
    docker("network", "connect", "--ip", "10.189.7.50", "net2", "c1")
    docker("run", "--detach", "--name", "c2", "busybox", "sleep", "1000")
    port, good = serves(docker, "c1")
    assert good
    subnet = docker("network", "inspect", "net1", "--format", "{{(index .IPAM.Config 0).Subnet}}").out

    # The power goes.
    pids = [inspect(docker, name)["State"]["Pid"] for name in ("c1", "c2")]
    daemon.kill()
    for pid in procs.mentioning(str(daemon.dir)):
        if "pouch-keeper" in procs.cmdline(pid):
            procs.end(pid, grace=0)
    for pid in pids:
        procs.end(pid, grace=0)
    end_shims(daemon.dir)
    daemon.containerd.kill()
    mounts.unmount_below(daemon.dir)
    for link in links(root):
        networks.ip("link", "delete", link, check=False)
    subprocess.run(["nft", "delete", "table", "inet", f"pouch_{root}"], check=True)
    boot.write_text(f"{uuid.uuid4()}\\n")

    daemon.start()
    assert docker("ps", "--quiet").lines == []
    assert sorted(docker("network", "ls", "--format", "{{.Name}}").lines) == ["bridge", "host", "net1", "net2", "none"]
    assert not links(root), links(root)
    assert docker("network", "inspect", "net1", "--format", "{{len .Containers}}").out == "0\\n"
    docker("start", "c1")
    assert docker("network", "inspect", "net1", "--format", "{{(index .IPAM.Config 0).Subnet}}").out == subnet
    assert inspect(docker, "c1")["NetworkSettings"]["Networks"]["net2"]["IPAddress"] == "10.189.7.50"
    assert serves(docker, "c1")[1]
    # Two bridges, and the two links of the one that runs.
    assert len(links(root)) == 4, links(root)
    docker("rm", "--force", "c1", "c2")
    docker("network", "rm", "net1", "net2")
    assert procs.wait_until(lambda: not links(root), 20), links(root)
print("played to the end")
"""


def test_a_reboot(busybox_tar, tmp_path):
    done = subprocess.run(["unshare", "--mount", sys.executable, "-c", _PLAY, busybox_tar, tmp_path / "boot_id"],
                          capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0 and "played to the end" in done.stdout, done.stdout + done.stderr
