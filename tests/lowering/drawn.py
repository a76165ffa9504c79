"""Random programs: functions of one matrix, drawn step by step from elementwise operations, and from operations that
move, fold, multiply or repeat.
"""

import dataclasses
import os
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax, nn

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


def examples(count):
    """So many examples of a test, in the long profile fifty times as many."""
    return settings(max_examples=count * (50 if LONG else 1))


def _gates(c, x):
    a, b = nn.sigmoid(x), jnp.tanh(c * x)
    c = a * c + (1 - a) * b
    return c, c * a


def attended(x):
    """Attention of four heads, with the largest weight as the norm."""
    heads = jnp.stack([x, x - 1, x * 2, x[::-1]])
    weights = jnp.einsum("bij,bkj->bik", heads, heads)
    weights = weights / (1 + jnp.max(jnp.abs(weights), 2, keepdims=True))
    return jnp.einsum("bik,bkj->bij", weights, heads)[1]


_PLAIN = [jnp.abs, lambda x: x * 0.5 - 1, lambda x: -x, jnp.square, nn.relu, jnp.floor]
_BINARY = [
    jnp.add,
    jnp.subtract,
    jnp.multiply,
    jnp.maximum,
    lambda a, b: jnp.where(a > b, a, b * 2),
    lambda a, b: a / (jnp.abs(b) + 1),
]
_MOVES = [
    lambda x: x.T,
    lambda x: x[::-1],
    lambda x: x[1:, :-1] if min(x.shape) > 1 else x,
    lambda x: jnp.pad(x, ((1, 0), (0, 2))),
    lambda x: x.reshape(x.shape[1], x.shape[0]),
    lambda x: jnp.concatenate([x, x * 2], 1),
    lambda x: jnp.concatenate([x[:, :0] * 3, x], 1),
    lambda x: x - x.mean(0),
    lambda x: x / (1 + x.sum(1, keepdims=True) ** 2),
    lambda x: jnp.max(x, axis=0, keepdims=True) + x,
    lambda x: jnp.argmax(x, axis=1)[:, None] * 0.1 + x,
    lambda x: x[jnp.argmax(jnp.abs(x), axis=0) % x.shape[0]],
    lambda x: lax.cond(x.sum() > 0, lambda v: v * 2, lambda v: v - 1, x),
    lambda x: lax.while_loop(lambda c: jnp.abs(c).sum() > 10, lambda c: c * 0.25, x),
    lambda x: jnp.zeros_like(x).at[jnp.arange(x.shape[0]) // 2].add(x),
    lambda x: lax.dynamic_update_slice(x, -x[:1], (jnp.argmax(x[:, 0]), 0)),
]
_SMOOTH = [jnp.sin, jnp.tanh, jnp.exp, nn.sigmoid, lambda x: jnp.log1p(jnp.abs(x))]
_SHAPING = [
    lambda x: nn.softmax(x),
    lambda x: x @ jnp.tanh(x).T / x.shape[1],
    lambda x: jnp.cumsum(x, axis=1) * 0.1,
    lambda x: lax.scan(lambda c, r: (jnp.tanh(c * 0.5 + r), c), x[0], x)[1],
    lambda x: x.astype("bfloat16").astype(x.dtype),
    lambda x: jnp.concatenate([jnp.sin(x[:, :1]), x[:, 1:2] * x[:, :1], x[:, 2:]], axis=1)[:, : x.shape[1]],
    lambda x: jnp.pad(x[:1], ((0, x.shape[0] - 1), (0, 0))) + jnp.pad(jnp.tanh(x[1:]), ((1, 0), (0, 0))),
    lambda x: lax.scan(lambda c, _: (jnp.tanh(c @ (x.T @ x) * 0.01), c[:1]), x, None, length=9)[0],
    lambda x: fdl.grad(lambda v: jnp.sum(lax.scan(_gates, v, v)[1]))(x),
]
_EXACT_SHAPING = [
    lambda x: x @ x.T / x.shape[1],
    lambda x: x @ (x.T @ x) * 0.01,
    lambda x: lax.scan(lambda c, r: (c * 0.5 + r, c), x[0], x)[1],
    lambda x: lax.scan(lambda c, _: (c @ (x.T @ x) * 1e-6, c[:1]), x, None, length=9)[0],
    lambda x: x / (1 + jnp.sqrt(jnp.sum(x * x, 1, keepdims=True))),
    lambda x: jnp.pad(x[:1], ((0, x.shape[0] - 1), (0, 0))) + jnp.pad(x[1:] * 2, ((1, 0), (0, 0))),
    lambda x: fdl.grad(lambda v: jnp.sum((v @ v.T) ** 2) + jnp.sum(jnp.max(v, 1)))(x),
    attended,
    lambda x: x.sum(0, keepdims=True) - x.sum(1, keepdims=True),
]


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Of what programs are made, and what keeps each value within range."""

    unary: list[Callable]
    binary: list[Callable]
    shaping: list[Callable]
    bounded: Callable
    kinds: tuple[int, ...] = (0, 1, 2)  # how often a step is unary, binary, or shapes


def _tame(x):
    """Neither so large that squares overflow, nor so small that they are denormal."""
    return jnp.where(jnp.abs(x) < 1e-6, 0, jnp.clip(x, -1e9, 1e9))


ALL = Vocabulary(_PLAIN + _SMOOTH, _BINARY, _MOVES + _SHAPING, lambda x: jnp.clip(x, -3, 3))
# whose results do not depend on how the elementary functions of a library round
EXACT = Vocabulary([*_PLAIN, lambda x: jnp.sqrt(jnp.abs(x))], _BINARY, _MOVES + _EXACT_SHAPING, _tame)


@st.composite
def programs(draw, words=ALL):
    """A function of a matrix to a list of matrices, each a step drawn from a vocabulary."""
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from(words.kinds), st.integers(0, 59), st.integers(0, 5), st.integers(0, 5)),
            min_size=1,
            max_size=9,
        )
    )

    def f(x):
        pool = [x, x * 0.7 + 0.1]
        for kind, which, i, j in steps:
            a, b = pool[i % len(pool)], pool[j % len(pool)]
            if kind == 0:
                out = words.unary[which % len(words.unary)](a)
            elif kind == 1:
                if a.shape != b.shape:
                    continue
                out = words.binary[which % len(words.binary)](a, b)
            else:
                out = words.shaping[which % len(words.shaping)](a)
            pool.append(words.bounded(out))
        return pool[2:] or pool

    return f
