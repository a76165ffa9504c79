"""The checker finds planted faults in composites, products and addresses."""

import dataclasses

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.core.array import from_numpy
from fdl.core.errors import GraphError
from fdl.lowering.build.control import build
from fdl.lowering.ir.nodes import Band, Dot, Nest, Reduce
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
    """One fold of 4,096 elements stands alone, the other and the sum of both are a nest."""
    program = scheduled(lambda x: jnp.sum(x, 1), (9, 4097))
    first, nest = program.nodes
    assert isinstance(first, Reduce) and isinstance(nest, Nest)
    rejected(program, "local to", lambda n: dataclasses.replace(n, locals={first.store: 2}), Nest)


def test_a_local_has_room_for_a_part():
    program = scheduled(lambda x: x / (1 + jnp.sum(x * x, 1, keepdims=True)), (9, 33))
    rejected(
        program, "elements of", lambda n: dataclasses.replace(n, locals={b: s + 1 for b, s in n.locals.items()}), Nest
    )
    rejected(program, "rows", in_body(lambda m: dataclasses.replace(m, space=(3, 3)), Reduce), Nest)


def test_products_of_a_band_lie_in_their_buffers():
    program = scheduled(attended, (12, 16))

    def moved(m):
        return dataclasses.replace(m, lhs=dataclasses.replace(m.lhs, offset=m.lhs.offset + 1))

    rejected(program, "reaches", in_body(moved, Dot), Band)
    rejected(program, "digits", in_body(lambda m: dataclasses.replace(m, k=m.k + 1), Dot), Band)
    rejected(program, "parts", lambda n: dataclasses.replace(n, count=3, locals={}, steps={}), Band)


def test_what_a_band_keeps_is_not_seen_after_it():
    program = scheduled(attended, (12, 16))
    band = next(n for n in program.nodes if isinstance(n, Band))
    buffer = next(iter(band.locals))
    reader = next(n for n in band.body if buffer in n.reads())
    with pytest.raises(GraphError, match="before it is written"):
        dataclasses.replace(program, nodes=[*program.nodes, reader]).check()
