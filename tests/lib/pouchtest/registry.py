"""A registry of one's own, without TLS or accounts."""

import contextlib
import urllib.request

from .daemon import Daemon
from .paths import find_program
from .ports import free_port


class PrivateRegistry(Daemon):
    """docker-registry on a free loopback port: `registry.host` is `127.0.0.1:PORT`."""

    name = "docker-registry"

    def __init__(self, folder=None):
        super().__init__(folder)
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"

    def command(self):
        config = self.dir / "registry.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: warn}\n"
            f"storage:\n  filesystem: {{rootdirectory: {self.dir}/data}}\n  delete: {{enabled: true}}\n"
            f"http:\n  addr: {self.host}\n"
        )
        return [find_program("docker-registry"), "serve", config]

    def is_ready(self):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/v2/", timeout=2) as answer:
            return answer.status == 200
        return False
