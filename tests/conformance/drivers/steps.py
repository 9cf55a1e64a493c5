"""What the Python and the raw HTTP driver share: running a script's steps over some way to call and open operations.

A backend has: call(op, ids, config, options, deadline_ms, cancel_after_ms) -> document or None,
open(op, ids, config, options, deadline_ms) -> stream, close(); failures are Failed(code, message). A stream has:
read(timeout) -> (channel, bytes) or None at the end, write(bytes), close_write(), finish(), cancel(), free().
"""

import base64
import hashlib
import json
import secrets
import sys
import threading
import time

STREAMS = {"container.attach", "container.export", "container.logs", "container.wait", "exec.start", "image.from_rootfs", "image.import_tar", "image.load",
           "image.copy_from", "image.pull", "image.push", "image.save", "system.events", "system.session"}
CHANNELS = {1: "stdout", 2: "stderr", 3: "data"}
LARGE = 1 << 20


class Failed(Exception):
    def __init__(self, code, message=""):
        super().__init__(message)
        self.code = code


def substitute(value, variables):
    if isinstance(value, str):
        for name, text in variables.items():
            value = value.replace("${" + name + "}", text)
        return value
    if isinstance(value, list):
        return [substitute(v, variables) for v in value]
    if isinstance(value, dict):
        return {substitute(k, variables): substitute(v, variables) for k, v in value.items()}
    return value


def input_of(step):
    """The chunks to write, or None."""
    if "input" in step:
        return [step["input"].encode()]
    if "input_base64" in step:
        return [base64.b64decode(step["input_base64"])]
    if "input_zeros" in step:
        left, chunks = step["input_zeros"], []
        while left > 0:
            chunks.append(bytes(min(left, LARGE)))
            left -= LARGE
        return chunks
    if "upload" in step:
        with open(step["upload"], "rb") as file:
            return list(iter(lambda: file.read(LARGE), b""))
    return None


def feed(stream, step):
    chunks = input_of(step)
    if chunks is None:
        return
    try:
        for chunk in chunks:
            stream.write(chunk)
        if not step.get("keep_input_open"):
            stream.close_write()
    except Failed:
        pass  # the reader below learns why


class Line:
    def __init__(self, number):
        self.fields = {"step": number, "code": "Ok", "message": "", "result": None}
        self.bytes = {}
        self.messages = None

    def fail(self, error):
        if self.fields["code"] == "Ok":
            self.fields.update(code=error.code, message=str(error))

    def add(self, channel, data):
        if channel == 4:
            self.messages = (self.messages or []) + [json.loads(data)]
        else:
            self.bytes.setdefault(CHANNELS[channel], bytearray()).extend(data)

    def show(self):
        for name, data in self.bytes.items():
            large = f"sha256:{hashlib.sha256(data).hexdigest()}:{len(data)}"
            self.fields[name] = large if len(data) > LARGE else base64.b64encode(data).decode()
        if self.messages is not None:
            self.fields["messages"] = self.messages
        print(json.dumps(self.fields), flush=True)


def read_stream(stream, step, line):
    feeder = threading.Thread(target=feed, args=(stream, step))
    feeder.start()
    timer = None
    if "cancel_after_ms" in step:
        timer = threading.Timer(step["cancel_after_ms"] / 1000, stream.cancel)
        timer.start()
    frames = 0
    try:
        while (frame := stream.read()) is not None:
            line.add(*frame)
            frames += 1
            if frames == step.get("max_frames"):
                stream.cancel()
                return
            time.sleep(step.get("read_delay_ms", 0) / 1000)
        line.fields["result"] = stream.finish()
    except Failed as error:
        line.fail(error)
        stream.cancel()
    finally:
        if timer:
            timer.cancel()
            timer.join()
        feeder.join()
        stream.free()


class Runner:
    def __init__(self, backend, variables):
        self.backend = backend
        self.variables = dict(variables, run=secrets.token_hex(4))
        self.background = {}

    def run(self, script):
        for number, raw in enumerate(script["steps"]):
            step = substitute({k: v for k, v in raw.items() if not k.startswith("expect")}, self.variables)
            line = Line(number)
            self.step(step, line)
            self.save(step, line)
            line.show()

    def save(self, step, line):
        result = line.fields["result"]
        for name, field in step.get("save", {}).items():
            if isinstance(result, dict) and field in result:
                self.variables[name] = str(result[field])

    def step(self, step, line):
        if "sleep_ms" in step:
            time.sleep(step["sleep_ms"] / 1000)
        elif "close" in step:
            self.backend.close()
        elif "resize" in step:
            try:
                self.background[step["resize"]].resize(step["rows"], step["columns"])
            except Failed as error:
                line.fail(error)
        elif "join" in step:
            read_stream(self.background.pop(step["join"]), step, line)
        elif step["op"] in STREAMS:
            self.open(step, line)
        else:
            try:
                line.fields["result"] = self.backend.call(
                    step["op"], step.get("ids", []), step.get("config"), step.get("options", {}), step.get("deadline_ms"),
                    step.get("cancel_after_ms"))
            except Failed as error:
                line.fail(error)

    def open(self, step, line):
        try:
            stream = self.backend.open(step["op"], step.get("ids", []), step.get("config"), step.get("options", {}),
                                       step.get("deadline_ms"))
        except Failed as error:
            line.fail(error)
            return
        if "background" in step:
            self.background[step["background"]] = stream
        elif step.get("abandon"):
            stream.free()
        else:
            read_stream(stream, step, line)


def main(open_backend):
    uri, script, *pairs = sys.argv[1:]
    with open(script, encoding="utf-8") as file:
        steps = json.load(file)
    variables = dict(pair.split("=", 1) for pair in pairs)
    Runner(open_backend(uri), variables).run(steps)
