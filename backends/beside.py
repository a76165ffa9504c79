"""Programs that are compiled beside the loop that wants them: by a helper process, while the loop goes on operation by
operation, with the same bits.

The helper is started once, when a program is first worth it, and has a low priority. It gets graphs as data, and leaves
plans and libraries in the disk cache, from which this process loads them. What it does not manage is compiled where it
is wanted, so that errors and warnings come from there. It ends with this process, whatever it is doing.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, BinaryIO

from fdl.backends import cache
from fdl.backends.c import is_told_by_its_text, key_of, make_plan
from fdl.backends.toolchain import Compiler
from fdl.backends.waits import note_program
from fdl.core.avals import ShapedArray, shaped
from fdl.core.config import config, log
from fdl.core.graph import Equation, Graph
from fdl.core.primitive import REGISTRY, Primitive

_NICE = 10
_OPERATIONS = ("fdl.lax", *(f"fdl.{name}" for name in cache.OPERATIONS))  # modules that define what graphs hold
_LOCK = threading.RLock()  # a signal handler may compute while its own thread holds it
_helpers: list[_Helper] = []  # the one of this process, once it is started

_MODULES = (
    "builtins",
    "fdl",
    "functools",
    "ml_dtypes",
    "numpy",
    "pathlib",
)  # whose types may be in what the helper gets


def is_pending(name: str, graph: Graph, compiler: Compiler, donated: Sequence[int] = ()) -> bool:
    """Whether the program of a graph is being compiled by the helper, which is asked for it the first time.

    False once the cache has it, and where it cannot be made elsewhere, as of operations that are not fdl's own.
    """
    key = "beside", os.getpid(), compiler, tuple(donated)  # a forked child has a helper of its own
    if key not in graph.memo:
        with _LOCK:
            graph.memo[key] = _asked(name, graph, compiler, tuple(donated))
    done: threading.Event | None = graph.memo[key]
    return done is not None and not done.is_set()


def wait_compiled(timeout: float | None = None) -> bool:
    """Wait until all programs are compiled that have come back often enough; whether they are, after at most `timeout`
    seconds. The next run of their lines takes them.

    >>> import fdl
    >>> fdl.wait_compiled()
    True
    """
    until = None if timeout is None else time.monotonic() + timeout
    jobs = [job for helper in _helpers if helper.is_own() for job in list(helper.jobs)]
    return all(job.wait(None if until is None else max(0, until - time.monotonic())) for job in jobs)


def _asked(name: str, graph: Graph, compiler: Compiler, donated: tuple[int, ...]) -> threading.Event | None:
    """Ask the helper for a program; None where there is no need to, or no way."""
    if not is_told_by_its_text(graph) or graph.constants or cache.has_plan(key_of(graph, compiler, donated)):
        return None
    try:
        task = _written((config.cache_dir, graph, compiler, donated))
        done = _helper().ask(task)
        note_program(name, graph)
        log("compile", f"{name}: {len(graph.equations)} equations, compiled by the helper")
        return done
    except (OSError, pickle.PicklingError, AttributeError, TypeError, ValueError):
        return None


# This side


class _Helper:
    """The helper process, as who asks sees it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        code = f"import sys; sys.path[:] = {sys.path!r}; import {', '.join(_OPERATIONS)}; "
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", f"{code}from fdl.backends.beside import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )
        self.jobs: list[threading.Event] = []
        self.tasks: queue.SimpleQueue[tuple[bytes, threading.Event]] = queue.SimpleQueue()
        threading.Thread(target=self._talk, daemon=True, name="fdl-helper").start()
        atexit.register(self.end)

    def is_own(self) -> bool:
        """Whether this process has started it, not one that this is a fork of."""
        return self.owner == os.getpid()

    def ask(self, task: bytes) -> threading.Event | None:
        """Begin a task; None where the helper is gone."""
        if self.process.poll() is not None:
            return None
        done = threading.Event()
        self.tasks.put((task, done))  # whole or not at all, whatever interrupts this
        self.jobs.append(done)
        return done

    def _talk(self) -> None:
        """Hand over one task after another, so that nobody waits until the helper reads; all are done once it ends."""
        assert self.process.stdin is not None and self.process.stdout is not None
        while True:
            task, done = self.tasks.get()
            with contextlib.suppress(OSError):
                self.process.stdin.write(len(task).to_bytes(8, "little") + task)
                self.process.stdin.flush()
                self.process.stdout.readline()
            done.set()

    def end(self) -> None:
        """Let the helper, and a compiler that it has started, end now."""
        if self.is_own():
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGTERM)


def _helper() -> _Helper:
    if not _helpers or not _helpers[0].is_own():
        _helpers[:] = [_Helper()]
    return _helpers[0]


class _Writer(pickle.Pickler):
    """Graphs as data: primitives by their names, types by what they are made of, no lines of the user."""

    def reducer_override(self, x: Any) -> Any:
        if isinstance(x, Primitive):
            return _primitive, (x.name,)
        if isinstance(x, ShapedArray):
            return shaped, (x.shape, x.dtype, x.weak_type)
        if isinstance(x, Equation):
            return Equation, (x.primitive, x.inputs, dict(x.params), x.outputs, x.effects)
        if isinstance(x, Graph):
            return Graph, (x.inputs, x.equations, x.outputs)
        if isinstance(x, type) and x.__module__.split(".")[0] not in _MODULES:
            raise pickle.PicklingError(f"{x.__module__} is not fdl's")  # the helper runs no module of the user
        return NotImplemented


def _written(x: Any) -> bytes:
    buffer = io.BytesIO()
    _Writer(buffer, pickle.HIGHEST_PROTOCOL).dump(x)
    return buffer.getvalue()


def _primitive(name: str) -> Primitive:
    return REGISTRY[name]


# The other side


def serve() -> None:
    """Compile what comes in, and say a line for each, until there is no more: the helper's whole life."""
    os.nice(_NICE)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what anything prints is no answer
    while (task := _next(sys.stdin.buffer)) is not None:
        with contextlib.suppress(Exception):  # whoever asked tries by himself, and meets the error
            config.cache_dir, graph, compiler, donated = pickle.loads(task)
            cache.usable(lambda: make_plan(graph, compiler, donated))  # noqa: B023
        answers.write(b"done\n")


def _next(tasks: BinaryIO) -> bytes | None:
    size = int.from_bytes(tasks.read(8), "little")
    task = tasks.read(size)
    return task if size and len(task) == size else None
