"""The access relation against brute force: every loop run, every address worked out."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdl.core import dtypes
from fdl.lowering.ir.access import Access, History, accesses, cuts, fault, in_part, loops_of, passes, where
from fdl.lowering.ir.expr import Buffer, Interner
from fdl.lowering.ir.index import Axis, Index, iteration, trips
from fdl.lowering.ir.nodes import Dot, Fused, Map, Operand, Reduce, Routine, Store
from fdl.lowering.ir.rewrite import over_loops

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3)
COEFFICIENT = st.integers(-3, 6)


@st.composite
def conditional_loads(draw):
    """An access of a map's loops, with conditions that compare its loops, and the sizes of these."""
    exprs, sizes = Interner(), draw(SIZES)
    buffer = Buffer(0, dtypes.float32, 1 << 20, "input")
    index = Index(draw(st.integers(0, 40)), ())
    loops = exprs.axes(sizes)
    for v in loops:
        index = index + v.index * draw(COEFFICIENT)
    conditions = []
    for _ in range(draw(st.integers(0, 2))):
        v = draw(st.sampled_from(loops))
        number = exprs.make("number", (), dtypes.int64, v.index + draw(st.integers(-1, 1)))
        limit = exprs.make("const", (), dtypes.int64, np.int64(draw(st.integers(0, 4))))
        conditions.append(exprs.make(draw(st.sampled_from(["lt", "ge"])), (number, limit), dtypes.bool_))
    return Access(buffer, index, loops, False, Map(loops, []), tuple(conditions))


def holds(condition, at):
    index, limit = condition.args[0].attr, int(condition.args[1].attr)
    value = address(index, at)
    return value < limit if condition.op == "lt" else value >= limit


def address(index, at):
    return index.const + sum(c * at[v] for v, c in index.terms)


def points(a):
    """Values of all loops, wherever the access happens."""
    for place in itertools.product(*(range(v.size) for v in a.loops)):
        at = dict(zip(a.loops, place, strict=True))
        if all(holds(c, at) for c in a.conditions):
            yield at


@given(conditional_loads(), st.integers(0, 3))
def test_a_slab_holds_all_that_is_touched_while_its_loops_stand(a, count):
    first = a.loops[:count]
    found = a.slab(first)
    assert found is not None and found.outside == ()
    met = {address(a.index, at) - sum(c * at[v] for v, c in zip(first, found.steps, strict=True)) for at in points(a)}
    assert all(found.low <= place <= found.high for place in met)
    if not a.conditions:
        assert (min(met), max(met)) == (found.low, found.high)


@st.composite
def walks(draw):
    """An access of a map that walks through its buffer in order, or nearly so, and numbers of parts and of elements of
    one part.
    """
    sizes, scale = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=3)), draw(st.integers(1, 3))
    index, step = Index(draw(st.sampled_from([0, 0, 0, 1])), ()), scale
    loops = Interner().axes(sizes)
    for v in reversed(loops):
        index = index + v.index * (step + draw(st.sampled_from([0, 0, 0, 0, 1, -1])))
        step *= v.size
    total = math.prod(sizes)
    count = draw(st.sampled_from([d for d in range(1, total + 1) if total % d == 0]))
    buffer = Buffer(0, dtypes.float32, step * draw(st.sampled_from([1, 1, 1, 2])), "temp")
    return Access(buffer, index, loops, False, Map(loops, [])), count


held = Counter()


@settings(max_examples=300)
@given(walks())
def test_what_stays_in_its_part_is_in_no_other(case):
    a, count = case
    found = in_part(a, count)
    held[found, count > 1] += 1
    size, total = a.buffer.size // count, trips(a.loops)
    for number, at in enumerate(points(a)):
        part = number // (total // count)
        for cut in cuts(a.loops, count) or []:
            assert cut.first(part) <= at[cut.loop] < cut.first(part) + cut.run
        if found:
            assert part * size <= address(a.index, at) < (part + 1) * size


def test_some_stay_in_their_part():
    """In the test above, which runs here where nobody has run it."""
    if not held:
        test_what_stays_in_its_part_is_in_no_other()
    assert held[True, True] > 10 and held[False, True] > 10


@given(conditional_loads())
def test_conditions_bound_their_loops(a):
    bounds = where(a.conditions, a.loops)
    for at in points(a):
        assert all(low <= at[v] <= high for v, (low, high) in bounds.items())


