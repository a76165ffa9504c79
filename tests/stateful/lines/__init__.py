"""Lines that PyTorch's users write, one file a family, and what PyTorch says of each.

A line is an expression on the names of `cases.SETUP`. `FAMILY.txt` holds the lines, `FAMILY.json` what PyTorch 2.13
says: a value, a text, or the classes of the error. `python -m tests.stateful.lines [FAMILY]` writes the latter.
"""

import importlib
import json
import sys
import warnings
from pathlib import Path

from tests.stateful.cases import plain, scope

HERE = Path(__file__).parent
FAMILIES = sorted(p.stem for p in HERE.glob("*.txt"))


# modules that PyTorch does not import by itself
IMPORTED = ("nn.attention.flex_attention", "nn.utils.prune")


def lines_of(family):
    """The lines of a family; a comment begins with #."""
    lines = [line.strip() for line in (HERE / f"{family}.txt").read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def recorded(family):
    """What PyTorch said of each line."""
    return json.loads((HERE / f"{family}.json").read_text())


def fact(library, line):
    """The value of a line as JSON holds it, or the built-in classes of the error that it raises."""
    library.manual_seed(0)
    for name in IMPORTED:
        importlib.import_module(f"{library.__name__}.{name}")
    try:
        return plain(library, eval(line, scope(library)))
    except Exception as error:
        return {"raises": [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]}


def record(library, families):
    """Write what a library says."""
    warnings.simplefilter("ignore")
    for family in families:
        facts = {line: json.loads(json.dumps(fact(library, line))) for line in lines_of(family)}
        rows = ",\n".join(f"{json.dumps(line)}: {json.dumps(rounded(found))}" for line, found in facts.items())
        (HERE / f"{family}.json").write_text("{\n" + rows + "\n}\n")
        print(family, len(facts), *[f"\n  {line}: {f['raises']}" for line, f in facts.items() if _raises(f)])


def _raises(found):
    return isinstance(found, dict) and "raises" in found


def rounded(x):
    """Floats to nine digits, which is all that float32 holds."""
    if isinstance(x, float):
        return float(f"{x:.9g}")
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    return [rounded(y) for y in x] if isinstance(x, list) else x


def requested(arguments):
    """The families that the command line names; all without a name."""
    return arguments[1:] or FAMILIES


def main(library):
    """Record the families of the command line."""
    record(library, requested(sys.argv))
