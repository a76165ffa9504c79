"""Barriers: random programs are run thread by thread on paper, element by element, and no thread touches what another
one wrote or reads since they last met.
"""

import numpy as np
import pytest
from hypothesis import given, settings

import fdl.numpy as jnp
from fdl import nn
from fdl.backends.toolchain import host_target
from fdl.lowering.ir.access import loops_of
from fdl.lowering.ir.expr import walk
from fdl.lowering.ir.index import Axis, trips
from fdl.lowering.ir.nodes import Argmax, Dot, Fused, Loop, Map, Reduce, Threads
from fdl.lowering.ir.planned import Barrier, Copy, Swap
from fdl.lowering.ir.shares import Touched
from fdl.lowering.pipeline import lower
from tests.lowering.targets import retarget
from tests.lowering.test_programs import programs
from tests.lowering.test_tile import graph_of

R = np.random.default_rng(0)


def addresses(index, loops, first):
    """Elements at an address, for these iterations of the first loop and all of the others; None where only the program
    knows.
    """
    if not all(isinstance(a, Axis) for a, _ in index.terms):
        return None
    at = np.array([index.const + sum(c for a, c in index.terms if a not in loops)])  # steps of enclosing loops are 1
    for a, c in index.terms:
        if a in loops:
            at = np.unique(at[:, None] + c * (first if a is loops[0] else np.arange(a.size)))
    return at


def touches(n, lo, hi):
    """(buffer, written, elements or None for all of them) of iterations lo to hi."""
    rows = np.arange(lo, hi)
    if isinstance(n, Fused) and n.kernel:
        for m in n.body:
            yield from (x for x in of_loops(m, rows, n.loops) if x[0] not in n.locals)
    elif isinstance(n, Dot):
        numbers = dict(zip(n.space, np.unravel_index(rows, [a.size for a in n.space]), strict=True))
        for x, written in ((n.lhs, False), (n.rhs, False), (n.out, True)):
            start = n.outside(x)
            at = start.const + sum((c * numbers.get(a, 1) for a, c in start.terms), start=np.zeros(1, int))
            for a in (*n.rows, *n.cols, *n.over):
                at = np.unique(at[:, None] + x.index.coefficient(a) * np.arange(a.size))
            yield x.buffer, written, at
    elif isinstance(n, Fused):
        yield from ((b, False, None) for b in n.product.reads())
        size = n.product.out.buffer.size // n.count
        yield n.product.out.buffer, True, np.arange(lo * size, hi * size)
        yield from touches(n.body[-1], lo, hi)
    else:
        yield from of_loops(n, rows)


def of_loops(n, rows, around=()):
    loops = tuple(dict.fromkeys((*around, *loops_of(n))))
    for e in walk(n.roots()):
        if e.op == "load":
            yield e.attr[0], False, addresses(e.attr[1], loops, rows)
    for b, index in [(s.buffer, s.offset) for s in n.stores] if isinstance(n, Map) else [(n.store, n.offset)]:
        yield b, True, addresses(index, loops, rows)


class Team:
    """What each of so many threads touched since they last met."""

    def __init__(self, arena, threads):
        self.arena, self.threads = arena, threads
        self.meet()

    def meet(self):
        self.seen = {}  # memory -> [(reads, writes) of each thread], sets of bytes

    def run(self, n):
        extent = trips(n.space) if isinstance(n, Dot) else n.extent()
        known = (
            isinstance(n, (Map, Reduce, Argmax, Fused, Dot))
            and not (isinstance(n, Fused) and not n.kernel and n.product is None)
            and not (isinstance(n, Dot) and extent == 1)
        )
        now = {}
        for t in range(self.threads):
            if n.threads is Threads.ONE:
                mine = (
                    [*((b, False, None) for b in n.reads()), *((b, True, None) for b in n.writes())] if t == 0 else []
                )
            elif known:
                lo, hi = extent * t // self.threads, extent * (t + 1) // self.threads
                mine = list(touches(n, lo, hi)) if lo < hi else []
            else:
                mine = [*((b, False, None) for b in n.reads()), *((b, True, None) for b in n.writes())]
            for b, written, at in mine:
                b = self.arena.home(b)
                if b in self.arena.private:
                    continue
                place, start = ("arena", self.arena.offsets[b]) if b in self.arena.offsets else (b, 0)
                size = b.dtype.itemsize
                elements = np.arange(b.size) if at is None else at[(at >= 0) & (at < b.size)]  # padding is no load
                touched = set((start + elements[:, None] * size + np.arange(size)).reshape(-1).tolist())
                now.setdefault((place, t), (set(), set()))[written].update(touched)
        for (place, t), (reads, writes) in now.items():
            for u in range(self.threads):
                if u != t and (place, u) in self.seen:
                    was_read, was_written = self.seen[place, u]
                    assert not (reads & was_written or writes & was_written or writes & was_read), (
                        f"{n} races with what thread {u} did"
                    )
        for key, (reads, writes) in now.items():
            for mine, more in zip(self.seen.setdefault(key, (set(), set())), (reads, writes), strict=True):
                mine |= more


