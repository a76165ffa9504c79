"""Workers of a loader: threads that fetch batches ahead, in order.

Threads share memory and end with the loop, so that nothing leaks and nothing hangs; what they fetch is computed before it is handed over.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from fdl.core.pytree import tree_leaves
from fdl.stateful._tensor import Tensor


class WorkerInfo(NamedTuple):
    """Which worker asks: its number, how many there are, its seed, and the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Local(threading.local):
    info: WorkerInfo | None = None


_LOCAL = _Local()


def get_worker_info() -> WorkerInfo | None:
    """In a worker, which one it is; None elsewhere."""
    return _LOCAL.info


def _computed(batch: Any) -> Any:
    """A batch whose tensors wait for nothing of this thread."""
    for x in tree_leaves(batch, is_leaf=lambda v: isinstance(v, Tensor)):
        if isinstance(x, Tensor):
            x._value().block_until_ready()
    return batch


class Crew:
    """Worker threads, one for each number, that begin with `begin(info)`."""

    def __init__(self, count: int, dataset: Any, seed: int, init: Callable[[int], Any] | None) -> None:
        def begin(number: int) -> None:
            _LOCAL.info = WorkerInfo(number, count, seed + number, dataset)
            if init is not None:
                init(number)

        self.threads = [ThreadPoolExecutor(1, f"fdl-loader-{i}") for i in range(count)]
        for i, thread in enumerate(self.threads):
            thread.submit(begin, i).result()

    def submit(self, number: int, task: Callable[[], Any]) -> Future[Any]:
        """Let worker `number` do something next."""
        return self.threads[number % len(self.threads)].submit(lambda: _computed(task()))

    def close(self) -> None:
        """No further work; what runs ends."""
        for thread in self.threads:
            thread.shutdown(wait=False, cancel_futures=True)


def in_order(crew: Crew, tasks: Iterable[Callable[[], Any]], ahead: int) -> Iterator[Any]:
    """Results of tasks in their order, `ahead` of them begun before they are asked for.  A worker's exception comes out with its traceback."""
    waiting: collections.deque[Future[Any]] = collections.deque()
    try:
        for number, task in enumerate(tasks):
            waiting.append(crew.submit(number, task))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        crew.close()
