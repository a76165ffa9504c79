"""The base trace: recording, flushing, liveness, limits, failures, re-entrancy, threads."""

import gc
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import ops
from fdl.backends.executable import Interpreted
from fdl.core.array import ConcreteArray, Deferred
from fdl.core.config import config
from fdl.core.errors import DeferredError, ShapeError
from fdl.testing import count_compilations, count_native_calls, count_programs
from fdl.transforms.lazy import current_recorder, flush, programs, set_eager, trie
from fdl.transforms.lazy.recorder import Recorder
from tests.conftest import ROOT, needs_compiler


@pytest.fixture(autouse=True)
def _flushed():
    flush()
    yield
    flush()


def pending(x):
    return isinstance(x._data, Deferred)


def test_operations_are_recorded_and_run_when_looked_at():
    x = jnp.array([1.0, 2.0])
    y = x * 2 + 1
    assert pending(y)
    assert y.tolist() == [3.0, 5.0] and not pending(y)


def test_importing_the_numpy_module_is_enough():
    code = "import fdl.numpy as jnp; y = jnp.ones(3) * 2; print(type(y._data).__name__, y.tolist())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert out.split()[0] == "Segment"


def test_errors_come_at_the_line_and_change_nothing():
    x, y = jnp.ones(3), jnp.ones(4)
    z = x * 2
    values = len(current_recorder().segment.values)
    with pytest.raises(ShapeError):
        _ = z + y
    assert len(current_recorder().segment.values) == values
    assert (z + 1).tolist() == [3.0, 3.0, 3.0]


def test_numbers_are_inputs_and_not_part_of_a_program():
    x = jnp.arange(3.0)
    flush()
    float((x * 0.5).sum())
    with count_programs() as seen:
        for i in range(5):
            total = float((x * (i + 0.1)).sum())
            assert total == pytest.approx(3 * (i + 0.1), rel=1e-6)
    assert seen() == 0


def test_integers_stay_exact():
    x = jnp.array([1], "int64")
    assert (x + (2**53 + 1)).tolist() == [2**53 + 2]
    assert (jnp.array([0.5], "float64") + 0.1).tolist() == [0.6]


def test_equal_and_different_aliasing_are_different_programs():
    a, b = jnp.array([2.0]), jnp.array([3.0])
    assert (a * a).tolist() == [4.0]
    assert (a * b).tolist() == [6.0]
    assert (b * a + a).tolist() == [8.0]
    assert (b * a + b).tolist() == [9.0]


def test_only_live_results_are_kept():
    x = jnp.ones(100)
    dead = [x * i for i in range(5)]
    alive = dead[2]
    del dead
    assert float(alive[0]) == 2.0


@needs_compiler
def test_who_is_alive_may_change_from_run_to_run():
    config.tier = "compiled"
    x, kept = jnp.arange(4.0), []
    for i in range(12):
        y = x * 2
        z = y + i
        w = z * y
        if i % 3 == 0:
            kept.append((i, y))
        if i % 4 == 1:
            kept.append((i, z))
        np.testing.assert_array_equal(np.asarray(w), (np.arange(4.0) * 2 + i) * np.arange(4.0) * 2)
    for i, value in kept:
        assert value.tolist() in ((np.arange(4.0) * 2).tolist(), (np.arange(4.0) * 2 + i).tolist())


@needs_compiler
def test_inputs_are_overwritten_only_when_nobody_holds_them():
    config.tier = "compiled"
    x = jnp.ones(1000) * 1.0
    flush()
    for i in range(8):
        old = x if i % 2 else None
        x = x + 1
        view = np.asarray(x) if i == 4 else None
        flush()
        assert float(x[0]) == i + 2
        if old is not None:
            assert float(old[0]) == i + 1
        if view is not None:
            held = view
    assert held[0] == 6.0


