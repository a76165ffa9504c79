"""The same samples run with the runtime library and without it: values, gradients, tapes, errors and recorded programs
are the same; each reason to leave a call to Python is met, and what names none is left to nobody.
"""

import gc
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest

import fdl.numpy as jnp
import fdl.stateful as torch
from fdl.backends import runtime
from fdl.backends.native import NATIVE, REASONS
from fdl.backends.toolchain import find_compiler
from fdl.core.array import Array
from fdl.core.config import config
from fdl.transforms.lazy import recorders
from fdl.transforms.lazy.recorder import _EPOCHS
from tests.conftest import needs_compiler
from tests.native import c_source
from tests.native.samples import SAMPLES

pytestmark = needs_compiler
RUNS = 3


@pytest.fixture(scope="module", autouse=True)
def library():
    NATIVE.arrive(runtime.load(find_compiler()))
    assert NATIVE.bind and NATIVE.steps and NATIVE.follow and NATIVE.apply and NATIVE.copied


def tape_of(node, depth=6):
    """Names along the edges of the tape."""
    if node is None or depth == 0:
        return None
    return node.name(), [(tape_of(n, depth - 1), index) for n, index in getattr(node, "edges", ())]


def seen(x):
    """What can be compared of a result."""
    if isinstance(x, torch.Tensor):
        edge, node = x.is_leaf, x._node()
        return (type(x), x.requires_grad, edge, tape_of(node)), seen(x._value())
    if isinstance(x, Array):
        x = np.asarray(x)
    if isinstance(x, np.ndarray):
        return x.dtype, x.shape, x.tobytes()
    if isinstance(x, dict):
        return {k: seen(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [seen(v) for v in x]
    return x


def recorded(recorder):
    """What a recorder has seen: each operation, and each program that ended with it, in the order in which they came
    first.
    """
    found, todo = [], [recorder.root]
    while todo:
        node = todo.pop()
        endings = [
            (settled, [(c.outputs, c.donated) for _, _, c in ending.choices], list(ending.known))
            for settled, ending in node.endings.items()
        ]
        found.append((node.key, node.first, node.out_avals, endings))
        todo += reversed(node.children.values())
    return found


def run(sample):
    """What a sample has seen in some runs in a thread of its own, whose recorder is new; how many programs were begun,
    and what was recorded; and why, and where in C, calls were left to Python, run by run.
    """
    results, programs, declined = [], [], []

    def work():
        first = next(_EPOCHS)
        for _ in range(RUNS):
            before = Counter(NATIVE.module.declined())
            results.append(seen(sample()))
            declined.append(Counter(NATIVE.module.declined()) - before)
        programs.append((next(_EPOCHS) - first, recorded(recorders.recorder)))

    thread = threading.Thread(target=work)
    gc.disable()  # what tracebacks keep alive is alive, whenever it would have been collected
    try:
        thread.start()
        thread.join()
    finally:
        gc.enable()
    assert len(results) == RUNS
    return results, programs, declined


@pytest.mark.parametrize("name", SAMPLES)
def test_with_the_library_and_without(name):
    sample, reasons, config.tier = SAMPLES[name]
    with NATIVE.set_aside():
        want, before, left = run(sample)
    assert not {place for run in left for _, place in run} - {"run_arrays"}, "all is Python's but compiled programs"
    got, programs, declined = run(sample)
    assert got == want
    assert programs == before
    assert set(reasons) <= {reason for run in declined for reason, _ in run}
    if not reasons:
        assert not declined[-1], "the library does all of what came before"


def test_each_place_that_leaves_calls_to_python_is_met():
    met = set()
    for sample, reasons, config.tier in SAMPLES.values():
        if reasons:
            met.update(*run(sample)[2])
    assert met == {(reason, name) for name, function in c_source.functions().items() for reason in function.reasons}
    assert {reason for reason, _ in met} == REASONS.keys()


def test_a_fault_of_the_library_is_found(monkeypatch):
    """A native function that does something else than its twin shows in the comparison."""
    real = NATIVE.apply

    def wrong(function, operands, static):
        return real(function, operands[::-1], static)

    sample = lambda: torch.atan2(torch.ones(2) * 3, torch.arange(2.0))
    with NATIVE.set_aside():
        want, _, _ = run(sample)
    monkeypatch.setattr(NATIVE, "apply", wrong)
    assert run(sample)[0] != want


def test_what_is_set_aside_comes_back():
    before = {name: getattr(NATIVE, name) for name in ("bind", "apply", "rows")}, torch.Tensor.add_
    with pytest.raises(ZeroDivisionError), NATIVE.set_aside():
        assert NATIVE.bind is None and torch.Tensor.add_ is not before[1]
        _ = jnp.ones(2) * (1 / 0)
    assert ({name: getattr(NATIVE, name) for name in ("bind", "apply", "rows")}, torch.Tensor.add_) == before


def test_classes_that_decide_are_asked_whenever_the_library_comes():
    script = """
import fdl.stateful as torch
from fdl.backends import runtime
from fdl.backends.native import NATIVE
from fdl.backends.toolchain import find_compiler

class Named(torch.Tensor):
    pass

x = torch.ones(2).as_subclass(Named)
kinds = lambda: [type(v).__name__ for v in (x + 1, 2 - x, x.exp(), x > 0, torch.ones(2) + 1, x.add_(1))]
before = kinds()
NATIVE.arrive(runtime.load(find_compiler()))
assert NATIVE.apply is not None and kinds() == before == [*["Named"] * 4, "Tensor", "Named"], (before, kinds())
class Mode(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func.__name__
y = torch.ones(2)
with Mode():
    found = y + 1, y.exp()
assert all(type(v) is str for v in found), found
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
