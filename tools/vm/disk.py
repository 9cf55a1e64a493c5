"""The tests' disk: repository and build under their own paths, so that what the build has compiled in holds."""

import json
import os
import pathlib
import shutil
import subprocess

from image import HERE, REPO
from locations import build_dir

_BLOCK = 4096


def make(path, plan):
    """Writes the disk's image."""
    stage = pathlib.Path(path).parent / "stage"
    for file in _repository_files():
        _place(REPO / file, stage / "repo" / file)
    # What is below the repository comes with its mount.
    is_inside = build_dir().is_relative_to(REPO)
    build = stage / "repo" / build_dir().relative_to(REPO) if is_inside else stage / "build"
    for file in _build_files():
        _place(build_dir() / file, build / file)
    _place(HERE / "guest.py", stage / "guest.py")
    # The docker CLI that the same tests use on the host, which may be newer than Debian's.
    docker = shutil.which("docker")
    if docker:
        _place(pathlib.Path(docker).resolve(), stage / "bin/docker")
    mounts = {"repo": str(REPO)} if is_inside else {"repo": str(REPO), "build": str(build_dir())}
    facts = {"mounts": mounts, "repo": str(REPO), "build": str(build_dir()), "steps": plan}
    (stage / "plan.json").write_text(json.dumps(facts))
    with open(path, "wb") as file:
        file.truncate(size_for(stage))
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-L", "testvm", "-d", stage, path], check=True)
    shutil.rmtree(stage)


def size_for(folder):
    """Bytes of a file system that holds a folder: whole blocks, one more per file, and a quarter for its own tables."""
    total = 0
    for top, folders, files in os.walk(folder):
        total += _BLOCK * (len(folders) + len(files))
        for name in files:
            total += -(-os.lstat(os.path.join(top, name)).st_size // _BLOCK) * _BLOCK
    return (total * 5 // 4 // (1 << 20) + 16) << 20


def _repository_files():
    listed = subprocess.run(["git", "-C", REPO, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
                            check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (REPO / name).is_file()]


def _build_files():
    """Programs, shared libraries and the Python binding; objects and archives stay here."""
    found = []
    for pattern in ("bin/*", "lib/*.so*", "python/**/*", "systemd/*"):
        found += [file.relative_to(build_dir()) for file in build_dir().glob(pattern) if file.is_file()]
    return found


def _place(source, target):
    """A hard link where that is possible; what is a link stays one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
