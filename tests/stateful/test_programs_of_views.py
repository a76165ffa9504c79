"""Random programs of views, writes, reads and gradients give what PyTorch (2.13) gives: recorded programs everywhere,
new ones where there is a PyTorch.

A program is drawn from a seed alone: tensors, then steps, each of which sees, changes or computes something. Its log
holds shapes, strides and offsets of all that is seen, classes of errors, the values of all tensors in the end, and the
gradients of the leaves. What PyTorch leaves undefined (writes over windows that overlap) is not drawn; where PyTorch
refuses to go on because a saved value was changed, the log ends.

    python -m tests.stateful.test_programs_of_views    # records anew, with PyTorch
"""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import numpy as np
import pytest

import fdl.stateful as ft

RECORDED = Path(__file__).parent / "recorded" / "views.json"
COUNT, STEPS = 300, 10

SEEN = {  # of a tensor, its dimensions, one of these and two numbers
    "select": lambda x, d, a, b: x.select(d, a % max(x.shape[d], 1)),
    "slice": lambda x, d, a, b: x[(slice(None),) * d + (slice(a % (x.shape[d] + 1), None, b % 2 + 1),)],
    "narrow": lambda x, d, a, b: x.narrow(d, a % (x.shape[d] + 1), b % (x.shape[d] - a % (x.shape[d] + 1) + 1)),
    "t": lambda x, d, a, b: x.t(),
    "mT": lambda x, d, a, b: x.mT,
    "transpose": lambda x, d, a, b: x.transpose(d, a % x.ndim),
    "permute": lambda x, d, a, b: x.permute(*[(k + a) % x.ndim for k in range(x.ndim)]),
    "movedim": lambda x, d, a, b: x.movedim(d, a % x.ndim),
    "view": lambda x, d, a, b: x.view(_shape(x, a)),
    "reshape": lambda x, d, a, b: x.reshape(_shape(x, a)),
    "flatten": lambda x, d, a, b: x.flatten(min(d, a % x.ndim), max(d, a % x.ndim)),
    "ravel": lambda x, d, a, b: x.ravel(),
    "contiguous": lambda x, d, a, b: x.contiguous(),
    "expand": lambda x, d, a, b: x.expand([2] * (a % 2) + [b % 3 + 1 if n == 1 else n for n in x.shape]),
    "unsqueeze": lambda x, d, a, b: x.unsqueeze(a % (x.ndim + 1)),
    "squeeze": lambda x, d, a, b: x.squeeze(d),
    "None": lambda x, d, a, b: x[None] if a % 2 else x[..., None],
    "diagonal": lambda x, d, a, b: x.diagonal(a % 3 - 1, d, b % x.ndim),
    "diag": lambda x, d, a, b: x.diag(a % 3 - 1),
    "unfold": lambda x, d, a, b: x.unfold(d, a % 3 + 1, b % 2 + 1),
    "split": lambda x, d, a, b: x.split(a % 3 + 1, d),
    "chunk": lambda x, d, a, b: x.chunk(a % 3 + 1, d),
    "tensor_split": lambda x, d, a, b: x.tensor_split(a % 3 + 1, d),
    "unbind": lambda x, d, a, b: x.unbind(d),
    "unflatten": lambda x, d, a, b: x.unflatten(d, (2, -1) if a % 2 else (-1, 1)),
    "detach": lambda x, d, a, b: x.detach(),
    "to": lambda x, d, a, b: x.to(x.dtype),
}
CHANGED = {  # of a tensor and another one
    "mul_": lambda x, y: x.mul_(1.5),
    "add_": lambda x, y: x.add_(y),
    "sub_": lambda x, y: x.sub_(y.sum()),
    "copy_": lambda x, y: x.copy_(y),
    "zero_": lambda x, y: x.zero_(),
    "fill_": lambda x, y: x.fill_(0.75),
    "tanh_": lambda x, y: x.tanh_(),
    "clamp_": lambda x, y: x.clamp_(-2.0, 2.0),
    "row": lambda x, y: x.__setitem__(0, 3.0),
    "part": lambda x, y: x.__setitem__(slice(None, 1), y[:1]),
    "last": lambda x, y: x.__setitem__((..., slice(-1, None)), y[..., :1]),
    "mask": lambda x, y: x.__setitem__(x > 1, 0.5),
    "masked_fill_": lambda x, y: x.masked_fill_(x > 2, 0.5),
}


def _shape(x, k):
    n = x.numel()
    shapes = [
        (-1,),
        (n,),
        (1, n),
        (n, 1),
        (2, -1),
        (-1, 2),
        (3, -1),
        (2, 1, -1),
        tuple(x.shape),
        tuple(x.shape)[::-1],
        (*x.shape, 1),
        (-1, 2, 2),
    ]
    return shapes[k % len(shapes)]


