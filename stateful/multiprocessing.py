"""`torch.multiprocessing`: Python's own, with `spawn`.  A tensor that goes to another process is a copy."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

_PYTHONS = frozenset(
    """Barrier Event JoinableQueue Lock Manager Pipe Pool Process Queue RLock Semaphore SimpleQueue Value cpu_count
    current_process freeze_support get_all_start_methods get_context get_start_method set_start_method""".split()
)

__all__ = [
    *sorted(_PYTHONS), "ProcessRaisedException", "SpawnContext", "get_all_sharing_strategies", "get_sharing_strategy",
    "set_sharing_strategy", "spawn", "start_processes",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PYTHONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import multiprocessing  # it brings sockets, pipes and queues, and few scripts ask for them

    return getattr(multiprocessing, name)


class ProcessRaisedException(Exception):
    """A process that was started failed; the text holds its traceback."""

    def __init__(self, msg: str, error_index: int = 0, pid: int = 0) -> None:
        super().__init__(msg)
        self.error_index, self.pid = error_index, pid


def _run(fn: Callable[..., Any], i: int, args: tuple[Any, ...], errors: Any) -> None:
    try:
        fn(i, *args)
    except BaseException:
        errors.put((i, traceback.format_exc()))
        raise SystemExit(1) from None


class SpawnContext:
    """Processes that were started together."""

    def __init__(self, processes: list[Any], errors: Any) -> None:
        self.processes, self._errors = processes, errors

    def pids(self) -> list[int]:
        """Their numbers."""
        return [int(p.pid) for p in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait for all; ProcessRaisedException with the first one's traceback where one failed, and then the others are
        ended.
        """
        for i, p in enumerate(self.processes):
            p.join(timeout)
            if p.is_alive():
                return False
            if p.exitcode:
                for other in self.processes:
                    other.terminate()
                    other.join()
                index, text = (
                    self._errors.get()
                    if not self._errors.empty()
                    else (i, f"process {i} terminated with exit code {p.exitcode}")
                )
                raise ProcessRaisedException(
                    f"\n\n-- Process {index} terminated with the following error:\n{text}", index, int(p.pid)
                )
        return True


def start_processes(
    fn: Callable[..., Any],
    args: Any = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> Any:
    """Run `fn(i, *args)` in processes numbered from 0; wait for them, or return what waits."""
    context = __getattr__("get_context")(start_method)
    errors = context.SimpleQueue()
    processes = [context.Process(target=_run, args=(fn, i, tuple(args), errors), daemon=daemon) for i in range(nprocs)]
    for p in processes:
        p.start()
    found = SpawnContext(processes, errors)
    if not join:
        return found
    found.join()
    return None


def spawn(
    fn: Callable[..., Any],
    args: Any = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> Any:
    """`start_processes`."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def get_sharing_strategy() -> str:
    """How tensors are shared between processes: they are not, files stand for it."""
    return "file_system"


def get_all_sharing_strategies() -> set[str]:
    """The one there is."""
    return {"file_system"}


def set_sharing_strategy(new_strategy: str) -> None:
    """Nothing: tensors are copied."""
