"""What people see of the compiler: a line where they wait, a warning where shapes keep changing."""

import io
import types
import warnings

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl.backends import runtime, waits
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.errors import ManyShapesWarning
from tests.conftest import needs_compiler

pytestmark = needs_compiler


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    found = Terminal()
    monkeypatch.setattr(waits, "sys", types.SimpleNamespace(stderr=found))
    monkeypatch.setattr(waits, "LEAST", 0.0)
    return found


@pytest.fixture(autouse=True)
def _own_counts():
    waits.forget_lines()
    yield
    waits.forget_lines()


def fresh(tmp_path, monkeypatch):
    """Compile anew: an empty cache."""
    monkeypatch.setattr(config, "cache_dir", tmp_path / "cache")


def test_a_wait_is_said_with_what_and_how_long(terminal, tmp_path, monkeypatch):
    fresh(tmp_path, monkeypatch)

    @fdl.jit
    def step(x):
        return jnp.tanh(x) * 3.25 + 1

    step(from_numpy(np.ones(7, np.float32)))
    lines = terminal.getvalue().split("\r")
    assert lines[0] in ("", "fdl: compiling step (3 operations) ...")
    assert lines[1].startswith("fdl: compiled step (3 operations)") and lines[1].endswith(" s\n")
    before = terminal.getvalue()
    step(from_numpy(np.ones(7, np.float32)))
    assert terminal.getvalue() == before


def test_the_runtime_library_is_named_where_it_is_built(terminal, monkeypatch):
    with waits.waiting("step", 1) as also:
        also.append("the runtime library, once for this machine,")
    assert "step (1 operation) and the runtime library, once for this machine, in 0.0 s" in terminal.getvalue()
    assert isinstance(runtime.builds, int)


def test_short_waits_pipes_and_those_who_ask_for_silence_get_no_line(terminal, monkeypatch):
    monkeypatch.setattr(waits, "LEAST", 60.0)
    with waits.waiting("step", 1):
        pass
    monkeypatch.setattr(waits, "LEAST", 0.0)
    monkeypatch.setattr(config, "log", frozenset({"quiet"}))
    with waits.waiting("step", 1):
        pass
    monkeypatch.setattr(config, "log", frozenset())
    monkeypatch.setattr(terminal, "isatty", lambda: False, raising=False)
    with waits.waiting("step", 1):
        pass
    assert terminal.getvalue() == ""


def test_the_line_ends_where_compiling_fails(terminal):
    with pytest.raises(ValueError), waits.waiting("step", 2):
        raise ValueError
    assert terminal.getvalue().endswith(" s\n")


def test_a_line_with_ever_new_shapes_is_warned_of_once(tmp_path, monkeypatch):
    fresh(tmp_path, monkeypatch)
    f = fdl.jit(lambda x: x * 1.5)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for n in range(1, waits.MOST_SHAPES + 4):
            f(jnp.ones(n))
    (said,) = [w for w in found if w.category is ManyShapesWarning]
    text = str(said.message)
    assert (
        "9 different shapes at test_waits.py:" in text and "from float32[8] to float32[9]" in text and "try: " in text
    )


def test_recorded_loops_are_warned_of_too(tmp_path, monkeypatch):
    fresh(tmp_path, monkeypatch)
    monkeypatch.setattr(config, "tier", "compiled")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for n in range(1, waits.MOST_SHAPES + 3):
            (torch.ones(n, 2) * 2 - 1).sum().item()
    assert [w.category for w in found] == [ManyShapesWarning]


def test_different_programs_of_one_line_are_no_reason_to_warn(tmp_path, monkeypatch):
    fresh(tmp_path, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in range(waits.MOST_SHAPES + 3):
            f = fdl.jit(lambda x, k=k: sum([x + i for i in range(k)], x))
            assert np.asarray(f(jnp.ones(3))).shape == (3,)
