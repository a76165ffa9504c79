"""The table of `docs/libraries.md`, written from what a run found."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.conftest import ROOT
from tests.ecosystem.libraries import LIBRARIES, Library

PAGE = ROOT / "docs" / "libraries.md"
HEADS = {
    "torch": "In torch's place (`python -m fdl.stateful script.py`)",
    "jax": "In jax's place (`python -m fdl script.py`)",
}


def row(library: Library, uses: dict[str, dict[str, str | None]]) -> str:
    """One line: library, version, uses, how many are as recorded, what is missing."""
    right = sum(not u["wrong"] for u in uses.values())
    missing = "; ".join(f"{name}: {_short(u['wrong'])}" for name, u in uses.items() if u["wrong"])
    told = "; ".join(u["use"] or "" for u in uses.values())
    return f"| {library.package} | {library.version()} | {told} | {right} of {len(uses)} | {missing or '-'} |"


def _short(text: str | None) -> str:
    """The first sentence of an error, fit for a table."""
    line = re.sub(r"\s+", " ", (text or "").strip().split("\n")[0]).replace("|", "\\|")
    line = re.sub(r" \(/[^)]*\)?| object at 0x\w+| \(unknown location\)", "", line)  # where this machine keeps things
    return line if len(line) <= 160 else line[:157] + "..."


def write(folder: Path) -> None:
    """Write the page from the results in `folder`, of all libraries that have one."""
    found = {}
    for library in LIBRARIES:
        path = folder / f"{library.stem}.json"
        if path.exists():
            found[library] = json.loads(path.read_text())["uses"]
    lines = [
        "# Libraries that run on fdl",
        "",
        "Measured: `python -m tests.ecosystem` makes an environment for each library, of the version below,",
        "in which neither torch nor jax is installed, runs small but real uses of it with fdl in their place, and",
        "compares the numbers with those of PyTorch 2.13 and JAX 0.10.2, which are recorded. A use that gives anything",
        "else counts as one that fails. The scripts are in `tests/ecosystem/uses/`.",
    ]
    for face, head in HEADS.items():
        rows = [row(library, uses) for library, uses in found.items() if library.face == face]
        lines += [
            "",
            f"## {head}",
            "",
            "| library | version | uses | as recorded | what is missing |",
            "|---|---|---|---|---|",
            *rows,
        ]
    PAGE.write_text("\n".join(lines) + "\n")
