"""Functions that work on each element: arithmetic, comparisons, logic, and the elementary functions.

Each is a `Function` whose body computes PyTorch's result type and casts; so types cost nothing once a signature is
known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, custom_jvp, dtypes
from fdl.stateful.core.checks import Failure, require
from fdl.stateful.core.dtypes import of, result_dtype
from fdl.stateful.core.errors import OperandError, TensorError, UnsupportedError
from fdl.stateful.core.methods import check_cast, method, named
from fdl.stateful.core.operands import as_tensor_operand, cast_number, refuse_complex
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.core.views import repeats_itself

__all__ = [
    "abs", "acos", "add", "addcdiv", "addcmul", "allclose", "asin", "atan", "atan2", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "ceil",
    "clamp", "cos", "cosh", "div", "eq", "equal", "erf", "exp", "expm1", "floor", "floor_divide", "fmod", "ge", "gt",
    "isclose", "isfinite", "isinf",
    "isnan", "le", "lerp", "log", "log10", "log1p", "log2", "logical_and", "logical_not", "logical_or", "logical_xor",
    "lt", "masked_fill", "maximum",
    "minimum", "mul", "ne", "neg", "pow", "reciprocal", "relu", "remainder", "round", "rsqrt", "sigmoid", "sign", "sin",
    "sinh", "sqrt", "square", "sub",
    "tan", "tanh", "trunc", "where",
]  # fmt: skip

_FUNCTIONS: dict[Callable[..., Any], Function] = {}  # by what does nothing but apply them

# One operand


def _floating(x: Any) -> Any:
    return ops.cast(x, dtypes.default_float(result_dtype(x)))


def in_full(body: Callable[..., Any]) -> Callable[..., Any]:
    """A body that computes in float32 where its first operand has half precision; its first result has that operand's
    dtype, as in PyTorch, whatever the others have.
    """

    def computed(x: Any, *args: Any) -> Any:
        dtype = aval_of(x).dtype
        if not dtypes.is_float(dtype) or dtype.itemsize > 2:
            return body(x, *args)
        out = body(ops.cast(x, dtypes.float32), *args)
        return (ops.cast(out[0], dtype), *out[1:]) if isinstance(out, tuple) else ops.cast(out, dtype)

    return computed


def unary(name: str, body: Callable[[Any], Any], doc: str) -> Callable[[Tensor], Any]:
    """A function of each element and a method, also in place, from its body on arrays."""
    function = Function(body, name)

    def public(input: Tensor) -> Any:
        return apply(function, (input,))

    _FUNCTIONS[public] = function
    return method(name, inplace=True, function=function)(named(public, name, doc))


def of_float(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Integers are taken as float32."""
    return lambda x: f(_floating(x))


exp = unary("exp", of_float(ops.exp), "e to the power of each element.")
expm1 = unary("expm1", of_float(ops.expm1), "`exp(x) - 1`, exact near 0.")
log = unary("log", of_float(ops.log), "The natural logarithm.")
log1p = unary("log1p", of_float(ops.log1p), "`log(1 + x)`, exact near 0.")
log2 = unary("log2", of_float(jnp.log2), "The logarithm to base 2.")
log10 = unary("log10", of_float(jnp.log10), "The logarithm to base 10.")
sqrt = unary("sqrt", of_float(ops.sqrt), "The square root.")
rsqrt = unary("rsqrt", of_float(ops.rsqrt), "One over the square root.")
sin = unary("sin", of_float(ops.sin), "The sine of radians.")
cos = unary("cos", of_float(ops.cos), "The cosine of radians.")
tan = unary("tan", of_float(ops.tan), "The tangent of radians.")
asin = unary("asin", of_float(jnp.arcsin), "The inverse sine, in radians.")
acos = unary("acos", of_float(jnp.arccos), "The inverse cosine, in radians.")
atan = unary("atan", of_float(jnp.arctan), "The inverse tangent, in radians.")
sinh = unary("sinh", of_float(jnp.sinh), "The hyperbolic sine.")
cosh = unary("cosh", of_float(jnp.cosh), "The hyperbolic cosine.")
tanh = unary("tanh", of_float(ops.tanh), "The hyperbolic tangent.")
sigmoid = unary("sigmoid", of_float(ops.logistic), "`1 / (1 + exp(-x))`.")
erf = unary("erf", of_float(ops.erf), "The error function.")
reciprocal = unary("reciprocal", of_float(lambda x: ops.div(1, x)), "One over each element.")
neg = unary("neg", ops.neg, "Minus each element.")
abs = unary("abs", jnp.abs, "The absolute value.")


