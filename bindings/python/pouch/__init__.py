"""Pouch: containers from Python, in this process or through a daemon, with the same code.

    import pouch

    with pouch.Client("embed://") as client:
        print(client.containers.run("busybox", ["echo", "hi"], network="none", remove=True))
"""

from . import _native
from ._base import Cancel, Connection, check, reset
from ._errors import (AlreadyExists, Cancelled, Closed, Conflict, DataLoss, DeadlineExceeded, Forked, InternalError,
                      InvalidArgument, Lagged, NotFound, NotImplementedByEngine, NotModified, OutOfMemory,
                      PermissionDenied, PouchError, ResourceExhausted, Unauthenticated, Unavailable)
from ._logging import forward_logs
from ._stream import DATA, MESSAGE, STDERR, STDIN, STDOUT, Frame, Stream
from .client import Client, Container, ContainerError, ExecResult

__version__ = _native.version()
__all__ = [
    "AlreadyExists", "Cancel", "Cancelled", "Client", "Closed", "Conflict", "Connection", "Container", "ContainerError",
    "DATA", "DataLoss", "DeadlineExceeded", "ExecResult", "Forked", "Frame", "InternalError", "InvalidArgument", "Lagged",
    "MESSAGE", "NotFound", "NotImplementedByEngine", "NotModified", "OutOfMemory", "PermissionDenied", "PouchError",
    "ResourceExhausted", "STDERR", "STDIN", "STDOUT", "Stream", "Unauthenticated", "Unavailable", "check",
    "forward_logs", "reset",
]
