"""`torch.utils._contextlib`: blocks that are decorators too, of functions, generators and classes."""

from __future__ import annotations

import copy
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["context_decorator"]


def _over_generator(f: Callable[..., Any], made: Callable[[], Any]) -> Callable[..., Any]:
    """A generator function each of whose steps runs in a block of its own; what its caller does in between does not."""

    @functools.wraps(f)
    def steps(*args: Any, **kwargs: Any) -> Any:
        generator, step = f(*args, **kwargs), "send"
        sent: tuple[Any, ...] = (None,)
        try:
            while True:
                with made():
                    found = getattr(generator, step)(*sent)
                try:
                    step, sent = "send", ((yield found),)
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step, sent = "throw", (error,)
        except StopIteration as end:
            return end.value
        finally:
            with made():
                generator.close()

    return steps


def context_decorator(ctx: Any, func: Any) -> Any:
    """A function that runs in a block: a new one a call, which `ctx` makes where it is callable and no block itself.

    >>> import contextlib
    >>> told = []
    >>> @contextlib.contextmanager
    ... def block():
    ...     told.append("in")
    ...     yield
    ...     told.append("out")
    >>> context_decorator(block, lambda: told.append("f"))(), told
    (None, ['in', 'f', 'out'])
    """
    if callable(ctx) and hasattr(ctx, "__enter__"):
        raise AssertionError(f"Passed in {ctx} is both callable and also a valid context manager")
    made = ctx if callable(ctx) else lambda: ctx
    if inspect.isclass(func):
        raise RuntimeError(f"Cannot decorate classes: {func.__name__}; it is ambiguous which methods should be wrapped")
    if inspect.isgeneratorfunction(func):
        return _over_generator(func, made)

    @functools.wraps(func)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with made():
            return func(*args, **kwargs)

    return inside


class _DecoratorContextManager:
    """Base of blocks that also decorate: a subclass has `__enter__` and `__exit__`, and `clone` if it has state.

    >>> class block(_DecoratorContextManager):
    ...     def __enter__(self):
    ...         print("in")
    ...     def __exit__(self, *error):
    ...         print("out")
    >>> block()(lambda: print("f"))()
    in
    f
    out
    """

    def __call__(self, orig_func: Any) -> Any:
        """The function, run in a block like this one. Of a class its `__init__` is, which PyTorch warns of."""
        if inspect.isclass(orig_func):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. "
                "You should only decorate functions or methods.",
                FutureWarning,
                stacklevel=2,
            )
            built = context_decorator(self.clone, orig_func.__init__)
            setattr(orig_func, "__init__", built)  # noqa: B010
            return orig_func
        return context_decorator(self.clone, orig_func)

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        raise NotImplementedError

    def clone(self) -> Any:
        """A block like this one."""
        return self.__class__()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """A block without arguments, which decorates as a class too: `@block` means `@block()`."""

    def __new__(cls, orig_func: Any = None) -> Any:
        if orig_func is None:
            return super().__new__(cls)
        return cls()(orig_func)

    def clone(self) -> Any:
        """A block like this one."""
        return copy.copy(self)
