"""Workers of a loader: threads, or processes on request, that fetch batches ahead, in order.

Threads share memory and end with the loop. Processes are for datasets that hold Python's lock; what they fetch comes
through pipes, so that no shared memory can leak, and they end when the loop does, when it fails, and when the process
that loops is gone.
"""

from __future__ import annotations

import collections
import contextlib
import enum
import functools
import itertools
import queue
import random
import signal
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fdl import set_num_threads, tree
from fdl.extend import aside, in_one_call
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.random import default_generator
from fdl.stateful.core.tensor import Tensor

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class WorkerInfo(NamedTuple):
    """Which worker asks: its number, how many there are, its seed, and the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Local(threading.local):
    info: WorkerInfo | None = None
    stream: Iterator[Any] | None = None


_LOCAL = _Local()


def get_worker_info() -> WorkerInfo | None:
    """In a worker, which one it is; None elsewhere."""
    return _LOCAL.info


class Signal(enum.Enum):
    """What is asked of a stream, and what it answers when it has ended."""

    NEXT = enum.auto()
    END = enum.auto()


class Fetcher(Protocol):
    """What workers do: batches for requests, or a stream of them."""

    @property
    def dataset(self) -> Any:
        """What the worker is told of in its info."""

    def fetch(self, request: Any) -> Any:
        """The batch of a request."""

    def stream(self) -> Iterator[Any]:
        """Batches of a dataset without numbers."""


class Settings(NamedTuple):
    """How many workers there are, the seed of the first one, what each calls first, and for how many seconds a batch is
    waited for; 0 is for ever.
    """

    workers: int
    seed: int
    init: Callable[[int], Any] | None
    timeout: float


def _begin(number: int, fetcher: Fetcher, settings: Settings) -> None:
    _LOCAL.info = WorkerInfo(number, settings.workers, settings.seed + number, fetcher.dataset)
    _LOCAL.stream = None
    if settings.init is not None:
        settings.init(number)


def _answer(fetcher: Fetcher, request: Any) -> Any:
    """A batch whose tensors wait for nothing of this worker."""
    if request is Signal.NEXT:
        if _LOCAL.stream is None:
            _LOCAL.stream = fetcher.stream()
        batch = next(_LOCAL.stream, Signal.END)
    else:
        batch = fetcher.fetch(request)
    for x in tree.leaves(batch, is_leaf=lambda v: isinstance(v, Tensor)):
        if isinstance(x, Tensor):
            x._value().block_until_ready()
    return batch


class Crew(Protocol):
    """Workers with numbers."""

    count: int

    def submit(self, number: int, request: Any) -> Callable[[], Any]:
        """Let worker `number` do something next; the function that waits for it gives the result, or raises what the
        worker raised.
        """

    def close(self) -> None:
        """No further work."""


class _Raised(NamedTuple):
    """What a worker raised."""

    error: BaseException
    cause: BaseException | None


def _answers(
    number: int,
    fetcher: Fetcher,
    settings: Settings,
    requests: queue.SimpleQueue[Any],
    answers: queue.SimpleQueue[Any],
    guard: object,
) -> None:
    """A worker thread: a first answer when it is ready, then one for each request, which comes in a tuple; it ends with
    anything else.
    """
    work: Callable[[], Any] = functools.partial(_begin, number, fetcher, settings)
    while True:
        try:
            answers.put((work(),))
        except Exception as error:
            answers.put(
                _Raised(
                    _Failure(type(error), "".join(traceback.format_exception(error))).error(number, "thread"), error
                )
            )
        except BaseException as error:
            answers.put(_Raised(error, None))
        request = requests.get()
        if type(request) is not tuple:
            return
        work = functools.partial(_answer, fetcher, request[0])


class Threads:
    """Worker threads. Queues are those that no interrupt leaves locked; the threads end when this is gone, closed or
    not: then its guard is asked for.
    """

    def __init__(self, fetcher: Fetcher, settings: Settings) -> None:
        self.count, self.timeout = settings.workers, settings.timeout
        self.requests: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(self.count)]
        self.answers: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(self.count)]
        for i, (requests, answers) in enumerate(zip(self.requests, self.answers, strict=True)):
            guard = weakref.ref(self, requests.put)
            thread = threading.Thread(
                target=_answers,
                args=(i, fetcher, settings, requests, answers, guard),
                name=f"fdl-loader-{i}",
                daemon=True,
            )
            aside(thread.start)
        for i in range(self.count):
            self._next(i, None)

    def _next(self, number: int, timeout: float | None) -> Any:
        try:
            answer = self.answers[number].get(timeout=timeout)
        except queue.Empty:
            raise TensorError(f"DataLoader timed out after {self.timeout} seconds") from None
        if isinstance(answer, _Raised):
            raise answer.error.with_traceback(
                answer.error.__traceback__ if answer.cause is None else answer.cause.__traceback__
            ) from answer.cause
        return answer[0]

    def submit(self, number: int, request: Any) -> Callable[[], Any]:
        number %= self.count
        self.requests[number].put((request,))
        return functools.partial(self._next, number, self.timeout or None)

    def close(self) -> None:
        in_one_call(map(queue.SimpleQueue.put, self.requests, itertools.repeat(None)))


class _Failure(NamedTuple):
    """What a worker process raised: the exception's class, its words, and the traceback there."""

    cls: type[BaseException]
    text: str

    def error(self, number: int, kind: str = "process") -> BaseException:
        """The same for who waits, with the worker's traceback in its message."""
        message = f"Caught {self.cls.__name__} in DataLoader worker {kind} {number}.\nOriginal {self.text}"
        try:
            return self.cls(message)
        except Exception:  # a class that is not made of a message
            return RuntimeError(message)


