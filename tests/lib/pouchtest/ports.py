"""Loopback ports that nobody uses."""

import contextlib
import random
import socket


def free_ports(count):
    """So many in a row, that nobody used a moment ago, and that the kernel gives to nobody who asks for any."""
    while True:
        first = random.randrange(20000, 32000 - count)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for number in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    sock = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    sock.bind(("0.0.0.0", number))
            return list(range(first, first + count))


def free_port():
    """A TCP port that was free on 127.0.0.1 a moment ago. Who cannot bind port 0 itself needs it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
