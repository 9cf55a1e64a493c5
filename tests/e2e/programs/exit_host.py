"""A program that ends while eight threads of it are in calls.

    exit_host.py URI ARCHIVE HOW

HOW: exit (sys.exit), _exit (os._exit), end (of the script), error (an exception nobody catches), atexit (a handler that
uses and closes the client), atexit-error (a handler that raises). It prints "ready" when each thread has had calls, waits
for a line, and ends with 7 (0 at its end, 1 for errors).
"""

import atexit
import os
import sys
import threading
import time

import pouch

CALLS = [0] * 8


def work(client, number):
    while True:
        try:
            if number < 4:
                client.containers.run("busybox", ["echo", "hi"], network="none", remove=True)
            elif number < 6:
                client.containers.list(all=True)
            else:
                client.containers.run("busybox", ["cat"], network="none", remove=True, stdin=b"x" * 100000)
        except pouch.Closed:
            return
        CALLS[number] += 1


def raise_at_exit():
    raise RuntimeError("at exit")


def use_at_exit(client):
    client.containers.list()
    client.close()


def main():
    uri, archive, how = sys.argv[1:]
    client = pouch.Client(uri)
    client.images.load_file(archive)
    for number in range(len(CALLS)):
        threading.Thread(target=work, args=(client, number), daemon=True).start()
    while not all(CALLS):
        time.sleep(0.01)
    if how == "atexit":
        atexit.register(use_at_exit, client)
    if how == "atexit-error":
        atexit.register(raise_at_exit)
    print("ready", flush=True)
    sys.stdin.readline()
    if how == "_exit":
        os._exit(7)
    if how == "error":
        raise RuntimeError("nobody catches it")
    if how != "end":
        sys.exit(7)


if __name__ == "__main__":
    main()
