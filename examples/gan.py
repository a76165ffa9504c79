"""A generative adversarial network (Goodfellow et al., 2014) that learns a spiral in the plane.

python examples/gan.py [--steps 3000] [--seed 0] [--output gan.png]
"""

import argparse
import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tqdm import tqdm

import fdl.stateful as torch
from fdl.stateful import nn

NOISE, BATCH = 8, 256


def network(inputs, outputs):
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, outputs)
    )


def spiral(count):
    turn = 3 * math.pi * torch.rand(count).sqrt()
    points = torch.stack((turn.cos(), turn.sin()), dim=1) * turn.unsqueeze(1) / (3 * math.pi)
    return points + 0.02 * torch.randn(count, 2)


def distance_to_spiral(points):
    """Mean distance from points to the nearest of many points of the spiral."""
    return torch.cdist(points, spiral(4000)).min(dim=1).values.mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="gan.png")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    generator, critic = network(NOISE, 2), network(2, 1)
    criterion = nn.BCEWithLogitsLoss()
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=5e-4, betas=(0.5, 0.999))
    c_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.999))
    real, fake = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    for step in (progress := tqdm(range(options.steps), unit="step")):
        points = generator(torch.randn(BATCH, NOISE))

        c_optimizer.zero_grad()
        c_loss = criterion(critic(spiral(BATCH)), real) + criterion(critic(points.detach()), fake)
        c_loss.backward()
        c_optimizer.step()

        g_optimizer.zero_grad()
        g_loss = criterion(critic(points), real)
        g_loss.backward()
        g_optimizer.step()
        if step % 100 == 0:
            progress.set_postfix(critic=f"{c_loss.item():.3f}", generator=f"{g_loss.item():.3f}")

    with torch.no_grad():
        made = generator(torch.randn(2000, NOISE))
    away = distance_to_spiral(made)
    truth = spiral(2000).numpy()
    figure, axes = plt.subplots(figsize=(5, 5))
    axes.scatter(truth[:, 0], truth[:, 1], s=2, label="real")
    axes.scatter(made[:, 0].numpy(), made[:, 1].numpy(), s=2, label="generated")
    axes.legend()
    figure.tight_layout()
    figure.savefig(options.output, dpi=110)
    print(f"generated points lie {away:.3f} from the spiral on average, picture in {options.output}")
    return away


if __name__ == "__main__":
    main()
