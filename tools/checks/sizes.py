"""Files of 400 lines at most (600 fail), headers of 300, functions of 60; C++ functions are clang-tidy's to count."""

import ast
import pathlib
import re

from .context import REPO, is_generated

_SOURCES = (".cc", ".c", ".h", ".py", ".go", ".java", ".sh", ".i")
_WARN, _FAIL, _HEADER_WARN, _FUNCTION = 400, 600, 300, 60


def run(context):
    problems = []
    for path in context.files:
        if is_generated(path) or not _is_source(path):
            continue
        text = (REPO / path).read_text(errors="replace")
        lines = text.count("\n")
        if lines > _FAIL:
            problems.append(f"{path}: {lines} lines, more than {_FAIL}")
        elif lines > (_HEADER_WARN if path.endswith(".h") else _WARN):
            print(f"  note: {path}: {lines} lines")
        problems += [f"{path}:{line}: {name} has {size} lines, more than {_FUNCTION}"
                     for name, line, size in _functions(path, text) if size > _FUNCTION]
    return problems


def _is_source(path):
    if path.endswith(_SOURCES):
        return True
    with open(REPO / path, "rb") as file:
        return "." not in pathlib.PurePath(path).name and file.read(2) == b"#!"


def _functions(path, text):
    if path.endswith(".py") or text.startswith(("#!/usr/bin/python3", "#!/usr/bin/env python3")):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name, node.lineno, node.end_lineno - node.lineno + 1
    elif path.endswith(".go"):
        for match in re.finditer(r"^func [^\n]*\{\n.*?^\}", text, re.MULTILINE | re.DOTALL):
            name = re.match(r"func (?:\([^)]*\) )?(\w+)", match.group(0))
            yield name.group(1), text.count("\n", 0, match.start()) + 1, match.group(0).count("\n") + 1
