"""A volume plugin of Docker's protocol: folders under a folder."""

import os
import shutil

from .plugin_server import PluginServer


class VolumePlugin(PluginServer):
    """with VolumePlugin(name, folder) as plugin: …

    `mounts` has the ids of uses by volume."""

    kinds = ("VolumeDriver",)

    def __init__(self, name, folder):
        super().__init__(name)
        self.folder = folder
        self.volumes = {}
        self.mounts = {}

    def answer(self, method, request):
        name = request.get("Name")
        path = os.path.join(self.folder, name) if name else None
        if method == "VolumeDriver.Capabilities":
            return {"Capabilities": {"Scope": "global"}}
        if method == "VolumeDriver.Create":
            if "refuse" in (request.get("Opts") or {}):
                return {"Err": "as it was asked for"}
            os.makedirs(path, exist_ok=True)
            self.volumes[name] = request.get("Opts")
            return {"Err": ""}
        if method == "VolumeDriver.List":
            return {"Volumes": [{"Name": each, "Mountpoint": os.path.join(self.folder, each)} for each in self.volumes], "Err": ""}
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
