"""`torch.futures`: values that come later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from fdl.stateful.core.errors import TensorError

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A value, or an error, that somebody sets once.

    >>> f = Future()
    >>> g = f.then(lambda done: done.value() + 1)
    >>> f.set_result(1); g.wait()
    2
    """

    def __init__(self, *, devices: Any = None) -> None:
        self._known, self._lock = threading.Event(), threading.Lock()
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []

    def done(self) -> bool:
        """Whether it is known."""
        return self._known.is_set()

    def wait(self) -> T:
        """The value once it is known; the error raised."""
        self._known.wait()
        return self.value()

    def value(self) -> T:
        """The value, which must be known; the error raised."""
        if not self.done():
            raise TensorError("Future.value() was called before the future is completed")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def _end(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self.done():
                raise TensorError("Future can only be marked completed once")
            self._value, self._error = value, error
            self._known.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def set_result(self, result: T) -> None:
        """Make the value known."""
        self._end(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Make it known that there is none."""
        self._end(None, result)

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call a function with the future once it is known."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """The future of what a function makes of this one."""
        found: Future[Any] = Future()

        def follow(done: Future[T]) -> None:
            try:
                value = callback(done)
            except Exception as error:
                found.set_exception(error)
            else:
                found.set_result(value)

        self.add_done_callback(follow)
        return found


def collect_all(futures: Sequence[Future[Any]]) -> Future[list[Future[Any]]]:
    """The future of all of them, known."""
    found: Future[list[Future[Any]]] = Future()
    left = [len(futures)]
    lock = threading.Lock()

    def one(_: Any) -> None:
        with lock:
            left[0] -= 1
        if not left[0]:
            found.set_result(list(futures))

    if not futures:
        found.set_result([])
    for f in futures:
        f.add_done_callback(one)
    return found


def wait_all(futures: Sequence[Future[Any]]) -> list[Any]:
    """The values of all of them."""
    return [f.wait() for f in collect_all(futures).wait()]
