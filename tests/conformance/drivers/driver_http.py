#!/usr/bin/python3
"""The raw HTTP driver: docs/wire.md over a unix socket, with nothing of Pouch's own client code."""

import base64
import http.client
import json
import pathlib
import socket
import struct
import sys
import threading
import time
import urllib.parse

import steps
from steps import Failed

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools" / "specgen"))
import model  # noqa: E402  the table of routes comes from the API description

SPEC = {op.op: op for op in model.load(pathlib.Path(__file__).resolve().parents[3] / "capi" / "spec").operations}


class Response(http.client.HTTPResponse):
    """Keeps what follows a chunked body."""

    trailers = {}

    def _read_and_discard_trailer(self):
        self.trailers = http.client.parse_headers(self.fp)


class UnixConnection(http.client.HTTPConnection):
    response_class = Response

    def __init__(self, path):
        super().__init__("pouchd")
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def unix_time(text):
    """RFC 3339 in UTC to seconds[.nanos]."""
    stem, _, fraction = text.rstrip("Z").partition(".")
    if stem.startswith("0001"):
        return "0"
    seconds = time.strptime(stem, "%Y-%m-%dT%H:%M:%S")
    import calendar  # pylint: disable=import-outside-toplevel
    return str(calendar.timegm(seconds)) + (f".{fraction}" if fraction else "")


def headers_of(op, options):
    """Options that are not in the query: accounts."""
    names = {p.name: p.header for p in op.options if p.header}
    return {header: base64.urlsafe_b64encode(json.dumps(options[name]).encode()).decode()
            for name, header in names.items() if name in options}


def query_of(op, options):
    kinds = {p.name: p.type for p in op.options if not p.header}
    in_headers = {p.name for p in op.options if p.header}
    pairs = []
    for name, value in options.items():
        if name in in_headers:
            continue
        kind = kinds.get(name)
        if kind is not None and kind.kind == "time" and isinstance(value, str):
            value = unix_time(value)
        if isinstance(value, bool):
            pairs.append((name, "1" if value else "0"))
        elif isinstance(value, list) and kind is not None and kind.kind == "array":
            pairs += [(name, v) for v in value]
        elif isinstance(value, (dict, list)):
            pairs.append((name, json.dumps(value)))
        else:
            pairs.append((name, str(value)))
    return "?" + urllib.parse.urlencode(pairs) if pairs else ""


def path_of(op, ids, options):
    if len(ids) != len(op.ids):
        raise Failed("InvalidArgument", f"takes {len(op.ids)} ids")
    path = op.path
    for param, value in zip(op.ids, ids):
        if not value:
            raise Failed("InvalidArgument", "an id is empty")
        path = path.replace("{" + param.name + "}", urllib.parse.quote(value, safe="/" if param.slashes else ""))
    return path + query_of(op, options)


def failure(status, body):
    if status == 304:
        return Failed("NotModified")
    document = json.loads(body)
    return Failed(document["code"], document["message"])


class Body:
    """The bytes of a streaming answer: of a chunked response, or of a connection that was upgraded."""

    def __init__(self, read, response=None):
        self._read, self._buffer, self._response = read, b"", response

    def some(self):
        out, self._buffer = self._buffer or self._read(65536), b""
        return out

    def trailer(self, name):
        return self._response.trailers.get(name)

    def exactly(self, size):
        while len(self._buffer) < size:
            more = self._read(65536)
            if not more:
                return None
            self._buffer += more
        out, self._buffer = self._buffer[:size], self._buffer[size:]
        return out

    def line(self):
        while b"\n" not in self._buffer:
            more = self._read(65536)
            if not more:
                return None
            self._buffer += more
        out, _, self._buffer = self._buffer.partition(b"\n")
        return out


class Stream:
    def __init__(self, op, connection, body=None):
        self._op, self._connection, self._body = op, connection, body
        self._end = None
        self._cancelled = False
        self._head = threading.Event()
        if body is not None:
            self._head.set()

    def _next(self):
        if self._op.frames == "stdio":
            header = self._body.exactly(8)
            if header is None:
                return None
            channel, size = header[0], struct.unpack(">I", header[4:])[0]
            data = self._body.exactly(size)
            if channel != 3:
                return channel, data
            self._end = json.loads(data)["pouchEnd"]
            return None
        if self._op.frames == "data":
            if data := self._body.some():
                return 3, data
            if end := self._body.trailer("Pouch-End"):
                self._end = json.loads(base64.b64decode(end))["pouchEnd"]
            return None
        while (line := self._body.line()) is not None:
            document = json.loads(line)
            if "pouchEnd" in document:
                self._end = document["pouchEnd"]
                return None
            if "pouchLost" not in document:
                return 4, line
        return None

    def read(self):
        try:
            if self._body is None:  # an upload: the answer comes after the bytes
                self._head.wait()
                response = self._connection.getresponse()
                if response.status >= 300:
                    raise failure(response.status, response.read())
                self._body = Body(response.read1)
            frame = self._next()
        except (OSError, ValueError, http.client.HTTPException, AttributeError) as error:
            raise Failed("Cancelled" if self._cancelled else "Unavailable", str(error)) from error
        if frame is None and self._end is None:
            raise Failed("Cancelled" if self._cancelled else "Unavailable", "the answer was cut")
        if frame is None and "error" in self._end:
            raise Failed(self._end["error"]["code"], self._end["error"]["message"])
        return frame

    def finish(self):
        while self._end is None:
            self.read()
        return self._end.get("result")

    def write(self, data):
        try:
            if self._op.kind == "upload":
                self._connection.send(b"%x\r\n%s\r\n" % (len(data), data) if data else b"")
            else:
                self._connection.sock.sendall(data)
        except OSError as error:
            self._head.set()
            raise Failed("Closed", str(error)) from error

    def close_write(self):
        try:
            if self._op.kind == "upload":
                self._connection.send(b"0\r\n\r\n")
            else:
                self._connection.sock.shutdown(socket.SHUT_WR)
        finally:
            self._head.set()

    def cancel(self):
        self._cancelled = True
        self._head.set()
        if self._connection.sock is not None:
            try:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def free(self):
        self.cancel()
        self._connection.close()


