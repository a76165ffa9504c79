"""The module: a tree of parameters, buffers and modules, with a `forward`.

Values live in the instance's `__dict__`, so that reading one costs nothing; `_registered` says which names are what, in
order.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from fdl.extend import cut, note_write, running_trace, whole
from fdl.stateful.core.cells import Attribute, changes, lives_outside, note_birth, note_gradient
from fdl.stateful.core.dtypes import device as device_kind
from fdl.stateful.core.dtypes import to_numpy
from fdl.stateful.core.errors import ArgumentError, MissingError, OperandError, TensorError, UnsupportedError
from fdl.stateful.core.guards import note_configuration
from fdl.stateful.core.operands import converted
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Composite, Tensor, held_by
from fdl.stateful.functions.conversions import dtype_and_device
from fdl.stateful.functions.creation import empty_like
from fdl.stateful.nn.hooks import Hooked
from fdl.stateful.nn.parameter import Buffer, Parameter
from fdl.stateful.nn.registry import Registered

_PARAMETER, _BUFFER, _MODULE = "parameter", "buffer", "module"
_EXTRA = "_extra_state"


def typename(x: Any) -> str:
    """The name of an object's type as errors tell it; of a function or a class, its own.

    >>> typename(3), typename(len)
    ('int', 'len')
    """
    if isinstance(x, (Tensor, Composite)):
        return str(x.type())  # type: ignore[union-attr]
    named = x if hasattr(x, "__qualname__") else type(x)
    return f"{named.__module__}.{named.__qualname__}".removeprefix("builtins.")


class IncompatibleKeys(NamedTuple):
    """Keys that a state lacked, and keys that it had and nobody wanted."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def problems(self) -> list[str]:
        """What is wrong where keys have to fit."""
        named = (("Unexpected", self.unexpected_keys), ("Missing", self.missing_keys))
        return [
            f"{what} key(s) in state_dict: " + ", ".join(f'"{k}"' for k in keys) + ". " for what, keys in named if keys
        ]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def _registered_as(kind: str) -> Any:
    """What a module has registered as one kind, to be read, written to, or assigned anew."""

    def assign(module: Module, given: dict[str, Any]) -> None:
        now = Registered(module, kind, module._own(kind))
        now.clear()
        now.update(given)

    return property(lambda module: Registered(module, kind, module._own(kind)), assign)


class _Taken:
    """What modules have taken out of a dictionary, before it is put in place: values with their owners and names, and
    further states.
    """

    def __init__(self) -> None:
        self.values: list[tuple[Module, str, Any]] = []
        self.extra: list[tuple[Module, Any]] = []

    def take(self, assign: bool) -> None:
        """Put all in place, values all or none; `assign` lets tensors themselves be the new ones."""
        saved, grad_mode.enabled = grad_mode.enabled, False
        try:
            whole(self._take, assign)
            for module, state in self.extra:
                module.set_extra_state(state)
        finally:
            grad_mode.enabled = saved

    def _take(self, assign: bool) -> None:
        for module, name, value in self.values:
            if assign:
                module._assign(name, value)
                continue
            own = module.__dict__[name]
            if value.dtype.is_complex and not own.dtype.is_complex:
                warnings.warn("Casting complex values to real discards the imaginary part", UserWarning, stacklevel=6)
            own._overwrite(value)


class _Given(OrderedDict[str, Any]):
    """A dictionary of states on its way through modules, with what they have taken so far."""

    def __init__(self, taken: _Taken, items: Any) -> None:
        super().__init__(items)
        self.taken = taken


def _placed(init: Callable[..., None]) -> Callable[..., None]:
    """A layer's `__init__` whose `device` is where all that it makes lies."""
    signature = inspect.signature(init)
    if "device" not in signature.parameters:
        return init

    @functools.wraps(init)
    def placed(*args: Any, **kwargs: Any) -> None:
        try:
            where = signature.bind(*args, **kwargs).arguments.get("device")
        except TypeError:  # which the layer says better
            where = None
        if where is None:
            return init(*args, **kwargs)
        with device_kind(where):
            return init(*args, **kwargs)

    return placed


