"""`torch.linalg`: factorisations, solutions, norms; results as PyTorch's named tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from fdl.stateful.core.methods import method
from fdl.stateful.core.spelling import all_spelled, placed
from fdl.stateful.functions.products import matmul
from fdl.stateful.linalg.checks import LinAlgError
from fdl.stateful.linalg.factorizations import (
    cholesky,
    cholesky_ex,
    eigh,
    eigvalsh,
    lu,
    lu_factor,
    lu_factor_ex,
    matrix_rank,
    qr,
    svd,
    svdvals,
)  # fmt: skip
from fdl.stateful.linalg.norms import cond, matrix_norm, norm, vector_norm
from fdl.stateful.linalg.products import cross, diagonal, matrix_exp, matrix_power, multi_dot, vander, vecdot
from fdl.stateful.linalg.reflections import geqrf, householder_product, ormqr
from fdl.stateful.linalg.solutions import (
    cholesky_inverse,
    cholesky_solve,
    det,
    inv,
    inv_ex,
    logdet,
    lstsq,
    lu_solve,
    pinv,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)  # fmt: skip

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh",
    "householder_product", "inv", "inv_ex",
    "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd",
    "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip

_METHODS = {
    "det": det, "slogdet": slogdet, "inverse": inv, "pinverse": pinv, "matrix_power": matrix_power,
    "geqrf": geqrf, "orgqr": householder_product, "ormqr": ormqr,
    "logdet": logdet, "cholesky_solve": cholesky_solve, "cholesky_inverse": cholesky_inverse,
}  # fmt: skip
for _name, _function in _METHODS.items():
    method(_name)(cast(Callable[..., Any], _function))

globals().update(all_spelled({name: globals()[name] for name in __all__}, __all__))
placed({name: globals()[name] for name in __all__}, __name__)
