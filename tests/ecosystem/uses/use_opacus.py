import torch
from opacus import GradSampleModule, PrivacyEngine
from opacus.accountants import RDPAccountant
from opacus.validators import ModuleValidator
from torch_common import data, fill, labels, main, use


def net():
    return fill(
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3),
            torch.nn.GroupNorm(2, 4),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(144, 3),
        )
    )


X, Y = data(6, 1, 8, 8), labels(6, 3)


@use("gradients of each sample, by hooks and by vmap")
def samples():
    found = []
    for mode in ("hooks", "functorch"):
        held = (
            GradSampleModule(net(), grad_sample_mode=mode)
            if mode == "hooks"
            else GradSampleModule(net(), force_functorch=True)
        )
        torch.nn.functional.cross_entropy(held(X), Y).backward()
        found.append([p.grad_sample.flatten(1)[:, :3] for p in held.parameters()])
    return found


@use("a private loop without noise: clipped steps, then the budget spent")
def private():
    model, engine = net(), PrivacyEngine(accountant="rdp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=3)
    model, optimizer, loader = engine.make_private(
        module=model,
        optimizer=optimizer,
        data_loader=loader,
        noise_multiplier=0.0,
        max_grad_norm=0.5,
        poisson_sampling=False,
    )
    losses = []
    for x, y in loader:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    account = RDPAccountant()
    for _ in range(10):
        account.step(noise_multiplier=1.0, sample_rate=0.1)
    return losses, account.get_epsilon(1e-5), model._module[0].bias


@use("noise, Poisson sampling, virtual batches")
def noisy():
    model, engine = net(), PrivacyEngine()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=3)
    model, optimizer, loader = engine.make_private_with_epsilon(
        module=model,
        optimizer=optimizer,
        data_loader=loader,
        target_epsilon=50.0,
        target_delta=1e-2,
        epochs=2,
        max_grad_norm=1.0,
    )
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return bool(engine.get_epsilon(1e-2) > 0)


@use("layers that mix samples are replaced")
def valid():
    bad = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
    return [type(e).__name__ for e in ModuleValidator.validate(bad)], str(ModuleValidator.fix(bad)[1])


if __name__ == "__main__":
    main()
