"""Images made on the spot from busybox-static: no network, the same bytes every time."""

import hashlib
import io
import json
import os
import pathlib
import platform
import shutil
import stat
import tarfile

from .paths import find_program, private_dir
from .run import run

BUSYBOX = "busybox:latest"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TEXT_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
# Path and mode of each folder, parents first.
_FOLDERS = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "proc": 0o755, "root": 0o700, "sys": 0o755, "tmp": 0o1777}


def busybox_rootfs(folder):
    """Fills a folder with the image's root file system and returns it."""
    folder = pathlib.Path(folder)
    for name, mode in _FOLDERS.items():
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(mode)
    program = find_program("busybox")
    shutil.copy(program, folder / "bin/busybox")
    for applet in run(program, "--list").lines:
        if applet != "busybox":
            (folder / "bin" / applet).symlink_to("busybox")
    for name, text in _TEXT_FILES.items():
        (folder / name).write_text(text)
    return folder


def busybox_image_tar(path, name=BUSYBOX, config=None, files=None, more=()):
    """Writes the image as `docker save` would; the tar's path is returned.

    `config` changes the image's config (Moby's names: Env, Cmd, User …), `files` adds files (path → text), and each of
    `more` is a further layer of such files.
    """
    layers = [_layer(files or {}), *map(_files_layer, more)]
    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    document = json.dumps(_image_config(diff_ids, config or {}), sort_keys=True).encode()
    digest = hashlib.sha256(document).hexdigest()
    names = [f"layer{i}/layer.tar" for i in range(len(layers))]
    manifest = [{"Config": f"{digest}.json", "RepoTags": [name], "Layers": names}]
    with open(path, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add_bytes(tar, f"{digest}.json", document)
        for layer_name, layer in zip(names, layers):
            _add_bytes(tar, layer_name, layer)
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
    return pathlib.Path(path)


def busybox_oci_layout(path, name="latest"):
    """Writes the image as a tar of an OCI layout (what `ctr image import` and newer `docker load` take)."""
    with private_dir() as folder:
        source = busybox_image_tar(folder / "busybox.tar")
        run(find_program("skopeo"), "copy", "--quiet", "--insecure-policy", f"--tmpdir={folder}",
            f"docker-archive:{source}", f"oci-archive:{path}:{name}")
    return pathlib.Path(path)


def _image_config(diff_ids, changes):
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Env": [_PATH], "Cmd": ["sh"], **changes},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "busybox-static"}] * len(diff_ids),
    }


def _layer(files):
    buffer = io.BytesIO()
    with private_dir() as folder, tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        root = busybox_rootfs(folder / "rootfs")
        for name, text in files.items():
            target = root / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        for file in sorted(root.rglob("*")):
            _add_file(tar, file, str(file.relative_to(root)))
    return buffer.getvalue()


def _files_layer(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, text in files.items():
            _add_bytes(tar, name.lstrip("/"), text.encode())
    return buffer.getvalue()


def _add_file(tar, file, name):
    entry = tar.gettarinfo(file, name)
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    if entry.isreg():
        # Whatever umask the run has.
        entry.mode = 0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644
        entry.type, entry.linkname = tarfile.REGTYPE, ""
        entry.size = os.path.getsize(file)
        with open(file, "rb") as content:
            tar.addfile(entry, content)
    else:
        tar.addfile(entry)


def _add_bytes(tar, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
