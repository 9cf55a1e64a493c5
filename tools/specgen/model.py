"""Reads capi/spec/*.yaml into plain objects and refuses what is outside the subset (capi/spec/README.md)."""

import dataclasses
import pathlib
import re
from typing import Optional

import yaml

CODES = (
    "InvalidArgument NotFound AlreadyExists Conflict NotModified PermissionDenied Unauthenticated NotImplemented "
    "Unavailable DeadlineExceeded Cancelled ResourceExhausted DataLoss Internal Forked Closed Lagged OutOfMemory"
).split()
KINDS = ("unary", "stream", "upload", "duplex")
FRAMES = ("stdio", "messages", "data")
QUEUES = ("block", "lag", "latest", "drop")
SCHEMA_KEYS = {
    "type", "format", "items", "additionalProperties", "properties", "required", "description", "default", "enum",
    "allOf", "$ref", "x-nullable", "x-cpp", "x-null-when-empty", "example", "minimum", "maximum",
}
OPERATION_KEYS = {"operationId", "summary", "description", "x-pouch", "parameters", "requestBody", "responses", "tags"}
POUCH_KEYS = {
    "op", "kind", "frames", "queue", "result", "message", "since", "errors", "retry", "generate", "wire",
}


class SpecError(Exception):
    """The spec breaks a rule; the message names the place."""


@dataclasses.dataclass
class Type:
    """kind: bool int64 uint64 double string time duration array map ref."""

    kind: str
    item: Optional["Type"] = None  # array, map
    ref: str = ""  # ref
    nullable: bool = False  # array that is null on the wire when there is nothing to say (PortMap)


@dataclasses.dataclass
class Field:
    name: str  # on the wire
    type: Type
    presence: str  # required | optional | nullable
    description: str
    default: object = None
    cpp: str = ""
    enum: Optional[list] = None


@dataclasses.dataclass
class Schema:
    name: str
    noun: str  # file it stands in
    description: str
    fields: list


@dataclasses.dataclass
class Param:
    name: str
    type: Type
    required: bool
    description: str
    default: object = None
    enum: Optional[list] = None
    slashes: bool = False  # path parameters: the value may hold "/"
    keys: Optional[list] = None  # filters: the names that the operation knows
    header: str = ""  # options that travel in a header: its name


@dataclasses.dataclass
class Operation:
    op: str
    noun: str
    method: str
    path: str
    kind: str
    frames: str
    queue: str
    summary: str
    description: str
    since: str
    errors: list
    retry: str
    generate: str
    wire: str
    ids: list  # of Param
    options: list  # of Param
    config: str  # schema name or ""
    config_required: bool
    result: Optional[Type]  # unary: of the response; streams: of finish()
    message: str
    success: int

    @property
    def snake(self):
        return self.op.replace(".", "_")

    @property
    def options_name(self):
        return camel(self.op) + "Options" if self.options else ""


@dataclasses.dataclass
class Spec:
    nouns: list
    schemas: dict
    operations: list


def camel(op):
    return "".join(part.capitalize() for part in re.split(r"[._]", op))


def snake(name):
    """HostConfig -> host_config, OOMKilled -> oom_killed, IPv6Gateway -> ipv6_gateway, NCPU -> ncpu."""
    name = name.replace("IPv4", "Ipv4").replace("IPv6", "Ipv6").replace("CAdvisor", "Cadvisor")
    name = re.sub(r"[.-]", "_", name)
    name = re.sub(r"IDs\b", "Ids", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"__+", "_", name).lower()


def fail(where, what):
    raise SpecError(f"{where}: {what}")


