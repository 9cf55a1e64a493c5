"""Layers and images of exactly these entries, however hostile: as archives, and in registries."""

import gzip
import hashlib
import io
import json
import tarfile

_TYPES = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE,
          "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE}
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def entry(name, kind="file", data=b"", target="", xattrs=None, **fields):
    """One entry of a layer. `fields` are those of tarfile.TarInfo: mode, uid, devmajor, pax_headers …"""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = _TYPES[kind], target
    info.mode = 0o755 if kind == "folder" else 0o644
    data = data.encode() if isinstance(data, str) else data
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    for key, value in (xattrs or {}).items():
        info.pax_headers = {**info.pax_headers, f"SCHILY.xattr.{key}": value}
    return info, data


def layer(*entries, format=tarfile.PAX_FORMAT):
    """The tar of these entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image_config(diff_ids, **config):
    """The bytes of an image's config over layers of these diff ids; `config` are Env, Cmd, User …"""
    return json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                       "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()


def docker_archive(layers, name, diff_ids=None, **config):
    """An image as `docker save` writes it. `layers` are tars, compressed or not; `diff_ids` only where they lie."""
    document = image_config(diff_ids or [digest_of(plain(one)) for one in layers], **config)
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}])
    return layer(entry("config.json", data=document), *(entry(*pair) for pair in zip(names, ["file"] * len(names), layers)),
                 entry("manifest.json", data=manifest))


def push(registry, layers, name, diff_ids=None, **config):
    """Puts an image of these layers (tars, compressed or not) into a PrivateRegistry; its full name is returned."""
    repository, _, tag = name.partition(":")
    document = image_config(diff_ids or [digest_of(plain(one)) for one in layers], **config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(document),
                   "digest": registry.put_blob(repository, document)},
        "layers": [{"mediaType": _LAYER + compression(one), "size": len(one), "digest": registry.put_blob(repository, one)}
                   for one in layers],
    }
    return registry.put_manifest(repository, tag, manifest)


def compressed(data):
    """A layer as registries mostly have them."""
    return data if compression(data) else gzip.compress(data, 1, mtime=0)


def compression(data):
    """The media type's suffix."""
    return "+gzip" if data[:2] == b"\x1f\x8b" else "+zstd" if data[:4] == b"\x28\xb5\x2f\xfd" else ""


def plain(data):
    """A layer without its compression, which Python undoes for gzip alone; what is damaged stays."""
    try:
        return gzip.decompress(data) if compression(data) == "+gzip" else data
    except (OSError, EOFError):
        return data
