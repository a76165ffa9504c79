"""Tensors and modules as arguments of the functional transforms."""

import numpy as np
import pytest

import fdl
import fdl.stateful as torch
from fdl.core.errors import DtypeError


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh())
        self.head = torch.nn.Linear(4, 2)
        self.scale = 2.0

    def forward(self, x):
        return self.head(self.layers(x)) * self.scale


def loss(net, x):
    return (net(x) ** 2).mean()


@pytest.fixture
def net():
    torch.manual_seed(3)
    return Net()


X = np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3)


def test_gradient_of_a_module_is_a_module(net):
    x = torch.tensor(X)
    gradient = fdl.grad(loss)(net, x)
    assert type(gradient) is Net and [n for n, _ in gradient.named_parameters()] == [
        n for n, _ in net.named_parameters()
    ]
    before = {name: b.clone() for name, b in net.named_buffers()}
    loss(net, x).backward()
    for (name, p), (_, g) in zip(net.named_parameters(), gradient.named_parameters(), strict=True):
        np.testing.assert_allclose(g.detach().numpy(), p.grad.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)
    assert all(b.dtype == before[name].dtype and not b.any() for name, b in gradient.named_buffers())
    assert not torch.equal(
        net.layers[1].running_mean, before["layers.1.running_mean"]
    )  # of the second call, which was no transform's


def test_transforms_do_not_touch_their_argument(net):
    before = {name: v.clone() for name, v in net.state_dict().items()}
    fdl.grad(loss)(net, torch.tensor(X))
    fdl.jit(loss)(net, torch.tensor(X))
    assert all(torch.equal(v, before[name]) for name, v in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_training_as_a_pure_function(net):
    @fdl.jit
    def step(net, x):
        value, gradient = fdl.value_and_grad(loss)(net, x)
        return value, fdl.tree_util.tree_map(lambda p, g: (p - 0.05 * g).astype(p.dtype), net, gradient)

    x, values = torch.tensor(X), []
    for _ in range(20):
        value, net = step(net, x)
        values.append(value.item())
    assert isinstance(value, torch.Tensor) and isinstance(net, Net) and values[-1] < values[0] / 2
    assert all(isinstance(p, torch.nn.Parameter) and p.requires_grad for p in net.parameters())


def test_buffers_come_back_with_the_module(net):
    def forward(net, x):
        return net(x), net

    out, after = fdl.jit(forward)(net, torch.tensor(X))
    expected = net(torch.tensor(X))
    np.testing.assert_allclose(out.numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    for (name, a), (_, b) in zip(after.named_buffers(), net.named_buffers(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, err_msg=name)


def test_what_is_no_value_is_structure(net):
    calls = []

    @fdl.jit
    def forward(net, x):
        calls.append(net.training)
        return net(x)

    x = torch.tensor(X)
    first = forward(net, x)
    forward(net, x)
    net.eval()
    second = forward(net, x)
    net.scale = 3.0
    third = forward(net, x)
    assert calls == [True, False, False]
    np.testing.assert_allclose(third.numpy(), second.numpy() * 1.5, rtol=1e-6)
    assert not np.allclose(first.numpy(), second.numpy())
    net.head.weight.data.mul_(2)  # a value, not structure
    forward(net, x)
    assert len(calls) == 3


def test_a_plain_tensor_is_a_value_and_no_parameter():
    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.by = torch.ones(2)  # no buffer

        def forward(self, x):
            return x * self.by

    net, calls = Scaled(), []
    f = fdl.jit(lambda net, x: calls.append(1) or net(x))
    assert f(net, torch.ones(2)).tolist() == [1, 1]
    net.by.fill_(5)
    assert f(net, torch.ones(2)).tolist() == [5, 5] and len(calls) == 1
    assert fdl.grad(lambda net: net(torch.ones(2)).sum())(net).by.tolist() == [0, 0]


def test_what_is_not_trained_has_no_gradient():
    """Buffers that the result depends on, and frozen parameters, stay when a step subtracts the gradient."""

    class Shifted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)
            self.register_buffer("shift", torch.ones(2))
            self.layer.bias.requires_grad_(False)

        def forward(self, x):
            return self.layer(x) + self.shift

    net = Shifted()
    for transform in (lambda f: f, fdl.jit):
        gradient = transform(fdl.grad(lambda net, x: net(x).sum()))(net, torch.ones(1, 2))
        assert (
            gradient.shift.tolist() == [0, 0]
            and gradient.layer.bias.tolist() == [0, 0]
            and gradient.layer.weight.tolist() == [[1, 1], [1, 1]]
        )
        assert not gradient.layer.bias.requires_grad


def test_shared_parameters_are_one_leaf():
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(5, 3)
            self.out = torch.nn.Linear(3, 5, bias=False)
            self.out.weight = self.embedding.weight

        def forward(self, i):
            return self.out(self.embedding(i))

    net, i = Tied(), torch.tensor([1, 2])
    assert len(fdl.tree_util.tree_leaves(net)) == 1
    gradient = fdl.grad(lambda net: net(i).pow(2).sum())(net)
    assert gradient.out.weight is gradient.embedding.weight
    net(i).pow(2).sum().backward()
    np.testing.assert_allclose(gradient.out.weight.detach().numpy(), net.out.weight.grad.numpy(), rtol=1e-5)


def test_vmap_over_stacked_modules_and_tensors():
    torch.manual_seed(0)
    nets = [torch.nn.Linear(3, 2) for _ in range(4)]
    stacked = fdl.tree_util.tree_map(lambda *ps: fdl.numpy.stack(ps), *nets)
    out = fdl.vmap(lambda net, x: net(x), in_axes=(0, None))(stacked, torch.tensor(X[0]))
    expected = np.stack([net(torch.tensor(X[0])).detach().numpy() for net in nets])
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5, atol=1e-6)
    per_sample = fdl.vmap(fdl.grad(lambda net, x: net(x).sum()), in_axes=(None, 0))(nets[0], torch.tensor(X))
    np.testing.assert_allclose(per_sample.weight[:, 0].detach().numpy(), X, rtol=1e-6)


def test_jvp_of_a_module():
    net, x = torch.nn.Linear(3, 2), torch.tensor(X)
    value, tangent = fdl.jvp(lambda net: net(x), (net,), (fdl.tree_util.tree_map(fdl.numpy.ones_like, net),))
    np.testing.assert_allclose(tangent.numpy(), np.repeat(X.sum(1, keepdims=True) + 1, 2, 1), rtol=1e-5, atol=1e-6)
    assert torch.equal(value, net(x).detach())


def test_tensors_in_tensors_out():
    x = torch.tensor([1.0, 2.0])
    for f in (fdl.jit(lambda x: x * 2), fdl.vmap(lambda x: x * 2), fdl.grad(lambda x: (x * x).sum())):
        assert type(f(x)) is torch.Tensor and f(x).tolist() == [2, 4]
    assert fdl.jit(lambda d: d["a"].sum(0))({"a": x}).item() == 3
    with pytest.raises(DtypeError, match=r"argument 0 \(i\) has dtype int64"):
        fdl.grad(lambda i: i.sum())(torch.tensor([1, 2]))
