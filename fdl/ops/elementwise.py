"""Elementwise operations: one declarative row each.

A row is a NumPy function, the dtypes it takes, and a derivative for each operand; shape, jvp, transpose, batching,
lowering and the public function are derived from it. To add one: add its row here and, where its formula is new, its
spelling in `lowering/ir/spellings.py`. Derivatives are written with the functions of this file, so that they
differentiate in turn; they are derivatives of holomorphic functions where these take complex numbers. How an operation
on complex numbers is worked out in real ones says its `parts` (`parts.py`), here or in `complexes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray
from fdl.core.dtypes import DType
from fdl.core.errors import DtypeError
from fdl.core.graph import ArrayLike, Literal
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of, recall
from fdl.ops.axes import broadcast, broadcast_to, full, match, reduce_sum, sum_to
from fdl.ops.parts import Parts, Rule, componentwise, joined
from fdl.ops.promotion import aligned, as_operand, broadcast_shapes, cast, promote, same_or_scalar
from fdl.ops.sample import Sample, Spec, c64, f32, i32, of

# tangent of one operand, given its tangent, the result and all operands; None where it does not depend on it
Derivative = Callable[..., Any]

_SAMPLE_DTYPES = {
    dtypes.FLOATS: ("float32", "float64", "bfloat16", "float16"),
    dtypes.NUMBERS: ("float32", "float64", "bfloat16", "int32", "uint8"),
    dtypes.REAL: ("float32", "float64", "bfloat16", "int32", "uint8", "bool"),
    dtypes.INTEGERS: ("int32", "uint8", "int64"),
    dtypes.INEXACT: ("float32", "float64", "bfloat16", "float16", "complex64", "complex128"),
    (*dtypes.NUMBERS, *dtypes.COMPLEX): ("float32", "float64", "bfloat16", "int32", "uint8", "complex64", "complex128"),
    dtypes.ALL: ("float32", "float64", "bfloat16", "int32", "uint8", "bool", "complex64", "complex128"),
}


def elementwise(
    name: str,
    impl: Callable[..., Any],
    takes: Sequence[DType],
    *derivatives: Derivative | None,
    arity: int = 1,
    result: DType | Callable[[DType], DType] | None = None,
    linear: tuple[int, ...] = (),
    transposes: Sequence[Callable[[Any], Any]] = (),
    domain: tuple[float, float] = (-2.0, 2.0),
    parts: Rule | None = None,
    doc: str,
) -> Callable[..., Array]:
    """Declare one operation and return its public function, which promotes and broadcasts.

    `takes` are the dtypes of the operands, `result` is the result's where it differs, or the function from the
    operands' to it. `linear` names the operands that the operation is linear in (jointly, if `add`-like; one at a time,
    if product-like); their cotangents are the derivatives applied to the result's, unless `transposes` says what they
    are. `domain` is where samples lie, `parts` the rule for complex numbers.
    """
    primitive = Primitive(name)
    derivatives = derivatives or (None,) * arity
    of_complex = callable(result) or set(takes) <= set(dtypes.COMPLEX)  # always, so that it has no spelling

    typed = result if callable(result) else lambda dtype: result or dtype

    def shape(*avals: ShapedArray) -> ShapedArray:
        out = same_or_scalar(name, avals)
        if out.dtype not in takes:
            names = ", ".join(d.name for d in takes)
            raise DtypeError(
                f"{name}: dtype {out.dtype.name} is not supported", why=f"it takes {names}", hint="x.astype(...)"
            )
        weak = out.weak_type and (result is None or callable(result))
        return out.update(dtype=typed(out.dtype), weak_type=weak)

    def jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        out = primitive.bind(*primals)
        terms = [
            d(t, out, *primals)
            for d, t in zip(derivatives, tangents, strict=True)
            if d is not None and type(t) is not Zero
        ]
        if not terms:
            return out, Zero(aval_of(out))
        tangent = terms[0] if len(terms) == 1 else add(*terms)
        return out, match(tangent, aval_of(out))

    def transpose(ct: Any, operands: Sequence[Any]) -> list[Any]:
        cts: list[Any] = []
        for i, (d, x) in enumerate(zip(derivatives, operands, strict=True)):
            if not is_linear(x):
                cts.append(None)
                continue
            assert d is not None, name
            out = transposes[i](ct) if transposes else d(ct, None, *operands)
            cts.append(out if aval_of(out).shape == x.aval.shape else reduce_sum(out, range(aval_of(out).ndim)))
        return cts

    def batch(axis: Any, args: Sequence[Any], batched: Sequence[bool]) -> tuple[Any, Any]:
        return primitive.bind(*_aligned(axis, args, batched)), True

    primitive.define(
        shape=shape,
        impl=lambda *xs: np.asarray(impl(*xs), typed(xs[0].dtype)),
        jvp=jvp,
        batch=batch,
        samples=_samples(name, takes, arity, domain),
        **({"transpose": transpose} if linear else {}),
        **({"parts": parts} if parts else {}),
        **({} if of_complex else {"lower": lambda b, *xs: b.map(name, *xs, dtype=result)}),
    ).register()
    return _public(primitive, arity, set(takes) <= set(dtypes.INEXACT), doc)


def _public(primitive: Primitive, arity: int, of_floats: bool, doc: str) -> Callable[..., Array]:
    """The function of `arity` operands that users call: it promotes and broadcasts; with `of_floats` integers too."""
    name = primitive.name

    def function(*xs: Any) -> Array:
        if len(xs) != arity:
            raise TypeError(f"{name}: expected {arity} operands, got {len(xs)}")
        known = recall(primitive, xs)  # what ran before was aligned
        if known is None or (known[0].aval.weak_type and not any(isinstance(x, Array) for x in xs)):
            return primitive.bind(*aligned(name, xs, of_floats))  # of numbers alone, the width may be another one
        out: Array = known[0]
        return out

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.primitive = primitive  # type: ignore[attr-defined]
    return function


def _aligned(axis: Any, args: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Operands for the batched operation: each of the one batched shape, or 0-d."""
    element_shapes = [aval_of(x).shape[b:] for x, b in zip(args, batched, strict=True)]
    full = max(element_shapes, key=len)
    return [_align(x, b, (axis.size, *full)) for x, b in zip(args, batched, strict=True)]


