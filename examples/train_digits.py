"""Train a network on scikit-learn's handwritten digits: 1,797 real images, no network access needed.

    python examples/train_digits.py [--face functional|stateful] [--epochs 30] [--seed 0] [--no-jit] [--output
    digits.png]

Functional: the train step is one pure function under `fdl.jit`. Stateful: a plain PyTorch loop, of which only the
import lines differ. Either way forward, backward and Adam become one compiled program.
"""

import argparse
import itertools
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import nn, optim, random
from fdl.stateful.utils.data import DataLoader, TensorDataset

SIZES = (64, 128, 64, 10)
BATCH = 64


def init(key):
    """He-initialised weights and zero biases."""
    keys = random.split(key, len(SIZES) - 1)
    return [
        {"w": random.normal(k, (fan_in, fan_out)) * (2 / fan_in) ** 0.5, "b": jnp.zeros(fan_out)}
        for k, fan_in, fan_out in zip(keys, SIZES, SIZES[1:], strict=False)
    ]


def predict(params, x):
    """Logits of a batch of images."""
    for layer in params[:-1]:
        x = nn.relu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def loss_fn(params, x, y):
    return nn.cross_entropy(predict(params, x), y)


def load(seed):
    """Images scaled to [0, 1], split into 1,437 for training and 360 for the test."""
    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    images, labels = digits.data[order].astype(np.float32) / 16, digits.target[order].astype(np.int32)
    return images[:1437], labels[:1437], images[1437:], labels[1437:]


def plot(path, losses, images, predicted, labels):
    """The loss curve beside sample predictions; wrong ones are red."""
    figure = plt.figure(figsize=(10, 4))
    grid = figure.add_gridspec(3, 8)
    curve = figure.add_subplot(grid[:, :3])
    curve.plot(losses)
    curve.set(xlabel="step", ylabel="training loss", yscale="log")
    for i in range(15):
        axes = figure.add_subplot(grid[i // 5, 3 + i % 5])
        axes.imshow(images[i].reshape(8, 8), cmap="gray_r")
        axes.set_title(str(predicted[i]), color="black" if predicted[i] == labels[i] else "red", fontsize=9)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def train_functional(data, options):
    """Losses of all steps, and predictions for the test images: pure functions, one jitted step."""
    train_x, train_y, test_x, _ = data
    optimizer = optim.adam(2e-3)
    params = init(random.key(options.seed))
    state = optimizer.init(params)

    def step(params, state, x, y):
        loss, grads = fdl.value_and_grad(loss_fn)(params, x, y)
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply_updates(params, updates)
        return params, state, loss

    predict_fn = predict
    if not options.no_jit:
        step, predict_fn = fdl.jit(step, donate_argnums=(0, 1)), fdl.jit(predict)

    shuffle = np.random.default_rng(options.seed + 1)
    losses = []
    for _ in (progress := tqdm(range(options.epochs), unit="epoch")):
        order = shuffle.permutation(len(train_y))
        for i in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[i : i + BATCH]
            params, state, loss = step(params, state, train_x[batch], train_y[batch])
            losses.append(float(loss))
        progress.set_postfix(loss=f"{np.mean(losses[-20:]):.4f}")
    return losses, np.asarray(jnp.argmax(predict_fn(params, test_x), axis=1))


def train_stateful(data, options):
    """The same as PyTorch's users write it: nobody asks to compile, and after some steps each one is a native call."""
    train_x, train_y, test_x, _ = (torch.tensor(part) for part in data)
    torch.manual_seed(options.seed)
    layers = [torch.nn.Linear(SIZES[0], SIZES[1])]
    for fan_in, fan_out in itertools.pairwise(SIZES[1:]):
        layers += [torch.nn.ReLU(), torch.nn.Linear(fan_in, fan_out)]
    model = torch.nn.Sequential(*layers)
    loader = DataLoader(TensorDataset(train_x, train_y.long()), batch_size=BATCH, shuffle=True, drop_last=True)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    losses = []
    for _ in (progress := tqdm(range(options.epochs), unit="epoch")):
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        progress.set_postfix(loss=f"{np.mean(losses[-20:]):.4f}")
    with torch.no_grad():
        return losses, model(test_x).argmax(dim=1).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--face", choices=["functional", "stateful"], default="functional")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-jit", action="store_true", help="functional face: record each operation by itself")
    parser.add_argument("--output", default="digits.png")
    options = parser.parse_args()

    data = load(options.seed)
    start = time.perf_counter()
    losses, predicted = (train_stateful if options.face == "stateful" else train_functional)(data, options)
    seconds = time.perf_counter() - start

    accuracy = float((predicted == data[3]).mean())
    plot(options.output, losses, data[2], predicted, data[3])
    print(f"{len(losses)} steps in {seconds:.2f} s, test accuracy {accuracy:.1%}, picture in {options.output}")
    return accuracy


if __name__ == "__main__":
    main()
