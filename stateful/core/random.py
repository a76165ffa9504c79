"""The generator: a seed and a count of draws, both numbers of the program, so that a draw never makes a new one.

A draw's key is the word pair of the seed's stream at the draw's number; so results depend on seed and order of draws
alone.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

import fdl.random
from fdl import ops
from fdl.extend import Function, dtypes, from_numpy, note_cell, note_write, recording, refuse_write, running_trace
from fdl.stateful.core.checks import Failure, broken, check_domain, require
from fdl.stateful.core.complexes import numbers
from fdl.stateful.core.dtypes import CPU, META, check_device, default_device, to_numpy
from fdl.stateful.core.dtypes import device as device_kind
from fdl.stateful.core.errors import OperandError, TensorError, UnsupportedError
from fdl.stateful.core.layouts import strided
from fdl.stateful.core.methods import check_cast, method
from fdl.stateful.core.operands import on_meta
from fdl.stateful.core.tensor import Tensor, apply, wrap

__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "multinomial",
    "normal", "rand", "rand_like",
    "randint", "randn", "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
_INITIAL = 67280421310721  # what PyTorch starts with


class Generator:
    """A stream of random numbers: `manual_seed` starts it, each draw moves it on.

    Seed and number of draws are Python numbers; under a transform that records a program they are an array of two,
    which the program takes and gives back.
    """

    carried = True
    drawn = True  # what is drawn from it depends on the axes that are mapped

    def __init__(self, device: Any = "cpu") -> None:
        self._seed, self._draws = _INITIAL, 0
        self._state: Any = None  # the array; where it is given, the numbers may be older
        self.device = CPU
        trace = running_trace()
        self.birth = 0 if trace is None else trace.number

    def _numbers(self) -> tuple[int, int]:
        """Seed and number of draws."""
        if self._state is not None:
            self._seed, self._draws = self._state.tolist()
            self._state = None
        return self._seed, self._draws

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of a seed."""
        note_write(self, self.birth)
        self._seed, self._draws, self._state = int(seed) & 0x7FFFFFFFFFFFFFFF, 0, None
        return self

    def initial_seed(self) -> int:
        """The seed."""
        return self._numbers()[0]

    def seed(self) -> int:
        """Start at a seed that the system gives."""
        refuse_write("a generator is started at a seed that the system gives")
        seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
        self.manual_seed(seed)
        return seed

    def get_state(self) -> Tensor:
        """Seed and number of draws."""
        note_cell(self)
        return wrap(self.array)

    def set_state(self, state: Tensor) -> Generator:
        """Go on from what `get_state` gave; TypeError for what is no tensor of its type, RuntimeError for one of
        another size.
        """
        if not isinstance(state, Tensor) or state.dtype.np != dtypes.int64:
            found = state.dtype if isinstance(state, Tensor) else type(state).__name__
            raise OperandError(
                f"RNG state must be what get_state gave, an int64 tensor, but got {found}",
                hint="torch.set_rng_state(torch.get_rng_state())",
            )
        if state.shape != (2,):
            raise TensorError(
                "RNG state is wrong size",
                why=f"it is {list(state.shape)}, and get_state gives seed and number of draws",
                hint="what torch.get_rng_state gave here: PyTorch's own states start other streams",
            )
        self.set(state._value())
        return self

    def next(self) -> tuple[Any, Any]:
        """Seed and number of a new draw: the numbers from which a program makes its key."""
        if running_trace() is None and self._state is None:
            self._draws += 1
            return self._seed, self._draws
        if not recording():
            note_write(self, self.birth)
            seed, draws = self._numbers()
            self._draws = draws + 1
            return seed, self._draws
        note_cell(self)
        key, before = (ops.reshape(ops.slice_in_dim(self.array, i, i + 1, axis=0), ()) for i in (0, 1))
        drawn = ops.add(before, 1)
        self.set(ops.concatenate([ops.reshape(x, (1,)) for x in (key, drawn)], 0))
        return key, drawn

    def take_back(self, number: Any) -> None:
        """A draw that came to nothing, by an error or an interrupt, leaves its number to the next one."""
        if type(number) is int and self._numbers()[1] == number:
            self._draws = number - 1

    def numpy(self) -> np.random.Generator:
        """A NumPy generator for work outside of programs, such as the order of a dataset."""
        refuse_write("random numbers are drawn by NumPy")
        return np.random.default_rng(self.next())

    # As a cell of transforms

    @property
    def array(self) -> Any:
        """Seed and number of draws, as an array."""
        if self._state is None:
            self._state = from_numpy(np.array([self._seed, self._draws], np.int64))
        return self._state

    @array.setter
    def array(self, value: Any) -> None:
        self._state = value

    def content(self) -> Any:
        """The array."""
        return self.array

    def restore(self, before: Any) -> None:
        """Go back to a state."""
        self._state = before

    def lifted(self, outside: Callable[[Any], Any]) -> Any:
        """The array, outside of a transform."""
        return outside(self.array)

    def set(self, value: Any) -> None:
        """Go on from a state."""
        note_write(self, self.birth)
        self._state = value


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default generator at a seed.

    >>> import fdl.stateful as torch
    >>> _ = torch.manual_seed(0); a = torch.rand(3)
    >>> _ = torch.manual_seed(0); bool((a == torch.rand(3)).all())
    True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start the default generator at a seed that the system gives."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(state: Tensor) -> None:
    """Put the default generator into a state."""
    default_generator.set_state(state)


