"""Servers inside of network namespaces that tell who asks, and clients for them: what packets prove, they prove."""

import contextlib
import json
import subprocess
import sys

_SERVER = """
import json, socket, sys, threading
def tcp(server):
    while True:
        connection, peer = server.accept()
        connection.sendall(json.dumps([name, peer[0]]).encode())
        connection.close()
def udp(server):
    while True:
        _, peer = server.recvfrom(2048)
        server.sendto(json.dumps([name, peer[0]]).encode(), peer)
name, ports = sys.argv[1], sys.argv[2:]
for text in ports:
    port, protocol = text.split("/")
    for family, every in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        try:
            server = socket.socket(family, kind, socket.IPPROTO_SCTP if protocol == "sctp" else 0)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((every, int(port)))
        except OSError:
            continue
        if protocol != "udp":
            server.listen(64)
        threading.Thread(target=udp if protocol == "udp" else tcp, args=(server,)).start()
print("ready", flush=True)
"""

_CLIENT = """
import socket, sys
protocol, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
client = socket.socket(family, kind, socket.IPPROTO_SCTP if protocol == "sctp" else 0)
client.settimeout(float(sys.argv[4]))
client.connect((address, port))
if protocol == "udp":
    client.send(b"x")
print(client.recv(2048).decode())
"""


_SINK = """
import socket, sys
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("0.0.0.0", int(sys.argv[1])))
server.listen()
print("ready", flush=True)
connection, _ = server.accept()
count = 0
while data := connection.recv(65536):
    count += len(data)
connection.sendall(str(count).encode())
"""

_ASKING = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(1)
for line in sys.stdin:
    answer = ""
    for _ in range(3):
        client.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
        try:
            answer = client.recv(2048).decode()
            break
        except OSError:
            pass
    print(answer, flush=True)
"""


def enter(pid=None, netns=None):
    """The command that runs the rest in the network namespace of a process, or in a named one; in this one without both."""
    if netns:
        return ["ip", "netns", "exec", netns]
    return [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net"]


@contextlib.contextmanager
def server(name, *ports, pid=None, netns=None):
    """Serves "80/tcp", "53/udp", … in that network namespace and answers its name and who asked."""
    process = subprocess.Popen([*enter(pid, netns), sys.executable, "-c", _SERVER, name, *ports], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def sink(pid, port):
    """Takes one connection to its end in the network namespace of `pid`, and answers how many bytes came."""
    process = subprocess.Popen([*enter(pid), sys.executable, "-c", _SINK, str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def asking(address, port, netns):
    """A function that asks by datagrams from one and the same socket, in a named network namespace."""
    process = subprocess.Popen(["ip", "netns", "exec", netns, sys.executable, "-c", _ASKING, address, str(port)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def once():
        process.stdin.write("\n")
        process.stdin.flush()
        answer = process.stdout.readline().strip()
        return json.loads(answer) if answer else None
    try:
        yield once
    finally:
        process.kill()
        process.communicate()


def ask(address, port, protocol="tcp", pid=None, netns=None, seconds=2):
    """[name of the server, the client's address as it sees it], or None: nobody answers."""
    done = subprocess.run([*enter(pid, netns), sys.executable, "-c", _CLIENT, protocol, address, str(port), str(seconds)],
                          capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else None
