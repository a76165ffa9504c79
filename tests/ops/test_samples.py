"""Tests generated from the samples beside each operation: one set of properties for all primitives."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.backends.dispatch import executable
from fdl.backends.toolchain import host_target
from fdl.core import dtypes, interpret
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.primitive import REGISTRY
from fdl.core.pytree import tree_leaves
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.pipeline import schedule
from fdl.transforms.stage import stage
from tests.conftest import needs_compiler
from tests.tolerances import assert_close

WITH_SAMPLES = [p for p in REGISTRY.values() if p.has("samples") and p.rule("samples")]
IDS = [p.name for p in WITH_SAMPLES]


def good(primitive):
    return [s for s in primitive.rule("samples") if s.fails is None]


WIDE = {dtypes.float32: dtypes.float64, dtypes.complex64: dtypes.complex128}


def differentiable(primitive):
    """Samples with a derivative to check: some operand of float32 or complex64, and a result that varies."""
    out = []
    for s in good(primitive):
        args = s.make(primitive.name)
        inexact = [a for a in args if a.dtype in WIDE]
        result = np.asarray(primitive.reference(args, s.params)[0])
        if (
            inexact
            and all(np.isfinite(a).all() for a in inexact)
            and result.size
            and result.dtype in (*WIDE, *WIDE.values())
        ):
            out.append(s)
    return out


def first(primitive, *args, **params):
    """The result; of several the first, which carries the derivative."""
    out = primitive.bind(*args, **params)
    return out[0] if primitive.multiple_results else out


def bound(primitive, sample):
    return lambda *xs: first(primitive, *xs, **sample.params)


def joint_graph(primitive, samples):
    """All samples of a primitive as one graph, so that they share a compiler start."""
    args = [s.make(primitive.name) for s in samples]
    flat = [a for group in args for a in group]

    def f(*xs):
        given, outs = iter(xs), []
        for s, group in zip(samples, args, strict=True):
            outs += tree_leaves(primitive.bind(*[next(given) for _ in group], **s.params))
        return outs

    graph = stage(f, [from_numpy(a).aval for a in flat], "samples")
    graph.check()
    return graph, flat


@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_shape_rule_agrees_with_reference(primitive):
    for s in good(primitive):
        args = s.make(primitive.name)
        avals = primitive.infer([from_numpy(a).aval for a in args], s.params)
        outs = primitive.reference(args, s.params)
        assert [(a.shape, a.dtype) for a in avals] == [(o.shape, o.dtype) for o in outs]


@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_loop_program_agrees_with_reference(primitive):
    graph, args = joint_graph(primitive, good(primitive))
    program = build(graph)
    program.check()
    scheduled = schedule(program, host_target())
    scheduled.check()
    for got, want in zip(interpret_program(scheduled, args), interpret(graph, args), strict=True):
        assert_close(got.view(want.dtype), want.reshape(-1))


@needs_compiler
@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_compiled_agrees_with_reference(primitive):
    config.tier = "compiled"
    graph, args = joint_graph(primitive, good(primitive))
    outs = executable(graph, primitive.name)([from_numpy(a) for a in args])
    for got, want in zip(outs, interpret(graph, args), strict=True):
        assert_close(got, want)


@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_bad_samples_raise(primitive):
    for s in primitive.rule("samples"):
        if s.fails is not None:
            with pytest.raises(s.fails):
                primitive.bind(*map(from_numpy, s.make(primitive.name)), **s.params)


def wide(args):
    return [a.astype(WIDE.get(a.dtype, a.dtype)) for a in args]


def drawn(rng, shape, dtype):
    """Numbers between -1 and 1, both parts of complex ones."""
    real = rng.uniform(-1, 1, shape)
    return real + 1j * rng.uniform(-1, 1, shape) if dtypes.is_complex(dtype) else real


def directions(args, seed):
    rng = np.random.default_rng(seed)
    return [drawn(rng, a.shape, a.dtype) if a.dtype in WIDE.values() else None for a in args]


def wide_params(params):
    return {k: WIDE.get(v, v) if k == "dtype" else v for k, v in params.items()}


def paired(u, v):
    """The real part of the product of a cotangent and a tangent, by which one is the other's dual."""
    return float(np.sum(u * np.asarray(v)).real)


