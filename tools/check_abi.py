#!/usr/bin/python3
"""Checks the C ABI: exported symbols, libraries needed, headers in every C and C++, types against the baseline.

usage: tools/check_abi.py --library build/lib/libpouch.so.1 [--update]

--update writes capi/abi/baseline.abi anew. That is right after something was added, and never when abidiff
tells of a change to what exists.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

REPO = pathlib.Path(__file__).resolve().parents[1]
INCLUDE = REPO / "capi/include"
BASELINE = REPO / "capi/abi/baseline.abi"
VERSION_SCRIPT = REPO / "capi/pouch.gen.map"

# Shared libraries that libpouch.so may need, by name without version. Everything else is a mistake.
ALLOWED_NEEDED = {
    "libc", "libm", "libgcc_s", "libstdc++", "ld-linux-x86-64", "ld-linux-aarch64",
    "libcrypto", "libjsoncpp", "libsqlite3",
    "libprotobuf-lite", "libnghttp2",  # containerd
    "libarchive", "libisal", "libzstd", "libz",  # layers
    "libmnl", "libnftnl", "libnl-3", "libnl-route-3",  # networks
}
STANDARDS = (("cc", "c", "c99"), ("cc", "c", "c11"), ("cxx", "c++", "c++17"))
# abidiff's exit code is a set of bits.
ABIDIFF_ERROR, ABIDIFF_INCOMPATIBLE = 3, 8


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def wanted_symbols():
    return set(re.findall(r"^\s+(pouch_\w+);", VERSION_SCRIPT.read_text(), re.M))


def check_symbols(library):
    exported = set()
    for line in run("nm", "--dynamic", "--defined-only", library)[1].splitlines():
        name = line.split()[-1]
        if " A " not in line:  # the nodes of the version script
            exported.add(name.split("@")[0])
    wanted = wanted_symbols()
    declared = set()
    for header in INCLUDE.rglob("*.h"):
        declared |= set(re.findall(r"^POUCH_API [^;{]*?\b(pouch_\w+)\(", header.read_text(), re.M | re.S))
    yield from (f"{name} is in the version script and not exported" for name in sorted(wanted - exported))
    yield from (f"{name} is exported and not in the version script" for name in sorted(exported - wanted))
    yield from (f"{name} is declared in a header and not in the version script" for name in sorted(declared - wanted))
    yield from (f"{name} is in the version script and in no header" for name in sorted(wanted - declared))


def check_needed(library):
    text = run("readelf", "--dynamic", "--wide", library)[1]
    for name in re.findall(r"\(NEEDED\).*\[([^\]]+)\]", text):
        stem = name.split(".so")[0]
        sanitizer = re.fullmatch(r"lib[atl]?u?b?san", stem)
        if stem not in ALLOWED_NEEDED and not sanitizer:
            yield f"needs {name}, which is not on the list in tools/check_abi.py"
    if "SONAME" not in text or "[libpouch.so.1]" not in text:
        yield "its soname is not libpouch.so.1"
    if "NODELETE" not in text:
        yield "it is not linked with -z nodelete"


def check_headers(compilers):
    headers = sorted(path.relative_to(INCLUDE) for path in INCLUDE.rglob("*.h"))
    for compiler, language, standard in STANDARDS:
        for header in headers:
            source = f'#include "{header}"\n#include "{header}"\nint pouch_header_test;\n'
            done = subprocess.run(
                [compilers[compiler], f"-x{language}", f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror",
                 "-fsyntax-only", f"-I{INCLUDE}", "-"],
                input=source, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                yield f"{header} is not {standard}: {done.stderr.splitlines()[0]}"
        for header in headers:
            if re.search(r"\(\s*\*\s*\w*\s*\)\s*\(", (INCLUDE / header).read_text()):
                yield f"{header} has a function pointer"


def write_abi(library, path):
    return run("abidw", "--headers-dir", INCLUDE, "--drop-private-types", "--exported-interfaces-only",
               "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-parameter-names",
               "--no-elf-needed", "--out-file", path, library)


def check_baseline(library):
    with tempfile.TemporaryDirectory() as folder:
        now = pathlib.Path(folder) / "now.abi"
        code, text = write_abi(library, now)
        if code != 0:
            yield f"abidw: {text.strip()}"
            return
        code, text = run("abidiff", "--no-added-syms", BASELINE, now)
    if code & ABIDIFF_ERROR or code & ABIDIFF_INCOMPATIBLE or text.strip():
        yield f"differs from {BASELINE.relative_to(REPO)}:\n{text.strip()}"


def main():
    parser = argparse.ArgumentParser(description="Checks the C ABI of libpouch.")
    parser.add_argument("--library", type=pathlib.Path, required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--cxx", default="c++")
    parser.add_argument("--update", action="store_true", help="write the baseline anew")
    arguments = parser.parse_args()
    library = arguments.library.resolve()
    if arguments.update:
        BASELINE.parent.mkdir(exist_ok=True)
        code, text = write_abi(library, BASELINE)
        sys.exit(text if code else 0)
    checks = {
        "symbols": check_symbols(library),
        "needed": check_needed(library),
        "headers": check_headers({"cc": arguments.cc, "cxx": arguments.cxx}),
        "baseline": check_baseline(library),
    }
    failed = False
    for name, problems in checks.items():
        found = list(problems)
        failed = failed or bool(found)
        print(f"{'FAIL' if found else 'ok'} {name}", *found, sep="\n  ", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
