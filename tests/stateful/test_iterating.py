"""Iterating over tensors: views one by one, one node of the tape for all of them. What the programs give is recorded
from PyTorch, which gives it still.
"""

import pytest

import fdl.stateful
from fdl.extend import current_recorder


def writes(torch):
    x = torch.zeros(3, 2)
    for i, row in enumerate(x):
        row += i + 1
    x[0, 0].mul_(5)
    return x.tolist()


def writes_ahead(torch):
    x, seen = torch.zeros(4), []
    for i, v in enumerate(x):
        seen.append(v.item())
        if i + 1 < 4:
            x[i + 1] = v.item() + 1
    return seen


def follows(torch):
    x = torch.arange(3.0)
    parts = list(x)
    x.add_(10)
    return [p.item() for p in parts]


def memory(torch):
    x = torch.arange(3.0)
    outside = x.numpy()
    parts = iter(x)
    next(parts)
    outside[1] = 7
    return [p.item() for p in parts]


def of_views(torch):
    x = torch.arange(12.0).view(3, 4)
    return [row.tolist() for row in x.t()[1:]] + [v.item() for v in x[:, 1]]


def gradients(torch):
    x = torch.arange(3.0, requires_grad=True)
    y = x * 2
    sum((i + 1) * v * v for i, v in enumerate(y)).backward()
    return x.grad.tolist()


def some(torch):
    x = torch.arange(100.0, requires_grad=True)
    parts = list(x)
    (parts[3] * parts[70] + parts[3]).backward()
    return [(i, g) for i, g in enumerate(x.grad.tolist()) if g]


def many(torch):
    x = torch.arange(200.0).view(100, 2).requires_grad_()
    total = 0
    for i, (a, b) in enumerate(x):
        if i != 50:
            total = total + a * b
    total.backward()
    return x.grad[[0, 1, 49, 50, 51, 99]].tolist()


def second(torch):
    x = torch.arange(1.0, 4.0, requires_grad=True)
    (g,) = torch.autograd.grad(sum(v**3 for v in x), x, create_graph=True)
    sum(v * (i + 1) for i, v in enumerate(g)).backward()
    return g.tolist(), x.grad.tolist()


def second_of_some(torch):
    x = torch.arange(1.0, 5.0, requires_grad=True)
    a, _, b, _ = x
    (g,) = torch.autograd.grad(a * a * b, x, create_graph=True)
    g.sum().backward()
    return g.tolist(), x.grad.tolist()


def hooks(torch):
    x, seen = torch.ones(3, requires_grad=True), []
    parts = list(x * 1)
    parts[1].register_hook(lambda g: g * 10)
    parts[2].retain_grad()
    (parts[0] + parts[1] * 2 + parts[2] * 3).backward()
    return x.grad.tolist(), parts[2].grad.item(), seen


def of_parts(torch):
    x = torch.arange(3.0, requires_grad=True)
    a, b, _ = x
    return [g.item() for g in torch.autograd.grad(a * b + b, [a, b])]


def twice(torch):
    x = torch.ones(3, requires_grad=True)
    out = sum(x)
    out.backward()
    out = sum(v * 2 for v in x)
    out.backward(retain_graph=True)
    out.backward(retain_graph=True)
    return x.grad.tolist()


def without_grad_mode(torch):
    x = torch.arange(3.0, requires_grad=True)
    with torch.no_grad():
        parts = list(x)
        for v in x:
            v.mul_(3)
    return [p.requires_grad for p in parts], x.tolist()


def turned_off_inside(torch):
    x = torch.arange(3.0, requires_grad=True)
    found = []
    for v in x:
        with torch.no_grad():
            found.append((v * 2).requires_grad)
        found.append((v * 2).requires_grad)
    return found


def flags(torch):
    x = torch.ones(2, 2, requires_grad=True)
    a, b = x
    return (
        a.requires_grad,
        a.is_leaf,
        a.grad_fn.name(),
        b.shape == (2,),
        a._is_view() if hasattr(a, "_is_view") else True,
    )


def written_with_history(torch):
    x = torch.ones(3, requires_grad=True) * 1
    for v in x:
        v.add_(1)


def written_leaf(torch):
    for v in torch.ones(3, requires_grad=True):
        v.add_(1)


def of_unbind(torch):
    x = torch.arange(6.0).view(2, 3).requires_grad_()
    a, b = x.unbind()
    c, _, d = torch.unbind(x, 1)
    (a * b).sum().add((c * d).sum()).backward()
    return x.grad.tolist()


