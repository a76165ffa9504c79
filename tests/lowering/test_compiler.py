"""What the compiler makes: kernels counted, passes alone, mathematics in ulp, sources of devices."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from fdl.backends.toolchain import host_target
from fdl.core.graph import interpret
from fdl.lowering.ir.index import Axis, Index
from fdl.lowering.ir.nodes import Dot, Map
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import over_loops
from fdl.lowering.pipeline import lower
from fdl.passes.inline import inline
from fdl.passes.orient import orient
from fdl.passes.prune import prune
from fdl.passes.simplify import simplify
from tests.conftest import needs_compiler

X = jnp.ones((8, 16))


def lowered(f, *args):
    graph, _ = fdl.make_graph(f)(*args).lift()
    return lower(graph, host_target())


def kinds(f, *args):
    return [type(n).__name__ for n in lowered(f, *args).program.nodes]


def names(graph):
    return [e.primitive.name for e in graph.equations]


def test_chains_fuse():
    assert kinds(lambda x: jnp.tanh(x) * nn.sigmoid(x) + jnp.exp(-x * x), X) == ["Map"]
    assert kinds(lambda x: (jnp.sin(x) + 1, jnp.sin(x) * 2), X) == ["Map"]
    assert kinds(lambda x: jnp.sum(jnp.exp(x * 2) + 1), X) == ["Reduce"]
    assert kinds(lambda x: x.T[::-1, 1:].reshape(-1), X) == ["Map"]
    assert kinds(lambda x: jnp.pad(x, 1) + 1, X) == ["Map"]
    assert kinds(lambda x: nn.softmax(x), X) == ["Fused"]
    assert kinds(lambda x: x.T @ x, jnp.ones((64, 64))) == ["Dot"]
    assert kinds(lambda x: lax.scan(lambda c, r: (c + r, None), x[0], x)[0], X).count("Loop") == 1
    assert kinds(lambda x: jnp.sum(x, axis=1), jnp.ones((0, 3))) == []


def test_gradient_of_a_weight_is_computed_in_its_layout():
    p = lowered(fdl.grad(lambda w: jnp.sum(jnp.tanh(jnp.ones((64, 32)) @ w))), jnp.ones((32, 48))).program
    assert sum(isinstance(n, Dot) for n in p.nodes) == 2
    last = p.nodes[-1]
    assert isinstance(last, Dot) and (last.m, last.n) == (32, 48)


def test_equal_kernels_are_one_function():
    source = lowered(lambda a, b: (jnp.tanh(a) + 1, jnp.tanh(b) + 1), jnp.ones((4, 3)), jnp.ones((3, 4))).source
    assert source.count("static void") == 1
    repeated = lowered(lambda x: jnp.sum(jnp.exp(x), 1) + jnp.sum(jnp.exp(x[::1] * 1), 1), X)
    assert repeated.source.count("fdl_exp_f32(") == 1


def test_source_is_the_same_from_run_to_run_and_carries_no_lines():
    f = lambda x: nn.softmax(x) @ x.T
    a, b = lowered(f, X), lowered(lambda x: nn.softmax(x) @ x.T, X)
    assert a.source == b.source and "test_compiler" not in a.source
    assert any("test_compiler.py" in str(line) for lines in a.lines.values() for line in lines)
    text = str(fdl.explain(f)(X))
    assert all(
        part in text
        for part in ("== graph", "== stages", "== kernels", "peak", "arena", "== C source", "test_compiler.py")
    )


def test_arena_is_shared_by_lifetime():
    chain = lowered(
        lambda x: jnp.sum(jnp.sum(jnp.sum(x[:, None] * x[None], 1)[:, None] * x, 1)[:, None] * x), jnp.ones((64, 64))
    )
    total = sum(b.nbytes for b in chain.arena.offsets)
    assert chain.arena.size <= total
    deep = lambda x: [x := jnp.tanh(x @ x) for _ in range(10)][-1]
    assert lowered(deep, jnp.ones((64, 64))).arena.size <= 3 * 64 * 64 * 4


def test_passes_alone():
    x = jnp.ones((2, 3))
    calls = fdl.make_graph(lambda x: nn.relu(nn.relu(x)))(x)
    assert names(calls) == ["call", "call"] and "call" not in names(inline(calls))
    dead = fdl.make_graph(lambda x: x)(x)
    assert names(prune(dead)) == []
    twice = fdl.make_graph(lambda x: jnp.sin(x) + jnp.sin(x))(x)
    assert names(simplify(twice)) == ["sin", "add"]
    assert names(simplify(fdl.make_graph(lambda x: (x * 1.0) / 1.0)(x))) == []
    assert names(simplify(fdl.make_graph(lambda x: x + 0.0)(x))) == ["add"]  # -0.0 + 0.0 is 0.0
    assert names(simplify(fdl.make_graph(lambda x: x * 0.0)(x))) == ["mul"]  # NaN * 0 is NaN
    assert names(simplify(fdl.make_graph(lambda x: x.T.T)(x)))[-1:] in ([], ["transpose"])
    product = fdl.make_graph(lambda x: (x @ x.T).T)(x)
    assert names(orient(simplify(product))).count("transpose") == 1
    inner = simplify(
        inline(fdl.make_graph(lambda x: lax.scan(lambda c, r: (jnp.sin(c) + jnp.sin(c), None), x[0], x)[0])(x))
    )
    scan = next(e for e in inner.equations if e.primitive.name == "scan")
    assert names(scan.params["graph"]).count("sin") == 1


def test_barrier_keeps_recomputation():
    f = lambda x: jnp.sin(jnp.sin(x))
    graph = fdl.make_graph(fdl.grad(lambda x: fdl.checkpoint(f)(x).sum() + f(x).sum()))(jnp.ones(3))
    optimized = lower(graph.lift()[0], host_target()).graph
    assert names(optimized).count("sin") == 2  # once for the plain function, once again for the checkpointed one


def test_loop_program_checker_finds_faults():
    program = lowered(lambda x: x * 2, jnp.ones(4)).program
    (node,) = program.nodes
    assert isinstance(node, Map)
    outside = Program(
        [over_loops(node, [longer := Axis("i", 5)], {node.space[0]: longer.index}, program.exprs)],
        program.buffers,
        program.inputs,
        program.outputs,
        program.exprs,
    )
    with pytest.raises(AssertionError):
        outside.check()
    unwritten = lowered(lambda x: jnp.sum(x @ x), jnp.ones((20, 20))).program
    unwritten.nodes = unwritten.nodes[1:]
    with pytest.raises(AssertionError):
        unwritten.check()


def test_indices_are_affine():
    i, j = Axis("i", 4).index, Axis("j", 5).index
    assert (i * 3 + j - i * 3 + 2).terms == j.terms and (i * 0).terms == () and Index(0, ()) + i == i


@needs_compiler
def test_long_chains_and_programs():
    def deep(x):
        for _ in range(1500):
            x = jnp.sin(x) + 0.1
        return x

    x = jnp.ones(4)
    np.testing.assert_allclose(
        np.asarray(fdl.jit(deep)(x)),
        np.asarray(interpret(fdl.make_graph(deep)(x), [np.ones(4, np.float32)])[0]),
        rtol=1e-4,
    )


def test_peak_memory_is_known_before_running():
    x = jnp.ones((256, 256))
    shown = fdl.explain(lambda x: jnp.tanh(x) @ x)(x)
    assert shown.peak_bytes == 3 * x.nbytes  # argument, result, and the operand that is made
    deep = fdl.explain(lambda x: jnp.tanh(x @ jnp.tanh(x @ jnp.tanh(x @ x))))(x)
    assert 3 * x.nbytes <= deep.peak_bytes <= 5 * x.nbytes