def test_a_counter_of_an_outer_loop_moves_all_of_a_slab():
    i, t = Axis("i", 4), Axis("t", 9)
    a = Access(Buffer(0, dtypes.float32, 100, "temp"), i.index * 2 + t.index * 10 + 3, (i,), False, Map((i,), []))
    found = a.slab([])
    assert (found.low, found.high, found.outside) == (3, 9, ((t, 10),))
    assert not a.stays({}, 100)  # where it lies, its own loops do not say


def test_an_address_that_follows_from_data_is_not_known():
    exprs, b = Interner(), Buffer(0, dtypes.int64, 9, "input")
    load = exprs.make("load", (), dtypes.int64, (b, Index(0, ())))
    assert Access(b, Index(0, ((load, 1),)), (), False, Map((), [])).slab([]) is None


def product(backwards=False):
    """Two products of matrices 2x4 and 4x2, which may lie from the last element to the first one."""
    b = [Buffer(k, dtypes.float32, 64, "temp") for k in range(3)]
    v, m, n, k = Interner().axes([2, 2, 2, 4])
    place = v.index * 8 + m.index * 4 + k.index
    lhs, rhs = Operand(b[0], place * -1 + 15 if backwards else place), Operand(b[1], k.index * 2 + n.index)
    return Dot((v,), (m,), (n,), (k,), lhs, rhs, Operand(b[2], v.index * 4 + m.index * 2 + n.index), dtypes.float32)


def test_products_touch_what_their_loops_lead_to():
    dot = product()
    (v,), b = dot.space, [x.buffer for x in (dot.lhs, dot.rhs, dot.out)]
    found = {a.buffer: a for a in accesses(dot)}
    assert [(found[x].slab([v]).high, found[x].written) for x in b] == [(7, False), (7, False), (3, True)]
    assert found[b[0]].stays({v: 8}, 8) and not found[b[0]].stays({v: 8}, 7)
    assert found[b[2]].stays({v: 4}, 4) and not found[b[1]].stays({v: 8}, 8)
    dot = product(backwards=True)
    back = next(accesses(dot)).slab(dot.space)
    assert (back.low, back.high, back.steps) == (8, 15, (-8,))


def test_routines_touch_runs():
    b = [Buffer(k, dtypes.float32, 12, "temp") for k in range(2)]
    (v,) = Interner().axes([3])
    operands = [Operand(x, v.index * 4, 3) for x in b]
    for a in accesses(Routine((v,), "", operands[:1], operands[1:], [], ())):
        assert a.stays({v: 4}, 4) and not a.stays({v: 4}, 3)


def test_what_follows_the_rows_of_a_product_leaves_its_operands():
    b, exprs = [Buffer(k, dtypes.float32, 16, "temp") for k in range(4)], Interner()
    i, j, k = exprs.axes([4, 4, 4])
    place = i.index * 4 + j.index
    lhs, rhs = Operand(b[0], i.index * 4 + k.index), Operand(b[1], k.index * 4 + j.index)
    dot = Dot((), (i,), (j,), (k,), lhs, rhs, Operand(b[2], place), dtypes.float32)
    value = exprs.make("load", (), dtypes.float32, (b[2], place))
    for buffer, may in ((b[3], True), (b[0], False), (b[1], False)):
        found = fault(Fused((Axis("p", 4),), [dot, Map((i, j), [Store(buffer, place, value)])]))
        assert found is None if may else "none of its operands" in found


@st.composite
def stages(draw):
    """Maps over ten elements each of which reads some buffers and writes one, and how they touch elements."""
    buffers = [Buffer(k, dtypes.float32, 10, "temp") for k in range(5)]
    exprs, nodes = Interner(), []
    space = exprs.axes([10])
    i = iteration(space)
    for _ in range(draw(st.integers(2, 6))):
        value = exprs.make("const", (), dtypes.float32, np.float32(draw(st.integers(1, 9))))
        for b in draw(st.lists(st.sampled_from(buffers), max_size=2)):
            back = draw(st.booleans())
            load = exprs.make("load", (), dtypes.float32, (b, i * -1 + 9 if back else i))
            value = exprs.make("add", (value, load), dtypes.float32)
        nodes.append(Map(space, [Store(draw(st.sampled_from(buffers)), i, value)]))
    return buffers, nodes, exprs


