"""The library's records in Python's logging."""

import logging
import threading

from . import _native
from ._stream import Stream

_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG, 5: logging.DEBUG}
_NUMBERS = {"error": 1, "warning": 2, "info": 3, "debug": 4, "trace": 5}


def forward_logs(level: str = "info", logger: str = "pouch") -> Stream:
    """Feeds records up to `level` to logging.getLogger(`logger`) from a thread; close() the result to stop.

    A record has the attributes pouch_component, and where known pouch_root, pouch_object and pouch_request_id.
    """
    stream = Stream(_native.open_log(_NUMBERS[level]))
    target = logging.getLogger(logger)

    def pump():
        try:
            for record in stream.messages():
                number = _NUMBERS.get(record.get("level", "info"), 3)
                about = {f"pouch_{key}": record.get(key) for key in ("component", "root", "object", "request_id")}
                target.log(_LEVELS[number], "%s: %s", record.get("component", ""), record.get("message", ""), extra=about)
        except Exception:  # the stream was closed under us: that is how it ends  # pylint: disable=broad-except
            return

    threading.Thread(target=pump, name="pouch-log", daemon=True).start()
    return stream
