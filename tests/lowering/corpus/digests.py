"""Digests of the text of each program, as `digests.json` keeps them: one line a program, by target."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from tests.lowering.corpus import compiler
from tests.lowering.corpus.data import HERE, Record
from tests.lowering.corpus.tokens import digest, words

PATH = HERE / "digests.json"

Digests = dict[str, dict[str, str]]


def rendered_digests(records: Iterable[Record], targets: Sequence[str] = compiler.TARGETS) -> Digests:
    """Digests of records by target, as they are rendered now."""
    library = compiler.library_names()
    return {r.name: {t: digest(compiler.render(r.graph, r.donated, t), library) for t in targets} for r in records}


def header_digests() -> Digests:
    """Digests of what programs include and of the runtime's products, in which no name is renumbered."""
    texts = compiler.header_texts()
    return {f"headers/{name}": {"all": digest(text, frozenset(words(text)))} for name, text in texts.items()}


def read_digests() -> Digests:
    """What is recorded."""
    found: Digests = json.loads(PATH.read_text()) if PATH.exists() else {}
    return found


def write_digests(digests: Digests) -> None:
    """Record them."""
    lines = [f"{json.dumps(name)}: {json.dumps(digests[name])}" for name in sorted(digests)]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")
