"""What functions under a transform write: generators, buffers and parameters are carried; what no program can carry
changes as in plain code, or not at all.

Expectations follow from the plain loop, whose values `test_recorded.py` and `test_training.py` hold to PyTorch's.
"""

from __future__ import annotations

import contextlib
import copy

import pytest

import fdl
import fdl.lax as lax
import fdl.stateful as torch
from fdl.core.errors import StateError
from fdl.core.trace import Tracer
from fdl.extend import Leaf

F, nn = torch.nn.functional, torch.nn


def assert_clean(*modules):
    """No tensor of a module holds anything that belongs to a transform."""
    for m in (m for module in modules for m in module.modules()):
        for name, value in m.__dict__.items():
            for t in [value, getattr(value, "grad", None)]:
                if isinstance(t, torch.Tensor):
                    assert not isinstance(t._storage.array, Tracer), name
                    assert t._edge is None or type(t._edge) is Leaf, name


def runs(f, x, times=3):
    torch.manual_seed(11)
    return [f(x).tolist() for _ in range(times)], torch.rand(2).tolist()


DRAWS = {
    "dropout": lambda x: F.dropout(x),
    "rand": lambda x: torch.rand(3) + x,
    "randn": lambda x: torch.randn(3) * x,
    "randint": lambda x: torch.randint(0, 1000, (3,)) + x,
    "randperm": lambda x: torch.randperm(9) + x.sum(),
    "bernoulli": lambda x: torch.bernoulli(x.repeat(9) * 0.5),
    "multinomial": lambda x: torch.multinomial(x.repeat(9), 9),
    "normal_": lambda x: torch.empty(3).normal_() + x,
    "uniform_": lambda x: torch.empty(3).uniform_(1, 2) + x,
    "rsample": lambda x: torch.distributions.Normal(x, 1.0).rsample(),
    "two": lambda x: F.dropout(x) + torch.rand(3),
}


@pytest.mark.parametrize("name", DRAWS)
def test_jitted_functions_draw_as_plain_ones(name):
    x = torch.ones(3)
    plain, jitted = runs(DRAWS[name], x), runs(fdl.jit(DRAWS[name]), x)
    assert plain == jitted
    assert plain[0][0] != plain[0][1]


def test_draws_in_jitted_functions_are_recorded_once():
    calls = []
    f = fdl.jit(lambda x: (calls.append(1), F.dropout(x))[1])
    runs(f, torch.ones(3), 4)
    assert calls == [1]


def test_generators_are_state_of_jitted_functions():
    g = torch.Generator().manual_seed(1)
    f = fdl.jit(lambda x: torch.rand(3, generator=g) + x)
    first = [f(torch.zeros(3)).tolist() for _ in range(2)]
    assert g.get_state().tolist() == [1, 2]
    assert first[0] != first[1]
    g.manual_seed(1)
    assert [torch.rand(3, generator=g).tolist() for _ in range(2)] == first
    seeded = fdl.jit(lambda x: (torch.manual_seed(7), torch.rand(2) + x)[1])
    assert seeded(torch.zeros(2)).tolist() == seeded(torch.zeros(2)).tolist()
    assert torch.initial_seed() == 7


def _step(c, _=None):
    c = c + torch.rand(3)
    return c, c


def _loop(x):
    found = []
    for _ in range(4):
        x, y = _step(x)
        found.append(y)
    return torch.stack(found)


def _while_plain(x):
    for _ in range(3):
        x = x + torch.rand(3)
    return x


CONTROL = {
    "scan": (lambda x: lax.scan(_step, x, None, length=4)[1], _loop),
    "while": (
        lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + torch.rand(3)), (0, x))[1],
        _while_plain,
    ),
    "fori": (lambda x: lax.fori_loop(0, 3, lambda i, c: c + torch.rand(3), x), _while_plain),
    "taken": (
        lambda x: lax.cond(x.sum()._value() > 0, lambda x: F.dropout(F.dropout(x)), lambda x: x, x),
        lambda x: F.dropout(F.dropout(x)),
    ),
    "not taken": (lambda x: lax.cond(x.sum()._value() < 0, lambda x: F.dropout(x), lambda x: x, x), lambda x: x),
    "nested": (lambda x: fdl.jit(F.dropout)(x) + F.dropout(x), lambda x: F.dropout(x) + F.dropout(x)),
    "grad": (fdl.grad(lambda x: F.dropout(x).sum()), F.dropout),
    "jit in grad": (fdl.grad(fdl.jit(lambda x: F.dropout(x).sum())), F.dropout),
    "checkpoint": (fdl.grad(fdl.checkpoint(lambda x: F.dropout(x).sum())), F.dropout),
    "func.grad": (torch.func.grad(lambda x: F.dropout(x).sum()), F.dropout),
}


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("name", CONTROL)
def test_each_step_of_a_loop_draws_anew(name, jitted):
    made, plain = CONTROL[name]
    found, wanted = runs(fdl.jit(made) if jitted else made, torch.ones(3)), runs(plain, torch.ones(3))
    assert found[1] == wanted[1]
    assert torch.allclose(torch.tensor(found[0]), torch.tensor(wanted[0]))


