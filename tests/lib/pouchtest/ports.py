"""Loopback ports that nobody uses."""

import socket


def free_port():
    """A TCP port that was free on 127.0.0.1 a moment ago. Who cannot bind port 0 itself needs it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
