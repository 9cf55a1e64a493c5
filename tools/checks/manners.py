"""The library is a guest in other people's processes: calls that change the process, print, or are not thread-safe.

A line that may make such a call (in a child after fork, say) says why in a comment `// manners: …` on it or above.
"""

import re

from .context import CXX, REPO, is_generated, is_test

_FOLDERS = ("core/", "capi/")
_BANNED = {
    "signal|sigaction": "changes the host's signal handling",
    "sigprocmask": "is undefined in a process with threads; use pthread_sigmask",
    "chdir|fchdir": "changes the host's working directory",
    "umask": "changes the host's umask",
    "setenv|putenv|unsetenv|clearenv": "changes the host's environment, and is not thread-safe",
    "getenv": "trusts the environment of a set-uid host; use secure_getenv",
    "setlocale": "changes the host's locale",
    "localtime|gmtime|ctime|asctime": "is not thread-safe; use the _r form",
    "strtok|rand|srand|getpwnam|getpwuid|getgrnam|gethostbyname": "is not thread-safe",
    "system|popen": "runs a shell",
    "exit|_exit|abort|quick_exit": "ends the host",
    "printf|puts|putchar|perror": "prints into the host's output",
    "daemon": "forks the host",
}
_CALL = re.compile(r"(?<![\w.>:])(?:std::|::)?(" + "|".join(_BANNED) + r")\s*\(")
_STREAM = re.compile(r"\bstd::(cout|cerr|clog)\b")
_ANY_CHILD = re.compile(r"\bwait(pid|4|id)\s*\(\s*(-1|P_ALL)\b|(?<!\w)::wait\s*\(")
_DECLARATION = re.compile(
    r"^\s*(?!return|else|case)[A-Za-z_][\w:<>,&*\[\] ]*[\s&*]\w+\s*\([^()]*\)\s*(const|override|noexcept|= 0|\{|;)"
)
# Names that methods of ours have too: only `::name(` and `std::name(` are meant.
_AMBIGUOUS = ("signal", "system", "exit", "daemon", "puts")
_ALLOWED = "manners:"


def run(context):
    problems = []
    for path in context.sources(*CXX):
        if path.startswith(_FOLDERS) and not is_test(path) and not is_generated(path):
            problems += [f"{path}:{number}: {text}" for number, text in _look((REPO / path).read_text())]
    return problems


def _look(text):
    above = ""
    text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment.group(0).count("\n"), text, flags=re.DOTALL)
    for number, line in enumerate(text.splitlines(), 1):
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]
        if _ALLOWED not in line and _ALLOWED not in above:
            reason = _problem(code)
            if reason:
                yield number, reason
        above = line


def _problem(code):
    if _STREAM.search(code):
        return "prints into the host's output"
    if _ANY_CHILD.search(code):
        return "waits for any child, also the host's"
    for match in _CALL.finditer(code):
        # A method of ours may have such a name; what declares or defines one is no call.
        if "::" not in match.group(0) and _DECLARATION.match(code):
            continue
        name = match.group(1)
        if "::" not in match.group(0) and name in _AMBIGUOUS:
            continue
        return f"{name}() " + next(why for names, why in _BANNED.items() if name in names.split("|"))
    return ""
