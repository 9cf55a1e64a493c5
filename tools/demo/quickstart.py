"""The steps of tools/quickstart. Each prints what it does and the command, so that it can be typed again."""

import os
import pathlib
import shlex
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/lib"))

from pouchtest.cgroups import hugetlb_cgroup  # noqa: E402
from pouchtest.embed import end_keepers  # noqa: E402
from pouchtest.images import busybox_image_tar  # noqa: E402
from pouchtest.paths import private_dir  # noqa: E402
from pouchtest.pouchd import Pouchd  # noqa: E402

BUILD = REPO / "build"
POUCH = BUILD / "bin/pouch"


def say(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def shell_word(word, names):
    """A word as one would type it: paths from the checkout, a long address by its variable."""
    return names.get(word) or shlex.quote(word.replace(f"{REPO}/", ""))


def show(*command, env=None, cwd=REPO, expect=None, quiet=False):
    """Prints a command, runs it, prints its output; ends the quickstart if it fails or does not say `expect`."""
    words = [os.fspath(word) for word in command]
    names = {os.environ["POUCH_HOST"]: '"$POUCH_HOST"'} if "POUCH_HOST" in os.environ else {}
    shown = " ".join(shell_word(word, names) for word in words)
    if cwd != REPO:
        shown = f"(cd {cwd.relative_to(REPO)} && {shown})"
    print(f"  $ {shown}", flush=True)
    start = time.monotonic()
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if not quiet or done.returncode != 0:
        print("".join(f"    {line}\n" for line in done.stdout.splitlines()), end="")
    print(f"    ({time.monotonic() - start:.2f} s)", flush=True)
    if done.returncode != 0 or (expect and expect not in done.stdout):
        wanted = f", and did not print {expect!r}" if expect and expect not in done.stdout else ""
        sys.exit(f"quickstart: {shown}: exited with {done.returncode}{wanted}")


def build():
    say("Building (the first time takes some minutes)")
    # A build folder that is configured already, for development say, stays as it is.
    if not (BUILD / "CMakeCache.txt").exists():
        show("cmake", "--preset", "release", "-DPOUCH_TESTS=OFF", quiet=True)
    show("cmake", "--build", "build", quiet=True)


def examples(folder):
    """The same program in each language, as {language: (command without the URI, folder, environment)}."""
    library = {"LD_LIBRARY_PATH": f"{BUILD}/lib"}
    # An installed libpouch needs none of these variables.
    pkg_config = {**library, "PKG_CONFIG_PATH": f"{BUILD}/pkgconfig", "GOPROXY": "off"}
    jars = f"{BUILD}/java/pouch.jar:/usr/share/java/gson.jar"
    return {
        "C": ([folder / "hello"], REPO, library),
        "Python": (["/usr/bin/python3", "examples/python/hello.py"], REPO, {**library, "PYTHONPATH": f"{BUILD}/python"}),
        "Go": (["go", "run", "."], REPO / "examples/go/hello", pkg_config),
        "Java": (["java", "-cp", jars, f"-Djava.library.path={BUILD}/lib", "examples/java/Hello.java"], REPO, {}),
    }


def compile_c(folder):
    say("Compiling the C example: one header, one library")
    show("cc", "-std=c99", "-Icapi/include", "examples/c/hello.c", f"-L{BUILD}/lib", "-lpouch", "-o", folder / "hello")


def use_engine(uri):
    """What names no engine takes this one, from now on."""
    os.environ["POUCH_HOST"] = uri
    print(f"  $ export POUCH_HOST={shlex.quote(uri)}", flush=True)


def run_everywhere(folder):
    """The command line and each language against the engine in use."""
    show(POUCH, "run", "--rm", "--network", "none", "busybox", "echo", "hello from the command line",
         expect="hello from the command line")
    for language, (command, where, env) in examples(folder).items():
        print(f"  {language}:")
        show(*command, os.environ["POUCH_HOST"], env=env, cwd=where, expect="hello from a container")


def in_process(folder, image):
    say("In-process: the engine is a library in the program that calls it; a new root starts a containerd for itself")
    use_engine(f"embed://{folder}/root?run={folder}/run")
    try:
        show(POUCH, "load", "-i", image)
        show(POUCH, "images")
        run_everywhere(folder)
        show(POUCH, "rmi", "busybox")
    finally:
        # They would end by themselves, seconds later.
        end_keepers(folder / "root")


def through_daemon(folder, image):
    say("Through pouchd: the same programs, another address")
    with Pouchd(folder / "pouchd", "private") as pouchd:
        print(f"  $ {' '.join(map(str, pouchd.command())).replace(f'{REPO}/', '')} &")
        use_engine(pouchd.uri)
        show(POUCH, "load", "-i", image)
        run_everywhere(folder)
        say("And the docker command line against pouchd")
        show("docker", "-H", pouchd.uri, "run", "--rm", "--network", "none", "busybox", "echo", "hello from docker",
             expect="hello from docker")


def main():
    build()
    with private_dir("pouch-quickstart-") as folder, hugetlb_cgroup():
        say("Making an image from busybox-static, so that no network is needed")
        image = busybox_image_tar(folder / "busybox.tar")
        print(f"    {image}: {image.stat().st_size >> 10} KiB")
        compile_c(folder)
        in_process(folder, image)
        through_daemon(folder, image)
    say("Done. All that was started is gone again; build/bin/pouch and build/bin/pouchd are yours to try.")


if __name__ == "__main__":
    main()
