"""Training loops that are edited while they run, written once for fdl and for torch."""

import numpy as np
from hypothesis import strategies as st

EDITS = [
    "batch", "rate", "freeze", "thaw", "print", "clip", "accumulate", "evaluate", "exception", "numpy", "view",
    "rebuild", "zero", "peek", "second", "noise", "double", "none",
]  # fmt: skip


@st.composite
def specs(draw, dropout=True):
    """A model, an optimizer, and an edit for each step."""
    return {
        "seed": draw(st.integers(0, 3)),
        "widths": draw(st.sampled_from([(5,), (6, 4)])),
        "activation": draw(st.sampled_from(["ReLU", "Tanh", "GELU"])),
        "norm": draw(st.booleans()),
        "dropout": draw(st.sampled_from([0.0, 0.3])) if dropout else 0.0,
        "optimizer": draw(st.sampled_from(["SGD", "momentum", "Adam", "AdamW"])),
        "loss": draw(st.sampled_from(["cross", "mse"])),
        "edits": draw(st.lists(st.sampled_from(EDITS), min_size=3, max_size=9)),
    }


def make_model(torch, spec, rng):
    nn = torch.nn
    layers, n = [], 4
    for width in spec["widths"]:
        layers += [nn.Linear(n, width), getattr(nn, spec["activation"])()]
        if spec["norm"]:
            layers.append(nn.LayerNorm(width))
        if spec["dropout"]:
            layers.append(nn.Dropout(spec["dropout"]))
        n = width
    model = nn.Sequential(*layers, nn.Linear(n, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.tensor(rng.normal(size=tuple(p.shape)).astype(np.float32)))
    return model


def make_optimizer(torch, name, parameters):
    parameters = list(parameters)
    if name == "SGD":
        return torch.optim.SGD(parameters, lr=0.05, weight_decay=0.01)
    if name == "momentum":
        return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True)
    return getattr(torch.optim, name)(parameters, lr=0.01)


class Interrupt(Exception):
    """Raised in the middle of a step, and caught."""


def run(torch, spec):
    """Numbers that the loop printed, and the parameters at its end."""
    rng = np.random.default_rng(spec["seed"])
    torch.manual_seed(spec["seed"])
    model = make_model(torch, spec, rng)
    optimizer = make_optimizer(torch, spec["optimizer"], model.parameters())
    seen, batch, scale = [], 4, torch.ones(3)
    data = rng.normal(size=(64, 4)).astype(np.float32)
    labels = rng.integers(0, 3, 64)

    def loss_of(start):
        where = slice(start % 50, start % 50 + batch)
        x, y = torch.tensor(data[where]), torch.tensor(labels[where])
        out = model(x) * scale
        if spec["loss"] == "cross":
            return torch.nn.functional.cross_entropy(out, y)
        return torch.nn.functional.mse_loss(out, torch.nn.functional.one_hot(y, 3).float())

    for step, edit in enumerate(spec["edits"]):
        try:
            optimizer.zero_grad(set_to_none=edit != "zero")
            if edit == "batch":
                batch = 2 + (step * 3) % 5
            if edit == "rate":
                for group in optimizer.param_groups:
                    group["lr"] = group["lr"] * 0.7
            if edit in ("freeze", "thaw"):
                model[0].weight.requires_grad_(edit == "thaw")
            if edit == "noise":
                with torch.no_grad():
                    model[0].bias.add_(torch.tensor([0.125] * len(model[0].bias)))
            if edit == "numpy":
                memory = scale.numpy()
                memory[step % 3] = 1.5
            if edit == "view":
                part = scale[1:]
                part.mul_(0.5)
                scale[0] = part.sum()
            loss = loss_of(step)
            if edit == "peek":
                seen.append(loss.item())
            if edit == "double":
                (g,) = torch.autograd.grad(loss, [model[0].bias], create_graph=True)
                loss = loss + (g * g).sum()
            loss.backward()
            if edit == "accumulate":
                (loss_of(step + 7) * 0.5).backward()
            if edit == "exception":
                raise Interrupt
            if edit == "clip":
                seen.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)))
            optimizer.step()
            if edit == "print":
                seen.append(loss.item())
            if edit == "evaluate":
                model.eval()
                with torch.no_grad():
                    seen.append(float(loss_of(3)))
                model.train()
            if edit == "rebuild":
                optimizer = make_optimizer(torch, spec["optimizer"], model.parameters())
            if edit == "second":
                other = torch.optim.SGD([model[0].bias], lr=0.1)
                loss_of(step + 1).backward()
                other.step()
                other.zero_grad()
        except Interrupt:
            seen.append(-1.0)
    return (
        seen,
        [p.detach().numpy().copy() for p in model.parameters()],
        [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()],
    )