def _align(x: Any, is_batched: bool, shape: tuple[Any, ...]) -> Array:
    """An operand for the batched operation: whole, or 0-d where it is an unbatched scalar."""
    if not is_batched:
        return x if aval_of(x).ndim == 0 else broadcast(x, shape, range(1, len(shape)))
    return broadcast(x, shape, (0,)) if aval_of(x).ndim == 1 < len(shape) else x


def _samples(name: str, takes: Sequence[DType], arity: int, domain: tuple[float, float]) -> list[Sample]:
    names = _SAMPLE_DTYPES.get(takes, tuple(d.name for d in takes))  # type: ignore[call-overload]
    low, high = domain
    samples = []
    for dtype in map(dtypes.canonical, names):
        lo = max(low, 0) if dtype in dtypes.UNSIGNED else low
        samples.append(Sample(tuple(Spec((3, 5), dtype, lo, high + 0.25 * i) for i in range(arity))))
    first = dtypes.canonical(names[0])
    samples.append(Sample(tuple(Spec((0,), first, low, high) for _ in range(arity))))
    if arity == 2:
        samples.append(Sample((Spec((4,), first, low, high), Spec((), first, low, high))))
        samples.append(Sample((Spec((), first, low, high), Spec((2, 1), first, low, high))))
        samples.append(Sample((Spec((3,), first), Spec((4,), first)), fails=TypeError))
    return samples


F, N, I = dtypes.FLOATS, dtypes.NUMBERS, dtypes.INTEGERS
B = (dtypes.bool_, *dtypes.INTEGERS)
R, A = dtypes.REAL, dtypes.ALL
Z, NZ = dtypes.INEXACT, (*dtypes.NUMBERS, *dtypes.COMPLEX)  # with complex numbers