def key_of(seed: Any, draw: Any) -> Any:
    """The key of a draw, in a program."""

    def words(x: Any) -> Any:
        low = ops.bitwise_and(ops.cast(x, dtypes.int64), 0xFFFFFFFF)
        high = ops.shift_right(ops.cast(x, dtypes.int64), 32)
        return ops.concatenate([ops.broadcast(ops.convert(w, dtypes.uint32), (1,), ()) for w in (low, high)], 0)

    return ops.random_bits(words(seed), words(draw), (2,))


def draw(
    function: Function, operands: tuple[Any, ...], static: tuple[Any, ...], generator: Generator | None = None
) -> Any:
    """Record a random function `f(*operands, seed, draw, *static)`."""
    source = generator or default_generator
    seed, number = source.next()
    try:
        trace = running_trace()
        lane = None if trace is None else _lanes(trace)[0]  # in the upper half of the word
        own = number if lane is None else ops.add(ops.shift_left(ops.add(lane, 1), 32), number)
        return apply(function, (*operands, seed, own), static)
    except BaseException:
        source.take_back(number)
        raise


def _lanes(trace: Any) -> tuple[Any, int]:
    """The number of the element among all axes that are mapped and for which draws differ, None where there are none,
    and how many elements there are.

    RuntimeError where nobody said what a draw is to be.
    """
    lane: Any = None
    count = 1
    while trace is not None:
        if trace.randomness == "error":
            raise TensorError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
                "'different' randomness flags on vmap or "
                "perform the randomness operation out of vmap",
                hint="torch.func.vmap(f, randomness='different')",
            )
        if isinstance(trace.randomness, tuple):
            index, size = trace.randomness
            lane = index if lane is None else ops.add(lane, ops.mul(index, count))
            count *= size
        trace = trace.parent
    return lane, count


def factory(f: F) -> F:
    """A function that makes tensors, with a `size` by keyword, how elements lie (a layout and a memory format), and a
    device: the one that was set or that of a tensor given first, if there is none.
    """
    sized = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in inspect.signature(f).parameters.values())

    @functools.wraps(f)
    def public(*args: Any, **options: Any) -> Any:
        model = args and isinstance(args[0], Tensor) and args[0].device == META
        if not options and not model and default_device.place() == CPU:
            return f(*args)
        place = options.get("device")
        place = (META if model else default_device.place()) if place is None else device_kind(place)
        if place == META:
            options.pop("device", None)
        check_device(place if place != META else None)
        layout, format, _ = (options.pop(name, None) for name in ("layout", "memory_format", "pin_memory"))
        if sized and "size" in options:
            args = (*args, options.pop("size"))
        with CPU:  # whose values are thrown away, or are never asked for
            found = f(*args, **options)
        if layout not in (None, strided):
            found = found.to_sparse(layout=layout)
        if place == META:
            return on_meta(found)
        return found if format is None else found.contiguous(memory_format=format)

    return public  # type: ignore[return-value]


