"""`torch.autocast`: operations in lower precision where that is safe, by PyTorch's lists for the CPU.

While it is on, what `apply` records is asked for by the name of its function: products take bfloat16 or float16,
losses, factorisations and their kin float32, joins the widest dtype of what they join; all else takes its operands as
they are. Conversions are operations like others, so gradients come back in the dtype of each tensor. The state is that
of a thread. It decides what is recorded, and nothing afterwards: a recorded program holds its conversions, and jitted
functions look at the state.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fdl.extend import Block, Function, Leaf, dtypes, recorders, running_trace
from fdl.stateful.core.dtypes import device as device_type
from fdl.stateful.core.dtypes import dtype, of, to_numpy
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.operands import converted
from fdl.stateful.core.tape import autocasting, grad_mode
from fdl.stateful.core.tensor import Tensor

__all__ = [
    "autocast", "clear_autocast_cache", "custom_bwd", "custom_fwd", "get_autocast_cpu_dtype", "get_autocast_dtype",
    "get_autocast_gpu_dtype", "is_autocast_available",
    "is_autocast_cache_enabled", "is_autocast_cpu_enabled", "is_autocast_enabled", "set_autocast_cache_enabled",
    "set_autocast_dtype", "set_autocast_enabled",
]  # fmt: skip

LOWER, FULL, WIDEST, AS_FIRST = "lower", "full", "widest", "as first"

_POLICIES = {
    **dict.fromkeys(
        """addbmm addmm affine_grid attention baddbmm conv_transpose convolution einsum inner linear matmul
            matrix_power multi_dot prelu tensordot vecdot""".split(),
        LOWER,
    ),
    **dict.fromkeys(
        """binary_cross_entropy binary_cross_entropy_with_logits cdist cholesky cholesky_inverse cholesky_solve
        cosine_embedding_loss cross_entropy ctc_loss eigh fft grid_sample hinge_embedding_loss householder_product
        huber_loss inv kl_div l1_loss local_response_norm margin_ranking_loss mse_loss multi_margin_loss
        multilabel_margin_loss multilabel_soft_margin_loss nll_loss poisson_nll_loss polar prod qr quantile
        smooth_l1_loss soft_margin_loss solve svd svdvals trace triplet_margin_loss""".split(),
        FULL,
    ),
    **dict.fromkeys("cat index_copy stack".split(), WIDEST),
}


def _of_volumes(static: tuple[Any, ...]) -> str | None:
    """Pooling is in float32 in three dimensions alone."""
    return FULL if static and isinstance(static[0], tuple) and len(static[0]) == 3 else None


def _of_edges(static: tuple[Any, ...]) -> str | None:
    return FULL if static and static[-1] in ("reflect", "replicate") else None


def _of_layers(static: tuple[Any, ...]) -> str | None:
    return AS_FIRST if "gru" in str(static[0]).lower() else LOWER


def _of_cells(static: tuple[Any, ...]) -> str | None:
    return AS_FIRST if any(name in str(static[0]).lower() for name in ("gru", "lstm")) else LOWER


_BY_SETTINGS: dict[str, Callable[[tuple[Any, ...]], str | None]] = {
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool", "avg_pool", "max_pool", "max_pool_with_indices"),
        _of_volumes),
    "pad": _of_edges, "recurrent": _of_layers, "recurrent_cell": _of_cells,
}  # fmt: skip


def _casts(x: Any) -> bool:
    """Whether autocast may convert an operand: a tensor of floats, but for those of double precision."""
    return isinstance(x, Tensor) and dtypes.is_float(x._aval.dtype) and x._aval.dtype != np.float64


class _State(threading.local):
    """What a thread has said: dtypes and whether it is on by device, and the conversions of weights."""

    def __init__(self) -> None:
        self.dtypes: dict[str, Any] = {"cpu": dtypes.bfloat16}
        self.enabled: dict[str, bool] = {}
        self.caching = True
        self.depth = 0
        self.converted: dict[int, tuple[Tensor, Any, int, Any]] = {}

    def operands(self, function: Function, operands: Sequence[Any], static: tuple[Any, ...]) -> Sequence[Any]:
        """Operands in the dtypes that autocast wants for a function."""
        policy = _BY_SETTINGS[function.name](static) if function.name in _BY_SETTINGS else _POLICIES.get(function.name)
        if policy is None:
            return operands
        floats = [x._aval.dtype for x in operands if _casts(x)]
        if not floats:
            return operands
        target = self.dtypes["cpu"] if policy is LOWER else np.dtype(np.float32) if policy is FULL else floats[0]
        if policy is WIDEST and any(d != target for d in floats):
            target = np.dtype(np.float32)
        return [self.cast(x, target) if _casts(x) else x for x in operands]

    def lowered(self, *operands: Any) -> list[Any]:
        """Operands of a product that is made of other operations."""
        return [self.cast(x, self.dtypes["cpu"]) if _casts(x) else x for x in operands]

    def in_full(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """A call in float32, of a function that is made of other operations."""
        full = np.dtype(np.float32)
        with autocast("cpu", enabled=False):
            return function(
                *[self.cast(x, full) if _casts(x) else x for x in args],
                **{k: self.cast(x, full) if _casts(x) else x for k, x in kwargs.items()},
            )

    def cast(self, x: Tensor, target: Any) -> Any:
        """A tensor in another dtype; a weight that is trained is converted once, for as long as it stays what it is."""
        if x._aval.dtype == target:
            return x
        if not (
            self.caching
            and grad_mode.enabled
            and x._view is None
            and type(x._edge) is Leaf
            and x._aval.dtype == np.float32
            and running_trace() is None
        ):
            return converted(x, target)
        known = self.converted.get(id(x))
        if known is not None:
            _, storage, version, found = known
            if (
                storage is x._storage
                and version == storage.version
                and found._aval.dtype == target
                and found._edge.operands is not None
            ):
                return found
        found = converted(x, target)
        self.converted[id(x)] = x, x._storage, x._storage.version, found
        return found

    def key(self) -> Any:
        """What of the state decides which operations are recorded."""
        return self.dtypes["cpu"] if self.enabled.get("cpu") else None

    def settle(self) -> None:
        """Let this thread's recorder and operations know."""
        on = self.enabled.get("cpu", False)
        autocasting.now = self if on else None
        recorders.recorder.mark_special(on)


