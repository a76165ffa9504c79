"""`torch.fx`: importable, and truthful: functions are not traced into graphs of this kind.

`wrap` marks functions that a trace would not look into, so it is whole. `fdl.make_graph` records functions of arrays.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fdl.stateful.core.errors import UnsupportedError
from fdl.stateful.nn.module import Module

__all__ = ["Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer", "Transformer", "symbolic_trace", "wrap"]


class _NotTraced:
    """NotImplementedError: no graph of this kind is made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(
            f"torch.fx.{type(self).__name__}: functions are not traced into graphs of this kind",
            hint="fdl.make_graph(f)(x), which records operations on arrays",
        )


class Node(_NotTraced):
    """A step of a graph. NotImplementedError: there is none."""


class Graph(_NotTraced):
    """The steps of a function. NotImplementedError: there is none."""


class Proxy(_NotTraced):
    """What stands for a value while a function is traced. NotImplementedError: none is."""


class Tracer(_NotTraced):
    """What traces a function. NotImplementedError: none is."""


class Interpreter(_NotTraced):
    """What runs a graph step by step. NotImplementedError: there is none."""


class Transformer(Interpreter):
    """What makes another graph of one. NotImplementedError: there is none."""


class GraphModule(Module):
    """A module whose forward is a graph. NotImplementedError: there is none; no module is one of these."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError("torch.fx.GraphModule: functions are not traced into graphs of this kind")


def get_proxy_mode() -> None:
    """None: nobody traces."""


experimental = SimpleNamespace(proxy_tensor=SimpleNamespace(get_proxy_mode=get_proxy_mode))


def symbolic_trace(root: Any, concrete_args: Any = None) -> Any:
    """NotImplementedError: functions are not traced into graphs of this kind."""
    raise UnsupportedError(
        "torch.fx.symbolic_trace: functions are not traced into graphs of this kind",
        hint="fdl.make_graph(f)(x), which records operations on arrays",
    )


def wrap(fn_or_name: Any) -> Any:
    """The function itself: a trace would not look into it."""
    return fn_or_name
