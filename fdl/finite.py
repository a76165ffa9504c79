"""`debug_nans` and `debug_infs`: an error at the first operation that gives a NaN or an infinity.

While they hold, each operation runs when its line is reached, those of functions under `jit` and of derivatives too,
and what it gives is looked at. Loops and branches run as one operation each, whose own ones are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fdl.core.blocks import Block, block
from fdl.core.changes import change
from fdl.core.config import config, locally, setting
from fdl.core.errors import FdlError, StateError
from fdl.core.graph import Graph, Literal, bind_graph
from fdl.core.primitive import Primitive
from fdl.core.source import user_location
from fdl.core.trace import EvalTrace, Trace, base_operand, base_trace, current_trace, running_trace, set_trace


class NonFiniteError(FdlError, FloatingPointError):
    """An operation gave a NaN or an infinity under `debug_nans` or `debug_infs`.

    >>> import fdl, fdl.numpy as jnp
    >>> with debug_nans():
    ...     jnp.log(-1.0)  # wrong
    Traceback (most recent call last):
    ...
    fdl.finite.NonFiniteError: invalid value (nan) encountered in log...
    >>> with debug_nans():
    ...     print(jnp.log(1.0))  # right
    0.0
    """


class WatchTrace(EvalTrace):
    """Runs each operation at once, and looks at its results."""

    def __init__(self, nans: bool, infs: bool) -> None:
        super().__init__("", None)
        self.nans, self.infs = nans, infs

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        with set_trace(self):
            if primitive.has("called") and (graph := primitive.rule("called")(**params)) is not None:
                return bind_graph(graph, operands)
            if "rule" in params:  # a function with a derivative of its own, which is not recorded yet
                results: Sequence[Any] = params["rule"].fun(*operands)
                return results
        outs = super().process(primitive, operands, params)
        for out in outs:
            found = self._wrong(out)
            if found:
                raise _error(found, primitive, operands, self._within(primitive, operands, params))
        return outs

    def _wrong(self, x: Any) -> str:
        values = np.asarray(base_operand(x))
        if values.dtype.kind not in "fcV" or not values.size:
            return ""
        values = values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
        if self.nans and bool(np.isnan(values).any()):
            return "nan"
        return "inf" if self.infs and bool(np.isinf(values).any()) else ""

    def _within(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> str:
        """The operation in a branch or a loop body that it was."""
        graphs = [params[name] for name in ("graph", "body") if isinstance(params.get(name), Graph)]
        graphs += params.get("branches", ())
        names = {e.primitive.name for g in graphs for e in g.equations}
        return f"one of its operations: {', '.join(sorted(names))}" if names else ""


def _error(found: str, primitive: Primitive, operands: Sequence[Any], within: str) -> NonFiniteError:
    values = [x.value if isinstance(x, Literal) else np.asarray(x) for x in operands]
    shown = ", ".join(np.array2string(np.asarray(v), threshold=8, precision=6) for v in values[:4])
    return NonFiniteError(
        f"invalid value ({found}) encountered in {primitive.name}",
        why=within or f"its operands were {shown}",
        hint="jnp.where on the operand, not around the result, keeps a function and its derivative finite",
        at=user_location(),
    )


def watched() -> tuple[bool, bool]:
    """Whether NaN and infinities are errors here."""
    trace = running_trace()
    return (trace.nans, trace.infs) if isinstance(trace, WatchTrace) else (False, False)


def _trace(nans: bool, infs: bool, what: str) -> Trace:
    if not isinstance(running_trace(), WatchTrace | None):
        raise StateError(
            f"{what} inside of {current_trace().describe()}",
            why="it says how the operations are run that come out of transforms",
            hint="the block around the call of the transformed function",
        )
    return WatchTrace(nans, infs) if nans or infs else base_trace()


@block
def _block(nans: bool, infs: bool, what: str) -> Iterator[None]:
    with set_trace(_trace(nans, infs, what)), locally(jit=setting("jit") and not (nans or infs)):
        yield


_HELD: list[tuple[Block[None], bool]] = []  # what `hold` entered, and whether functions were compiled before


def hold(nans: bool, infs: bool) -> None:
    """Let NaN or infinities be errors in this context from now on, or no longer."""
    if _HELD:
        entered, jit = _HELD.pop()
        entered.__exit__(None, None, None)
        change(setattr, config, "jit", jit)
    if nans or infs:
        entered = set_trace(_trace(nans, infs, "config.update"))
        entered.__enter__()
        _HELD.append((entered, config.jit))
        change(setattr, config, "jit", False)


def debug_nans(enable: bool = True) -> Block[None]:
    """In a `with` statement: an operation that gives a NaN raises NonFiniteError, a FloatingPointError, with its name,
    its line and its operands, forward and backward.

    >>> import fdl, fdl.numpy as jnp
    >>> with debug_nans():
    ...     try:
    ...         fdl.grad(lambda x: jnp.sqrt(x) * 0.0)(0.0)
    ...     except FloatingPointError as error:
    ...         print(str(error).splitlines()[0])
    invalid value (nan) encountered in div
    """
    return _block(bool(enable), watched()[1], "debug_nans")


def debug_infs(enable: bool = True) -> Block[None]:
    """In a `with` statement: an operation that gives an infinity raises NonFiniteError, as `debug_nans` does for NaN.

    >>> import fdl.numpy as jnp
    >>> with debug_infs():
    ...     try:
    ...         jnp.exp(1000.0)
    ...     except FloatingPointError as error:
    ...         print(str(error).splitlines()[0])
    invalid value (inf) encountered in exp
    """
    return _block(watched()[0], bool(enable), "debug_infs")


__all__ = ["NonFiniteError", "debug_infs", "debug_nans"]
