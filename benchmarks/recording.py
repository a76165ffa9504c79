"""What recording costs: Python's side of training steps, with programs run by nobody, and of a loop that looks at a
value each time.

    python benchmarks/recording.py [--rounds 7]

Each line is the best of some rounds, in microseconds a step; the loop over `bool(x > 0)` runs its arithmetic.
"""

import argparse
import time

import numpy as np

import fdl.stateful as torch
from fdl.extend import flush
from fdl.transforms.lazy import programs

nn, F = torch.nn, torch.nn.functional


def train(model, optimizer, x, y):
    def step():
        optimizer.zero_grad()
        logits = model(x)
        F.cross_entropy(logits.view(-1, logits.size(-1)), y.view(-1)).backward()
        optimizer.step()

    return step


def mlp():
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    r = np.random.default_rng(0)
    return train(
        model,
        torch.optim.Adam(model.parameters()),
        torch.tensor(r.random((64, 784)).astype("f")),
        torch.tensor(r.integers(0, 10, 64)),
    )


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2, self.heads = nn.LayerNorm(width), nn.LayerNorm(width), heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in self.qkv(self.norm1(x)).split(c, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def transformer():
    model = nn.Sequential(nn.Embedding(65, 32), Block(32, 4), Block(32, 4), nn.LayerNorm(32), nn.Linear(32, 65))
    r = np.random.default_rng(0)
    return train(
        model,
        torch.optim.AdamW(model.parameters()),
        torch.tensor(r.integers(0, 65, (8, 16))),
        torch.tensor(r.integers(0, 65, (8, 16))),
    )


def best(step, rounds, count=200):
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(count):
            step()
        found.append((time.perf_counter() - start) / count * 1e6)
    return min(found)


def without_arithmetic(step, rounds):
    """The best time of a step whose programs are not run: results are buffers of an earlier step."""
    buffers, run = {}, programs.Program.run

    def remember(program, values, leaves, outputs, donated):
        run(program, values, leaves, outputs, donated)
        buffers.update((values[s].aval.token, values[s]._data) for s in outputs)

    def stub(program, values, leaves, outputs, donated):
        for s in outputs:
            values[s]._data = buffers[values[s].aval.token]

    try:
        for _ in range(60):  # compiled, so that the runtime library is there
            step()
        programs.Program.run = remember
        for _ in range(4):
            step()
        flush()
        programs.Program.run = stub
        return best(step, rounds)
    finally:
        programs.Program.run = run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(f"{'MLP step, Python alone':36} {without_arithmetic(mlp(), rounds):8.1f} us")
    print(f"{'2-layer transformer step, Python alone':36} {without_arithmetic(transformer(), rounds):8.1f} us")
    x = torch.tensor(1.0)
    print(f"{'bool(x > 0), with its arithmetic':36} {best(lambda: bool(x > 0), rounds, 3000):8.1f} us")


if __name__ == "__main__":
    main()