def test_vmap_says_what_draws_are():
    x = torch.ones(5, 4)
    # the text is PyTorch 2.13's
    with pytest.raises(
        RuntimeError,
        match=(
            r"vmap: called random operation while in randomness error mode. Please either use the 'same' or "
            r"'different' randomness flags"
        ),
    ):
        torch.func.vmap(F.dropout)(x)
    with pytest.raises(
        RuntimeError, match=r"Only allowed values for randomness are 'error', 'different', or 'same'. Got some"
    ):
        torch.func.vmap(F.dropout, randomness="some")
    same = torch.func.vmap(lambda row: torch.rand(4) + row * 0, randomness="same")(x)
    assert (same == same[0]).all()
    for f in (
        lambda row: torch.rand(4),
        lambda row: torch.randn(4) + row,
        lambda row: torch.randperm(40),
        lambda row: F.dropout(row.repeat(9)),
    ):
        rows = torch.func.vmap(f, randomness="different")(x).tolist()
        assert len({tuple(row) for row in rows}) == 5
    nested = torch.func.vmap(torch.func.vmap(lambda e: torch.rand(()), randomness="different"), randomness="different")(
        x
    )
    assert len(set(nested.flatten().tolist())) == 20
    half = torch.func.vmap(torch.func.vmap(lambda e: torch.rand(()), randomness="different"), randomness="same")(x)
    assert (half == half[0]).all() and len(set(half[0].tolist())) == 4
    assert not torch.allclose(
        torch.func.vmap(lambda e: torch.rand(()), randomness="different")(x),
        torch.func.vmap(lambda e: torch.rand(()), randomness="different")(x),
    )


