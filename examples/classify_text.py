"""A transformer encoder that tells from 48 words which chapter of Python's reference they stand in.

python examples/classify_text.py [--epochs 6] [--seed 0]
"""

import argparse
import re
from collections import Counter

from corpus import chapters
from tqdm import tqdm

import fdl.stateful as torch
from fdl.stateful import nn
from fdl.stateful.utils.data import DataLoader, TensorDataset

CLASSES, WORDS, VOCABULARY = 8, 48, 2000
PAD, UNKNOWN = 0, 1


class TextClassifier(nn.Module):
    """Embedding, two encoder layers, mean over the words that are there."""

    def __init__(self, width=64, heads=4):
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, width, padding_idx=PAD)
        self.places = nn.Parameter(torch.randn(WORDS, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, tokens):
        padding = tokens == PAD
        x = self.encoder(self.words(tokens) + self.places, src_key_padding_mask=padding)
        there = (~padding).unsqueeze(-1).float()
        return self.head((x * there).sum(1) / there.sum(1))


def load():
    """Tokens and classes: every fifth passage of each of the longest chapters is kept for the test."""
    chosen = [re.findall(r"[a-z_]+|[^\sa-z]", text.lower()) for _, text in chapters()[:CLASSES]]
    common = Counter(word for words in chosen for word in words).most_common(VOCABULARY - 2)
    number = {word: i + 2 for i, (word, _) in enumerate(common)}
    parts = ([], [])
    for label, words in enumerate(chosen):
        tokens = [number.get(word, UNKNOWN) for word in words]
        passages = [tokens[i : i + WORDS] for i in range(0, len(tokens), WORDS)]
        for i, passage in enumerate(passages):
            parts[i % 5 == 0].append((passage + [PAD] * (WORDS - len(passage)), label))
    return [
        TensorDataset(torch.tensor([p for p, _ in part]), torch.tensor([label for _, label in part])) for part in parts
    ]


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        correct = sum((model(tokens).argmax(-1) == labels).sum().item() for tokens, labels in loader)
    return correct / len(loader.dataset)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    train_set, test_set = load()
    train_loader, test_loader = DataLoader(train_set, batch_size=32, shuffle=True), DataLoader(test_set, batch_size=128)
    model = TextClassifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=options.epochs * len(train_loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    found = 0.0
    for epoch in range(1, options.epochs + 1):
        model.train()
        for tokens, labels in (progress := tqdm(train_loader, desc=f"epoch {epoch}", leave=False)):
            loss = criterion(model(tokens), labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            progress.set_postfix(loss=f"{loss.item():.3f}")
        found = accuracy(model, test_loader)
        print(
            f"epoch {epoch}: loss of the last batch {loss.item():.3f}, test accuracy {found:.1%} "
            f"({1 / CLASSES:.1%} by chance)"
        )
    return found


if __name__ == "__main__":
    main()
