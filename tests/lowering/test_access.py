"""The access relation against brute force: every loop run, every address worked out."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdl.core import dtypes
from fdl.lowering.ir.access import Access, History, accesses, loops_of, passes, row_steps, sized, where
from fdl.lowering.ir.expr import Buffer, Interner
from fdl.lowering.ir.index import Index, space_vars, step_var
from fdl.lowering.ir.nodes import Dot, Map, Operand, Reduce, Store

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3)
COEFFICIENT = st.integers(-3, 6)


@st.composite
def guarded_loads(draw):
    """An access of a map's loops, with conditions that compare its loops, and the sizes of these."""
    exprs, sizes = Interner(), draw(SIZES)
    buffer = Buffer(0, dtypes.float32, 1 << 20, "input")
    index = Index(draw(st.integers(0, 40)), ())
    for v in space_vars(len(sizes)):
        index = index + v * draw(COEFFICIENT)
    guards = []
    for _ in range(draw(st.integers(0, 2))):
        v = space_vars(1, draw(st.integers(0, len(sizes) - 1)))[0]
        number = exprs.make("number", (), dtypes.int64, v + draw(st.integers(-1, 1)))
        limit = exprs.make("const", (), dtypes.int64, np.int64(draw(st.integers(0, 4))))
        guards.append(exprs.make(draw(st.sampled_from(["lt", "ge"])), (number, limit), dtypes.bool_))
    stage = Map(tuple(sizes), [])
    return Access(buffer, index, sized(sizes), False, stage, tuple(guards)), sizes


def holds(guard, at):
    index, limit = guard.args[0].attr, int(guard.args[1].attr)
    value = address(index, at)
    return value < limit if guard.op == "lt" else value >= limit


def address(index, at):
    return index.const + sum(c * at[v] for v, c in index.terms)


def points(a):
    """Values of all loops, wherever the access happens."""
    for place in itertools.product(*(range(d) for d in a.loops.values())):
        at = dict(zip(a.loops, place, strict=True))
        if all(holds(g, at) for g in a.guards):
            yield at


@given(guarded_loads(), st.integers(0, 3))
def test_a_slab_holds_all_that_is_touched_while_its_loops_stand(case, count):
    a, _ = case
    first = list(a.loops)[:count]
    found = a.slab(first)
    assert found is not None and found.outside == ()
    met = {address(a.index, at) - sum(c * at[v] for v, c in zip(first, found.steps, strict=True)) for at in points(a)}
    assert all(found.low <= place <= found.high for place in met)
    if not a.guards:
        assert (min(met), max(met)) == (found.low, found.high)


@given(guarded_loads(), st.integers(1, 3), st.integers(1, 30))
def test_what_stays_in_its_row_is_in_no_other(case, count, size):
    a, sizes = case
    outer = sizes[:count]
    if a.stays(row_steps(outer, size), size):
        for at in points(a):
            row = 0
            for v, d in zip(list(a.loops)[:count], outer, strict=False):
                row = row * d + at[v]
            assert row * size <= address(a.index, at) < (row + 1) * size


@given(guarded_loads())
def test_conditions_bound_their_loops(case):
    a, _ = case
    bounds = where(a.guards, a.loops)
    for at in points(a):
        assert all(low <= at[v] <= high for v, (low, high) in bounds.items())


def test_a_counter_of_an_outer_loop_moves_all_of_a_slab():
    i, t = space_vars(1)[0], step_var(0)
    a = Access(Buffer(0, dtypes.float32, 100, "temp"), i * 2 + Index(3, ((t, 10),)), sized([4]), False, Map((4,), []))
    found = a.slab([])
    assert (found.low, found.high, found.outside) == (3, 9, ((t, 10),))
    assert not a.stays({}, 100)  # where it lies, its own loops do not say


def test_an_address_that_follows_from_data_is_not_known():
    exprs, b = Interner(), Buffer(0, dtypes.int64, 9, "input")
    load = exprs.make("load", (), dtypes.int64, (b, Index(0, ())))
    assert Access(b, Index(0, ((load, 1),)), sized([4]), False, Map((4,), [])).slab([]) is None


