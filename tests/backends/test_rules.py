"""A rule that changes holds everywhere from then on: in functions that were recorded, derived and compiled before, and
in later processes with the same cache of programs.
"""

import subprocess
import sys

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import ad_checkpoint, callbacks, custom_batching, lax
from fdl.core import REGISTRY, RULES, Primitive, changes
from fdl.core.config import config
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.primitive import OWN
from fdl.lowering.ir.spellings import C
from fdl.ops.elementwise import mul
from fdl.transforms.control.cond import cond_p
from fdl.transforms.control.scan import scan_p
from fdl.transforms.control.while_loop import while_p
from fdl.transforms.tape import Function
from tests.conftest import ROOT, needs_compiler

X = np.array([1.0, 2.0, 4.0], np.float32)
ON_FIRST_USE = (
    ad_checkpoint,
    callbacks,
    custom_batching,
)  # bring operations, which are to be there before tables are compared


def define(name="scaled_here"):
    """A linear operation that does nothing, with all rules that it needs; returns it and a function that binds it."""
    p = Primitive(name)
    p.define(
        shape=lambda x: x,
        impl=lambda x: 1 * x,
        jvp=lambda primals, tangents: (p.bind(*primals), p.bind(*tangents)),
        transpose=lambda ct, operands: [p.bind(ct)],
        batch=lambda axis, args, batched: (p.bind(*args), True),
        lower=lambda b, x: b.map(name, x),
    ).register()
    C[name] = "1 * {0}"
    return p


@pytest.fixture
def scaled():
    """The operation, and all tables as they were before."""
    saved = dict(C), dict(REGISTRY), {kind: dict(table) for kind, table in RULES.items()}
    p = define()
    yield p
    C.clear(), C.update(saved[0])
    REGISTRY.clear(), REGISTRY.update(saved[1])
    for kind, table in RULES.items():
        for key in [key for key in table if table[key] is not saved[2][kind].get(key)]:
            del table[key]
        for key in saved[2][kind].keys() - table.keys():
            table[key] = saved[2][kind][key]
    assert not any(p in table.changed for table in RULES.values() for p in OWN)


def faces(op, few=False):
    """What functions of the operation give at ones, made once and called again and again: numbers of 3 elements, which
    are the factor of the value, of the derivative or of the value in a lane.
    """
    ones = jnp.ones(3)
    total = lambda x: jnp.sum(op(x))
    body = lambda x: lax.scan(lambda c, _: (op(c), None), x, None, length=1)[0]
    branch = lambda x: lax.cond(jnp.sum(x) > -1e9, op, lambda x: x, x)
    function = Function(lambda x: op(x), "scaled_function")
    library = fdl.transforms.graph_function(lambda x: op(x))
    jitted = fdl.jit(op)
    value = {
        "recorded": op,
        "jit": jitted,
        "jit in jit": fdl.jit(lambda x: jitted(x)),
        "scan": fdl.jit(body),
        "cond": fdl.jit(branch),
        "recorded scan": body,
        "function": lambda x: function.record([x])[0][0],
        "library": library,
        "checkpoint": fdl.checkpoint(op),
    }
    slope = {
        "grad": fdl.grad(total),
        "grad of jit": fdl.grad(fdl.jit(total)),
        "jit of grad": fdl.jit(fdl.grad(total)),
        "grad of scan": fdl.grad(lambda x: jnp.sum(body(x))),
        "grad of cond": fdl.jit(fdl.grad(lambda x: jnp.sum(branch(x)))),
        "grad of library": fdl.jit(fdl.grad(lambda x: jnp.sum(library(x)))),
        "grad of checkpoint": fdl.grad(lambda x: jnp.sum(fdl.checkpoint(op)(x))),
        "tape": lambda x: _pulled(function, x),
    }
    forward = {
        "jvp": lambda x: fdl.jvp(op, (x,), (ones,))[1],
        "jit of jvp": fdl.jit(lambda x: fdl.jvp(op, (x,), (ones,))[1]),
        "jvp of jit": lambda x: fdl.jvp(jitted, (x,), (ones,))[1],
    }
    lanes = {"vmap": fdl.vmap(op), "jit of vmap": fdl.jit(fdl.vmap(op)), "vmap of jit": fdl.vmap(jitted)}
    groups = {"value": value, "slope": slope, "forward": forward, "lanes": lanes}

    if few:  # the ones that reach the disk
        groups = {group: {n: f for n, f in of.items() if n.startswith("jit")} for group, of in groups.items()}

    def measure():
        found = {}
        for group, functions in groups.items():
            got = {name: [f(ones).tolist() for _ in range(2)] for name, f in functions.items()}
            factors = {x for runs in got.values() for run in runs for x in run}
            assert len(factors) == 1, (group, got)
            found[group] = factors.pop()
        return found

    return measure


