"""Random calls of fdl.numpy, lax, nn and special against what NumPy, SciPy and JAX gave for them (`record.py`)."""

import os
from pathlib import Path

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from tests.oracles.evaluate import FDL, agree, fdl_results, function, has_wide, ndarrays, results, where_known
from tests.oracles.instances import call, undefined
from tests.oracles.records import load

HOME = Path(__file__).parent / "recorded"
NEEDS_VALUES = {"numpy.nonzero", "numpy.shape", "numpy.ndim", "numpy.size", "numpy.tril_indices", "numpy.triu_indices"}
SHARE = int(os.environ.get("ORACLE_SHARE", "10"))  # one call of so many
PROGRAM = 20  # calls that are compiled together


def compiled(calls):
    """Results of several calls as one program."""

    def program(operands):
        handed = [iter(arrays) for arrays in operands]
        return [
            results(c, function(FDL, c.name), lambda _, arrays=arrays: next(arrays), fdl.grad)
            for c, arrays in zip(calls, handed, strict=True)
        ]

    found = fdl.jit(program)([[jnp.asarray(x) for x in ndarrays(c)] for c in calls])
    return [[np.asarray(x) for x in outs] for outs in found]


def differences(share, tier):
    wrong, chosen = [], []
    for number, want in load(HOME):
        if want is None or number % share:
            continue
        c = call(number)
        if undefined(c):
            continue
        if tier == "interpreted":
            got = fdl_results(c)
            found = (
                repr(got)
                if isinstance(got, Exception)
                else agree(c, where_known(c, got), where_known(c, want), not has_wide(c))
            )
            wrong.extend([f"{number} {c}: {found}"] if found else [])
        elif c.name not in NEEDS_VALUES:
            chosen.append((number, c, want))
    for k in range(0, len(chosen), PROGRAM):
        part = chosen[k : k + PROGRAM]
        for (number, c, want), got in zip(part, compiled([c for _, c, _ in part]), strict=True):
            if found := agree(c, where_known(c, got), where_known(c, want), not has_wide(c)):
                wrong.append(f"{number} {c}: {found}")
    return wrong


@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_calls_give_what_they_give_elsewhere(tier):
    wrong = differences(SHARE if tier == "interpreted" else 10 * SHARE, tier)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_all_calls_give_what_they_give_elsewhere(tier):
    wrong = differences(1, tier)
    assert not wrong, "\n".join(wrong)


def test_a_wrong_value_is_noticed():
    number, want = next((n, w) for n, w in load(HOME) if w and w[0].size and w[0].dtype == np.float32)
    c = call(number)
    assert agree(c, [want[0] * np.float32(1.001) + np.float32(1e-3), *want[1:]], want)
    assert agree(c, [want[0].astype(np.float64), *want[1:]], want)
    assert not agree(c, want, want)


def test_what_jax_does_not_know():
    """Values of SciPy, and slopes of PyTorch, where the table of instances has no answer since JAX gives NaN."""
    assert fdl.special.i0(jnp.array([-np.inf, np.inf])).tolist() == [np.inf, np.inf]
    assert fdl.grad(jnp.hypot, argnums=(0, 1))(jnp.array(-6.0), jnp.array(-np.inf))[0].tolist() == 0.0
    assert [float(g) for g in fdl.grad(jnp.arctan2, argnums=(0, 1))(0.0, 0.0)] == [0.0, 0.0]
