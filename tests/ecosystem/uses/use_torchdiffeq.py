import torch
from torch_common import data, fill, main, steps, use
from torchdiffeq import odeint, odeint_adjoint, odeint_event


class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))

    def forward(self, t, y):
        return self.net(y**3)


@use("dopri5, rk4, euler, adams: solutions")
def solutions():
    field = fill(Field(), 0.5)
    t = torch.linspace(0.0, 1.0, 4)
    return [odeint(field, data(3, 2), t, method=m) for m in ("dopri5", "rk4", "euler", "explicit_adams", "bosh3")]


@use("adjoint: two steps of a fit")
def adjoint():
    field, t = fill(Field(), 0.5), torch.linspace(0.0, 1.0, 4)
    run = lambda solve: solve(field, data(3, 2), t, method="dopri5", rtol=1e-5, atol=1e-6).square().mean()
    return steps(field, lambda: run(odeint_adjoint)), run(odeint)


@use("an event, where a ball comes down")
def event():
    fall = lambda t, y: (y[1], torch.full_like(y[1], -9.8))
    at, states = odeint_event(
        fall, (torch.tensor([10.0]), torch.tensor([0.0])), torch.tensor(0.0), event_fn=lambda t, y: y[0].squeeze()
    )
    return at, states[1][-1]


if __name__ == "__main__":
    main()