def parse_type(raw, where):
    if not isinstance(raw, dict):
        fail(where, "a schema must be a mapping")
    unknown = set(raw) - SCHEMA_KEYS
    if unknown:
        fail(where, f"keys outside the subset: {sorted(unknown)}")
    if "$ref" in raw:
        return Type("ref", ref=raw["$ref"].rsplit("/", 1)[1])
    kind = raw.get("type")
    if isinstance(kind, list):
        kind = [k for k in kind if k != "null"]
        if len(kind) != 1:
            fail(where, "only [X, \"null\"] may be a list of types")
        kind = kind[0]
    fmt = raw.get("format")
    if kind == "boolean":
        return Type("bool")
    if kind == "number":
        return Type("double")
    if kind == "integer":
        if fmt not in ("int64", "uint64", "duration"):
            fail(where, "an integer needs format int64, uint64 or duration")
        return Type(fmt)
    if kind == "string":
        if fmt not in (None, "date-time"):
            fail(where, f"unknown string format {fmt}")
        return Type("time" if fmt else "string")
    if kind == "array":
        return Type("array", item=parse_type(raw.get("items"), where + "[]"),
                    nullable=bool(raw.get("x-null-when-empty")))
    if kind == "object" and "additionalProperties" in raw:
        return Type("map", item=parse_type(raw["additionalProperties"], where + "{}"))
    fail(where, f"not in the subset: {raw}")


def parse_field(name, raw, required, where):
    here = f"{where}.{name}"
    kind = raw.get("type")
    null = (isinstance(kind, list) and "null" in kind) or raw.get("x-nullable", False)
    if null and name not in required:
        fail(here, "a nullable field must be listed in required")
    presence = "nullable" if null else "required" if name in required else "optional"
    if not raw.get("description") and "$ref" not in raw:
        fail(here, "needs a description")
    return Field(name, parse_type(raw, here), presence, (raw.get("description") or "").strip(), raw.get("default"),
                 raw.get("x-cpp", ""), raw.get("enum"))


def parse_schema(name, raw, noun, all_raw):
    if raw.get("type") != "object" and "allOf" not in raw:
        fail(name, "a named schema must be an object")
    if "additionalProperties" in raw:
        return None  # an alias of a map, resolved where it is used
    unknown = set(raw) - SCHEMA_KEYS
    if unknown:
        fail(name, f"keys outside the subset: {sorted(unknown)}")
    fields = []
    for part in raw.get("allOf", []):
        if set(part) != {"$ref"}:
            fail(name, "allOf holds only $ref")
        base = part["$ref"].rsplit("/", 1)[1]
        if base not in all_raw:
            fail(name, f"unknown schema {base}")
        fields += parse_schema(base, all_raw[base][1], noun, all_raw).fields
    required = raw.get("required", [])
    properties = raw.get("properties", {}) or {}
    for missing in set(required) - set(properties):
        fail(name, f"required names no property: {missing}")
    fields = [f for f in fields if f.name not in properties]
    fields += [parse_field(n, p, required, name) for n, p in properties.items()]
    return Schema(name, noun, (raw.get("description") or "").strip(), fields)


def parse_param(raw, where):
    schema = raw.get("schema")
    if schema is None:
        schema = raw["content"]["application/json"]["schema"]
    where = f"{where}?{raw['name']}"
    if not raw.get("description"):
        fail(where, "needs a description")
    header = raw["name"] if raw["in"] == "header" else ""
    if header and not raw.get("x-option"):
        fail(where, "a header needs x-option, its name in the options document")
    return Param(raw.get("x-option") or raw["name"], parse_type(schema, where), bool(raw.get("required")),
                 raw["description"].strip(), schema.get("default"), schema.get("enum"), bool(raw.get("x-slashes")),
                 raw.get("x-keys") or schema.get("x-keys"), header)