@needs_compiler
def test_a_loop_that_nobody_looks_at_repeats_a_program():
    x = jnp.arange(5.0)
    with count_programs() as seen:
        for _ in range(10_000):
            x = x * 0.999 + 0.1
        value = x.tolist()
    assert seen() <= 3
    want = np.arange(5, dtype=np.float32)
    for _ in range(10_000):
        want = want * np.float32(0.999) + np.float32(0.1)
    np.testing.assert_allclose(value, want, rtol=1e-5)


@needs_compiler
def test_a_logged_loop_repeats_a_program():
    x = jnp.arange(5.0)
    with count_programs() as seen, count_compilations() as compilations:
        for i in range(10_000):
            x = x * 0.999 + 0.1
            if i % 7 == 0:
                x.tolist()
    assert seen() <= 3 + 7
    assert compilations() <= 3


def test_memory_is_flat():
    """In a thread of its own, whose recorder knows no other test's programs: it would drop them at its limit, at some
    time or other.
    """
    grown = []

    def steps(x, count):
        for _ in range(count):
            x = x * 0.5 + 1
        flush()
        gc.collect()
        return x

    def run():
        x = steps(steps(jnp.arange(5.0), 3000), 3000)  # once from a new array, once from a computed one: two programs
        before = len(gc.get_objects())
        steps(x, 10_000)
        grown.append(len(gc.get_objects()) - before)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert grown[0] < 1000


def test_a_growing_shape_starts_no_compiler():
    def grown(count):
        x = jnp.zeros(1)
        for _ in range(count):
            x = jnp.concatenate([x, x[-1:] + 1])
            float(x.sum())

    grown(4)  # each operation has a program for all sizes then
    with count_compilations() as compilations:
        grown(40), grown(40)
    assert compilations() == 0


