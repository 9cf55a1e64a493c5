#!/usr/bin/env python3
"""Check that the API description keeps to the closed subset that capi/spec/README.md describes.

Usage: check_spec.py [FOLDER]     prints one line per offence; exit status 1 when there is any.
"""

import pathlib
import re
import sys

import yaml

FILES = ["common", "system", "image", "container", "exec", "volume", "network"]
CODES = set(
    """InvalidArgument NotFound AlreadyExists Conflict NotModified PermissionDenied Unauthenticated NotImplemented
    Unavailable DeadlineExceeded Cancelled ResourceExhausted DataLoss Internal Forked Closed Lagged OutOfMemory""".split()
)
IMPLIED = {"DeadlineExceeded", "Cancelled", "Closed", "Internal", "Unavailable", "Forked"}
FORMATS = {"string": {None, "date-time"}, "integer": {"int64", "uint64", "duration"}, "number": {None}, "boolean": {None}}
SCALAR_KEYS = {"type", "format", "description", "default", "enum", "x-cpp"}
SCHEMA_KEYS = {
    "ref": {"$ref", "description", "x-nullable", "x-cpp"},
    "array": {"type", "items", "description", "x-cpp", "x-null-when-empty"},
    "map": {"type", "additionalProperties", "description", "x-cpp"},
    "object": {"type", "properties", "required", "description", "allOf"},
}
XPOUCH = {
    "kind": {"unary", "stream", "upload", "duplex"},
    "frames": {"stdio", "messages", "data"},
    "queue": {"block", "lag", "latest", "drop"},
    "retry": {"never", "safe"},
    "generate": {"all", "none", "client", "server"},
    "wire": {"ping"},
}
XPOUCH_KEYS = set(XPOUCH) | {"op", "since", "errors", "message", "result"}
OP_KEYS = {"operationId", "summary", "description", "x-pouch", "parameters", "requestBody", "responses"}
PARAM_KEYS = {"name", "in", "required", "description", "schema", "content", "x-cpp", "x-option", "x-slashes", "x-keys"}
JSON = "application/json"


