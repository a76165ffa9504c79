"""Complex tensors against what PyTorch answered: the conjugate convention at each door, operations, optimizers."""

import json
from pathlib import Path

import numpy as np
import pytest

import fdl.stateful as torch
from fdl.core.config import config
from tests.conftest import needs_compiler
from tests.stateful.complex_cases import CASES, REFUSED, refusal

RECORDED = json.loads((Path(__file__).parent / "recorded" / "complex.json").read_text())


SINGLE = ("operation to", "optimizer ASGD")  # computed in float32, whole or in PyTorch's settings


def agree(got, want, where="", rtol=1e-8):
    """Numbers to a few roundings; all else as it is."""
    if isinstance(want, dict):
        assert got.keys() == want.keys(), where
        for k in want:
            agree(got[k], want[k], f"{where}.{k}", rtol)
    elif isinstance(want, list) and not all(isinstance(x, float) for x in want):
        assert isinstance(got, list) and len(got) == len(want), (where, got, want)
        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            agree(a, b, f"{where}[{k}]", rtol)
    elif isinstance(want, (float, list)):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol / 10, err_msg=where)
    else:
        assert got == want, (where, got, want)


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch(name):
    agree(CASES[name](torch), RECORDED[name], rtol=1e-6 if name in SINGLE else 1e-8)


@needs_compiler
@pytest.mark.parametrize("name", ["attribute", "second_order", "tensor_hooks", "module_hooks", "function", "writes"])
def test_compiled_as_pytorch(name, monkeypatch):
    monkeypatch.setattr(config, "tier", "compiled")
    agree(CASES[name](torch), RECORDED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(name):
    assert set(RECORDED["refused"][name]) <= set(refusal(torch, name))
