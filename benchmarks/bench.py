"""Side-by-side benchmark: each framework in a process of its own, results compared, blocks of calls interleaved,
medians.

python benchmarks/bench.py [pattern ...] [--only fdl,jax] [--threads 2] [--rounds 15] [--png report.png]
python benchmarks/bench.py --first | --memory [pattern ...]
"""

import argparse
import contextlib
import fnmatch
import importlib.util
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from worker import CACHES, Framework  # noqa: E402
from workloads import COMPILED, WORKLOADS  # noqa: E402

PACKAGES = {"fdl": "fdl", "jax": "jax", "torch": "torch", "torch_compile": "torch", "mlx": "mlx"}
BLOCK_SECONDS = 0.1
WARM_SECONDS = 1.0
SLOW = 5  # times slower than the fastest, and so many blocks a call: measured once
FIRST = ["mlp.batch64", "text_classifier", "gpt", "gpt12", "unrolled.100"]
MEMORY = ["mlp.*", "lenet", "resnet18", "lstm", "text_classifier", "gpt"]


def agree(workload, reference, results):
    """Whether a framework computes the same, within the workload's tolerance of the largest element."""
    close = lambda a, b: np.allclose(
        np.asarray(b).reshape(np.shape(a)),
        a,
        rtol=workload.rtol,
        atol=workload.rtol * max(float(np.abs(a).max(initial=0)), 1e-6),
    )
    return all(
        close(a, b) for want, got in zip(reference, results, strict=True) for a, b in zip(want, got, strict=True)
    )


def step_times(workload, frameworks, rounds):
    """Median seconds a call by framework, blocks in rotating order; a framework that is far behind has one call timed,
    one with other results none.
    """
    built = {f: f.ask("build", workload.name) for f in frameworks}
    present = [f for f in frameworks if built[f] is not None]
    different = [f for f in present[1:] if not agree(workload, built[present[0]], built[f])]
    present = [f for f in present if f not in different]
    once = {f: f.ask("run", 1) for f in present}
    behind = {f for f in present if once[f] > SLOW * max(min(once.values()), BLOCK_SECONDS)}
    counts = {}
    for f in present:
        if f not in behind:
            until = time.perf_counter() + WARM_SECONDS  # loops that compile themselves have done so
            while time.perf_counter() < until:
                f.ask("run", 3)
            counts[f] = max(1, int(BLOCK_SECONDS / max(f.ask("run", 3), 1e-7)))
    samples = {f: [once[f]] if f in behind else [] for f in present}
    racing = list(counts)
    for i in range(rounds):
        for f in racing[i % len(racing) :] + racing[: i % len(racing)]:
            samples[f].append(f.ask("run", counts[f]))
    return {f.name: statistics.median(s) for f, s in samples.items()} | {f.name: math.nan for f in different}


def first_steps(workload, names, threads):
    """Seconds to the end of the first step, by framework: with empty caches, and in a second process that finds what
    the first one left.
    """
    times = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            environment = dict.fromkeys(CACHES, folder) | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
            for kind in ("cold", "warm"):
                with Framework(name, threads, environment) as f:
                    times[f"{name}, {kind}"] = f.ask("first", workload.name)
    return times


def peaks(workload, names, threads):
    """Bytes of a step at their highest, above the state after import and data."""
    found = {}
    for name in names:
        with Framework(name, threads) as f:
            found[name] = f.ask("peak", workload.name)
    return found


class Table:
    """A Markdown table, written row by row: figures by column, and where it has peers, the best one over fdl."""

    def __init__(self, columns, unit, compared):
        self.columns, self.unit, self.compared = columns, unit, compared
        self.ratios = {}
        print(
            "| workload | "
            + " | ".join(columns)
            + (" | best peer / fdl" if compared else "")
            + " |\n|"
            + "---|" * (len(columns) + 1 + compared)
        )

    def add(self, name, figures):
        figures = {c: figures[c] for c in self.columns if figures.get(c) is not None}
        row = [
            name,
            *(
                "" if c not in figures else "differs" if math.isnan(figures[c]) else f"{figures[c] / self.unit:.2f}"
                for c in self.columns
            ),
        ]
        figures = {c: v for c, v in figures.items() if not math.isnan(v)}
        if self.compared:
            peers = [v for c, v in figures.items() if c != "fdl"]
            if peers and "fdl" in figures:
                self.ratios[name] = min(peers) / figures["fdl"]
            row.append(f"{self.ratios[name]:.2f}" if name in self.ratios else "")
        print("| " + " | ".join(row) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--only", default="fdl,jax,torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--png", help="draw the ratios, best peer over fdl, into this file (needs matplotlib)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--first", action="store_true", help="seconds to the end of the first step, without caches and with"
    )
    what.add_argument("--memory", action="store_true", help="MB that a step takes at its highest")
    options = parser.parse_args()
    names = [n for n in options.only.split(",") if importlib.util.find_spec(PACKAGES[n])]
    patterns = options.patterns or (FIRST if options.first else MEMORY if options.memory else ["*"])
    workloads = [
        w for w in WORKLOADS + (COMPILED if options.first else []) if any(fnmatch.fnmatch(w.name, p) for p in patterns)
    ]

    if options.first:
        print(f"seconds to the end of the first step; {options.threads} threads\n")
        table = Table([f"{n}, {kind}" for n in names for kind in ("cold", "warm")], 1, False)
        for w in workloads:
            table.add(w.name, first_steps(w, names, options.threads))
    elif options.memory:
        print(f"MB of a step at its highest, above the state after import and data; {options.threads} threads\n")
        table = Table(names, 1e6, True)
        for w in workloads:
            table.add(w.name, peaks(w, names, options.threads))
    else:
        with contextlib.ExitStack() as stack:
            frameworks = [stack.enter_context(Framework(n, options.threads)) for n in names]
            print(
                "us a call, medians;",
                ", ".join(f"{f.name} {f.version}" for f in frameworks),
                f"; {options.threads} threads\n",
            )
            table = Table(names, 1e-6, True)
            for w in workloads:
                table.add(w.name, step_times(w, frameworks, options.rounds))
        if len(table.ratios) > 1:
            mean = statistics.geometric_mean(min(r, 10) for r in table.ratios.values())
            print(f"\ngeometric mean of {len(table.ratios)} ratios, each at most 10: {mean:.2f}")
    if options.png and table.ratios:
        draw(table.ratios, options.png)


def draw(ratios, path):
    """Bars of best peer over fdl, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(reversed(ratios))
    figure, axes = pyplot.subplots(figsize=(9, 0.28 * len(names) + 1.2))
    axes.barh(
        names, [ratios[n] - 1 for n in names], left=1, color=["#2a7f62" if ratios[n] >= 1 else "#b5533c" for n in names]
    )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("best peer / fdl (right of 1: fdl is ahead)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
