"""The records hold what the PyTorch that is installed says."""

import json

import pytest

from tests.stateful.cases import RECORDED, assert_agree, facts

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

FIND, CASES = facts(torch)


@pytest.mark.parametrize("table", CASES)
def test_records_are_true(table):
    for case, want in json.loads((RECORDED / f"{table}.json").read_text()).items():
        assert_agree(table, FIND[table](case), want)