@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_jvp_agrees_with_central_differences(primitive):
    for s in differentiable(primitive):
        args, params = wide(s.make(primitive.name)), wide_params(s.params)
        if primitive.reference(args, params)[0].dtype not in WIDE.values():
            continue
        tangents = directions(args, 1)
        moving = [i for i, t in enumerate(tangents) if t is not None]

        def f(*xs, args=args, params=params, moving=moving):
            full = list(map(from_numpy, args))
            for i, x in zip(moving, xs, strict=True):
                full[i] = x
            return first(primitive, *full, **params)

        primals = [from_numpy(args[i]) for i in moving]
        _, tangent = fdl.jvp(f, primals, [from_numpy(tangents[i]) for i in moving])
        h = 1e-6

        def at(step, f=f, moving=moving, args=args, tangents=tangents):
            return np.asarray(f(*[from_numpy(args[i] + step * tangents[i]) for i in moving]))

        expected = (at(h) - at(-h)) / (2 * h)
        if primitive.name in ("stop_gradient",):
            expected = np.zeros_like(expected)
        np.testing.assert_allclose(np.asarray(tangent), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_reverse_is_the_adjoint_of_forward(primitive):
    for s in differentiable(primitive):
        args, params = wide(s.make(primitive.name)), wide_params(s.params)
        moving = [i for i, t in enumerate(directions(args, 2)) if t is not None]

        def f(*xs, args=args, params=params, moving=moving):
            full = list(map(from_numpy, args))
            for i, x in zip(moving, xs, strict=True):
                full[i] = x
            return first(primitive, *full, **params)

        primals = [from_numpy(args[i]) for i in moving]
        tangents = [t for t in directions(args, 2) if t is not None]
        out, forward = fdl.jvp(f, primals, [from_numpy(t) for t in tangents])
        _, pull = fdl.vjp(f, *primals)
        u = drawn(np.random.default_rng(3), out.shape, out.dtype)
        if out.dtype not in WIDE.values():
            continue
        backward = pull(from_numpy(u))
        left = paired(u, forward)
        right = sum(paired(t, ct) for t, ct in zip(tangents, backward, strict=True))
        assert left == pytest.approx(right, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_vmap_agrees_with_a_loop(primitive, size):
    for s in good(primitive):
        lanes = [s.make(f"{primitive.name}{lane}") for lane in range(max(size, 1))]
        args = lanes[0]
        if not args:
            continue
        for chosen in [range(len(args)), *([i] for i in range(len(args)))]:
            axes = tuple(0 if i in chosen else None for i in range(len(args)))
            stacked = [np.stack([lane[i] for lane in lanes])[:size] if a == 0 else args[i] for i, a in enumerate(axes)]
            out = fdl.vmap(bound(primitive, s), in_axes=axes)(*map(from_numpy, stacked))
            assert out.shape[0] == size
            for k in range(size):
                one = [lanes[k][i] if a == 0 else args[i] for i, a in enumerate(axes)]
                assert_close(out[k], primitive.reference(one, s.params)[0])


@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=IDS)
def test_second_order(primitive):
    """Forward over reverse equals reverse over forward."""
    for s in differentiable(primitive)[:2]:
        args, params = wide(s.make(primitive.name)), wide_params(s.params)
        i = next(k for k, a in enumerate(args) if a.dtype in WIDE.values())

        def loss(x, args=args, params=params, i=i):
            full = list(map(from_numpy, args))
            full[i] = x
            out = first(primitive, *full, **params)
            return jnp.sum(out * out).real

        x = from_numpy(args[i])
        t = from_numpy(drawn(np.random.default_rng(5), args[i].shape, args[i].dtype))
        _, forward = fdl.jvp(fdl.grad(loss), (x,), (t,))
        backward = fdl.grad(lambda x, loss=loss, t=t: fdl.jvp(loss, (x,), (t,))[1])(x)
        np.testing.assert_allclose(np.asarray(forward), np.asarray(backward), rtol=1e-8, atol=1e-8)
