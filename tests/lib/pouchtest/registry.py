"""A registry of one's own: plain, with TLS, with accounts of its own or those of a token server."""

import crypt
import hashlib
import json
import ssl
import urllib.error
import urllib.request

from .daemon import Daemon
from .paths import find_program
from .ports import free_port
from .run import run


class PrivateRegistry(Daemon):
    """docker-registry on a free loopback port: `registry.host` is `ADDRESS:PORT`.

    `tls` is a pair of files (certificate, key), `accounts` are {user: password}, `tokens` is a TokenServer.
    """

    name = "docker-registry"

    def __init__(self, folder=None, tls=None, accounts=None, tokens=None, address="127.0.0.1"):
        super().__init__(folder)
        self.port = free_port()
        self.host = f"{address}:{self.port}"
        self._tls = tls
        self._accounts = accounts or {}
        self._tokens = tokens
        self.url = f"{'https' if tls else 'http'}://{self.host}"

    def command(self):
        config = self.dir / "registry.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: warn}\n"
            f"storage:\n  filesystem: {{rootdirectory: {self.dir}/data}}\n  delete: {{enabled: true}}\n"
            f"{self._http()}{self._auth()}"
        )
        return [find_program("docker-registry"), "serve", config]

    def push(self, archive, name, account=None):
        """Puts the image of a docker-archive there as `name` (repository:tag); the full name is returned."""
        words = ["--dest-tls-verify=false", *(["--dest-creds", ":".join(account)] if account else [])]
        run(find_program("skopeo"), "copy", "--quiet", "--insecure-policy", f"--tmpdir={self.dir}", *words,
            f"docker-archive:{archive}", f"docker://{self.host}/{name}")
        return f"{self.host}/{name}"

    def put(self, repository, tag, config, config_type="application/vnd.oci.image.config.v1+json"):
        """Puts a manifest without layers over these bytes of a config there; the full name is returned."""
        digest = self.put_blob(repository, config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": config_type, "digest": digest, "size": len(config)},
            "layers": [],
        }
        return self.put_manifest(repository, tag, manifest)

    def put_manifest(self, repository, tag, manifest):
        """Puts a manifest whose parts are there; the full name is returned."""
        self._send("PUT", f"{self.url}/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode(),
                   manifest["mediaType"]).close()
        return f"{self.host}/{repository}:{tag}"

    def put_blob(self, repository, data):
        """Puts bytes there as a blob; the digest."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with self._send("POST", f"{self.url}/v2/{repository}/blobs/uploads/", b"") as answer:
            place = answer.headers["Location"]
        joint = "&" if "?" in place else "?"
        self._send("PUT", f"{place}{joint}digest={digest}", data, "application/octet-stream").close()
        return digest

    @staticmethod
    def _send(method, url, data, content_type="application/octet-stream"):
        request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": content_type})
        return urllib.request.urlopen(request, timeout=30)

    def is_ready(self):
        context = ssl._create_unverified_context() if self._tls else None
        try:
            with urllib.request.urlopen(f"{self.url}/v2/", timeout=2, context=context) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False

    def _http(self):
        text = f"http:\n  addr: {self.host}\n"
        if self._tls:
            text += f"  tls:\n    certificate: {self._tls[0]}\n    key: {self._tls[1]}\n"
        return text

    def _auth(self):
        if self._tokens:
            return (f"auth:\n  token:\n    realm: {self._tokens.realm}\n    service: {self._tokens.service}\n"
                    f"    issuer: {self._tokens.issuer}\n    rootcertbundle: {self._tokens.certificate}\n")
        if not self._accounts:
            return ""
        file = self.dir / "htpasswd"
        salt = crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2**5)
        file.write_text("".join(f"{user}:{crypt.crypt(password, salt)}\n" for user, password in self._accounts.items()))
        return f"auth:\n  htpasswd:\n    realm: tests\n    path: {file}\n"