# arithmetic

add: Callable[..., Array] = elementwise(
    "add",
    np.add,
    A,
    lambda t, y, a, b: t,
    lambda t, y, a, b: t,
    arity=2,
    linear=(0, 1),
    parts=lambda a, b: Parts(add(a.re, b.re), add(a.im, b.im)),
    doc="`a + b`; of bools, whether one holds.",
)
sub: Callable[..., Array] = elementwise(
    "sub", np.subtract, NZ, lambda t, y, a, b: t, lambda t, y, a, b: neg(t), arity=2, linear=(0, 1),
    parts=lambda a, b: Parts(sub(a.re, b.re), sub(a.im, b.im)),
    doc="`a - b`.",
)  # fmt: skip


def product(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The product of ndarrays: of complex ones rounded after each operation, which NumPy does on some machines."""
    if not dtypes.is_complex(a.dtype):
        return np.asarray(np.multiply(a, b))
    return joined(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)


def product_of_parts(a: Parts, b: Parts) -> Parts:
    """The product of complex numbers: two products and a sum each."""
    return Parts(sub(mul(a.re, b.re), mul(a.im, b.im)), add(mul(a.re, b.im), mul(a.im, b.re)))


mul: Callable[..., Array] = elementwise(
    "mul",
    product,
    A,
    lambda t, y, a, b: mul(t, b),
    lambda t, y, a, b: mul(a, t),
    arity=2,
    linear=(0, 1),
    parts=product_of_parts,
    doc="`a * b`; of bools, whether both hold.",
)
neg: Callable[..., Array] = elementwise(
    "neg", np.negative, NZ, lambda t, y, x: neg(t), linear=(0,),
    parts=lambda z: Parts(neg(z.re), neg(z.im)),
    doc="`-x`; unsigned integers wrap.",
)  # fmt: skip


def _complex_quotient(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Smith's quotient (1962), as NumPy's: by the larger part of the divisor, so that no square overflows."""
    real = np.abs(b.real) >= np.abs(b.imag)
    large, small = np.where(real, b.real, b.imag), np.where(real, b.imag, b.real)
    nothing = (large == 0) & (small == 0)
    ratio = small / large
    scale = 1 / (large + small * ratio)
    first, second = np.where(real, a.real, a.imag), np.where(real, a.imag, a.real)
    crossed = np.where(real, second - first * ratio, first * ratio - second)
    zero = np.abs(b.real)
    return joined(
        np.where(nothing, a.real / zero, (first + second * ratio) * scale),
        np.where(nothing, a.imag / zero, crossed * scale),
    )


def quotient_of_parts(a: Parts, b: Parts) -> Parts:
    """The quotient of complex numbers, as `_complex_quotient`."""
    real = greater_equal(abs(b.re), abs(b.im))
    large, small = select(real, b.re, b.im), select(real, b.im, b.re)
    nothing = bitwise_and(equal(large, 0), equal(small, 0))
    ratio = div(small, large)
    scale = div(1, add(large, mul(small, ratio)))
    first, second = select(real, a.re, a.im), select(real, a.im, a.re)
    crossed = select(real, sub(second, mul(first, ratio)), sub(mul(first, ratio), second))
    zero = abs(b.re)
    return Parts(
        select(nothing, div(a.re, zero), mul(add(first, mul(second, ratio)), scale)),
        select(nothing, div(a.im, zero), mul(crossed, scale)),
    )


def _div(
    a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]
) -> Any:  # ufuncs are not typed: an array, or a scalar of 0-d arrays
    if dtypes.is_complex(a.dtype):
        return _complex_quotient(a, b)
    if dtypes.is_float(a.dtype):
        return np.divide(a, b)
    info = np.iinfo(a.dtype)
    if info.min == 0:
        return np.where(b == 0, info.max, np.floor_divide(a, np.where(b == 0, 1, b).astype(a.dtype)))
    overflow = (a == info.min) & (b == -1)
    safe = np.where((b == 0) | overflow, 1, b).astype(a.dtype)
    return np.where(b == 0, -1, np.where(overflow, a, _trunc_div(a, safe)))


