"""`torch.func` under PyTorch's autograd: what transforms give has a history, to what they were given and to what they
read.
"""

import numpy as np
import pytest

import fdl.stateful as torch

W, X = (
    np.random.default_rng(3).normal(size=(3, 3)).astype(np.float32) * 0.5,
    np.random.default_rng(4).normal(size=(5, 3)).astype(np.float32),
)


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
    rows = torch.autograd.grad(
        x @ w, x, torch.eye(3)[:, None, :].expand(3, 5, 3), is_grads_batched=True, retain_graph=True
    )[0]
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
    assert all(p.grad is not None and type(p._value()).__name__ == "ConcreteArray" for p in net.parameters())


def test_without_history_nothing_is_done_twice():
    calls = []

    def f(x):
        calls.append(1)
        return (x * x).sum()

    torch.func.grad(f)(torch.ones(3))
    with torch.no_grad():
        torch.func.grad(f)(torch.ones(3, requires_grad=True))
    assert len(calls) == 2
    (g,) = torch.autograd.grad(
        torch.func.grad(f)(torch.ones(3, requires_grad=True)).sum(),
        torch.ones(3, requires_grad=True),
        allow_unused=True,
    )
    assert g is None


def test_linearize():
    value, push = torch.func.linearize(lambda a, b: a * b, torch.tensor(2.0), torch.tensor(5.0))
    assert (
        value.item() == 10
        and push(torch.tensor(1.0), torch.tensor(3.0)).item() == 11
        and torch.func.functionalize(len) is len
    )


# Gradients against differences, and gradients that are no numbers


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g


def test_gradients_against_differences():
    a, b = (torch.tensor(np.random.default_rng(k).normal(size=(2, 3)), requires_grad=True) for k in (0, 1))
    assert torch.autograd.gradcheck(
        lambda a, b: (torch.sin(a) @ b.t(), a.sum() * 2), (a, b)
    ) and torch.autograd.gradgradcheck(lambda a, b: torch.tanh(a * b), (a, b))
    with pytest.raises(torch.autograd.GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
        torch.autograd.gradcheck(Wrong.apply, a)
    assert not torch.autograd.gradcheck(Wrong.apply, a, raise_exception=False)
    with pytest.raises(ValueError, match="requires_grad"):
        torch.autograd.gradcheck(torch.sin, torch.ones(2))


def test_gradients_that_are_no_numbers():
    x = torch.zeros(2, requires_grad=True)
    with (
        torch.autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"),
    ):
        (x.sqrt() * 0).sum().backward()
    x.grad = None
    (x.sqrt() * 0).sum().backward()
    assert x.grad.isnan().all()
    torch.autograd.set_detect_anomaly(True)
    try:
        (x * 2).sum().backward()
    finally:
        torch.autograd.set_detect_anomaly(False)


def test_profiles():
    steps = torch.profiler.schedule(wait=1, warmup=1, active=2)
    assert [steps(k).name for k in range(5)] == ["NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE"]
    seen = []
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], schedule=steps, on_trace_ready=seen.append
    ) as watched:
        for _ in range(4):
            with torch.profiler.record_function("product"):
                torch.ones(3, 3) @ torch.ones(3, 3)
            watched.step()
    assert seen == [watched] and len(watched.times["ProfilerStep"]) == 2 and len(watched.times["product"]) == 4
    assert watched.key_averages().table(sort_by="cpu_time_total", row_limit=1).count("\n") == 1


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", None])
@pytest.mark.parametrize("sizes", [(4, 4), (5, 3), (3, 5)])
def test_orthogonal_weights_stay_so(kind, sizes):
    torch.manual_seed(0)
    layer = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(*sizes), orthogonal_map=kind)
    before, few = layer.weight.detach().clone(), min(sizes)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    target, losses = torch.randn(8, sizes[1]), []
    x = torch.randn(8, sizes[0])
    for _ in range(15):
        loss = (layer(x) - target).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        w = layer.weight
        gram = w @ w.mT if sizes[1] <= sizes[0] else w.mT @ w
        np.testing.assert_allclose(gram.detach().numpy(), np.eye(few), atol=2e-5)
    assert losses[-1] < losses[0] and not torch.allclose(layer.weight, before, atol=1e-3)
    q = torch.linalg.qr(torch.randn(max(sizes), few)).Q
    layer.weight = q if sizes[1] >= sizes[0] else q.mT
    np.testing.assert_allclose(layer.weight.detach().numpy(), (q if sizes[1] >= sizes[0] else q.mT).numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="matrix or batch"):
        torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(2, 2), "bias")
