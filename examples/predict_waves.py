"""An LSTM that hears waves of several frequencies and goes on by itself.

python examples/predict_waves.py [--epochs 40] [--seed 0] [--output waves.png]
"""

import argparse
import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tqdm import tqdm

import fdl.stateful as torch
from fdl.stateful import nn
from fdl.stateful.utils.data import DataLoader, TensorDataset


class Predictor(nn.Module):
    """The next value at each step; after the input's end it feeds on its own predictions."""

    def __init__(self, hidden=48):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, num_layers=2, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x, future=0):
        hidden, state = self.lstm(x)
        outputs = [self.head(hidden)]
        for _ in range(future):
            hidden, state = self.lstm(outputs[-1][:, -1:], state)
            outputs.append(self.head(hidden))
        return torch.cat(outputs, dim=1)


def waves(count, length):
    phase, frequency = 2 * math.pi * torch.rand(count, 1), 0.1 + 0.15 * torch.rand(count, 1)
    return torch.sin(phase + frequency * torch.arange(length)).unsqueeze(-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="waves.png")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    train = waves(512, 101)
    loader = DataLoader(TensorDataset(train[:, :-1], train[:, 1:]), batch_size=32, shuffle=True)
    model = Predictor()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)
    criterion = nn.MSELoss()
    for _ in (progress := tqdm(range(options.epochs), unit="epoch")):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(
                model(x[:, :60], future=40)[:, 20:], y[:, 20:]
            )  # what it goes on with counts, and what it could know
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            total += loss.item()
        scheduler.step()
        progress.set_postfix(loss=f"{total / len(loader):.5f}")

    held = waves(3, 160)
    with torch.no_grad():
        predicted = model(held[:, :80], future=80)[:, 79:-1]
    error = (predicted - held[:, 80:]).abs().mean().item()
    figure, rows = plt.subplots(3, 1, figsize=(9, 6), sharex=True)
    for axes, truth, guess in zip(rows, held, predicted, strict=True):
        axes.plot(truth[:, 0].numpy(), label="wave")
        axes.plot(range(80, 160), guess[:, 0].numpy(), "--", label="predicted from its first half")
    rows[0].legend(loc="upper right")
    figure.tight_layout()
    figure.savefig(options.output, dpi=110)
    print(f"mean error over 80 steps of its own: {error:.4f}, picture in {options.output}")
    return error


if __name__ == "__main__":
    main()
