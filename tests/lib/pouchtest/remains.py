"""What a pull, push or load may not leave behind."""

import pathlib

from .run import run

# Names in a root that stay: its own, and what containers have there.
_OWN = ("pouch.db", "owners", "sessions", "containers", "bin")


def left_behind(uri):
    """Leases and ingests of the containerd of an `embed_root()`, as ctr sees them, and files of the root that are not its own."""
    folder, _, words = uri.removeprefix("embed://").partition("?")
    socket = dict(word.split("=") for word in words.split("&"))["containerd"]
    found = []
    for namespace in run("ctr", "--address", socket, "namespaces", "ls", "-q").out.split():
        ctr = ("ctr", "--address", socket, "--namespace", namespace)
        found += run(*ctr, "leases", "ls", "-q").out.split()
        found += run(*ctr, "content", "active").out.splitlines()[1:]
    return found + [str(path) for path in pathlib.Path(folder).iterdir() if not path.name.startswith(_OWN)]