def _pulled(function, x):
    values, taped = function.record([x], (), 1)
    return taped.pull(taped.pick([x, *values]), [jnp.ones(3)])[0]


# rule -> the tier in which it counts, the rule for a factor, and what has the factor then
KINDS = {
    "impl": ("interpreted", lambda p, k: lambda x: np.float32(k) * x, "value slope forward lanes"),
    "lower": ("compiled", lambda p, k: lambda b, x: _times(b, x, k), "value slope forward lanes"),
    "row": ("compiled", lambda p, k: f"{k} * {{0}}", "value slope forward lanes"),
    "jvp": ("auto", lambda p, k: lambda xs, ts: (p.bind(*xs), p.bind(mul(ts[0], k))), "slope forward"),
    "transpose": ("auto", lambda p, k: lambda ct, operands: [p.bind(mul(ct, k))], "slope"),
    "linearize": (
        "compiled",
        lambda p, k: lambda xs, nonzero: ([p.bind(*xs)], lambda ts: [p.bind(mul(ts[0], k))]),
        "slope",
    ),
    "batch": ("compiled", lambda p, k: lambda axis, args, batched: (p.bind(mul(args[0], k)), True), "lanes"),
    "stage": ("compiled", lambda p, k: lambda operands: ([mul(operands[0], k)], {}), None),
}


def _times(b, x, k):
    for _ in range(k.bit_length() - 1):
        x = b.map("add", x, x)
    return x


def change(p, kind, rule):
    if kind == "row":
        C[p.name] = rule
    else:
        p.define(**{kind: rule})


@needs_compiler
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "stage"])
def test_a_rule_that_changes_is_met_everywhere(kind, scaled):
    config.tier, rule, where = KINDS[kind]
    measure = faces(scaled.bind)
    before = measure()
    assert set(before.values()) == {1.0}
    for k in (4, 2):
        change(scaled, kind, rule(scaled, k))
        assert measure() == {group: float(k) if group in where.split() else 1.0 for group in before}, k


@needs_compiler
@pytest.mark.parametrize("tier", ["compiled", "interpreted"])
def test_what_decides_of_recording_changes(tier, scaled):
    """`shape`, `stage`, `evaluate` and `effects` are asked again by what was recorded before."""
    config.tier = tier
    twice = fdl.jit(lambda x: scaled.bind(x) + scaled.bind(x))
    unused = fdl.jit(lambda x: (scaled.bind(x), x)[1])
    x = jnp.array(X)
    assert twice(x).tolist() == [2, 4, 8] and (scaled.bind(x) * 1).tolist() == [1, 2, 4]
    assert unused(x).tolist() == [1, 2, 4] and not unused.lower(x).graph.equations
    scaled.define(effects=lambda: frozenset(["print"]))
    assert unused(x).tolist() == [1, 2, 4] and len(unused.lower(x).graph.equations) == 1
    scaled.define(effects=lambda: frozenset())
    assert unused(x).tolist() == [1, 2, 4] and not unused.lower(x).graph.equations
    for k in (3, 5):
        scaled.define(stage=KINDS["stage"][1](scaled, k))
        assert twice(x).tolist() == (2 * k * X).tolist()
    scaled.define(stage=lambda operands: (operands, {}))
    for k in (3, 5):
        scaled.define(evaluate=lambda x, k=k: [fdl.core.array.from_numpy(x._numpy() * np.float32(k))])
        assert scaled.bind(x).tolist() == (k * X).tolist()
        assert twice(x).tolist() == (2 * X).tolist()
    scaled.define(evaluate=lambda x: None)
    assert (scaled.bind(x) * 1).tolist() == [1, 2, 4]

    def short(x):
        if x.shape == (3,):
            raise ShapeError("scaled_here: too many")
        return x

    scaled.define(shape=short)
    for f in (twice, unused, scaled.bind, fdl.grad(lambda x: jnp.sum(twice(x)))):
        with pytest.raises(ShapeError, match="too many"):
            f(x)


@needs_compiler
def test_what_weighs_and_lays_out_is_asked_again(scaled):
    config.tier = "auto"
    f, x, asked = fdl.jit(lambda x: scaled.bind(x.T) + 1), jnp.ones((3, 4)), []
    f(x)
    for name in ("one", "two"):
        scaled.define(in_order=lambda avals, name=name: asked.append(("in_order", name)) or (0,))
        f(x)
        scaled.define(work=lambda avals, name=name: asked.append(("work", name)) or 1e12)
        (scaled.bind(x) + 1).tolist()
    assert set(asked) == {(kind, name) for kind in ("in_order", "work") for name in ("one", "two")}


