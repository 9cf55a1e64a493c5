"""Private daemons and roots, and the peers on them."""

import json
import shutil

from pouchtest import (BUSYBOX, Pouchd, PrivateContainerd, PrivateDockerd, busybox_image_tar, busybox_rootfs,
                       docker_cli, end_keepers, find_program, run)
from pouchtest import mounts
from pouchtest.run import CommandError

from .peers import CommandPeer, DockerPyPeer, ResidentPeer

# containerd's and podman's full name of the image.
_FULL_NAME = f"docker.io/library/{BUSYBOX}"


class Dockerd(PrivateDockerd):
    """With crun beside runc."""

    def command(self):
        return [*super().command(), f"--add-runtime=crun={find_program('crun')}"]


class Setup:
    """Everything on one containerd, except dockerd, which gets its own of the same kind."""

    def __init__(self, stack, folder, build):
        self._stack = stack
        self._folder = folder
        self._build = build
        self._env = {"DOCKER_CONFIG": str(folder / "cli")}
        self.skipped = []
        tar = busybox_image_tar(folder / "busybox.tar")
        self._containerd = stack.enter_context(PrivateContainerd())
        self._containerd.ctr("images", "import", tar)
        self._start_pouchd(tar)
        self._make_root(tar)
        self._dockerd = stack.enter_context(Dockerd())
        self._dockerd.load(tar)
        self._make_bundle()
        self._podman = self._start_podman(tar)

    def peers(self, runtime):
        """All peers with one OCI runtime, in the order of the table."""
        made = [*self._in_process(runtime), *self._through_pouchd(runtime), *self._others(runtime)]
        for peer in made:
            self._stack.callback(peer.close)
        return made

    def _start_pouchd(self, tar):
        self._pouchd = Pouchd(containerd=self._containerd)
        self._pouchd.command = self._pouchd_command
        self._stack.enter_context(self._pouchd)
        self._pouchd.docker("load", "--input", tar)

    def _pouchd_command(self):
        words = Pouchd.command(self._pouchd)
        return [self._build / "bin/pouchd", *words[1:]]

    def _make_root(self, tar):
        self._uri = f"embed://{self._folder}/root?run={self._folder}/run&containerd={self._containerd.socket}"
        self._stack.callback(mounts.unmount_below, self._folder)
        self._stack.callback(end_keepers, self._folder)
        run(self._build / "bin/pouch", "-H", self._uri, "load", "--input", tar)

    def _make_bundle(self):
        self._bundle = self._folder / "bundle"
        busybox_rootfs(self._bundle / "rootfs")
        run(find_program("runc"), "spec", cwd=self._bundle)
        config = json.loads((self._bundle / "config.json").read_text())
        config["process"] |= {"args": ["true"], "terminal": False}
        (self._bundle / "config.json").write_text(json.dumps(config))

    def _start_podman(self, tar):
        program = shutil.which("podman")
        if not program:
            self.skipped.append("podman: not installed")
            return None
        store = self._folder / "podman"
        words = [program, f"--root={store}/root", f"--runroot={store}/run", f"--tmpdir={store}/tmp",
                 "--cgroup-manager=cgroupfs", "--events-backend=none"]
        try:
            loaded = run(*words, "load", "--input", tar)
            # Docker Hub's or localhost's, by podman's version.
            self._podman_image = loaded.out.split("Loaded image")[-1].split(":", 1)[1].split()[0]
        except CommandError as error:
            self.skipped.append(f"podman: {error}")
            return None
        return words

    def _in_process(self, runtime):
        program, pouch = self._build / "bin/bench_run_loop", self._build / "bin/pouch"
        return [
            ResidentPeer("libpouch embed://, resident", "in-process", program, self._uri, runtime),
            CommandPeer("pouch -H embed:// run --rm", "in-process", lambda name: [
                pouch, "-H", self._uri, "run", "--rm", "--network=none", f"--runtime={runtime}", BUSYBOX, "true"]),
        ]

    def _through_pouchd(self, runtime):
        program, pouch, uri = self._build / "bin/bench_run_loop", self._build / "bin/pouch", self._pouchd.uri
        return [
            ResidentPeer("libpouch unix://, resident", "pouchd", program, uri, runtime),
            CommandPeer("pouch -H unix:// run --rm", "pouchd", lambda name: [
                pouch, "-H", uri, "run", "--rm", "--network=none", f"--runtime={runtime}", BUSYBOX, "true"]),
            self._docker_cli("docker run --rm, on pouchd", "pouchd", uri, runtime),
            DockerPyPeer("docker-py, on pouchd", "pouchd", uri, runtime),
        ]

    def _others(self, runtime):
        binary = find_program(runtime)
        state = self._folder / f"state-{runtime}"
        ctr = [find_program("ctr"), "--address", self._containerd.socket, "--namespace", self._containerd.namespace]
        found = [
            CommandPeer("ctr run --rm", "containerd", lambda name: [
                *ctr, "run", "--rm", "--runc-binary", binary, _FULL_NAME, name, "true"]),
            CommandPeer("ctr run --rm --seccomp", "containerd", lambda name: [
                *ctr, "run", "--rm", "--seccomp", "--runc-binary", binary, _FULL_NAME, name, "true"]),
            self._docker_cli("docker run --rm", "dockerd", self._dockerd.host, runtime),
            DockerPyPeer("docker-py", "dockerd", self._dockerd.host, runtime),
            CommandPeer(f"{runtime} run, bare", "runtime", lambda name: [
                binary, "--root", state, "run", "--bundle", self._bundle, name]),
        ]
        if self._podman:
            found.append(CommandPeer("podman run --rm", "podman", lambda name: [
                *self._podman, f"--runtime={binary}", "run", "--rm", "--network=none", "--pull=never",
                *self._limits(),                 self._podman_image, "true"]))
        return found

    @staticmethod
    def _limits():
        """Low ones: podman raises them, its own lowered ones too, which wants a capability that not every machine gives."""
        return ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]

    def _docker_cli(self, name, group, address, runtime):
        words = [docker_cli(), "run", "--rm", "--network=none", f"--runtime={runtime}", BUSYBOX, "true"]
        return CommandPeer(name, group, lambda _: words, {**self._env, "DOCKER_HOST": address})
