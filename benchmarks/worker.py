"""A framework's process: it builds workloads, times blocks of calls and looks at its memory, as it is told."""

import functools
import importlib
import multiprocessing
import os
import time
import traceback

from workloads import named

CACHES = ("FDL_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")


class Worker:
    """What such a process can be asked; a workload that its framework does not support gives None."""

    def __init__(self, adapter):
        self.adapter = adapter
        self.step = None

    def prepare(self, name):
        """What makes a workload's step, its data in memory; it gives None where that is not supported."""
        workload = named(name)
        family = getattr(self.adapter, workload.family, None)
        return functools.partial(family, workload.make(), **workload.options) if family else lambda: None

    def build(self, name):
        """Results of the first steps."""
        self.step = self.prepare(name)()
        return None if self.step is None else [self.adapter.results(self.step()) for _ in range(named(name).check)]

    def run(self, count):
        """Seconds a call, of so many."""
        start = time.perf_counter()
        for _ in range(count):
            self.step()
        return (time.perf_counter() - start) / count

    def first(self, name):
        """Seconds from data in memory, the framework imported, to the end of the first step."""
        begin = self.prepare(name)
        start = time.perf_counter()
        step = begin()
        if step is None:
            return None
        self.adapter.results(step())
        return time.perf_counter() - start

    def peak(self, name):
        """Bytes of a step at their highest, above what there was after import and data; Linux only."""
        begin = self.prepare(name)
        before = _resident("VmRSS")
        step = begin()
        if step is None:
            return None
        for _ in range(3):
            step()
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")  # the highest mark starts anew
        for _ in range(3):
            step()
        return _resident("VmHWM") - before


def _resident(field):
    with open("/proc/self/status") as f:
        return 1024 * next(int(line.split()[1]) for line in f if line.startswith(field))


def serve(name, threads, environment, pipe):
    """Answer until told to stop."""
    os.environ |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads), **environment}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    worker = Worker(importlib.import_module(f"adapters.{name}").Adapter(threads))
    pipe.send((True, worker.adapter.version))
    while (message := pipe.recv()) is not None:
        method, *arguments = message
        try:
            pipe.send((True, getattr(worker, method)(*arguments)))
        except Exception:
            pipe.send((False, traceback.format_exc()))


class Framework:
    """The driver's end of such a process, to be used in a `with` statement."""

    def __init__(self, name, threads, environment=None):
        context = multiprocessing.get_context("spawn")
        self.name, (self.pipe, other) = name, context.Pipe()
        self.process = context.Process(target=serve, args=(name, threads, environment or {}, other), daemon=True)
        self.process.start()
        other.close()  # so that a process that ended is noticed
        self.version = self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.pipe.send(None)
        self.process.join()

    def ask(self, *message):
        self.pipe.send(message)
        return self.answer()

    def answer(self):
        good, answer = self.pipe.recv()
        if not good:
            raise RuntimeError(f"{self.name}: {answer}")
        return answer
