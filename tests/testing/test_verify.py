"""The suite as a product: laws for a user's own operations, the table, strategies, and whole programs."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

import fdl
import fdl.numpy as jnp
from fdl.core import dtypes
from fdl.core.avals import ShapedArray
from fdl.core.primitive import OWN, Primitive
from fdl.ops import exp, mul
from fdl.testing import LawError, Sample, Spec, strategies, table, verify
from fdl.testing.agreement import verify_program
from fdl.testing.laws import LAWS, Broken
from fdl.testing.verification import examined
from tests.conftest import ROOT, needs_compiler
from tests.lowering.drawn import examples

WITHOUT_C = [name for name in LAWS if name != "C"]


def refuted(subject, samples, law, **options):
    """What `verify` says about the one law that is broken."""
    with pytest.raises(LawError) as caught:
        verify(subject, samples, **options)
    assert [f.law.name for f in caught.value.findings] == [law]
    return str(caught.value)


def test_a_function_of_the_library_holds_all_laws():
    found = verify(
        lambda x, y: jnp.logaddexp(x, y),
        [(Spec((2, 3)), Spec((3,))), (Spec(()), Spec((0,)))],
        reference=np.logaddexp,
        laws=[name for name in WITHOUT_C if name != "complex64"],
    )
    assert all(f.state == "holds" for f in found), [f.told() for f in found]


def test_trees_are_arguments_and_results():
    def layer(params, x):
        return {"y": jnp.tanh(x @ params["w"] + params["b"]), "count": jnp.int32(3)}

    sample = ({"w": Spec((3, 2)), "b": Spec((2,))}, Spec((4, 3)))
    found = verify(layer, [sample], laws=["forward", "jvp", "vjp", "vmap", "vmap∘vjp"])
    assert all(f.state == "holds" for f in found)


def test_a_wrong_reference_is_named_with_the_smallest_input():
    told = refuted(lambda x: jnp.abs(x), [(Spec((4, 6)),)], "forward", reference=lambda x: x, laws=["forward"])
    assert "`<lambda>` breaks the law `forward`" in told
    assert "x0 = float32[1, 1]: [[-1.]]" in told or "x0 = float32[1, 1]: [[-2.]]" in told, told


def test_a_wrong_derivative_is_named():
    @fdl.custom_jvp
    def cube(x):
        return x**3

    cube.defjvp(lambda primals, tangents: (primals[0] ** 3, 2.9 * primals[0] ** 2 * tangents[0]))
    told = refuted(cube, [(Spec((3, 2)),)], "jvp", laws=["forward", "jvp", "vjp"])
    assert "look at: jvp" in told
    assert "float64[1, 1]" not in told  # the input is shown as it was given
    assert "x0 = float32[1, 1]: [[1.]]" in told, told


def test_a_wrong_reverse_rule_is_named():
    @fdl.custom_vjp
    def scaled(x, y):
        return x * y

    scaled.defvjp(lambda x, y: (x * y, (x, y)), lambda kept, ct: (mul(ct, kept[1]), mul(ct, kept[1])))
    refuted(scaled, [(Spec((2,)), Spec((2,)))], "vjp", laws=["vjp"])


def own(**rules):
    """A user's primitive, right but for the rules that are given."""
    right = {
        "shape": lambda x: x,
        "impl": lambda x: np.flip(x, -1) * 2,
        "jvp": lambda primals, tangents: (p.bind(*primals), p.bind(*tangents)),
        "transpose": lambda ct, operands: [p.bind(ct)],
        "batch": lambda axis, args, batched: (p.bind(args[0]), True),
        "samples": [Sample((Spec((2, 3)),)), Sample((Spec((1,)),))],
    }
    p = Primitive("flip_twice").define(**(right | rules))
    return p


RULES_WITHOUT_TEXT = ["forward", "jvp", "vjp", "vmap", "vmap∘vmap"]


def test_a_primitive_of_ones_own():
    assert all(f.state == "holds" for f in verify(own(), laws=RULES_WITHOUT_TEXT))


WRONG = {
    "forward": {"shape": lambda x: ShapedArray(x.shape, dtypes.float64)},
    "vmap": {"batch": lambda axis, args, batched: (args[0] * 2, True)},
    "jvp": {"jvp": lambda primals, tangents: (primals[0] * 0 + exp(primals[0]), tangents[0])},
}