@needs_compiler
def test_bits_stay_when_a_program_is_compiled():
    """Lines that come back run operation by operation first, then as one program."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32))
    with count_native_calls() as ran:
        found = [np.asarray(jnp.sum(jnp.tanh(x @ x.T) * 1.7, 1)).tobytes() for _ in range(8)]
    assert 0 < ran() < 8
    assert len(set(found)) == 1


def test_the_trie_is_bounded(monkeypatch):
    monkeypatch.setattr("fdl.transforms.lazy.recorder.TRIE_NODES", 50)
    for n in range(1, 120):
        assert float((jnp.ones(n) * 2).sum()) == 2 * n
    assert current_recorder().nodes <= 60


def test_programs_are_bounded(monkeypatch):
    monkeypatch.setattr(programs, "KEPT", 20)
    for n in range(1, 60):
        float(jnp.ones(n).sum())
    assert len(programs._PROGRAMS) <= max(20, 512)


def test_chains_may_be_long():
    x = jnp.float32(0.0)
    for _ in range(20_000):
        x = x + 1
    assert float(x) == 20_000.0


def test_a_failed_flush_says_so_and_later_work_goes_on(monkeypatch):
    x = jnp.ones(3)
    flush()
    y = x * 2

    def fails(self, arrays):
        raise MemoryError("no memory")

    monkeypatch.setattr(Interpreted, "__call__", fails)
    config.tier = "interpreted"
    with pytest.raises(MemoryError):
        y.tolist()
    monkeypatch.undo()
    with pytest.raises(DeferredError):
        y.tolist()
    assert (x * 3).tolist() == [3.0, 3.0, 3.0]


def test_an_interrupt_inside_of_a_bind_changes_nothing():
    x = jnp.ones(3)
    y, z = x * 2, jnp.zeros(2)
    state = current_recorder()
    nodes = state.segment.node

    def resolve(head, avals):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        state.bind(("interrupted",), [x, y, 1.5, z], resolve)
    assert state.segment.node is nodes and not state.busy
    assert (y + x).tolist() == [3.0, 3.0, 3.0]


def test_operations_in_the_midst_of_an_operation_are_recorded_aside():
    x = jnp.ones(3)
    y = x * 2
    inner = []

    def resolve(head, avals):
        inner.append(y + 10)  # as a signal handler would
        inner.append((x * 7).tolist())
        inner.append(y.tolist())
        raise ValueError

    with pytest.raises(ValueError):
        current_recorder().bind(("busy",), [x], resolve)
    assert inner[0].tolist() == [12.0, 12.0, 12.0]
    assert inner[1:] == [[7.0, 7.0, 7.0], [2.0, 2.0, 2.0]]
    assert (y + 1).tolist() == [3.0, 3.0, 3.0]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer")
def test_signal_handlers_that_compute_disturb_nothing():
    seen, running = [], [True]

    def handler(*_):
        seen.append(float((jnp.arange(4.0) * 2).sum()))
        if running:
            signal.setitimer(signal.ITIMER_REAL, 0.002)  # the next one, so that handlers never pile up

    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.002)
    try:
        x, end = jnp.arange(5.0), time.time() + 0.7
        count = 0
        while time.time() < end:
            x = x * 0.5 + 1
            count += 1
            if count % 5 == 0:
                assert np.isfinite(x.tolist()).all()
    finally:
        running.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(0.01)
        signal.signal(signal.SIGALRM, old)
    assert seen and set(seen) == {12.0}


def test_finalizers_that_compute_disturb_nothing():
    seen = []

    class Noisy:
        def __del__(self):
            seen.append(float((jnp.arange(3.0) + 1).sum()))

    x = jnp.arange(5.0)
    for i in range(200):
        noisy = Noisy()
        x = x * 0.5 + i
        noisy.cycle = noisy
        del noisy
        if i % 50 == 0:
            gc.collect()
    assert x.shape == (5,) and np.isfinite(x.tolist()).all()
    gc.collect()
    assert seen and set(seen) == {6.0}


def test_threads_record_apart_and_share_values():
    shared = jnp.arange(1000.0)
    results = {}

    def work(n):
        x = shared
        for _ in range(50):
            x = x * 0.5 + shared * n
        results[n] = x.tolist()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for n, got in results.items():
        want = np.arange(1000, dtype=np.float32)
        for _ in range(50):
            want = want * np.float32(0.5) + np.arange(1000, dtype=np.float32) * np.float32(n)
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_pending_values_cross_threads_while_their_owner_goes_on():
    results, stop = [], threading.Event()
    box = [jnp.arange(4.0) + 1]

    def reader():
        while not stop.is_set():
            results.append((box[0] * 1).tolist())

    t = threading.Thread(target=reader)
    t.start()
    x = jnp.arange(4.0)
    for i in range(300):
        x = x * 0 + i
        box[0] = x + jnp.arange(4.0)
        if i % 10 == 0:
            flush()
    stop.set()
    t.join()
    for r in results:
        assert r == [r[0], r[0] + 1, r[0] + 2, r[0] + 3]


def test_checks_run_with_their_program():
    x = jnp.arange(3.0)
    bad = (x * 2).sum() > 5
    ops.check(bad, ops.Failure(IndexError, "too large", "too large"))
    y = x + 1
    with pytest.raises(IndexError, match="too large"):
        y.tolist()
    with pytest.raises(DeferredError):
        y.tolist()
    assert (x + 1).tolist() == [1.0, 2.0, 3.0]


def test_checks_run_even_if_nothing_is_alive():
    bad = (jnp.arange(3.0)).sum() > 0
    ops.check(bad, ops.Failure(IndexError, "found", "found"))
    del bad
    with pytest.raises(IndexError, match="found"):
        flush()


def test_memory_that_is_not_ours_is_copied_at_the_call():
    memory = np.ones(3, np.float32)
    x = jnp.asarray(memory)
    y = jnp.array([1.0, 1.0, 1.0]) + memory
    memory[:] = 7
    assert x.tolist() == [1.0, 1.0, 1.0] and y.tolist() == [2.0, 2.0, 2.0]
    exported = np.asarray(x)
    assert not exported.flags.writeable


def test_eager_runs_each_line():
    set_eager(True)
    assert not pending(jnp.ones(3) * 2)


@needs_compiler
def test_the_compiled_tier_interprets_nothing(monkeypatch):
    def fails(self, arrays):
        raise AssertionError("interpreted")

    monkeypatch.setattr(Interpreted, "__call__", fails)
    config.tier = "compiled"
    with count_native_calls() as calls:
        assert float(fdl.nn.softmax(jnp.ones(4)).sum()) == pytest.approx(1.0)
        assert calls() == 1


@needs_compiler
def test_compile_decisions_repeat():
    def run():
        programs._PROGRAMS.clear()
        current_recorder().root = trie.Node()
        flush()
        when = []
        x = jnp.ones((50, 50))
        with count_native_calls() as calls:
            for i in range(600):
                float(jnp.tanh(x @ x * 0.01 + i).sum())
                if calls() and not when:
                    when.append(i)
        return when

    assert run() == run() != []


def test_a_recorder_is_freed_with_its_thread():
    kept = []
    count = lambda: sum(type(o) is Recorder for o in gc.get_objects())
    before = count()

    def work():
        kept.append(jnp.ones(3) + 1)

    t = threading.Thread(target=work)
    t.start()
    t.join()
    assert kept[0].tolist() == [2.0, 2.0, 2.0]
    kept.clear()
    gc.collect()
    assert count() <= before


OPERATIONS = {
    "add": lambda a, b: a + b,
    "scale": lambda a, b: a * 0.5,
    "mix": lambda a, b: a * b - a,
    "tanh": lambda a, b: jnp.tanh(a),
    "slice": lambda a, b: jnp.concatenate([a[1:], b[:1]]),
    "where": lambda a, b: jnp.where(a > b, a, b),
    "softmax": lambda a, b: fdl.nn.softmax(a + b),
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(OPERATIONS)),
            st.integers(0, 3),
            st.integers(0, 3),
            st.sampled_from(["keep", "look", "drop", "flush"]),
        ),
        max_size=25,
    )
)
def test_random_walks_agree_with_eager_execution(steps):
    def run(eager):
        set_eager(eager)
        values = [jnp.arange(4.0) * (i + 1) * 0.25 for i in range(4)]
        seen = []
        for name, i, j, then in steps:
            values[i] = OPERATIONS[name](values[i], values[j])
            if then == "look":
                seen.append(values[j].tolist())
            if then == "drop":
                values[j] = jnp.ones(4)
            if then == "flush":
                flush()
        return seen, [v.tolist() for v in values]

    config.tier = "interpreted"
    want = run(True)
    assert run(False) == want


def test_arrays_are_what_they_were_made_as():
    assert isinstance(jnp.ones(2) + 1, ConcreteArray)


MIXED = [
    lambda: jnp.ones(3),
    lambda: jnp.ones((2, 1)),
    lambda: jnp.float32(2),
    lambda: jnp.asarray(2.0),
    lambda: jnp.arange(3),
    lambda: 2.0,
    lambda: 3,
    lambda: np.ones(3, "f"),
    lambda: jnp.ones(3, "bfloat16"),
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([jnp.add, jnp.multiply, jnp.maximum, jnp.less]),
            st.integers(0, len(MIXED) - 1),
            st.integers(0, len(MIXED) - 1),
        ),
        max_size=6,
    )
)
def test_what_is_recalled_has_the_types_and_values_of_what_is_worked_out(steps):
    """Operands go to the record as they were given, before they are aligned, if it has just these types."""

    def run():
        return [f(MIXED[a](), MIXED[b]()) for f, a, b in steps]

    first, gradients = run(), []
    for _ in range(2):
        for x, y in zip(first, run(), strict=True):
            assert x.aval == y.aval
            assert x.tolist() == y.tolist()
        gradients.append(
            fdl.grad(lambda w: sum(((f(w * MIXED[a](), MIXED[b]()) * 1.0).sum() for f, a, b in steps), w * 0.0))(
                2.0
            ).item()
        )
    assert gradients[0] == gradients[1]
