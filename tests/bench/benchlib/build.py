"""The optimised build that is measured."""

import os
import pathlib
import subprocess

from pouchtest import REPO


def folder(targets):
    """$POUCH_BUILD_DIR as it is, else build-release, with these targets brought up to date."""
    if "POUCH_BUILD_DIR" in os.environ:
        return pathlib.Path(os.environ["POUCH_BUILD_DIR"]).resolve()
    build = REPO / "build-release"
    subprocess.run(["cmake", "-S", REPO, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DPOUCH_TESTS=OFF"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build, "--target", *targets], check=True)
    return build
