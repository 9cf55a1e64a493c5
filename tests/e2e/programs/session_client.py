"""A program with a session client: makes things, says what, and then does as it is told.

    session_client.py URI ARCHIVE MODE

It loads the archive, runs a container that stays and one that is only created, and prints one line of JSON. Modes: wait
(for its end, calls under way), close (the client, when a line comes; then waits), exit (by exit() while threads are in
calls, when a line comes), fork (a child that inherits everything and stays; its pid is told), command (runs further
images' containers by name as lines come).
"""

import json
import os
import sys
import threading
import time

import pouch

HOST = {"NetworkMode": "none"}


def in_call(client, container):
    try:
        client.containers.wait(container).finish()
    except pouch.PouchError:
        pass


def make(client, archive):
    if archive != "-":
        client.images.load_file(archive)
    running = client.containers.run("busybox", ["sleep", "1000"], detach=True, host_config=HOST)
    created = client.containers.create({"Image": "busybox", "Cmd": ["true"], "HostConfig": HOST})["Id"]
    exec_id = client.execs.create(running.id, {"Cmd": ["sleep", "1000"]})["Id"]
    client.execs.start(exec_id, {"Detach": True}).finish()
    return running.id, created


def main():
    uri, archive, mode = sys.argv[1:]
    client = pouch.Client(uri, session=True)
    running, created = make(client, archive)
    for _ in range(3):
        threading.Thread(target=in_call, args=(client, running), daemon=True).start()
    child = 0
    if mode == "fork":
        child = os.fork()
        if child == 0:
            time.sleep(1000)
            os._exit(0)
    print(json.dumps({"containers": [running, created], "child": child}), flush=True)
    for line in sys.stdin:
        if mode == "close":
            client.close()
        elif mode == "exit":
            sys.exit(0)
        else:
            try:
                name = line.strip()
                client.containers.run("busybox", ["true"], name=name, host_config=HOST)
                print(json.dumps({"made": name}), flush=True)
            except pouch.PouchError as error:
                print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
    time.sleep(1000)


if __name__ == "__main__":
    main()
