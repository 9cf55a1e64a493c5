"""A volume plugin of Docker's protocol, in this process: folders under a folder."""

import http.server
import json
import os
import shutil
import socketserver
import threading

FOLDER = "/run/docker/plugins"  # where Docker's engine, and Pouch, look for them


class VolumePlugin:
    """with VolumePlugin(name, folder) as plugin: …

    `calls` has what it was asked for, in order: (method, document). `mounts` has the ids of uses by volume."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.calls = []
        self.volumes = {}
        self.mounts = {}
        self._socket = os.path.join(FOLDER, f"{name}.sock")
        self._made = []
        self._server = None

    def __enter__(self):
        for path in (os.path.dirname(FOLDER), FOLDER):
            if not os.path.isdir(path):
                os.mkdir(path, 0o755)
                self._made.insert(0, path)
        self._server = _Server(self._socket, _Handler)
        self._server.plugin = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        os.unlink(self._socket)
        for path in self._made:
            os.rmdir(path)

    def methods(self):
        return [method for method, _ in self.calls]

    def answer(self, method, request):
        self.calls.append((method, request))
        name = request.get("Name")
        path = os.path.join(self.folder, name) if name else None
        if method == "Plugin.Activate":
            return {"Implements": ["VolumeDriver"]}
        if method == "VolumeDriver.Capabilities":
            return {"Capabilities": {"Scope": "global"}}
        if method == "VolumeDriver.Create":
            if "refuse" in (request.get("Opts") or {}):
                return {"Err": "as it was asked for"}
            os.makedirs(path, exist_ok=True)
            self.volumes[name] = request.get("Opts")
            return {"Err": ""}
        if name not in self.volumes:
            return {"Err": f"no volume {name}"}
        uses = self.mounts.setdefault(name, [])
        if method == "VolumeDriver.Remove":
            shutil.rmtree(path)
            del self.volumes[name]
            return {"Err": ""}
        if method == "VolumeDriver.Mount":
            uses.append(request["ID"])
        if method == "VolumeDriver.Unmount":
            uses.remove(request["ID"])
            return {"Err": ""}
        if method == "VolumeDriver.Get":
            return {"Volume": {"Name": name, "Mountpoint": path}, "Err": ""}
        return {"Mountpoint": path, "Err": ""}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        answer = json.dumps(self.server.plugin.answer(self.path.lstrip("/"), request)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass
