"""Seeing what the compiler made of a function."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

from fdl.backends.c import CExecutable, plan_of
from fdl.backends.toolchain import INSTALL, find_compiler, host_target
from fdl.core.config import config
from fdl.core.errors import CompileError
from fdl.lowering.ir.index import trips
from fdl.lowering.ir.nodes import Branch, Dot, Fused, Loop, Node
from fdl.lowering.ir.rewrite import all_nodes, calls
from fdl.lowering.pipeline import Lowered, lower
from fdl.transforms.api.jit import Jitted, jit
from fdl.transforms.stage import make_graph

__all__ = ["Explanation", "Profile", "Stage", "explain", "profile"]


def _work(nodes: Iterable[Node]) -> int:
    """Scalar operations of some stages, one after another."""
    total = 0
    for n in nodes:
        if isinstance(n, Loop):
            total += (n.axis.size if n.axis is not None else 1) * sum(map(_work, n.nested()))
        elif isinstance(n, Branch):
            total += max(map(_work, n.nested()), default=0)
        elif isinstance(n, Fused) and not n.kernel:
            total += _work(n.body)
        elif isinstance(n, Dot):  # its `work` is what it costs, in operations of other stages
            total += 2 * trips(n.space) * n.m * n.n * n.k
        else:
            total += n.work()
    return total


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What a function became; `str` is readable in a terminal."""

    lowered: Lowered

    @property
    def graph(self) -> str:
        """The optimised graph, each equation with the user's line."""
        return self.lowered.graph.pretty()

    @property
    def source(self) -> str:
        """The generated C."""
        return self.lowered.source

    @property
    def kernels(self) -> dict[str, list[str]]:
        """The user's lines that each kernel computes."""
        return {name: [str(line) for line in lines] for name, lines in self.lowered.lines.items()}

    @property
    def arena_bytes(self) -> int:
        """Bytes of all temporaries together."""
        return self.lowered.arena.size

    @property
    def peak_bytes(self) -> int:
        """Bytes that are there at once while the program runs: arguments, results that do not take an argument's
        memory, temporaries of all threads.
        """
        program, arena = self.lowered.program, self.lowered.arena
        results: int = sum(b.nbytes for b in dict.fromkeys(program.outputs) if b not in arena.in_place)
        return int(
            sum(b.nbytes for b in program.inputs)
            + results
            + arena.size
            + arena.own * (config.threads if self.lowered.parallel else 1)
        )

    @property
    def traffic_bytes(self) -> int:
        """Bytes that the stages read and write, each buffer once a stage."""
        cached = self.lowered.arena.scratch
        return sum(
            b.nbytes for n in calls(self.lowered.program.nodes) for b in [*n.reads(), *n.writes()] if b not in cached
        )

    @property
    def operations(self) -> int:
        """Scalar operations, roughly: of all steps of loops whose length is known, of one of those that test."""
        return _work(self.lowered.program.nodes)

    def html(self) -> str:
        """All of it as one page that needs nothing else: stages by what they touch, then graph, kernels and source."""
        rows = "".join(
            f"<tr><td>{escape(type(n).__name__.lower())}</td><td>{escape(_described(n))}</td><td "
            f"class=n>{n.work():,}</td>"
            f"<td class=n>{sum(b.nbytes for b in dict.fromkeys([*n.reads(), *n.writes()])):,}</td>"
            f"<td>{escape(', '.join(map(str, dict.fromkeys(n.sources))))}</td></tr>"
            for n in all_nodes(self.lowered.program.nodes)
        )
        parts = (("Graph", self.graph), ("Stages", str(self.lowered.planned)), ("C source", self.source))
        shown = "".join(
            f"<details><summary>{title}</summary><pre>{escape(text)}</pre></details>" for title, text in parts
        )
        return (
            "<!doctype html><meta charset=utf-8><title>fdl.explain</title><style>body{font:14px "
            "system-ui;margin:2em auto;max-width:80em}"
            "table{border-collapse:collapse}td,th{padding:.2em .6em;border-bottom:1px solid "
            "#ddd;text-align:left}.n{text-align:right}pre{overflow:auto}</style>"
            f"<h1>Compiled program</h1><p>Peak {self.peak_bytes:,} bytes, of which arena {self.arena_bytes:,}; "
            f"traffic {self.traffic_bytes:,} bytes, "
            f"about {self.operations:,} operations, "
            f"{'all threads' if self.lowered.parallel else 'one thread'}.</p>"
            f"<table><tr><th>stage</th><th>extent</th><th>operations</th><th>bytes</th><th>lines</th></tr>{rows}</table>{shown}"
        )

    def __str__(self) -> str:
        p = self.lowered.program
        kernels = "\n".join(f"{name}: {', '.join(lines) or 'no user line'}" for name, lines in self.kernels.items())
        mode = "one parallel region" if self.lowered.parallel else "one thread: too small for a region"
        return "\n".join(
            [
                "== graph", self.graph,
                "", f"== stages ({sum(1 for _ in all_nodes(p.nodes))}, {mode})", str(self.lowered.planned),
                "", "== kernels and the lines that they compute", kernels,
                "",
                f"== memory: peak {self.peak_bytes} bytes, of which arena {self.arena_bytes} and "
                f"{self.lowered.arena.own} a thread; "
                f"traffic {self.traffic_bytes} bytes, about {self.operations} operations",
                "", "== C source", self.source,
            ]
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Stage:
    """What one stage of a program took: seconds a call on the first thread, of these waiting for other threads, and the
    user's lines that it computes.
    """

    kernel: str
    what: str
    seconds: float
    waited: float
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Profile:
    """Time by stage, the longest first; `str` is readable in a terminal."""

    stages: tuple[Stage, ...]
    seconds: float

    def __str__(self) -> str:
        rows = [f"{'us':>10} {'waited':>8} {'share':>6}  stage"]
        for s in self.stages:
            share = s.seconds / max(self.seconds, 1e-12)
            rows.append(
                f"{s.seconds * 1e6:10.1f} {s.waited * 1e6:8.1f} {share:6.1%}  {s.kernel}: {s.what}; "
                f"{', '.join(s.lines) or 'no user line'}"
            )
        return "\n".join([*rows, f"{self.seconds * 1e6:10.1f} us a call in all"])


def profile(f: Callable[..., Any], calls: int = 10) -> Callable[..., Profile]:
    """`profile(f)(*args)` compiles f with a clock at each stage, runs it some times, and says where the time goes.

    >>> import fdl.numpy as jnp
    >>> shown = profile(lambda x: jnp.tanh(x) * 2)(jnp.ones(3))
    >>> len(shown.stages)
    1
    """

    def profiled(*args: Any, **kwargs: Any) -> Profile:
        entry, leaves = (f if isinstance(f, Jitted) else jit(f)).lookup(args, kwargs)
        graph, arrays = entry.graph, [*entry.values(), *leaves]
        compiler = find_compiler()
        if compiler is None:
            raise CompileError(
                "profile: there is no C compiler", why="times are those of compiled stages", hint=INSTALL
            )
        lowered = lower(graph, compiler.target, timed=True)
        program = CExecutable(graph, compiler, plan=lambda: plan_of(lowered, compiler))
        times = program.table("fdl_times", 2 * len(lowered.clocks))
        program(arrays)
        times[:] = [0.0] * len(times)
        start = time.perf_counter()
        for _ in range(calls):
            program(arrays)
        seconds = (time.perf_counter() - start) / calls
        stages = [
            Stage(
                name,
                _described(node),
                sum(times[2 * i : 2 * i + 2]) / calls,
                times[2 * i] / calls,
                tuple(map(str, dict.fromkeys(node.sources))),
            )
            for i, (name, node) in enumerate(lowered.clocks)
        ]
        return Profile(tuple(sorted(stages, key=lambda s: -s.seconds)), seconds)

    return profiled


def _described(node: Node) -> str:
    """A stage in one line: its kind and extents."""
    if isinstance(node, Dot):
        return f"dot {node.m}x{node.k}x{node.n}" + (f", {trips(node.space)} of them" if node.space else "")
    if isinstance(node, Fused) and node.product is not None:
        return ", then ".join(map(_described, node.body))
    space, over = (
        "x".join(str(a.size) for a in axes)
        for axes in (node.loops if isinstance(node, Fused) else getattr(node, "space", ()), getattr(node, "over", ()))
    )
    return f"{type(node).__name__.lower()} {space or 'scalar'}{f' over {over}' if over else ''}"


def explain(f: Callable[..., Any]) -> Callable[..., Explanation]:
    """`explain(f)(*args)` shows graph, stages, kernels with the user's lines, memory and generated C; nothing is run.

    >>> import fdl.numpy as jnp
    >>> shown = explain(lambda x: jnp.tanh(x) * 2)(jnp.ones(3))
    >>> "fdl_tanh_f32" in shown.source
    True
    """

    def explained(*args: Any, **kwargs: Any) -> Explanation:
        graph = f.lookup(args, kwargs)[0].graph if isinstance(f, Jitted) else make_graph(f)(*args, **kwargs).lift()[0]
        return Explanation(lower(graph, host_target()))

    return explained
