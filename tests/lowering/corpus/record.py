"""Record the corpus anew: python -m tests.lowering.corpus.record [benchmarks programs primitives random new]
[--programs FOLDER]

Each kind is a file of its own. `benchmarks` runs the rows of the benchmark and `programs` the Python files of FOLDER,
each in a process of its own, and keeps what they compile; `primitives` takes the samples beside each operation and
their gradients, `random` draws programs with a fixed seed. `new` adds what the corpus does not know of operations, and
leaves all else as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import re
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core import dtypes
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.graph import Graph
from fdl.core.primitive import OWN, Primitive
from fdl.core.pytree import tree_leaves
from fdl.ops.checks import check_p
from fdl.transforms.stage import stage
from tests.conftest import ROOT
from tests.lowering import test_programs
from tests.lowering.corpus import compiler
from tests.lowering.corpus.data import FAILURE, HERE, NotData, Record, from_data, raw_corpus, to_data, write
from tests.ops import test_samples
from tests.transforms import test_closure

FEWEST, MOST = 8, 5  # equations of a program's graph, and graphs of which most users run the interpreter
WITHOUT = ("unrolled.200", "unrolled.400", "unrolled.800")  # as unrolled.100, and longer
SECONDS = 3.0  # for which a row is run again, so that loops that compile themselves do so
SHAPES = [(3, 4), (1, 5), (6, 1), (17, 33), (64, 64), (210, 190)]
STANDS_FOR = {"torch": "fdl.stateful", "jax": "fdl"}

Found = tuple[Graph, tuple[int, ...]]


def record(name: str, graph: Graph, donated: Sequence[int] = ()) -> Record:
    """A record of a graph without calls, constants and messages, which is read as it was written."""
    bare = compiler.inline(graph.lift()[0])
    equations = [e.replace(params={"failure": FAILURE}) if e.primitive is check_p else e for e in bare.equations]
    bare = Graph(bare.inputs, tuple(equations), bare.outputs)
    back = from_data(to_data(bare))
    back.check()
    assert str(back) == str(bare), name
    return Record(name, back, tuple(donated))


def compiled_by(run: Callable[[], object]) -> list[Found]:
    """Graphs and donated inputs that are compiled while something runs, in order, each once."""
    found: dict[tuple[str, tuple[int, ...]], Found] = {}
    begin = compiler.Executable.__init__

    def remember(self: Any, graph: Graph, compiler: Any, donated: Sequence[int] = (), *more: Any) -> None:
        found.setdefault((str(graph), tuple(donated)), (graph, tuple(donated)))
        begin(self, graph, compiler, donated, *more)

    compiler.Executable.__init__ = remember
    try:
        run()
    finally:
        compiler.Executable.__init__ = begin
    return list(found.values())


def named(name: str, found: Sequence[Found]) -> Iterator[Record]:
    """Records of what something compiled, numbered where there is more than one; says what is left out."""
    for i, (graph, donated) in enumerate(found):
        try:
            yield record(f"{name}.{i}" if len(found) > 1 else name, graph, donated)
        except NotData as error:
            print(f"{name}.{i} is left out: {error}")


def benchmark_rows() -> list[str]:
    """Names of the rows."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    workloads = __import__("workloads")
    return [w.name for w in workloads.WORKLOADS + workloads.COMPILED if w.name not in WITHOUT]


