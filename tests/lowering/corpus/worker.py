"""A process that renders and runs programs of the corpus with the library that it imports, as it is told by lines of
JSON: a method with arguments, answered by a line with its result. It ends when a program runs for too long.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import sys
import time
from typing import Any

import fdl
from fdl.core.array import from_numpy
from tests.lowering.corpus import compiler
from tests.lowering.corpus.data import Record, inputs_of, raw_corpus
from tests.lowering.corpus.digests import header_digests

SECONDS = 60  # for which a program may run
THREADS = 2


class Worker:
    """What such a process can be asked."""

    def __init__(self) -> None:
        self.raw = raw_corpus()
        self.programs: dict[str, Any] = {}
        fdl.set_num_threads(THREADS)

    def headers(self) -> list[Any]:
        """The folder of what programs include, its names and its digests."""
        return [str(compiler.HEADERS), sorted(compiler.library_names()), header_digests()]

    def render(self, name: str) -> dict[str, str]:
        """The text of a program by target, or under `error` what kept it from being rendered."""
        try:
            record = Record.of(name, self.raw[name])
            return {t: compiler.render(record.graph, record.donated, t) for t in compiler.TARGETS}
        except Exception as error:  # of an older revision, which may lack an operation
            return {"error": f"cannot be rendered: {error!r}"}

    def bits(self, name: str) -> list[str]:
        """A digest of each result, for two sets of inputs."""
        record, run = Record.of(name, self.raw[name]), self._program(name)
        signal.alarm(SECONDS)
        results = [run(list(map(from_numpy, inputs_of(record.graph, seed)))) for seed in (0, 1)]
        signal.alarm(0)
        return [hashlib.sha256(out._numpy().tobytes()).hexdigest() for outs in results for out in outs]

    def time(self, name: str, count: int) -> float:
        """The least seconds of so many calls."""
        record, run = Record.of(name, self.raw[name]), self._program(name)
        values, best = inputs_of(record.graph, 0), float("inf")
        for _ in range(count):
            arrays = [from_numpy(v.copy()) for v in values]
            start = time.perf_counter()
            run(arrays)
            best = min(best, time.perf_counter() - start)
        return best

    def _program(self, name: str) -> Any:
        if name not in self.programs:
            record = Record.of(name, self.raw[name])
            self.programs[name] = compiler.executable(record.graph, record.donated)
        return self.programs[name]


def serve() -> None:
    """Answer until there are no more lines."""
    answers = sys.stdout
    worker = Worker()
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            method, *arguments = json.loads(line)
            try:
                answer = {"result": getattr(worker, method)(*arguments)}
            except Exception as error:
                answer = {"error": repr(error)}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
