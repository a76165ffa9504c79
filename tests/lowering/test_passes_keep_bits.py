"""No pass changes a bit: each graph of the corpus computes the same before and after each pass that changes it.

Small graphs run in the interpreter of loop programs, which folds and multiplies in the order that the compiled program
does, and works every other element out by itself, so that equal operations have equal bits; the graph's own interpreter
has not, since NumPy's products and sums follow how their operands lie. Large graphs are compiled.
"""

import itertools

import numpy as np
import pytest

from fdl.backends.c import CExecutable
from fdl.backends.toolchain import find_compiler
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.graph import Graph, Var
from fdl.lowering import pipeline
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.passes import PASSES
from fdl.passes.checks import lift_checks
from fdl.passes.match import ADD
from tests.conftest import needs_compiler
from tests.lowering.corpus.data import Record, inputs_of, raw_corpus

RAW = raw_corpus()
GRAPHS = {name: lift_checks(Record.of(name, raw).graph).graph for name, raw in RAW.items()}
# by the elements of all results of their equations, where what loops hold counts once
COMPUTED = {name: sum(v.aval.size for e in g.equations for v in e.outputs) for name, g in GRAPHS.items()}
CROPPED = "programs/digits_cnn.3"  # what `crop` changes is all large
SMALL = [name for name, size in COMPUTED.items() if size <= 20_000 or name == CROPPED]
LARGE = [name for name in RAW if name not in SMALL]


def stations(name, passes=PASSES):
    """A graph, and what each pass makes of the last one: (name of the pass, graph), where it makes something else."""
    found = [("nothing", GRAPHS[name])]
    for step in passes:
        after = step(found[-1][1])
        if str(after) != str(found[-1][1]):
            found.append((step.__name__, after))
    return found


def interpreted(graph, args):
    """Bits of the results, by the interpreter of loop programs."""
    return [out.tobytes() for out in interpret_program(build(graph), args)]


def compiled(graph, args):
    """Bits of the results of the compiled program."""
    program = CExecutable(graph, find_compiler())
    return [np.asarray(out).tobytes() for out in program([from_numpy(x.copy()) for x in args])]


def changed(name, run, passes=PASSES):
    """Passes after which a graph has other bits than before."""
    met, args = stations(name, passes), inputs_of(GRAPHS[name], 0)
    bits = [run(graph, args) for _, graph in met] if len(met) > 1 else []
    return [met[i + 1][0] for i, (before, after) in enumerate(itertools.pairwise(bits)) if before != after]


def test_each_pass_changes_a_small_graph():
    """But for `inline`: the corpus holds no calls."""
    met = {step for name in SMALL for step, _ in stations(name)[1:]}
    assert met == {step.__name__ for step in PASSES} - {"inline"}


@pytest.mark.parametrize("part", range(4))
def test_passes_keep_the_bits_of_small_graphs(part):
    assert [(name, found) for name in SMALL[part::4] if (found := changed(name, interpreted))] == []


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_passes_keep_the_bits_of_large_graphs(name, monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline, "run_passes", lambda graph: graph)
    config.cache_dir = str(tmp_path)  # plans are kept by the graph, which has others where passes run
    assert changed(name, compiled) == []


def associate(graph):
    """A pass that must not be: (a + b) + c is a + (b + c)."""
    sums = {e.outputs[0]: e for e in graph.equations if e.primitive is ADD}
    equations = []
    for e in graph.equations:
        first = sums.get(e.inputs[0]) if e.primitive is ADD and isinstance(e.inputs[0], Var) else None
        if first is not None and len({a.aval for a in (*first.inputs, *e.inputs)}) == 1:
            rest = Var(e.outputs[0].aval)
            equations.append(e.replace(inputs=(first.inputs[1], e.inputs[1]), outputs=(rest,)))
            e = e.replace(inputs=(first.inputs[0], rest))
        equations.append(e)
    return Graph(graph.inputs, tuple(equations), graph.outputs, graph.constants)


def test_a_pass_that_sums_in_another_order_is_found():
    assert ["associate"] in [changed(name, interpreted, [associate]) for name in SMALL]