@pytest.mark.parametrize("law", WRONG)
def test_each_rule_has_a_law_that_finds_it_wrong(law):
    findings = list(examined(own(**WRONG[law]), laws=RULES_WITHOUT_TEXT))
    assert law in [f.law.name for f in findings if f.state == "broken"]


def test_what_has_no_meaning_says_why():
    (found,) = verify(lambda n: n * 2, [(np.arange(3),)], laws=["jvp"])
    assert (found.state, found.reason) == ("no meaning", "no operand is a float")
    (found,) = verify(lambda x: x > 0, [(Spec((2,)),)], laws=["jvp"])
    assert found.reason == "no result is a float, or it is empty"


def test_mistakes_in_the_call_are_named():
    with pytest.raises(fdl.FdlError, match=r"verify: <lambda> has no samples\n.*\n  try: samples="):
        verify(lambda x: x)
    with pytest.raises(fdl.FdlError, match="there is no law 'jpv'"):
        verify(lambda x: x, [(1.0,)], laws=["jpv"])


def test_samples_may_be_a_strategy():
    pairs = strategies.arrays((2, 3), "float32", special=False).map(lambda x: (x,))
    (found,) = verify(lambda x: jnp.sin(x), pairs, laws=["vjp"], examples=5)
    assert found.count == 5


# The table


def test_the_table_has_no_hole():
    rows = [row.name for row in table.rows()]
    covered = {name.split(" (")[0] for name in rows} | set(table.ELSEWHERE)
    assert covered >= {p.name for p in OWN}


def test_the_table_in_the_documentation_is_of_today():
    text = (ROOT / "docs" / "laws.md").read_text()
    head = next(line for line in text.splitlines() if line.startswith("| primitive |"))
    assert [cell.strip() for cell in head.strip("|").split("|")][1:] == list(LAWS)
    names = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][1:]
    missing = {row.name for row in table.rows()} - set(names)
    assert not missing, f"{missing} are missing; python -m fdl verify --table says what belongs into docs/laws.md"
    assert "✗" not in text


def test_the_report_goes_on_where_it_was(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    first = table.report(["sin"], ["forward", "vjp"], path=path)
    monkeypatch.setattr(table, "examined", lambda *args: iter(()))
    assert table.report(["sin"], ["forward", "vjp"], path=path) == first == json.loads(path.read_text())
    assert table.report(["sin"], ["forward"], path=path)["rows"]["sin"] == {}  # of other laws: begun anew


def test_the_page_shows_what_is_broken():
    found = table.report(["sin", "convert"], ["forward", "jvp"])
    assert "broken</strong>" in table.page(found)
    found["rows"]["sin"]["jvp"] = {"state": "broken", "count": 0, "reason": "<b>2 is not 3"}
    page = table.page(found)
    assert "&lt;b&gt;2 is not 3" in page
    assert "✗" in page
    assert "✗" in table.markdown(found)


def test_the_command(tmp_path):
    command = [sys.executable, "-m", "fdl", "verify", "--laws", "forward", "vmap", "--only"]
    ran = subprocess.run([*command, "add", "su*"], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "add: 2 laws hold, 0 without meaning" in ran.stdout
    assert "0 laws broken" in ran.stdout
    ran = subprocess.run([*command, "nothing"], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (2, "no primitive matches nothing\n")


# Strategies and programs


@examples(60)
@given(strategies.arrays(), strategies.avals(), strategies.pytrees(strategies.arrays((2,))))
def test_what_strategies_draw(x, aval, tree):
    assert fdl.numpy.asarray(x).shape == x.shape
    assert x.dtype in dtypes.ALL
    assert aval.dtype in dtypes.ALL
    assert all(leaf.shape == (2,) for leaf in fdl.tree.leaves(tree))


@examples(20)
@given(strategies.programs(max_steps=4, special=True))
def test_programs_are_well_typed_and_say_what_they_do(program):
    staged = fdl.eval_shape(program, *program.args)
    assert [(a.shape, a.dtype) for a in staged] == [(x.shape, x.dtype) for x in program.results()]
    assert len(repr(program).splitlines()) == 1 + len(program.args) + len(program.steps)


@needs_compiler
@examples(3)
@given(strategies.programs(max_steps=3))
def test_programs_whole_and_step_by_step(program):
    verify_program(program, program.args)


@needs_compiler
def test_a_program_that_differs_is_found():
    seen = []

    def f(x):  # another function each time it is traced
        seen.append(0)
        return x * len(seen)

    with pytest.raises(Broken, match="compiled whole and its operations compiled one by one differ"):
        verify_program(f, [np.ones(3, "float32")])
