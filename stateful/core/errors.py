"""Errors of the stateful face: PyTorch's classes and words, then the user's line and a way out.

Each class is an `FdlError`, which finds the line, and the builtin that PyTorch raises. What to write instead stands in
`hints.py`, by what the message says: one mistake has one way out, whichever function finds it. A `hint` that is given
comes first.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from fdl.extend import DtypeError, FdlError, IndexBoundsError, Location, is_own
from fdl.stateful.core.hints import way_out


class _Taught(FdlError):
    """What all of them do: `why` and `hint` as for every error of fdl, and a hint for known words where
    none is given.
    """

    def __init__(self, what: str, *, why: str = "", hint: str = "", at: Location | None = None) -> None:
        super().__init__(what, why=why, hint=hint or way_out(what), at=at)


class TensorError(_Taught, RuntimeError):
    """A tensor operation that cannot be: what PyTorch raises as RuntimeError.

    >>> import fdl.stateful as torch
    >>> torch.ones(6).view(4, 2)  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.TensorError: shape '[4, 2]' is invalid for input of size 6...
    >>> torch.ones(6).view(3, -1).shape  # right
    torch.Size([3, 2])
    """


class ArgumentError(_Taught, ValueError):
    """An argument has a value that it cannot have.

    >>> import fdl.stateful as torch
    >>> torch.nn.Dropout(50)  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.ArgumentError: dropout probability has to be between 0 and 1, but got 50...
    >>> torch.nn.Dropout(0.5)  # right
    Dropout(p=0.5, inplace=False)
    """


class OperandError(_Taught, TypeError):
    """An argument is not of the type that it must be.

    >>> import fdl.stateful as torch
    >>> torch.sin([1.0])  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.NoTensorError: sin(): argument 'input' (position 1) must be Tensor, not list...
    >>> torch.sin(torch.tensor([0.0])).tolist()  # right
    [0.0]
    """


class PlaceError(_Taught, IndexError):
    """A dimension or an element that is not there.

    >>> import fdl.stateful as torch
    >>> torch.ones(2, 3).sum(dim=2)  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.PlaceError: Dimension out of range (expected to be in range of [-2, 1], but got 2)...
    >>> torch.ones(2, 3).sum(dim=-1).tolist()  # right
    [3.0, 3.0]
    """


class UnsupportedError(_Taught, NotImplementedError):
    """What is not there for such an input, or not there at all.

    >>> import fdl.stateful as torch
    >>> torch.nn.functional.pad(torch.ones(1, 3), (1, 1), mode="mirror")  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.UnsupportedError: Unrecognised padding mode mirror...
    >>> torch.nn.functional.pad(torch.ones(1, 3), (1, 1), mode="reflect").shape  # right
    torch.Size([1, 5])
    """


class MissingError(_Taught, AttributeError):
    """An attribute that is not there, or not yet.

    >>> import fdl.stateful as torch
    >>> torch.nn.Linear(2, 2).weights  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.MissingError: 'Linear' object has no attribute 'weights'...
    >>> torch.nn.Linear(2, 2).weight.shape  # right
    torch.Size([2, 2])
    """


class ExpectationError(_Taught, AssertionError):
    """What PyTorch asserts of arguments.

    >>> import fdl.stateful as torch
    >>> torch.nn.MultiheadAttention(5, 2)  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.ExpectationError: embed_dim must be divisible by num_heads...
    >>> torch.nn.MultiheadAttention(6, 2).head_dim  # right
    3
    """


class NoTensorError(OperandError, MissingError):
    """Something else where a tensor belongs: TypeError, and AttributeError too, which PyTorch raises where it asks a
    list for its size.

    >>> import fdl.stateful as torch
    >>> torch.nn.functional.mse_loss(torch.ones(2), [1.0, 1.0])  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.NoTensorError: mse_loss(): argument 'target' (position 2) must be Tensor, not list...
    >>> torch.nn.functional.mse_loss(torch.ones(2), torch.tensor([1.0, 1.0])).item()  # right
    0.0
    """


class NoDeviceError(TensorError, ExpectationError):
    """A device that tensors cannot lie on here: RuntimeError, and AssertionError as of a PyTorch without CUDA.

    >>> import fdl.stateful as torch
    >>> torch.ones(2).to("cuda")  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.errors.NoDeviceError: Tensors on cuda are not available...
    >>> torch.ones(2).to("cuda" if torch.cuda.is_available() else "cpu").device  # right
    device(type='cpu')
    """


def translated(error: FdlError) -> Exception:
    """The error that PyTorch's users expect: RuntimeError, but for bounds of indices; with a way out in their words."""
    if isinstance(error, (_Taught, IndexBoundsError)):
        return error
    text, hint = str(error).replace("jnp.", "torch.").replace("x.astype(...)", "x.to(dtype)"), way_out(str(error))
    if hint and "\n  try: " not in text:
        place = text.rfind("\n  at:  ") if error.at is not None else len(text)
        text = f"{text[:place]}\n  try: {hint}{text[place:]}"
    kind = UnsupportedError if isinstance(error, DtypeError) and "is not supported" in text else TensorError
    found = kind.__new__(kind)
    found.args, found.at = (text,), error.at
    return found


def no_tensor(x: Any, function: str, argument: str = "", position: int = 0) -> NoTensorError:
    """What is raised where a tensor is expected and something else is given; the argument's name is that of the
    outermost function of fdl which it was given to.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_own(frame.f_code):
        names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
        for i, name in enumerate(n for n in names if n != "self"):
            if x is not None and frame.f_locals.get(name) is x:
                argument, position = name, i + 1
        frame = frame.f_back
    kind = type(x).__name__ if type(x).__module__ == "builtins" else f"{type(x).__module__}.{type(x).__name__}"
    return NoTensorError(
        f"{function}(): argument '{argument or 'input'}' (position {position or 1}) must be Tensor, not {kind}"
    )