def _described(x):
    strides = [s for n, s in zip(x.shape, x.stride(), strict=True) if n > 1]
    return (
        [list(x.shape), strides, x.storage_offset(), bool(x.requires_grad)]
        if x.numel()
        else [list(x.shape), bool(x.requires_grad)]
    )


def _undefined(x, y, name):
    """Whether elements share places in a way of which the order of writes decides."""
    places = np.zeros((), int)
    for d, (n, s) in enumerate(zip(x.shape, x.stride(), strict=True)):
        places = places + (np.arange(n) * s).reshape([-1 if k == d else 1 for k in range(x.ndim)])
    overlap = (
        x.numel()
        and len(np.unique(places)) < x.numel()
        and not any(s == 0 and n > 1 for n, s in zip(x.shape, x.stride(), strict=True))
    )
    together = (
        x._storage is y._storage
        if hasattr(x, "_storage")
        else x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()
    )
    if overlap and name not in ("zero_", "fill_"):
        return True
    if not together or name in ("part", "last"):
        return together and name in ("part", "last")
    return (
        name in ("add_", "copy_") and x is not y and (x.numel() <= 1 or not (x.is_contiguous() and y.is_contiguous()))
    )


def _drawn(torch, draw):
    """(tensors, leaves) to begin with."""
    tensors, leaves = [], []
    for _ in range(draw.randint(1, 3)):
        shape = [draw.choice([1, 2, 3, 4]) for _ in range(draw.randint(1, 3))]
        x = (torch.arange(float(np.prod(shape))) * 0.5 - 1).reshape(shape).clone()
        if draw.random() < 0.5:
            leaves.append(x.requires_grad_())
            tensors.append(x * 2)
        tensors.append(x)
    return tensors, leaves


def run(torch, seed):
    """The log of a program."""
    draw = random.Random(seed)
    tensors, leaves = _drawn(torch, draw)
    log = []
    for _ in range(STEPS):
        x, y = (tensors[draw.randrange(len(tensors))] for _ in range(2))
        name = draw.choice(sorted(SEEN) if draw.random() < 0.55 else sorted(CHANGED))
        d, a, b, untaped = (
            draw.randrange(max(x.ndim, 1)),
            draw.randrange(1000),
            draw.randrange(1000),
            draw.random() < 0.15,
        )
        if not x.ndim or x.numel() > 200 or (name in SEEN and untaped) or (name in CHANGED and _undefined(x, y, name)):
            continue
        try:
            [t.grad_fn for t in tensors]  # PyTorch looks at views that are out of date
            with torch.no_grad() if untaped else torch.enable_grad():
                found = SEEN[name](x, d, a, b) if name in SEEN else CHANGED[name](x, y)
        except (RuntimeError, IndexError) as error:
            if "has been modified inplace" in str(error):
                return [*log, "end"]
            log.append([name, "IndexError" if isinstance(error, IndexError) else "RuntimeError"])
            continue
        new = [] if name in CHANGED else list(found) if isinstance(found, (tuple, list)) else [found]
        log.append([name, *map(_described, new)])
        tensors = (tensors + new)[:14]
    log += [[_described(t), t.detach().tolist()] for t in tensors]
    try:
        total = sum((t * (k + 1)).sum() for k, t in enumerate(tensors) if t.requires_grad)
        if leaves:
            total.backward()
            log += [None if leaf.grad is None else leaf.grad.tolist() for leaf in leaves]
    except RuntimeError as error:
        if "inplace" not in str(error) and "unsupported operation" not in str(error):
            raise
        return [*log, "end"]
    return log


def _same(a, b):
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(_same, a, b))
    return (
        bool(np.isclose(a, b, 1e-4, 1e-5, equal_nan=True)) if isinstance(a, float) or isinstance(b, float) else a == b
    )


def _agree(recorded, found):
    """Whether a log goes as the recorded one, as far as that goes."""
    if recorded[-1] == "end":
        recorded, found = recorded[:-1], found[: len(recorded) - 1]
    return _same(recorded, found)


def _run(torch, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return json.loads(json.dumps(run(torch, seed)))


@pytest.mark.parametrize("part", range(10))
def test_recorded_programs(part):
    recorded = json.loads(RECORDED.read_text())
    assert len(recorded) == COUNT
    for seed in range(part, COUNT, 10):
        found = _run(ft, seed)
        assert _agree(recorded[seed], found), (seed, recorded[seed], found)


@pytest.mark.peers
def test_new_programs():
    torch = pytest.importorskip("torch")
    assert all(_agree(_run(torch, seed), _run(ft, seed)) for seed in range(10_000, 10_100))


if __name__ == "__main__":
    import torch as peer

    RECORDED.write_text(
        "[\n" + ",\n".join(json.dumps(_run(peer, seed), separators=(",", ":")) for seed in range(COUNT)) + "\n]\n"
    )
