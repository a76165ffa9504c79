"""How functions become methods of tensors.

`method` attaches a function to `Tensor`, in place too. Once the runtime library is loaded, `adopt_methods` puts its own
methods before those that only apply one recorded function.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, TypeVar

from fdl.extend import NATIVE, Function, Leaf
from fdl.stateful.core.cells import note_slots
from fdl.stateful.core.dtypes import category
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.meta import is_meta
from fdl.stateful.core.operands import conversion, converted
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.core.views import refuse_shared

F = TypeVar("F", bound=Callable[..., Any])


def named(function: F, name: str, doc: str) -> F:
    """A function that another one has made, under the name that a module gives it: so it prints, and is pickled."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def method(
    *names: str,
    inplace: bool = False,
    function: Function | None = None,
    others: int = 0,
    reflected: bool = False,
    over_all: tuple[Any, ...] | None = None,
) -> Callable[[F], F]:
    """Make a function of a tensor a method too, under its own name or the given ones; `inplace` adds `name_`, which
    overwrites the tensor.

    Where all that the function does is to apply `function` to the tensor and so many `others`, or with `reflected` to
    these first, the runtime library does that by itself, once it is there.  Where `over_all` is given, static operands
    are all dimensions and then these.
    """
    static = () if over_all is None else [(tuple(range(n)), *over_all) for n in range(_DIMENSIONS)]

    def register(f: F) -> F:
        for name in names or (f.__name__.strip("_"),):
            setattr(Tensor, name, f)
            if inplace:

                def changed(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
                    refuse_shared(self, args)
                    return _taking(self, f(self, *args, **kwargs))

                changed.__name__ = f"{name}_"
                setattr(Tensor, f"{name}_", changed)
                if function is not None:
                    _RECORDED.append((f"{name}_", Answer.CHANGES, function, (), others))
            if function is not None:
                answer = Answer.REFLECTS if reflected else Answer.GIVES
                _RECORDED.append((name, answer, function, static, others))
        return f

    return register


class Answer(enum.IntEnum):
    """What a method of the runtime library does with the result of its function: it gives it; gives that of the
    operands in the other order; lets the tensor take it; or gives the tensor where that has the dtype already.
    """

    GIVES, REFLECTS, CHANGES, CONVERTS = range(4)


# methods that the runtime library may take over: name, answer, function, static operands (or a list of them by the
# number of dimensions), others
_RECORDED: list[tuple[str, Answer, Function, tuple[Any, ...] | list[tuple[Any, ...]], int]] = []
_DIMENSIONS = 8  # fewer than so many are known to the library
_LOOKS = ("item", "__bool__", "__int__", "__float__")  # in the order of the library's numbers


def adopting(adopt: Callable[[Any], None]) -> Callable[[Any], None]:
    """Call a function with the library's module when its methods are put before those of tensors."""
    _ADOPTING.append(adopt)
    return adopt


_ADOPTING: list[Callable[[Any], None]] = []


def adopt_methods(module: Any) -> None:
    """Let the runtime library be asked first for methods that apply one function: a hit then takes no Python at all."""
    if NATIVE.apply is not None:
        module.ways(_taking)
        NATIVE.adopt(NATIVE, "copied", module.copied)
        for use, name in enumerate(_LOOKS):
            NATIVE.adopt(Tensor, name, module.looks(name, use, getattr(Tensor, name)))
        for adopt in _ADOPTING:
            adopt(module)
        while _RECORDED:  # from the end, so that an interrupt leaves the others to the next call
            name, *known = _RECORDED[-1]
            NATIVE.adopt(Tensor, name, module.method(name, *known, getattr(Tensor, name)))
            del _RECORDED[-1]


def _taking(x: Tensor, result: Tensor) -> Tensor:
    """`x` with the values of a result."""
    return x if _put_plain(x, result) else x._overwrite(check_cast(x, result))


def _put_plain(x: Tensor, result: Tensor) -> bool:
    """What `_overwrite` does where nothing is special: a base takes another one's value of the same type. False, and
    nothing is changed, elsewhere.
    """
    storage, source = x._storage, result._storage
    if (
        x._view is not None
        or result._view is not None
        or storage.exported is not None
        or source.array.aval is not storage.array.aval
        or is_meta(source.array) is not is_meta(storage.array)
        or type(result._edge) is Leaf
    ):
        return False
    if grad_mode.enabled:
        if type(x._edge) is Leaf:
            return False
        if x._edge is not None or result._edge is not None:
            note_slots(x, "_edge", "_result")
            x._edge, x._result = result._edge, result._result
    storage.set(source.array)
    return True


def check_cast(x: Tensor, result: Tensor) -> Tensor:
    """RuntimeError where a result cannot be stored in `x`."""
    if category(result.dtype.np) > category(x.dtype.np):
        raise TensorError(
            f"result type {result.dtype.legacy_name} can't be cast to the desired output type {x.dtype.legacy_name}"
        )
    return result


def add_conversion(name: str, np_dtype: Any) -> None:
    """Make the conversion to a dtype a method."""
    static = (np_dtype,)

    @method(name)
    def convert(input: Any, memory_format: Any = None) -> Any:
        if memory_format is not None:
            return input.to(np_dtype, memory_format=memory_format)
        return converted(input, np_dtype)

    _RECORDED.append((name, Answer.CONVERTS, conversion, static, 0))
