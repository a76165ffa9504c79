"""Hooks of modules and optimizers, and optimizers that users write; programs that PyTorch runs to the same lines are
run by both where it is installed.
"""

import importlib

import numpy as np
import pytest

import fdl.stateful as torch


def gradients(torch):
    """A log of what hooks see: two arguments, one without a gradient, several hooks, replaced gradients."""
    log = []

    class Two(torch.nn.Module):
        def forward(self, a, b, scale=1.0):
            return a * b * scale, a + b

    def note(name):
        def hook(module, grad_input, grad_output):
            log.append(
                (
                    name,
                    [None if g is None else g.tolist() for g in grad_input],
                    [None if g is None else g.tolist() for g in grad_output],
                )
            )

        return hook

    net = Two()
    handles = [
        net.register_full_backward_hook(note("first")),
        net.register_full_backward_hook(note("before"), prepend=True),
    ]
    net.register_full_backward_pre_hook(lambda m, g: tuple(2 * x for x in g))
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
    x, y = net(a, b, scale=2.0)
    (x.sum() + y.sum()).backward()
    log.append(a.grad.tolist())
    handles[0].remove()
    net.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10, None))
    a.grad = None
    x, y = net(a, b)
    (x.sum() + y.sum()).backward()
    log.append(a.grad.tolist())
    plain = torch.nn.Linear(2, 2)
    plain.weight.data.fill_(1.0)
    plain.register_full_backward_hook(note("no input"))
    plain(torch.ones(1, 2)).sum().backward()
    log.append(plain.weight.grad.tolist())
    with torch.no_grad():
        net(a, b)
    return log


def states(torch):
    """What hooks of state see and change."""
    log = []

    class Counted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(1, 1)
            self.count = 3

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    net, other = torch.nn.Sequential(Counted()), torch.nn.Sequential(Counted())
    net[0].inner.weight.data.fill_(7.0)
    net[0].count = 8
    net[0].register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("pre", prefix)))
    net.register_state_dict_post_hook(lambda m, state, prefix, meta: log.append(("post", prefix, list(state))))
    state = net.state_dict()

    def renamed(module, state, prefix, *rest):
        log.append(("load", prefix))
        if prefix + "old" in state:
            state[prefix + "weight"] = state.pop(prefix + "old")

    other[0].inner.register_load_state_dict_pre_hook(renamed)
    other.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.append("made up"))
    state["0.inner.old"] = state.pop("0.inner.weight")
    log.append(list(other.load_state_dict(state, strict=False).missing_keys))
    other.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    del state["0.inner.bias"]
    log.append(other.load_state_dict(state))
    log.append((other[0].count, other[0].inner.weight.tolist()))
    taken = torch.nn.Linear(1, 1)
    taken.load_state_dict(
        {"weight": torch.ones(1, 1, dtype=torch.float64), "bias": torch.zeros(1, dtype=torch.float64)}, assign=True
    )
    log.append((str(taken.weight.dtype), isinstance(taken.weight, torch.nn.Parameter), taken.weight.requires_grad))
    return log


def optimizers(torch):
    """Hooks of optimizers."""
    log = []
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([p], lr=0.5)
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append(("pre", o.param_groups[0]["lr"])))
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append(("post", p.tolist())))
    optimizer.register_state_dict_pre_hook(lambda o: log.append("read"))
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: log.append(sorted(state)))
    optimizer.register_load_state_dict_post_hook(lambda o: log.append("loaded"))
    p.grad = torch.ones(2)
    optimizer.step()
    handle.remove()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    return log


def test_gradients():
    log = gradients(torch)
    assert log[0] == ("before", [[14.0, 18.0], [0.0, 0.0]], [[2.0, 2.0], [2.0, 2.0]]) and log[1] == (
        "first",
        *log[0][1:],
    )
    assert log[2] == [14.0, 18.0] and log[4] == [80.0, 100.0]
    assert log[5] == ("no input", [None], [[[1.0, 1.0]]]) and log[6] == [[1.0, 1.0], [1.0, 1.0]] and len(log) == 7


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("program", [gradients, states, optimizers])
def test_as_in_torch(program):
    theirs = pytest.importorskip("torch")
    assert program(torch) == program(theirs)


def test_hooks_on_gradients_in_a_loop_that_is_replayed():
    torch.manual_seed(0)
    net, seen = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)), []
    net[1].register_full_backward_hook(lambda m, gi, go: seen.append(float(go[0].abs().sum())))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = torch.tensor(np.ones((4, 2), np.float32))
    for _ in range(30):
        optimizer.zero_grad()
        net(x).pow(2).sum().backward()
        optimizer.step()
    assert len(seen) == 30 and seen[-1] < seen[0]


# Optimizers that users write


def written(torch):
    """An optimizer with a state of its own, one around another one, and a schedule."""
    required = importlib.import_module(f"{torch.__name__}.optim.optimizer").required

    class Belief(torch.optim.Optimizer):
        def __init__(self, params, lr=required, betas=(0.9, 0.99)):
            super().__init__(params, {"lr": lr, "betas": betas})

        def __setstate__(self, state):
            super().__setstate__(state)

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    grad, state = p.grad.data, self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["mean"], state["spread"] = torch.zeros_like(p.data), torch.zeros_like(p.data)
                    state["step"] += 1
                    a, b = group["betas"]
                    state["mean"].mul_(a).add_(grad, alpha=1 - a)
                    rest = grad - state["mean"]
                    state["spread"].mul_(b).addcmul_(rest, rest, value=1 - b)
                    p.data.addcdiv_(
                        state["mean"], state["spread"].sqrt().add_(1e-4), value=-group["lr"] / (1 - a ** state["step"])
                    )

    class Sharp(torch.optim.Optimizer):
        def __init__(self, params, base, **kwargs):
            super().__init__(params, {"rho": 0.05, **kwargs})
            self.base = base(self.param_groups, **kwargs)
            self.param_groups = self.base.param_groups

        @torch.no_grad()
        def climb(self):
            norm = torch.norm(torch.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]))
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["old"] = p.data.clone()
                    p.add_(p.grad * (group["rho"] / (norm + 1e-12)))
            self.zero_grad()

        @torch.no_grad()
        def descend(self):
            for group in self.param_groups:
                for p in group["params"]:
                    p.data = self.state[p]["old"]
            self.base.step()
            self.zero_grad()

    class Halves(torch.optim.lr_scheduler.LRScheduler):
        def get_lr(self):
            return [lr * 0.5 ** (self.last_epoch // 10) for lr in self.base_lrs]

    values = np.linspace(-1, 1, 8, dtype=np.float32)
    net = torch.nn.Linear(2, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.3, -0.2]]))
        net.bias.zero_()
    x = torch.tensor(np.stack([values, values**2], 1))
    y = torch.tensor(np.sin(values)[:, None])
    log = []
    optimizer = Belief(net.parameters(), lr=0.02)
    schedule = Halves(optimizer)
    for _ in range(30):
        loss = (net(x) - y).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        log.append(loss.item())
    again = Belief(net.parameters(), lr=1.0)
    again.load_state_dict(optimizer.state_dict())
    log.append(float(len(again.state)))
    log += [again.param_groups[0]["lr"], *again.state[net.bias]["mean"].tolist()]
    sharp = Sharp(net.parameters(), torch.optim.SGD, lr=0.1, momentum=0.9)
    for _ in range(20):
        (net(x) - y).pow(2).mean().backward()
        sharp.climb()
        loss = (net(x) - y).pow(2).mean()
        loss.backward()
        sharp.descend()
        log.append(loss.item())
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        Belief(net.parameters())
    adam = torch.optim.Adam(net.parameters())
    assert adam.state[net.bias] == {}  # looked at before the first step
    loss = (net(x) - y).pow(2).mean()
    loss.backward()
    adam.step()
    return log


def test_optimizers_that_users_write():
    log = written(torch)
    assert log[29] < log[0] / 3


@pytest.mark.peers
def test_optimizers_that_users_write_as_in_torch():
    np.testing.assert_allclose(written(torch), written(pytest.importorskip("torch")), rtol=2e-3, atol=1e-5)


def test_what_hooks_of_tensors_return():
    def gradients_after(hook):
        x = torch.ones(2, requires_grad=True)
        x.register_hook(hook)
        x.sum().backward()
        return x.grad.tolist()

    assert gradients_after(lambda g: g * 3) == [3, 3]
    with pytest.raises(TypeError, match="expected Variable, but hook returned 'int'"):
        gradients_after(lambda g: 5)
    with pytest.raises(RuntimeError, match="hook '<lambda>' has changed the size of value"):
        gradients_after(lambda g: g[:1])
    with pytest.raises(RuntimeError, match="hook '<lambda>' has changed the type of value"):
        gradients_after(lambda g: g.double())
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="cannot be registered on non-leaf tensors"):
        (x * 2).register_post_accumulate_grad_hook(lambda t: None)
    x.register_post_accumulate_grad_hook(lambda t: t.grad)
    with pytest.raises(RuntimeError, match="post accumulate grad hooks should return None"):
        x.sum().backward()


def test_states_that_modules_write_and_take_themselves():
    """Loading asks each module to take its own, and calls no hooks of `state_dict`."""
    log = []

    class Scaled(torch.nn.Module):
        _version = 3

        def __init__(self):
            super().__init__()
            self.register_buffer("b", torch.zeros(1))
            self.w = torch.nn.Parameter(torch.ones(1))

        def _save_to_state_dict(self, destination, prefix, keep_vars):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "w"] = destination[prefix + "w"] * 2

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
            log.append((prefix, local_metadata, sorted(state_dict)))
            state_dict[prefix + "w"] = state_dict[prefix + "w"] / 2
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    net = torch.nn.Sequential(torch.nn.Linear(1, 1), Scaled())

    def without_bias(module, state, prefix, about):
        del state["0.bias"]

    handle = net.register_state_dict_post_hook(without_bias)
    state = net.state_dict()
    assert list(state) == ["0.weight", "1.w", "1.b"] and state["1.w"].item() == 2
    assert state._metadata == {"": {"version": 1}, "0": {"version": 1}, "1": {"version": 3}}
    net[1].w.data.fill_(9.0)
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(state)
    assert net[1].w.item() == 9
    state["0.bias"] = torch.full((1,), 5.0)
    assert str(net.load_state_dict(state)) == "<All keys matched successfully>"
    assert (net[0].bias.item(), net[1].w.item()) == (5, 1)
    assert log[0] == ("1.", {"version": 3}, ["1.b", "1.w"])
    handle.remove()
    net.register_state_dict_post_hook(lambda module, state, prefix, about: state)
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        net.state_dict()
    found = net.load_state_dict({**state, "1.x": 1, "2.y": 1}, strict=False)
    assert found.unexpected_keys == ["2.y", "1.x"] and not found.missing_keys


def test_states_of_the_first_version_do_not_count_batches():
    state = torch.nn.BatchNorm1d(1).state_dict()
    assert state._metadata == {"": {"version": 2}}
    del state["num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        torch.nn.BatchNorm1d(1).load_state_dict(state)
    torch.nn.BatchNorm1d(1).load_state_dict(dict(state))
