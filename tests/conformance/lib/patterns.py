"""Does a value look as `expect` says? The patterns of README.md."""

import re

WILDCARDS = {
    "$any": lambda v: True,
    "$string": lambda v: isinstance(v, str),
    "$int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "$time": lambda v: isinstance(v, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", v),
    "$id": lambda v: isinstance(v, str) and re.fullmatch(r"[0-9a-f]{64}", v),
    "$digest": lambda v: isinstance(v, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", v),
}


def mismatch(pattern, value, where="result"):
    """None, or what is wrong and where."""
    if isinstance(pattern, str) and pattern in WILDCARDS:
        return None if WILDCARDS[pattern](value) else f"{where}: {value!r} is no {pattern}"
    if isinstance(pattern, str) and pattern.startswith("$contains:"):
        part = pattern[len("$contains:"):]
        return None if isinstance(value, str) and part in value else f"{where}: {value!r} lacks {part!r}"
    if isinstance(pattern, dict) and "$list_has" in pattern:
        return _list_has(pattern["$list_has"], value, where)
    if isinstance(pattern, dict):
        return _object(pattern, value, where)
    if isinstance(pattern, list):
        return _list(pattern, value, where)
    same = pattern == value and isinstance(pattern, bool) == isinstance(value, bool)
    return None if same else f"{where}: expected {pattern!r}, got {value!r}"


def _object(pattern, value, where):
    if not isinstance(value, dict):
        return f"{where}: expected an object, got {value!r}"
    for key, part in pattern.items():
        if key not in value and part is None:
            continue  # a typed language does not tell null from absent
        if key not in value:
            return f"{where}.{key}: absent"
        if wrong := mismatch(part, value[key], f"{where}.{key}"):
            return wrong
    return None


def _list(pattern, value, where):
    if not isinstance(value, list) or len(value) != len(pattern):
        return f"{where}: expected {len(pattern)} elements, got {value!r}"
    for i, (part, element) in enumerate(zip(pattern, value)):
        if wrong := mismatch(part, element, f"{where}[{i}]"):
            return wrong
    return None


def _list_has(patterns, value, where):
    if not isinstance(value, list):
        return f"{where}: expected a list, got {value!r}"
    for part in patterns:
        if not any(mismatch(part, element) is None for element in value):
            return f"{where}: no element like {part!r} in {value!r}"
    return None
