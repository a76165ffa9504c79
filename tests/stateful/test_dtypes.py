"""Result types of functions that move, choose, add up or compare, for all dtypes, and what is refused: PyTorch's
(2.13), recorded from it.
"""

import numpy as np
import pytest

import fdl.stateful as torch
import fdl.stateful.nn as nn
import fdl.stateful.nn.functional as F

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")


def numbers(name, first=0):
    values = [(i * 7 + first) % 5 for i in range(12)]
    return torch.tensor([v > 2 for v in values] if name == "bool" else values, dtype=getattr(torch, name)).reshape(3, 4)


def index(*values):
    return torch.tensor(list(values))


KEPT = {
    "tril": lambda x, y: x.tril(),
    "triu": lambda x, y: x.triu(1),
    "tril_": lambda x, y: x.clone().tril_(),
    "roll": lambda x, y: x.roll(1, 0),
    "flip": lambda x, y: x.flip(0),
    "where": lambda x, y: torch.where(x > 1, x, y),
    "diag": lambda x, y: torch.diag(x[0]),
    "diag_embed": lambda x, y: torch.diag_embed(x),
    "diagflat": lambda x, y: x.diagflat(),
    "pad": lambda x, y: F.pad(x, (1, 1)),
    "cat": lambda x, y: torch.cat([x, y]),
    "stack": lambda x, y: torch.stack([x, y]),
    "masked_fill": lambda x, y: x.masked_fill(x > 1, 1),
    "repeat_interleave": lambda x, y: x.repeat_interleave(2),
    "unfold": lambda x, y: x.unfold(0, 2, 1),
    "sort": lambda x, y: torch.sort(x)[0],
    "max": lambda x, y: x.max(),
    "min": lambda x, y: x.min(1)[0],
    "amax": lambda x, y: x.amax(1),
    "amin": lambda x, y: x.amin(0),
    "aminmax": lambda x, y: x.aminmax()[1],
    "cummax": lambda x, y: x.cummax(0)[0],
    "cummin": lambda x, y: x.cummin(1)[0],
    "scatter": lambda x, y: x.scatter(0, index(0, 0, 0, 0)[None], y),
    "scatter value": lambda x, y: x.scatter(0, index(0, 0)[None], 1),
    "scatter_add": lambda x, y: x.scatter_add(0, index(0, 1, 0, 2)[None], y),
    "scatter_reduce": lambda x, y: x.scatter_reduce(0, index(0, 1, 2, 0)[None], y, "prod"),
    "gather": lambda x, y: x.gather(0, index(2, 1)[None]),
    "index_select": lambda x, y: x.index_select(1, index(1, 0)),
    "index_add": lambda x, y: x.index_add(0, index(1, 0, 1), y),
    "index_copy": lambda x, y: x.index_copy(0, index(1, 0, 2), y),
    "index_fill": lambda x, y: x.index_fill(0, index(1), 1),
    "index_put": lambda x, y: x.index_put((index(1, 0),), y[:2]),
    "take": lambda x, y: x.take(index(1, 5)),
    "put": lambda x, y: x.put(index(1, 2), y[0, :2]),
    "masked_select": lambda x, y: x.masked_select(x > 1),
    "rot90": lambda x, y: x.rot90(),
    "masked_scatter": lambda x, y: x.masked_scatter(x > 1, y),
    "unique": lambda x, y: x.unique(),
    "outer": lambda x, y: torch.outer(x[0], y[0]),
    "kron": lambda x, y: torch.kron(x, y),
    "sign": lambda x, y: x.sign(),
    "sgn": lambda x, y: x.sgn(),
    "abs": lambda x, y: x.abs(),
    "heaviside": lambda x, y: torch.heaviside(x, y),
    "maximum": lambda x, y: torch.maximum(x, y),
    "select_scatter": lambda x, y: x.select_scatter(y[0], 0, 1),
    "block_diag": lambda x, y: torch.block_diag(x, y),
    "diagonal": lambda x, y: x.diagonal(1),
    "as_strided": lambda x, y: x.as_strided((2,), (3,)),
}


@pytest.mark.parametrize("name", KEPT)
def test_functions_that_keep_the_dtype(name):
    for d in DTYPES:
        if (name, d) in (("abs", "bool"),):
            continue
        assert KEPT[name](numbers(d), numbers(d, 1)).dtype == getattr(torch, d), d


def test_masks_of_triangles():
    mask = torch.ones(2, 2, dtype=torch.bool).tril()
    assert (~mask).tolist() == [[False, True], [False, False]] and torch.arange(4).reshape(2, 2)[mask].tolist() == [
        0,
        2,
        3,
    ]


