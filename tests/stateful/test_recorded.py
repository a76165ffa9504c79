"""Facts recorded from PyTorch 2.13: result types for all pairs of operands, and where optimizers stand after 100 steps."""

import json
from pathlib import Path

import numpy as np
import pytest

import fdl.stateful as torch

HERE = Path(__file__).resolve().parent / "recorded"


def operand(text):
    if text in ("True", "3", "2.5"):
        return {"True": True, "3": 3, "2.5": 2.5}[text]
    return torch.ones((2,) if text.endswith("[]") else (), dtype=getattr(torch, text.removesuffix("[]")))


def test_result_types():
    wrong = []
    for line in (HERE / "result_types.txt").read_text().splitlines():
        a, b, want = line.split()
        got = torch.result_type(operand(a), operand(b))
        if got != getattr(torch, want):
            wrong.append((line, got))
    assert not wrong


@pytest.mark.parametrize("a", ["bool", "uint8[]", "int64[]", "int32", "float16[]", "float32", "float64[]", "bfloat16[]"])
@pytest.mark.parametrize("b", ["bool[]", "int8", "int64", "float16", "float32[]", "3", "2.5"])
def test_operations_have_the_result_type(a, b):
    x, y = operand(a), operand(b)
    assert (x * y).dtype == torch.result_type(x, y)
    assert (x < y).dtype == torch.bool
    assert torch.where(torch.tensor(True), x, y).dtype == torch.result_type(x, y)


@pytest.mark.parametrize("name", sorted(json.loads((HERE / "trajectories.json").read_text())))
def test_optimizers_follow_the_recorded_trajectory(name):
    kind, settings, want = json.loads((HERE / "trajectories.json").read_text())[name]
    a = torch.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    b = torch.tensor([0.3, -0.7], requires_grad=True)
    optimizer = getattr(torch.optim, kind)([a, b], **settings)
    for i in range(100):
        optimizer.zero_grad()
        loss = ((a @ b - torch.tensor([1.0, 2.0])) ** 2).sum() + (torch.sin(a * (1 + i % 3))).sum() * 0.1
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose([*a.detach().reshape(-1).tolist(), *b.detach().tolist()], want, rtol=2e-4, atol=1e-5)