def _trunc_div(
    a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]
) -> Any:  # ufuncs are not typed: an array, or a scalar of 0-d arrays
    """Integer quotient rounded towards zero."""
    floor = np.floor_divide(a, b)
    return floor + ((np.remainder(a, b) != 0) & ((a < 0) != (b < 0)))


def _rem(
    a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]
) -> Any:  # ufuncs are not typed: an array, or a scalar of 0-d arrays
    if dtypes.is_float(a.dtype):
        return np.fmod(a, b)
    safe = np.where(b == 0, 1, b).astype(a.dtype)
    if np.iinfo(a.dtype).min:  # by -1 nothing remains, and the machine's division would overflow
        safe = np.where(safe == -1, 1, safe)
    return np.where(b == 0, a, np.fmod(a, safe))


div: Callable[..., Array] = elementwise(
    "div", _div, NZ, lambda t, y, a, b: div(t, b), lambda t, y, a, b: neg(div(mul(t, y), b)), arity=2, linear=(0,),
    domain=(0.5, 3.0), parts=quotient_of_parts,
    doc="`a / b`; integers truncate towards zero, and a quotient by 0 is -1, or the largest value where unsigned.",
)  # fmt: skip
rem: Callable[..., Array] = elementwise(
    "rem", _rem, N, lambda t, y, a, b: t,
    lambda t, y, a, b: neg(mul(t, round_even(div(sub(a, y), b)))),  # `a / b` itself may round up to a whole number
    arity=2, domain=(0.5, 3.0),
    doc="The remainder of `a / b` with the sign of `a`, as C's fmod; integers: `a` where `b` is 0.",
)  # fmt: skip


def _extreme_of_parts(beyond: Callable[..., Array]) -> Rule:
    """The number whose real part lies beyond the other's, of equal ones the imaginary part; the first with a NaN."""

    def parts(a: Parts, b: Parts) -> Parts:
        ahead = bitwise_or(beyond(a.re, b.re), bitwise_and(equal(a.re, b.re), bitwise_not(beyond(b.im, a.im))))
        first = bitwise_or(is_nan_part(a), bitwise_and(ahead, bitwise_not(is_nan_part(b))))
        return Parts(select(first, a.re, b.re), select(first, a.im, b.im))

    return parts


def is_nan_part(z: Parts) -> Array:
    """Whether one of the parts is NaN."""
    return bitwise_or(not_equal(z.re, z.re), not_equal(z.im, z.im))


maximum: Callable[..., Array] = elementwise(
    "max",
    np.maximum,
    A,
    lambda t, y, a, b: mul(t, _share(a, b, y)),
    lambda t, y, a, b: mul(t, _share(b, a, y)),
    arity=2,
    parts=_extreme_of_parts(lambda a, b: greater(a, b)),
    doc="The larger one, of complex numbers by real, then by imaginary parts; NaN where either is. At a tie both get "
    "half of the gradient.",
)
minimum: Callable[..., Array] = elementwise(
    "min",
    np.minimum,
    A,
    lambda t, y, a, b: mul(t, _share(a, b, y)),
    lambda t, y, a, b: mul(t, _share(b, a, y)),
    arity=2,
    parts=_extreme_of_parts(lambda a, b: less(a, b)),
    doc="The smaller one, of complex numbers by real, then by imaginary parts; NaN where either is. At a tie both get "
    "half of the gradient.",
)
abs: Callable[..., Array] = elementwise(
    "abs", np.abs, N, lambda t, y, x: mul(t, sign(x)), doc="The absolute value; its derivative at 0 is 0."
)
sign: Callable[..., Array] = elementwise(
    "sign", lambda x: np.where(x == 0, x, np.sign(x)), N, None, doc="-1 or 1, and x where it is a zero or NaN."
)


def _share(a: Any, b: Any, y: Any) -> Array:
    """Share of the gradient that `a` gets where `y` is max or min of a and b."""
    dtype = aval_of(y).dtype
    one, half, zero = (cast(as_operand(v), dtype) for v in (1.0, 0.5, 0.0))
    return select(equal(a, b), half, select(equal(a, y), one, zero))