_state = _State()


def _device(name: Any) -> str:
    """The type of a device; RuntimeError where there is none of this name."""
    return device_type(name).type


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows a type of device."""
    return _device(device_type) in ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "maia", "ipu", "xla", "privateuseone")


def get_autocast_dtype(device_type: str) -> dtype:
    """What autocast would compute in on a device: bfloat16 on the CPU, unless another dtype was set.

    >>> import fdl.stateful as torch
    >>> torch.get_autocast_dtype("cpu")
    torch.bfloat16
    """
    return of(_state.dtypes.get(_device(device_type), np.dtype(np.float16)))


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Set what autocast computes in on a device."""
    _state.dtypes[_device(device_type)] = to_numpy(dtype)


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a device; as in PyTorch, without a name that is CUDA."""
    return _state.enabled.get(_device(device_type), False)


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Turn autocast on or off for a device; with one argument, for CUDA."""
    name, on = ("cuda", device_type) if enabled is None else (_device(device_type), enabled)
    _state.enabled[name] = bool(on)
    _state.settle()


def is_autocast_cache_enabled() -> bool:
    """Whether weights are converted once."""
    return _state.caching


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Convert weights once, or each time."""
    _state.caching = bool(enabled)


def clear_autocast_cache() -> None:
    """Forget converted weights."""
    _state.converted.clear()


def _deprecated(old: str, new: str) -> None:
    warnings.warn(f"torch.{old}() is deprecated. Please use torch.{new} instead.", DeprecationWarning, stacklevel=3)


def is_autocast_cpu_enabled() -> bool:
    """`is_autocast_enabled("cpu")`, by an older name."""
    _deprecated("is_autocast_cpu_enabled", "is_autocast_enabled('cpu')")
    return is_autocast_enabled("cpu")


def get_autocast_cpu_dtype() -> dtype:
    """`get_autocast_dtype("cpu")`, by an older name."""
    _deprecated("get_autocast_cpu_dtype", "get_autocast_dtype('cpu')")
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> dtype:
    """`get_autocast_dtype("cuda")`, by an older name."""
    _deprecated("get_autocast_gpu_dtype", "get_autocast_dtype('cuda')")
    return get_autocast_dtype("cuda")


class autocast(Block["autocast"]):
    """A block, or a decorated function, in which products are computed in bfloat16 or float16.

    Where a device lacks the dtype, or is not there, a warning says so and nothing changes.

    >>> import fdl.stateful as torch
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     y = torch.ones(2, 2) @ torch.ones(2, 2)
    ...     y.dtype, torch.nn.functional.mse_loss(y, y).dtype
    (torch.bfloat16, torch.float32)
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ArgumentError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = _device(device_type)
        if not is_autocast_available(self.device):
            raise TensorError(f"User specified an unsupported autocast device_type '{self.device}'")
        self.fast_dtype = get_autocast_dtype(self.device) if dtype is None else of(to_numpy(dtype))
        self._cache_enabled = _state.caching if cache_enabled is None else cache_enabled
        self._enabled = bool(enabled)
        if self._enabled and self.device == "cuda":
            warnings.warn(
                "CUDA is not available or torch_xla is imported. Disabling autocast.", UserWarning, stacklevel=2
            )
            self._enabled = False
        if self._enabled and self.device == "cpu" and to_numpy(self.fast_dtype) not in (dtypes.bfloat16, np.float16):
            warnings.warn(
                (
                    "In CPU autocast, but the target dtype is not supported. Disabling autocast.\nCPU Autocast only "
                    "supports dtypes of torch.bfloat16, torch.float16 currently."
                ),
                UserWarning,
                stacklevel=2,
            )
            self._enabled = False

    def _steps(self) -> Iterator[autocast]:
        name, state = self.device, _state
        before = state.dtypes.get(name), state.enabled.get(name, False), state.caching, state.depth
        try:
            state.depth += 1
            state.dtypes[name], state.enabled[name], state.caching = (
                to_numpy(self.fast_dtype),
                self._enabled,
                self._cache_enabled,
            )
            state.settle()
            yield self
        finally:
            known, state.enabled[name], state.caching, state.depth = before
            if not state.depth:
                state.converted.clear()
            if known is None:
                state.dtypes.pop(name, None)
            else:
                state.dtypes[name] = known
            state.settle()

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return f(*args, **kwargs)

        return wrapped


# Functions with a backward of their own


def _cast_all(value: Any, target: Any) -> Any:
    """Tensors of floats, also in containers, in another dtype."""
    if isinstance(value, Tensor):
        return converted(value, target) if _casts(value) else value
    if isinstance(value, dict):
        return {_cast_all(k, target): _cast_all(v, target) for k, v in value.items()}
    return type(value)(_cast_all(v, target) for v in value) if type(value) in (list, tuple) else value


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """A decorator for `forward` of an `autograd.Function`: with `cast_inputs`, it runs in that dtype and without
    autocast.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    function = fwd

    @functools.wraps(function)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        on = is_autocast_enabled(device_type)
        ctx._dtype, ctx._fwd_used_autocast = get_autocast_dtype(device_type), on and cast_inputs is None
        if cast_inputs is None or not on:
            return function(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return function(ctx, *_cast_all(args, to_numpy(cast_inputs)), **_cast_all(kwargs, to_numpy(cast_inputs)))

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """A decorator for `backward`: autocast is on there where it was on in `forward`."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    function = bwd

    @functools.wraps(function)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return function(ctx, *args, **kwargs)

    return backward