def run(buffers, nodes, parts=1):
    """What the buffers hold after all nodes, of which a part each runs before the next part of any."""
    memory = {b: np.arange(10.0) * (b.number + 1) for b in buffers}

    def value(e, at):
        if e.op == "load":
            b, index = e.attr
            return memory[b][[address(index, {v: k for v, _ in index.terms}) for k in at]]
        return e.attr if e.op == "const" else value(e.args[0], at) + value(e.args[1], at)

    size = 10 // parts
    for part in range(parts):
        at = range(part * size, (part + 1) * size)
        for n in nodes:
            memory[n.stores[0].buffer][at] = value(n.stores[0].value, at)
    return [memory[b].tolist() for b in buffers]


@settings(max_examples=300)
@given(stages(), st.sampled_from([10, 5, 2]))
def test_stages_that_run_part_by_part_mean_the_same(case, loops):
    buffers, nodes, exprs = case
    nodes = [n for n in nodes if n.stores[0].buffer not in n.reads()][:3]  # which are a map's elements in any order
    loops, inner = (Axis("p", loops),), Axis("q", 10 // loops)
    other = Routine(loops, "", [], [], [], ())  # with which it is a tile: stages may run some iterations in a part
    place = loops[0].index * inner.size + inner.index
    rows = [over_loops(n, [inner], dict.fromkeys(n.space, place), exprs) for n in nodes]
    for body in (rows, [*nodes, other]):
        if fault(Fused(loops, body)) is None:
            held[trips(loops), len(body)] += 1
            assert run(buffers, nodes, trips(loops)) == run(buffers, nodes)


@given(stages())
def test_a_stage_moves_to_where_it_may_join_and_nothing_changes(case):
    buffers, nodes, exprs = case
    history = History()
    for place, n in enumerate(nodes[:-1]):
        history.put(n, place)
    last, want = nodes[-1], run(buffers, nodes)
    for place in range(len(nodes) - 1):
        if history.joins(last, place):
            assert run(buffers, [*nodes[: place + 1], last, *nodes[place + 1 : -1]]) == want


@given(stages())
def test_stages_that_pass_others_may_run_behind_them(case):
    buffers, nodes, exprs = case
    for place in range(len(nodes)):
        if passes([nodes[place]], nodes[place + 1 :]):
            assert run(buffers, [*nodes[:place], *nodes[place + 1 :], nodes[place]]) == run(buffers, nodes)


def test_folds_have_their_loops_last():
    b = Buffer(0, dtypes.float32, 3, "temp")
    exprs = Interner()
    i, j, k = exprs.axes([3, 4, 5])
    fold = Reduce((i,), exprs.make("const", (), dtypes.float32, np.float32(1)), b, i.index, (j, k), "add", True)
    assert loops_of(fold) == (i, j, k)


FAULTS = {
    "reach is forgotten": ("slab", lambda slab, a, first: _without_reach(slab(a, first), a)),
    "the last iteration is forgotten": ("slab", lambda slab, a, first: _shorter(slab(a, first))),
}


def _without_reach(found, a):
    return None if found is None else type(found)(found.low, found.high - a.reach, found.steps, found.outside)


def _shorter(found):
    return None if found is None else type(found)(found.low, max(found.low, found.high - 1), found.steps, found.outside)


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_caught(name, monkeypatch):
    method, fault = FAULTS[name]
    real = getattr(Access, method)
    monkeypatch.setattr(Access, method, lambda a, first: fault(real, a, first))
    tests = [
        test_a_slab_holds_all_that_is_touched_while_its_loops_stand,
        test_products_touch_what_their_loops_lead_to,
        test_routines_touch_runs,
    ]
    with pytest.raises(AssertionError):
        for test in tests:
            test()


def test_parts_that_are_not_looked_at_are_caught(monkeypatch):
    monkeypatch.setattr("fdl.lowering.ir.access.in_part", lambda a, count: True)
    with pytest.raises(AssertionError):
        test_stages_that_run_part_by_part_mean_the_same()


def test_a_history_that_forgets_is_caught(monkeypatch):
    monkeypatch.setattr(History, "put", lambda self, n, place: None)
    with pytest.raises(AssertionError):
        test_a_stage_moves_to_where_it_may_join_and_nothing_changes()
