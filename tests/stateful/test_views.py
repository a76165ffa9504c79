"""Views: what shares memory and what copies, writes through chains of views, and their gradients, are
PyTorch's (2.13).
"""

import copy

import numpy as np
import pytest

import fdl.stateful as torch
import fdl.stateful.nn as nn

SHARED = "some elements of the input tensor and the written-to tensor refer to a single memory location"
REPEATED = "more than one element of the written-to tensor refers to a single memory location"


def grid(*shape):
    return torch.arange(float(np.prod(shape))).reshape(*shape).clone()


def test_reshape_copies_where_no_steps_say_it():
    x = torch.ones(2, 3, requires_grad=True)
    h = x * 2
    y = h.t().reshape(-1)
    y.mul_(3)
    assert h.tolist() == [[2, 2, 2], [2, 2, 2]] and y.tolist() == [6] * 6
    (h.sum() + y.sum()).backward()
    assert x.grad.tolist() == [[8, 8, 8], [8, 8, 8]]
    z = grid(2, 3, 4)
    for copied in (
        z.mT.flatten(),
        z.mT.ravel(),
        z.mT.contiguous(),
        z[:, 1:].reshape(-1),
        z[..., :3].flatten(1),
        z.transpose(0, 1).reshape(3, 8),
    ):
        copied.zero_()
    assert z.sum() == 276
    for seen in (
        z.flatten(1),
        z[1:].ravel(),
        z.transpose(0, 1).reshape(3, 2, 2, 2),
        z[:, 1:2].reshape(2, 4),
        z.view(-1),
        z.unflatten(2, (2, -1)),
    ):
        assert seen._base is z
        seen.zero_()
    assert z.sum() == 0
    assert grid(3).flatten()._base is None and z[1].contiguous() is not z[1]
    part = z[1]
    assert (
        part.contiguous() is part and part.is_contiguous() and not z[:, 1].is_contiguous() and not z.mT.is_contiguous()
    )


def test_a_view_of_other_steps_is_refused():
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        grid(2, 3).t().view(-1)
    assert grid(2, 3).t().view(3, 2, 1).shape == (3, 2, 1)


@pytest.mark.parametrize(
    ("see", "strides", "offset"),
    [  # of arange(24).reshape(2, 3, 4); recorded from PyTorch
        (lambda x: x.transpose(0, 2), (1, 4, 12), 0), (lambda x: x[1, :, 1:], (4, 1), 13),
        (lambda x: x[:, ::2, ::3], (12, 8, 3), 0),
        (lambda x: x.diagonal(), (1, 16), 0), (lambda x: x.diagonal(1, 1, 2), (12, 5), 1),
        (lambda x: x.diagonal(-1, 2, 1), (12, 5), 1),
        (lambda x: x.unfold(2, 3, 1), (12, 4, 1, 1), 0), (lambda x: x.unfold(1, 2, 1)[1, 1], (1, 4), 16),
        (lambda x: x.as_strided((2, 2), (5, 3), 7), (5, 3), 7),
        (lambda x: x.expand(5, 2, 3, 4), (0, 12, 4, 1), 0), (lambda x: x[:, :1].expand(2, 3, 4), (12, 0, 1), 0),
        (lambda x: x.select(2, 3), (12, 4), 3),
        (lambda x: x.unbind(1)[2], (12, 1), 8), (lambda x: x.chunk(2, 2)[1], (12, 4, 1), 2),
        (lambda x: x.permute(2, 0, 1).flatten(1), (1, 4), 0),
        (lambda x: x.view(6, 4).t().unflatten(1, (2, 3)), (1, 12, 4), 0),
        (lambda x: x[1].t()[2:].movedim(0, 1), (4, 1), 14), (lambda x: x.narrow(1, 1, 2).mT, (12, 1, 4), 4),
    ],
)  # fmt: skip
def test_strides_and_offsets(see, strides, offset):
    x = grid(2, 3, 4)
    y = see(x)
    assert (y.stride(), y.storage_offset()) == (strides, offset) and y.stride(-1) == strides[-1]
    assert y.data_ptr() == x.data_ptr() + 4 * offset
    whole = np.arange(24, dtype=np.float32)
    memory = np.lib.stride_tricks.as_strided(whole[offset:], tuple(y.shape), [4 * s for s in strides])
    assert np.array_equal(np.array(y.tolist()), memory)
    assert np.shares_memory(y.numpy(), x.numpy())
    y.fill_(-1)
    memory[...] = -1
    assert x.view(-1).tolist() == whole.tolist()


def test_writes_reach_the_base_and_gradients_follow():
    x = torch.arange(9.0, requires_grad=True)
    h = (x * 1).view(3, 3)
    h.diagonal().mul_(10)
    h.unfold(1, 2, 1)[0, 1].zero_()
    h.as_strided((2,), (3,), 3).copy_(torch.tensor([-1.0, -2.0]))
    assert h.tolist() == [[0, 0, 0], [-1, 40, 5], [-2, 7, 80]]
    (h * torch.arange(9.0).view(3, 3)).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 0, 40, 5, 0, 7, 80]


