"""Builds the native module against an installed libpouch (pkg-config finds it)."""

import pathlib
import subprocess

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup


def pkg_config(flag):
    return subprocess.run(["pkg-config", flag, "pouch"], check=True, capture_output=True, text=True).stdout.split()


def version():
    file = pathlib.Path(__file__).resolve().parents[2] / "VERSION"
    return file.read_text().strip() if file.exists() else "0.0.0"


setup(
    version=version(),
    ext_modules=[Pybind11Extension("pouch._native", ["src/native.cc"], cxx_std=17,
                                   extra_compile_args=pkg_config("--cflags"), extra_link_args=pkg_config("--libs"))],
    cmdclass={"build_ext": build_ext},
)