def parse_operation(path, method, raw, noun):
    where = f"{method.upper()} {path}"
    if set(raw) - OPERATION_KEYS:
        fail(where, f"keys outside the subset: {sorted(set(raw) - OPERATION_KEYS)}")
    x = raw.get("x-pouch") or fail(where, "needs x-pouch")
    if set(x) - POUCH_KEYS:
        fail(where, f"unknown x-pouch keys: {sorted(set(x) - POUCH_KEYS)}")
    if x["op"] != raw.get("operationId"):
        fail(where, "operationId and x-pouch.op differ")
    if x["kind"] not in KINDS:
        fail(where, f"unknown kind {x['kind']}")
    streaming = x["kind"] != "unary"
    if streaming and (x.get("frames") not in FRAMES or x.get("queue", "block") not in QUEUES):
        fail(where, "a stream needs frames and queue")
    for code in x.get("errors", []):
        if code not in CODES:
            fail(where, f"unknown error code {code}")
    params = raw.get("parameters", [])
    ids = [parse_param(p, where) for p in params if p["in"] == "path"]
    options = [parse_param(p, where) for p in params if p["in"] in ("query", "header")]
    if [i.name for i in ids] != re.findall(r"{(\w+)}", path):
        fail(where, "path parameters and template differ")
    config, config_required = "", False
    body = raw.get("requestBody")
    if body and "application/json" in body["content"]:
        config = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        config_required = bool(body.get("required"))
    success = min(int(s) for s in raw["responses"] if str(s).startswith(("1", "2")))
    result = None
    if streaming:
        result = Type("ref", ref=x["result"]) if x.get("result") else None
    else:
        content = raw["responses"].get(str(success), {}).get("content", {})
        if "application/json" in content:
            result = parse_type(content["application/json"]["schema"], where)
        elif x.get("result"):
            result = Type("ref", ref=x["result"])
    return Operation(
        op=x["op"], noun=noun, method=method.upper(), path=path, kind=x["kind"], frames=x.get("frames", ""),
        queue=x.get("queue", "block"), summary=raw["summary"].strip(), description=(raw.get("description") or "").strip(),
        since=str(x.get("since", "1.0")), errors=x.get("errors", []), retry=x.get("retry", "never"),
        generate=x.get("generate", "all"), wire=x.get("wire", ""), ids=ids, options=options, config=config,
        config_required=config_required, result=result, message=x.get("message", ""), success=success)


def resolve(kind, spec, aliases, where):
    """Replaces refs to named maps by the maps; checks that every ref has a target."""
    if kind.kind in ("array", "map"):
        kind.item = resolve(kind.item, spec, aliases, where)
    if kind.kind == "ref":
        if kind.ref in aliases:
            return aliases[kind.ref]
        if kind.ref not in spec.schemas:
            fail(where, f"unknown schema {kind.ref}")
    return kind


def load(folder):
    raw_schemas, documents = {}, []
    for file in sorted(pathlib.Path(folder).glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        documents.append((file.stem, document))
        for name, raw in ((document.get("components") or {}).get("schemas") or {}).items():
            if name in raw_schemas:
                fail(file.name, f"schema {name} stands in {raw_schemas[name][0]}.yaml too")
            raw_schemas[name] = (file.stem, raw)
    spec = Spec([noun for noun, _ in documents], {}, [])
    aliases = {}
    for name, (noun, raw) in raw_schemas.items():
        schema = parse_schema(name, raw, noun, raw_schemas)
        if schema is None:
            aliases[name] = parse_type({k: v for k, v in raw.items() if k != "description"}, name)
        else:
            spec.schemas[name] = schema
    for noun, document in documents:
        for path, methods in (document.get("paths") or {}).items():
            for method, raw in methods.items():
                spec.operations.append(parse_operation(path, method, raw, noun))
    for schema in spec.schemas.values():
        for field in schema.fields:
            field.type = resolve(field.type, spec, aliases, f"{schema.name}.{field.name}")
    for operation in spec.operations:
        for param in operation.ids + operation.options:
            param.type = resolve(param.type, spec, aliases, operation.op)
        if operation.result:
            operation.result = resolve(operation.result, spec, aliases, operation.op)
        if operation.config and operation.config not in spec.schemas:
            fail(operation.op, f"unknown schema {operation.config}")
        if operation.message and operation.message not in spec.schemas:
            fail(operation.op, f"unknown schema {operation.message}")
    spec.operations.sort(key=lambda o: o.op)
    names = [o.op for o in spec.operations]
    if len(set(names)) != len(names):
        fail("paths", "an operation is described twice")
    return spec
