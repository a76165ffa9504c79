"""When two C texts are the same program: equal tokens, but for comments, white space and the program's own names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<space>(?:[ \t\r\f\v]|\\\n)+)|(?P<line>\n)
    |(?P<word>[A-Za-z_]\w*)|(?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<sign>->|\+\+|--|<<=|>>=|<<|>>|[<>=!+\-*/%&|^]=|&&|\|\||\#\#|.)""",
    re.S | re.X,
)
_KEYWORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while size_t include
    define undef ifdef ifndef endif elif pragma defined""".split()
)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
_GLOBAL = re.compile(r"^[A-Za-z_][^;(){}=\[#\n]*?\b(\w+) ?[(\[=;]", re.M)  # what is defined begins at the left edge


def words(text: str) -> set[str]:
    """All identifiers of a C text."""
    return {m[0] for m in _TOKEN.finditer(text) if m.lastgroup == "word"}


def _parts(source: str, library: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(kind, text) of each token, own names renumbered in the order of their first appearance: those of functions over
    the whole text, others in each function anew. Names of `library`, keywords, macros, members of structures and
    functions that are not defined here stay.
    """
    defined = dict.fromkeys(_GLOBAL.findall(_COMMENT.sub("", source)))
    shared = {name: f"g{i}" for i, name in enumerate(defined)}
    local: dict[str, str] = {}
    before = ""
    for m in _TOKEN.finditer(source):
        kind, text = str(m.lastgroup), m[0]
        if text == "}" and source.startswith("\n}", m.start() - 1):
            local = {}
        if kind == "word" and not _stays(text, before, source.startswith("(", m.end()), library, shared):
            text = shared.get(text) or local.setdefault(text, f"v{len(local)}")
        if kind not in ("comment", "space", "line"):
            before = text
        yield kind, text


def _stays(text: str, before: str, called: bool, library: frozenset[str], shared: Mapping[str, str]) -> bool:
    """Whether a word is no name of the program's own."""
    fixed = text in library or text in _KEYWORDS or text.isupper() or text.startswith("__")
    return fixed or (called and text not in shared) or before in ("->", ".")


def tokens(source: str, library: frozenset[str]) -> list[str]:
    """The tokens of a text; the end of a line is one where it ends a directive of the preprocessor.

    >>> tokens("static int f(int x) { return x + g(1); } // twice", frozenset())
    ['static', 'int', 'g0', '(', 'int', 'v0', ')', '{', 'return', 'v0', '+', 'g', '(', '1', ')', ';', '}']
    >>> tokens("f( y )", frozenset({"y"})) == tokens("f(y) /* the same */", frozenset({"y"}))
    True
    """
    found, directive = [], False
    for kind, text in _parts(source, library):
        if kind == "line":
            if directive:
                found.append(text)
            directive = False
        elif kind not in ("comment", "space"):
            directive = directive or text == "#"
            found.append(text)
    return found


def digest(source: str, library: frozenset[str]) -> str:
    """16 hexadecimal digits, equal for equal tokens."""
    return hashlib.sha256("\0".join(tokens(source, library)).encode()).hexdigest()[:16]


def plain(source: str, library: frozenset[str]) -> list[str]:
    """Lines of the text without comments and with renumbered names, to be compared by a person."""
    text = "".join(" " if kind == "comment" else text for kind, text in _parts(source, library))
    return [line.rstrip() for line in text.splitlines() if line.strip()]
