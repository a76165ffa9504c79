"""Steps of the schedule compose: any of them, in any order, keep programs sound and every bit of their results."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from fdl.backends.c import CExecutable, plan_of
from fdl.backends.toolchain import find_compiler
from fdl.core.array import from_numpy
from fdl.lowering import pipeline
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.pipeline import Lowered
from fdl.lowering.target import AVX2
from fdl.passes import run_passes
from tests.conftest import needs_compiler
from tests.lowering.drawn import ALL, EXACT, Vocabulary, attended, examples, programs
from tests.lowering.test_bits import bits

# A machine on which every move pays, and programs of a few elements are large
EAGER = dataclasses.replace(
    AVX2,
    vector_bytes=8,
    parallel_work=0,
    equal_shares=2,
    far=1,
    rows_least=2,
    rows_width=2,
    tile_saved=1,
    epilogue_rows=1,
    epilogue_least=1,
    prologue_rows=4,
    prologue_repays=1 << 20,
    split_least=1,
    pack_least=1,
    pack_steps=1,
)
STEPS = list(dict.fromkeys([*pipeline.STEPS, *pipeline.COMPOSING]))
WORDS = Vocabulary(ALL.unary, ALL.binary, [*EXACT.shaping, *ALL.shaping], EXACT.bounded, (0, 1, 2, 2, 2))
SHAPES = [(1, 5), (3, 4), (6, 16), (17, 9), (12, 16)]


def _layers(x):
    """A gradient of two layers, a norm and a residual."""

    def loss(v):
        hidden = nn.gelu(v @ v.T * 0.1 + v[:, 0])
        return jnp.sum(jnp.tanh(nn.layer_norm(hidden) @ v + v))

    return fdl.grad(loss)(x)


# Programs in which the larger moves find what they look for
RICH = [
    _layers,
    fdl.grad(lambda x: jnp.sum(jnp.sin(attended(x)))),
    lambda x: lax.scan(lambda c, _: (jnp.tanh(c @ (x.T @ x)) + c, c[:1]), x, None, length=9),
    lambda x: x @ (jnp.floor(x).T * 0.5),
    lambda x: nn.softmax(jnp.pad(x * 2, ((1, 1), (0, 4))) @ jnp.ones((x.shape[1] + 4, 16))),
    lambda x: [jnp.sum(t * x, axis) for t in [jnp.tanh(x * x * x + 1)] for axis in (0, 1)],
    fdl.grad(lambda x: sum(jnp.sum(x[: 3 * i] ** (i + 1)) for i in range(1, 5))),
]


def values(shape, kind):
    """Small whole numbers, or floats whose sums depend on the order."""
    rng = np.random.default_rng(5)
    whole, cancelling = rng.integers(-4, 5, shape), rng.choice([1e8, -1e8, 1.0, 3.0, -0.0], shape)
    return (whole if kind == "whole" else cancelling).astype(np.float32)


def results(program, args):
    return [out.tobytes() for out in interpret_program(program, args)]


@st.composite
def orders(draw):
    """Some steps, each at most twice, in any order."""
    drawn = draw(st.permutations(STEPS * 2))
    return drawn[: draw(st.integers(1, len(drawn)))]


moves = Counter()


def run(order, program, sound):
    """The program after the steps, each of which has to leave it sound."""
    for step in order:
        after = step(program, EAGER)
        moves[step.__name__] += str(after) != str(program)
        if after.nodes != program.nodes:
            after.check()
            sound(after, step.__name__)
        program = after
    return program


def keeps_bits(f, shape, passes, order):
    graph, captured = fdl.make_graph(f)(from_numpy(values(shape, "whole"))).lift()
    program = build(run_passes(graph) if passes else graph)
    program.check()
    args = [[*map(np.asarray, captured), values(shape, kind)] for kind in ("whole", "cancelling")]
    want = [results(program, a) for a in args]

    def sound(after, step):
        assert [results(after, a) for a in args] == want, step

    run(order, program, sound)


@examples(50)
@given(programs(WORDS), st.sampled_from(SHAPES), st.booleans(), orders())
def test_any_order_keeps_bits(f, shape, passes, order):
    keeps_bits(f, shape, passes, order)


@pytest.mark.parametrize("f", RICH)
def test_any_order_of_large_moves_keeps_bits(f):
    @examples(4)
    @given(st.booleans(), orders())
    def drawn(passes, order):
        keeps_bits(f, (12, 16), passes, order)

    drawn()


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.__name__)
def test_stages_over_no_index_may_still_be_there(step):
    keeps_bits(lambda x: jnp.concatenate([(x @ x.T)[:0] * 3, x @ x.T]), (12, 16), False, [step])


@needs_compiler
@examples(6)
@given(programs(EXACT), st.sampled_from(SHAPES), orders())
def test_any_order_compiles_to_the_same_bits(f, shape, order):
    x, compiler = values(shape, "cancelling"), find_compiler()
    graph, captured = fdl.make_graph(f)(from_numpy(x)).lift()
    args = [*map(np.asarray, captured), x]
    stages = build(graph)
    program = run(order, stages, lambda *_: None)
    lowered = Lowered.of(graph, program, compiler.target)
    outs = CExecutable(graph, compiler, plan=lambda: plan_of(lowered, compiler))([from_numpy(a) for a in args])
    assert [bits(np.asarray(o)) for o in outs] == [bits(o) for o in interpret_program(stages, args)]


def test_each_step_has_moved():
    """In the tests above, which run here where nobody has run them."""
    if not moves:
        test_any_order_keeps_bits()
        for f in RICH:
            test_any_order_of_large_moves_keeps_bits(f)
    assert moves.keys() == {s.__name__ for s in STEPS} and all(moves.values()), moves