def test_writes_where_elements_share_a_place():
    x = torch.zeros(3)
    e = x.expand(2, 3)
    e[0] = 5.0
    assert x.tolist() == [5, 5, 5]
    e.fill_(2.0)
    assert x.tolist() == [2, 2, 2]
    for change in (
        lambda: e.add_(1),
        lambda: e.copy_(torch.ones(2, 3)),
        lambda: e.__setitem__(slice(None), 1.0),
        lambda: e.exp_(),
        lambda: e.normal_(),
    ):
        with pytest.raises(RuntimeError, match=REPEATED):
            change()
    for tensors in (
        torch.broadcast_tensors(torch.zeros(2, 1), torch.zeros(2)),
        torch.meshgrid(torch.zeros(2), torch.zeros(3), indexing="ij"),
    ):
        with pytest.raises(RuntimeError, match=REPEATED):
            tensors[0].add_(1)
    with pytest.warns(UserWarning, match="masked_fill_ on expanded tensors is deprecated"):
        e.masked_fill_(torch.tensor([[True, False, False], [False, False, False]]), 7.0)
    with pytest.warns(UserWarning, match="index_put_ on expanded tensors is deprecated"):
        e[torch.tensor([0]), torch.tensor([1])] = 8.0
    assert x.tolist() == [7, 8, 2]
    a, b = torch.zeros(2, 2), torch.ones(2)
    assert torch.broadcast_tensors(a, b)[0] is a


def test_operands_in_the_same_memory():
    x, y = torch.arange(4.0), torch.arange(4.0).view(2, 2)
    for change in (
        lambda: x[1:].add_(x[:-1]),
        lambda: x.__setitem__(slice(1, 4), x[:3]),
        lambda: y.add_(y.t()),
        lambda: y.copy_(y.t()),
        lambda: y.mul_(y[0]),
    ):
        with pytest.raises(RuntimeError, match=SHARED):
            change()
    x[1:].add_(x[1:])
    assert x.tolist() == [0, 2, 4, 6]


def test_who_may_be_changed_in_grad_mode():
    leaf = torch.zeros(4, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        leaf.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        leaf[:2].add_(1)
    x = leaf * 1
    parts = [
        (x.split(2)[1], "Output 1 of Split"),
        (x.unbind()[0], "Output 0 of Unbind"),
        (x.split([1, 3])[0], "Output 0 of SplitWithSizes"),
        (next(iter(x)), "Output 0 of Unbind"),
    ]
    for part, name in parts:
        with pytest.raises(
            RuntimeError,
            match=(
                f"{name} is a view and is being modified inplace. This view is the output of a function that "
                "returns multiple views"
            ),
        ):
            part.add_(1)
    with torch.no_grad():
        seen = x[:2]
    assert seen.requires_grad and seen.is_leaf
    with pytest.raises(
        RuntimeError, match="A view was created in no_grad mode and is being modified inplace with grad mode enabled"
    ):
        seen.add_(1)
    for part in (x.tensor_split(2)[0], x.unsafe_split(2)[0]):
        part.add_(1)
    with torch.no_grad():
        leaf[:1].fill_(5)
        seen.mul_(3)
    assert leaf.tolist() == [5, 0, 0, 0] and x.tolist() == [6, 6, 0, 0]
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        x[1:].detach_()


def test_a_leaf_takes_no_place_of_another_one():
    x, w = torch.zeros(2), torch.ones(2, requires_grad=True)
    x.copy_(w)
    assert not x.is_leaf and w.is_leaf
    x.mul_(2)
    x.sum().backward()
    assert w.grad.tolist() == [2, 2]
    h = w * 3
    h.zero_()
    assert h.requires_grad
    h.sum().backward()
    assert w.grad.tolist() == [2, 2]


def test_leaves_that_are_views_share_memory():
    flat = torch.arange(6.0)
    p = nn.Parameter(flat[:4].view(2, 2))
    q = torch.zeros(2, requires_grad=True)
    q.data = flat[4:]
    r = flat[1:3].requires_grad_()
    optimizer = torch.optim.SGD([p, q], lr=1.0)
    ((p.t() * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum() + q.sum() + (r * r).sum()).backward()
    assert p.grad.tolist() == [[1, 3], [2, 4]] and r.grad.tolist() == [2, 4]
    optimizer.step()
    assert flat.tolist() == [-1, -2, 0, -1, 3, 4] and r.tolist() == [-2, 0] and p[1].tolist() == [0, -1]
    flat.zero_()
    assert p.tolist() == [[0, 0], [0, 0]] and q.tolist() == [0, 0]


def test_copies_keep_aliasing():
    x = torch.arange(4.0)
    y, v = copy.deepcopy((x, x[1:].view(3, 1)))
    v.mul_(10)
    assert y.tolist() == [0, 10, 20, 30] and x.tolist() == [0, 1, 2, 3]
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    net.register_buffer("table", x)
    net[0].register_buffer("row", x[2:])
    net[0].weight.grad = torch.ones(3, 3)
    twin = copy.deepcopy(net)
    assert twin[1].weight is twin[0].weight and twin[0].weight is not net[0].weight
    twin.table.fill_(2.0)
    assert twin[0].row.tolist() == [2, 2] and net[0].row.tolist() == [2, 3] and twin[0].weight.grad is None
    z = copy.copy(x)
    z.add_(1)
    assert x.tolist() == [1, 2, 3, 4]


def test_shapes_changed_in_place_keep_earlier_views():
    x = grid(2, 3)
    before = x.view(6)
    x.t_()
    x[0] = 9.0
    assert before.tolist() == [9, 1, 2, 9, 4, 5] and x._base is None and x.stride() == (1, 3)


def test_results_do_not_share_exported_memory():
    x = torch.ones(2, 2)
    memory = x.numpy()
    results = [
        x.clone(),
        x.t().contiguous(),
        torch.cat([x]),
        x.flip(0),
        x.repeat(1, 1),
        x.expand(2, 2, 2).clone(),
        x.roll(0, 0),
        torch.zeros(2, 2).copy_(x),
    ]
    memory[:] = 5
    assert x.tolist() == [[5, 5], [5, 5]] and all(r.sum() in (4, 8) for r in results)