def race(lowered):
    """Run each list of nodes of the planned program with 2, 3 and 6 threads; how many barriers there are, and how many
    stages need none.
    """
    count = [0, 0]

    def visit(nodes):
        for threads in (2, 3, 6):
            team = Team(lowered.arena, threads)
            for n in nodes:
                if isinstance(n, Barrier):
                    if n.unless % threads:
                        team.meet()
                    count[0] += 1
                elif not isinstance(n, (Copy, Swap)):
                    count[1] += 1
                    team.run(n)
        for n in nodes:
            for nested in n.nested() if isinstance(n, Loop) and n.threads is Threads.ALL else []:
                visit(nested)

    if any(n.threads is Threads.ALL for n in lowered.planned.nodes):
        visit(lowered.planned.nodes)
    return count


@settings(max_examples=60)
@given(programs())
def test_no_thread_meets_another_ones_memory(f):
    with pytest.MonkeyPatch.context() as patch:
        retarget(patch, parallel_work=1)
        graph, _ = graph_of(f, [jnp.asarray(R.normal(size=(6, 9)).astype("f"))])
        race(lower(graph, host_target()))


def attention(q, k, v):
    return jnp.einsum("bhqk,bhkd->bhqd", nn.softmax(jnp.einsum("bhqd,bhkd->bhqk", q, k)), v)


def test_threads_that_find_their_own_work_do_not_wait(monkeypatch):
    retarget(monkeypatch, parallel_work=1)
    q = jnp.asarray(R.normal(size=(2, 3, 1, 16)).astype("f"))
    k = jnp.asarray(R.normal(size=(2, 3, 40, 16)).astype("f"))
    source = lower(graph_of(attention, [q, k, k])[0], host_target()).source
    assert source.count("gemm_f32") == 2
    assert (
        source.count("rt->barrier") == 1
    )  # batches of products and rows of the softmax are the same threads'; memory of the scores is used again
    rows = lower(
        graph_of(lambda x: (lambda y: (y, y.reshape(4, 60).sum(1)))(jnp.tanh(x)), [jnp.ones((12, 20))])[0],
        host_target(),
    ).source
    assert "if (4 % threads) rt->barrier" in rows


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 4, 5), (2, 1, 4, 5)])
def test_products_of_batches_that_share_an_operand(shape, monkeypatch):
    retarget(monkeypatch, parallel_work=1)
    x, y = jnp.asarray(R.normal(size=(2, 3, 6, 4)).astype("f")), jnp.asarray(R.normal(size=shape).astype("f"))
    f = lambda x, y: (lambda z: (z, jnp.tanh(jnp.matmul(x, z)), jnp.matmul(x, z).sum(-1)))(jnp.sin(y))
    race(lower(graph_of(f, [x, y])[0], host_target()))


def test_a_race_is_found(monkeypatch):
    """The check itself can fail: without barriers a fold over another axis races."""
    retarget(monkeypatch, parallel_work=1)
    monkeypatch.setattr(Touched, "waits", lambda self, n: 0)
    graph, _ = graph_of(lambda x: (lambda y: (y, y.sum(0)))(jnp.tanh(x)), [jnp.ones((12, 20))])
    with pytest.raises(AssertionError, match="races"):
        race(lower(graph, host_target()))
