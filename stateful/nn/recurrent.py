"""Recurrent layers: RNN, LSTM and GRU, in layers, both directions, with projections, and for packed sequences; and
their cells.

A layer in one direction is one recorded function: a product for all steps, then a scan.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from fdl import lax, nn, ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.creation import empty, zeros
from fdl.stateful.functions.shapes import cat, stack
from fdl.stateful.nn import functional as F
from fdl.stateful.nn import init
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.packing import PackedSequence, packed, padded
from fdl.stateful.nn.parameter import Parameter

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _parts(x: Any, n: int) -> list[Any]:
    axis = aval_of(x).ndim - 1
    size = aval_of(x).shape[axis] // n
    return [ops.slice_in_dim(x, k * size, (k + 1) * size, axis) for k in range(n)]


def _product(x: Any, weight: Any, bias: Any) -> Any:
    out = ops.dot_general(x, weight, (((aval_of(x).ndim - 1,), (1,)), ((), ())))
    return out if bias is None else ops.add(out, bias)


def _next(mode: str, given: Any, state: tuple[Any, ...], w_hh: Any, b_hh: Any, w_hr: Any) -> tuple[Any, ...]:
    """The state after one step; `given` is the product of the input with its weights."""
    recurrent = _product(state[0], w_hh, b_hh)
    if mode == "LSTM":  # Hochreiter and Schmidhuber, 1997, with a forget gate
        i, f, g, o = _parts(ops.add(given, recurrent), 4)
        c = ops.add(ops.mul(ops.logistic(f), state[1]), ops.mul(ops.logistic(i), ops.tanh(g)))
        h = ops.mul(ops.logistic(o), ops.tanh(c))
        return (h if w_hr is None else _product(h, w_hr, None)), c
    if mode == "GRU":  # Cho et al., 2014, with the reset gate after the product
        (xr, xz, xn), (hr, hz, hn) = _parts(given, 3), _parts(recurrent, 3)
        r, z = ops.logistic(ops.add(xr, hr)), ops.logistic(ops.add(xz, hz))
        n = ops.tanh(ops.add(xn, ops.mul(r, hn)))
        return (ops.add(ops.mul(ops.sub(1, z), n), ops.mul(z, state[0])),)
    total = ops.add(given, recurrent)
    return ((nn.relu if mode == "RNN_RELU" else ops.tanh)(total),)


def _layer_body(x: Any, *args: Any) -> Any:
    """One layer in one direction over (T, N, ...); with lengths, states stand still and outputs are zero after the end
    of a sequence.
    """
    *given, mode, reverse, has_bias, has_projection, has_lengths = args
    rest = iter(given)
    state = tuple([next(rest) for _ in range(2 if mode == "LSTM" else 1)])
    w_ih, w_hh = next(rest), next(rest)
    b_ih, b_hh = (next(rest), next(rest)) if has_bias else (None, None)
    w_hr = next(rest) if has_projection else None
    lengths = next(rest) if has_lengths else None
    steps = aval_of(x).shape[0]
    products = _product(x, w_ih, b_ih)
    inputs = (products,) if lengths is None else (products, ops.iota((steps,), 0, dtypes.int64))

    def step(carry: tuple[Any, ...], now: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
        new = _next(mode, now[0], carry, w_hh, b_hh, w_hr)
        if lengths is None:
            return new, new[0]
        alive = [
            ops.broadcast(ops.less(ops.broadcast_to(now[1], aval_of(lengths).shape), lengths), aval_of(s).shape, (0,))
            for s in new
        ]
        kept = tuple([ops.select(a, n, c) for a, n, c in zip(alive, new, carry, strict=True)])
        return kept, ops.select(alive[0], new[0], 0)

    last, outs = lax.scan(step, state, inputs, reverse=reverse)
    return (outs, *last)


_layer = Function(_layer_body, "recurrent")


def _check_dtypes(what: str, x: Tensor, states: Sequence[Tensor], weight: Tensor) -> None:
    """ValueError where input, states and weights have several dtypes, none of them one in which autocast computes."""
    kinds = {t.dtype for t in (x, *states, weight)}
    if len(kinds) > 1 and all(t.dtype.itemsize > 2 for t in (x, *states, weight)):
        given = " and ".join(sorted(str(t.dtype) for t in {id(t): t for t in (x, *states)}.values()))
        raise ArgumentError(
            f"{what} input dtype ({given}) does not match weight dtype ({weight.dtype}). Convert input: "
            f"input.to({weight.dtype}), or convert model: model.to({x.dtype})"
        )


class RNNBase(Module):
    """What recurrent layers have in common."""

    mode: str

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if not 0 <= dropout <= 1 or isinstance(dropout, bool):
            raise ArgumentError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                "num_layers greater than 1, "
                f"but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        if hidden_size <= 0:
            raise ArgumentError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ArgumentError("num_layers must be greater than zero")
        if proj_size < 0 or proj_size >= hidden_size:
            raise ArgumentError("proj_size has to be smaller than hidden_size")
        self.mode, self.input_size, self.hidden_size, self.num_layers, self.bias = (
            mode,
            input_size,
            hidden_size,
            num_layers,
            bias,
        )
        self.batch_first, self.dropout, self.bidirectional, self.proj_size = (
            batch_first,
            float(dropout),
            bidirectional,
            proj_size,
        )
        directions, gates = 2 if bidirectional else 1, _GATES[mode] * hidden_size
        out = proj_size or hidden_size
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                inner = input_size if layer == 0 else out * directions
                shapes: list[tuple[str, tuple[int, ...]]] = [("weight_ih", (gates, inner)), ("weight_hh", (gates, out))]
                shapes += [("bias_ih", (gates,)), ("bias_hh", (gates,))] if bias else []
                shapes += [("weight_hr", (proj_size, hidden_size))] if proj_size else []
                for name, shape in shapes:
                    self.register_parameter(f"{name}{suffix}", Parameter(empty(*shape, dtype=dtype)))
        self.reset_parameters()

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", *([f"_l{layer}_reverse"] if self.bidirectional else [])]

    def reset_parameters(self) -> None:
        """Draw new weights, uniform within 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: the compiler lays out memory."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """Parameters of each layer and direction."""
        names = [
            "weight_ih",
            "weight_hh",
            *(["bias_ih", "bias_hh"] if self.bias else []),
            *(["weight_hr"] if self.proj_size else []),
        ]
        return [
            [getattr(self, n + suffix) for n in names]
            for layer in range(self.num_layers)
            for suffix in self._suffixes(layer)
        ]

    def _run(self, x: Tensor, states: Sequence[Tensor], lengths: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """(T, N, ...) through all layers, from states (layers * directions, N, ...)."""
        weights = self.all_weights
        finals: list[list[Tensor]] = [[] for _ in states]
        place = 0
        for layer in range(self.num_layers):
            outs = []
            for direction in range(2 if self.bidirectional else 1):
                own = [s[place] for s in states]
                given = (x, *own, *weights[place], *(() if lengths is None else (lengths,)))
                out, *last = apply(
                    _layer, given, (self.mode, direction == 1, self.bias, bool(self.proj_size), lengths is not None)
                )
                outs.append(out)
                for f, v in zip(finals, last, strict=True):
                    f.append(v)
                place += 1
            x = outs[0] if len(outs) == 1 else cat(outs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [stack(f) for f in finals]

    def _start(self, x: Tensor, batch: int) -> list[Tensor]:
        layers = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size, *([self.hidden_size] if self.mode == "LSTM" else [])]
        return [zeros(layers, batch, size, dtype=x.dtype) for size in sizes]

    def _check(self, x: Tensor, states: Sequence[Tensor], batch: int) -> None:
        _check_dtypes(type(self).__name__, x, states, self.weight_ih_l0)
        if x.shape[-1] != self.input_size:
            raise TensorError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[-1]}"
            )
        for state, start in zip(states, self._start(x, batch), strict=True):
            if state.shape != start.shape:
                raise TensorError(f"Expected hidden size {tuple(start.shape)}, got {list(state.shape)}")

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(outputs of all steps, last states); input is (T, N, input_size), (N, T, ...) with `batch_first`, (T,
        input_size), or a `PackedSequence`.
        """
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if input.ndim not in (2, 3):
            raise ArgumentError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        alone = input.ndim == 2
        x = input.unsqueeze(1) if alone else input.transpose(0, 1) if self.batch_first else input
        states = (
            self._start(x, x.shape[1]) if hx is None else [s.unsqueeze(1) if alone else s for s in self._as_list(hx)]
        )
        self._check(x, states, x.shape[1])
        out, last = self._run(x, states, None)
        out = out.squeeze(1) if alone else out.transpose(0, 1) if self.batch_first else out
        return out, self._as_given([s.squeeze(1) if alone else s for s in last])

    def _packed(self, sequence: PackedSequence, hx: Any) -> Any:
        x, lengths = padded(sequence)
        order, back = sequence.sorted_indices, sequence.unsorted_indices
        states = (
            self._start(x, x.shape[1])
            if hx is None
            else [s if order is None else s.index_select(1, order) for s in self._as_list(hx)]
        )
        self._check(x, states, x.shape[1])
        out, last = self._run(x, states, lengths)
        last = last if back is None else [s.index_select(1, back) for s in last]
        return packed(out, sequence), self._as_given(last)

    def _as_list(self, hx: Any) -> list[Tensor]:
        return list(hx) if self.mode == "LSTM" else [hx]

    def _as_given(self, states: Sequence[Tensor]) -> Any:
        return tuple(states) if self.mode == "LSTM" else states[0]

    def extra_repr(self) -> str:
        """Sizes, and what is not the default."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        parts += [f"proj_size={self.proj_size}"] if self.proj_size else []
        parts += [f"num_layers={self.num_layers}"] if self.num_layers != 1 else []
        parts += ["bias=False"] if not self.bias else []
        parts += ["batch_first=True"] if self.batch_first else []
        parts += [f"dropout={self.dropout}"] if self.dropout else []
        parts += ["bidirectional=True"] if self.bidirectional else []
        return ", ".join(parts)


class RNN(RNNBase):
    """Elman's network: `tanh(x W + h U + b)`, or relu."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.__dict__["nonlinearity"] = nonlinearity
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory; states are (h, c).

    >>> import fdl.stateful as torch
    >>> out, (h, c) = torch.nn.LSTM(4, 8, batch_first=True)(torch.zeros(2, 5, 4))
    >>> out.shape, h.shape
    (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", input_size, hidden_size, *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent units."""

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("proj_size"):
            raise ArgumentError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", input_size, hidden_size, *args, **kwargs)


# Cells


def _cell_body(x: Any, *args: Any) -> Any:
    *given, mode, has_bias = args
    count = 2 if mode == "LSTM" else 1
    state, rest = tuple(given[:count]), given[count:]
    b_ih, b_hh = rest[2:] if has_bias else (None, None)
    return _next(mode, _product(x, rest[0], b_ih), state, rest[1], b_hh, None)


_cell = Function(_cell_body, "recurrent_cell")


class _Cell(Module):
    """One step of a recurrent layer."""

    mode: str

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates = _GATES[self.mode] * hidden_size
        self.weight_ih, self.weight_hh = (Parameter(empty(gates, n, dtype=dtype)) for n in (input_size, hidden_size))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(gates, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, uniform within 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def _step(self, input: Tensor, states: Sequence[Tensor] | None) -> tuple[Any, ...]:
        if input.ndim not in (1, 2):
            raise ArgumentError(f"{type(self).__name__}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        if input.shape[-1] != self.input_size:
            raise TensorError(f"input has inconsistent input_size: got {input.shape[-1]} expected {self.input_size}")
        shape = (*input.shape[:-1], self.hidden_size)
        count = 2 if self.mode == "LSTM" else 1
        given = [zeros(*shape, dtype=input.dtype) for _ in range(count)] if states is None else list(states)
        _check_dtypes(type(self).__name__, input, given, self.weight_ih)
        weights = [self.weight_ih, self.weight_hh, *([self.bias_ih, self.bias_hh] if self.bias else [])]
        return tuple(apply(_cell, (input, *given, *weights), (self.mode, self.bias)))

    def extra_repr(self) -> str:
        """Sizes."""
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return (
            f"{self.input_size}, {self.hidden_size}"
            + ("" if self.bias else ", bias=False")
            + (f", nonlinearity={nonlinearity}" if nonlinearity != "tanh" else "")
        )


class RNNCell(_Cell):
    """One step of `RNN`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise TensorError(f"Unknown nonlinearity: {nonlinearity}")
        self.__dict__["mode"] = f"RNN_{nonlinearity.upper()}"
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Any:
        """The next state."""
        return self._step(input, None if hx is None else [hx])[0]


class LSTMCell(_Cell):
    """One step of `LSTM`."""

    mode = "LSTM"

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next (h, c)."""
        return self._step(input, hx)


class GRUCell(_Cell):
    """One step of `GRU`."""

    mode = "GRU"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Any:
        """The next state."""
        return self._step(input, None if hx is None else [hx])[0]
