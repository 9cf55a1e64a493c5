"""Where the build under test is."""

import os
import pathlib

from image import REPO


def build_dir():
    """$POUCH_BUILD_DIR, else build/."""
    return pathlib.Path(os.environ.get("POUCH_BUILD_DIR", REPO / "build")).resolve()
