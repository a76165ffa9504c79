"""State that is set for the time of a `with` statement, and undone when that is over, whatever ends it.

Python looks for signals when a function begins. So Ctrl-C may come when `__exit__` has been called but not a line of it
has run: `contextlib.contextmanager` leaves state set then, for as long as somebody keeps the traceback. Here the
statement has a token that only it holds: the callable that it keeps to call at its end. When that dies, the statement
is over; what it has set is undone at once if `__exit__` did not. Where nothing interrupts, this costs nothing beyond
the token.

Python looks for signals when a function begins, when a loop turns and when a function of C returns. Between these, code
is whole: two assignments that follow each other, `x.a = y` as the first line of a `finally`, one call of C. `whole` and
`in_one_call` are for what takes more, `aside` for what files and processes take.
"""

from __future__ import annotations

import _thread
import atexit
import collections
import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

in_one_call = collections.deque[Any](
    maxlen=0
).extend  # exhausts an iterator, say a `map` of `setattr`; no signal comes in between


def whole(change: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Make a change that may be made twice: if an interrupt ends it, it is made once more, and the interrupt goes on.

    >>> done = []
    >>> whole(done.append, 1)
    >>> done
    [1]
    """
    try:
        change(*args, **kwargs)
    except Exception:
        raise
    except BaseException:
        change(*args, **kwargs)
        raise


def aside(work: Callable[[], T]) -> T:
    """What `work` gives or raises, done in a thread of its own. Signals come to the main thread alone: an interrupt
    ends the waiting, and the work goes on to its end.

    So files that are being written and compilers that are running are never left behind. A process that ends waits for
    them.
    """
    if threading.get_ident() != threading.main_thread().ident:
        return work()
    outcome: list[Any] = []  # whether it failed, and what it gave or raised
    over = _thread.allocate_lock()
    over.acquire()

    def run() -> None:
        _running.add(over)
        try:
            outcome[:] = False, work()
        except BaseException as error:
            outcome[:] = True, error
        finally:
            _running.discard(over)
            over.release()

    _thread.start_new_thread(
        run, ()
    )  # `threading` waits for a thread to begin, with locks that an interrupt could leave held
    over.acquire()
    failed, found = outcome
    if failed:
        raise found
    value: T = found
    return value


_running: set[Any] = set()  # locks of what is done aside
_PATIENCE = 60.0  # seconds that a process waits for it at its end


@atexit.register
def _wait() -> None:
    for over in list(_running):
        over.acquire(timeout=_PATIENCE)


def _end(steps: Any, guard: list[Any], kind: Any = None, error: BaseException | None = None, trace: Any = None) -> bool:
    """`__exit__`: the block goes on behind its `yield`, or with the error of the statement. True where it has caught
    that.
    """
    try:
        if error is None:
            next(steps, None)
        else:
            steps.throw(error)
    except StopIteration as over:
        return over is not error
    except BaseException as raised:
        if raised is not error:
            raise
    finally:
        guard.clear()
    return False


class _Exit:
    """`__exit__` of a block: for each statement a callable of its own, whose death ends the block."""

    def __get__(self, found: Block[Any] | None, owner: Any = None) -> Callable[..., Any]:
        if found is None:  # `contextlib.ExitStack` asks the class
            return lambda block, *error: block.__exit__(*error)
        if found._by_hand:
            return functools.partial(_end, found._by_hand.pop(), [])
        steps, guard = found._steps(), []  # type: ignore[var-annotated]
        token = functools.partial(_end, steps, guard)
        guard += (weakref.ref(token, lambda _: steps.close()),)
        found._begun = steps
        return token


class Block(Generic[T]):
    """A context manager; subclasses write `_steps`, a generator function that sets state, yields once, and undoes it in
    `finally`.

    One may be entered again, also inside of itself.
    """

    _begun: Any = None  # what the statement that asked for `__exit__` is about to enter
    _by_hand: list[Any] = []  # noqa: RUF012  # what was entered by a call of `__enter__`, the latest last

    def _steps(self) -> Any:
        raise NotImplementedError(self)

    def __enter__(self) -> T:
        steps, self._begun = self._begun, None
        if steps is None or steps.gi_frame is None:
            steps = self._steps()
            self._by_hand = [*self._by_hand, steps]
        value: T = next(steps)
        return value

    __exit__ = _Exit()


class _Made(Block[T]):
    """A block of a generator function and its arguments."""

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._steps = make  # type: ignore[method-assign]


def block(function: Callable[P, Iterator[T]]) -> Callable[P, Block[T]]:
    """What `contextlib.contextmanager` is, but for interrupts: of a generator function that yields once.

    >>> @block
    ... def opened(name):
    ...     print("open", name)
    ...     try:
    ...         yield name.upper()
    ...     finally:
    ...         print("close", name)
    >>> with opened("x") as found:
    ...     print(found)
    open x
    X
    close x
    """

    @functools.wraps(function)
    def made(*args: P.args, **kwargs: P.kwargs) -> Block[T]:
        return _Made(functools.partial(function, *args, **kwargs))

    return made
