"""The checker finds planted faults in composites, products and addresses."""

import dataclasses

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core.array import from_numpy
from fdl.core.errors import GraphError
from fdl.lowering.build.control import build
from fdl.lowering.ir.index import Axis
from fdl.lowering.ir.nodes import Branch, Dot, Fused, Map, Reduce, Scope
from fdl.lowering.ir.rewrite import Rewriting
from fdl.lowering.pipeline import schedule
from tests.lowering.drawn import attended
from tests.lowering.test_composability import EAGER


def scheduled(f, shape):
    graph, _ = fdl.make_graph(f)(from_numpy(np.ones(shape, np.float32))).lift()
    program = schedule(build(graph), EAGER)
    program.check()
    return program


def rejected(program, match, change, kind):
    """The checker says what is wrong where the first node of a kind is changed."""
    place, n = next((i, n) for i, n in enumerate(program.nodes) if isinstance(n, kind))
    nodes = [*program.nodes[:place], change(n), *program.nodes[place + 1 :]]
    with pytest.raises(GraphError, match=match):
        dataclasses.replace(program, nodes=nodes).check()


def in_body(change, kind):
    """A change of the first node of a kind in a composite."""

    def changed(n):
        place, m = next((i, m) for i, m in enumerate(n.body) if isinstance(m, kind))
        return dataclasses.replace(n, body=[*n.body[:place], change(m), *n.body[place + 1 :]])

    return changed


def test_what_other_stages_write_is_no_local():
    """One fold of 4,096 elements stands alone, the other and the sum of both are fused rows."""
    program = scheduled(lambda x: jnp.sum(x, 1), (9, 4097))
    first, rows = program.nodes
    assert isinstance(first, Reduce) and isinstance(rows, Fused)
    rejected(program, "local to", lambda n: dataclasses.replace(n, locals={first.store: Scope.THREAD}), Fused)


def test_ways_of_a_branch_do_not_see_each_other():
    """One way reads what the other one stores; and what is stored in one of them is not there behind both."""

    def f(x):
        return lax.cond(x[0] > 0, lambda x: jnp.sort(jnp.sort(x)[::-1] * 2), lambda x: x * 3, x) + 1

    program = scheduled(f, (40,))
    branch = next(n for n in program.nodes if isinstance(n, Branch))
    long = max(branch.bodies, key=len)
    assert len(long) > 1 and len(branch.bodies) == 2
    rejected(program, "before it is written", lambda n: dataclasses.replace(n, bodies=[long[:-1], long[-1:]]), Branch)
    rejected(program, "before it is written", lambda n: dataclasses.replace(n, bodies=[long, []]), Branch)


def test_a_branch_is_chosen_by_what_was_written():
    program = scheduled(lambda x: lax.cond(jnp.sort(x)[3] > 0, jnp.sin, jnp.cos, x), (40,))
    place = next(i for i, n in enumerate(program.nodes) if isinstance(n, Branch))
    with pytest.raises(GraphError, match="Branch reads"):
        dataclasses.replace(program, nodes=program.nodes[place:]).check()


def test_stages_come_apart_into_parts():
    program = scheduled(lambda x: x / (1 + jnp.sum(x * x, 1, keepdims=True)), (9, 33))
    again = lambda n: dataclasses.replace(n, body=[dataclasses.replace(m, space=n.loops) for m in n.body])
    rejected(program, "parts", again, Fused)
    rejected(scheduled(jnp.sin, (9,)), "not inside of i", lambda n: dataclasses.replace(n, space=(Axis("i", 9),)), Map)


def test_a_part_touches_its_own_elements():
    """A row that reads the sum of the next one, whether that is kept or in memory."""
    program = scheduled(lambda x: jnp.square(x) / (1 + jnp.sum(x * x, 1, keepdims=True)), (9, 33))
    (rows,) = program.nodes
    (total,) = rows.locals
    exprs, body = program.exprs, rows.body[-1]

    def shift(e):
        mine = e.op == "load" and e.attr[0] is total
        return exprs.make("load", (), e.dtype, (total, e.attr[1] + 1)) if mine else None

    other = Rewriting(exprs, instead=shift).stage(body)
    changed = lambda n: dataclasses.replace(n, body=[*n.body[:-1], other])
    rejected(program, "kept in 9 parts", changed, Fused)
    rejected(program, "where other parts do", lambda n: dataclasses.replace(changed(n), locals={}), Fused)


def test_products_of_a_tile_lie_in_their_buffers():
    program = scheduled(attended, (12, 16))

    def moved(m):
        return dataclasses.replace(m, lhs=dataclasses.replace(m.lhs, index=m.lhs.index + 1))

    rejected(program, "reaches|kept in", in_body(moved, Dot), Fused)
    rejected(program, "not inside of", in_body(lambda m: dataclasses.replace(m, over=()), Dot), Fused)
    rejected(program, "walks along", in_body(lambda m: dataclasses.replace(m, rows=m.over, over=m.rows), Dot), Fused)
    rejected(
        program,
        "row by row",
        in_body(lambda m: dataclasses.replace(m, rows=m.cols, cols=m.rows, lhs=m.rhs, rhs=m.lhs), Dot),
        Fused,
    )
    rejected(program, "parts", lambda n: dataclasses.replace(n, loops=(Axis("i", 3),), locals={}), Fused)


def test_what_a_tile_keeps_is_not_seen_after_it():
    program = scheduled(attended, (12, 16))
    tile = next(n for n in program.nodes if isinstance(n, Fused))
    buffer = next(iter(tile.locals))
    reader = next(n for n in tile.body if buffer in n.reads())
    with pytest.raises(GraphError, match="before it is written"):
        dataclasses.replace(program, nodes=[*program.nodes, reader]).check()
