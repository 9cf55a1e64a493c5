"""A web server on a loopback port with files of one's own."""

import base64
import http.server
import threading


class FileServer:
    """`server.url` is http://ADDRESS:PORT; `files` maps paths ("/a.tar") to bytes, or to what is answered instead.

    That is a dict with any of `status`, `headers`, `body`, `account` (user:password that is asked for), `cut` (bytes of
    the body after which the connection ends), `hold` (an Event that the second half of the body waits for).
    What is not there is 404, below /denied 403.
    """

    def __init__(self, files=None):
        self.files = dict(files or {})
        self.requests = []  # (path, headers)

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.requests.append((self.path, dict(self.headers)))
                outer.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients that go away
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        for file in self.files.values():
            if isinstance(file, dict) and "hold" in file:
                file["hold"].set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler):
        file = self.files.get(handler.path, {"status": 403 if handler.path.startswith("/denied") else 404})
        file = file if isinstance(file, dict) else {"body": file}
        account = file.get("account")
        if account and handler.headers.get("Authorization") != "Basic " + base64.b64encode(account.encode()).decode():
            file = {"status": 401}
        body = file.get("body", b"")
        handler.send_response(file.get("status", 200))
        for name, value in file.get("headers", {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if "cut" in file:
            handler.wfile.write(body[:file["cut"]])
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(2)
            return
        half = len(body) // 2 if "hold" in file else len(body)
        handler.wfile.write(body[:half])
        handler.wfile.flush()
        if "hold" in file:
            file["hold"].wait(60)
            handler.wfile.write(body[half:])
