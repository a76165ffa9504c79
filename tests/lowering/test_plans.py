"""Planned programs: the checker takes them and refuses planted faults; the interpreter, which follows a plan byte by
byte, gives the bits of the program without one.
"""

import ast
import dataclasses
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax, ops
from fdl.core.array import from_numpy
from fdl.core.errors import GraphError
from fdl.lowering.build.control import build
from fdl.lowering.emit.c.program import WRITTEN
from fdl.lowering.ir import planned as planned_nodes
from fdl.lowering.ir.interpret import RUN, interpret_program
from fdl.lowering.ir.nodes import Loop, Map, Node, Prefetch, Threads
from fdl.lowering.ir.planned import Alias, Alloc, Barrier, Copy, Guard, Home, Scope, Stamp, Swap
from fdl.lowering.ir.printer import PRINTED
from fdl.lowering.ir.rewrite import all_nodes, mapped
from fdl.lowering.pipeline import PLANS, plan, schedule
from fdl.lowering.plan.clocks import measure
from fdl.passes.checks import lift_checks
from tests.conftest import ROOT
from tests.lowering.drawn import examples, programs
from tests.lowering.test_composability import EAGER, RICH, SHAPES, WORDS, values
from tests.test_architecture import imported

# All threads run what they can, everything is large, and what is written never comes back from a cache
KEEN = dataclasses.replace(EAGER, copied=0, past_caches=1, whole_lines=1, ahead_least=1, page=16, ahead_row=1 << 20)
BARE = dataclasses.replace(KEEN, composites=False)
# One thread, for which a page is a page
QUIET = dataclasses.replace(EAGER, parallel_work=1 << 60)


def scheduled(f, *shapes, target=KEEN, donated=()):
    """The scheduled program of a function, with values for its arguments."""
    args = [values(shape, "whole") for shape in shapes]
    graph, captured = fdl.make_graph(f)(*map(from_numpy, args)).lift()
    lifted = lift_checks(graph)
    program = schedule(build(lifted.graph, len(lifted.checks)), target)
    inputs = tuple(program.inputs[len(captured) + i] for i in donated)
    return dataclasses.replace(program, donated=inputs), [*map(np.asarray, captured), *args]


def planned(f, *shapes, target=KEEN, donated=()):
    """The planned program, which is sound, with values for its arguments and the bits of its results."""
    program, args = scheduled(f, *shapes, target=target, donated=donated)
    made = plan(program, target)
    made.check()
    assert bits(made, args) == bits(program, args)
    return made, args


def bits(program, args):
    return [out.tobytes() for out in interpret_program(program, args)]


def kinds(program):
    return Counter(type(n) for n in all_nodes(program.nodes))


met: Counter[type[Node]] = Counter()


def keeps_bits(f, shape):
    for target in (KEEN, QUIET):
        program, args = scheduled(f, shape, target=target)
        cancelling = [*args[:-1], values(shape, "cancelling")]
        for step in (*PLANS, measure):
            program = step(program, target)
            met.update(kinds(program))
        program.check()
        without, _ = scheduled(f, shape, target=target)
        for each in (args, cancelling):
            assert bits(program, each) == bits(without, each)


@examples(60)
@given(programs(WORDS), st.sampled_from(SHAPES))
def test_a_plan_changes_no_bit(f, shape):
    keeps_bits(f, shape)


@pytest.mark.parametrize("f", RICH)
def test_a_plan_of_large_moves_changes_no_bit(f):
    keeps_bits(f, (12, 16))


# What plans look like


def crossing(x):
    """Two carries that are read elsewhere than they are written."""
    return lax.fori_loop(0, 3, lambda _, c: (c[1][::-1] + c[0], c[0][::-1] * 0.5 + c[1]), (x[0], x[1]))


def relaxed(x):
    """A carry that is read elsewhere than it is written."""
    return lax.fori_loop(0, 5, lambda _, c: c[::-1] * 0.5 + c, x)


def columns(x):
    return (lambda y: (y, y.sum(0)))(jnp.tanh(x))


def test_what_a_loop_carries_is_swapped_or_copied_or_stays():
    swapped, _ = planned(relaxed, (64,))
    assert kinds(swapped)[Swap] == kinds(swapped)[Home] == 1 and not kinds(swapped)[Copy]
    copied, _ = planned(relaxed, (64,), target=QUIET)
    assert kinds(copied)[Copy] == 1 and not kinds(copied)[Swap]
    stays, _ = planned(lambda x: lax.fori_loop(0, 5, lambda _, c: c * 0.5 + 1, x), (64,))
    assert kinds(stays)[Alias] and not kinds(stays)[Copy] + kinds(stays)[Swap]


