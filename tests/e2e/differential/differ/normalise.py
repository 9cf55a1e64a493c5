"""Takes out of an answer what is different in every run: ids, times, folders."""

import re

_ID = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{12})(?![0-9a-f])")
_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{12,64}")
# Go's zero time stays, and so do the dates of images, which are the same everywhere.
_TIMES = (
    (re.compile(r"\b20(?!24-01-01)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b20(?!24-01-01)\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} \S+"), "<time>"),
    (re.compile(r"\b\d{10}\.\d{9}\b"), "<seconds>"),
    (re.compile(r"\b1[6-9]\d{8}\b"), "<seconds>"),
    (re.compile(r"\b1[6-9]\d{17}\b"), "<nanoseconds>"),
)
_AGES = (
    re.compile(r"\b(Less than a second|\d+ seconds?|About a minute|[1-9] minutes)( ago)?\b"),
)
# Steps of a pull that dockerd tells when its reader is quick enough to see them.
_PULL_STEPS = re.compile(r"^[0-9a-f]{12}: (Verifying Checksum|Waiting)\n", re.MULTILINE)
_BLANKS = re.compile(r" {2,}")
# Docker adds up the sizes of files, containerd the blocks that they take.
_SIZE = re.compile(r"\b\d+(\.\d+)?(B|kB|MB|GB)\b")
_SIZE_FIELDS = ("Size", "VirtualSize", "SizeRw", "SizeRootFs")


class Names:
    """Gives each id of one case on one engine a name by the order in which it was first seen."""

    def __init__(self):
        self._names = {}

    def __call__(self, match):
        text = match.group(0)
        name = self._names.setdefault(text[:12], f"id{len(self._names) + 1}")
        return f"<{name}>" if len(text) == 64 else f"<{name} short>"


def made_anew(value):
    """For what tells of a manifest that dockerd makes itself: hides its digest and size."""
    return re.sub(r"(size:) \d+", r"\1 <n>", re.sub(r"sha256:[0-9a-f]{64}", "<digest>", value))


def sizes(value):
    """For what lists images and containers: hides sizes, and the width that they give a column."""
    if not _SIZE.search(value):
        return value
    return "\n".join(_BLANKS.sub("  ", _SIZE.sub("<size>", line)).rstrip() for line in value.split("\n"))


def text(value, names, folders):
    """`folders`: [(path, name)] of what is the engine's own."""
    value = _PULL_STEPS.sub("", value)
    for path, name in folders:
        # A port's number may stand in a longer one, such as a time's.
        value = re.sub(rf"(?<!\d){path}(?!\d)", name, value) if path.isdigit() else value.replace(path, name)
    for pattern, name in _TIMES:
        value = pattern.sub(name, value)
    images = []
    value = _IMAGE_ID.sub(lambda match: images.append(match.group(0)) or f"<image {len(images) - 1}>", value)
    value = _ID.sub(names, value)
    for number, image in enumerate(images):
        value = value.replace(f"<image {number}>", image, 1)
    if any(pattern.search(value) for pattern in _AGES):
        for pattern in _AGES:
            value = pattern.sub(lambda match: "<age>" + (match.group(2) or ""), value)
        # Columns are as wide as the widest cell, which may have been an age.
        value = "\n".join(_BLANKS.sub("  ", line).rstrip() for line in value.split("\n"))
    return value


def document(value, names, folders, key=""):
    """The same for JSON. A pid is only told from none."""
    if isinstance(value, dict):
        return {text(name, names, folders): document(item, names, folders, name) for name, item in value.items()}
    if isinstance(value, list):
        # dockerd keeps mounts in a map, in whose order it shows them.
        if key == "Mounts":
            value = sorted(value, key=lambda mount: mount.get("Destination", "") if isinstance(mount, dict) else "")
        return [document(item, names, folders) for item in value]
    if isinstance(value, str) and key in _SIZE_FIELDS:
        return sizes(value)
    if isinstance(value, str):
        return text(value, names, folders)
    if isinstance(value, int) and value > 0:
        known = {"Pid": "<pid>", "time": "<seconds>", "timeNano": "<nanoseconds>"}
        return "<size>" if key in _SIZE_FIELDS else known.get(key, value)
    return value
