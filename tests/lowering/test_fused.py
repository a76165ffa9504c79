"""Fused stages: how steps go through their bodies, and what the forms of one composite have in common."""

import dataclasses

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.core.array import from_numpy
from fdl.lowering.build.control import build
from fdl.lowering.ir.access import fault
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis, trips
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.ir.nodes import Dot, Fused, Map, Reduce, Scope
from fdl.lowering.ir.rewrite import all_nodes, calls, inside, mapped
from fdl.lowering.schedule.compute_at import compute_at
from fdl.lowering.schedule.epilogue import fuse_epilogues
from fdl.lowering.schedule.fuse_rows import fuse_rows
from fdl.lowering.schedule.simplify import collapse_loops, drop_dead
from fdl.lowering.schedule.split import split_at_conditions
from fdl.lowering.schedule.tile import tile_stages
from tests.lowering.drawn import attended
from tests.lowering.test_composability import EAGER

X = np.random.default_rng(2).integers(-4, 5, (12, 16)).astype(np.float32)


def built(f, *steps):
    graph, _ = fdl.make_graph(f)(from_numpy(X)).lift()
    program = build(graph)
    for step in steps:
        program = step(program, EAGER)
    program.check()
    return program


def shares(x):
    """Two maps with a fold between them."""
    powers = jnp.exp(x)
    return powers / jnp.sum(powers, axis=1, keepdims=True)


FORMS = {
    "fused rows": (shares, fuse_rows),
    "tile": (attended, tile_stages),
    "epilogue": (lambda x: jnp.tanh(x @ x.T), fuse_epilogues),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_one_node_with_nested_stages(form):
    f, step = FORMS[form]
    plain, program = built(f), built(f, step)
    (found,) = [n for n in program.nodes if isinstance(n, Fused)]
    assert form in str(program)
    assert (found.kernel, found.product is not None) == (form == "fused rows", form == "epilogue")
    assert fault(found) is None
    leaves = [n for n in all_nodes(program.nodes) if not n.nested()]
    assert [type(n) for n in leaves] == [type(n) for n in plain.nodes]
    assert all(m in leaves for m in found.body)
    assert [out.tobytes() for out in interpret_program(program, [X])] == [
        out.tobytes() for out in interpret_program(plain, [X])
    ]


@pytest.mark.parametrize("form", FORMS)
def test_the_same_step_again_changes_nothing(form):
    f, step = FORMS[form]
    once, twice = built(f, step), built(f, step, step)
    assert str(once) == str(twice)


def test_a_body_stays_where_its_stages_would_no_longer_come_apart():
    """One long loop is no loop over rows."""
    assert any(trips(n.space) == n.extent() == 12 * 16 for n in built(shares, collapse_loops).nodes)
    rows = built(shares, fuse_rows)
    assert str(collapse_loops(rows, EAGER)) == str(rows)


def test_a_loop_inside_of_a_part_is_cut_at_its_conditions():
    program = built(lambda x: shares(jnp.pad(x, ((0, 0), (0, 3))) * 2), fuse_rows, split_at_conditions)
    (rows,) = program.nodes
    assert [tuple(a.size for a in n.space) for n in rows.body if isinstance(n, Map)][:2] == [(16,), (3,)]


def test_what_is_not_read_goes_from_a_body_and_so_does_its_place():
    program = built(shares, fuse_rows)
    (rows,) = program.nodes
    fold, last = rows.body[1:]
    assert isinstance(fold, Reduce) and fold.store in rows.locals
    doubled = lambda nodes: [
        dataclasses.replace(n, store=program.outputs[0], offset=n.offset * 16) if n is fold else n
        for n in nodes
        if n is not last
    ]
    changed = dataclasses.replace(program, nodes=mapped(program.nodes, doubled))
    (left,) = changed.nodes
    assert fold.store not in left.locals and len(left.body) == 2


def test_a_composite_of_one_stage_is_that_stage():
    program = built(lambda x: [jnp.sum(jnp.exp(x), 1), jnp.exp(x).sum(1) * 2][:1], fuse_rows)
    first = program.nodes[0]
    dead = dataclasses.replace(first.body[0] if isinstance(first, Fused) else first)
    assert isinstance(dead, Reduce)
    spare = Buffer(len(program.buffers), dead.store.dtype, dead.store.size, "temp")
    unread = dataclasses.replace(dead, store=spare)
    both = Fused(dead.space, [inside(n, dead.space) for n in (unread, dead)], {spare: Scope.REGISTER})
    held = dataclasses.replace(program, nodes=[both], buffers=[*program.buffers, spare])
    held.check()
    (left,) = drop_dead(held, EAGER).nodes
    assert isinstance(left, Reduce) and left.store is dead.store


def test_calls_are_kernels_and_products_wherever_they_stand():
    program = built(attended, tile_stages)
    found = list(calls(program.nodes))
    assert sum(isinstance(n, Dot) for n in found) == 2 and not any(n.nested() for n in found)
    (rows,) = built(shares, fuse_rows).nodes
    assert list(calls([rows])) == [rows]


def test_a_stage_joins_where_each_part_touches_its_own():
    fold, *_, last = built(lambda x: x / jnp.sum(x, axis=1, keepdims=True)).nodes
    assert compute_at(last, compute_at(fold, Fused(fold.space, []))) is not None
    assert compute_at(last, Fused((Axis("i", 16),), [])) is None  # it has no such loop
    down, *_, last = built(lambda x: x / jnp.sum(x, axis=0, keepdims=True)).nodes
    assert compute_at(last, Fused(down.space, [inside(down, down.space)])) is None  # its first loop walks over rows
