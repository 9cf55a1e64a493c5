"""The checks find what they are for, and leave alone what is fine."""

import sys

import pytest
from stages import REPO

sys.path.insert(0, str(REPO / "tools"))

import check_includes  # noqa: E402
from checks import manners, sizes  # noqa: E402


@pytest.mark.parametrize(
    ("path", "name", "wrong"),
    [
        ("core/base/x.cc", "core/base/status.h", False),
        ("core/base/x.cc", "core/api/json.h", True),
        ("core/store/x.cc", "core/base/status.h", False),
        ("core/store/x.cc", "sqlite3.h", False),
        ("core/events/x.cc", "sqlite3.h", True),
        ("core/spec/x.cc", "json/json.h", True),
        ("core/container/x.cc", "core/api/json.h", False),
        ("core/remote/x.cc", "core/sys/file.h", True),
        ("daemon/http/x.cc", "boost/beast.hpp", False),
        ("daemon/bridge/x.cc", "boost/beast.hpp", True),
        ("cli/x.cc", "core/api/json.h", True),
        ("cli/x.cc", "vector", False),
    ],
)
def test_include_rule(path, name, wrong):
    assert bool(check_includes.problem_of(path, name)) == wrong


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("  umask(0);", True),
        ("  ::chdir(path);", True),
        ("  ::waitpid(-1, &status, 0);", True),
        ("  ::waitpid(pid, &status, 0);", False),
        ('  std::cout << "x";', True),
        ("  ::umask(0);  // manners: in the child, after fork", False),
        ("  // umask(0) would be wrong", False),
        ('  return invalid("umask(0)");', False),
        ("  engine.exit(1);", False),
        ("  secure_getenv(name);", False),
        ('  const char* home = getenv("HOME");', True),
        ("  std::_Exit(1);", False),
    ],
)
def test_manners(line, wrong):
    assert bool(list(manners._look(line + "\n"))) == wrong  # pylint: disable=protected-access


def test_function_sizes():
    text = "def f():\n" + "    pass\n" * 70
    assert [size for _, _, size in sizes._functions("a.py", text)] == [71]  # pylint: disable=protected-access
    text = "func (x *T) F() {\n" + "\tg()\n" * 5 + "}\n"
    assert list(sizes._functions("a.go", text)) == [("F", 1, 7)]  # pylint: disable=protected-access
