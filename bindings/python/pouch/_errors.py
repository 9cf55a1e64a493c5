"""Exceptions: one class per code of the engine (pouch/error.h)."""

import json

from . import _native


class PouchError(Exception):
    """A call failed. `code` is the name of the reason, `details` a dict of facts for programs."""

    code = "Internal"

    def __init__(self, message, details=None, retriable=False):
        super().__init__(message)
        self.message = message
        self.details = details or {}
        self.retriable = retriable


class InternalError(PouchError):
    """The engine or the host failed in a way nobody foresaw."""


class InvalidArgument(PouchError):
    """A bad value; the message names its place."""


class NotFound(PouchError):
    """There is no such object."""


class AlreadyExists(PouchError):
    """The name is taken."""


class Conflict(PouchError):
    """The object's state forbids it."""


class NotModified(PouchError):
    """It is already as asked."""


class PermissionDenied(PouchError):
    """The rights are missing."""


class Unauthenticated(PouchError):
    """Credentials are missing or wrong."""


class NotImplementedByEngine(PouchError):
    """The engine lacks the operation or option that the message names."""


class Unavailable(PouchError):
    """A peer (containerd, the keeper, pouchd) cannot be reached."""


class DeadlineExceeded(PouchError, TimeoutError):
    """`timeout=` passed."""


class Cancelled(PouchError):
    """The call was given up."""


class ResourceExhausted(PouchError):
    """A limit of the engine or of the host was met."""


class DataLoss(PouchError):
    """Stored or received bytes are damaged."""


class Forked(PouchError):
    """The client was opened before os.fork(): open one in the child."""


class Closed(PouchError):
    """The client or stream was closed before."""


class Lagged(PouchError):
    """The reader was too slow and was ended."""


class OutOfMemory(PouchError, MemoryError):
    """The library is out of memory."""


_CLASSES = {
    "Internal": InternalError,
    "NotImplemented": NotImplementedByEngine,
    **{c.__name__: c for c in (InvalidArgument, NotFound, AlreadyExists, Conflict, NotModified, PermissionDenied,
                               Unauthenticated, Unavailable, DeadlineExceeded, Cancelled, ResourceExhausted, DataLoss,
                               Forked, Closed, Lagged, OutOfMemory)},
}
for _name, _class in _CLASSES.items():
    _class.code = _name


def make(status, message, details_json, retriable):
    """Called by the native module to build what it raises."""
    details = json.loads(details_json) if details_json else {}
    return _CLASSES.get(_native.status_name(status), InternalError)(message, details, retriable)
