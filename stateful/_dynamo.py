"""`torch._dynamo`, as libraries ask it: nothing is being compiled, and functions stay what they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fdl.stateful.compiler import allow_in_graph, assume_constant_result, disable, is_compiling, reset
from fdl.stateful.nn.module import Module

__all__ = [
    "OptimizedModule", "allow_in_graph", "assume_constant_result", "config", "disable", "disallow_in_graph",
    "eval_frame", "external_utils", "graph_break", "is_compiling", "mark_dynamic", "mark_static",
    "mark_static_address", "maybe_mark_dynamic", "optimize", "reset", "utils",
]  # fmt: skip


class OptimizedModule(Module):
    """What `compile` gives of a module in PyTorch; here it gives the module itself, so nothing is one of these."""


class _Unchanged:
    """A block in which elements may be taken at places that are mapped over, as they may everywhere."""

    def __enter__(self) -> None: ...

    def __exit__(self, *error: Any) -> None: ...


config = SimpleNamespace(
    suppress_errors=False, cache_size_limit=8, verbose=False, capture_scalar_outputs=False, allow_rnn=False
)
disallow_in_graph = allow_in_graph
eval_frame = SimpleNamespace(OptimizedModule=OptimizedModule)
_trace_wrapped_higher_order_op = SimpleNamespace(TransformGetItemToIndex=_Unchanged)
external_utils = SimpleNamespace(is_compiling=is_compiling)
_trace_wrapped_higher_order_op = SimpleNamespace(TransformGetItemToIndex=_Unchanged)
utils = SimpleNamespace(is_compile_supported=lambda device_type: True)


def optimize(*args: Any, **kwargs: Any) -> Any:
    """A decorator that changes nothing."""
    return lambda f: f


def graph_break(msg: str = "") -> None:
    """Nothing."""


def mark_dynamic(t: Any, index: Any, **bounds: Any) -> None:
    """Nothing: another size is another program, made when it comes often."""


maybe_mark_dynamic = mark_static = mark_static_address = mark_dynamic