def shape_of(size: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as numbers or as one sequence."""
    if size and {*map(type, size)} == {int} and min(size) >= 0:
        return size
    given = (
        size[0] if len(size) == 1 and isinstance(size[0], Iterable) and getattr(size[0], "shape", None) != () else size
    )
    for place, d in enumerate(given):
        if not hasattr(d, "__index__"):
            raise OperandError(
                f"argument 'size' must be tuple of ints, but found element of type {type(d).__name__} at pos {place}"
            )
    shape = tuple([int(d) for d in given])
    if any(d < 0 for d in shape):
        raise TensorError(
            f"Trying to create tensor with negative dimension {next(d for d in shape if d < 0)}: {list(shape)}",
            hint="sizes from 0 on",
        )
    return shape


_uniform = Function(
    lambda low, high, s, d, shape, t: _scaled(fdl.random.uniform(key_of(s, d), shape, t), low, high), "rand"
)
_normal = Function(
    lambda mean, std, s, d, shape, t: ops.add(
        ops.mul(fdl.random.normal(key_of(s, d), shape, t), ops.cast(std, t)), ops.cast(mean, t)
    ),
    "randn",
)
_randint = Function(
    lambda low, high, s, d, shape, t: _whole(fdl.random.uniform(key_of(s, d), shape, dtypes.float64), low, high, t),
    "randint",
)
_bernoulli = Function(
    lambda p, s, d, shape, t: ops.convert(ops.less(fdl.random.uniform(key_of(s, d), shape, t), ops.cast(p, t)), t),
    "bernoulli",
)


def _scaled(unit: Any, low: Any, high: Any) -> Any:
    low, high = (ops.cast(v, unit.dtype) for v in (low, high))
    scaled = ops.add(ops.mul(unit, ops.sub(high, low)), low)
    return ops.select(ops.less(scaled, high), scaled, low)  # rounding may reach the upper end


def _whole(unit: Any, low: Any, high: Any, t: Any) -> Any:
    low, high = (ops.cast(v, dtypes.int64) for v in (low, high))
    offset = ops.convert(ops.mul(unit, ops.convert(ops.sub(high, low), dtypes.float64)), dtypes.int64)
    return ops.convert(ops.add(ops.minimum(offset, ops.sub(ops.sub(high, low), 1)), low), t)


def _finished(t: Tensor, requires_grad: bool) -> Tensor:
    return t.requires_grad_() if requires_grad else t


def _drawn(function: Function, given: tuple[Any, ...], shape: tuple[int, ...], kind: Any, generator: Any) -> Tensor:
    """Numbers, or both parts of complex ones, of the distribution that the given numbers say."""
    if not dtypes.is_complex(kind):
        return draw(function, given, (shape, kind), generator)  # type: ignore[no-any-return]
    return apply(numbers, (draw(function, given, ((*shape, 2), dtypes.real_dtype(kind)), generator),))  # type: ignore[no-any-return]


def _normals(mean: float, std: float, shape: tuple[int, ...], kind: Any, generator: Any) -> Tensor:
    """Normal numbers; both parts of complex ones have half the variance, and the mean is that of the real part."""
    if not dtypes.is_complex(kind):
        return _drawn(_normal, (mean, std), shape, kind, generator)
    found = _drawn(_normal, (0.0, std * 0.5**0.5), shape, kind, generator)
    return found + mean if mean else found  # type: ignore[no-any-return]


@factory
def rand(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1); both parts of complex ones."""
    return _finished(
        _drawn(_uniform, (0.0, 1.0), shape_of(size), to_numpy(dtype or dtypes.float32), generator), requires_grad
    )


@factory
def randn(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Standard normal numbers; complex ones have variance 1 in all."""
    kind = to_numpy(dtype or dtypes.float32)
    return _finished(_normals(0.0, 1.0, shape_of(size), kind, generator), requires_grad)


@factory
def randint(
    *args: Any,
    low: int = 0,
    high: int | None = None,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Integers in [low, high): `randint(high, size)` or `randint(low, high, size)`."""
    given = list(args)
    size = given.pop() if size is None else size
    low, high = (given[0], given[1]) if len(given) == 2 else (low, given[0]) if given else (low, high)
    if high is None or high <= low:
        raise TensorError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return draw(_randint, (int(low), int(high)), (shape_of((size,)), to_numpy(dtype or int)), generator)  # type: ignore[no-any-return]


@factory
def rand_like(input: Tensor, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`rand` of this shape and dtype."""
    return rand(*input.shape, dtype=dtype or input.dtype)


@factory
def randn_like(input: Tensor, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`randn` of this shape and dtype."""
    return randn(*input.shape, dtype=dtype or input.dtype)


@factory
def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers below n in random order."""
    shape_of((n,))
    rng, (lane, count) = (generator or default_generator).numpy(), _lanes(running_trace())
    if lane is None:
        return wrap(from_numpy(rng.permutation(n).astype(to_numpy(dtype or int))))
    table = np.stack([rng.permutation(n) for _ in range(count)]).astype(to_numpy(dtype or int))
    return wrap(ops.gather(from_numpy(table), [lane], (0,)))


def _no_std(std: Any) -> Failure:
    return broken(
        "normal expects all elements of std >= 0.0"
        if isinstance(std, Tensor)
        else f"normal expects std >= 0.0, but found std {std:g}"
    )


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers with this mean and standard deviation."""
    check_domain(std, 0, math.inf, _no_std(std))
    if size is not None:
        kind = dtypes.float32 if dtype is None else to_numpy(dtype)
        found = _normals(float(mean), float(std), shape_of((size,)), kind, generator)
        return _finished(found, requires_grad)
    shape = tuple((mean if isinstance(mean, Tensor) else std).shape)
    return randn(*shape, generator=generator) * std + mean  # type: ignore[no-any-return]


_NO_CHANCE = broken(
    "Expected p_in >= 0 && p_in <= 1 to be true, but got false",
    hint="torch.sigmoid makes probabilities of any numbers",
    show=True,
)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """Ones with these probabilities, or all with `p`, else zeros."""
    if p is not None:
        return input.detach().clone().bernoulli_(p, generator=generator)  # type: ignore[attr-defined,no-any-return]
    _floats(input, "bernoulli_tensor_cpu_p_")
    check_domain(input, 0, 1, _NO_CHANCE)
    return draw(_bernoulli, (input.detach(),), (tuple(input.shape), input.dtype.np), generator)  # type: ignore[no-any-return]


def _floats(x: Tensor, what: str) -> None:
    if not x.dtype.is_floating_point:
        raise UnsupportedError(f"\"{what}\" not implemented for '{x.dtype.legacy_name}'")


_no_weight = Function(
    lambda p: ops.bitwise_not(ops.bitwise_and(ops.greater_equal(p, 0), ops.is_finite(p))), "check_weights"
)
_no_mass = Function(lambda p: ops.less_equal(ops.reduce_sum(p, (p.ndim - 1,)), 0), "check_weights")
_gumbel_topk = Function(
    lambda p, s, d, k: ops.convert(ops.top_k(ops.add(ops.log(p), _gumbel(s, d, p)), k)[1], dtypes.int64), "multinomial"
)
_gumbel_each = Function(lambda p, s, d, k: _draws(p, s, d, k), "multinomial")


def _gumbel(s: Any, d: Any, like: Any) -> Any:
    return fdl.random.gumbel(key_of(s, d), like.shape, like.dtype)


def _draws(p: Any, s: Any, d: Any, k: int) -> Any:
    """k independent draws a row: the largest of log p plus Gumbel noise."""
    shape = (*p.shape[:-1], k, p.shape[-1])
    wide = ops.broadcast(ops.log(p), shape, (*range(p.ndim - 1), p.ndim))
    return ops.argmax(ops.add(wide, fdl.random.gumbel(key_of(s, d), shape, p.dtype)), p.ndim, dtypes.int64)


@method()
def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Indices drawn by weight along the last dimension."""
    if not input.dtype.is_floating_point:
        raise TensorError(
            f"multinomial only supports floating-point dtypes for input, got: {input.dtype.legacy_name}",
            hint="weights.float()",
        )
    if input.ndim not in (1, 2):
        raise TensorError("prob_dist must be 1 or 2 dim", why=f"it has {input.ndim}")
    if num_samples <= 0:
        raise TensorError("cannot sample n_sample <= 0 samples", why=f"num_samples is {num_samples}")
    if not replacement and num_samples > input.shape[-1]:
        raise TensorError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    require(_no_weight, (input,), broken("probability tensor contains either `inf`, `nan` or element < 0", show=True))
    require(_no_mass, (input,), broken("invalid multinomial distribution (sum of probabilities <= 0)"))
    return draw(_gumbel_each if replacement else _gumbel_topk, (input.detach(),), (num_samples,), generator)  # type: ignore[no-any-return]


# Filling in place


def _filling(function: Function, self: Tensor, given: tuple[Any, ...], generator: Any) -> Tensor:
    aval = self._aval
    return self._overwrite(check_cast(self, _drawn(function, given, aval.shape, aval.dtype, generator)))


@method("uniform_")
def _uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Any = None) -> Tensor:
    if not a <= b:
        raise TensorError(f"uniform_ expects to return a [from, to) range, but found from={a:g} > to={b:g}")
    return _filling(_uniform, self, (float(a), float(b)), generator)


@method("normal_")
def _normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    check_domain(std, 0, math.inf, _no_std(std))
    aval = self._aval
    return self._overwrite(check_cast(self, _normals(float(mean), float(std), aval.shape, aval.dtype, generator)))


@method("bernoulli_")
def _bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    if isinstance(p, Tensor):
        check_domain(p, 0, 1, _NO_CHANCE)
        return self._overwrite(bernoulli(p.expand(self.shape), generator=generator).to(self.dtype))
    check_domain(p, 0, 1, broken(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}"))
    return _filling(_bernoulli, self, (float(p),), generator)


@method("random_")
def _random_(self: Tensor, low: int | None = None, high: int | None = None, *, generator: Any = None) -> Tensor:
    given, low = low is not None, low or 0
    low, high = (0, low) if high is None and given else (low, high if high is not None else 1 << 24)
    if low >= high:
        raise TensorError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _filling(_randint, self, (low, high), generator)