TYPES = {  # the result for bool, uint8, int16, float16, float32
    "cumsum": (lambda x: x.cumsum(0), "int64 int64 int64 float16 float32"),
    "prod": (lambda x: x.prod(1), "int64 int64 int64 float16 float32"),
    "sum": (lambda x: x.sum(), "int64 int64 int64 float16 float32"),
    "cumprod": (lambda x: x.cumprod(0), "int64 int64 int64 float16 float32"),
    "all": (lambda x: x.all(0), "bool uint8 bool bool bool"),
    "any": (lambda x: x.any(), "bool uint8 bool bool bool"),
    "square": (lambda x: x.square(), "int64 uint8 int16 float16 float32"),
    "pow 2": (lambda x: x**2, "int64 uint8 int16 float16 float32"),
    "vander": (lambda x: torch.vander(x[0]), "int64 int64 int64 float16 float32"),
    "masked_fill 0.5": (lambda x: x.float().masked_fill(x > 1, 0.5), "float32 float32 float32 float32 float32"),
    "count": (lambda x: x.count_nonzero(), "int64 int64 int64 int64 int64"),
}


@pytest.mark.parametrize("name", TYPES)
def test_functions_that_widen(name):
    f, wanted = TYPES[name]
    assert [str(f(numbers(d)).dtype) for d in ("bool", "uint8", "int16", "float16", "float32")] == [
        f"torch.{w}" for w in wanted.split()
    ]


def test_values_of_bools():
    x, y = torch.tensor([True, False, True]), torch.tensor([True, True, False])
    assert torch.outer(x, y).tolist() == [[True, True, False], [False, False, False], [True, True, False]]
    assert x.cummin(0)[0].tolist() == [True, False, False] and torch.kron(x[:2], y[1:]).tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert (
        torch.zeros(2, dtype=torch.bool).index_add(0, torch.tensor([0, 0, 1]), x).tolist() == [True, True]
        and torch.allclose(x, x)
        and (x**2).tolist() == [1, 0, 1]
    )
    assert torch.bincount(torch.tensor([4, 1, 1], dtype=torch.uint8)).tolist() == [0, 2, 0, 0, 1]


def test_what_bools_refuse():
    x = torch.tensor([True, False])
    for f in (lambda: x - x, lambda: 1 - x, lambda: 1.0 - x, lambda: x - 1):
        with pytest.raises(
            RuntimeError,
            match=r"Subtraction, the `-` operator, with a bool tensor is not supported|with two bool tensors",
        ):
            f()
    with pytest.raises(RuntimeError, match="result type Long can't be cast to the desired output type Bool"):
        x.mul_(2)
    with pytest.raises(RuntimeError, match="not supported"):
        x.__pos__()
    with pytest.raises(RuntimeError, match="Boolean inputs not supported for relu"):
        x.relu()


def test_masks_of_integers():
    q = torch.ones(1, 1, 2, 4)
    for d in (torch.int64, torch.uint8, torch.float64):
        with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or float or to match query dtype"):
            F.scaled_dot_product_attention(q, q, q, torch.ones(2, 2, dtype=d))
    assert F.scaled_dot_product_attention(q.double(), q.double(), q.double(), torch.ones(2, 2)).dtype == torch.float64
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.ones(1, 2, 4)
    for mask in (
        {"attn_mask": torch.ones(2, 2, dtype=torch.int64)},
        {"key_padding_mask": torch.ones(1, 2, dtype=torch.uint8)},
    ):
        with pytest.raises(AssertionError, match=f"only bool and floating types of {next(iter(mask))} are supported"):
            attention(x, x, x, **mask)
    assert np.isfinite(attention(x, x, x, attn_mask=torch.eye(2, dtype=torch.bool))[0].detach().numpy()).all()


def test_sources_of_another_dtype():
    """What would be cut off in silence is refused; numbers fit all."""
    whole, place = torch.zeros(3, dtype=torch.int64), torch.tensor([0])
    part = torch.tensor([1.5])
    for f, message in (
        (
            lambda: whole.__setitem__(place, part),
            (
                "Index put requires the source and destination dtypes match, got Long for the destination and Float "
                "for the source"
            ),
        ),
        (lambda: whole.index_put_((place,), part), "Index put requires the source"),
        (lambda: whole.scatter_(0, place, part), r"scatter\(\): Expected self.dtype to be equal to src.dtype"),
        (lambda: whole.scatter_add_(0, place, part), r"scatter\(\): Expected self.dtype"),
        (
            lambda: whole.index_add_(0, place, part),
            r"self \(Long\) and source \(Float\) must have the same scalar type",
        ),
        (lambda: whole.index_copy_(0, place, part), r"got \(self\) Long and \(source\) Float"),
        (lambda: whole.put_(place, part), "got self.dtype = Long and source.dtype = Float"),
        (lambda: whole.masked_scatter_(whole == 0, part), "expected self and source to have same dtypes"),
        (lambda: torch.where(whole, part, part), "where expected condition to be a boolean tensor"),
        (lambda: part.masked_fill(place, 2.0), "masked_fill_ only supports boolean masks"),
        (lambda: part.masked_select(place), "masked_select: expected BoolTensor for mask"),
    ):
        with pytest.raises(RuntimeError, match=message):
            f()
    whole[place] = 2.5
    whole[1:2] = part
    assert whole.tolist() == [2, 1, 0]
    assert torch.arange(3)[torch.tensor([1, 0, 1], dtype=torch.uint8)].tolist() == [0, 2]  # bytes are masks
