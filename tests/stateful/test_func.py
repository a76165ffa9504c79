"""`torch.func` under PyTorch's autograd: what transforms give has a history, to what they were given and to what they read."""

import numpy as np
import pytest

import fdl.stateful as torch

W, X = np.random.default_rng(3).normal(size=(3, 3)).astype(np.float32) * 0.5, np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32)


def facts(torch):
    """Gradients through gradients, line by line."""
    func, log = torch.func, []
    w, x = torch.tensor(W, requires_grad=True), torch.tensor(X, requires_grad=True)

    def u(x, w=None):
        return torch.tanh(x @ w).pow(2).sum()

    def note(value):
        log.extend(g.detach().numpy() for g in torch.autograd.grad(value, [w, x], allow_unused=False))

    note(func.grad(u, argnums=1)(x, w).pow(2).sum())  # both are given
    note(func.vmap(func.grad(lambda x: u(x, w)))(x).pow(3).sum())  # w is read
    note(func.jacrev(lambda x: torch.tanh(x @ w))(x[0]).pow(2).sum() + x.sum())
    note(func.jacfwd(lambda x: torch.tanh(x @ w))(x[0]).pow(2).sum() + x.sum())
    note(func.hessian(lambda x: u(x, w))(x[0]).pow(2).sum() + x.sum())
    value, tangent = func.jvp(lambda x: torch.sin(x @ w), (x,), (torch.ones(5, 3),))
    note((value * tangent).sum())
    gradient, (inner, aux) = func.grad_and_value(lambda x: (u(x, w), x * 2), has_aux=True)(x)
    note(gradient.sum() + inner + aux.sum())
    first = torch.autograd.grad(func.grad(lambda x: u(x, w))(x).pow(2).sum(), x, create_graph=True)[0]
    note(first.pow(2).sum())
    rows = torch.autograd.grad(x @ w, x, torch.eye(3)[:, None, :].expand(3, 5, 3), is_grads_batched=True, retain_graph=True)[0]
    log.append(rows.detach().numpy())
    return log


def test_transforms_have_a_history():
    for g in facts(torch):
        assert np.isfinite(g).all() and np.abs(g).max() > 0


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_as_in_torch():
    theirs = pytest.importorskip("torch")
    for k, (got, want) in enumerate(zip(facts(torch), facts(theirs), strict=True)):
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=1e-4, err_msg=str(k))


def test_a_network_is_fitted_to_a_differential_equation():
    """u'' = -u with u(0) = 0 and u'(0) = 1: the network is read from outside of the transforms."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)

    def u(t):
        return t + t * t * net(t.reshape(1))[0]

    second = torch.func.vmap(torch.func.grad(torch.func.grad(u)))
    t, losses = torch.linspace(0, 1.5, 16), []
    for _ in range(60):
        loss = (second(t) + torch.func.vmap(u)(t)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 20
    assert all(p.grad is not None and type(p._value()).__name__ == "Array" for p in net.parameters())


def test_without_history_nothing_is_done_twice():
    calls = []

    def f(x):
        calls.append(1)
        return (x * x).sum()

    torch.func.grad(f)(torch.ones(3))
    with torch.no_grad():
        torch.func.grad(f)(torch.ones(3, requires_grad=True))
    assert len(calls) == 2
    (g,) = torch.autograd.grad(torch.func.grad(f)(torch.ones(3, requires_grad=True)).sum(), torch.ones(3, requires_grad=True), allow_unused=True)
    assert g is None
