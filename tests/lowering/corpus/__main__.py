"""python -m tests.lowering.corpus [pattern ...] [--update] [--against REVISION [--diffs N] [--time]]

Renders the corpus for each C target and names the programs whose tokens are not those of digests.json; `--update`
writes that file. `--against` renders with another revision of the library as well and shows what differs: whether
object code does, whether both give the same bits on the same inputs, with `--time` how long both take, and with
`--diffs` how the first N texts differ. Programs run as the target of this machine, or of FDL_TARGET; object code is
compared for all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import fnmatch
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT
from tests.lowering.corpus.data import Record, raw_corpus
from tests.lowering.corpus.digests import header_digests, read_digests, rendered_digests, write_digests
from tests.lowering.corpus.revisions import Side, object_code, same_bits, times, unpack
from tests.lowering.corpus.tokens import plain, tokens

Pair = tuple[str, str, str]  # a target, the text before, the text now


def chosen(patterns: Sequence[str]) -> list[str]:
    """Names of programs by patterns, all without one."""
    return [n for n in raw_corpus() if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)]


def compare_with_digests(patterns: Sequence[str], update: bool) -> int:
    """Say what is not as recorded; 1 where there is something."""
    raw, recorded = raw_corpus(), read_digests()
    found = header_digests() if not patterns else {}
    found |= rendered_digests(Record.of(name, raw[name]) for name in chosen(patterns))
    changed = sorted(name for name in found if found[name] != recorded.get(name))
    gone = [] if patterns else sorted(recorded.keys() - found.keys())
    for name in changed:
        which = ", ".join(t for t, d in found[name].items() if d != recorded.get(name, {}).get(t))
        print(f"{name}: {'other tokens' if name in recorded else 'is new'} ({which})")
    for name in gone:
        print(f"{name}: is gone")
    if update:
        write_digests(recorded | found if patterns else found)
        print(f"{len(changed)} of {len(found)} are recorded anew")
        return 0
    print(f"{len(found) - len(changed)} of {len(found)} are as recorded")
    return int(bool(changed or gone))


def compare_with_revision(revision: str, patterns: Sequence[str], diffs: int, timed: bool) -> int:
    """Say which programs another revision writes otherwise; 1 where bits differ or one cannot be rendered or run."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        unpack(revision, Path(folder))
        sides = [Side(Path(folder)), Side(ROOT)]
        for side in sides:
            stack.callback(side.close)
        headers = [side.header_digests for side in sides]
        for name in sorted(headers[0].keys() | headers[1].keys()):
            if headers[0].get(name) != headers[1].get(name):
                print(f"{name}: other tokens")
        names, changed, bad = chosen(patterns), 0, 0
        for name in names:
            pairs = _texts(sides, name)
            verdict = _verdict(sides, name, pairs)
            if not verdict:
                continue
            if timed and verdict.startswith(("same bits", "bits differ")):
                verdict += f"; {times(*sides, name)}"
            changed, bad = changed + 1, bad + (not verdict.startswith("same"))
            print(f"{name}: {verdict}", flush=True)
            if changed <= diffs:
                _show_difference(sides, pairs, revision)
    print(f"{changed} of {len(names)} programs have other tokens than in {revision}; {bad} are to be looked at")
    return int(bool(bad))


def _texts(sides: Sequence[Side], name: str) -> list[Pair]:
    """What both revisions write for each target; for one that the other revision lacks, what that writes first."""
    for side in sides:
        side.send("render", name)
    before, now = (side.answer() for side in sides)
    return [(target, before.get(target, next(iter(before.values()))), text) for target, text in now.items()]


def _different(sides: Sequence[Side], pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs with other tokens, or with other tokens in what they include."""
    before, now = sides
    return [
        (target, a, b)
        for target, a, b in pairs
        if tokens(a, before.library) != tokens(b, now.library) or before.included(a) != now.included(b)
    ]


def _verdict(sides: Sequence[Side], name: str, pairs: Sequence[Pair]) -> str:
    """Nothing for equal tokens; else in what programs differ."""
    different = _different(sides, pairs)
    if not different:
        return ""
    failed = [text for _, *texts in different for text in texts if text.startswith("cannot be rendered")]
    if failed:
        return failed[0]
    if all(object_code(a, sides[0].headers, t) == object_code(b, sides[1].headers, t) for t, a, b in different):
        return "same object code"
    return same_bits(*sides, name)


def _show_difference(sides: Sequence[Side], pairs: Sequence[Pair], revision: str) -> None:
    target, *pair = _different(sides, pairs)[0]
    before, now = (plain(text, side.library) for text, side in zip(pair, sides, strict=True))
    for line in difflib.unified_diff(before, now, f"{revision} {target}", f"now {target}", n=2, lineterm=""):
        print(line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("patterns", nargs="*", help="names of programs, such as 'random/*'")
    parser.add_argument("--update", action="store_true", help="record the digests of today")
    parser.add_argument("--against", metavar="REVISION", help="compare with another revision")
    parser.add_argument("--diffs", type=int, default=3, help="of how many programs the difference is shown")
    parser.add_argument("--time", action="store_true", help="measure programs that changed, in turn")
    options = parser.parse_args()
    if options.against:
        return compare_with_revision(options.against, options.patterns, options.diffs, options.time)
    return compare_with_digests(options.patterns, options.update)


if __name__ == "__main__":
    sys.exit(main())
