"""A reader of pickles that can make nothing but data: numbers, strings, containers, and what a table of names allows.

It runs the steps of a pickle (`pickletools` tells them apart) on a stack, and knows only those that make data. A name
stands for a value, or for a function that a file may call; a function is a `Call` until it is called, so that no
step can read or set anything of it. Attributes are set on ordered dictionaries alone, which this reader has made, and
never over their methods. Keys are small, so that no hash runs deep.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_KEY_SIZE, _ATTRIBUTES = 100, 100  # elements of a key, with those of tuples within; attributes of an ordered dictionary


@dataclass(frozen=True, slots=True)
class Call:
    """A function that a file may call; `call` raises ValueError or TypeError for arguments that do not fit."""

    call: Callable[..., Any]


def key(x: Any) -> Any:
    """The key of a dictionary or an element of a set; ValueError for what has no place there, or would take long to
    hash.
    """
    todo, count = [x], 0
    while todo:
        value = todo.pop()
        count += 1
        if type(value) is tuple and count + len(value) <= _KEY_SIZE:
            todo += value
        elif (
            value is not None
            and not isinstance(value, (str, int, float, complex, bytes))
            and type(value).__name__ not in ("dtype", "device")
        ):
            raise ValueError(
                f"a {type(value).__name__} is no key" if type(value) is not tuple else "a key is too large"
            )
        elif count > _KEY_SIZE:
            raise ValueError("a key is too large")
    return x


class _Machine:
    """A stack, the stacks below marks, and what was put aside by number."""

    def __init__(self, find: Callable[[str, str], Any], storage: Callable[[Any], Any]) -> None:
        self.find, self.storage = find, storage
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        found, self.stack = self.stack, self.below.pop()
        return found

    def popped(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("the stack of its pickle is empty")
        found = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return found

    def top(self, kind: type) -> Any:
        """The container on top; only one that this reader has made."""
        if (
            not self.stack
            or not isinstance(self.stack[-1], kind)
            or type(self.stack[-1]) not in (list, dict, set, OrderedDict)
        ):
            raise ValueError(f"its pickle puts something into what is no {kind.__name__}")
        return self.stack[-1]

    def call(self) -> None:
        function, arguments = self.popped(2)
        if type(function) is not Call or type(arguments) is not tuple:
            raise pickle.UnpicklingError(
                "Weights only load failed. The file calls what is no function that it may call"
            )
        self.stack.append(function.call(*arguments))

    def build(self) -> None:
        """Attributes, such as the versions of a module's state: of an ordered dictionary, and none that it has by
        itself.
        """
        (state,) = self.popped(1)
        target = self.stack[-1] if self.stack else None
        if type(target) is not OrderedDict or type(state) is not dict or len(state) > _ATTRIBUTES:
            raise pickle.UnpicklingError(
                f"Weights only load failed. The file sets attributes of a {type(target).__name__}; "
                "only those of an OrderedDict are read"
            )
        for name in state:
            if type(name) is not str or hasattr(OrderedDict, name):
                raise pickle.UnpicklingError(
                    f"Weights only load failed. The file sets the attribute {str(name)[:80]!r} of an OrderedDict"
                )
        target.__dict__.update(state)

    def put(self, container: Any, items: list[Any]) -> None:
        """Keys and values by turns."""
        if len(items) % 2:
            raise ValueError("a key of a dictionary has no value")
        for k, v in zip(items[::2], items[1::2], strict=True):
            container[key(k)] = v


def _constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda m, _: m.stack.append(value)


def _given(m: _Machine, argument: Any) -> None:
    m.stack.append(argument)


def _made(kind: Callable[[list[Any]], Any], count: int | None = None) -> Callable[[_Machine, Any], None]:
    """Push a container of the last `count` values, or of those since the mark."""

    def step(m: _Machine, _: Any) -> None:
        items = m.marked() if count is None else m.popped(count)
        m.stack.append(kind(items))

    return step


def _filled(
    kind: type, add: Callable[[_Machine, Any, list[Any]], Any], count: int | None = None
) -> Callable[[_Machine, Any], None]:
    """Put the last `count` values, or those since the mark, into the container below them."""

    def step(m: _Machine, argument: Any) -> None:
        items = m.marked() if count is None else m.popped(count)
        add(m, m.top(kind), items)

    return step


def _keep(m: _Machine, argument: Any) -> None:
    if not m.stack:
        raise ValueError("the stack of its pickle is empty")
    m.memo[len(m.memo) if argument is None else argument] = m.stack[-1]


def _drop(m: _Machine, _: Any) -> None:
    m.popped(1) if m.stack else m.marked()


def _name(m: _Machine, argument: str | None) -> None:
    module, name = m.popped(2) if argument is None else argument.split(" ", 1)
    if type(module) is not str or type(name) is not str:
        raise ValueError("a name is no text")
    m.stack.append(m.find(module, name))


def _dictionary(items: list[Any]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    _Machine.put(None, found, items)  # type: ignore[arg-type]
    return found


def _frozen(items: list[Any]) -> frozenset[Any]:
    return frozenset(map(key, items))


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "MARK": lambda m, _: m.mark(),
    "POP": _drop,
    "POP_MARK": lambda m, _: (m.marked(), None)[1],
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    **dict.fromkeys(
        "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING".split(), _given
    ),
    **dict.fromkeys(
        "UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8".split(), _given
    ),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_SET": lambda m, _: m.stack.append(set()),
    "EMPTY_TUPLE": _constant(()),
    "LIST": _made(list),
    "TUPLE": _made(tuple),
    "TUPLE1": _made(tuple, 1),
    "TUPLE2": _made(tuple, 2),
    "TUPLE3": _made(tuple, 3),
    "DICT": _made(_dictionary),
    "FROZENSET": _made(_frozen),
    "APPEND": _filled(list, lambda m, target, items: target.extend(items), 1),
    "APPENDS": _filled(list, lambda m, target, items: target.extend(items)),
    "SETITEM": _filled(dict, _Machine.put, 2),
    "SETITEMS": _filled(dict, _Machine.put),
    "ADDITEMS": _filled(set, lambda m, target, items: target.update(map(key, items))),
    **dict.fromkeys(["GET", "BINGET", "LONG_BINGET"], lambda m, number: m.stack.append(m.memo[number])),
    **dict.fromkeys(["PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"], _keep),
    **dict.fromkeys(["GLOBAL", "STACK_GLOBAL"], _name),
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
    "BINPERSID": lambda m, _: m.stack.append(m.storage(m.popped(1)[0])),
}


def unpickled(
    data: bytes | io.BytesIO,
    find: Callable[[str, str], Any],
    storage: Callable[[Any], Any],
    private: tuple[type, ...] = (),
) -> Any:
    """What a pickle holds; of a file, what its next pickle holds.

    `find` gives what a name stands for, `storage` what a persistent id stands for. pickle.UnpicklingError for steps
    that could do more than make data, ValueError, LookupError, TypeError for damage. Objects of `private` are for calls
    alone, and none may be left in the result.

    >>> unpickled(pickle.dumps({"a": [1, (2.5, None)]}), find=lambda *name: 0, storage=lambda pid: 0)
    {'a': [1, (2.5, None)]}
    """
    machine = _Machine(find, storage)
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "STOP":
            break
        step = _STEPS.get(opcode.name)
        if step is None:
            raise pickle.UnpicklingError(
                f"Weights only load failed. Unsupported operand {opcode.name}: it makes objects of classes"
            )
        step(machine, argument)
    (found,) = machine.popped(1)
    _check_data(found, (Call, *private))
    return found


def _check_data(x: Any, private: tuple[type, ...]) -> None:
    """UnpicklingError where a function is left among the values."""
    todo, seen = [x], set()
    while todo:
        value = todo.pop()
        if isinstance(value, private):
            raise pickle.UnpicklingError("Weights only load failed. The file holds a function or a storage itself")
        if isinstance(value, (list, tuple, dict)) and id(value) not in seen:
            seen.add(id(value))
            todo += [*value, *value.values()] if isinstance(value, dict) else value
            todo += vars(value).values() if type(value) is OrderedDict else ()
