"""What does not fit is refused at its line with its bytes, and shapes that never come back keep memory flat."""

import gc
import time

import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as ft
from fdl.core.config import config
from fdl.core.errors import TooLargeError
from fdl.core.limits import machine_memory
from fdl.transforms.lazy import programs, recorder
from fdl.transforms.tape import function
from tests.conftest import needs_compiler

HUGE = 1 << 42
ARRAYS = {
    "zeros": lambda: jnp.zeros(HUGE),
    "sum": lambda: jnp.ones(HUGE).sum(),
    "arange": lambda: jnp.arange(HUGE)[3],
    "eye": lambda: jnp.eye(1 << 21).sum(),
    "outer": lambda: jnp.ones(1 << 21)[:, None] * jnp.ones(1 << 21),
    "product": lambda: jnp.ones((1 << 21, 1)) @ jnp.ones((1, 1 << 21)),
    "past 64 bits": lambda: jnp.zeros((1 << 40, 1 << 40)),
}
TENSORS = {
    "empty": lambda: ft.empty(HUGE).sum(),
    "zeros": lambda: ft.zeros(HUGE),
    "randn": lambda: ft.randn(1 << 21, 1 << 21),
    "product": lambda: ft.ones(1 << 21, 1) @ ft.ones(1, 1 << 21),
    "repeat": lambda: ft.ones(1 << 21).repeat(1 << 21),
}


@pytest.mark.parametrize("tier", ["interpreted", "auto", "compiled"])
@pytest.mark.parametrize(
    "name, f, error",
    [(n, f, TooLargeError) for n, f in ARRAYS.items()] + [(n, f, RuntimeError) for n, f in TENSORS.items()],
)
def test_what_does_not_fit_is_refused_at_once(name, f, error, tier):
    config.tier = tier
    start = time.perf_counter()
    with pytest.raises(error, match=r"takes \d[\d,]*,\d{3} bytes") as caught:
        f()
    assert time.perf_counter() - start < 5
    assert "test_memory.py" in str(caught.value) and f"{machine_memory():,}" in str(caught.value)


@needs_compiler
def test_a_program_that_does_not_fit_is_refused():
    outer = fdl.jit(lambda x: x[:, None] * x)
    assert outer(jnp.ones(3)).shape == (3, 3)
    with pytest.raises(TooLargeError, match="a program takes 17,592,186,044,416 bytes"):
        outer(jnp.ones(1 << 21))
    assert float(fdl.jit(lambda x: (x[:, None] * x).sum())(jnp.ones(1 << 10))) == 1 << 20


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_shapes_that_never_come_back_keep_memory_flat(monkeypatch):
    config.tier = "interpreted"
    monkeypatch.setattr(function, "SIGNATURES", 40)
    monkeypatch.setattr(recorder, "TRIE_ENDINGS", 40)
    monkeypatch.setattr(programs, "KEPT", 40)
    weights = ft.ones(3, 2, requires_grad=True)

    def work(n):
        assert float((jnp.tanh(jnp.zeros(n)) + 1).sum()) == n
        assert fdl.vmap(lambda x: x.sum())(jnp.ones((n, 2))).shape == (n,)
        ((ft.ones(n, 3) @ weights).relu() ** 2).mean().backward()
        weights.grad = None

    def objects():
        gc.collect()
        return len(gc.get_objects())

    for n in range(1, 121):
        work(n)
    before = objects()
    for n in range(121, 361):
        work(n)
    assert objects() < 1.25 * before


@pytest.mark.slow
def test_fifteen_hundred_shapes_keep_memory_flat():
    weights = ft.ones(8, 4, requires_grad=True)
    compiled = fdl.jit(lambda x: jnp.tanh(x).sum())
    for n in range(1, 1501):
        float((jnp.tanh(jnp.ones(n)) * 2).sum())
        ((ft.ones(n, 8) @ weights).relu() ** 2).mean().backward()
        if n <= 200:
            compiled(jnp.ones(n))
        if n == 500:
            before = resident()
    assert resident() - before < 30e6
