"""REINFORCE (Williams, 1992) with a learned baseline learns to balance a pole on a cart (Barto, Sutton and Anderson,
1983).

python examples/reinforce.py [--episodes 300] [--seed 0] [--output reinforce.png]
"""

import argparse
import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from tqdm import tqdm

import fdl.stateful as torch
from fdl.stateful import nn
from fdl.stateful.distributions import Categorical

LONGEST = 300


class CartPole:
    """Push left (0) or right (1), 50 times a second; it ends when the pole leans by 12 degrees or the cart leaves the
    track.
    """

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def reset(self):
        self.state = self.random.uniform(-0.05, 0.05, 4)
        return self.state.astype(np.float32)

    def step(self, action):
        _, speed, angle, turning = self.state
        sin, cos = math.sin(angle), math.cos(angle)
        push = ((10.0 if action else -10.0) + 0.05 * turning**2 * sin) / 1.1
        turn = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        self.state = self.state + 0.02 * np.array([speed, push - 0.05 * turn * cos / 1.1, turning, turn])
        fell = abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12)
        return self.state.astype(np.float32), 1.0, bool(fell)


class Policy(nn.Module):
    """Logits of the two pushes, and the value that the state is expected to have."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 64), nn.Tanh())
        self.act, self.value = nn.Linear(64, 2), nn.Linear(64, 1)

    def forward(self, x):
        hidden = self.body(x)
        return self.act(hidden), self.value(hidden).squeeze(-1)


def episode(world, policy):
    """States, actions and rewards of one episode."""
    states, actions, rewards, state = [], [], [], world.reset()
    for _ in range(LONGEST):
        with torch.no_grad():
            logits, _ = policy(torch.from_numpy(state))
        action = Categorical(logits=logits).sample().item()
        states.append(state)
        actions.append(action)
        state, reward, over = world.step(action)
        rewards.append(reward)
        if over:
            break
    return np.stack(states), actions, rewards


def returns_of(rewards, discount=0.99):
    found, total = [], 0.0
    for reward in reversed(rewards):
        total = reward + discount * total
        found.append(total)
    return torch.tensor(found[::-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="reinforce.png")
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    world, policy = CartPole(options.seed), Policy()
    optimizer = torch.optim.Adam(policy.parameters(), lr=5e-3)
    lengths = []
    for _ in (progress := tqdm(range(options.episodes), unit="episode")):
        states, actions, rewards = episode(world, policy)
        # episodes differ in length: padding to a multiple lets few programs serve them all
        missing = -len(rewards) % 50
        states = torch.from_numpy(np.pad(states, ((0, missing), (0, 0))))
        there = (torch.arange(len(states)) < len(rewards)).float()
        returns = nn.functional.pad(returns_of(rewards), (0, missing)) / 50
        logits, values = policy(states)
        advantage = (returns - values).detach()
        log_prob = Categorical(logits=logits).log_prob(torch.tensor(actions + [0] * missing))
        loss = (there * (-log_prob * advantage + (values - returns) ** 2)).sum() / len(rewards)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lengths.append(len(rewards))
        progress.set_postfix(steps=f"{np.mean(lengths[-20:]):.0f}")

    figure, axes = plt.subplots(figsize=(7, 4))
    axes.plot(lengths, alpha=0.4, label="episode")
    axes.plot(np.convolve(lengths, np.ones(20) / 20, "valid"), label="mean of 20")
    axes.set(xlabel="episode", ylabel="steps balanced")
    axes.legend()
    figure.tight_layout()
    figure.savefig(options.output, dpi=110)
    print(
        f"balanced {np.mean(lengths[-20:]):.0f} of {LONGEST} steps over the last 20 episodes, "
        f"picture in {options.output}"
    )
    return float(np.mean(lengths[-20:]))


if __name__ == "__main__":
    main()