class Backend:
    def __init__(self, uri):
        self._path = uri[len("unix://"):]
        self._closed = False

    def close(self):
        self._closed = True

    def _connect(self):
        if self._closed:
            raise Failed("Closed", "the client is closed")
        return UnixConnection(self._path)

    def _operation(self, op, streaming):
        found = SPEC.get(op)
        if found is None or (found.kind != "unary") != streaming:
            raise Failed("InvalidArgument", f"no such operation: {op}")
        return found

    def call(self, op, ids, config, options, deadline_ms, cancel_after_ms):
        operation = self._operation(op, False)
        if deadline_ms == -1 or cancel_after_ms == 0:
            raise Failed("DeadlineExceeded" if deadline_ms else "Cancelled")
        connection = self._connect()
        given_up = []
        limit = min((t for t in (deadline_ms, cancel_after_ms) if t), default=None)
        timer = None
        path = path_of(operation, ids, options)
        connection.connect()
        if limit:
            code = "DeadlineExceeded" if limit == deadline_ms else "Cancelled"

            def give_up():
                given_up.append(code)
                connection.sock.shutdown(socket.SHUT_RDWR)

            timer = threading.Timer(limit / 1000, give_up)
            timer.start()
        try:
            headers = {"Pouch-Strict": "1", **headers_of(operation, options)}
            body = None
            if config is not None:
                body, headers["Content-Type"] = json.dumps(config), "application/json"
            connection.request(operation.method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException, AttributeError) as error:
            raise Failed(given_up[0] if given_up else "Unavailable", str(error)) from error
        finally:
            if timer:
                timer.cancel()
            connection.close()
        if given_up:
            raise Failed(given_up[0])
        if response.status >= 300:
            raise failure(response.status, text)
        if operation.wire == "ping":
            return {"ApiVersion": response.headers["Api-Version"], "OSType": response.headers["Ostype"],
                    "Experimental": response.headers["Docker-Experimental"] == "true"}
        return json.loads(text) if text else None

    def open(self, op, ids, config, options, deadline_ms):
        operation = self._operation(op, True)
        if deadline_ms == -1:
            raise Failed("DeadlineExceeded")
        connection = self._connect()
        path = path_of(operation, ids, options)
        if operation.kind == "upload":
            connection.putrequest(operation.method, path)
            for name, value in (("Pouch-Strict", "1"), ("Content-Type", "application/x-tar"), ("Transfer-Encoding", "chunked")):
                connection.putheader(name, value)
            connection.endheaders()
            return Stream(operation, connection)
        body = json.dumps(config) if config is not None else None
        headers = {"Pouch-Strict": "1", "Content-Type": "application/json", **headers_of(operation, options)}
        if operation.kind == "duplex":
            return self._upgrade(operation, connection, path, headers, body or "")
        connection.request(operation.method, path, body, headers)
        response = connection.getresponse()
        if response.status >= 300:
            raise failure(response.status, response.read())
        return Stream(operation, connection, Body(response.read1, response))

    @staticmethod
    def _upgrade(operation, connection, path, headers, body):
        connection.connect()
        head = f"{operation.method} {path} HTTP/1.1\r\nHost: pouchd\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + f"Content-Length: {len(body)}\r\n\r\n{body}"
        connection.sock.sendall(head.encode())
        reader = Body(connection.sock.recv)
        status = reader.line()
        if status is None:
            raise Failed("Unavailable", "no answer")
        fields = {}
        while (line := reader.line().strip()) != b"":
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        code = int(status.split()[1])
        if code != 101:
            raise failure(code, reader.exactly(int(fields.get(b"content-length", 0))) or b"{}")
        return Stream(operation, connection, reader)


if __name__ == "__main__":
    steps.main(Backend)
