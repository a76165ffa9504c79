"""`torch.profiler`: how long blocks of a program took. Operations are recorded and run as programs, so times are those
of blocks; `fdl.profile` has those of kernels.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any

from fdl.extend import Block, flush
from fdl.stateful.core.errors import TensorError

__all__ = [
    "ProfilerAction", "ProfilerActivity", "emit_itt", "emit_nvtx", "profile", "record_function", "schedule",
    "tensorboard_trace_handler",
]  # fmt: skip

_OPEN: list[profile] = []


class ProfilerActivity(Enum):
    """What may be watched; here it is the CPU."""

    CPU, CUDA, XPU, MTIA = range(4)


class ProfilerAction(Enum):
    """What a step of a schedule does."""

    NONE, WARMUP, RECORD, RECORD_AND_SAVE = range(4)


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0
) -> Callable[[int], ProfilerAction]:
    """Which steps are recorded: after `skip_first`, rounds of some that wait, some that warm up, and
    some that count.
    """

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        rounds, place = divmod(step - skip_first, wait + warmup + active)
        if (repeat and rounds >= repeat) or place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == wait + warmup + active - 1 else ProfilerAction.RECORD

    return action


class _Table:
    """Times of blocks by name."""

    def __init__(self, times: dict[str, list[float]]) -> None:
        self.times = times

    def table(self, sort_by: str | None = None, row_limit: int = 100, **kwargs: Any) -> str:
        """The times as text, longest first."""
        rows = sorted(self.times.items(), key=lambda item: -sum(item[1]))[: row_limit if row_limit >= 0 else None]
        width = max([4, *(len(name) for name, _ in rows)])
        lines = [f"{'Name':<{width}}  {'Total ms':>10}  {'Mean ms':>10}  {'Calls':>6}"]
        return "\n".join(
            [
                *lines,
                *(
                    f"{name:<{width}}  {1e3 * sum(t):>10.3f}  {1e3 * sum(t) / len(t):>10.3f}  {len(t):>6}"
                    for name, t in rows
                ),
            ]
        )

    __str__ = table


EventList = _Table  # as PyTorch calls what `key_averages` gives


def kineto_available() -> bool:
    """No: PyTorch's own profiler is not here."""
    return False


def _default_schedule_fn(_: int) -> ProfilerAction:
    """Each step counts."""
    return ProfilerAction.RECORD


class profile(Block["profile"]):
    """Measures the blocks inside of a `with`: each `record_function`, and the steps between calls of `step`.

    >>> import fdl.stateful as torch
    >>> with torch.profiler.profile() as watched:
    ...     with torch.profiler.record_function("sum"):
    ...         total = torch.ones(3).sum()
    >>> "sum" in watched.key_averages().table()
    True
    """

    def __init__(
        self,
        *,
        activities: Iterable[Any] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.action, self.ready = schedule or (lambda step: ProfilerAction.RECORD), on_trace_ready
        self.times: dict[str, list[float]] = {}
        self.step_num = 0

    def start(self) -> None:
        """Begin."""
        _OPEN.append(self)
        self._last = time.perf_counter()

    def stop(self) -> None:
        """End, and hand itself to `on_trace_ready`."""
        _OPEN.remove(self)
        self._hand_over()

    def _hand_over(self) -> None:
        if self.ready is not None and self.times:
            self.ready(self)

    def _steps(self) -> Iterator[profile]:
        try:
            self.start()
            yield self
        finally:
            if self in _OPEN:
                _OPEN.remove(self)
            self._hand_over()

    def step(self) -> None:
        """The end of a step."""
        flush()
        now, action = time.perf_counter(), self.action(self.step_num)
        if action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            self.times.setdefault("ProfilerStep", []).append(now - self._last)
        self.step_num, self._last = self.step_num + 1, now

    def key_averages(self, **kwargs: Any) -> _Table:
        """Times by name."""
        return _Table(self.times)


class record_function:
    """A named block, or function, whose time is measured where a profile is open."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        if _OPEN:
            flush()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        if _OPEN:
            flush()
            _OPEN[-1].times.setdefault(self.name, []).append(time.perf_counter() - self._start)

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def measured(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return f(*args, **kwargs)

        return measured


class emit_nvtx:
    """A block whose operations mark ranges of another profiler. RuntimeError: that one watches a device, and tensors
    use none; `profile` measures blocks here.
    """

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        if enabled:
            raise TensorError(
                f"{type(self).__name__}: no outer profiler is told of operations: use torch.profiler.profile"
            )

    def __enter__(self) -> emit_nvtx:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing: it was disabled."""


class emit_itt(emit_nvtx):
    """The same for Intel's profiler. RuntimeError: it is not told of operations."""


def is_open() -> bool:
    """Whether a profile is open."""
    return bool(_OPEN)


def close() -> None:
    """Close the innermost profile, where one is open."""
    if _OPEN:
        _OPEN[-1].stop()


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[Any], None]:
    """RuntimeError: there are no traces of single operations to write."""
    raise TensorError(
        "profiler traces for TensorBoard are not written: use key_averages(), or fdl.profile for times of kernels"
    )