def benchmark_row(name: str) -> list[Record]:
    """What a row compiles."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    adapter = __import__("adapters.fdl", fromlist=["Adapter"]).Adapter(2)
    worker = __import__("worker").Worker(adapter)

    def run() -> None:
        worker.build(name)
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            worker.run(1)

    return list(named(f"benchmarks/{name}", compiled_by(run)))


def training_program(path: str) -> list[Record]:
    """What a program compiles, fdl standing in for torch or jax in its import lines; and what else it compiles where
    nothing is interpreted, the largest graphs of that.
    """
    text = Path(path).read_text()
    for old, new in STANDS_FOR.items():
        text = re.sub(rf"^import {old}$", f"import {new} as {old}", text, flags=re.M)
        text = re.sub(rf"^import {old}\.([\w.]+) as", rf"import {new}.\1 as", text, flags=re.M)
        text = re.sub(rf"^from {old}(\.[\w.]+)? import", rf"from {new}\1 import", text, flags=re.M)
    sys.path.insert(0, str(Path(path).parent))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        rewritten = Path(folder, Path(path).name)
        rewritten.write_text(text)
        run = lambda: runpy.run_path(str(rewritten), run_name="__main__")
        found = [f for f in compiled_by(run) if len(f[0].equations) >= FEWEST]
        config.tier = "compiled"
        more = [f for f in compiled_by(run) if str(f[0]) not in {str(graph) for graph, _ in found}]
    more = sorted(more, key=lambda f: len(f[0].equations))[-MOST:]
    return list(named(f"programs/{Path(path).stem}", found + [f for f in more if len(f[0].equations) >= FEWEST]))


def control_flow() -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    """Functions with loops, branches and checks, whose primitives have no samples."""
    x = jnp.asarray(np.array([0.3, -0.7, 1.1], np.float32))
    m = jnp.asarray(np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6))
    steps = lambda v: lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, jnp.sin(c[1]) + v), (0, v))[1]
    switch = lambda i, v: lax.switch(i, [jnp.sin, jnp.cos, lambda u: u * u, jnp.exp], v)

    def checked(v: Any) -> Any:
        fdl.ops.check(v > 3, FAILURE)
        return jnp.sqrt(v)

    return {
        **{f.__name__: (f, [x]) for f in test_closure.FUNCTIONS},
        "checked": (checked, [m]),
        "steps": (steps, [m]),
        "switch": (switch, [jnp.asarray(2), m]),
        "switches": (fdl.vmap(switch), [jnp.asarray([0, 3, 1, 2, 0]), m]),
        "stacks": (lambda v: lax.scan(lambda c, r: (c * 0.5 + r, (c, r * c)), v[0], v, reverse=True), [m]),
    }


def of_function(name: str, f: Callable[..., Any], args: Sequence[Any]) -> Record:
    """What a function of flat arguments records."""
    return record(name, fdl.make_graph(f)(*args))


def of_primitive(primitive: Primitive) -> Iterator[Record]:
    """All samples of a primitive as one graph, those of complex numbers as another, and the gradients of all samples
    that have one.
    """
    kinds: dict[str, list[Any]] = {"": [], ".complex": []}
    for s in test_samples.good(primitive):
        kinds[".complex" if any(map(np.iscomplexobj, s.make(primitive.name))) else ""].append(s)
    for kind, chosen in kinds.items():
        if chosen:
            yield record(f"primitives/{primitive.name}{kind}", test_samples.joint_graph(primitive, chosen)[0])
    samples = test_samples.differentiable(primitive)
    if samples and primitive.name != "stop_gradient":
        yield record(f"primitives/{primitive.name}.gradient", gradient_graph(primitive, samples))


def gradient_graph(primitive: Primitive, samples: Sequence[Any]) -> Graph:
    """Gradients of the sum of squared sizes of each sample's result, with respect to operands of single precision."""
    given = [list(map(from_numpy, s.make(primitive.name))) for s in samples]

    def all_gradients(*xs: Any) -> list[Any]:
        rest, outs = iter(xs), []
        for s, group in zip(samples, given, strict=True):
            args = [next(rest) for _ in group]
            moving = [i for i, a in enumerate(group) if a.dtype in (dtypes.float32, dtypes.complex64)]

            def loss(*ys: Any, args: Any = args, moving: Any = moving, params: Any = s.params) -> Any:
                full = list(args)
                for i, y in zip(moving, ys, strict=True):
                    full[i] = y
                out = test_samples.first(primitive, *full, **params)
                return jnp.sum(jnp.real(out * jnp.conj(out)))

            outs += tree_leaves(fdl.grad(loss, tuple(range(len(moving))))(*[args[i] for i in moving]))
        return outs

    return stage(all_gradients, [a.aval for group in given for a in group], "gradients")


