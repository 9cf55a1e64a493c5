"""Layers of a real Debian tree: a copy of parts of this system, changed from layer to layer as users change theirs."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import stat
import tarfile

from .layers import entry, image_config
from .run import run

_CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
_CHUNK = 1 << 20


class RealTree:
    """A copy of `sources` (paths below /) in a private folder, and the tars of its layers."""

    def __init__(self, folder, sources, seed):
        self.random = random.Random(seed)
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "tree"
        self.root.mkdir()
        present = [source.lstrip("/") for source in sources if pathlib.Path(source).exists()]
        run("cp", "-a", "--parents", *present, self.root, cwd="/", timeout=1200)
        self.layers = []  # paths of tars
        self._before = {}
        self._opaque = set()

    def add_layer(self):
        """What has changed since the last layer becomes one."""
        after = {path: _state(path) for path in self._paths()}

        def is_folder(name):
            return name == str(self.root) or (name in after and stat.S_ISDIR(after[name][0]))

        self._opaque = {name for name in self._opaque if is_folder(name)}
        changed = {name for name in after if self._before.get(name) != after[name] or self._is_in_opaque(name)}
        # Of a folder that is gone it is enough to say that.
        gone = {name for name in set(self._before) - set(after) if is_folder(os.path.dirname(name)) and not self._is_in_opaque(name)}
        # As Docker writes them, with all folders above what has changed.
        told = changed | {folder for name in changed | gone for folder in self._above(name)}
        path = self.folder / f"layer-{len(self.layers)}.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(told):
                self._add(tar, name)
                if name in self._opaque:
                    tar.addfile(*_whiteout(f"{self._name(name)}/.wh..wh..opq"))
            for name in sorted(gone):
                tar.addfile(*_whiteout(f"{self._name(os.path.dirname(name))}/.wh.{os.path.basename(name)}"))
        self._before, self._opaque = after, set()
        self.layers.append(path)

    def change(self, amount):
        """Changes of every kind, `amount` of each."""
        for change in (self._remove, self._rewrite, self._set_attributes, self._remove_folder, self._replace_folder, self._make_opaque,
                       self._file_for_folder, self._folder_for_file, self._link_for_folder, self._hard_links, self._nodes, self._move):
            for _ in range(amount):
                change()

    def docker_archive(self, path, name):
        """The image as `docker save` would write it, the second layer compressed; its diff ids are given."""
        diff_ids = [_digest(layer) for layer in self.layers]
        files = list(self.layers)
        if len(files) > 1:
            files[1] = _compressed(files[1])
        names = [f"{number}/layer.tar" for number in range(len(files))]
        manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": names}])
        with tarfile.open(path, "w") as tar:
            tar.addfile(*_opened(entry("config.json", data=image_config(diff_ids))))
            for file, inner in zip(files, names):
                tar.add(file, inner)
            tar.addfile(*_opened(entry("manifest.json", data=manifest)))
        return diff_ids

    def _paths(self):
        for folder, folders, files in os.walk(self.root):
            for name in folders + files:
                yield os.path.join(folder, name)

    def _name(self, path):
        return os.path.relpath(path, self.root)

    def _above(self, path):
        while (path := os.path.dirname(path)) != str(self.root):
            yield path

    def _is_in_opaque(self, path):
        return any(path.startswith(f"{folder}/") for folder in self._opaque)

    def _add(self, tar, path):
        info = tar.gettarinfo(path, self._name(path))
        for key in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, key, follow_symlinks=False)
            info.pax_headers[f"SCHILY.xattr.{key}"] = value.decode("utf-8", "surrogateescape")
        info.mtime = os.lstat(path).st_mtime_ns / 1e9
        if not info.isreg():
            tar.addfile(info)
            return
        with open(path, "rb") as file:
            tar.addfile(info, file)

    def _pick(self, kind):
        """A path of the tree: "file", "folder" or "link"."""
        test = {"file": stat.S_ISREG, "folder": stat.S_ISDIR, "link": stat.S_ISLNK}[kind]
        names = sorted(path for path in self._paths() if test(os.lstat(path).st_mode))
        if kind == "folder":  # not what holds everything
            names = [name for name in names if self._name(name).count("/") >= 2] or names
        return pathlib.Path(self.random.choice(names))

    def _remove(self):
        self._pick(self.random.choice(["file", "file", "link"])).unlink()

    def _rewrite(self):
        path = self._pick("file")
        with open(path, "r+b") as file:
            file.write(b"changed")

    def _set_attributes(self):
        path = self._pick("file")
        os.chown(path, self.random.randrange(70_000), self.random.randrange(70_000))
        path.chmod(self.random.choice([0o4755, 0o2711, 0o600, 0o1644, 0]))
        os.setxattr(path, "user.note", os.urandom(5) + b"\0")
        os.setxattr(path, "security.capability", _CAPABILITY)
        folder = self._pick("folder")
        folder.chmod(self.random.choice([0o2775, 0o1777, 0o700]))
        os.utime(folder, ns=(1, self.random.randrange(2**60)))
        os.utime(self._pick("link"), ns=(1, self.random.randrange(2**60)), follow_symlinks=False)

    def _remove_folder(self):
        shutil.rmtree(self._pick("folder"))

    def _replace_folder(self):
        """Gone and made again, which whiteouts of each name tell."""
        path = self._pick("folder")
        shutil.rmtree(path)
        path.mkdir(0o711)
        (path / "new").write_text("new")

    def _make_opaque(self):
        path = self._pick("folder")
        shutil.rmtree(path)
        path.mkdir(0o755)
        (path / "fresh").write_text("fresh")
        (path / "inner").mkdir()
        self._opaque.add(str(path))

    def _file_for_folder(self):
        path = self._pick("folder")
        shutil.rmtree(path)
        path.write_text("a file now")

    def _folder_for_file(self):
        path = self._pick("file")
        path.unlink()
        path.mkdir(0o750)
        (path / "in").write_text("in")

    def _link_for_folder(self):
        path = self._pick("folder")
        shutil.rmtree(path)
        path.symlink_to(self.random.choice(["/etc", "../..", "nowhere"]))

    def _hard_links(self):
        first = self._pick("folder") / "first-of-several"
        first.unlink(missing_ok=True)
        first.write_bytes(os.urandom(1000))
        for number in range(3):
            other = self._pick("folder") / f"linked-{number}-{self.random.randrange(1000)}"
            other.unlink(missing_ok=True)
            os.link(first, other)

    def _nodes(self):
        folder = self._pick("folder")
        for name, kind, device in (("null", stat.S_IFCHR, os.makedev(1, 3)), ("loop", stat.S_IFBLK, os.makedev(7, 300)),
                                   ("pipe", stat.S_IFIFO, 0)):
            (folder / name).unlink(missing_ok=True)
            os.mknod(folder / name, kind | 0o640, device)

    def _move(self):
        path = self._pick("folder")
        target = path.with_name(f"moved-{self.random.randrange(10_000)}")
        path.rename(target)


def _state(path):
    info = os.lstat(path)
    attributes = tuple((key, os.getxattr(path, key, follow_symlinks=False)) for key in sorted(os.listxattr(path, follow_symlinks=False)))
    return (info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_rdev, attributes)


def _whiteout(name):
    return _opened(entry(name))


def _opened(pair):
    info, data = pair
    return info, io.BytesIO(data)


def _digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _compressed(path):
    target = path.with_name(f"{path.name}.gz")
    with open(path, "rb") as source, gzip.open(target, "wb", 1) as sink:
        shutil.copyfileobj(source, sink, _CHUNK)
    return target
