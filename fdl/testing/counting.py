"""How often something was traced, recorded or compiled in a block."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from fdl.backends import c
from fdl.transforms.lazy import flush, programs

P = ParamSpec("P")
R = TypeVar("R")


@contextlib.contextmanager
def assert_max_traces(limit: int) -> Iterator[Callable[[Callable[P, R]], Callable[P, R]]]:
    """Wrap functions with what this yields; AssertionError if they run, and so are traced, more than `limit` times in
    the block.

    >>> import fdl
    >>> with assert_max_traces(1) as counted:
    ...     f = fdl.jit(counted(lambda x: x + 1))
    ...     _ = f(1.0), f(2.0)
    """
    count = 0

    def counted(f: Callable[P, R]) -> Callable[P, R]:
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            nonlocal count
            count += 1
            return f(*args, **kwargs)

        return wrapped

    yield counted
    assert count <= limit, f"traced {count} times, at most {limit} allowed"


@contextlib.contextmanager
def count_compilations() -> Iterator[Callable[[], int]]:
    """Yields a function that says how often the C compiler was started in the block.

    >>> with count_compilations() as started:
    ...     pass
    >>> started()
    0
    """
    before = c.compilations
    yield lambda: c.compilations - before


@contextlib.contextmanager
def count_native_calls() -> Iterator[Callable[[], int]]:
    """Yields a function that says how many compiled programs the recorder has run in the block; what was recorded
    before runs first.

    Calls of jitted functions are not counted.

    >>> with count_native_calls() as ran:
    ...     pass
    >>> ran()
    0
    """
    flush()
    before = programs.calls
    yield lambda: programs.calls - before


@contextlib.contextmanager
def count_programs() -> Iterator[Callable[[], int]]:
    """Yields a function that says how many programs, different by structure, were recorded and run for the first time
    in the block.

    >>> import fdl.numpy as jnp
    >>> with count_programs() as seen:
    ...     for step in range(3):
    ...         _ = float(jnp.float32(step) * 0.25 - step)
    >>> seen() <= 1
    True
    """
    flush()
    before = programs.sighted
    yield lambda: programs.sighted - before
