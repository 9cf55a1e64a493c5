"""The generic call and open that the generated operations stand on."""

import json
from typing import Any, Optional, Sequence

from . import _native
from ._stream import Stream

_LEVELS = {"error": 1, "warning": 2, "info": 3, "debug": 4, "trace": 5}


class Cancel:
    """Gives up the calls that it was passed to; `fire` is for any thread."""

    def __init__(self):
        self._native = _native.Cancel()

    def fire(self) -> None:
        self._native.fire()


def _document(value: Any) -> Optional[str]:
    return None if value is None else json.dumps(value)


def _options(options: dict) -> Optional[str]:
    given = {name: value for name, value in options.items() if value is not None}
    return json.dumps(given) if given else None


def _call_arguments(timeout, cancel, request_id):
    # 0 means "no limit" below, a negative number "it has passed".
    timeout_ms = 0 if timeout is None else -1 if timeout <= 0 else max(1, int(timeout * 1000))
    return timeout_ms, (cancel or Cancel())._native, request_id or ""


def check(uri: Optional[str] = None, *, timeout: Optional[float] = None, cancel: Optional[Cancel] = None,
          request_id: Optional[str] = None) -> dict:
    """Whether the engine at an address has all that containers need, also where it cannot be opened: a CheckReport."""
    return json.loads(_native.check_engine(uri, *_call_arguments(timeout, cancel, request_id)))


def reset(uri: str, *, in_use: bool = False, force: bool = False, timeout: Optional[float] = None,
          cancel: Optional[Cancel] = None, request_id: Optional[str] = None) -> dict:
    """Removes a root of this host, embed:///path, with all that it owns; tells what is gone.

    in_use: although other processes have it open. force: also when something of it cannot be removed.
    """
    options = {"InUse": in_use, "Force": force}
    return json.loads(_native.reset_root(uri, _options(options), *_call_arguments(timeout, cancel, request_id)))


class Connection:
    """One open engine, addressed by URI; generic operations by name. Thread-safe.

    With `session`, whatever the client makes (containers, execs, images, names) is removed soon after it is closed, or
    its process has ended, however that may be."""

    def __init__(self, uri: Optional[str] = None, log_level: Optional[str] = None, session: bool = False):
        self._native = _native.Client(uri, _LEVELS[log_level] if log_level else 0, session)

    def call(self, op: str, ids: Sequence[str] = (), config: Any = None, options: Optional[dict] = None, *,
             timeout: Optional[float] = None, cancel: Optional[Cancel] = None, request_id: Optional[str] = None) -> Any:
        """Runs an operation with at most one answer, which is returned decoded. `timeout` is in seconds."""
        text = self._native.call(op, list(ids), _document(config), _options(options or {}),
                                 *_call_arguments(timeout, cancel, request_id))
        return json.loads(text) if text else None

    def open(self, op: str, ids: Sequence[str] = (), config: Any = None, options: Optional[dict] = None, *,
             timeout: Optional[float] = None, cancel: Optional[Cancel] = None,
             request_id: Optional[str] = None) -> Stream:
        """Opens an operation that is a stream."""
        return Stream(self._native.open(op, list(ids), _document(config), _options(options or {}),
                                        *_call_arguments(timeout, cancel, request_id)))

    def run(self, config: dict, options: dict, attach: bool, timeout: Optional[float] = None,
            cancel: Optional[Cancel] = None):
        """create, attach, wait and start in one: (answer of create, stream or None)."""
        timeout_ms, token, _ = _call_arguments(timeout, cancel, None)
        text, stream = self._native.run(json.dumps(config), _options(options), attach, timeout_ms, token)
        return json.loads(text), Stream(stream) if stream is not None else None

    def supports(self, op: str) -> bool:
        """Whether this library knows the operation ("container.stop")."""
        return self._native.supports(op)

    @property
    def uri(self) -> str:
        return self._native.uri()

    def close(self) -> None:
        """Ends the client; containers go on, but those of a session. Later calls raise Closed."""
        self._native.close()
