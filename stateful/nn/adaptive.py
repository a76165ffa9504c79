"""The softmax over many classes of which few are frequent (Grave et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.shapes import cat
from fdl.stateful.nn.containers import ModuleList, Sequential
from fdl.stateful.nn.functional import log_softmax
from fdl.stateful.nn.linear import Linear
from fdl.stateful.nn.module import Module


class _Loss(NamedTuple):
    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Classes sorted by frequency in clusters: a head scores the first ones and the clusters, narrower tails the
    members of each cluster.

    >>> import fdl.stateful as torch
    >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 10, cutoffs=[2, 5])
    >>> layer(torch.ones(3, 16), torch.tensor([0, 3, 9])).output.shape
    torch.Size([3])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ArgumentError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(cutoffs)
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
            or len(set(cutoffs)) != len(cutoffs)
        ):
            raise ArgumentError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, "
                "where each value is between 1 and n_classes-1"
            )
        self.in_features, self.n_classes, self.div_value, self.head_bias = in_features, n_classes, div_value, head_bias
        self.cutoffs = [*cutoffs, n_classes]
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width, size = int(in_features // div_value ** (i + 1)), self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, dtype=dtype), Linear(width, size, bias=False, dtype=dtype)
                )
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for layer in (self.head, *(part for cluster in self.tail for part in cluster)):
            layer.reset_parameters()

    def log_prob(self, input: Tensor) -> Any:
        """Logarithms of the probabilities of all classes."""
        head = log_softmax(self.head(input), 1)
        clusters = [
            log_softmax(tail(input), 1) + head[:, self.shortlist_size + i : self.shortlist_size + i + 1]
            for i, tail in enumerate(self.tail)
        ]
        return cat([head[:, : self.shortlist_size], *clusters], 1)

    def predict(self, input: Tensor) -> Any:
        """The likeliest class of each."""
        return self.log_prob(input).argmax(1)

    def forward(self, input: Tensor, target_: Tensor) -> Any:
        """Log probabilities of the targets, and the mean of their negatives."""
        if target_.ndim not in (0, 1) or input.ndim != target_.ndim + 1:
            raise TensorError("0D or 1D target tensor expected, of as many elements as the input has rows")
        alone = target_.ndim == 0
        rows, target = (input.unsqueeze(0), target_.unsqueeze(0)) if alone else (input, target_)
        if rows.shape[0] != target.shape[0]:
            raise TensorError("Input and target should have the same size in the batch dimension.")
        output = self.log_prob(rows).gather(1, target.unsqueeze(1)).squeeze(1)
        return _Loss(output.squeeze(0) if alone else output, -output.mean())
