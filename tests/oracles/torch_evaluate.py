"""What a call of `torch_instances.py` gives in PyTorch or in fdl.stateful, as a list of ndarrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from tests.oracles.evaluate import Results, agree, flat, is_float, mapped, ndarrays
from tests.oracles.instances import Call
from tests.oracles.torch_instances import Dtype

# NumPy's names of functions that are right to a few units in the last place.
SAME = {
    "asin": "arcsin",
    "atan": "arctan",
    "asinh": "arcsinh",
    "atanh": "arctanh",
    "atan2": "arctan2",
    "div": "divide",
    "cat": "concatenate",
    "clamp": "clip",
    "permute": "transpose",
    "sigmoid": "logistic",
}


def function(library: Any, name: str) -> Any:
    head, rest = name.split(".")
    modules = {
        "torch": library,
        "F": library.nn.functional,
        "linalg": library.linalg,
        "special": library.special,
        "Tensor": library.Tensor,
    }
    return getattr(modules[head], rest)


def results(library: Any, call: Call, number: int) -> list[Any]:
    """What a call gives. In every second one, operands lie transposed in memory; what writes in place writes into a
    view, and what holds the view is a result too.
    """

    def tensor(x: Any) -> Any:
        lies = x.T if number % 2 and x.ndim > 1 else x
        x = library.tensor(
            np.ascontiguousarray(lies.astype(np.float32) if lies.dtype.name == "bfloat16" else lies).reshape(
                lies.shape
            ),
            dtype=getattr(library, lies.dtype.name),
        )
        return x.permute(*reversed(range(x.ndim))) if lies.ndim > 1 and number % 2 else x

    leaves: list[Any] = []

    def operand(x: Any) -> Any:
        if isinstance(x, Dtype):
            return getattr(library, x)
        if isinstance(x, list):
            return [operand(y) for y in x]
        if not isinstance(x, np.ndarray):
            return x
        made = tensor(x)
        if call.slope and is_float(x):
            leaves.append(made.requires_grad_())
            return made.clone()
        return made

    args = [operand(x) for x in call.args]
    kwargs = {k: operand(x) for k, x in call.kwargs.items()}
    name = call.name.split(".")[1]
    if name == "index_put":
        args[1] = tuple(args[1])
    held = []
    if name.endswith("_") and not name.endswith("__"):
        held = [library.stack([args[0], args[0]])]
        args[0] = held[0][1]
    f = function(library, call.name)
    outs = flat(f(*args[0], **kwargs) if name in ("broadcast_tensors", "block_diag") else f(*args, **kwargs)) + held
    if not leaves:
        return outs
    outs = [
        out for out in outs if isinstance(out, library.Tensor) and out.dtype.is_floating_point and out.requires_grad
    ]
    if not outs:
        return [library.zeros_like(x) for x in leaves]
    total: Any = 0.0
    for out in outs:
        weights = np.cos(np.arange(out.numel(), dtype=np.float64) + 0.3).reshape(tuple(out.shape)).astype(np.float32)
        total = total + (out * library.tensor(weights).to(out.dtype)).sum()
    return [
        library.zeros_like(x) if g is None else g
        for x, g in zip(leaves, library.autograd.grad(total, leaves, allow_unused=True), strict=True)
    ]


def ndarray(library: Any, x: Any) -> np.ndarray[Any, Any]:
    if not isinstance(x, library.Tensor):
        return np.asarray(x)
    x = x.detach()
    return x.float().numpy().astype(ml_dtypes.bfloat16) if x.dtype == library.bfloat16 else x.numpy()


def answers(library: Any, call: Call, number: int) -> Results | Exception:
    """What the library gives, or the error that it raises."""
    try:
        return [ndarray(library, x) for x in results(library, call, number)]
    except Exception as error:
        return error


def widened(call: Call) -> Call:
    wide = lambda x: x.astype(np.float64) if is_float(x) else x
    return replace(
        call, args=tuple(mapped(wide, x) for x in call.args), kwargs={k: wide(x) for k, x in call.kwargs.items()}
    )


def differ(call: Call, got: Results, want: Results) -> str:
    head, name = call.name.split(".")
    name = name.rstrip("_") if head == "Tensor" else name
    if call.slope:  # which is as good as the narrowest of its operands
        narrow = min(
            (x.dtype for x in ndarrays(call) if is_float(x)),
            key=lambda t: (t.itemsize, t.name != "bfloat16"),
            default=None,
        )
        if narrow is not None and [x.dtype for x in got] == [x.dtype for x in want]:
            got, want = ([x.astype(narrow) for x in xs] for xs in (got, want))
    return agree(replace(call, name=f"{head}.{SAME.get(name, name)}"), got, want)
