"""The frozen corpus: programs are rendered as they were, and its graphs are sound and cover all primitives."""

import zlib

import numpy as np
import pytest

import fdl
from fdl.core import interpret
from fdl.core.array import from_numpy
from fdl.core.graph import subgraphs
from fdl.core.primitive import OWN
from fdl.testing.tolerances import TABLE, assert_close
from tests.conftest import needs_compiler
from tests.lowering.corpus import compiler
from tests.lowering.corpus.data import Record, from_data, inputs_of, raw_corpus, to_data
from tests.lowering.corpus.digests import header_digests, read_digests, rendered_digests

RAW = raw_corpus()
SAY = "where that is meant: python -m tests.lowering.corpus --against main, and then --update"
# Calls are inlined, names give what they are given, `vmap` takes collectives away, before a program is lowered; a
# callback is a Python function, which is no data
WITHOUT_TEXT = {
    "call", "checkpoint", "custom_jvp", "custom_vjp", "custom_vmap", "linear_call", "name", "psum", "axis_index",
    "all_gather", "callback"
}  # fmt: skip
# It chooses the largest of near scores, and goes on with that: one rounding otherwise gives another text.
CHAOTIC = {"benchmarks/decode"}
SMALL = 20_000  # elements that a program computes


def shares(count):
    """The names in so many fixed parts."""
    return [[name for name in RAW if zlib.crc32(name.encode()) % count == i] for i in range(count)]


def assert_text_is_as_recorded(names, targets):
    found, recorded = rendered_digests((Record.of(name, RAW[name]) for name in names), targets), read_digests()
    different = [(name, t) for name in names for t in targets if found[name][t] != recorded.get(name, {}).get(t)]
    assert different == [], SAY


def test_text_is_as_recorded():
    """Of each program for one target."""
    for names, target in zip(shares(len(compiler.TARGETS)), compiler.TARGETS, strict=True):
        assert_text_is_as_recorded(names, [target])


@pytest.mark.slow
def test_text_for_all_targets_is_as_recorded():
    assert_text_is_as_recorded(RAW, compiler.TARGETS)


def test_headers_are_as_recorded():
    recorded = {name: d for name, d in read_digests().items() if name.startswith("headers/")}
    assert header_digests() == recorded, SAY


def test_each_program_has_a_digest():
    assert {n for n in read_digests() if not n.startswith("headers/")} == RAW.keys(), SAY


def test_graphs_are_sound_and_written_as_they_were_read():
    for name, raw in RAW.items():
        graph = from_data(raw["graph"])
        graph.check()
        assert to_data(graph) == raw["graph"], name


def primitives_of(graph):
    found = {e.primitive for e in graph.equations}
    for e in graph.equations:
        for inner in subgraphs(e.params):
            found |= primitives_of(inner)
    return found


def test_each_primitive_is_in_the_corpus():
    covered = set().union(*(primitives_of(from_data(raw["graph"])) for raw in RAW.values()))
    missing = {p.name for p in OWN if p.has("lower") and p not in covered} - WITHOUT_TEXT
    assert not missing, "python -m tests.lowering.corpus.record new, and then python -m tests.lowering.corpus --update"


def computed(name):
    """Elements of all results of a program's equations; what loops hold counts once."""
    return sum(v.aval.size for e in from_data(RAW[name]["graph"]).equations for v in e.outputs)


@pytest.mark.parametrize("seed", [0, 1])
def test_loop_programs_compute_what_graphs_do(seed):
    for name in shares(3)[0]:
        if not name.startswith("benchmarks/") and computed(name) <= SMALL:
            graph = from_data(RAW[name]["graph"])
            args = inputs_of(graph, seed)
            wanted = [np.reshape(want, -1) for want in interpret(graph, args)]
            for got, want in zip(compiler.loop_program_results(graph, args), wanted, strict=True):
                assert_close(got.view(want.dtype), want)


def assert_close_to_largest(got, want):
    """As `assert_close`, with an absolute tolerance relative to the largest finite element: long sums cancel."""
    if got.dtype.name not in TABLE:
        return assert_close(got, want)
    rtol, atol = TABLE[got.dtype.name]
    got, want = got.astype(np.float64), want.astype(np.float64)
    largest = np.abs(want[np.isfinite(want)]).max(initial=1)
    return np.testing.assert_allclose(got, want, rtol=rtol, atol=atol * largest)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", RAW)
def test_compiled_programs_compute_what_graphs_do(name):
    """On one thread and three, bit for bit the same."""
    if computed(name) > 25 * SMALL:
        pytest.skip("the interpreter takes long")
    record = Record.of(name, RAW[name])
    program = compiler.executable(record.graph, record.donated)
    for seed in (0, 1):
        results = []
        for threads in (1, 3):
            fdl.set_num_threads(threads)
            args = inputs_of(record.graph, seed)
            results.append([np.asarray(out) for out in program([from_numpy(x.copy()) for x in args])])
        for one, three, want in zip(*results, interpret(record.graph, args), strict=True):
            assert one.tobytes() == three.tobytes()
            if name not in CHAOTIC:
                assert_close_to_largest(one, np.asarray(want))
