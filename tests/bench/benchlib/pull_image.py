"""The image that tests/bench/pull pulls: a real tree in six layers, gzip-compressed, of the machine's own /usr."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess

# Folders of /usr, largest first, dealt to the layers until the image has the size that is wanted.
_LAYERS = 6
_SKIP = ("/usr/share/doc", "/usr/local", "/usr/src")


def make(folder, megabytes, registry):
    """Builds the image and puts it into the registry; facts about it and the paths of its layers."""
    layers = _deal(_parts(), megabytes * 10**6)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda item: _layer(folder, *item), enumerate(layers)))
    name = _put(registry, made)
    return name, {"layers": len(made), "files": sum(one["files"] for one in made), "tar_mb": round(sum(one["size"] for one in made) / 1e6),
                  "gzip_mb": round(sum(one["path"].stat().st_size for one in made) / 1e6)}, [one["path"] for one in made]


def _parts():
    """(path, bytes, files) of the folders two levels below /usr, largest first."""
    found = []
    for top in sorted(pathlib.Path("/usr").iterdir()):
        if top.is_symlink() or str(top) in _SKIP or not top.is_dir():
            continue
        for part in sorted(top.iterdir()):
            if str(part) in _SKIP or part.is_symlink():
                continue
            sizes = [part.lstat().st_size] if not part.is_dir() else [
                os.lstat(os.path.join(root, name)).st_size for root, _, names in os.walk(part) for name in names]
            found.append((str(part), sum(sizes), len(sizes)))
    return sorted(found, key=lambda part: (-part[1], part[0]))


def _deal(parts, size):
    layers = [[] for _ in range(_LAYERS)]
    weights = [0] * _LAYERS
    for path, bytes_, _ in parts:
        if bytes_ > size / 3 or sum(weights) + bytes_ > size:
            continue
        smallest = weights.index(min(weights))
        layers[smallest].append(path.lstrip("/"))
        weights[smallest] += bytes_
    return layers


def _layer(folder, number, paths):
    target = pathlib.Path(folder) / f"layer-{number}.tar.gz"
    tar = subprocess.Popen(["tar", "-C", "/", "--numeric-owner", "--sort=name", "-cf", "-", *paths], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    digest, size = hashlib.sha256(), 0
    with open(target, "wb") as out, subprocess.Popen(["gzip", "-6", "-n"], stdin=subprocess.PIPE, stdout=out) as packer:
        while piece := tar.stdout.read(1 << 20):
            digest.update(piece)
            size += len(piece)
            packer.stdin.write(piece)
        packer.stdin.close()
    tar.wait()
    files = sum(len(names) + len(folders) for path in paths for _, folders, names in os.walk(f"/{path}"))
    return {"path": target, "diff_id": "sha256:" + digest.hexdigest(), "size": size, "files": files}


def _put(registry, layers):
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = json.dumps({"architecture": architecture, "os": "linux", "created": "2024-01-01T00:00:00Z",
                         "config": {"Cmd": ["true"]},
                         "rootfs": {"type": "layers", "diff_ids": [one["diff_id"] for one in layers]}}).encode()
    blobs = []
    for one in layers:
        data = one["path"].read_bytes()
        blobs.append({"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                      "digest": registry.put_blob("bench/tree", data), "size": len(data)})
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                           "digest": registry.put_blob("bench/tree", config), "size": len(config)}, "layers": blobs}
    return registry.put_manifest("bench/tree", "1", manifest)
