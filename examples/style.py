"""Texture synthesis in the manner of Gatys et al. (2015): L-BFGS paints an image whose features correlate as those of a
model image do.

    python examples/style.py [--steps 40] [--seed 0] [--output style.png]

The features come from convolutions with random filters, which are enough for textures (Ustyuzhaninov et al., 2016), so
nothing is downloaded.
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tqdm import tqdm

import fdl.stateful as torch
from fdl.stateful import nn
from fdl.stateful.nn import functional as F

SIDE = 64


class Features(nn.Module):
    """Random filters at three scales, frozen."""

    def __init__(self):
        super().__init__()
        self.filters = nn.ModuleList(
            nn.Conv2d(3, 32, size, padding=size // 2, padding_mode="circular") for size in (3, 7, 11)
        )
        self.requires_grad_(False)

    def forward(self, image):
        return [F.relu(conv(image)) for conv in self.filters]


def gram(features):
    """Correlations of channels over all places."""
    batch, channels, height, width = features.shape
    flat = features.view(batch, channels, height * width)
    return flat @ flat.transpose(1, 2) / (height * width)


def model_image():
    """Overlapping coloured rings."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    waves = [torch.sin(2 * torch.pi * (a * x + b * y) / SIDE) for a, b in ((4, 2), (-2, 5), (6, -1))]
    return (0.5 + 0.25 * torch.stack([waves[0] * waves[1], waves[1], waves[2] * waves[0]])).unsqueeze(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="style.png")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    features, model = Features(), model_image()
    wanted = [gram(f) for f in features(model)]
    image = torch.rand(1, 3, SIDE, SIDE).requires_grad_()
    start = image.detach().clone()
    optimizer = torch.optim.LBFGS([image], lr=1.0, max_iter=5, line_search_fn="strong_wolfe")
    losses = []

    def closure():
        optimizer.zero_grad()
        style = sum(F.mse_loss(gram(found), target) for found, target in zip(features(image), wanted, strict=True))
        outside = (image - image.clamp(0, 1)).square().mean()
        loss = 1e3 * style + 10 * outside
        loss.backward()
        return loss

    for _ in (progress := tqdm(range(options.steps), unit="step")):
        losses.append(optimizer.step(closure).item())
        progress.set_postfix(loss=f"{losses[-1]:.1e}")

    figure, panels = plt.subplots(1, 3, figsize=(10, 3.6))
    for axes, title, shown in zip(
        panels, ("model", "start", "painted"), (model, start, image.detach().clamp(0, 1)), strict=True
    ):
        axes.imshow(shown[0].permute(1, 2, 0).numpy())
        axes.set_title(title)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(options.output, dpi=110)
    print(f"loss {losses[0]:.1e} at the start, {losses[-1]:.1e} at the end, picture in {options.output}")
    return losses[-1] / losses[0]


if __name__ == "__main__":
    main()