# rounding

sqrt: Callable[..., Array] = elementwise(
    "sqrt", np.sqrt, Z, lambda t, y, x: div(t, mul(y, 2)), domain=(0.2, 4.0), doc="Square root."
)
floor: Callable[..., Array] = elementwise("floor", np.floor, F, None, doc="The largest whole number not above x.")
ceil: Callable[..., Array] = elementwise("ceil", np.ceil, F, None, doc="The smallest whole number not below x.")
trunc: Callable[..., Array] = elementwise("trunc", np.trunc, F, None, doc="x without its fraction.")
round_even: Callable[..., Array] = elementwise(
    "round", np.rint, F, None, doc="The nearest whole number; halves go to the even one."
)
is_finite: Callable[..., Array] = elementwise(
    "is_finite", np.isfinite, F, None, result=dtypes.bool_, doc="Whether x is neither infinite nor NaN."
)

# comparison

equal: Callable[..., Array] = elementwise(
    "eq", np.equal, A, None, None, arity=2, result=dtypes.bool_,
    parts=lambda a, b: bitwise_and(equal(a.re, b.re), equal(a.im, b.im)),
    doc="`a == b`.",
)  # fmt: skip
not_equal: Callable[..., Array] = elementwise(
    "ne", np.not_equal, A, None, None, arity=2, result=dtypes.bool_,
    parts=lambda a, b: bitwise_or(not_equal(a.re, b.re), not_equal(a.im, b.im)),
    doc="`a != b`.",
)  # fmt: skip
less: Callable[..., Array] = elementwise("lt", np.less, R, None, None, arity=2, result=dtypes.bool_, doc="`a < b`.")
less_equal: Callable[..., Array] = elementwise(
    "le", np.less_equal, R, None, None, arity=2, result=dtypes.bool_, doc="`a <= b`."
)
greater: Callable[..., Array] = elementwise(
    "gt", np.greater, R, None, None, arity=2, result=dtypes.bool_, doc="`a > b`."
)
greater_equal: Callable[..., Array] = elementwise(
    "ge", np.greater_equal, R, None, None, arity=2, result=dtypes.bool_, doc="`a >= b`."
)

# bits


