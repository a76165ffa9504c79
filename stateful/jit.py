"""`torch.jit`: functions and modules as they are. What comes back often enough runs compiled anyhow, so `script` and
`trace` have nothing to add; files of TorchScript are neither written nor read.
"""

from __future__ import annotations

import builtins
import typing
from collections.abc import Callable
from types import UnionType
from typing import Any, Final, TypeVar

from fdl.stateful.core.errors import TensorError, UnsupportedError
from fdl.stateful.futures import Future
from fdl.stateful.nn.module import Module

__all__ = [
    "Attribute", "CompilationUnit", "Error", "Final", "Future", "RecursiveScriptModule", "ScriptFunction",
    "ScriptModule", "TopLevelTracedModule", "TracerWarning", "annotate", "export", "fork", "freeze", "ignore",
    "interface", "is_scripting", "is_tracing", "isinstance", "load", "onednn_fusion_enabled",
    "optimize_for_inference", "optimized_execution", "save", "script", "script_if_tracing", "script_method",
    "set_fusion_strategy", "trace", "trace_module", "unused", "wait",
]  # fmt: skip

T = TypeVar("T")


class Error(RuntimeError):
    """What compiling TorchScript would raise; nobody compiles it here."""


class TracerWarning(Warning):
    """What tracing would warn of; nobody traces here."""

    @staticmethod
    def ignore_lib_warnings() -> None:
        """Nothing: there are none."""


class ScriptModule(Module):
    """A module; `script` gives modules as they are, so none that it gave is one of these."""


class RecursiveScriptModule(ScriptModule):
    """A module, by another of its names."""


class TopLevelTracedModule(ScriptModule):
    """A module, by another of its names."""


class ScriptFunction:
    """The class of compiled functions in PyTorch; `script` gives functions as they are, so there is none."""


class CompilationUnit:
    """NotImplementedError: source text of TorchScript is not compiled."""

    def __init__(self, lang: str | None = None) -> None:
        raise UnsupportedError("torch.jit.CompilationUnit: source text of TorchScript is not compiled")


def script(obj: T, *args: Any, **kwargs: Any) -> T:
    """The function, class or module itself.

    >>> import fdl.stateful as torch
    >>> torch.jit.script(abs) is abs
    True
    """
    return obj


def trace(func: T, example_inputs: Any = None, *args: Any, **kwargs: Any) -> T:
    """The function or module itself."""
    return func


def trace_module(mod: T, inputs: Any, *args: Any, **kwargs: Any) -> T:
    """The module itself."""
    return mod


def _marked(fn: Any = None, *args: Any, **kwargs: Any) -> Any:
    """A function as it is, whether the decorator has arguments or not."""
    return fn if callable(fn) else _marked


ignore = unused = export = interface = script_method = script_if_tracing = _marked
_overload = _overload_method = _marked


def is_scripting() -> bool:
    """No."""
    return False


def is_tracing() -> bool:
    """No."""
    return False


def annotate(the_type: Any, the_value: T) -> T:
    """The value itself."""
    return the_value


def Attribute(value: T, type: Any) -> T:
    """The value itself."""
    return value


def freeze(mod: T, *args: Any, **kwargs: Any) -> T:
    """The module itself."""
    return mod


def optimize_for_inference(mod: T, *args: Any, **kwargs: Any) -> T:
    """The module itself."""
    return mod


def optimized_execution(should_optimize: bool) -> Any:
    """A block that changes nothing."""
    return _Unchanged()


class _Unchanged:
    def __enter__(self) -> None: ...

    def __exit__(self, *error: Any) -> None: ...


def set_fusion_strategy(strategy: Any) -> list[Any]:
    """Nothing; there was no strategy before."""
    return []


def onednn_fusion_enabled() -> bool:
    """No."""
    return False


def isinstance(obj: object, target_type: Any) -> bool:
    """Whether a value is of a type, elements of lists, tuples and dicts included. RuntimeError for containers of what
    is not said.

    >>> isinstance([1, 2], list[int]), isinstance({"a": 1}, dict[str, str])
    (True, False)
    """
    origin, args = typing.get_origin(target_type), typing.get_args(target_type)
    if builtins.isinstance(target_type, (tuple, list)) or origin in (typing.Union, UnionType):
        return any(isinstance(obj, t) for t in (args or target_type))
    if target_type is None or target_type is type(None):
        return obj is None
    if origin is None:
        return builtins.isinstance(obj, target_type)
    if not args:
        raise TensorError(
            f"Attempted to use {origin.__name__.capitalize()} without contained types. Please add contained types."
        )
    if not builtins.isinstance(obj, origin):
        return False
    if builtins.isinstance(obj, dict):
        return all(isinstance(k, args[0]) and isinstance(v, args[1]) for k, v in obj.items())
    if builtins.isinstance(obj, tuple) and args[-1:] != (Ellipsis,):
        return len(obj) == len(args) and all(map(isinstance, obj, args))
    return all(isinstance(x, args[0]) for x in obj)  # type: ignore[attr-defined]


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """The result of a call, made at once, as a future."""
    found: Future[Any] = Future()
    found.set_result(func(*args, **kwargs))
    return found


def wait(future: Future[T]) -> T:
    """The value of a future."""
    return future.wait()


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """NotImplementedError: no TorchScript is written."""
    raise UnsupportedError("torch.jit.save: TorchScript is not written", hint="torch.save(module.state_dict(), path)")


def load(f: Any, map_location: Any = None, _extra_files: Any = None) -> Any:
    """NotImplementedError: no TorchScript is read."""
    raise UnsupportedError(
        "torch.jit.load: TorchScript is not read: its files hold programs in a language of their own",
        hint="torch.load of a state_dict that was saved where the module's class is",
    )
