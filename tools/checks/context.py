"""What every check needs: the repository's files and what kind each is."""

import dataclasses
import functools
import pathlib
import subprocess

REPO = pathlib.Path(__file__).resolve().parents[2]
CXX = (".cc", ".h", ".c")


@dataclasses.dataclass(frozen=True)
class Context:
    build: pathlib.Path
    changed_only: bool = False
    jobs: int = 2

    @functools.cached_property
    def files(self):
        """Paths relative to the repository of all files that git tracks or would track."""
        return tuple(path for path in _git("ls-files", "--cached", "--others", "--exclude-standard")
                     if (REPO / path).is_file())

    @functools.cached_property
    def changed(self):
        """Files that differ from the last commit."""
        return frozenset(_git("diff", "--name-only", "HEAD") + _git("ls-files", "--others", "--exclude-standard"))

    def sources(self, *suffixes, generated=True):
        """Files by suffix; only the changed ones if that was asked for."""
        return [path for path in self.files
                if path.endswith(suffixes)
                and (generated or not is_generated(path))
                and (not self.changed_only or path in self.changed)]


def is_generated(path):
    """Where a language forbids dots in names, `_gen` or a folder named `gen` or `generated` says it."""
    pure = pathlib.PurePath(path)
    return ".gen." in pure.name or pure.stem.endswith("_gen") or bool({"gen", "generated"} & set(pure.parts))


def is_test(path):
    pure = pathlib.PurePath(path)
    return pure.stem.endswith("_test") or pure.stem.startswith("test_") or "testing" in pure.parts or pure.parts[0] == "tests"


def _git(*args):
    done = subprocess.run(["git", "-c", f"safe.directory={REPO}", *args, "-z"], cwd=REPO, capture_output=True, text=True, check=True)
    return sorted(set(filter(None, done.stdout.split("\0"))))
