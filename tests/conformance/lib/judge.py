"""One driver's lines against a script's expectations, and counted coverage."""

import base64
import hashlib

from patterns import mismatch



ARCHIVES = ("image.save", "container.export")


def stream_cells(operation):
    """What a stream must be shown to do: byte sizes where bytes flow, half-close where there is input."""
    if operation.kind == "unary":
        return ()
    cells = ["abandoned"]
    has_one_message = operation.op in ("container.wait", "system.session")
    if not has_one_message and operation.op not in ("image.copy_from", "image.pull", "image.push", *ARCHIVES):
        cells.append("empty")
    if operation.kind != "upload" and not has_one_message:
        cells.append("slow_reader")
    if operation.op in ARCHIVES:  # an archive is neither short nor text
        return tuple(cells)
    if operation.kind in ("upload", "duplex") or operation.frames != "messages":
        cells += ["one_byte", "64MiB", "binary"]
    if operation.kind in ("upload", "duplex"):
        cells.append("half_close")
    return tuple(cells)


def expectation(step, engine):
    return step.get(f"expect_{engine}", step.get("expect", {}))


def fill(value, variables):
    """The variables that a driver saved stand in expectations, too."""
    if isinstance(value, str):
        for name, text in variables.items():
            value = value.replace("${" + name + "}", text)
        return value
    if isinstance(value, list):
        return [fill(v, variables) for v in value]
    if isinstance(value, dict):
        return {fill(k, variables): fill(v, variables) for k, v in value.items()}
    return value


def text_problem(want, line, channel):
    got = line.get(channel, "")
    data = want.encode() if isinstance(want, str) else base64.b64decode(want["base64"])
    large = f"sha256:{hashlib.sha256(data).hexdigest()}:{len(data)}"
    if got in (large, base64.b64encode(data).decode()):
        return None
    shown = got if got.startswith("sha256:") else base64.b64decode(got)
    return f"{channel}: expected {data[:200]!r}, got {shown!r}"


def step_problem(step, line, engine, variables):
    """None, or why the line is not what the step expects."""
    want = fill(expectation(step, engine), variables)
    codes = want.get("code", "Ok")
    if line["code"] not in ([codes] if isinstance(codes, str) else codes):
        return f"expected {codes}, got {line['code']}: {line['message']}"
    if "message_contains" in want and want["message_contains"] not in line["message"]:
        return f"message {line['message']!r} lacks {want['message_contains']!r}"
    if "result" in want and (wrong := mismatch(want["result"], line["result"])):
        return wrong
    for channel in ("stdout", "stderr"):
        if channel in want and (wrong := text_problem(want[channel], line, channel)):
            return wrong
        if f"{channel}_sha256" in want and line.get(channel) != want[f"{channel}_sha256"]:
            return f"{channel}: expected {want[f'{channel}_sha256']}, got {line.get(channel)}"
    if "messages" in want and (wrong := mismatch(want["messages"], line.get("messages", []), "messages")):
        return wrong
    return None


def script_problems(script, lines, engine, values=None):
    if len(lines) != len(script["steps"]):
        return [f"{len(lines)} lines for {len(script['steps'])} steps"]
    problems, variables = [], dict(values or {})
    for number, (step, line) in enumerate(zip(script["steps"], lines)):
        wrong = step_problem(step, line, engine, variables)
        if wrong:
            problems.append(f"step {number} ({step.get('op') or list(step)[0]}): {wrong}")
            break  # what follows only repeats it
        result = line["result"]
        for name, field in step.get("save", {}).items():
            if isinstance(result, dict) and field in result:
                variables[name] = str(result[field])
    return problems


def covered_cells(script, lines):
    """(operation, cell) for everything a script's lines reached."""
    cells, closed = set(), False
    for step, line in zip(script["steps"], lines):
        closed = closed or bool(step.get("close"))
        op = step.get("op") or script.get("backgrounds", {}).get(step.get("join"))
        if op is None:
            continue
        code = line["code"]
        if code == "Closed" and closed:
            cells.add((op, "closed_client"))
        elif code == "Ok":
            cells.add((op, "success"))
        else:
            cells.add((op, code))
        if step.get("deadline_ms") and code == "DeadlineExceeded":
            cells.add((op, "deadline"))
        if step.get("cancel_after_ms") is not None and code == "Cancelled":
            cells.add((op, "cancel"))
        cells |= {(op, cell) for cell in step.get("cells", [])}
    return cells
