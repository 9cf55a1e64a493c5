#!/usr/bin/python3
"""Runs a container and prints what it says. usage: hello.py [URI]"""

import sys

import pouch


def main():
    uri = sys.argv[1] if len(sys.argv) > 1 else None  # None: $POUCH_HOST, the config file, the daemon's socket
    with pouch.Client(uri) as client:
        output = client.containers.run("busybox", ["echo", "hello from a container"], network="none", remove=True)
    print(output.decode(), end="")


if __name__ == "__main__":
    try:
        main()
    except pouch.PouchError as error:
        sys.exit(f"hello: {error}")