def test_a_plan_is_printed():
    text = str(planned(lambda x: jnp.tanh(jnp.sum(x * 2, 1)), (64, 64), target=BARE)[0])
    text += str(planned(columns, (12, 20))[0])
    text += str(planned(relaxed, (64,))[0])
    for part in ("alloc temp1:float32[64] in arena at 0", "by all threads", "barrier", "prefetch", "past the caches"):
        assert part in text, text
    assert "swap out3 with temp5" in text and "home out3 from temp5 by one thread" in text


def test_explain_shows_the_plan():
    f = lambda x: lax.scan(lambda c, _: (jnp.tanh(c @ x), None), x, None, length=9)[0]
    shown = str(fdl.explain(f)(np.ones((256, 256), np.float32)))
    stages = shown[: shown.index("== C source")]
    assert all(part in stages for part in ("barrier", "by all threads", "alloc", "loop (t: 9)"))


# Planted faults


def faulty(program, change):
    """The program after a change of each of its lists of nodes, innermost first."""
    nodes = mapped(program.nodes, change)
    made = dataclasses.replace(program, nodes=nodes)
    assert str(made) != str(program)
    return made


def refused(program, match, change):
    """The checker says what is wrong with the program after a change."""
    made = faulty(program, change)
    with pytest.raises(GraphError, match=match):
        made.check()
    return made


def without(kind):
    return lambda nodes: [n for n in nodes if not isinstance(n, kind)]


def only(kind):
    return lambda nodes: [n for n in nodes if isinstance(n, kind)]


def changed(kind, **fields):
    """Nodes of a kind with other fields, which may be functions of the node."""
    return lambda nodes: [
        dataclasses.replace(n, **{k: v(n) if callable(v) else v for k, v in fields.items()}) if type(n) is kind else n
        for n in nodes
    ]


def test_each_barrier_that_is_missing_is_missed():
    program, _ = planned(columns, (12, 20))
    places = [i for i, n in enumerate(program.nodes) if isinstance(n, Barrier)]
    assert places
    for place in places:
        nodes = [*program.nodes[:place], *program.nodes[place + 1 :]]
        with pytest.raises(GraphError, match="race"):
            dataclasses.replace(program, nodes=nodes).check()


def test_a_barrier_that_asks_for_the_wrong_number():
    program, _ = planned(lambda x: (lambda y: (y, y.reshape(4, 60).sum(1)))(jnp.tanh(x)), (12, 20), target=BARE)
    assert {n.unless for n in program.nodes if isinstance(n, Barrier)} == {4}
    dataclasses.replace(program, nodes=changed(Barrier, unless=2)(program.nodes)).check()  # they meet more often
    refused(program, "race", changed(Barrier, unless=12))
    refused(program, "race", changed(Barrier, unless=3))


def test_a_barrier_to_which_not_all_come():
    program, _ = planned(relaxed, (64,))
    refused(program, "one thread comes alone", changed(Loop, threads=Threads.ONE))
    refused(program, "each thread runs all", changed(Map, threads=Threads.HERE))
    program, _ = planned(relaxed, (64,), target=QUIET)
    refused(program, "not all threads come", lambda nodes: [*nodes, Barrier()])
    (loop,) = (n for n in program.nodes if isinstance(n, Loop))
    refused(program, "one thread comes alone", changed(Loop, body=changed(Map, threads=Threads.ALL)(loop.body)))


def test_a_swap_that_is_missing_and_a_copy_in_its_place():
    program, args = planned(relaxed, (64,))
    want = bits(program, args)
    twice = lambda nodes: [x for n in nodes for x in ([n, n] if type(n) is Swap else [n])]
    away = lambda nodes: [n for n in nodes if not isinstance(n, Home)]
    for fault in (without(Swap), away, twice):
        assert bits(faulty(program, fault), args) != want
    copying = lambda n: Copy([(n.new, n.old)], threads=Threads.ONE) if type(n) is Swap else n
    copied = refused(program, "race", lambda nodes: [copying(n) for n in nodes])
    assert bits(copied, args) == want  # but for threads that do not wait


def test_values_that_change_places_are_not_copied_one_after_the_other():
    program, args = planned(crossing, (2, 40), target=QUIET)
    (loop,) = (n for n in program.nodes if isinstance(n, Loop))
    (copy,) = (n for n in loop.body if isinstance(n, Copy))
    (_, a), (_, b) = copy.pairs
    crossed = refused(program, "swapped", changed(Copy, pairs=[*copy.pairs, (a, b), (b, a)]))
    assert bits(crossed, args) != bits(program, args)