def _serve(pipe: Connection, number: int, fetcher: Fetcher, settings: Settings) -> None:
    """A worker process: answers requests in order until the pipe closes; a thread sends, so that the next batch is made
    meanwhile.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the loop is told, and ends its workers
    set_num_threads(1)
    default_generator.manual_seed(settings.seed + number)
    random.seed(settings.seed + number)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def send() -> None:
        with contextlib.suppress(OSError):
            while (answer := answers.get()) is not None:
                try:
                    pipe.send(answer)
                except Exception as error:
                    if isinstance(error, OSError):
                        raise
                    pipe.send(_Failure(type(error), "".join(traceback.format_exception(error))))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    failed: BaseException | None = None
    try:
        _begin(number, fetcher, settings)
    except Exception as error:
        failed = error
    with contextlib.suppress(EOFError, OSError):
        while (request := pipe.recv()) is not None:
            try:
                if failed is not None:
                    raise failed
                answers.put((_answer(fetcher, request[0]),))
            except Exception as error:
                answers.put(_Failure(type(error), "".join(traceback.format_exception(error))))
    answers.put(None)


class Processes:
    """Worker processes, started as a context of `multiprocessing` says."""

    def __init__(self, context: Any, fetcher: Fetcher, settings: Settings) -> None:
        self.count, self.timeout = settings.workers, settings.timeout
        self.pipes: list[Connection] = []
        self.workers: list[Any] = []
        try:
            for i in range(settings.workers):
                ours, theirs = context.Pipe()
                self.pipes.append(ours)
                worker = context.Process(target=_serve, args=(theirs, i, fetcher, settings), daemon=True)
                worker.start()
                theirs.close()
                self.workers.append(worker)
        except BaseException:
            self.close()
            raise

    def submit(self, number: int, request: Any) -> Callable[[], Any]:
        number %= self.count
        with contextlib.suppress(OSError):  # a dead worker is reported by who waits for it
            self.pipes[number].send((request,))

        def result() -> Any:
            pipe, worker = self.pipes[number], self.workers[number]
            if self.timeout and not pipe.poll(self.timeout):
                raise TensorError(f"DataLoader timed out after {self.timeout} seconds")
            try:
                answer = pipe.recv()
            except (EOFError, ConnectionError):
                worker.join(1)
                raise TensorError(
                    f"DataLoader worker (pid(s) {worker.pid}) exited unexpectedly with status {worker.exitcode}"
                ) from None
            if isinstance(answer, _Failure):
                raise answer.error(number)
            return answer[0]

        return result

    def close(self) -> None:
        for pipe in self.pipes:
            pipe.close()
        for worker in self.workers:
            worker.terminate()
            worker.join(5)


def in_order(crew: Crew, requests: Iterable[Any], ahead: int) -> Iterator[Any]:
    """Results of requests in their order, `ahead` of them begun before they are asked for. A worker's exception comes
    out with its traceback.
    """
    waiting: collections.deque[Callable[[], Any]] = collections.deque()
    try:
        for number, request in enumerate(requests):
            waiting.append(crew.submit(number, request))
            if len(waiting) > ahead:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()
    finally:
        crew.close()


def of_streams(crew: Crew) -> Iterator[Any]:
    """Each worker has a stream of its own; batches come from one after the other, and each worker makes its next one
    meanwhile.
    """
    try:
        asked = {i: crew.submit(i, Signal.NEXT) for i in range(crew.count)}
        while asked:
            for i in list(asked):
                batch = asked.pop(i)()
                if batch is not Signal.END:
                    asked[i] = crew.submit(i, Signal.NEXT)
                    yield batch
    finally:
        crew.close()


def _generate_state(base_seed: int, worker_id: int) -> list[int]:
    """Four words of 32 bits for NumPy's generators in a worker, from the loader's seed and its number: NumPy's own
    mixing of seeds.

    >>> _generate_state(12345, 1)
    [530262504, 3509291438, 1156716502, 3400667355]
    """
    words = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    found: list[int] = np.random.SeedSequence(words).generate_state(4).tolist()
    return found
