"""A small GPT that learns to write Python's reference, letter by letter, and then writes.

python examples/char_gpt.py [--steps 600] [--seed 0] [--sample 400]
"""

import argparse
import math

from corpus import whole
from tqdm import tqdm

import fdl.stateful as torch
from fdl.stateful import nn
from fdl.stateful.nn import functional as F

CONTEXT, BATCH = 64, 32


class Block(nn.Module):
    """Causal self-attention and a perceptron, each behind a layer norm."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.ln1(x)).split(width, dim=2)
        q, k, v = (part.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for part in (q, k, v))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).contiguous().view(batch, length, width))
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    """Predicts the next character at each place."""

    def __init__(self, characters, width=96, heads=4, layers=3):
        super().__init__()
        self.tokens, self.places = nn.Embedding(characters, width), nn.Embedding(CONTEXT, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters, bias=False)
        self.apply(self._init)

    @staticmethod
    def _init(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, idx, targets=None):
        x = self.tokens(idx) + self.places(torch.arange(idx.shape[1]))
        logits = self.head(self.norm(self.blocks(x)))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))

    @torch.no_grad()
    def generate(self, idx, count, temperature=0.8, top_k=20):
        for _ in tqdm(range(count), desc="writing", leave=False):
            logits, _ = self(idx[:, -CONTEXT:])
            logits = logits[:, -1, :] / temperature
            least, _ = torch.topk(logits, top_k)
            logits[logits < least[:, [-1]]] = -float("inf")
            idx = torch.cat((idx, torch.multinomial(F.softmax(logits, dim=-1), 1)), dim=1)
        return idx


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=400)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    text = whole()
    characters = sorted(set(text))
    number = {c: i for i, c in enumerate(characters)}
    data = torch.tensor([number[c] for c in text], dtype=torch.long)
    train, held = data[: int(0.9 * len(data))], data[int(0.9 * len(data)) :]

    def batch(source):
        starts = torch.randint(len(source) - CONTEXT - 1, (BATCH,)).unsqueeze(1) + torch.arange(CONTEXT)
        return source[starts], source[starts + 1]

    model = GPT(len(characters))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.99))
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for _ in (progress := tqdm(range(options.steps), unit="step")):
        _, loss = model(*batch(train))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")
    model.eval()
    with torch.no_grad():
        held_loss = sum(model(*batch(held))[1].item() for _ in range(20)) / 20
    print(f"loss on text that it has not read: {held_loss:.3f} (guessing: {math.log(len(characters)):.3f})\n")
    start = torch.tensor([[number["\n"]]])
    print("".join(characters[i] for i in model.generate(start, options.sample)[0].tolist()))
    return held_loss


if __name__ == "__main__":
    main()
