"""`python -m fdl verify`: every law for every primitive, as a table of which no cell is empty.

The report is data: {"seed", "examples", "rows": {primitive: {law: {"state", "count", "reason"}}}}. It is written after
each row, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from fdl.core.primitive import OWN, REGISTRY, Primitive
from fdl.testing.control import CONTROL
from fdl.testing.laws import LAWS
from fdl.testing.verification import Finding, examined

MARKS = {"holds": "✓", "broken": "✗", "no meaning": "–"}
# what exists between two transforms alone, or has no values; what is said of it instead
ELSEWHERE = {
    "callback": "calls Python; what that does is not fdl's",
    "check": "an effect: it has no results, and raises",
    "custom_linear": "exists between linearize and transpose alone",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A primitive, or a function that stands for one whose params are programs, with its samples."""

    name: str
    subject: Primitive | Callable[..., Any]
    samples: Sequence[Any] | None = None


def rows() -> Iterator[Row]:
    """All of fdl's own primitives, in the registry's order, by their samples and by what stands for them."""
    for name, primitive in REGISTRY.items():
        if primitive not in OWN:
            continue
        stand_ins = [key for key in CONTROL if key.split(" (")[0] == name]
        if primitive.has("samples") and primitive.rule("samples"):
            yield Row(name, primitive)
        for key in stand_ins:
            yield Row(key, *CONTROL[key])


def cell(finding: Finding) -> dict[str, Any]:
    """A finding as data."""
    told = {"state": finding.state, "count": finding.count}
    return told | ({"reason": finding.told() if finding.case else finding.reason} if finding.reason else {})


def report(
    only: Sequence[str] = (),
    laws: Sequence[str] | None = None,
    examples: int = 1,
    seed: int = 0,
    shrink: bool = True,
    path: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The report over all rows, or those that match a pattern of `only`. With a `path`, rows that are there of a run
    with the same numbers are taken as they are, and it is written after each other one; `tell` hears of each.
    """
    begun: dict[str, Any] = {"seed": seed, "examples": examples, "laws": list(laws or LAWS), "rows": {}}
    if path is not None and path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        if {k: v for k, v in known.items() if k != "rows"} == {k: v for k, v in begun.items() if k != "rows"}:
            begun = known
    for row in rows():
        if row.name in begun["rows"] or (only and not any(fnmatch.fnmatch(row.name, p) for p in only)):
            continue
        found = {f.law.name: cell(f) for f in examined(row.subject, row.samples, None, laws, examples, seed, shrink)}
        begun["rows"][row.name] = found
        tell(line(row.name, found))
        if path is not None:
            _write(path, json.dumps(begun, indent=1, ensure_ascii=False))
    return begun


def line(name: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """A row in a line, and what is broken in full."""
    states = [c["state"] for c in found.values()]
    words = [f"{name}: {states.count('holds')} laws hold, {states.count('no meaning')} without meaning"]
    return "\n\n".join([*words, *(c["reason"] for c in found.values() if c["state"] == "broken")])


def markdown(found: Mapping[str, Any]) -> str:
    """The report as a table: how many inputs a law holds over, ✗ where it is broken, a number of a reason where it has
    no meaning.
    """
    reasons: dict[str, int] = {}
    lines = [f"| primitive | {' | '.join(found['laws'])} |", "|---" * (1 + len(found["laws"])) + "|"]
    for name, cells in found["rows"].items():
        marks = []
        for law in found["laws"]:
            c = cells[law]
            number = reasons.setdefault(_short(c["reason"]), len(reasons) + 1) if c["state"] == "no meaning" else 0
            marks.append(f"–<sup>{number}</sup>" if number else "✗" if c["state"] == "broken" else str(c["count"]))
        lines.append(f"| {name} | {' | '.join(marks)} |")
    lines += ["", *(f"{number}. {reason}" for reason, number in reasons.items())]
    return "\n".join([*lines, "", *(f"`{name}`: {why}." for name, why in ELSEWHERE.items())])


def _short(reason: str) -> str:
    """A reason without what differs from primitive to primitive."""
    if reason.startswith("refused: "):
        return "refuses this dtype"
    return "has a reverse rule alone" if "forward mode meets" in reason else reason


def page(found: Mapping[str, Any]) -> str:
    """The report as a page of HTML that needs nothing else: a matrix, whose cells say what they stand for."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fdl.testing", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    states = [c["state"] for cells in found["rows"].values() for c in cells.values()]
    counts = {state: states.count(state) for state in MARKS}
    says = {name: LAWS[name].says for name in found["laws"]}
    return environment.get_template("report.html.j2").render(found=found, counts=counts, marks=MARKS, says=says)


def _write(path: Path, text: str) -> None:
    """A file as a whole, or as it was."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with open(handle, "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def main(arguments: Sequence[str]) -> int:
    """The command line of `python -m fdl verify`; 1 where a law is broken."""
    parser = argparse.ArgumentParser(prog="python -m fdl verify", description="Hold every primitive to every law.")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="primitives, by names or patterns")
    parser.add_argument("--laws", nargs="+", choices=list(LAWS), metavar="LAW", help=f"of {', '.join(LAWS)}")
    parser.add_argument("--examples", type=int, default=1, help="inputs drawn for each sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-shrink", action="store_true", help="show the first input that breaks a law")
    parser.add_argument("--table", action="store_true", help="print the table in Markdown at the end, and nothing else")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report, and go on from the one there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report as a page")
    given = parser.parse_args(arguments)
    tell = (lambda line: None) if given.table else (lambda line: print(line, flush=True))
    found = report(given.only, given.laws, given.examples, given.seed, not given.no_shrink, given.json, tell)
    if not found["rows"]:
        print(f"no primitive matches {' '.join(given.only)}", file=sys.stderr)
        return 2
    if given.table:
        print(markdown(found))
    if given.html:
        _write(given.html, page(found))
    broken = sum(c["state"] == "broken" for cells in found["rows"].values() for c in cells.values())
    if not given.table:
        print(f"{len(found['rows'])} rows, {broken} laws broken")
    return 1 if broken else 0
