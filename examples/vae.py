"""A variational autoencoder of handwritten digits (Kingma and Welling, 2014).

python examples/vae.py [--epochs 40] [--seed 0] [--output vae.png]
"""

import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tqdm import tqdm

import fdl.stateful as torch
from fdl.stateful import nn
from fdl.stateful.distributions import Independent, Normal, kl_divergence
from fdl.stateful.nn import functional as F
from fdl.stateful.utils.data import DataLoader
from fdl.stateful.vision import datasets, transforms, utils


class VAE(nn.Module):
    """64 pixels to a Gaussian over 4 numbers, and back."""

    def __init__(self, latent=4):
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, 64))

    def forward(self, x):
        mean, log_scale = self.encoder(x.flatten(1)).chunk(2, dim=-1)
        posterior = Independent(Normal(mean, log_scale.exp()), 1)
        return self.decoder(posterior.rsample()), posterior


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="vae.png")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    loader = DataLoader(datasets.Digits(transform=transforms.ToTensor()), batch_size=64, shuffle=True)
    model = VAE()
    prior = Independent(Normal(torch.zeros(model.latent), torch.ones(model.latent)), 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    bound = 0.0
    for _ in (progress := tqdm(range(options.epochs), unit="epoch")):
        total = 0.0
        for images, _ in loader:
            optimizer.zero_grad()
            logits, posterior = model(images)
            reconstruction = F.binary_cross_entropy_with_logits(logits, images.flatten(1), reduction="sum")
            loss = (reconstruction + kl_divergence(posterior, prior).sum()) / len(images)
            loss.backward()
            optimizer.step()
            total += loss.item()
        bound = total / len(loader)
        progress.set_postfix(bound=f"{bound:.2f}")

    with torch.no_grad():
        images = next(iter(loader))[0][:16]
        again = torch.sigmoid(model(images)[0]).view(-1, 1, 8, 8)
        imagined = torch.sigmoid(model.decoder(prior.sample((32,)))).view(-1, 1, 8, 8)
    sheet = utils.make_grid(torch.cat([images, again, imagined]), nrow=16, padding=1, pad_value=0.5)
    figure = plt.figure(figsize=(10, 3))
    plt.imshow(sheet[0].numpy(), cmap="gray")
    plt.title("digits / the same through four numbers / imagined ones")
    plt.axis("off")
    figure.tight_layout()
    figure.savefig(options.output, dpi=110)
    print(f"negative bound on the log likelihood: {bound:.2f} nats an image, picture in {options.output}")
    return bound


if __name__ == "__main__":
    main()
