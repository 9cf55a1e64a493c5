"""The API description keeps to its subset, and what is written from it is complete."""

import pathlib
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tools/specgen"))

import emit_docs  # noqa: E402
import model  # noqa: E402


def test_the_description_passes_its_linter():
    done = subprocess.run([sys.executable, REPO / "tests/spec/check_spec.py"], cwd=REPO, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_names_everything():
    spec = model.load(REPO / "capi/spec")
    page = emit_docs.emit(spec)["docs/reference.gen.md"]
    for op in spec.operations:
        part = page.split(f"\n### {op.op}\n")[1].split("\n### ")[0]
        for word in [f"`{op.method} {op.path}`", f"`pouch_{op.snake}`", *(f"`{p.name}`" for p in op.options), *op.errors]:
            assert word in part, f"{op.op} lacks {word}"
    for schema in spec.schemas.values():
        part = page.split(f"\n### {schema.name}\n")[1].split("\n### ")[0]
        assert all(f"| `{field.name}` |" in part for field in schema.fields), schema.name