TRANSFORMS = {
    "jit": fdl.jit,
    "grad": lambda f: fdl.grad(f),
    "jit of grad": lambda f: fdl.jit(fdl.grad(f)),
    "grad of jit": lambda f: fdl.grad(fdl.jit(f)),
    "checkpoint": lambda f: fdl.grad(fdl.checkpoint(f)),
    "jvp": lambda f: lambda x: fdl.jvp(f, (x,), (x,)),
    "jacrev": lambda f: fdl.jacrev(f),
    "func.grad": torch.func.grad,
    "func.grad_and_value": torch.func.grad_and_value,
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_running_statistics_move_once_a_call(name):
    torch.manual_seed(0)
    bn, x = nn.BatchNorm1d(3), torch.randn(8, 3)
    plain = copy.deepcopy(bn)
    f = TRANSFORMS[name](lambda x: (bn(x) ** 3).sum())
    for k in range(3):
        f(x * (k + 1))
        plain(x * (k + 1))
        assert_clean(bn)
        assert torch.allclose(bn.running_mean, plain.running_mean) and torch.allclose(bn.running_var, plain.running_var)
        assert bn.num_batches_tracked.item() == k + 1


def test_modes_and_tensors_of_modules_are_those_of_the_call():
    torch.manual_seed(0)
    bn, x = nn.BatchNorm1d(3), torch.randn(8, 3)
    f = fdl.jit(lambda x: bn(x))
    f(x)
    bn.eval()
    assert torch.allclose(f(x), bn(x)) and bn.num_batches_tracked.item() == 1
    bn.train()
    f(x)
    assert bn.num_batches_tracked.item() == 2
    drop = nn.Dropout(0.5)
    g = fdl.jit(lambda x: drop(x))
    g(x)
    drop.p = 0.0
    assert torch.allclose(g(x), x)
    layer = nn.Linear(3, 3)
    h = fdl.jit(lambda x: layer(x))
    h(x)
    layer.weight = nn.Parameter(torch.zeros(3, 3))
    assert torch.allclose(h(x), layer(x))
    layer.weight.data = torch.ones(3, 3)
    assert torch.allclose(h(x), layer(x))
    w = torch.ones(3)
    k = fdl.jit(lambda x: x * w)
    k(x)
    w.data = torch.full((3,), 2.0)
    assert torch.allclose(k(x), x * 2)


def test_copies_that_share_an_array_are_two_cells():
    torch.manual_seed(0)
    a = nn.BatchNorm1d(3)
    b, x = copy.deepcopy(a), torch.randn(8, 3)
    c, d = copy.deepcopy(a), copy.deepcopy(a)
    f = fdl.jit(lambda x: (a(x), b(x * 3)))
    for _ in range(2):
        f(x)
        c(x), d(x * 3)
    assert torch.allclose(a.running_var, c.running_var) and torch.allclose(b.running_var, d.running_var)


def test_writes_in_place_are_carried_and_local_tensors_are_not():
    def accumulate(w):
        def f(x):
            w.add_(x)
            w[0] = 5.0
            return w * 2

        return f

    a, b = torch.zeros(3), torch.zeros(3)
    f, g = fdl.jit(accumulate(a)), accumulate(b)
    for _ in range(3):
        assert f(torch.ones(3)).tolist() == g(torch.ones(3)).tolist()
    assert a.tolist() == b.tolist() == [5.0, 3.0, 3.0]

    def local(x):
        t = torch.tensor([0.0, 0.0, 0.0])
        t += x
        return t.add_(1)

    f = fdl.jit(local)
    assert [f(torch.ones(3)).tolist() for _ in range(2)] == [[2.0] * 3] * 2
    assert fdl.grad(lambda x: local(x).sum())(torch.ones(3)).tolist() == [1.0] * 3
    assert fdl.vmap(local)(torch.ones(2, 3)).tolist() == [[2.0] * 3] * 2


def _model():
    torch.manual_seed(1)
    m = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    return m, torch.optim.Adam(m.parameters(), lr=0.05)


@pytest.mark.parametrize("clip", [False, True])
def test_whole_steps_under_jit_are_plain_steps(clip):
    def losses(wrapper):
        m, opt = _model()
        schedule = torch.optim.lr_scheduler.StepLR(opt, 2, 0.5)

        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(m(x), y)
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(m.parameters(), 0.1)
            opt.step()
            return loss

        f, found = wrapper(step), []
        x, y = torch.randn(16, 4), torch.randint(0, 3, (16,))
        for _ in range(5):
            found.append(f(x, y).item())
            schedule.step()
        assert_clean(m)
        return found, m[0].weight.tolist(), opt.state_dict()["state"][0]["step"].item(), torch.rand(1).item()

    plain, jitted = losses(lambda f: f), losses(fdl.jit)
    assert plain[0] == pytest.approx(jitted[0], rel=1e-4) and plain[2:] == jitted[2:]
    assert torch.allclose(torch.tensor(plain[1]), torch.tensor(jitted[1]), atol=1e-4)


def test_backward_under_jit_adds_gradients_each_time():
    layer = nn.Linear(3, 1, bias=False)

    def f(x):
        layer(x).sum().backward()
        return x

    g = fdl.jit(f)
    for k in range(3):
        g(torch.ones(1, 3))
        assert layer.weight.grad.tolist() == [[k + 1.0] * 3]
    assert_clean(layer)
    local = fdl.jit(lambda x: (x.requires_grad_(), (x * x).sum().backward(), x.grad)[-1])
    assert local(torch.ones(3)).tolist() == [2.0] * 3


@pytest.mark.parametrize(
    "wrapper",
    [fdl.jit, lambda f: fdl.grad(f), lambda f: fdl.vmap(f), fdl.checkpoint],
    ids=["jit", "grad", "vmap", "checkpoint"],
)
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_has_changed_where_a_function_fails(wrapper, error):
    m, _ = _model()

    def bad(x):
        if x.ndim == 2:
            F.dropout(x) if wrapper is fdl.jit else None
            m[1](m[0](x))
        m[1].running_mean.add_(x.mean())
        m[1].running_var = m[1].running_var * x.mean()
        m[1].eps = 7.0
        raise error("midway")

    before, state = [t.tolist() for t in m.state_dict().values()], torch.get_rng_state().tolist()
    with pytest.raises(error):
        wrapper(bad)(torch.randn(16, 4))
    assert_clean(m)
    assert [t.tolist() for t in m.state_dict().values()] == before and m[1].eps == 1e-5
    torch.set_rng_state(torch.tensor(state))


class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("ema", torch.zeros(3))
        self.calls, self.last = 0, None

    def forward(self, x):
        self.ema = self.ema * 0.9 + x.mean(0) * 0.1
        self.calls += 1
        self.last = x * 2
        return x + self.ema


def test_attributes_of_modules():
    a, b, x = Remembering(), Remembering(), torch.ones(4, 3)
    f = fdl.jit(a)
    for k in range(4):
        assert torch.allclose(f(x * k), b(x * k)) and torch.allclose(a.ema, b.ema)
    assert_clean(a)
    fdl.grad(lambda x: a(x).sum())(x)
    assert_clean(a)
    assert a.calls == 5 and a.last.tolist() == [[2.0] * 3] * 4
    with pytest.raises(StateError, match="writes a mapped value"):
        fdl.vmap(a)(x)
    assert_clean(a)
    assert a.calls == 5


def test_what_cannot_be_carried_says_so_and_changes_nothing():
    m, opt = _model()
    m(torch.randn(16, 4)).sum().backward()
    before = m[0].weight.tolist()
    for f in (
        lambda x: (opt.step(), x.sum())[1],
        lambda x: lax.scan(lambda c, _: (opt.step(), (c, None))[1], x.sum(), None, length=2)[0],
    ):
        with pytest.raises(StateError, match="a step of Adam under"):
            fdl.grad(f)(torch.ones(3))
    bn = nn.BatchNorm1d(3)
    with pytest.raises(StateError, match="writes a mapped value"):
        fdl.vmap(lambda x: bn(x))(torch.randn(5, 8, 3))

    def swallowing(x):
        with contextlib.suppress(RuntimeError):
            opt.step()
        return x.sum()

    with pytest.raises(StateError):
        fdl.grad(swallowing)(torch.ones(3))
    assert m[0].weight.tolist() == before and bn.running_mean.tolist() == [0.0] * 3 and not opt.state


def test_jitted_draws_under_vmap_and_in_jacobians():
    f, x = fdl.jit(lambda x: F.dropout(x) + 0 * x), torch.ones(5, 8)
    f(x[0])
    with pytest.raises(RuntimeError, match="randomness error mode"):
        torch.func.vmap(f)(x)
    assert len({tuple(row) for row in torch.func.vmap(f, randomness="different")(x).tolist()}) > 1
    assert len({tuple(row) for row in torch.func.vmap(f, randomness="same")(x).tolist()}) == 1
    for jacobian in (fdl.jacfwd, fdl.jacrev):
        torch.manual_seed(0)
        found = jacobian(lambda x: F.dropout(x))(x[0])
        torch.manual_seed(0)
        assert found.tolist() == torch.diag(F.dropout(x[0])).tolist()


def test_draws_in_a_fork_do_not_count():
    torch.manual_seed(5)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        torch.rand(3)
    found = torch.rand(2)
    torch.manual_seed(5)
    assert found.tolist() == torch.rand(2).tolist()


def test_gradients_set_by_hand_under_jit():
    p = nn.Parameter(torch.ones(3))

    def f(x):
        loss = (p * x).sum()
        p.grad = x * 2
        return loss

    g = fdl.jit(f)
    for k in range(3):
        g(torch.full((3,), k + 1.0))
        assert p.grad.tolist() == [2.0 * (k + 1)] * 3


def test_gradients_set_by_hand_leave_no_tracer():
    """Also of a parameter that the function does not read, and under transforms that compile nothing."""
    p = nn.Parameter(torch.ones(3))

    def f(x):
        p.grad = x * 2
        return (x * x).sum()

    for transform in (fdl.jit, fdl.grad, lambda g: fdl.jit(fdl.grad(g))):
        p.grad = None
        transform(f)(torch.full((3,), 2.0))
        assert p.grad.tolist() == [4.0] * 3

    def fails(x):
        p.grad = x * 3
        raise ValueError("midway")

    for transform in (fdl.jit, fdl.grad):
        with pytest.raises(ValueError, match="midway"):
            transform(fails)(torch.ones(3))
        assert p.grad.tolist() == [4.0] * 3
