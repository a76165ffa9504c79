"""Tensors of the meta device: what is computed from what has no values has none, and none come out of it."""

import pytest

import fdl.stateful as torch


def described(t):
    return t.device.type, tuple(t.shape), t.dtype


def test_gradients_and_steps_of_optimizers():
    net = torch.nn.Sequential(torch.nn.Embedding(3, 4, device="meta"), torch.nn.Linear(4, 2, device="meta"))
    optimizer = torch.optim.Adam(net.parameters())
    tokens = torch.empty(5, dtype=torch.int64, device="meta")
    for _ in range(3):
        optimizer.zero_grad()
        loss = net(tokens).pow(2).sum()
        loss.backward()
        optimizer.step()
    assert described(loss) == ("meta", (), torch.float32) and loss.requires_grad
    assert described(net[0].weight.grad) == described(net[0].weight) == ("meta", (3, 4), torch.float32)
    (second,) = torch.autograd.grad(net(tokens).pow(2).sum(), net[1].weight, create_graph=True)
    assert described(second) == ("meta", (2, 4), torch.float32) and second.requires_grad
    with torch.no_grad():
        (net[1].weight + 1).abs_().mul_(2)


def test_checks_have_nothing_to_look_at():
    x = torch.empty(2, 3, device="meta")
    rows = torch.empty(2, dtype=torch.int64, device="meta")
    assert described(torch.nn.functional.cross_entropy(x, rows)) == ("meta", (), torch.float32)
    assert described(x.index_select(1, rows)) == ("meta", (2, 2), torch.float32)
    assert described(torch.bernoulli(x)) == ("meta", (2, 3), torch.float32)


def test_values_do_not_come_from_there():
    x = torch.ones(2, 3)
    for written in (
        lambda: x.copy_(torch.empty(2, 3, device="meta")),
        lambda: x.add_(torch.empty(2, 3, device="meta")),
        lambda: x[0].copy_(torch.empty(3, device="meta")),
        lambda: x.__setitem__(0, torch.empty(3, device="meta")),
    ):
        with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
            written()
    assert x.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert described(torch.empty(2, 3, device="meta").copy_(x)) == ("meta", (2, 3), torch.float32)


def test_what_is_computed_beside_it_is_as_before():
    """Operands that were met before the one without a value leave nothing behind."""
    x, y = torch.ones(3, requires_grad=True), torch.empty(3, device="meta", requires_grad=True)
    for count in range(1, 4):
        (torch.tensor(2.0) * y).sum().backward()
        (x * 2).sum().backward()
        assert described(y.grad) == ("meta", (3,), torch.float32)
        assert x.grad.tolist() == [2 * count] * 3


LAYERS = {
    "Linear": (2, 2), "Bilinear": (2, 2, 2), "Conv2d": (1, 2, 3), "ConvTranspose1d": (1, 2, 3), "BatchNorm2d": (2,),
    "LayerNorm": (2,), "GroupNorm": (2, 2), "RMSNorm": (2,), "Embedding": (2, 2), "GRU": (2, 2), "LSTMCell": (2, 2),
    "PReLU": (), "MultiheadAttention": (2, 1), "TransformerEncoderLayer": (2, 1, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_all_that_a_layer_makes_lies_on_its_device(name):
    layer = getattr(torch.nn, name)(*LAYERS[name], device="meta")
    assert {str(x.device) for x in [*layer.parameters(), *layer.buffers()]} == {"meta"}
    layer = getattr(torch.nn, name)(*LAYERS[name], device="cpu")
    assert {str(x.device) for x in [*layer.parameters(), *layer.buffers()]} == {"cpu"}
