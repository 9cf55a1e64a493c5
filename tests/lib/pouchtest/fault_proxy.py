"""A reverse proxy that does to answers what bad networks and busy registries do."""

import http.client
import http.server
import threading
import urllib.parse


class FaultProxy:
    """Stands in front of a plain registry; `proxy.host` is asked instead of it.

    Before each answer `fault(request_number, path, headers)` says what goes wrong: None, or a dict with any of
    `status` (instead of an answer), `headers` (of that), `cut` (bytes of the body after which the connection ends),
    `no_ranges` (the request's Range is dropped), `length` (a wrong Content-Length), `flip` (a bit of the body is),
    `take` (bytes of the request's body that reach the registry before the connection ends without an answer; with 0
    the registry learns nothing of it).
    """

    def __init__(self, registry, fault):
        self._target, self.fault = registry.host, fault
        self.requests = []  # (method, path, Range)

    def __enter__(self):
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                proxy.requests.append((self.command, self.path, self.headers.get("Range", "")))
                proxy.answer(self, proxy.fault(len(proxy.requests), self.path, self.headers) or {})

            do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients that go away
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def blobs(self):
        """The requests for blobs: (path, Range)."""
        return [(path, span) for _, path, span in self.requests if "/blobs/" in path]

    def answer(self, handler, wrong):
        length = int(handler.headers.get("Content-Length") or 0)
        sent = handler.rfile.read(min(length, wrong.get("take", length))) if length else b""
        if wrong.get("take") == 0:
            handler.close_connection = True
            return
        if "status" in wrong:
            self._refuse(handler, wrong)
            return
        headers = {name: value for name, value in handler.headers.items()
                   if name.lower() not in ("host", "connection", "content-length")
                   and not (wrong.get("no_ranges") and name == "Range")}
        if "take" in wrong:
            headers.pop("Content-Range", None)
        connection = http.client.HTTPConnection(self._target, timeout=30)
        body = sent if length or handler.command in ("POST", "PATCH", "PUT") else None
        connection.request(handler.command, handler.path, body, headers={**headers, "Host": self._target})
        answer = connection.getresponse()
        body = bytearray(answer.read())
        connection.close()
        if "take" in wrong:
            handler.close_connection = True
            return
        if wrong.get("flip") and body:
            body[len(body) // 2] ^= 1
        self._send(handler, answer, bytes(body), wrong)

    def _refuse(self, handler, wrong):
        handler.send_response(wrong["status"])
        for name, value in wrong.get("headers", {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _send(self, handler, answer, body, wrong):
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() in ("transfer-encoding", "connection", "content-length"):
                continue
            if name.lower() == "location":
                place = urllib.parse.urlsplit(value)
                value = place.path + (f"?{place.query}" if place.query else "")
            handler.send_header(name, value)
        is_head = handler.command == "HEAD"
        told = answer.getheader("Content-Length") or "0" if is_head else len(body)
        handler.send_header("Content-Length", str(wrong.get("length", told)))
        handler.end_headers()
        cut = wrong.get("cut")
        handler.wfile.write(body if cut is None else body[:cut])
        if cut is not None or "length" in wrong:
            handler.close_connection = True
