"""C++: the request documents as tables, by which daemon/bridge normalises what Moby's clients send."""

from emit_cpp import HEADER, ordered, refs

KINDS = {"bool": "kBool", "int64": "kInteger", "uint64": "kInteger", "duration": "kInteger", "double": "kNumber",
         "string": "kString", "time": "kString", "array": "kList", "map": "kMap", "ref": "kObject"}


def label(kind):
    """A name for the constant of a type: ListString, MapPortBinding."""
    if kind.kind in ("array", "map"):
        return {"array": "List", "map": "Map"}[kind.kind] + label(kind.item)
    return kind.ref if kind.kind == "ref" else kind.kind.capitalize()


def reachable(spec):
    found, todo = {}, [op.config for op in spec.operations if op.config]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = spec.schemas[name]
            todo += [ref for field in found[name].fields for ref in refs(field.type)]
    return ordered(sorted(found.values(), key=lambda s: s.name))


class Writer:
    def __init__(self):
        self.text = ""
        self.types = set()

    def type(self, kind):
        """Writes the constant of a type once, after those it needs."""
        name = label(kind)
        if name in self.types:
            return
        self.types.add(name)
        item = schema = "nullptr"
        if kind.kind in ("array", "map"):
            self.type(kind.item)
            item = f"&kType{label(kind.item)}"
        if kind.kind == "ref":
            schema = f"&kSchema{kind.ref}"
        self.text += f"constexpr TypeInfo kType{name} = {{TypeKind::{KINDS[kind.kind]}, {item}, {schema}}};\n"

    def schema(self, schema):
        fields = "{}"
        if schema.fields:
            for field in schema.fields:
                self.type(field.type)
            fields = f"kFields{schema.name}"
            self.text += f"\nconstexpr std::array {fields} = {{\n"
            for field in schema.fields:
                self.text += f"    FieldInfo{{\"{field.name}\", &kType{label(field.type)}}},\n"
            self.text += "};\n"
        self.text += f"constexpr SchemaInfo kSchema{schema.name} = {{\"{schema.name}\", {fields}}};\n"


def emit(spec):
    writer = Writer()
    for schema in reachable(spec):
        writer.schema(schema)
    configs = [op for op in spec.operations if op.config]
    text = HEADER + "#include <array>\n#include <utility>\n\n#include \"daemon/bridge/schema.h\"\n\n"
    text += "namespace pouch::bridge {\nnamespace {\n\n" + writer.text
    text += "\nconstexpr std::array<std::pair<std::string_view, const SchemaInfo*>, %d> kConfigs = {{\n" % len(configs)
    for op in configs:
        text += f"    {{\"{op.op}\", &kSchema{op.config}}},\n"
    text += "}};\n\n}  // namespace\n\nconst SchemaInfo* config_schema(std::string_view operation) {\n"
    text += "  for (const auto& [name, schema] : kConfigs) {\n    if (name == operation) return schema;\n  }\n"
    text += "  return nullptr;\n}\n\n}  // namespace pouch::bridge\n"
    return {"daemon/bridge/schema.gen.cc": text}
