"""Transfer learning: layers trained on digits 0 to 4 are frozen, and a new head learns 5 to 9 from ten images of each.

python examples/transfer.py [--epochs 30] [--seed 0]
"""

import argparse
import copy

from tqdm import tqdm

import fdl.stateful as torch
from fdl.stateful import nn
from fdl.stateful.utils.data import DataLoader, TensorDataset
from fdl.stateful.vision import datasets


def split(part, low, high, each=None):
    """Images of the digits from `low` to `high`, numbered from 0; at most `each` of one digit."""
    images, labels = part.data.float().unsqueeze(1) / 255, part.targets
    chosen = [torch.nonzero(labels == digit).squeeze(1)[:each] for digit in range(low, high + 1)]
    index = torch.cat(chosen)
    return TensorDataset(images[index], labels[index] - low)


def train(model, dataset, epochs, lr, what):
    loader = DataLoader(dataset, batch_size=32, shuffle=True)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=lr)
    model.train()
    for _ in (progress := tqdm(range(epochs), unit="epoch", desc=what)):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        progress.set_postfix(loss=f"{loss.item():.4f}")


def accuracy(model, dataset):
    model.eval()
    images, labels = dataset.tensors
    with torch.inference_mode():
        return (model(images).argmax(1) == labels).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    train_part, test_part = datasets.Digits(train=True), datasets.Digits(train=False)
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
    )
    model = nn.Sequential(body, nn.Linear(32 * 16, 5))
    train(model, split(train_part, 0, 4), options.epochs, 2e-3, "digits 0 to 4")

    few, test_set = split(train_part, 5, 9, each=10), split(test_part, 5, 9)
    frozen = copy.deepcopy(model)
    frozen[0].requires_grad_(False)
    frozen[1] = nn.Linear(32 * 16, 5)
    before = {name: value.clone() for name, value in frozen[0].state_dict().items()}
    train(frozen, few, options.epochs, 1e-2, "new head")
    assert all(torch.equal(before[name], value) for name, value in frozen[0].state_dict().items())

    fresh = copy.deepcopy(model)
    for module in fresh.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    train(fresh, few, options.epochs, 2e-3, "from nothing")
    kept, scratch = accuracy(frozen, test_set), accuracy(fresh, test_set)
    print(f"digits 5 to 9 from 50 images: {kept:.1%} with the frozen layers, {scratch:.1%} from nothing")
    return kept


if __name__ == "__main__":
    main()
