"""Who runs containers with and without a network, each on a bridge of its own kind."""

import contextlib
import json
import os
import shutil
import subprocess
import time

import docker
from pouchtest import BUSYBOX, docker_cli, find_program, networks
from pouchtest.embed import keepers

from .peers import CommandPeer, Peer, ResidentPeer
from .setup import Dockerd, Setup

# CNI's plugins as podman and containerd chain them.
_CONFLIST = [
    {"type": "bridge", "bridge": "cnibench0", "isGateway": True, "ipMasq": True,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.200.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": True}},
    {"type": "firewall", "backend": "iptables"},
]
_CNI_FOLDERS = "/opt/cni/bin:/usr/lib/cni"


def _seconds(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


class BridgedDockerd(Dockerd):
    """With its own default bridge and rules, in a network namespace: nothing of the host's is touched."""

    def __init__(self, namespace):
        super().__init__()
        self._namespace = namespace

    def command(self):
        own = ("--bridge", "--iptables", "--ip6tables", "--ip-forward", "--ip-masq", "--userland-proxy")
        words = [word for word in super().command() if not str(word).startswith(own)]
        return ["nsenter", f"--net=/run/netns/{self._namespace}", *words]


class CniPeer(Peer):
    """The plugins' ADD alone, on a namespace that is there: what they take from each start."""

    def __init__(self, namespace, folder):
        super().__init__("CNI bridge, portmap, firewall: ADD", "cni")
        self._namespace = namespace
        self._folder = folder
        self._count = 0

    def timed(self):
        self._count += 1
        name = f"{self._namespace}c{self._count}"
        networks.ip("netns", "add", name)
        try:
            start = os.times()
            self._call("ADD", name)
            end = os.times()
            return end.elapsed - start.elapsed
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._call("DEL", name)
            networks.ip("netns", "delete", name)

    def _call(self, command, name):
        result = None
        for plugin in _CONFLIST if command == "ADD" else reversed(_CONFLIST):
            config = {"cniVersion": "1.0.0", "name": "bench", **plugin}
            if plugin["type"] == "bridge":
                config["ipam"] = {**plugin["ipam"], "dataDir": str(self._folder / "cni")}
            if result:
                config["prevResult"] = json.loads(result)
            env = {**os.environ, "CNI_COMMAND": command, "CNI_CONTAINERID": name, "CNI_NETNS": f"/run/netns/{name}",
                   "CNI_IFNAME": "eth0", "CNI_PATH": _CNI_FOLDERS}
            program = shutil.which(plugin["type"], path=_CNI_FOLDERS)
            result = subprocess.run(["nsenter", f"--net=/run/netns/{self._namespace}", program], env=env, check=True,
                                    input=json.dumps(config), capture_output=True, text=True).stdout


class NetworkSetup(Setup):
    """Peers by the network that their containers have."""

    def __init__(self, stack, folder, build):
        super().__init__(stack, folder, build)
        self._namespace = f"pzb{os.getpid()}"
        networks.ip("netns", "add", self._namespace)
        stack.callback(networks.ip, "netns", "delete", self._namespace)
        networks.ip("-netns", self._namespace, "link", "set", "lo", "up")
        self._bridged = stack.enter_context(BridgedDockerd(self._namespace))
        self._bridged.load(folder / "busybox.tar")

    def peers_on(self, network, runtime="runc"):
        made = [*self._ours(network, runtime), *self._of_others(network, runtime)]
        for peer in made:
            self._stack.callback(peer.close)
            self._name_daemons(peer)
        return made

    def _name_daemons(self, peer):
        """Whose CPU time is its: the engine's processes, not containerd's and not the containers'."""
        own = peer.daemons
        if "unix://" in peer.name:
            peer.daemons = lambda: [self._pouchd.process.pid, *keepers(self._pouchd.dir)]
        elif "embed://" in peer.name:
            peer.daemons = lambda: [*own(), *keepers(self._folder / "root")]
        elif "docker" in peer.name:
            peer.daemons = lambda: [self._bridged.process.pid]

    def cni(self):
        if all(shutil.which(plugin["type"], path=_CNI_FOLDERS) for plugin in _CONFLIST):
            return [CniPeer(self._namespace, self._folder)]
        self.skipped.append("CNI: its plugins are not installed")
        return []

    def crowd(self, count, rounds=20):
        """Seconds that joining and leaving a network takes, with one other endpoint in it and with `count`: two lists."""
        client = docker.DockerClient(base_url=self._pouchd.uri)
        self._stack.callback(client.close)
        network, probe = client.networks.create("crowd"), self._sleeper(client, "probe", "bridge")
        made, found = [probe], []
        for size in (1, count):
            made += [self._sleeper(client, f"crowd{i}", "crowd") for i in range(len(made), size + 1)]
            found.append([_seconds(lambda: (network.connect(probe), network.disconnect(probe))) for _ in range(rounds)])
        for container in made:
            container.remove(force=True)
        network.remove()
        return found

    @staticmethod
    def _sleeper(client, name, network):
        return client.containers.run(BUSYBOX, ["sleep", "1000"], name=name, network=network, detach=True)

    def _ours(self, network, runtime):
        pouch = self._build / "bin/pouch"
        words = ["run", "--rm", f"--network={network}", f"--runtime={runtime}", BUSYBOX, "true"]
        return [
            ResidentPeer("libpouch embed://, resident", network, self._build / "bin/bench_run_loop", self._uri, runtime, network),
            CommandPeer("pouch -H embed:// run --rm", network, lambda name: [pouch, "-H", self._uri, *words]),
            CommandPeer("pouch -H unix:// run --rm", network, lambda name: [pouch, "-H", self._pouchd.uri, *words]),
        ]

    def _of_others(self, network, runtime):
        env = {**self._env, "DOCKER_HOST": self._bridged.host}
        words = ["run", "--rm", f"--network={network}"]
        made = [CommandPeer("docker run --rm", network, lambda name: [
            docker_cli(), *words, f"--runtime={runtime}", BUSYBOX, "true"], env)]
        if self._podman:
            made.append(CommandPeer("podman run --rm", network, lambda name: [
                "nsenter", f"--net=/run/netns/{self._namespace}", *self._podman, f"--runtime={find_program(runtime)}",
                *words, "--pull=never", *self._limits(), self._podman_image, "true"]))
        return made