class UniqueLoader(yaml.SafeLoader):
    """A loader that refuses a key given twice, which plain YAML would silently drop."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        twice = {k for k in keys if keys.count(k) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key given twice: {sorted(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


class Checker:
    def __init__(self, folder):
        self.errors = []
        self.docs = {n: yaml.load((folder / f"{n}.yaml").read_text(), UniqueLoader) for n in FILES}
        self.schemas = {}
        self.used = set()

    def err(self, where, text):
        self.errors.append(f"{where}: {text}")

    def run(self):
        for name, doc in self.docs.items():
            for schema in doc["components"]["schemas"]:
                if schema in self.schemas:
                    self.err(name, f"schema {schema} is also in {self.schemas[schema]}.yaml")
                if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", schema):
                    self.err(name, f"bad schema name {schema}")
                self.schemas[schema] = name
        for name, doc in self.docs.items():
            for schema, body in doc["components"]["schemas"].items():
                self.named(name, f"{name}.{schema}", body)
        ops = set()
        for name, doc in self.docs.items():
            for path, methods in doc["paths"].items():
                for method, op in methods.items():
                    self.operation(name, path, method, op, ops)
        for schema in sorted(set(self.schemas) - self.used - {"ErrorResponse"}):
            self.err(self.schemas[schema], f"schema {schema} is used nowhere")
        return self.errors

    def keys(self, where, body, allowed):
        for key in sorted(set(body) - allowed):
            self.err(where, f"key {key} is not allowed")

    def described(self, where, body):
        text = body.get("description", "")
        if not text.strip():
            self.err(where, "has no description")
        return text

    def ref(self, file, where, ref):
        match = re.fullmatch(r"(?:(\w+)\.yaml)?#/components/schemas/(\w+)", ref)
        if not match:
            return self.err(where, f"bad reference {ref}")
        target, schema = match.group(1) or file, match.group(2)
        if self.schemas.get(schema) != target:
            self.err(where, f"no schema {schema} in {target}.yaml")
        if match.group(1) == file:
            self.err(where, f"reference {ref} names its own file")
        self.used.add(schema)

    def named(self, file, where, body):
        self.described(where, body)
        if body.get("type") == "object" and "additionalProperties" not in body:
            return self.named_object(file, where, body)
        self.type(file, where, body, required=True)

    def named_object(self, file, where, body):
        self.keys(where, body, SCHEMA_KEYS["object"])
        if "properties" not in body:
            self.err(where, "object without properties")
        for base in body.get("allOf", []):
            self.keys(where, base, {"$ref"})
            self.ref(file, where, base["$ref"])
        required = body.get("required", [])
        for name in required:
            if name not in body["properties"]:
                self.err(where, f"required {name} is no property")
        for name, prop in body["properties"].items():
            at = f"{where}.{name}"
            if "\n" in self.described(at, prop):
                self.err(at, "description of more than one line")
            self.type(file, at, prop, name in required)

    def type(self, file, where, body, required):
        """Check a property, item or parameter schema; required: whether it is always present."""
        if "$ref" in body:
            self.keys(where, body, SCHEMA_KEYS["ref"])
            self.ref(file, where, body["$ref"])
            if body.get("x-nullable") and not required:
                self.err(where, "nullable but not required")
            return
        kind = body.get("type")
        if isinstance(kind, list):
            if len(kind) != 2 or kind[1] != "null":
                self.err(where, f"bad type {kind}")
            if not required:
                self.err(where, "nullable but not required")
            kind = kind[0]
        if kind == "array":
            self.keys(where, body, SCHEMA_KEYS["array"])
            self.type(file, where + "[]", body["items"], False)
        elif kind == "object":
            self.keys(where, body, SCHEMA_KEYS["map"])
            if "additionalProperties" not in body:
                return self.err(where, "anonymous object")
            self.type(file, where + "{}", body["additionalProperties"], False)
        elif kind in FORMATS:
            self.scalar(where, body, kind, required)
        else:
            self.err(where, f"bad type {kind}")

    def scalar(self, where, body, kind, required):
        self.keys(where, body, SCALAR_KEYS)
        if body.get("format") not in FORMATS[kind]:
            self.err(where, f"bad format {body.get('format')} of {kind}")
        python = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}[kind]
        if "default" in body and (required or not isinstance(body["default"], python)):
            self.err(where, "default of a required value or of another type")
        for value in body.get("enum", []):
            if kind != "string" or not isinstance(value, str):
                self.err(where, f"enum value {value!r} is not a string")

    def operation(self, file, path, method, op, ops):
        where = f"{file}.yaml {method.upper()} {path}"
        self.keys(where, op, OP_KEYS)
        for key in ("operationId", "summary", "x-pouch", "responses"):
            if key not in op:
                return self.err(where, f"no {key}")
        self.described(where, op)
        self.xpouch(file, where, op, op["x-pouch"])
        if op["operationId"] in ops:
            self.err(where, f"operation {op['operationId']} is described twice")
        ops.add(op["operationId"])
        self.parameters(file, where, path, op.get("parameters", []))
        bodies = [("body", op["requestBody"])] if "requestBody" in op else []
        bodies += [(f"response {code}", body) for code, body in op["responses"].items()]
        for name, body in bodies:
            self.described(f"{where} {name}", body)
            for media, content in body.get("content", {}).items():
                if media == JSON:
                    self.type(file, f"{where} {name}", content["schema"], True)
                elif content["schema"] != {"type": "string", "format": "binary"}:
                    self.err(where, f"{name}: {media} is not binary")
        self.consistent(where, op)

    def xpouch(self, file, where, op, x):
        self.keys(where, x, XPOUCH_KEYS)
        if x.get("op") != op["operationId"] or not re.fullmatch(rf"{file}\.[a-z][a-z_]*", x.get("op", "")):
            self.err(where, f"bad operation name {x.get('op')}")
        for key, values in XPOUCH.items():
            if key in x and x[key] not in values:
                self.err(where, f"bad {key} {x[key]}")
        for key in ("kind", "since", "errors", "retry", "generate"):
            if key not in x:
                self.err(where, f"x-pouch without {key}")
        for code in x.get("errors", []):
            if code not in CODES:
                self.err(where, f"unknown error code {code}")
            if code in IMPLIED:
                self.err(where, f"error code {code} is implied")
            if code not in op["description"] and code not in ("NotImplemented", "ResourceExhausted"):
                self.err(where, f"description does not explain {code}")
        for key in ("message", "result"):
            if key in x and x[key] not in self.schemas:
                self.err(where, f"no schema {x[key]}")
            self.used.update([x[key]] if key in x else [])

    def parameters(self, file, where, path, params):
        names = [p["name"] for p in params]
        if len(set(names)) != len(names):
            self.err(where, "a parameter is given twice")
        if [p["name"] for p in params if p["in"] == "path"] != re.findall(r"{(\w+)}", path):
            self.err(where, "path parameters differ from the path")
        for p in params:
            at = f"{where} {p['name']}"
            self.keys(at, p, PARAM_KEYS)
            self.described(at, p)
            if p["in"] not in ("path", "query", "header") or (p["in"] == "path" and not p.get("required")):
                self.err(at, "bad place, or path parameter that is not required")
            if (p["in"] == "header") != ("x-option" in p) or (p["in"] == "header" and "content" not in p):
                self.err(at, "a header has a JSON document and x-option, and only a header has the latter")
            schema = p["content"][JSON]["schema"] if "content" in p else p["schema"]
            self.type(file, at, schema, p.get("required", False))

    def consistent(self, where, op):
        x, content = op["x-pouch"], op.get("requestBody", {}).get("content", {})
        success = [c for c in op["responses"] if c.startswith("2")]
        if len(success) != 1:
            self.err(where, "not exactly one 2xx response")
        if (x["kind"] == "unary") != ("frames" not in x) or ("frames" in x) != ("queue" in x):
            self.err(where, "frames and queue belong to all operations but unary ones")
        if (x.get("frames") == "messages") != ("message" in x):
            self.err(where, "message and frames: messages belong together")
        if (x["kind"] == "upload") != ("application/x-tar" in content):
            self.err(where, "upload and application/x-tar belong together")
        if x["kind"] == "unary" and "result" in x:
            self.err(where, "the result of a unary operation is its response's schema")


def main():
    default = pathlib.Path(__file__).resolve().parents[2] / "capi" / "spec"
    errors = Checker(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default).run()
    print("\n".join(errors) if errors else "spec: ok")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