def _is_bool(x: Any) -> bool:
    return aval_of(x).dtype == dtypes.bool_


def _counted(x: Any) -> Any:
    """Bools as integers, all else as it is."""
    return ops.cast(x, dtypes.int64) if _is_bool(x) else x


def _step(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is constant in pieces: its gradient is zero, and flows.  Integers are as they are."""
    flat = custom_jvp(lambda x: f(x))
    flat.defjvp(lambda primals, tangents: (f(*primals), ops.mul(tangents[0], 0)))
    return lambda x: flat(x) if dtypes.is_inexact(aval_of(x).dtype) else x


def sign_of(x: Any) -> Any:
    """-1, 0 or 1 of arrays; of booleans themselves, of complex numbers their direction."""
    if dtypes.is_complex(aval_of(x).dtype):
        return ops.direction(x)
    return _step(ops.sign)(x) if dtypes.is_float(aval_of(x).dtype) else x if _is_bool(x) else ops.sign(x)


def _sign(x: Any) -> Any:
    if dtypes.is_complex(aval_of(x).dtype):
        raise UnsupportedError(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead."
        )
    return sign_of(x)


sign = unary("sign", _sign, "-1, 0 or 1.")
square = unary("square", lambda x: ops.integer_pow(_counted(x), 2), "Each element times itself.")
floor = unary("floor", _step(ops.floor), "The largest integer not above.")
ceil = unary("ceil", _step(ops.ceil), "The smallest integer not below.")
trunc = unary("trunc", _step(ops.trunc), "The integer part.")
relu = unary("relu", lambda x: _relu_body(x), "`max(x, 0)`; its derivative at 0 is 0, and NaN stays.")
logical_not = unary("logical_not", jnp.logical_not, "Whether each element is zero.")
bitwise_not = unary("bitwise_not", ops.bitwise_not, "All bits turned round; of bools, not.")
isnan = unary("isnan", jnp.isnan, "Whether each element is NaN.")
isinf = unary("isinf", jnp.isinf, "Whether each element is infinite.")
isfinite = unary("isfinite", lambda x: jnp.isfinite(_floating(x)), "Whether each element is neither infinite nor NaN.")


def _relu_body(x: Any) -> Any:
    if _is_bool(x):
        raise TensorError("Boolean inputs not supported for relu")
    return ops.select(ops.less_equal(x, 0), 0, x)


_round = Function(lambda x, decimals: _step(lambda v: jnp.round(v, decimals))(x), "round")


@method(inplace=True)
def round(input: Tensor, *, decimals: int = 0) -> Any:
    """The nearest number with some decimals; halves to even."""
    return apply(_round, (input,), (decimals,))


# Two operands


_flat_floored = custom_jvp(lambda a, b: jnp.floor_divide(a, b))
_flat_floored.defjvp(lambda primals, tangents: (jnp.floor_divide(*primals), ops.mul(ops.add(*tangents), 0)))


def _floored(a: Any, b: Any) -> Any:
    """The gradient is zero, and flows."""
    return _flat_floored(a, b) if dtypes.is_float(aval_of(a).dtype) else jnp.floor_divide(a, b)


def _pair(name: str, op: Callable[[Any, Any], Any], to_float: bool = False, of_bools: str = "") -> Function:
    """An operation on two operands of the type that they promote to; `of_bools` says why it takes no bools."""

    def body(a: Any, b: Any) -> Any:
        if of_bools and (_is_bool(a) or _is_bool(b)):
            raise TensorError(
                of_bools, hint="~ or logical_not() to turn a mask round, ^ or logical_xor() for what differs"
            )
        dtype = result_dtype(a, b)
        dtype = dtypes.default_float(dtype) if to_float else dtype
        return op(ops.cast(a, dtype), ops.cast(b, dtype))

    return Function(body, name)


def _applied(function: Function) -> Callable[[Any, Any], Any]:
    def public(input: Any, other: Any) -> Any:
        if type(other) is not Tensor:
            other = as_tensor_operand(other)
        return apply(function, (input, other))

    _FUNCTIONS[public] = function
    return public


def binary(
    name: str, op: Callable[[Any, Any], Any], doc: str, to_float: bool = False, methods: tuple[str, ...] = ()
) -> Callable[[Any, Any], Any]:
    """A function of two operands that broadcast, and a method, also in place, from its body on arrays; `to_float` takes
    integers as float32.
    """
    function = _pair(name, op, to_float)
    public = _applied(function)
    return method(name, *methods, inplace=True, function=function, others=1)(named(public, name, doc))


class DivisionError(TensorError, ZeroDivisionError):
    """An integer is divided by zero.

    >>> import fdl.stateful as torch
    >>> torch.tensor([1]) // 0  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.functions.elementwise.DivisionError: ZeroDivisionError...
    >>> (torch.tensor([1.0]) // 0).item()  # right: floats have infinity
    inf
    """


_BY_ZERO = Failure(
    DivisionError, "ZeroDivisionError", "ZeroDivisionError", "divide floats, or torch.where(divisor == 0, 1, divisor)"
)
_is_zero = Function(lambda x: ops.equal(x, 0), "check_divisor")


def _whole(x: Any) -> bool:
    return not dtypes.is_inexact(x._value().aval.dtype) if type(x) is Tensor else type(x) is int or type(x) is bool


def _refuse_zero(input: Any, other: Any) -> None:
    """DivisionError where an integer is divided by an integer that is zero."""
    if type(other) is int or type(other) is bool:
        if other == 0 and _whole(input) and (type(input) is not Tensor or input.numel()):
            raise _BY_ZERO.raised()
    elif (
        type(other) is Tensor
        and _whole(other)
        and _whole(input)
        and not other._lies_within(1, _LARGEST)
        and (type(input) is not Tensor or input.numel())
    ):
        require(_is_zero, (other,), _BY_ZERO)


_LARGEST = (1 << 63) - 1


def _dividing(name: str, op: Callable[[Any, Any], Any], doc: str) -> Callable[[Any, Any], Any]:
    """A division that has no result for integers by zero."""
    divide = _applied(_pair(name, op))

    def public(input: Any, other: Any) -> Any:
        _refuse_zero(input, other)
        return divide(input, other)

    return method(name, inplace=True)(named(public, name, doc))


_PLUS = _pair("add", lambda a, b: ops.add(a, b) if aval_of(a).dtype != dtypes.bool_ else ops.bitwise_or(a, b))
_MINUS = _pair(
    "sub", lambda a, b: ops.sub(a, b), of_bools="Subtraction, the `-` operator, with a bool tensor is not supported"
)
_QUOTIENT = _pair("div", ops.div, to_float=True)
_plus, _minus, _true_div = map(_applied, (_PLUS, _MINUS, _QUOTIENT))
mul = binary(
    "mul",
    lambda a, b: ops.mul(a, b) if aval_of(a).dtype != dtypes.bool_ else ops.bitwise_and(a, b),
    "The product.",
    methods=("multiply",),
)
atan2 = binary("atan2", ops.atan2, "The angle of the point (other, input).", to_float=True)


def _ordered(name: str, op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def body(a: Any, b: Any) -> Any:
        refuse_complex(name, a, b)
        return op(a, b)

    return body


maximum = binary("maximum", _ordered("maximum", ops.maximum), "The larger one; NaN where one is NaN.")
minimum = binary("minimum", _ordered("minimum", ops.minimum), "The smaller one; NaN where one is NaN.")
fmod = _dividing("fmod", jnp.fmod, "The remainder with the sign of `input`.")
remainder = _dividing("remainder", jnp.remainder, "The remainder with the sign of `other`.")
floor_divide = _dividing("floor_divide", lambda a, b: _floored(a, b), "The quotient rounded down.")
_trunc_divide = _dividing(
    "_trunc_divide", lambda a, b: _step(ops.trunc)(ops.div(a, b)), "The quotient rounded to zero."
)
eq = binary("eq", ops.equal, "Whether elements are equal.")
ne = binary("ne", ops.not_equal, "Whether elements differ.")
lt = binary("lt", ops.less, "Whether `input` is less.")
le = binary("le", ops.less_equal, "Whether `input` is less or equal.")
gt = binary("gt", ops.greater, "Whether `input` is greater.")
ge = binary("ge", ops.greater_equal, "Whether `input` is greater or equal.")
logical_and = binary("logical_and", jnp.logical_and, "Whether both are not zero.")
logical_or = binary("logical_or", jnp.logical_or, "Whether one is not zero.")
logical_xor = binary("logical_xor", jnp.logical_xor, "Whether exactly one is not zero.")
bitwise_and = binary("bitwise_and", ops.bitwise_and, "Bits that both have.")
bitwise_or = binary("bitwise_or", ops.bitwise_or, "Bits that one has.")
bitwise_xor = binary("bitwise_xor", ops.bitwise_xor, "Bits that exactly one has.")


def _times_body(a: Any, b: Any, alpha: Any) -> Any:
    """`alpha * b` in the type that `a` and `b` promote to, in which a byte times -1 is -1."""
    dtype = result_dtype(a, b)
    if dtypes.is_integer(dtype) and not dtypes.is_integer(aval_of(alpha).dtype) and not _is_bool(alpha):
        raise TensorError("For integral input tensors, argument alpha must not be a floating point number.")
    if dtypes.is_complex(aval_of(alpha).dtype) and not dtypes.is_complex(dtype):
        raise TensorError("For non-complex input tensors, argument alpha must not be a complex number.")
    return (
        ops.mul(ops.cast(b, dtype), ops.cast(alpha, dtype))
        if dtype != dtypes.bool_
        else ops.bitwise_and(b, ops.cast(alpha, dtype))
    )


_times = Function(_times_body, "add_scaled")


def _scaled(input: Any, other: Any, alpha: Any) -> Any:
    if isinstance(input, Tensor) and isinstance(other, (Tensor, int, float)):
        return apply(_times, (input, as_tensor_operand(other), as_tensor_operand(alpha)))
    return mul(other, alpha) if isinstance(other, Tensor) else other * alpha


@method("add", inplace=True, function=_PLUS, others=1)
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """`input + alpha * other`."""
    return _plus(input, other if alpha == 1 else _scaled(input, other, alpha))


@method("sub", "subtract", inplace=True, function=_MINUS, others=1)
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """`input - alpha * other`."""
    return _minus(input, other if alpha == 1 else _scaled(input, other, alpha))


@method("div", "divide", "true_divide", inplace=True, function=_QUOTIENT, others=1)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """The quotient: of floats; or rounded, `"floor"` or `"trunc"`."""
    if rounding_mode is None:
        return _true_div(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise TensorError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    return (floor_divide if rounding_mode == "floor" else _trunc_divide)(input, other)


def _pow_body(a: Any, b: Any) -> Any:
    dtype = result_dtype(a, b)
    return jnp.power(ops.cast(a, dtype), ops.cast(b, dtype))


_pow = Function(_pow_body, "pow")


def _integer_pow_body(x: Any, n: int) -> Any:
    x = _floating(x) if n < 0 else _counted(x)
    return (
        ops.integer_pow(x, n)
        if n or not dtypes.is_inexact(aval_of(x).dtype)
        else _step(lambda v: ops.integer_pow(v, 0))(x)
    )


_integer_pow = Function(_integer_pow_body, "pow")


@method(inplace=True)
def pow(input: Any, exponent: Any) -> Any:
    """`input` to the power of `exponent`; a small integer is part of the program, any other number an input."""
    if isinstance(input, Tensor) and type(exponent) is int and -16 <= exponent <= 16:
        if exponent < 0 and not dtypes.is_inexact(input._aval.dtype):
            raise TensorError("Integers to negative integer powers are not allowed.")
        return apply(_integer_pow, (input,), (exponent,))
    if isinstance(input, Tensor) and isinstance(exponent, float) and exponent == 0.5:
        return sqrt(input)
    return apply(_pow, (as_tensor_operand(input), as_tensor_operand(exponent)))


# Three operands


def _where_body(condition: Any, a: Any, b: Any) -> Any:
    if aval_of(condition).dtype not in (dtypes.bool_, dtypes.uint8):
        raise TensorError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{of(aval_of(condition).dtype).legacy_name}"
        )
    dtype = result_dtype(a, b)
    return jnp.where(condition, ops.cast(a, dtype), ops.cast(b, dtype))


_where = Function(_where_body, "where")


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, `other` elsewhere; with the condition alone, where it holds."""
    if input is None:
        return condition.nonzero(as_tuple=True)
    return apply(_where, (condition, as_tensor_operand(input), as_tensor_operand(other)))


@method("where")
def _where_method(self: Tensor, condition: Tensor, other: Any) -> Any:
    return where(condition, self, other)


def _masked_fill_body(x: Any, mask: Any, value: Any) -> Any:
    if not _is_bool(mask):
        raise TensorError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {of(aval_of(mask).dtype).legacy_name}"
        )
    return jnp.where(mask, cast_number(value, aval_of(x).dtype), x)


_masked_fill = Function(_masked_fill_body, "masked_fill")


@method(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Any:
    """`value` where the mask holds."""
    return apply(_masked_fill, (input, mask, as_tensor_operand(value)))


_masked_fill_plain = Tensor.masked_fill_  # type: ignore[attr-defined]


@method("masked_fill_")
def _masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    if not isinstance(self, Tensor) or not repeats_itself(self, "masked_fill_"):
        return _masked_fill_plain(self, mask, value)  # type: ignore[no-any-return]
    return self._overwrite(masked_fill(self, mask, value), repeats=mask.expand(self.shape))


def _clamp_body(x: Any, *limits: Any) -> Any:
    *given, which = limits
    bounds = iter(given)
    low, high = (next(bounds) if has else None for has in which)
    dtype = result_dtype(x, *given)
    x = ops.cast(x, dtype)
    if low is not None:
        x = _moved_inside(ops.greater_equal, ops.maximum, x, ops.cast(low, dtype))
    return x if high is None else _moved_inside(ops.less_equal, ops.minimum, x, ops.cast(high, dtype))


def _moved_inside(inside: Any, extreme: Any, x: Any, limit: Any) -> Any:
    """`x` where it is inside; elsewhere the limit, or NaN where one of them is, which has no gradient by `x`."""
    return jnp.where(inside(x, limit), x, extreme(ops.stop_gradient(x), limit))


_clamp = Function(_clamp_body, "clamp")


@method("clamp", "clip", inplace=True)
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Any:
    """Each element moved into [min, max]; the derivative is 1 on the limits."""
    if min is None and max is None:
        raise TensorError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return apply(
        _clamp,
        (input, *(as_tensor_operand(b) for b in (min, max) if b is not None)),
        ((min is not None, max is not None),),
    )


def _lerp_body(a: Any, b: Any, w: Any) -> Any:
    """From the nearer end, so that a weight of 1 gives `b` itself."""
    dtype = result_dtype(a, b, w)
    if dtypes.is_float(dtype) and dtype.itemsize < 4:  # whose differences may not fit
        a, b, w = (ops.cast(v, dtypes.float32) for v in (a, b, w))
    near, way = ops.less(ops.absolute(w), 0.5), ops.sub(b, a)
    return ops.cast(ops.add(ops.select(near, a, b), ops.mul(ops.select(near, w, ops.sub(w, 1)), way)), dtype)


_lerp = Function(_lerp_body, "lerp")


def _of_three(op: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """`x + value * op(a, b)` in the type that the three promote to, whatever type `value` has."""

    def body(x: Any, a: Any, b: Any, value: Any) -> Any:
        dtype = result_dtype(x, a, b)
        if op is ops.div and not dtypes.is_inexact(dtype):
            raise TensorError(
                "Integer division with addcdiv is no longer supported, and in a future release addcdiv will "
                "perform a true division of tensor1 and tensor2; "
                "divide floats: (input + value * tensor1 / tensor2)"
            )
        x, a, b = (ops.cast(v, dtype) for v in (x, a, b))
        return ops.add(x, ops.mul(cast_number(value, dtype), op(a, b)))

    return body


_addcmul, _addcdiv = Function(_of_three(ops.mul), "addcmul"), Function(_of_three(ops.div), "addcdiv")


@method(inplace=True)
def lerp(input: Tensor, end: Tensor, weight: Any) -> Any:
    """`input + weight * (end - input)`."""
    return apply(_lerp, (input, end, as_tensor_operand(weight)))


@method(inplace=True)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Any:
    """`input + value * tensor1 * tensor2`."""
    return apply(_addcmul, (input, tensor1, tensor2, value))


@method(inplace=True)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Any:
    """`input + value * tensor1 / tensor2`."""
    return apply(_addcdiv, (input, tensor1, tensor2, value))


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Whether elements differ by at most `atol + rtol * |other|`."""
    if input.dtype.np == dtypes.bool_:
        return eq(input, other)
    if not dtypes.is_inexact(input._aval.dtype):  # whose differences may not fit
        return isclose(input.to(of("float64")), other.to(of("float64")), rtol, atol)
    distance = abs(sub(input, other))
    near = logical_and(le(distance, add(mul(abs(other), rtol), atol)), isfinite(distance))
    near = logical_or(near, eq(input, other))
    return logical_or(near, logical_and(isnan(input), isnan(other))) if equal_nan else near


@method()
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds for all elements, as a Python bool."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@method()
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal, as a Python bool."""
    return input.shape == other.shape and bool(eq(input, other).all())


# Operators


def _reflected(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: f(other, self)


_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**", "and": "&",
    "or": "|", "xor": "^", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_FOREIGN = (list, tuple, dict, set, str, bytes, type(None), type)


def _operator(f: Callable[[Any, Any], Any], sign: str | None) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        try:
            return f(self, other)
        except TypeError:
            if isinstance(other, Tensor):
                raise
            if sign and type(other) in _FOREIGN:  # no reflected operation takes them either
                raise OperandError(
                    f"unsupported operand type(s) for {sign}: 'Tensor' and '{type(other).__name__}'"
                ) from None
            return NotImplemented

    return operator


for _name, _f in {
    "add": _plus, "sub": _minus, "mul": mul, "truediv": _true_div, "floordiv": floor_divide, "mod": remainder,
    "pow": pow, "and": bitwise_and,
    "or": bitwise_or, "xor": bitwise_xor,
}.items():  # fmt: skip
    _recorded = _FUNCTIONS.get(_f)
    method(f"__{_name}__", function=_recorded, others=1)(_operator(_f, _SIGNS[_name]))
    method(f"__r{_name}__", function=_recorded, others=1, reflected=True)(_reflected(_f))
    method(f"__i{_name}__")(lambda self, other, f=_f: self._overwrite(check_cast(self, f(self, other))))
for _name, _f in {"lt": lt, "le": le, "gt": gt, "ge": ge, "eq": eq, "ne": ne}.items():
    method(f"__{_name}__", function=_FUNCTIONS[_f], others=1)(_operator(_f, _SIGNS.get(_name)))
method("__neg__", function=_FUNCTIONS[neg])(neg)
method("__abs__", function=_FUNCTIONS[abs])(abs)


@method("__pos__")
def _pos(self: Tensor) -> Tensor:
    if self.dtype.np == dtypes.bool_:
        raise TensorError("The `+` operator, on a bool tensor is not supported.")
    return self


method("__invert__", function=_FUNCTIONS[bitwise_not])(bitwise_not)