def _shift(f: Callable[..., Any]) -> Callable[..., np.ndarray[Any, Any]]:
    """A shift that gives all zeros (or signs) for amounts beyond the width, where C and NumPy leave it open."""

    def shift(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        bits = a.dtype.itemsize * 8
        outside = (b < 0) | (b >= bits)
        inside = f(a, np.where(outside, 0, b).astype(a.dtype))
        beyond = np.where(a < 0, -1, 0) if f is np.right_shift and np.iinfo(a.dtype).min else 0
        return np.where(outside, beyond, inside)

    return shift


bitwise_and: Callable[..., Array] = elementwise(
    "and", np.bitwise_and, B, None, None, arity=2, doc="Bitwise, or logical for bool."
)
bitwise_or: Callable[..., Array] = elementwise(
    "or", np.bitwise_or, B, None, None, arity=2, doc="Bitwise, or logical for bool."
)
bitwise_xor: Callable[..., Array] = elementwise(
    "xor", np.bitwise_xor, B, None, None, arity=2, doc="Bitwise, or logical for bool."
)
bitwise_not: Callable[..., Array] = elementwise("not", np.invert, B, None, doc="Bitwise, or logical for bool.")
shift_left: Callable[..., Array] = elementwise(
    "shift_left",
    _shift(np.left_shift),
    I,
    None,
    None,
    arity=2,
    domain=(0, 9),
    doc="`a << b`; 0 where b is outside of the width.",
)
shift_right: Callable[..., Array] = elementwise(
    "shift_right",
    _shift(np.right_shift),
    I,
    None,
    None,
    arity=2,
    domain=(0, 9),
    doc="`a >> b`, keeping the sign of signed integers.",
)


# select, integer power, identities that derivatives or passes see


def select(pred: ArrayLike, on_true: ArrayLike, on_false: ArrayLike) -> Array:
    """`on_true` where the condition holds, else `on_false`.

    >>> import fdl.numpy as jnp
    >>> select(jnp.array([True, False]), 1.0, 2.0).tolist()
    [1.0, 2.0]
    """
    pred = as_operand(pred)
    if aval_of(pred).dtype != dtypes.bool_:
        pred = not_equal(pred, 0)
    values = promote(on_true, on_false)
    operands = [pred, *values]
    shapes = [x.aval.shape for x in operands]
    target = broadcast_shapes(shapes, "where")
    return select_p.bind(*[x if x.aval.shape == () else broadcast_to(x, target) for x in operands])


def _select_shape(condition: ShapedArray, a: ShapedArray, b: ShapedArray) -> ShapedArray:
    if condition.dtype != dtypes.bool_:
        raise DtypeError(f"select: the condition has dtype {condition.dtype.name}, not bool", hint="x != 0")
    values = same_or_scalar("select", [a, b])
    shape = same_or_scalar("select", [condition, values.update(dtype=dtypes.bool_)]).shape
    return values.update(shape=shape)


def _select_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    out = select_p.bind(*primals)
    aval = aval_of(out)
    if not dtypes.is_inexact(aval.dtype):
        return out, Zero(aval)
    zero = Literal(0, aval.dtype, aval.weak_type)
    a, b = (zero if type(t) is Zero else match(t, aval) for t in tangents[1:])
    return out, match(select_p.bind(primals[0], a, b), aval)


def _select_transpose(ct: Any, operands: Any) -> list[Any]:
    condition, a, b = operands
    zero = Literal(0, aval_of(ct).dtype, aval_of(ct).weak_type)
    cts = [
        select_p.bind(condition, ct, zero) if is_linear(a) else None,
        select_p.bind(condition, zero, ct) if is_linear(b) else None,
    ]
    return [None, *(None if c is None else sum_to(c, x.aval.shape) for c, x in zip(cts, (a, b), strict=True))]


select_p: Primitive = (
    Primitive("select")
    .define(
        shape=_select_shape,
        impl=lambda condition, a, b: np.asarray(np.where(condition, a, b), a.dtype),
        jvp=_select_jvp,
        transpose=_select_transpose,
        batch=lambda axis, args, batched: (select_p.bind(*_aligned(axis, args, batched)), True),
        lower=lambda b, c, x, y: b.map("select", c, x, y, dtype=x.dtype),
        parts=lambda c, a, b: Parts(select_p.bind(c, a.re, b.re), select_p.bind(c, a.im, b.im)),
        samples=[
            Sample((of(bool, 3, 2), f32(3, 2), f32(3, 2))),
            Sample((of(bool), f32(3), f32(3))),
            Sample((of(bool, 4), f32(4), f32())),
            Sample((of(bool, 4), i32(4), i32(4))),
            Sample((of(bool, 4), c64(4), c64())),
            Sample((i32(3), f32(3), f32(3)), fails=DtypeError),
        ],
    )
    .register()
)


def integer_pow(x: ArrayLike, exponent: int) -> Array:
    """`x ** exponent` for a Python integer, by repeated squaring; a negative exponent is a reciprocal.

    >>> float(integer_pow(2.0, -2))
    0.25
    """
    (x,) = promote(x, to_float=exponent < 0)
    return integer_pow_p.bind(x, exponent=exponent)


def _integer_pow_jvp(primals: Any, tangents: Any, *, exponent: int) -> tuple[Any, Any]:
    (x,), out = primals, integer_pow_p.bind(*primals, exponent=exponent)
    if exponent == 0:
        return out, Zero(aval_of(out))
    slope = x if exponent == 2 else integer_pow_p.bind(x, exponent=exponent - 1)
    # scaled last: twice a large x is infinite, and a cotangent of zero times that is NaN
    return out, match(mul(mul(tangents[0], slope), exponent) if exponent != 1 else tangents[0], aval_of(out))


def _integer_pow_impl(x: np.ndarray[Any, Any], *, exponent: int) -> np.ndarray[Any, Any]:
    """The same products in the same order as the compiled kernels."""
    wide = x.astype(dtypes.compute_dtype(x.dtype))
    factors: np.ndarray[Any, Any] | None = None  # none yet: 1 times an infinite complex number is NaN
    square, n = wide, -exponent if exponent < 0 else exponent
    while n:
        if n & 1:
            factors = square if factors is None else product(factors, square)
        square, n = product(square, square), n >> 1
    result = np.ones_like(wide) if factors is None else factors
    return (_div(np.ones_like(wide), result) if exponent < 0 else result).astype(x.dtype)


def _integer_pow_parts(z: Parts, *, exponent: int) -> Parts:
    shape, dtype = aval_of(z.re).shape, aval_of(z.re).dtype
    zero, one = full(shape, 0, dtype), full(shape, 1, dtype)
    factors: Parts | None = None
    square, n = z, -exponent if exponent < 0 else exponent
    while n:
        if n & 1:
            factors = square if factors is None else product_of_parts(factors, square)
        square, n = product_of_parts(square, square), n >> 1
    result = Parts(one, zero) if factors is None else factors
    return quotient_of_parts(Parts(one, zero), result) if exponent < 0 else result


def _integer_pow_shape(x: ShapedArray, *, exponent: int) -> ShapedArray:
    if x.dtype == dtypes.bool_ or (exponent < 0 and not dtypes.is_inexact(x.dtype)):
        raise DtypeError(
            f"integer_pow: {x.dtype.name} to the power of {exponent} is not supported", hint="x.astype(jnp.float32)"
        )
    return x


integer_pow_p: Primitive = (
    Primitive("integer_pow")
    .define(
        shape=_integer_pow_shape,
        impl=_integer_pow_impl,
        jvp=_integer_pow_jvp,
        batch=lambda axis, args, batched, **params: (integer_pow_p.bind(*args, **params), True),
        lower=lambda b, x, *, exponent: b.power(x, exponent),
        parts=_integer_pow_parts,
        samples=[Sample((spec,), {"exponent": n}) for n in (0, 1, 2, 3, 7) for spec in (f32(3, 2), c64(3))]
        + [
            Sample((f32(4, low=0.5),), {"exponent": -2}),
            Sample((c64(4, low=0.5),), {"exponent": -3}),
            Sample((i32(4),), {"exponent": 3}),
            Sample((i32(4),), {"exponent": -1}, fails=DtypeError),
        ],
    )
    .register()
)


def _identity(
    name: str, jvp: Callable[..., Any], transpose: Callable[..., Any] | None, doc: str
) -> Callable[[Any], Array]:
    """An operation that gives its operand back, and that derivatives or passes treat in a way of its own."""
    primitive: Primitive = Primitive(name).define(
        shape=lambda x: x,
        impl=lambda x: x,
        jvp=jvp,
        batch=lambda axis, args, batched: (primitive.bind(*args), True),
        lower=lambda b, x: x,
        samples=[Sample((f32(3, 2),)), Sample((i32(2),)), Sample((c64(2),))],
    )
    primitive.define(parts=componentwise(primitive))
    if transpose:
        primitive.define(transpose=transpose)
    primitive.register()

    def function(x: Any) -> Array:
        return primitive.bind(as_operand(x))

    function.__name__, function.__doc__ = name, doc
    function.primitive = primitive  # type: ignore[attr-defined]
    return function


stop_gradient: Callable[[Any], Array] = _identity(
    "stop_gradient",
    lambda primals, tangents: (stop_gradient(primals[0]), Zero(aval_of(primals[0]))),
    None,
    "x, as a constant to all derivatives.",
)
barrier: Callable[[Any], Array] = _identity(
    "barrier",
    lambda primals, tangents: (barrier(primals[0]), barrier(tangents[0])),
    lambda ct, operands: [barrier(ct)],
    "x, which no pass merges with another computation of it: what `checkpoint` computes again stays computed again.",
)