def test_matrices_reach_as_far_as_their_digits_lead():
    b = [Buffer(k, dtypes.float32, 64, "temp") for k in range(3)]
    i = space_vars(1)[0]
    lhs, rhs = Operand(b[0], i * 8, ((2, 4),), ((4, 1),)), Operand(b[1], Index(0, ()), ((4, 2),), ((2, 1),))
    dot = Dot((2,), 2, 2, 4, lhs, rhs, Operand(b[2], i * 4, ((2, 2),), ((2, 1),)), dtypes.float32)
    found = {a.buffer: a for a in accesses(dot)}
    assert {x: (a.reach, a.written) for x, a in found.items()} == {b[0]: (7, False), b[1]: (7, False), b[2]: (3, True)}
    assert found[b[0]].stays(row_steps((2,), 8), 8) and not found[b[0]].stays(row_steps((2,), 8), 7)
    assert found[b[2]].stays(row_steps((2,), 4), 4) and not found[b[1]].stays(row_steps((2,), 8), 8)


@st.composite
def stages(draw):
    """Maps over ten elements each of which reads some buffers and writes one, and how they touch elements."""
    buffers = [Buffer(k, dtypes.float32, 10, "temp") for k in range(5)]
    exprs, i, nodes = Interner(), space_vars(1)[0], []
    for _ in range(draw(st.integers(2, 6))):
        value = exprs.make("const", (), dtypes.float32, np.float32(draw(st.integers(1, 9))))
        for b in draw(st.lists(st.sampled_from(buffers), max_size=2)):
            back = draw(st.booleans())
            load = exprs.make("load", (), dtypes.float32, (b, i * -1 + 9 if back else i))
            value = exprs.make("add", (value, load), dtypes.float32)
        nodes.append(Map((10,), [Store(draw(st.sampled_from(buffers)), i, value)]))
    return buffers, nodes


def run(buffers, nodes):
    memory = {b: np.arange(10.0) * (b.number + 1) for b in buffers}

    def value(e):
        if e.op == "load":
            b, index = e.attr
            return memory[b][[address(index, {v: k for v, _ in index.terms}) for k in range(10)]]
        return e.attr if e.op == "const" else value(e.args[0]) + value(e.args[1])

    for n in nodes:
        memory[n.stores[0].buffer] = np.broadcast_to(value(n.stores[0].value), 10).copy()
    return [memory[b].tolist() for b in buffers]


@given(stages())
def test_a_stage_moves_to_where_it_may_join_and_nothing_changes(case):
    buffers, nodes = case
    history = History()
    for place, n in enumerate(nodes[:-1]):
        history.put(n, place)
    last, want = nodes[-1], run(buffers, nodes)
    for place in range(len(nodes) - 1):
        if history.joins(last, place):
            assert run(buffers, [*nodes[: place + 1], last, *nodes[place + 1 : -1]]) == want


@given(stages())
def test_stages_that_pass_others_may_run_behind_them(case):
    buffers, nodes = case
    for place in range(len(nodes)):
        if passes([nodes[place]], nodes[place + 1 :]):
            assert run(buffers, [*nodes[:place], *nodes[place + 1 :], nodes[place]]) == run(buffers, nodes)


def test_folds_have_their_loops_last():
    b = Buffer(0, dtypes.float32, 3, "temp")
    value = Interner().make("const", (), dtypes.float32, np.float32(1))
    fold = Reduce((3,), value, b, space_vars(1)[0], (4, 5), "add", True)
    assert list(loops_of(fold).values()) == [3, 4, 5]


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
        test_matrices_reach_as_far_as_their_digits_lead,
    ]
    with pytest.raises(AssertionError):
        for test in tests:
            test()


def test_a_history_that_forgets_is_caught(monkeypatch):
    monkeypatch.setattr(History, "put", lambda self, n, place: None)
    with pytest.raises(AssertionError):
        test_a_stage_moves_to_where_it_may_join_and_nothing_changes()
