"""Lines of PyTorch's users give what PyTorch 2.13 says, which is recorded."""

import json
import warnings

import pytest

import fdl.stateful as torch
from tests.stateful.cases import assert_same
from tests.stateful.lines import FAMILIES, fact, lines_of, recorded

CASES = [(family, line) for family in FAMILIES for line in lines_of(family)]


@pytest.fixture(autouse=True)
def no_class_decides():
    yield
    torch.overrides.disable()


def compare(got, want):
    if isinstance(want, dict) and "raises" in want:
        assert isinstance(got, dict), f"gives {got}, PyTorch raises {want['raises']}"
        assert set(want["raises"]) <= set(got.get("raises", ())), (got, want)
    else:
        assert not (isinstance(got, dict) and "raises" in got), f"raises {got['raises']}, PyTorch gives {want}"
        assert_same(json.loads(json.dumps(got)), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_line_is_recorded(family):
    assert list(recorded(family)) == lines_of(family)


@pytest.mark.parametrize("family, line", CASES)
def test_lines_give_what_was_recorded(family, line):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = fact(torch, line)
    compare(got, recorded(family)[line])


@pytest.mark.peers
@pytest.mark.parametrize("family", FAMILIES)
def test_records_are_true(family):
    peer = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for line, want in recorded(family).items():
            compare(fact(peer, line), want)
