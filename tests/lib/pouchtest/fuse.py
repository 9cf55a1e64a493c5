"""A FUSE file system of one empty folder, served by a thread: to be refused, not to be used."""

import contextlib
import ctypes
import os
import struct
import threading

from .run import run

_LOOKUP, _FORGET, _GETATTR, _STATFS, _INIT, _OPENDIR, _RELEASEDIR, _DESTROY = 1, 2, 3, 17, 26, 27, 29, 38
_HEADER = struct.Struct("<IIQQIIII")
_ENOENT, _ENOSYS = 2, 38
_ATTRIBUTES = struct.pack("<QII", 60, 0, 0) + struct.pack(
    "<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
_ANSWERS = {
    _INIT: struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, 0),
    _GETATTR: _ATTRIBUTES,
    _STATFS: struct.pack("<QQQQQIIII24x", 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4096, 255, 4096, 0),
    _OPENDIR: struct.pack("<QII", 1, 0, 0),
    _RELEASEDIR: b"",
}


@contextlib.contextmanager
def fuse_mount(folder):
    """The folder, as the root of such a file system. Needs root."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        _mount(folder, device)
        server = threading.Thread(target=_serve, args=(device,), daemon=True)
        server.start()
        try:
            yield folder
        finally:
            run("umount", "--lazy", folder)
            server.join(10)
    finally:
        os.close(device)


def _mount(folder, device):
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"pouch-test", os.fsencode(folder), b"fuse", 0, options) != 0:
        raise OSError(ctypes.get_errno(), "mount fuse")


def _serve(device):
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError:  # unmounted
            return
        _, op, unique, *_ = _HEADER.unpack_from(request)
        if op in (_FORGET, _DESTROY):
            continue
        answer = _ANSWERS.get(op)
        error = 0 if answer is not None else -_ENOENT if op == _LOOKUP else -_ENOSYS
        answer = answer or b""
        with contextlib.suppress(OSError):
            os.write(device, struct.pack("<IiQ", 16 + len(answer), error, unique) + answer)
