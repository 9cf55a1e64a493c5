"""A plugin of Docker's protocol, in this process: HTTP over a socket in the folder where engines look for plugins."""

import http.server
import json
import os
import socketserver
import threading

FOLDER = "/run/docker/plugins"  # where Docker's engine, and Pouch, look for them


class PluginServer:
    """with SomePlugin(name) as plugin: …

    Subclasses name their `kinds` and have answer(method, request), which may be called by several threads; a method that it
    answers with None it does not know. `calls` has what it was asked for, in order: (method, document)."""

    kinds = ()

    def __init__(self, name):
        self.name = name
        self.calls = []
        self._socket = os.path.join(FOLDER, f"{name}.sock")
        self._made = []
        self._server = None

    def __enter__(self):
        for path in (os.path.dirname(FOLDER), FOLDER):
            if not os.path.isdir(path):
                os.mkdir(path, 0o755)
                self._made.insert(0, path)
        self.listen()
        return self

    def __exit__(self, *_):
        self.stop()
        for path in self._made:
            os.rmdir(path)

    def listen(self):
        self._server = _Server(self._socket, _Handler)
        self._server.plugin = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        """Until listen() nobody reaches it."""
        self._server.shutdown()
        self._server.server_close()
        os.unlink(self._socket)

    def methods(self):
        return [method for method, _ in self.calls]

    def asked(self, method):
        """The documents of a method's calls."""
        return [request for called, request in self.calls if called == method]

    def handle(self, method, request):
        self.calls.append((method, request))
        if method == "Plugin.Activate":
            return {"Implements": list(self.kinds)}
        return self.answer(method, request)

    def answer(self, method, request):
        raise NotImplementedError


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        answer = self.server.plugin.handle(self.path.lstrip("/"), request)
        body = json.dumps({} if answer is None else answer).encode()
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass
