"""Functions of complex tensors that have formulas of their own: see `complex.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdl import ops
from fdl.extend import Function
from fdl.stateful.core.complex import RULES, ComplexTensor, both, joined, parts
from fdl.stateful.core.dtypes import of
from fdl.stateful.core.tensor import Tensor, apply, wrap

Rule = Callable[..., Any]


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(names or (f.__name__.strip("_"),), f))
        return f

    return register


def _abs_body(re: Any, im: Any) -> Any:
    """Scaled, so that squares neither overflow nor vanish; the derivative at 0 is 0."""
    largest = ops.stop_gradient(ops.maximum(ops.abs(re), ops.abs(im)))
    plain = ops.equal(largest, 0)
    scale = ops.select(plain, 1, ops.select(ops.equal(largest, np.inf), 1, largest))
    a, b = ops.div(re, scale), ops.div(im, scale)
    squares = ops.add(ops.mul(a, a), ops.mul(b, b))
    return ops.select(plain, ops.mul(0, squares), ops.mul(scale, ops.sqrt(ops.select(plain, 1, squares))))


_abs = Function(_abs_body, "abs")


def _root_body(re: Any, im: Any) -> Any:
    """The root with a real part that is not negative."""
    size = _abs_body(re, im)
    zero = ops.equal(size, 0)
    t = ops.sqrt(ops.mul(ops.add(ops.select(zero, 1, size), ops.abs(re)), 0.5))
    other = ops.div(ops.abs(im), ops.mul(2, t))
    right = ops.greater_equal(re, 0)
    below = ops.less(im, 0)
    along, across = ops.select(right, t, other), ops.select(right, other, t)
    none = ops.mul(0, size)
    return ops.select(zero, none, along), ops.select(zero, none, ops.select(below, ops.neg(across), across))


_root = Function(_root_body, "sqrt")


@_rule("abs")
def _size(z: Any) -> Any:
    return apply(_abs, (z.real, z.imag))


@_rule("angle")
def _turn(z: Any) -> Any:
    return z.angle()


@_rule()
def _exp(z: Any) -> Any:
    size = z.real.exp()
    return ComplexTensor(size * z.imag.cos(), size * z.imag.sin())


@_rule()
def _log(z: Any) -> Any:
    return ComplexTensor(_size(z).log(), z.angle())


@_rule()
def _sqrt(z: Any) -> Any:
    return ComplexTensor(*apply(_root, (z.real, z.imag)))


@_rule()
def _square(z: Any) -> Any:
    return z * z


@_rule()
def _reciprocal(z: Any) -> Any:
    return 1.0 / z


@_rule("div")
def _div(a: Any, b: Any) -> Any:
    if not isinstance(b, ComplexTensor):
        return a._each(lambda p: p / b)
    largest = b.real.detach().abs().maximum(b.imag.detach().abs())
    scale = largest.masked_fill(largest == 0, 1.0)
    below = b._each(lambda p: p / scale)
    size = (below.real * below.real + below.imag * below.imag) * scale
    above = a * below.conj()
    return above._each(lambda p: p / size)


@_rule()
def _pow(a: Any, b: Any) -> Any:
    if type(b) is int and not isinstance(a, (int, float)):
        return _integer_power(a, b) if b >= 0 else 1.0 / _integer_power(a, -b)
    a = (
        a
        if isinstance(a, ComplexTensor)
        else ComplexTensor(*both(a if isinstance(a, Tensor) else wrap(ops.full((), float(a), b.real.dtype.np))))
    )
    zero = (a.real == 0) & (a.imag == 0)
    safe = ComplexTensor(a.real.masked_fill(zero, 1.0), a.imag)
    out = _exp(_log(safe) * b)
    return out._each(lambda p: p.masked_fill(zero, 0.0))


def _integer_power(z: Any, n: int) -> Any:
    out = None
    while n:
        if n & 1:
            out = z if out is None else out * z
        n >>= 1
        z = z * z if n else z
    return ComplexTensor(z.real * 0 + 1, z.imag * 0) if out is None else out


@_rule()
def _rsqrt(z: Any) -> Any:
    return 1.0 / _sqrt(z)


@_rule()
def _sin(z: Any) -> Any:
    return ComplexTensor(z.real.sin() * z.imag.cosh(), z.real.cos() * z.imag.sinh())


@_rule()
def _cos(z: Any) -> Any:
    return ComplexTensor(z.real.cos() * z.imag.cosh(), -(z.real.sin() * z.imag.sinh()))


@_rule()
def _sinh(z: Any) -> Any:
    return ComplexTensor(z.real.sinh() * z.imag.cos(), z.real.cosh() * z.imag.sin())


@_rule()
def _cosh(z: Any) -> Any:
    return ComplexTensor(z.real.cosh() * z.imag.cos(), z.real.sinh() * z.imag.sin())


@_rule()
def _tanh(z: Any) -> Any:
    t, c, s = z.real.tanh(), z.imag.cos(), z.imag.sin()
    below = 1 - (1 - t * t) * s * s  # (cosh x cos y)^2 + (sinh x sin y)^2 over cosh^2 x
    return ComplexTensor(t / below, (1 - t * t) * s * c / below)


@_rule()
def _tan(z: Any) -> Any:
    w = _tanh(ComplexTensor(-z.imag, z.real))  # tan z = -i tanh(i z)
    return ComplexTensor(w.imag, -w.real)


@_rule()
def _sigmoid(z: Any) -> Any:
    return _tanh(z * 0.5) * 0.5 + 0.5


@_rule()
def _log2(z: Any) -> Any:
    return _log(z) * float(1 / np.log(2))


@_rule()
def _log10(z: Any) -> Any:
    return _log(z) * float(1 / np.log(10))


@_rule()
def _log1p(z: Any) -> Any:
    return _log(z + 1.0)


@_rule()
def _expm1(z: Any) -> Any:
    half = (z.imag * 0.5).sin()
    return ComplexTensor(z.real.expm1() * z.imag.cos() - 2 * half * half, z.real.exp() * z.imag.sin())


@_rule()
def _sgn(z: Any) -> Any:
    size = _size(z)
    return z / size.masked_fill(size == 0, 1.0)


@_rule()
def _eq(a: Any, b: Any) -> Any:
    (ar, ai), (br, bi) = parts(a), parts(b)
    return (ar == br) & ((ai if ai is not None else 0) == (bi if bi is not None else 0))


@_rule()
def _ne(a: Any, b: Any) -> Any:
    return ~_eq(a, b)


@_rule()
def _isnan(z: Any) -> Any:
    return z.real.isnan() | z.imag.isnan()


@_rule()
def _isinf(z: Any) -> Any:
    return z.real.isinf() | z.imag.isinf()


@_rule()
def _isfinite(z: Any) -> Any:
    return z.real.isfinite() & z.imag.isfinite()


@_rule()
def _isreal(z: Any) -> Any:
    return z.imag == 0


@_rule()
def _addmm(x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return x * beta + (a @ b) * alpha


def _added(product: Callable[[Any, Any], Any]) -> Rule:
    def rule(x: Any, a: Any, b: Any, beta: Any, alpha: Any, ignored: bool) -> Any:
        out = product(a, b) * alpha
        return out if ignored else x * beta + out

    return rule


RULES["addmv"] = RULES["baddbmm"] = _added(lambda a, b: a @ b)
RULES["addr"] = _added(lambda a, b: a.outer(b))
RULES["addbmm"] = _added(lambda a, b: (a @ b).sum(0))


@_rule()
def _cumprod(z: Any, axis: int, *rest: Any) -> Any:
    """Doubling steps: each element times that one, two, four ... places before."""
    n, step = z.shape[axis] if z.ndim else 1, 1
    while step < n:
        tail = z.narrow(axis, step, n - step) * z.narrow(axis, 0, n - step)
        z = ComplexTensor(*[joined(z.narrow(axis, 0, step).pieces()[k], tail.pieces()[k], axis) for k in (0, 1)])
        step *= 2
    return z


@_rule()
def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    out = x @ weight.t()
    return out if bias is None else out + bias


@_rule()
def _lerp(a: Any, b: Any, weight: Any) -> Any:
    return a + weight * (b - a)


@_rule()
def _addcmul(x: Any, a: Any, b: Any, value: Any) -> Any:
    return x + value * (a * b)


@_rule()
def _addcdiv(x: Any, a: Any, b: Any, value: Any) -> Any:
    return x + value * (a / b)


@_rule()
def _to(z: Any, np_dtype: Any) -> Any:
    return z.to(of(np_dtype))


@_rule()
def _prod(z: Any, axis: Any, keepdim: bool, np_dtype: Any) -> Any:
    """Halves are multiplied until one is left."""
    ndim, rest = z.ndim, None
    z = z.reshape(-1) if axis is None or not ndim else z.movedim(axis, 0)
    while len(z) > 1:
        if len(z) % 2:
            rest = z[-1] if rest is None else rest * z[-1]
        half = len(z) // 2
        z = z[:half] * z[half : 2 * half]
    out = z[0] if rest is None else z[0] * rest
    return out.unsqueeze(axis) if keepdim and axis is not None else out


@_rule()
def _var(z: Any, axes: tuple[int, ...], correction: Any, keepdim: bool) -> Any:
    return z.real.var(axes, correction=correction, keepdim=keepdim) + z.imag.var(
        axes, correction=correction, keepdim=keepdim
    )


@_rule()
def _std(z: Any, axes: tuple[int, ...], correction: Any, keepdim: bool) -> Any:
    return _var(z, axes, correction, keepdim).sqrt()


# Inverses, on their principal branches


def _turned(z: Any, back: bool = False) -> Any:
    """i z, or -i z."""
    return ComplexTensor(z.imag, -z.real) if back else ComplexTensor(-z.imag, z.real)


@_rule()
def _asinh(z: Any) -> Any:
    return _log(z + _sqrt(z * z + 1.0))


@_rule()
def _acosh(z: Any) -> Any:
    return _log(z + _sqrt(z + 1.0) * _sqrt(z - 1.0))


@_rule()
def _atanh(z: Any) -> Any:
    return (_log(z + 1.0) - _log(1.0 - z)) * 0.5


@_rule()
def _asin(z: Any) -> Any:
    return _turned(_asinh(_turned(z)), back=True)


@_rule()
def _acos(z: Any) -> Any:
    w = _asin(z)
    return ComplexTensor(float(np.pi / 2) - w.real, -w.imag)


@_rule()
def _atan(z: Any) -> Any:
    return _turned(_atanh(_turned(z)), back=True)
