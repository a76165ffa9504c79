"""`torch.nn.utils.parametrizations`: weights by direction and length, of spectral norm 1, and orthogonal ones."""

from __future__ import annotations

from typing import Any

from fdl.stateful.autograd import no_grad
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.random import randn
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import eye
from fdl.stateful.functions.products import dot, mv
from fdl.stateful.functions.shapes import cat
from fdl.stateful.linalg.factorizations import qr
from fdl.stateful.linalg.products import matrix_exp
from fdl.stateful.linalg.solutions import solve
from fdl.stateful.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from fdl.stateful.nn.functional import normalize
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.utils.parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except_dim(v: Tensor, dim: int = 0) -> Tensor:
    """The 2-norm over all dimensions but one, which is kept; over all with -1."""
    if dim == -1:
        return v.norm()  # type: ignore[no-any-return]
    return (v * v).sum([d for d in range(v.ndim) if d != dim], keepdim=True).sqrt()  # type: ignore[no-any-return]


class _WeightNorm(Module):
    """`g * v / |v|` (Salimans and Kingma, 2016)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Any:
        """The weight of a length and a direction."""
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Length and direction of a weight."""
        return norm_except_dim(weight, self.dim), weight


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with `dim` as rows and all else as columns."""
    return weight.transpose(0, dim).flatten(1) if weight.ndim > 1 else weight.unsqueeze(0)  # type: ignore[no-any-return]


def output_dim(module: Module) -> int:
    """Which dimension of a layer's weight counts its outputs."""
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


def power_iteration(matrix: Tensor, u: Tensor, v: Tensor, steps: int, eps: float) -> None:
    """Bring `u` and `v` closer to the largest singular value's vectors, in place."""
    with no_grad():
        for _ in range(steps):
            u.copy_(normalize(mv(matrix, v), dim=0, eps=eps))
            v.copy_(normalize(mv(matrix.t(), u), dim=0, eps=eps))


class _SpectralNorm(Module):
    """A weight over its largest singular value, by power iteration while training (Miyato et al., 2018)."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        self.dim, self.eps, self.n_power_iterations = dim, eps, n_power_iterations
        if weight.ndim > 1:
            matrix = as_matrix(weight.detach(), dim)
            self.register_buffer("_u", normalize(randn(matrix.shape[0]), dim=0, eps=eps))
            self.register_buffer("_v", normalize(randn(matrix.shape[1]), dim=0, eps=eps))
            power_iteration(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Any:
        """The weight of norm 1."""
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_iteration(matrix.detach(), self._u, self._v, self.n_power_iterations, self.eps)
        return weight / dot(self._u.clone(), mv(matrix, self._v.clone()))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: it is taken as one to be normalised."""
        return value


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Let a weight be trained as direction and length.

    >>> import fdl.stateful as torch
    >>> sorted(weight_norm(torch.nn.Linear(3, 2)).state_dict())
    ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Let a weight have spectral norm 1, nearly.

    >>> import fdl.stateful as torch
    >>> _ = torch.manual_seed(0)
    >>> layer = spectral_norm(torch.nn.Linear(3, 3), n_power_iterations=10)
    >>> abs(torch.linalg.matrix_norm(layer.weight.detach(), 2).item() - 1) < 0.1
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, output_dim(module) if dim is None else dim, eps)
    )


class _Orthogonal(Module):
    """An orthogonal matrix, or one with orthonormal rows or columns, from any matrix: of the part below its diagonal,
    made antisymmetric.

    `matrix_exp` is the exponential (Lezcano-Casado and Martinez-Rubio, 2019), `cayley` is (I + A / 2)^-1 (I - A / 2);
    both times the matrix at the start.
    """

    base: Tensor

    def __init__(self, weight: Tensor, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("base", _orthonormal(weight.detach()))

    def forward(self, x: Tensor) -> Any:
        """The orthogonal matrix."""
        tall = x.shape[-2] >= x.shape[-1]
        x = x if tall else x.mT
        n, k = x.shape[-2:]
        low = x.tril(-1)
        low = cat([low, low.new_zeros((*low.shape[:-1], n - k))], -1) if n > k else low
        a = low - low.mT
        if self.kind == "matrix_exp":
            q = matrix_exp(a)
        else:
            one = eye(n, dtype=a.dtype)
            q = solve(one + 0.5 * a, one - 0.5 * a)
        found = q @ (self.base if tall else self.base.mT)
        return found if tall else found.mT

    def right_inverse(self, q: Tensor) -> Tensor:
        """What gives this orthogonal matrix: zeros, with the matrix as the start."""
        if q.shape != self.base.shape:
            raise ArgumentError(
                f"Expected a matrix or batch of matrices of shape {tuple(self.base.shape)}. "
                f"Got a tensor of shape {tuple(q.shape)}."
            )
        self.base = _orthonormal(q.detach())
        return q.new_zeros(q.shape)  # type: ignore[no-any-return]


def _orthonormal(x: Tensor) -> Tensor:
    """The orthonormal matrix of a matrix, with the signs of its diagonal."""
    tall = x.shape[-2] >= x.shape[-1]
    found = qr(x if tall else x.mT)
    signs = found.R.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    q = found.Q * signs.masked_fill(signs == 0, 1.0)
    return q if tall else q.mT  # type: ignore[no-any-return]


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep a weight orthogonal, or its rows or columns orthonormal: it starts at the orthonormal matrix of what it is,
    and is trained freely.

    >>> import fdl.stateful as torch
    >>> layer = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(3, 3))
    >>> torch.allclose(layer.weight @ layer.weight.t(), torch.eye(3), atol=1e-5)
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ArgumentError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map not in (None, "matrix_exp", "cayley", "householder"):
        raise ArgumentError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    kind = "cayley" if orthogonal_map == "cayley" else "matrix_exp"  # all reach the same matrices
    register_parametrization(module, name, _Orthogonal(weight, kind), unsafe=True)
    return module
