"""Side-by-side benchmark: each framework in a process of its own, results compared, blocks of calls interleaved, medians.

python benchmarks/bench.py [pattern ...] [--only fdl,jax] [--threads 2] [--rounds 15] [--png report.png]
"""

import argparse
import fnmatch
import importlib
import importlib.util
import multiprocessing
import os
import statistics
import sys
import time
import traceback
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from workloads import WORKLOADS  # noqa: E402

PACKAGES = {"fdl": "fdl", "jax": "jax", "torch": "torch", "torch_compile": "torch"}
BLOCK_SECONDS = 0.1
WARM_SECONDS = 1.0


def serve(name, threads, pipe):
    """A framework's process: builds workloads and times blocks as it is told."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    adapter = importlib.import_module(f"adapters.{name}").Adapter(threads)
    pipe.send(adapter.version)
    step = None
    while (message := pipe.recv()) is not None:
        try:
            if isinstance(message, str):
                workload = next(w for w in WORKLOADS if w.name == message)
                family = getattr(adapter, workload.family, None)
                step = family and family(workload.make(), **workload.options)
                pipe.send(None if step is None else [adapter.results(step()) for _ in range(workload.check)])
            else:
                start = time.perf_counter()
                for _ in range(message):
                    step()
                pipe.send((time.perf_counter() - start) / message)
        except Exception:
            pipe.send(traceback.format_exc())


class Framework:
    """The driver's end of such a process."""

    def __init__(self, name, threads):
        context = multiprocessing.get_context("spawn")
        self.name, (self.pipe, other) = name, context.Pipe()
        self.process = context.Process(target=serve, args=(name, threads, other), daemon=True)
        self.process.start()
        self.version = self.pipe.recv()

    def ask(self, message):
        self.pipe.send(message)
        answer = self.pipe.recv()
        if isinstance(answer, str):
            raise RuntimeError(f"{self.name}: {answer}")
        return answer


def agree(workload, reference, results):
    """Raise where a framework computes something else."""
    for want, got in zip(reference, results, strict=True):
        for a, b in zip(want, got, strict=True):
            scale = max(float(np.abs(a).max(initial=0)), 1e-6)
            np.testing.assert_allclose(np.asarray(b).reshape(np.shape(a)) / scale, a / scale, rtol=workload.rtol, atol=workload.rtol)


def measure(workload, frameworks, rounds):
    """Median seconds a call by framework, blocks in rotating order."""
    built = {f: f.ask(workload.name) for f in frameworks}
    present = [f for f in frameworks if built[f] is not None]
    for f in present[1:]:
        agree(workload, built[present[0]], built[f])
    counts = {}
    for f in present:
        until = time.perf_counter() + WARM_SECONDS  # loops that compile themselves have done so
        while time.perf_counter() < until:
            f.ask(3)
        counts[f] = max(1, int(BLOCK_SECONDS / max(f.ask(3), 1e-7)))
    samples = {f: [] for f in present}
    for i in range(rounds):
        for f in present[i % len(present) :] + present[: i % len(present)]:
            samples[f].append(f.ask(counts[f]))
    return {f.name: statistics.median(s) for f, s in samples.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", default=["*"])
    parser.add_argument("--only", default="fdl,jax,torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--png", help="draw the ratios, best peer over fdl, into this file (needs matplotlib)")
    options = parser.parse_args()
    names = [n for n in options.only.split(",") if importlib.util.find_spec(PACKAGES[n])]
    frameworks = [Framework(n, options.threads) for n in names]
    print("us a call, medians;", ", ".join(f"{f.name} {f.version}" for f in frameworks), f"; {options.threads} threads")
    print("| workload | " + " | ".join(names) + " | best peer / fdl |\n|" + "---|" * (len(names) + 2))
    ratios = {}
    for workload in WORKLOADS:
        if any(fnmatch.fnmatch(workload.name, p) for p in options.patterns):
            times = measure(workload, frameworks, options.rounds)
            peers = [t for n, t in times.items() if n != "fdl"]
            ratio = ""
            if peers and "fdl" in times:
                ratios[workload.name] = min(peers) / times["fdl"]
                ratio = f"{ratios[workload.name]:.2f}"
            print(f"| {workload.name} | " + " | ".join(f"{times[n] * 1e6:.2f}" if n in times else "" for n in names) + f" | {ratio} |", flush=True)
    for f in frameworks:
        f.pipe.send(None)
    if len(ratios) > 1:
        mean = statistics.geometric_mean(min(r, 10) for r in ratios.values())
        print(f"\ngeometric mean of {len(ratios)} ratios, each at most 10: {mean:.2f}")
    if options.png and ratios:
        draw(ratios, options.png)


def draw(ratios, path):
    """Bars of best peer over fdl, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(reversed(ratios))
    figure, axes = pyplot.subplots(figsize=(9, 0.28 * len(names) + 1.2))
    axes.barh(names, [ratios[n] for n in names], left=0, color=["#2a7f62" if ratios[n] >= 1 else "#b5533c" for n in names])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("time of the best peer / time of fdl (right of 1: fdl is faster)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
