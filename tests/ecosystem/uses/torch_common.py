"""What the uses in torch's place share."""

import torch
from common import main, normal, use

__all__ = ["data", "fill", "labels", "main", "normal", "steps", "use"]


def fill(module, scale=0.1):
    """The module, its parameters numbers that are the same in each framework."""
    with torch.no_grad():
        for i, (_, p) in enumerate(sorted(module.named_parameters())):
            p.copy_(torch.from_numpy(normal(tuple(p.shape), i, scale)))
    return module


def data(*shape, seed=0):
    """A tensor of the normal distribution."""
    return torch.from_numpy(normal(shape, 1000 + seed))


def labels(n, classes, shape=None):
    """Whole numbers below `classes`."""
    return (torch.arange(n) * 7 % classes).reshape(shape or (n,))


def steps(module, loss, optimizer=None, count=2):
    """Losses of `count` optimizer steps, and the one after them."""
    optimizer = optimizer or torch.optim.AdamW(module.parameters(), lr=1e-2)
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        found = loss()
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return [*losses, loss().item()]
