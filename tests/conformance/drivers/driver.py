#!/usr/bin/python3
"""The Python driver: typed operations of the package pouch, found by name."""

import inspect
import re
import threading

import pouch
import steps
from steps import Failed

NOUNS = {"container": "containers", "exec": "execs", "image": "images", "network": "networks", "system": "system",
         "volume": "volumes"}


def parameter(name):
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).replace("-", "_").lower()


def guarded(call, *args, **kwargs):
    try:
        return call(*args, **kwargs)
    except pouch.PouchError as error:
        raise Failed(error.code, error.message) from error


class Stream:
    def __init__(self, stream):
        self._stream = stream
        for name in ("close_write", "finish", "resize", "write"):
            setattr(self, name, lambda *a, method=getattr(stream, name): guarded(method, *a))
        self.cancel = stream.cancel

    def read(self):
        frame = guarded(self._stream.next)
        return None if frame is None else (frame.channel, frame.data)

    def free(self):
        self._stream.close()


class Backend:
    def __init__(self, uri):
        self._client = pouch.Client(uri)
        self.close = self._client.close

    def _method(self, op, options):
        noun, verb = op.split(".", 1)
        method = getattr(getattr(self._client, NOUNS[noun]), verb, None)
        if method is None:
            return None
        known = inspect.signature(method).parameters
        return method if all(parameter(name) in known for name in options) else None

    def _run(self, op, ids, config, options, **how):
        method = self._method(op, options)
        if method is None:  # an operation or option that the typed layer does not have: the generic way refuses it
            generic = self._client.open if op in steps.STREAMS else self._client.call
            return guarded(generic, op, ids, config, options, **how)
        arguments = list(ids) + ([config] if config is not None else [])
        try:
            inspect.signature(method).bind(*arguments, **{parameter(n): v for n, v in options.items()})
        except TypeError:  # a required part is missing: let the library say so
            generic = self._client.open if op in steps.STREAMS else self._client.call
            return guarded(generic, op, ids, config, options, **how)
        return guarded(method, *arguments, **{parameter(n): v for n, v in options.items()}, **how)

    def call(self, op, ids, config, options, deadline_ms, cancel_after_ms):
        how = {"timeout": None if deadline_ms is None else deadline_ms / 1000}
        timer = None
        if cancel_after_ms is not None:
            how["cancel"] = pouch.Cancel()
        if cancel_after_ms == 0:
            how["cancel"].fire()
        elif cancel_after_ms:
            timer = threading.Timer(cancel_after_ms / 1000, how["cancel"].fire)
            timer.start()
        try:
            return self._run(op, ids, config, options, **how)
        finally:
            if timer:
                timer.cancel()

    def open(self, op, ids, config, options, deadline_ms):
        return Stream(self._run(op, ids, config, options, timeout=None if deadline_ms is None else deadline_ms / 1000))


if __name__ == "__main__":
    steps.main(Backend)
