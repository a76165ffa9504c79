"""Running the calls of `cases` with a package's modules, and results as plain data."""

import json
import math
from pathlib import Path

import numpy as np

from tests.faces.names.data import ARRAYS

RECORDED = Path(__file__).parent / "recorded"


def split(case):
    """(names by which a gradient is taken, expression) of a case."""
    names, colon, text = case.partition(": ")
    return (names.split(), text) if colon and all(n in ARRAYS for n in names.split()) else ([], case)


def run(text, modules, arrays):
    """The value of an expression over arrays."""
    return eval(text, {**modules, "nan": math.nan, "inf": math.inf, **arrays})


def leaves(tree):
    """Arrays and numbers of nested tuples, lists and dicts."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, (tuple, list)) else [tree]


def weighted_sum(tree, jnp):
    """A number that depends on each floating-point element in a way of its own."""
    total = 0.0
    for leaf in leaves(tree):
        if str(leaf.dtype).startswith("float"):
            weights = np.cos(np.arange(leaf.size)).reshape(leaf.shape).astype(leaf.dtype)
            total = total + jnp.sum(leaf * weights)
    return total


def plain(leaf):
    """A leaf as [dtype, shape, numbers]."""
    array = np.asarray(leaf)
    kind = float if array.dtype.kind not in "biu" else bool if array.dtype.kind == "b" else int
    return [str(array.dtype), list(array.shape), [kind(v) for v in array.reshape(-1)]]


def recorded(family):
    """{case: {"values": leaves, "gradients": leaves}} of a family."""
    return json.loads((RECORDED / f"{family}.json").read_text())
