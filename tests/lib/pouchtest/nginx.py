"""nginx in front of a registry, on a loopback port, with whatever its configuration can do to requests."""

import socket

from .daemon import Daemon
from .paths import find_program
from .ports import free_port

# The rate lets each request pass once, to where nobody is; what it holds back, all later ones, are for the registry.
_FIRST = """
location / {{
  limit_req zone=seen;
  limit_req_status 503;
  error_page 503 = @registry;
  error_page 502 = @first;
  proxy_pass http://127.0.0.1:1;
}}
location @first {{ {first} }}
"""
_ALL = """
location / {{
  proxy_pass http://{target};
  {everything}
}}
location ~ ^/v2/.*/blobs/ {{
  proxy_pass http://{target};
  {everything}
  {blobs}
}}
"""
_CONFIG = """
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 256; }}
http {{
  log_format brief '$status $request_method $request_uri $bytes_sent "$http_range"';
  access_log {folder}/access.log brief;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  limit_req_zone "$request_method $request_uri" zone=seen:1m rate=1r/m;
  limit_req_log_level info;
  {around}
  server {{
    listen {host};
    {server}
    {locations}
    location @registry {{ proxy_pass http://{target}; }}
  }}
}}
"""


class Nginx(Daemon):
    """Asked at `nginx.host` instead of `target`, the registry's ADDRESS:PORT.

    The directives stand at the level of http (`around`), of the server, of all requests to the registry
    (`everything`), and of those about blobs (`blobs`). Or `first` is what becomes of each request when it comes for the
    first time; it passes the second time.
    """

    name = "nginx"

    def __init__(self, target, around="", server="", everything="", blobs="", first="", folder=None):
        super().__init__(folder)
        self.host = f"127.0.0.1:{free_port()}"
        words = {"target": target, "everything": everything, "blobs": blobs, "first": first}
        self._words = {"target": target, "around": around, "server": server,
                       "locations": (_FIRST if first else _ALL).format(**words)}

    def command(self):
        config = self.dir / "nginx.conf"
        config.write_text(_CONFIG.format(folder=self.dir, host=self.host, **self._words))
        return [find_program("nginx"), "-p", self.dir, "-e", self.log_path, "-c", config]

    def is_ready(self):
        address, _, port = self.host.partition(":")
        try:
            socket.create_connection((address, int(port)), 1).close()
        except OSError:
            return False
        return True

    def answers(self):
        """What was asked so far: [(status, method, path, bytes sent, range)]."""
        lines = (self.dir / "access.log").read_text().splitlines() if (self.dir / "access.log").exists() else []
        words = [line.split(" ") for line in lines]
        return [(int(status), method, path, int(size), span.strip('"')) for status, method, path, size, span in words]

    def statuses(self):
        return [answer[0] for answer in self.answers()]