def of_types(torch):
    return [
        [v.item() for v in torch.tensor([1, 2])],
        [v.item() for v in torch.tensor([True, False])],
        [str(v.dtype).split(".")[-1] for v in torch.ones(1, dtype=torch.bfloat16)],
        list(torch.ones(0)),
        [tuple(v.shape) for v in torch.ones(2, 0)],
        [v.item() for v in torch.tensor([1 + 2j, 3j])],
    ]


def of_pending(torch):
    a, b = torch.arange(4.0).view(2, 2) * 2 + 1
    total = sum(v.sum() for v in torch.arange(300.0).view(100, 3) * 2)
    return a.tolist(), b.tolist(), total.item()


RECORDED = {
    writes: [[5.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
    writes_ahead: [0.0, 1.0, 2.0, 3.0],
    follows: [10.0, 11.0, 12.0],
    memory: [7.0, 2.0],
    of_views: [[1.0, 5.0, 9.0], [2.0, 6.0, 10.0], [3.0, 7.0, 11.0], 1.0, 5.0, 9.0],
    gradients: [0.0, 16.0, 48.0],
    some: [(3, 71.0), (70, 3.0)],
    many: [[1.0, 0.0], [3.0, 2.0], [99.0, 98.0], [0.0, 0.0], [103.0, 102.0], [199.0, 198.0]],
    second: ([3.0, 12.0, 27.0], [6.0, 24.0, 54.0]),
    second_of_some: ([6.0, 0.0, 1.0, 0.0], [8.0, 0.0, 2.0, 0.0]),
    hooks: ([1.0, 20.0, 3.0], 3.0, []),
    of_parts: [1.0, 1.0],
    twice: [5.0, 5.0, 5.0],
    without_grad_mode: ([True, True, True], [0.0, 3.0, 6.0]),
    turned_off_inside: [False, True, False, True, False, True],
    flags: (True, False, "UnbindBackward0", True, True),
    of_unbind: [[5.0, 4.0, 5.0], [5.0, 1.0, 5.0]],
    of_types: [[1, 2], [True, False], ["bfloat16"], [], [(0,), (0,)], [1 + 2j, 3j]],
    of_pending: ([1.0, 3.0], [5.0, 7.0], 89700.0),
}


@pytest.mark.parametrize("program", RECORDED, ids=lambda f: f.__name__)
def test_programs_give_what_is_recorded(program):
    assert program(fdl.stateful) == RECORDED[program]


@pytest.mark.peers
@pytest.mark.parametrize("program", RECORDED, ids=lambda f: f.__name__)
def test_pytorch_gives_what_is_recorded(program):
    assert program(pytest.importorskip("torch")) == RECORDED[program]


@pytest.mark.parametrize("program", [written_with_history, written_leaf])
def test_parts_with_a_history_are_not_written(program):
    with pytest.raises(RuntimeError, match=r"returns multiple views|leaf Variable"):
        program(fdl.stateful)


@pytest.mark.peers
@pytest.mark.parametrize("program", [written_with_history, written_leaf])
def test_pytorch_writes_none_either(program):
    with pytest.raises(RuntimeError, match=r"returns multiple views|leaf Variable"):
        program(pytest.importorskip("torch"))


def test_nothing_is_recorded_for_parts_of_what_is_known():
    x = fdl.stateful.arange(200.0)
    x.tolist()
    before = current_recorder().segment.node
    assert [v.item() for v in x] == [float(i) for i in range(200)]
    assert current_recorder().segment.node is before


def test_parts_are_made_as_they_are_asked_for():
    many = iter(fdl.stateful.zeros(10**8, dtype=fdl.stateful.uint8, requires_grad=False))
    assert [next(many).item() for _ in range(3)] == [0, 0, 0]


def contains(torch):
    x, nan = torch.arange(6).reshape(2, 3), float("nan")
    found = [1 in x, 7 in x, 2.0 in x, x[1] in x, torch.tensor([5, 5, 0]) in x, nan in torch.tensor([nan])]
    with pytest.raises(RuntimeError, match=r"only supports Tensor or scalar, but you passed in a <class 'str'>"):
        "a" in x  # noqa: B015
    return found


def test_numbers_and_tensors_are_looked_for_among_elements():
    assert contains(fdl.stateful) == [True, False, True, True, False, False]


@pytest.mark.peers
def test_pytorch_finds_the_same():
    assert contains(pytest.importorskip("torch")) == contains(fdl.stateful)
