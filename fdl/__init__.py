"""fdl: functional autodiff in JAX's style, compiled to C.

`import fdl`, `import fdl.numpy as jnp`, `from fdl import lax`. Names are imported on first use, so that `import fdl`
stays cheap.
"""

import importlib as _importlib
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

__version__ = "0.1.0"

# With a non-editable install, Python started at a checkout's root finds `./fdl` without its mapped siblings.
_root = _Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").exists() and str(_root) not in __path__:
    __path__.append(str(_root))

_HOME = {
    "fdl.transforms": """custom_jvp custom_vjp eval_shape float0 grad graph_function hessian jacfwd
        jacrev jvp linear_transpose linearize make_graph value_and_grad vjp vmap""",
    "fdl.ad_checkpoint": "checkpoint checkpoint_policies",
    "fdl.core": "Array Graph ShapedArray ShapeDtypeStruct SymDim",
    "fdl.backends.beside": "wait_compiled",
    "fdl.core.config": "num_threads set_num_threads",
    "fdl.core.errors": "FdlError",
    "fdl.inspection": "explain profile",
    "fdl.stages": "jit",
    "fdl.settings": """config debug_infs debug_nans disable_jit enable_x64 numpy_dtype_promotion
        numpy_rank_promotion""",
    "fdl.callbacks": "pure_callback",
    "fdl.placement": """Device default_backend device_count device_get device_put devices local_device_count
        local_devices process_count process_index""",
    "fdl.parallel_maps": "pmap shard_map",
    "fdl.sharding": "NamedSharding P make_mesh set_mesh",
    "fdl.ref": "Ref empty_ref free_ref freeze new_ref",
    "fdl.tracing": "ensure_compile_time_eval fwd_and_bwd make_jaxpr named_call named_scope typeof",
    "fdl.custom_derivatives": "closure_convert custom_gradient",
}
_WHERE = {name: module for module, names in _HOME.items() for name in names.split()}
_MODULES = (
    "ad_checkpoint", "alias", "api_util", "backends", "callbacks", "core", "custom_batching", "custom_derivatives",
    "debug", "dtypes", "errors", "experimental", "extend", "flatten_util", "image", "incomplete", "lax", "lowering",
    "nn", "numpy", "ops", "optim", "random", "ref", "scipy", "sharding", "special", "stages", "stateful", "test_util",
    "testing", "transforms", "tree", "tree_util", "typing",
)  # fmt: skip

_ALIASES = {"remat": "checkpoint", "jacobian": "jacrev"}  # as JAX also calls them

__all__ = [*sorted(_WHERE), *_MODULES, *_ALIASES, "__version__", "block_until_ready", "install"]

if _TYPE_CHECKING:  # the same for type checkers, which do not run `__getattr__`; all but `stateful`, the floor above
    # isort: off
    from fdl import (
        ad_checkpoint as ad_checkpoint, alias as alias, api_util as api_util, callbacks as callbacks, core as core,
        custom_batching as custom_batching, custom_derivatives as custom_derivatives, debug as debug, dtypes as dtypes,
        errors as errors, experimental as experimental, extend as extend, flatten_util as flatten_util,
        image as image, incomplete as incomplete, lax as lax,
        lowering as lowering, backends as backends, nn as nn, numpy as numpy, ops as ops, optim as optim,
        random as random, ref as ref, scipy as scipy, sharding as sharding, special as special, stages as stages,
        test_util as test_util, testing as testing,
        transforms as transforms,
        tree as tree, tree_util as tree_util, typing as typing,
    )  # fmt: skip
    from fdl.transforms import (
        custom_jvp as custom_jvp, custom_vjp as custom_vjp, eval_shape as eval_shape,
        float0 as float0, grad as grad, graph_function as graph_function, hessian as hessian, jacfwd as jacfwd,
        jacrev as jacrev, jvp as jvp, linear_transpose as linear_transpose, linearize as linearize,
        make_graph as make_graph, value_and_grad as value_and_grad, vjp as vjp, vmap as vmap,
    )  # fmt: skip
    from fdl.ad_checkpoint import checkpoint as checkpoint, checkpoint_policies as checkpoint_policies
    from fdl.core import (
        Array as Array, Graph as Graph, ShapedArray as ShapedArray, ShapeDtypeStruct as ShapeDtypeStruct,
        SymDim as SymDim,
    )  # fmt: skip
    from fdl.backends.beside import wait_compiled as wait_compiled
    from fdl.core.config import num_threads as num_threads, set_num_threads as set_num_threads
    from fdl.core.errors import FdlError as FdlError
    from fdl.inspection import explain as explain, profile as profile
    from fdl.callbacks import pure_callback as pure_callback
    from fdl.custom_derivatives import closure_convert as closure_convert, custom_gradient as custom_gradient
    from fdl.stages import jit as jit
    from fdl.placement import (
        Device as Device, default_backend as default_backend, device_count as device_count, device_get as device_get,
        device_put as device_put, devices as devices, local_device_count as local_device_count,
        local_devices as local_devices, process_count as process_count, process_index as process_index,
    )  # fmt: skip
    from fdl.parallel_maps import pmap as pmap, shard_map as shard_map
    from fdl.sharding import NamedSharding as NamedSharding, P as P, make_mesh as make_mesh, set_mesh as set_mesh
    from fdl.ref import (
        Ref as Ref, empty_ref as empty_ref, free_ref as free_ref, freeze as freeze, new_ref as new_ref,
    )  # fmt: skip
    from fdl.settings import (
        config as config, debug_infs as debug_infs, debug_nans as debug_nans, disable_jit as disable_jit,
        enable_x64 as enable_x64, numpy_dtype_promotion as numpy_dtype_promotion,
        numpy_rank_promotion as numpy_rank_promotion,
    )  # fmt: skip
    from fdl.tracing import (
        ensure_compile_time_eval as ensure_compile_time_eval, fwd_and_bwd as fwd_and_bwd, make_jaxpr as make_jaxpr,
        named_call as named_call, named_scope as named_scope, typeof as typeof,
    )  # fmt: skip

    remat, jacobian = checkpoint, jacrev


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _importlib.import_module(f"fdl.{name}")
    if name in _ALIASES:
        return __getattr__(_ALIASES[name])
    if name not in _WHERE:
        raise AttributeError(f"module 'fdl' has no attribute {name!r}")
    value = getattr(_importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def block_until_ready(x: _Any) -> _Any:
    """The tree itself: results are ready when a call returns."""
    return x


def install() -> None:
    """Let `import jax` get fdl from now on, here and in Python processes that are started from here: `jax.numpy`,
    `jax.lax`, `jax.random` and what else fdl has under JAX's names. What it has not is no module.

    Call it before anything imports jax.
    """
    alias = _importlib.import_module("fdl.alias")
    alias.install(alias.JAX, "fdl")


def _load_methods() -> None:
    for name in ("fdl.numpy", "fdl.sharding"):
        _importlib.import_module(name)


def _load_base() -> None:
    _importlib.import_module("fdl.transforms.lazy")


_importlib.import_module("fdl.core.array").METHODS.load = _load_methods
_trace = _importlib.import_module("fdl.core.trace")
_trace.install_base(_trace.LoadingTrace(_load_base))
_importlib.import_module("fdl.tracebacks").install()
