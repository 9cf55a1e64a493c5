"""The pages: every link leads somewhere, and every picture has the form that Mermaid takes."""

import re
import subprocess

import pytest
from pouchtest.paths import REPO

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PICTURES = ("flowchart ", "sequenceDiagram", "stateDiagram-v2")


def pages():
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard",
                             "*.md"], cwd=REPO, capture_output=True, text=True, check=True)
    return sorted(path for path in listed.stdout.split() if (REPO / path).exists())


def anchors(text):
    """The anchors that GitHub makes of a page's headings."""
    seen, found = {}, set()
    for title in re.findall(r"^#{1,6} +(.+)$", _FENCE.sub("", text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = seen.get(name, 0)
        seen[name] = number + 1
        found.add(f"{name}-{number}" if number else name)
    return found


@pytest.mark.parametrize("page", pages())
def test_links(page):
    text = (REPO / page).read_text()
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (REPO / page).parent / path if path else REPO / page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", pages())
def test_pictures(page):
    for language, body in _FENCE.findall((REPO / page).read_text()):
        if language == "mermaid":
            assert body.startswith(_PICTURES), f"{page}: not a picture that is known: {body.splitlines()[0]}"
