"""A convolutional network on images: Fashion-MNIST where its files are, else scikit-learn's digits.

    python examples/classify_images.py [--data FOLDER] [--epochs 12] [--seed 0] [--output images.png]

FOLDER holds `FashionMNIST/raw/*-ubyte(.gz)`; with `--download` they are fetched first.
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tqdm import tqdm

import fdl.stateful as torch
import fdl.stateful.nn.functional as F
from fdl.stateful import nn, optim
from fdl.stateful.utils.data import DataLoader
from fdl.stateful.vision import datasets, transforms


class Network(nn.Module):
    """Two convolutions and two linear layers, for images of `side` by `side` pixels."""

    def __init__(self, side):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.norm = nn.BatchNorm2d(32)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32 * (side // 4) ** 2, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.norm(self.conv2(x))), 2)
        x = self.dropout(torch.flatten(x, 1))
        return self.fc2(F.relu(self.fc1(x)))


def train(model, loader, optimizer, epoch):
    model.train()
    total = 0.0
    for images, labels in (progress := tqdm(loader, desc=f"epoch {epoch}", leave=False)):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
        progress.set_postfix(loss=f"{loss.item():.3f}")
    return total / len(loader)


@torch.no_grad()
def test(model, loader):
    model.eval()
    correct = sum((model(images).argmax(1) == labels).sum().item() for images, labels in loader)
    return correct / len(loader.dataset)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--download", action="store_true")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="images.png")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.3,), (0.35,))])
    if options.data:
        train_set, test_set = (
            datasets.FashionMNIST(options.data, train=part, transform=prepare, download=options.download)
            for part in (True, False)
        )
    else:
        train_set, test_set = (datasets.Digits(train=part, transform=prepare) for part in (True, False))
    train_loader, test_loader = DataLoader(train_set, batch_size=64, shuffle=True), DataLoader(test_set, batch_size=256)

    model = Network(train_set[0][0].shape[-1])
    optimizer = optim.AdamW(model.parameters(), lr=2e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)
    losses, accuracies = [], []
    for epoch in range(1, options.epochs + 1):
        losses.append(train(model, train_loader, optimizer, epoch))
        scheduler.step()
        accuracies.append(test(model, test_loader))
        print(f"epoch {epoch}: training loss {losses[-1]:.4f}, test accuracy {accuracies[-1]:.1%}")

    filters = torch.nn.functional.interpolate(model.conv1.weight.detach(), scale_factor=4)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.plot(range(1, len(losses) + 1), losses, label="training loss")
    left.plot(range(1, len(losses) + 1), accuracies, label="test accuracy")
    left.set(xlabel="epoch")
    left.legend()
    right.imshow(filters.reshape(2, 8, 12, 12).permute(0, 2, 1, 3).reshape(24, 96).numpy(), cmap="gray")
    right.set_title("filters of the first layer")
    right.axis("off")
    figure.tight_layout()
    figure.savefig(options.output, dpi=110)
    return accuracies[-1]


if __name__ == "__main__":
    main()
