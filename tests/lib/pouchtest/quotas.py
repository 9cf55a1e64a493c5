"""A file system with project quotas, in a file, and what its projects have."""

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess

_QUOTACTL_FD = 443
_GET_ATTRIBUTES = 0x801C581F  # FS_IOC_FSGETXATTR
_GET_NEXT = ((ord("X") << 8) + 9) << 8 | 2  # Q_XGETNEXTQUOTA of projects
_SET_LIMITS = ((ord("X") << 8) + 4) << 8 | 2  # Q_XSETQLIM of projects
_BLOCK = 512
_MAKE = {"ext4": ["-b", "4096", "-I", "256", "-O", "quota,project", "-E", "quotatype=prjquota"], "xfs": []}
_libc = ctypes.CDLL(None, use_errno=True)


def make(image, folder, kind="ext4", size=400 << 20):
    """Makes a file system, ext4 or xfs, in the file `image` and mounts it. A text that says why not, or None."""
    program = shutil.which(f"mkfs.{kind}", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not program:
        return f"no mkfs.{kind}"
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run([program, "-q", *_MAKE[kind], image], check=True)
    return mount(image, folder)


def mount(image, folder, options="prjquota"):
    done = subprocess.run(["mount", "-o", f"loop,{options}", image, folder], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr


def project(path):
    """The number of the project that a file or folder has."""
    with _opened(path) as file:
        return struct.unpack("5I8x", fcntl.ioctl(file, _GET_ATTRIBUTES, bytes(28)))[3]


def limits(folder):
    """All limits of the folder's file system: {project: bytes}."""
    found, number = {}, 1
    with _opened(folder) as file:
        while True:
            answer = ctypes.create_string_buffer(112)
            if _libc.syscall(_QUOTACTL_FD, file, ctypes.c_uint(_GET_NEXT), ctypes.c_uint(number), answer) != 0:
                return found
            number, hard = struct.unpack_from("4xIQ", answer)
            if hard:
                found[number] = hard * _BLOCK
            number += 1


def lift(folder, number):
    """Takes a project's limit away."""
    wish = bytearray(112)
    struct.pack_into("bbHI", wish, 0, 1, 2, 0b1100, number)  # FS_DQ_BSOFT, FS_DQ_BHARD: 0
    with _opened(folder) as file:
        given = ctypes.create_string_buffer(bytes(wish), 112)
        if _libc.syscall(_QUOTACTL_FD, file, ctypes.c_uint(_SET_LIMITS), ctypes.c_uint(number), given) != 0:
            raise OSError(ctypes.get_errno(), "quotactl")


@contextlib.contextmanager
def _opened(path):
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)
