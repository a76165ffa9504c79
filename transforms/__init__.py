"""Function transforms. Read `stage.py`, `jvp.py`, `linearize.py`, `vmap.py` and `custom.py`, then `control/call.py` and
`api/`; then `lazy/` and `tape/`.

Importing this package installs the base trace of `lazy/`.
"""

from fdl.transforms.api.derivatives import (
    float0,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linear_transpose,
    linearize,
    value_and_grad,
    vjp,
)
from fdl.transforms.api.jit import jit
from fdl.transforms.control.call import graph_function
from fdl.transforms.control.cond import cond, switch
from fdl.transforms.control.scan import scan
from fdl.transforms.control.while_loop import fori_loop, map_, while_loop
from fdl.transforms.custom import custom_jvp, custom_vjp
from fdl.transforms.lazy import LazyTrace
from fdl.transforms.stage import eval_shape, make_graph
from fdl.transforms.vmap import vmap

__all__ = [
    "LazyTrace", "cond", "custom_jvp", "custom_vjp", "eval_shape", "float0", "fori_loop", "grad",
    "graph_function", "hessian", "jacfwd", "jacrev",
    "jit", "jvp", "linear_transpose", "linearize", "make_graph", "map_", "scan", "switch", "value_and_grad", "vjp",
    "vmap", "while_loop",
]  # fmt: skip
