"""`torch.return_types`: the named tuples that functions give."""

from fdl.stateful.functions.histograms import histogram_result as histogram
from fdl.stateful.functions.histograms import histogramdd_result as histogramdd
from fdl.stateful.functions.numbers import frexp_result as frexp
from fdl.stateful.functions.reductions import max_result as max
from fdl.stateful.functions.reductions import topk_result as topk
from fdl.stateful.functions.sorting import cummax_result as cummax
from fdl.stateful.functions.sorting import cummin_result as cummin
from fdl.stateful.functions.sorting import kthvalue_result as kthvalue
from fdl.stateful.functions.sorting import mode_result as mode
from fdl.stateful.functions.sorting import sort_result as sort
from fdl.stateful.functions.statistics import aminmax_result as aminmax
from fdl.stateful.linalg.factorizations import linalg_eigh_result as linalg_eigh
from fdl.stateful.linalg.factorizations import linalg_qr_result as linalg_qr
from fdl.stateful.linalg.factorizations import linalg_qr_result as qr
from fdl.stateful.linalg.factorizations import linalg_svd_result as linalg_svd
from fdl.stateful.linalg.factorizations import linalg_svd_result as svd
from fdl.stateful.linalg.older import lu_unpack_result as lu_unpack
from fdl.stateful.linalg.older import triangular_solve_result as triangular_solve
from fdl.stateful.linalg.reflections import geqrf_result as geqrf
from fdl.stateful.linalg.solutions import linalg_lstsq_result as linalg_lstsq
from fdl.stateful.linalg.solutions import linalg_slogdet_result as linalg_slogdet

min, median = max, mode

__all__ = [
    "aminmax", "cummax", "cummin", "frexp", "geqrf", "histogram", "histogramdd", "kthvalue", "linalg_eigh",
    "linalg_lstsq", "linalg_qr", "linalg_slogdet", "linalg_svd", "lu_unpack", "max", "median", "min", "mode", "qr",
    "sort", "svd", "topk", "triangular_solve",
]  # fmt: skip