class Module(Hooked):
    """Base of all layers and models: assign parameters and modules as attributes after `super().__init__()`, and write
    `forward`.

    >>> import fdl.stateful as torch
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = torch.nn.Linear(2, 3)
    ...     def forward(self, x):
    ...         return self.fc(x)
    >>> Net()(torch.ones(1, 2)).shape
    torch.Size([1, 3])
    """

    training: bool
    _version: int = 1
    _registered: dict[str, str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        home = cls.__dict__.get("__module__", "")  # a class made by `type(...)` may have none
        if home.startswith("fdl.stateful.") and "__init__" in cls.__dict__:
            cls.__init__ = _placed(cls.__init__)  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A module, which belongs to the transform that runs, if one does."""
        made = super().__new__(cls)
        note_birth(made)
        return made

    def __init__(self) -> None:
        self.__dict__["_registered"] = {}
        self.__dict__["_non_persistent_buffers_set"] = set()
        self.__dict__["training"] = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes; subclasses write it."""
        raise UnsupportedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if running_trace() is not None:
            note_configuration(self)
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    # Registration

    def __setattr__(self, name: str, value: Any) -> None:
        registered = self.__dict__.get("_registered")
        kind = (
            _PARAMETER
            if isinstance(value, Parameter)
            else _MODULE
            if isinstance(value, Module)
            else _BUFFER
            if isinstance(value, Buffer)
            else None
        )
        if registered is None and kind is not None:
            raise MissingError(f"cannot assign {kind}{'s' if kind is _PARAMETER else ''} before Module.__init__() call")
        if registered is not None and kind is not None and (kind is _PARAMETER or registered.get(name) != _PARAMETER):
            if kind is _PARAMETER:
                if registered.get(name) != _PARAMETER:
                    self.__dict__.pop(name, None)
                    registered.pop(name, None)
                self.register_parameter(name, value)  # which subclasses and libraries replace
                return
            registered[name] = kind
            if kind is _BUFFER and not value.persistent:
                self.__dict__["_non_persistent_buffers_set"].add(name)
        elif (
            registered is not None
            and value is not None
            and name in registered
            and not (registered[name] == _BUFFER and isinstance(value, (Tensor, Composite)))
        ):
            wanted = {
                _PARAMETER: "torch.nn.Parameter",
                _BUFFER: "torch.nn.Buffer, torch.Tensor",
                _MODULE: "torch.nn.Module",
            }[registered[name]]
            what = "child module" if registered[name] == _MODULE else registered[name]
            raise OperandError(f"cannot assign '{typename(value)}' as {what} '{name}' ({wanted} or None expected)")
        changes.count += 1
        if lives_outside(self):
            self._note(name, value)
        object.__setattr__(self, name, value)

    def _note(self, name: str, value: Any) -> None:
        """Tell the transform that runs of an attribute that it is about to be set, unless it is what it was."""
        known = self.__dict__.get(name)
        if known is not value and not (
            type(known) is type(value) and isinstance(value, (bool, int, float, str)) and known == value
        ):
            note_write(Attribute(self, name))

    def __delattr__(self, name: str) -> None:
        changes.count += 1
        if lives_outside(self):
            note_write(Attribute(self, name))
        self._registered.pop(name, None)
        object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Any:
        raise MissingError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _own(self, kind: str) -> dict[str, Any]:
        own = self.__dict__
        return {name: own[name] for name, k in self._registered.items() if k == kind}

    _parameters, _buffers, _modules = map(_registered_as, (_PARAMETER, _BUFFER, _MODULE))

    def _register(self, name: str, value: Any, kind: str) -> None:
        if kind is _MODULE and not (value is None or isinstance(value, Module)):
            raise OperandError(f"{typename(value)} is not a Module subclass")
        if not isinstance(name, str):
            raise OperandError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."' + (f", got: {name}" if kind is _MODULE else ""))
        if not name:
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and self._registered.get(name) != kind:
            raise KeyError(f"attribute '{name}' already exists")
        if kind is not _MODULE and not (
            value is None or isinstance(value, Parameter if kind is _PARAMETER else (Tensor, Composite))
        ):
            wanted = "torch.nn.Parameter or None" if kind is _PARAMETER else "torch Tensor or None"
            raise OperandError(f"cannot assign '{typename(value)}' object to {kind} '{name}' ({wanted} required)")
        self._put(name, value, kind)

    def _put(self, name: str, value: Any, kind: str) -> None:
        """Register a value under a name, whatever that stood for."""
        changes.count += 1
        if lives_outside(self):
            self._note(name, value)
        self._registered[name] = kind
        self.__dict__[name] = value

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None for one that is not there."""
        self._register(name, param, _PARAMETER)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor of the state that is not trained; in the state dict if persistent."""
        self._register(name, tensor, _BUFFER)
        self.__dict__["_non_persistent_buffers_set"].discard(name)
        if not persistent:
            self.__dict__["_non_persistent_buffers_set"].add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a module."""
        self._register(name, module, _MODULE)

    add_module = register_module

    # Walking

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below with their names, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        for _, module in self.named_children():
            yield module

    def _named(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        ):
            for name, value in module._own(kind).items():
                if value is not None and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their names; one that is shared comes once."""
        return self._named(_PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters; one that is shared comes once."""
        for _, p in self._named(_PARAMETER, "", recurse, True):
            yield p

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their names."""
        return self._named(_BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
        for _, b in self._named(_BUFFER, "", recurse, True):
            yield b

    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name."""
        found = self
        for part in filter(None, target.split(".")):
            found = found._part(part)
            if not isinstance(found, Module):
                raise MissingError(f"`{part}` is not an nn.Module")
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module under a dotted name; if strict, only in the place of another.

        >>> import fdl.stateful as torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        >>> net.set_submodule("1", torch.nn.Tanh()); net[1]
        Tanh()
        """
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if strict and not hasattr(owner, name):
            raise MissingError(f"{owner._get_name()} has no attribute `{name}`")
        setattr(owner, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._part(name)
        if not isinstance(found, Parameter):
            raise MissingError(f"`{name}` is not an nn.Parameter")
        return found  # type: ignore[return-value]

    def _part(self, name: str) -> Any:
        """What an attribute of dotted names means; AttributeError where it is not there."""
        if not hasattr(self, name):
            raise MissingError(f"{self._get_name()} has no attribute `{name}`")
        return getattr(self, name)

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on all modules, children first."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # Modes and conversions

    def train(self, mode: bool = True) -> Module:
        """Training mode, for layers such as dropout."""
        if not isinstance(mode, bool):
            raise ArgumentError("training mode is expected to be boolean")
        for module in self.modules():
            if module.__dict__["training"] is not mode:
                module.training = mode
        return self

    def eval(self) -> Module:
        """Evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Ask for gradients of all parameters, or not."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: what comes back often enough is compiled anyway."""

    def to_empty(self, *, device: Any, recurse: bool = True) -> Module:
        """The module itself, parameters and buffers that have no values made anew, to be filled."""
        for tensor in [*self.parameters(recurse), *self.buffers(recurse)]:
            if tensor.device != device_kind(device):
                tensor.data = empty_like(tensor.detach(), device=device)
        return self

    def share_memory(self) -> Module:
        """The module itself: threads share its memory."""
        return self

    def type(self, dst_type: Any) -> Module:
        """All float parameters and buffers in another dtype."""
        return self._converted(to_numpy(dst_type))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name; AttributeError where there is none."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in owner._buffers:
            owner._part(name)
            raise MissingError(f"`{name}` is not a buffer")
        return owner._buffers[name]  # type: ignore[no-any-return]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters; a step that is complete runs now, since nobody wants its gradients any
        more.
        """
        drop_gradients(self.parameters(), set_to_none)
        cut()

    def _converted(self, np_dtype: Any, to_device: Any = None, complexes: bool = True) -> Module:
        for tensor in [*self.parameters(), *self.buffers()]:
            kind = tensor.dtype
            dtype = np_dtype if kind.is_floating_point or (complexes and kind.is_complex) else None
            if dtype is not None or to_device is not None:
                tensor.data = converted(tensor.detach(), dtype, to_device)
                if tensor.grad is not None:
                    tensor._grad = converted(tensor.grad, dtype, to_device)
        return self

    def to(
        self, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False, memory_format: Any = None
    ) -> Module:
        """Floating parameters and buffers with another dtype, in place; a device must be the CPU. The compiler chooses
        the memory format.
        """
        dtype, device = dtype_and_device(args, dtype, device)
        if dtype is not None and to_numpy(dtype).kind in "iub":
            raise OperandError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )
        return self._converted(None if dtype is None else to_numpy(dtype), device)

    def float(self) -> Module:
        """`to(float32)`, of real numbers alone."""
        return self._converted("float32", complexes=False)

    def double(self) -> Module:
        """`to(float64)`, of real numbers alone."""
        return self._converted("float64", complexes=False)

    def half(self) -> Module:
        """`to(float16)`, of real numbers alone."""
        return self._converted("float16", complexes=False)

    def bfloat16(self) -> Module:
        """`to(bfloat16)`, of real numbers alone."""
        return self._converted("bfloat16", complexes=False)

    def cpu(self) -> Module:
        """`to("cpu")`."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        """RuntimeError: tensors live on the CPU."""
        return self.to("cuda")

    # State

    def get_extra_state(self) -> Any:
        """What else a state dict holds, under `_extra_state`; subclasses that have it override this and
        `set_extra_state`.
        """
        raise TensorError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` gave."""
        raise TensorError("Reached a code path in Module.set_extra_state() that should never be called.")

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """Parameters and persistent buffers by dotted name, as tensors that share their values; `_metadata` of the
        dictionary has the versions of the modules.
        """
        for hook in self._hooks_of("state_dict_pre"):
            hook(self, prefix, keep_vars)
        found = destination
        if found is None:
            found = OrderedDict()
            found._metadata = OrderedDict()  # type: ignore[attr-defined]
        about = {"version": self._version}
        if hasattr(found, "_metadata"):
            found._metadata[prefix[:-1]] = about
        self._save_to_state_dict(found, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._hooks_of("state_dict"):
            changed = hook(self, found, prefix, about)
            if changed is not None and getattr(hook, "_from_public_api", False):
                raise TensorError("state_dict post-hook must return None")
            found = found if changed is None else changed
        return found

    def _own_state(self) -> dict[str, Any]:
        """Parameters and then persistent buffers of this module alone."""
        own = self.__dict__
        return {
            name: own[name]
            for wanted in (_PARAMETER, _BUFFER)
            for name, kind in self._registered.items()
            if kind == wanted and own[name] is not None and name not in own["_non_persistent_buffers_set"]
        }

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put what this module alone holds into a dictionary; subclasses may say it in another way."""
        for name, value in self._own_state().items():
            destination[prefix + name] = value if keep_vars else value.detach()
        if self._has_extra_state():
            destination[prefix + _EXTRA] = self.get_extra_state()

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not Module.get_extra_state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Put values into parameters and buffers by name.

        RuntimeError lists all shapes that differ and, if strict, all names that are missing or unexpected; then nothing
        has changed.
        """
        if not isinstance(state_dict, Mapping):
            raise OperandError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        taken, keys = _Taken(), IncompatibleKeys([], [])
        problems: list[str] = []
        last: list[tuple[Module, Any]] = []
        about = getattr(state_dict, "_metadata", {})

        def visit(module: Module, given: dict[str, Any], prefix: str) -> None:
            local = {**about.get(prefix[:-1], {}), **({"assign_to_params_buffers": True} if assign else {})}
            asked: Any = (keys.missing_keys, keys.unexpected_keys, problems)
            module._load_from_state_dict(given, prefix, local, True, *asked)
            for name, child in module._modules.items():
                if child is not None:
                    inner = f"{prefix}{name}."
                    visit(child, _Given(taken, ((k, v) for k, v in given.items() if k.startswith(inner))), inner)
            last.extend((module, hook) for hook in module._hooks_of("load"))

        visit(self, _Given(taken, state_dict), "")
        self._refuse([*(keys.problems() if strict and not last else []), *problems])
        taken.take(assign)
        for module, hook in last:  # these may change the lists of keys, and read the values
            hook(module, keys)
        self._refuse(keys.problems() if strict else [])
        return keys

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take what this module alone holds out of a dictionary; subclasses may change that first, or take it
        themselves. Within `load_state_dict` values are put in place when all modules have taken theirs.
        """
        for hook in self._hooks_of("load_pre"):
            hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        taken = state_dict.taken if isinstance(state_dict, _Given) else _Taken()
        own = self._own_state()
        for name, now in own.items():
            key = prefix + name
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
                continue
            value = state_dict[key]
            if not isinstance(value, Tensor):
                error_msgs.append(
                    f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object '
                    f"from checkpoint but received {type(value)}"
                )
            elif value.shape != now.shape:
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                    f"the shape in current model is {now.shape}."
                )
            else:
                taken.values.append((self, name, value))
        extra = prefix + _EXTRA
        if extra in state_dict:
            if self._has_extra_state():
                taken.extra.append((self, state_dict[extra]))
        elif self._has_extra_state() and strict:
            missing_keys.append(extra)
        if strict:
            parts = {name for name, kind in self._registered.items() if kind == _MODULE}
            for key in state_dict:
                if not key.startswith(prefix) or (key == extra and self._has_extra_state()):
                    continue
                head, *rest = key[len(prefix) :].split(".", 1)
                if head not in (parts if rest else own):
                    unexpected_keys.append(key)
        if not isinstance(state_dict, _Given):
            taken.take(bool(local_metadata.get("assign_to_params_buffers")))

    def _refuse(self, problems: list[str]) -> None:
        if problems:
            raise TensorError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))

    def _assign(self, name: str, value: Tensor) -> None:
        """A tensor itself, with its dtype, in the place of a parameter or a buffer."""
        old = self.__dict__[name]
        changes.count += 1
        self.__dict__[name] = (
            value
            if isinstance(value, Parameter) or not isinstance(old, Parameter)
            else Parameter(value, old.requires_grad)
        )

    # Printing

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr().split("\n") if self.extra_repr() else []
        children = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        if not children and len(extra) <= 1:
            return f"{self._get_name()}({extra[0] if extra else ''})"
        return f"{self._get_name()}(\n  " + "\n  ".join([*extra, *children]) + "\n)"

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._registered})


def drop_gradients(parameters: Any, set_to_none: bool) -> None:
    """Gradients to None, or to zeros."""
    held = [p for p in held_by(parameters) if p._grad is not None]
    if running_trace() is not None:
        for p in held:
            note_gradient(p)
    for p in held:
        p._grad = None if set_to_none else p._grad.detach().zero_()
