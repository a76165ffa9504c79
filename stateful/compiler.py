"""`torch.compiler`: says what is so. Nothing has to be asked to compile: operations are recorded as they run, and what
keeps coming back runs as a program.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fdl.stateful._settings import compile as compile

__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "config", "cudagraph_mark_step_begin", "disable",
    "get_default_backend", "is_compiling", "is_dynamo_compiling", "is_exporting", "list_backends", "reset",
    "set_default_backend", "set_stance", "substitute_in_graph",
]  # fmt: skip

config = SimpleNamespace()


def _marked(fn: Any = None, *args: Any, **kwargs: Any) -> Any:
    """A function as it is, whether the decorator has arguments or not."""
    return fn if callable(fn) else _marked


disable = allow_in_graph = assume_constant_result = nested_compile_region = _marked


def substitute_in_graph(original_fn: Any, *args: Any, **kwargs: Any) -> Any:
    """A decorator that changes nothing: there is no other function to put in a program's place."""
    return _marked


def is_compiling() -> bool:
    """No: what runs, runs as it is written."""
    return False


def is_dynamo_compiling() -> bool:
    """No."""
    return False


def is_exporting() -> bool:
    """No."""
    return False


def reset() -> None:
    """Nothing: no compiled function is kept."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The one there is."""
    return ["fdl"]


def get_default_backend() -> str:
    """The one there is."""
    return "fdl"


def set_default_backend(backend: Any) -> None:
    """Nothing: there is one."""


def cudagraph_mark_step_begin() -> None:
    """Nothing: there are no CUDA graphs."""


class set_stance:
    """A block, or a call, that changes nothing."""

    def __init__(self, stance: str = "default", **settings: Any) -> None:
        self.stance = stance

    def __call__(self, fn: Any) -> Any:
        return fn

    def __enter__(self) -> None: ...

    def __exit__(self, *error: Any) -> None: ...