def in_arena(**fields):
    """Temporaries of the arena, placed otherwise."""
    fits = lambda n: isinstance(n, Alloc) and n.scope is Scope.ARENA
    return lambda nodes: [changed(Alloc, **fields)([n])[0] if fits(n) else n for n in nodes]


def test_places_in_memory():
    f = lambda x: (x @ x.T) @ ((x + 1) @ x.T)
    for target in (KEEN, QUIET):
        program, args = planned(f, (64, 64), target=target)
        over = refused(program, "written over", in_arena(offset=0))
        assert bits(over, args) != bits(program, args)
        refused(program, "does not lie in", in_arena(offset=-64))
        refused(program, "no place", lambda nodes: nodes[1:] if isinstance(nodes[0], Alloc) else nodes)
    refused(planned(f, (64, 64))[0], "on the stack of one", in_arena(scope=Scope.THREAD))


def test_what_is_written_over_an_argument():
    f = lambda x, y: (x * 2, y[::-1] + x)
    program, args = planned(f, (64,), (64,), donated=(0,))
    assert kinds(program)[Alias] == 1
    other, _ = scheduled(f, (64,), (64,))
    nodes = plan(other, KEEN).nodes
    y, results = other.inputs[-1], other.outputs
    with pytest.raises(GraphError, match="elsewhere than it writes"):
        dataclasses.replace(other, nodes=[Alias(results[1], y), *nodes]).check()


def test_what_is_asked_for_ahead_is_reached():
    program, _ = planned(lambda x: jnp.tanh(x) * 2, (32, 64), target=dataclasses.replace(KEEN, past_caches=1 << 40))
    (n,) = (n for n in program.nodes if n.ahead)
    for p in n.ahead:
        wrong = [
            dataclasses.replace(p, ahead=p.buffer.size),
            dataclasses.replace(p, ahead=0),
            Prefetch(p.buffer, p.index + 1, p.ahead),
        ]
        for fault in wrong:
            refused(program, "never gets there", changed(type(n), ahead=[fault]))


def test_pages_that_go_past_the_caches_are_whole():
    program, _ = planned(lambda x: jnp.tanh(x) * 2, (2048,))
    (n,) = (n for n in program.nodes if isinstance(n, Map))
    assert all(s.past_caches for s in n.stores) and n.page
    refused(program, "page by page", changed(Map, page=0))
    backwards = n.space[0].index * -1 + (n.extent() - 1)
    refused(program, "page by page", changed(Map, stores=[dataclasses.replace(s, offset=backwards) for s in n.stores]))


def test_a_guard_stands_before_an_argument_is_written_over():
    def f(w, x):
        ops.check(ops.less(x, -99.0), ops.Failure(ValueError, "{} is too low", "one is too low"), x)
        return w * 0.5

    program, (w, x) = planned(f, (64,), (4,), donated=(0,))
    assert kinds(program)[Alias] == kinds(program)[Guard] == 1
    kept = w.copy()
    ended, _ = interpret_program(program, [w, x - 99])
    assert ended.tobytes() == kept.tobytes()  # the argument's memory, as it was
    refused(program, "before the checks are known", lambda nodes: [*without(Guard)(nodes), *only(Guard)(nodes)])


def test_a_kind_of_node_is_told_of_in_six_files():
    """What a plan's nodes are called is known where they are made, and to the files that CONTRIBUTING names."""
    told = {"ir/planned.py", "ir/printer.py", "ir/plan_checker.py", "ir/interpret.py", "emit/c/program.py"}
    for kind in (Alloc, Alias, Barrier, Guard, Copy, Swap, Home, Stamp):
        files = {
            p.relative_to(ROOT / "lowering").as_posix()
            for p in (ROOT / "lowering").rglob("*.py")
            for _, module, names in imported(ast.parse(p.read_text()))
            if module == planned_nodes.__name__ and kind.__name__ in names
        }
        assert {p for p in files if not p.startswith("plan/")} <= told, (kind, files)
    assert PRINTED.keys() == RUN.keys() == WRITTEN.keys()
    macros = (ROOT / "lowering" / "emit" / "c").glob("*.j2")
    assert not [p for p in macros if re.search(r"{%-? *(if|elif|else)", p.read_text())]  # they decide nothing


def test_plans_have_met_all_their_nodes():
    """In the tests above, which run here where nobody has run them."""
    if not met:
        test_a_plan_changes_no_bit()
        for f in RICH:
            keeps_bits(f, (12, 16))
    assert {Alloc, Alias, Barrier, Copy, Swap, Home} <= met.keys(), met
