"""An authority of one's own, and certificates of it, by the openssl command."""

import pathlib

from .run import run


class Authority:
    """`authority.ca` is the file that clients must trust."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self.ca = self._folder / "ca.crt"
        self._key = self._folder / "ca.key"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Pouch tests",
            "-keyout", self._key, "-out", self.ca)

    def issue(self, name, addresses=("127.0.0.1",)):
        """A certificate for the addresses: (certificate file, key file)."""
        key, request, certificate = (self._folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        extension = self._folder / f"{name}.ext"
        extension.write_text("subjectAltName=" + ",".join(f"IP:{address}" for address in addresses) + "\n")
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        run("openssl", "x509", "-req", "-days", "2", "-in", request, "-CA", self.ca, "-CAkey", self._key,
            "-CAcreateserial", "-extfile", extension, "-out", certificate)
        return certificate, key