@needs_compiler
@pytest.mark.parametrize("primitive", [scan_p, cond_p, while_p, REGISTRY["tanh"]], ids=str)
def test_rules_of_fdl_itself_change(primitive, scaled, tmp_path):
    """Whoever replaces how a loop is lowered meets neither the program in memory nor the one on disk."""
    config.tier, config.cache_dir = "compiled", tmp_path
    functions = {
        "scan": lambda x: lax.scan(lambda c, _: (c + x, None), x, None, length=3)[0],
        "cond": lambda x: lax.cond(jnp.sum(x) > 0, lambda x: x + 1, lambda x: x - 1, x),
        "while": lambda x: lax.while_loop(lambda c: jnp.sum(c) < 100, lambda c: c + c, x),
        "tanh": lambda x: jnp.tanh(x),
    }
    f, x = fdl.jit(functions[primitive.name]), jnp.array(X)
    right, again = f(x), lambda: fdl.jit(functions[primitive.name])(x)
    rule = RULES["lower"][primitive]
    turned = lambda b, y: b.map("neg", y)

    def wrong(b, *xs, **params):
        out = rule(b, *xs, **params)
        return [turned(b, y) for y in out] if primitive.multiple_results else turned(b, out)

    for _ in range(2):
        primitive.define(lower=wrong)
        assert f(x).tolist() == (-right).tolist() == again().tolist()
        RULES["lower"][primitive] = rule
        assert primitive.is_as_written()
        assert f(x).tolist() == right.tolist() == again().tolist()


def test_what_is_pending_runs_by_the_rules_of_its_line(scaled):
    config.tier = "interpreted"
    pending = scaled.bind(jnp.array(X))
    scaled.define(impl=lambda x: 3 * x)
    later = scaled.bind(jnp.array(X))
    assert pending.tolist() == [1, 2, 4] and later.tolist() == [3, 6, 12]


def test_a_rule_that_is_set_again_changes_nothing(scaled):
    before = changes.count
    RULES["impl"][scaled] = RULES["impl"][scaled]
    C[scaled.name] = C[scaled.name]
    assert changes.count == before


# Notebook cells


@needs_compiler
@pytest.mark.parametrize("tier", ["compiled", "interpreted", "auto"])
def test_a_cell_that_runs_again_replaces_the_operation(tier, scaled):
    """Also for those who hold the old one: functions that were compiled, and names that were imported."""
    config.tier = tier
    cell = {"scaled": scaled}
    by_name, held = faces(lambda x: cell["scaled"].bind(x)), faces(scaled.bind)
    assert set(by_name().values()) == set(held().values()) == {1.0}
    for k in (4.0, 2.0):
        p = cell["scaled"] = define()
        p.define(impl=lambda x, k=k: np.float32(k) * x)
        C[p.name] = f"{k} * {{0}}"
        assert set(by_name().values()) == set(held().values()) == {k}
        assert REGISTRY[p.name] is p


def test_names_of_fdl_are_taken(scaled):
    with pytest.raises(ChoiceError, match=r"there is an operation 'exp' already[\s\S]*try: another name, say \"my_exp"):
        define("exp")
    assert REGISTRY["exp"] in OWN
    with pytest.raises(ValueError):
        define("scan")


# Processes

SCRIPT = """
import sys
from tests.backends.test_rules import KINDS, change, config, define, faces
kind, k = sys.argv[1], int(sys.argv[2])
p = define()
config.tier = KINDS[kind][0] if KINDS[kind][0] != "auto" else "compiled"
change(p, kind, KINDS[kind][1](p, k))
if kind == "stage":
    import fdl, fdl.numpy as jnp
    print(fdl.jit(p.bind)(jnp.ones(1)).tolist())
else:
    print(sorted(faces(p.bind, few=True)().items()))
"""


@needs_compiler
@pytest.mark.parametrize(
    "kind", [kind if kind in ("lower", "row") else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_another_process_meets_no_old_program(kind, tmp_path):
    where = KINDS[kind][2]
    for k in (4, 2):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, kind, str(k)],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "FDL_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        groups = ("forward", "lanes", "slope", "value")
        want = [float(k)] if where is None else [(g, float(k) if g in where.split() else 1.0) for g in groups]
        assert done.stdout == f"{want}\n", done.stderr
