"""Random calls of the stateful face against what PyTorch gave for them (`record_torch.py`)."""

import os
from pathlib import Path

import numpy as np
import pytest

import fdl.stateful as torch
from tests.oracles.records import load
from tests.oracles.torch_evaluate import answers, differ
from tests.oracles.torch_instances import call

HOME = Path(__file__).parent / "recorded_torch"
SHARE = int(os.environ.get("ORACLE_SHARE", "10"))  # one call of so many


def differences(share):
    wrong = []
    for number, want in load(HOME):
        if want is None or number % share:
            continue
        with np.errstate(all="ignore"):
            c = call(number)
            got = answers(torch, c, number)
            found = repr(got) if isinstance(got, Exception) else differ(c, got, want)
        wrong.extend([f"{number} {c}: {found}"] if found else [])
    return wrong


@pytest.mark.filterwarnings("ignore")
def test_calls_give_what_they_give_in_pytorch():
    wrong = differences(SHARE)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_calls_give_what_they_give_in_pytorch():
    wrong = differences(1)
    assert not wrong, "\n".join(wrong)


def test_a_wrong_value_is_noticed():
    number, want = next((n, w) for n, w in load(HOME) if w and w[0].size and w[0].dtype == np.float32)
    c = call(number)
    assert differ(c, [want[0] * np.float32(1.001) + np.float32(1e-3), *want[1:]], want)
    assert differ(c, [want[0].astype(np.float64), *want[1:]], want)
    assert not differ(c, want, want)
