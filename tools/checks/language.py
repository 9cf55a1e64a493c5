"""The repository speaks of the software alone: no paths of this machine, no hosts of its package mirrors."""

import os
import pathlib
import re
import urllib.parse

from .context import REPO

_PUBLIC = ("pypi.org", "proxy.golang.org", "sum.golang.org", "repo.maven.apache.org", "deb.debian.org",
           "security.debian.org", "localhost", "127.0.0.1")
_MIRROR_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "GOPROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy",
                     "https_proxy", "npm_config_registry")
_MAX_BYTES = 2 << 20


def run(context):
    words = _machine_words()
    pattern = re.compile("|".join(map(re.escape, words)))
    problems = []
    for path in context.files:
        file = REPO / path
        if file.stat().st_size > _MAX_BYTES:
            problems.append(f"{path}: larger than 2 MiB; big files do not belong here")
            continue
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            match = pattern.search(line)
            if match:
                problems.append(f"{path}:{number}: {match.group(0)} is of this machine")
    return problems


def _machine_words():
    words = {f"{REPO}/"}
    # The folder around the checkout, unless it is one that everybody has.
    if len(REPO.parent.parts) > 1 and REPO.parent not in (pathlib.Path("/root"), pathlib.Path("/tmp")):
        words.add(f"{REPO.parent}/")
    for name in _MIRROR_VARIABLES:
        for url in re.split(r"[,| ]", os.environ.get(name, "")):
            host = urllib.parse.urlsplit(url).hostname
            if host and host not in _PUBLIC:
                words.add(host)
    return sorted(words)
