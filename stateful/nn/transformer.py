"""Attention with several heads, and the transformer of Vaswani et al., 2017: layers, stacks, and both together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from fdl.stateful.core.dtypes import of
from fdl.stateful.core.errors import ArgumentError, ExpectationError, TensorError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import empty, full, zeros
from fdl.stateful.functions.products import matmul
from fdl.stateful.functions.shapes import cat, triu
from fdl.stateful.nn import functional as F
from fdl.stateful.nn import init
from fdl.stateful.nn.containers import ModuleList
from fdl.stateful.nn.dropouts import Dropout
from fdl.stateful.nn.linear import Linear
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.normalization import LayerNorm
from fdl.stateful.nn.parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear`, as PyTorch calls the output projection of attention."""


def _additive(mask: Tensor | None, dtype: Any, name: str) -> Any:
    """A mask of bools (true: not seen) as numbers that are added; AssertionError for one of integers."""
    if mask is None or mask.dtype.is_floating_point:
        return mask
    if mask.dtype != of("bool"):
        raise ExpectationError(f"only bool and floating types of {name} are supported")
    return zeros(*mask.shape, dtype=dtype).masked_fill(mask, -math.inf)


def _merged(attn_mask: Tensor | None, key_padding_mask: Tensor | None, heads: int, dtype: Any) -> Any:
    """Both masks as one that is added to (N, heads, L, S)."""
    mask, padding = _additive(attn_mask, dtype, "attn_mask"), _additive(key_padding_mask, dtype, "key_padding_mask")
    if mask is not None and mask.ndim == 3:
        mask = mask.reshape(-1, heads, *mask.shape[1:])
    if padding is None:
        return mask
    padding = padding.reshape(padding.shape[0], 1, 1, padding.shape[1])
    return padding if mask is None else mask + padding


class MultiheadAttention(Module):
    """Attention of several heads, with learned projections in and out."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ArgumentError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and "
                f"num_heads={num_heads} instead"
            )
        self.embed_dim, self.kdim, self.vdim = (
            embed_dim,
            embed_dim if kdim is None else kdim,
            embed_dim if vdim is None else vdim,
        )
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads, self.dropout, self.batch_first, self.add_zero_attn = (
            num_heads,
            dropout,
            batch_first,
            add_zero_attn,
        )
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise ExpectationError(
                "embed_dim must be divisible by num_heads", why=f"they are {embed_dim} and {num_heads}"
            )
        same = self._qkv_same_embed_dim
        self.register_parameter(
            "in_proj_weight", Parameter(empty(3 * embed_dim, embed_dim, dtype=dtype)) if same else None
        )
        for name, size in (("q_proj_weight", embed_dim), ("k_proj_weight", self.kdim), ("v_proj_weight", self.vdim)):
            self.register_parameter(name, None if same else Parameter(empty(embed_dim, size, dtype=dtype)))
        self.register_parameter("in_proj_bias", Parameter(empty(3 * embed_dim, dtype=dtype)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, dtype=dtype)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, Parameter(empty(1, 1, embed_dim, dtype=dtype)) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for p in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if p is not None:
                init.xavier_uniform_(p)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for p in (self.bias_k, self.bias_v):
            if p is not None:
                init.xavier_normal_(p)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Any]:
        """Query, key and value in the space of the heads; one product where they are one tensor."""
        e, bias = self.embed_dim, self.in_proj_bias
        if self._qkv_same_embed_dim and query is key and key is value:
            return list(F.linear(query, self.in_proj_weight, bias).chunk(3, -1))
        weights = (
            list(self.in_proj_weight.chunk(3))
            if self._qkv_same_embed_dim
            else [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        )
        biases = [None] * 3 if bias is None else [bias[k * e : (k + 1) * e] for k in range(3)]
        return [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """(output, weights or None); operands are (L, N, E), (N, L, E) with `batch_first`, or (L, E). Masks say with
        true, or -inf, what is not seen.
        """
        if is_causal and attn_mask is None:
            raise TensorError("Need attn_mask if specifying the is_causal hint.")
        alone = query.ndim == 2
        same = query is key, key is value
        if alone:
            query = query.unsqueeze(1)
            key, value = query if same[0] else key.unsqueeze(1), None if same[1] else value.unsqueeze(1)
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            query = query.transpose(0, 1)
            key, value = query if same[0] else key.transpose(0, 1), None if same[1] else value.transpose(0, 1)
        value = key if value is None else value
        self._check(query, attn_mask, key.shape[0])
        length, batch, _ = query.shape
        if key_padding_mask is not None:
            for place, size in enumerate((batch, key.shape[0])):
                found = key_padding_mask.shape[place] if key_padding_mask.ndim == 2 else None
                assert found == size, (
                    f"Expected key_padding_mask.shape[{place}] to be {size}, but got {found}: "
                    f"its shape is {tuple(key_padding_mask.shape)}, of (batch, keys)"
                )
        q, k, v = self._projected(query, key, value)
        k, v, attn_mask, key_padding_mask = self._extended(k, v, attn_mask, key_padding_mask)
        q, k, v = (x.reshape(x.shape[0], batch, self.num_heads, self.head_dim).permute(1, 2, 0, 3) for x in (q, k, v))
        mask = _merged(attn_mask, key_padding_mask, self.num_heads, q.dtype)
        drop = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = matmul(q * math.sqrt(1.0 / self.head_dim), k.transpose(-2, -1))
            weights = F.dropout(F.softmax(scores if mask is None else scores + mask, -1), drop)
            out = matmul(weights, v)
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            out = F.scaled_dot_product_attention(q, k, v, mask, drop)
        out = out.permute(2, 0, 1, 3).reshape(length, batch, self.embed_dim)
        out = F.linear(out, self.out_proj.weight, self.out_proj.bias)  # not a call, which would run its hooks
        if alone:
            return out.squeeze(1), None if weights is None else weights.squeeze(0)
        return (out.transpose(0, 1) if self.batch_first else out), weights

    def _check(self, query: Any, attn_mask: Any, keys: int) -> None:
        length, batch, width = query.shape
        if width != self.embed_dim:
            raise ExpectationError(f"was expecting embedding dimension of {self.embed_dim}, but got {width}")
        if attn_mask is not None and attn_mask.ndim == 2 and tuple(attn_mask.shape) != (length, keys):
            raise TensorError(f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be {(length, keys)}.")
        if (
            attn_mask is not None
            and attn_mask.ndim == 3
            and tuple(attn_mask.shape) != (batch * self.num_heads, length, keys)
        ):
            raise TensorError(
                f"The shape of the 3D attn_mask is {attn_mask.shape}, "
                f"but should be {(batch * self.num_heads, length, keys)}."
            )

    def _extended(self, k: Any, v: Any, mask: Any, padding: Any) -> tuple[Any, Any, Any, Any]:
        """Keys and values with a learned one and a zero one at the end, where wanted, which everybody sees."""
        more = []
        if self.bias_k is not None:
            more.append((self.bias_k.expand(1, k.shape[1], -1), self.bias_v.expand(1, v.shape[1], -1)))
        if self.add_zero_attn:
            more.append((k.new_zeros(1, *k.shape[1:]), v.new_zeros(1, *v.shape[1:])))
        for a, b in more:
            k, v = cat([k, a]), cat([v, b])
            mask = None if mask is None else F.pad(mask, (0, 1))
            padding = None if padding is None else F.pad(padding, (0, 1))
        return k, v, mask, padding


# The transformer


def _get_activation_fn(activation: Any) -> Callable[..., Any]:
    if activation in ("relu", "gelu"):
        return F.relu if activation == "relu" else F.gelu
    if isinstance(activation, str):
        raise TensorError(f"activation should be relu/gelu, not {activation}")
    return activation  # type: ignore[no-any-return]


def _causal(mask: Any, is_causal: bool | None) -> bool:
    return bool(is_causal)


class TransformerEncoderLayer(Module):
    """Attention and two linear layers, each with a residual and a norm, after it or, with `norm_first`, before it."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        self.norm1, self.norm2 = (LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype) for _ in range(2))
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _get_activation_fn(activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Any:
        """The same shape."""
        x: Any = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), src_mask, src_key_padding_mask)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, src_mask, src_key_padding_mask))
        return self.norm2(x + self._ff_block(x))

    def _sa_block(self, x: Any, attn_mask: Any, key_padding_mask: Any) -> Any:
        return self.dropout1(self.self_attn(x, x, x, key_padding_mask, False, attn_mask)[0])

    def _ff_block(self, x: Any) -> Any:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoderLayer(Module):
    """As the encoder's layer, with attention to the encoder's output in between."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        self.norm1, self.norm2, self.norm3 = (
            LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype) for _ in range(3)
        )
        self.dropout1, self.dropout2, self.dropout3 = (Dropout(dropout) for _ in range(3))
        self.activation = _get_activation_fn(activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """The shape of `tgt`."""
        x: Any = tgt
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), tgt_mask, tgt_key_padding_mask)
            x = x + self._mha_block(self.norm2(x), memory, memory_mask, memory_key_padding_mask)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, tgt_mask, tgt_key_padding_mask))
        x = self.norm2(x + self._mha_block(x, memory, memory_mask, memory_key_padding_mask))
        return self.norm3(x + self._ff_block(x))

    def _sa_block(self, x: Any, attn_mask: Any, key_padding_mask: Any) -> Any:
        return self.dropout1(self.self_attn(x, x, x, key_padding_mask, False, attn_mask)[0])

    def _mha_block(self, x: Any, memory: Any, attn_mask: Any, key_padding_mask: Any) -> Any:
        return self.dropout2(self.multihead_attn(x, memory, memory, key_padding_mask, False, attn_mask)[0])

    def _ff_block(self, x: Any) -> Any:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))


def _copies(layer: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class TransformerEncoder(Module):
    """Copies of a layer in a row."""

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Any:
        """The same shape."""
        out: Any = src
        for layer in self.layers:
            out = layer(
                out, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=_causal(mask, is_causal)
            )
        return out if self.norm is None else self.norm(out)


class TransformerDecoder(Module):
    """Copies of a layer in a row, each of which sees the encoder's output."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """The shape of `tgt`."""
        out: Any = tgt
        for layer in self.layers:
            out = layer(out, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return out if self.norm is None else self.norm(out)


class Transformer(Module):
    """Encoder and decoder."""

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        settings = (
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            batch_first,
            norm_first,
            bias,
            None,
            dtype,
        )
        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*settings),
            num_encoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype),
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*settings),
            num_decoder_layers,
            LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype),
        )
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """The shape of `tgt`."""
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise TensorError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask)
        return self.decoder(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Any:
        """-inf above the diagonal: nobody sees what comes later."""
        return triu(full((sz, sz), -math.inf, dtype=dtype or of("float32")), 1)
