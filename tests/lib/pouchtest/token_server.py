"""A token server as registries send their clients to, after the distribution project's token specification."""

import base64
import hashlib
import http.server
import json
import subprocess
import threading
import time
import urllib.parse


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """`accounts` are {user: password}; `anonymous` may pull as well. `asked` counts the tokens given."""

    service = "tests"
    issuer = "pouch-tests"
    life_seconds = 60

    def __init__(self, certificate, key, accounts=None, anonymous=False, refresh_tokens=()):
        self.certificate, self._key = certificate, key
        self._accounts, self._anonymous = accounts or {}, anonymous
        self._refresh_tokens = refresh_tokens
        self.asked = 0

    def __enter__(self):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                self.answer(query, server._user_of(self.headers.get("Authorization", "")))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = urllib.parse.parse_qs(body)
                good = form.get("refresh_token", [""])[0] in server._refresh_tokens
                self.answer(form, "refreshed" if good else None)

            def answer(self, query, user):
                if user is None:
                    self.send_error(401)
                    return
                token = server.token(query.get("scope", []))
                document = json.dumps({"token": token, "access_token": token, "expires_in": server.life_seconds}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.realm = f"http://127.0.0.1:{self._server.server_address[1]}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _user_of(self, header):
        if not header:
            return "" if self._anonymous else None
        user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        return user if self._accounts.get(user) == password else None

    def token(self, scopes):
        """A JSON web token for all that was asked for, signed by the openssl command."""
        self.asked += 1
        der = subprocess.run(["openssl", "x509", "-in", self.certificate, "-outform", "DER"], check=True,
                             capture_output=True).stdout
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        claims = {"iss": self.issuer, "sub": "", "aud": self.service, "exp": now + self.life_seconds, "nbf": now - 10,
                  "iat": now, "jti": hashlib.sha256(str(time.time_ns()).encode()).hexdigest()[:16], "access": access}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self._key], input=signed.encode(), check=True,
                                   capture_output=True).stdout
        return f"{signed}.{_base64url(signature)}"
