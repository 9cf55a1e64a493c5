"""A name server of the tests' own that plays the host's."""

import contextlib
import socket
import struct
import threading

LARGE = 250  # addresses of large.example.org: some 4 kB


class Upstream:
    """A DNS server that knows *.example.org, and no more: by UDP what fits, by TCP all."""

    def __init__(self, address="127.0.0.1"):
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = socket.create_server((address, 53))
        self.threads = [threading.Thread(target=self.serve_udp, daemon=True),
                        threading.Thread(target=self.serve_tcp, daemon=True)]
        for thread in self.threads:
            thread.start()

    def close(self):
        for sock in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)
        self.udp.close()
        self.tcp.close()

    def answer(self, query, limit):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += query[at] + 1
        question = query[12:at + 5]
        kind = struct.unpack(">H", question[-4:-2])[0]
        name = ".".join(labels)
        self.asked.append((name, kind))
        if not name.endswith(".example.org"):
            return query[:2] + b"\x81\x83" + struct.pack(">4H", 1, 0, 0, 0) + question
        count = (LARGE if name.startswith("large") else 1) if kind == 1 else 0
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, i % 250])
                           for i in range(7, 7 + count))
        if len(question) + len(records) + 12 > limit:
            return query[:2] + b"\x83\x80" + struct.pack(">4H", 1, 0, 0, 0) + question
        return query[:2] + b"\x81\x80" + struct.pack(">4H", 1, count, 0, 0) + question + records

    def serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                query, client = self.udp.recvfrom(4096)
                if not query:
                    return
                self.udp.sendto(self.answer(query, 512), client)

    def serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.tcp.accept()
                with connection:
                    length = struct.unpack(">H", connection.recv(2))[0]
                    answer = self.answer(connection.recv(length), 65535)
                    connection.sendall(struct.pack(">H", len(answer)) + answer)