def primitives() -> Iterator[Record]:
    """Samples of each primitive of fdl, and control flow."""
    for primitive in sorted(OWN):
        yield from of_primitive(primitive)
    for name, (f, args) in control_flow().items():
        yield of_function(f"primitives/control.{name}", f, args)
        loss = lambda *xs, f=f: sum(jnp.sum(jnp.sin(y)) for y in tree_leaves(f(*xs)))
        if name not in ("steps", "checked"):  # no reverse mode through a while loop
            yield of_function(f"primitives/control.{name}.gradient", fdl.grad(loss, len(args) - 1), args)


def with_new_primitives() -> Iterator[Record]:
    """What is recorded of primitives, and samples of those of which nothing is."""
    known = {name: raw for name, raw in raw_corpus().items() if name.startswith("primitives/")}
    yield from (Record.of(name, raw) for name, raw in known.items())
    for primitive in sorted(OWN):
        if primitive.has("lower") or primitive.has("parts"):
            yield from (r for r in of_primitive(primitive) if r.name not in known)


def random_program(rng: np.random.Generator) -> Callable[[Any], Any]:
    """A function of a matrix, out of the operations from which the tests of random programs draw."""
    kinds = (test_programs.UNARY, test_programs.BINARY, test_programs.SHAPING)
    steps = [[int(n) for n in rng.integers(0, (3, 30, 6, 6))] for _ in range(rng.integers(2, 10))]

    def f(x: Any) -> Any:
        pool = [x, x * 0.7 + 0.1]
        for kind, which, i, j in steps:
            a, b = pool[i % len(pool)], pool[j % len(pool)]
            if kind == 1 and a.shape != b.shape:
                continue
            operation = kinds[kind][which % len(kinds[kind])]
            pool.append(jnp.clip(operation(*(a, b)[: 2 if kind == 1 else 1]), -3, 3))
        return pool[2:] or pool

    return f


def random_programs(count: int = 100) -> Iterator[Record]:
    """Programs of all shapes and float dtypes, every third one with its gradient."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        f, shape = random_program(rng), SHAPES[seed % len(SHAPES)]
        dtype = ("float64", "bfloat16")[seed // 7 % 2] if seed % 7 == 6 else "float32"
        x = jnp.asarray(rng.uniform(-1.5, 1.5, shape)).astype(dtype)
        loss = lambda v, f=f: sum(jnp.sum(y * y) for y in f(v))
        g = fdl.grad(loss) if seed % 3 == 2 else f
        try:
            yield of_function(f"random/{seed:03}", g, [x])
        except fdl.FdlError as error:
            print(f"random/{seed:03} is left out: {str(error).splitlines()[0]}")


def apart(f: Callable[[str], list[Record]], arguments: Sequence[str]) -> Iterator[Record]:
    """Results of `f`, each in a process of its own; equal graphs once."""
    seen = set()
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for found in pool.imap(_as_data(f), arguments):
            for name, data, donated in found:
                print(f"{name}: {len(data['equations'])} equations")
                if (str(data), donated) not in seen:
                    seen.add((str(data), donated))
                    yield Record(name, from_data(data), donated)


class _as_data:
    """A function of records whose results can be sent to another process."""

    def __init__(self, f: Callable[[str], list[Record]]) -> None:
        self.f = f

    def __call__(self, argument: str) -> list[tuple[str, Any, tuple[int, ...]]]:
        return [(r.name, to_data(r.graph), r.donated) for r in self.f(argument)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["benchmarks", "primitives", "random"])
    parser.add_argument("--programs", type=Path, help="folder of training programs")
    options = parser.parse_args()
    makers: dict[str, Callable[[], Iterator[Record]]] = {
        "benchmarks": lambda: apart(benchmark_row, benchmark_rows()),
        "programs": lambda: apart(training_program, sorted(map(str, options.programs.glob("*_*.py")))),
        "primitives": primitives,
        "random": random_programs,
        "new": with_new_primitives,
    }
    for kind in options.kinds:
        records, file = list(makers[kind]()), HERE / f"{'primitives' if kind == 'new' else kind}.json.xz"
        write(file, records)
        print(f"{kind}: {len(records)} graphs, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
