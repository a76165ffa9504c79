"""The C sources of the runtime library, taken apart as far as tests need: functions, what they call, why they leave
calls to Python, what is exported.

They are laid out by clang-format: a function begins in the first column, and is one line or ends with a brace there.
"""

import re
from typing import NamedTuple

from tests.conftest import ROOT

FILES = sorted(path for folder in ("backends", "transforms", "stateful") for path in (ROOT / folder).rglob("*.[ch]"))


def code_of(path):
    """The text without comments and blank lines."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
    return "\n".join(line for line in text.splitlines() if line.strip())


class Function(NamedTuple):
    """A function: its file from the root, its lines of code, names that it calls, and reasons that it names."""

    source: str
    lines: int
    calls: frozenset
    reasons: frozenset


def functions():
    """All functions by name, which is one of the whole library: it is one translation unit."""
    found = {}
    for path in FILES:
        code = code_of(path)
        for m in re.finditer(r"^[A-Za-z][\w *]*?(\w+)\([^;{}]*\) \{", code, flags=re.M):
            rest = code[m.end() :]
            body = rest[: rest.index("\n}" if rest.startswith("\n") else "\n")]
            source = path.relative_to(ROOT).as_posix()
            assert m[1] not in found or found[m[1]].source == source, m[1]  # the same for another machine
            found[m[1]] = Function(
                source,
                (m[0] + body).count("\n") + 2,
                frozenset(re.findall(r"\b(\w+)\(", body)),
                frozenset(re.findall(r"\b(?:DECLINE|BECAUSE)\((\w+)", body)),
            )
    return found


def exported():
    """The C functions that Python calls, by the name that it knows."""
    return {
        name: function
        for path in FILES
        for name, function in re.findall(r'\{"(\w+)", \(void \*\)(\w+), METH', code_of(path))
    }


def reasons_of(name, known):
    """Why a function, or one that it calls, leaves a call to Python."""
    seen, todo = set(), [name]
    while todo:
        name = todo.pop()
        if name in known and name not in seen:
            seen.add(name)
            todo += known[name].calls
    return frozenset().union(*(known[name].reasons for name in seen))
