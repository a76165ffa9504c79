"""How tensors print: as PyTorch prints them.

Integers are padded to one width; floats have four decimals, or a dot alone where all are whole, or an exponent where
they span far; more than 1,000 elements are summarised by three at each end; lines have 80 characters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fdl.extend import Leaf, Tracer
from fdl.stateful.core.dtypes import of
from fdl.stateful.core.meta import is_meta
from fdl.stateful.core.methods import method
from fdl.stateful.core.tensor import Tensor

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
OPTIONS = {**_PROFILES["default"], "sci_mode": None}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed: digits after the point, from how many elements on they are summarised, by how many at
    each end, characters in a line, and whether numbers have exponents (None: as their range asks for).

    `profile` sets all but the last: "default", "short" or "full".

    >>> import fdl.stateful as torch
    >>> torch.set_printoptions(precision=2); print(torch.tensor([0.12345])); torch.set_printoptions(profile="default")
    tensor([0.12])
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    OPTIONS.update(_PROFILES.get(profile or "", {}))
    OPTIONS.update({name: value for name, value in given.items() if value is not None}, sci_mode=sci_mode)


class _Formatter:
    """One style for all elements."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self.floating = values.dtype.kind == "f"
        self.whole = self.scientific = False
        if self.floating:
            finite = np.abs(values[np.isfinite(values) & (values != 0)]).astype(np.float64)
            if finite.size:
                high, low = finite.max(), finite.min()
                self.whole = bool((finite == np.ceil(finite)).all())
                self.scientific = bool(high / low > 1000.0 or high > 1e8 or (not self.whole and low < 1e-4))
            elif values.size:
                self.whole = bool(np.isfinite(values).all()) or False
        if self.floating and OPTIONS["sci_mode"] is not None:
            self.scientific = OPTIONS["sci_mode"]
        shown = values[np.isfinite(values) & (values != 0)] if self.floating else values
        self.width = max([len(self.plain(x)) for x in shown.reshape(-1).tolist()], default=1)

    def plain(self, x: Any) -> str:
        if not self.floating:
            return str(x)
        if not math.isfinite(x):
            return str(x)
        if self.scientific:
            return f"{x:.{OPTIONS['precision']}e}"
        return f"{x:.0f}." if self.whole else f"{x:.{OPTIONS['precision']}f}"

    def __call__(self, x: Any) -> str:
        return self.plain(x).rjust(self.width)


class _ComplexFormatter:
    """One style for all real parts, and one for all imaginary ones."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self.styles = _Formatter(values.real), _Formatter(np.abs(values.imag))
        self.width = self.styles[0].width + self.styles[1].width + 2

    def __call__(self, z: Any) -> str:
        re, im = self.styles
        return f"{re(z.real)}{'-' if math.copysign(1, z.imag) < 0 else '+'}{im(abs(z.imag)).strip()}j"


def _vector(values: list[Any], indent: int, summarize: bool, f: Any) -> str:
    per_line = max(1, (OPTIONS["linewidth"] - indent) // (f.width + 2))
    shown = [f(x) for x in values]
    if summarize and len(values) > 2 * OPTIONS["edgeitems"]:
        shown = [*map(f, values[: OPTIONS["edgeitems"]]), " ...", *map(f, values[-OPTIONS["edgeitems"] :])]
    lines = [shown[i : i + per_line] for i in range(0, len(shown), per_line)] or [[]]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def _nested(values: np.ndarray[Any, Any], indent: int, summarize: bool, f: Any) -> str:
    if values.ndim == 0:
        return str(f(values.item()))
    if values.ndim == 1:
        return _vector(values.tolist(), indent, summarize, f)
    if summarize and len(values) > 2 * OPTIONS["edgeitems"]:
        parts = (
            [_nested(v, indent + 1, summarize, f) for v in values[: OPTIONS["edgeitems"]]]
            + ["..."]
            + [_nested(v, indent + 1, summarize, f) for v in values[-OPTIONS["edgeitems"] :]]
        )
    else:
        parts = [_nested(v, indent + 1, summarize, f) for v in values]
    return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _edges(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements that a summary shows."""
    for axis, n in enumerate(values.shape):
        if n > 2 * OPTIONS["edgeitems"]:
            values = np.concatenate(
                [
                    np.take(values, range(OPTIONS["edgeitems"]), axis),
                    np.take(values, range(n - OPTIONS["edgeitems"], n), axis),
                ],
                axis,
            )
    return values


def _history(node: Any) -> list[str]:
    return [] if node is None else ["requires_grad=True"] if type(node) is Leaf else [f"grad_fn=<{node.name()}>"]


def body_of(values: np.ndarray[Any, Any], indent: int) -> str:
    """The numbers of an array in brackets, lines after the first one indented."""
    wide = values.astype(np.float32) if values.dtype.itemsize < 4 and of(values.dtype).is_floating_point else values
    if values.size == 0:
        return "[]"
    summarize = values.size > OPTIONS["threshold"]
    formatter = (_ComplexFormatter if wide.dtype.kind == "c" else _Formatter)(_edges(wide) if summarize else wide)
    return _nested(wide, indent, summarize, formatter)


def with_notes(text: str, notes: list[str], indent: int, newline: bool = False) -> str:
    """A text that began with an open bracket, its notes after commas, each on a line of its own where it does not fit
    (the first one in any case with `newline`), and the bracket closed.
    """
    for k, note in enumerate(notes):
        last = len(text) - text.rfind("\n") - 1
        breaks = last + len(note) + 3 > OPTIONS["linewidth"] or (newline and k == 0)
        text += (",\n" + " " * indent if breaks else ", ") + note
    return text + ")"


def text_of(t: Tensor, prefix: str = "tensor(", body: str | None = None) -> str:
    """`repr` of a tensor, with another text in the place of its numbers where `body` has one."""
    array = t._value()
    if is_meta(array):
        notes = [] if t.dtype == of("float32") else [f"dtype={t.dtype}"]
        return (
            ", ".join([f"{prefix}...", "device='meta'", f"size={tuple(t.shape)}", *notes, *_history(t._node())]) + ")"
        )
    if isinstance(array, Tracer) and array.concrete() is None:
        return f"{prefix}{array!r})"
    values = np.asarray(array._numpy())
    notes = [f"size={tuple(values.shape)}"] if values.size == 0 and values.ndim != 1 else []
    defaults = ("float32", "bool") if values.size == 0 else ("float32", "int64", "bool", "complex64")
    if values.dtype.name not in defaults:
        notes.append(f"dtype={of(values.dtype)}")
    notes += _history(t._node())
    text = prefix + (body_of(values, len(prefix)) if body is None else body)
    return with_notes(text, notes, len(prefix))


@method("__repr__", "__str__")
def _repr(self: Tensor) -> str:
    return text_of(self)
