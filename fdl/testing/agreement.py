"""Whole programs: compiled at once, they have the bits of their operations compiled one by one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fdl.backends.dispatch import can_compile
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.pytree import tree_leaves
from fdl.testing.laws import Broken, NoMeaning
from fdl.testing.tolerances import Data
from fdl.transforms import jit
from fdl.transforms.lazy import set_eager


def verify_program(f: Callable[..., Any], args: Sequence[Data]) -> None:
    """Compile a function of arrays whole, run it line by line with each operation compiled, and compare the bits.

    NaN is equal to NaN. Raises `Broken`, an AssertionError, where they differ.

    >>> import fdl.numpy as jnp
    >>> verify_program(lambda x: jnp.sum(jnp.exp(x) * 2 - x), [np.ones((2, 3), "float32")])
    """
    if not can_compile():
        raise NoMeaning("there is no C compiler on this machine")
    arrays = [from_numpy(a) for a in args]
    with _compiled():
        whole = [np.asarray(x) for x in tree_leaves(jit(f)(*arrays))]
    with _compiled(line_by_line=True):
        steps = [np.asarray(x) for x in tree_leaves(f(*arrays))]
    for i, (a, b) in enumerate(zip(whole, steps, strict=True)):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            raise Broken(f"result {i}", f"whole: {a.dtype}{a.shape}\nsteps: {b.dtype}{b.shape}")
        unequal = ~((a == b) & (np.signbit(a.real) == np.signbit(b.real))) if a.dtype.kind in "fc" else a != b
        unequal &= ~((a != a) & (b != b))
        if unequal.any():
            place = tuple(int(k) for k in np.argwhere(unequal)[0])
            raise Broken(
                f"result {i} at {place}: the program compiled whole and its operations compiled one by one differ",
                f"whole: {a[place]!r}\nsteps: {b[place]!r}, {int(unequal.sum())} of {a.size} elements",
            )


@contextlib.contextmanager
def _compiled(line_by_line: bool = False) -> Iterator[None]:
    tier, eager = config.tier, config.eager
    config.tier = "compiled"
    set_eager(line_by_line)
    try:
        yield
    finally:
        config.tier = tier
        set_eager(eager)
