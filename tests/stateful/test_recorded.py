"""What PyTorch 2.13 says, recorded: values, dtypes, shapes, texts, errors, modules, optimizers' paths,
distributions.
"""

import json

import pytest

import fdl.stateful as torch
from tests.stateful.cases import RECORDED, assert_agree, facts

FIND, CASES = facts(torch)


@pytest.mark.parametrize("table", CASES)
def test_every_case_is_recorded(table):
    assert list(json.loads((RECORDED / f"{table}.json").read_text())) == CASES[table]


@pytest.mark.parametrize(
    "table, case, want",
    [
        (table, case, want)
        for table in CASES
        for case, want in json.loads((RECORDED / f"{table}.json").read_text()).items()
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_as_recorded(table, case, want):
    assert_agree(table, FIND[table](case), want)


def operand(text):
    if text in ("True", "3", "2.5"):
        return {"True": True, "3": 3, "2.5": 2.5}[text]
    return torch.ones((2,) if text.endswith("[]") else (), dtype=getattr(torch, text.removesuffix("[]")))


def test_result_types():
    wrong = []
    for line in (RECORDED / "result_types.txt").read_text().splitlines():
        a, b, want = line.split()
        got = torch.result_type(operand(a), operand(b))
        if got != getattr(torch, want):
            wrong.append((line, got))
    assert not wrong


@pytest.mark.parametrize(
    "a", ["bool", "uint8[]", "int64[]", "int32", "float16[]", "float32", "float64[]", "bfloat16[]"]
)
@pytest.mark.parametrize("b", ["bool[]", "int8", "int64", "float16", "float32[]", "3", "2.5"])
def test_operations_have_the_result_type(a, b):
    x, y = operand(a), operand(b)
    assert (x * y).dtype == torch.result_type(x, y)
    assert (x < y).dtype == torch.bool
    assert torch.where(torch.tensor(True), x, y).dtype == torch.result_type(x, y)
