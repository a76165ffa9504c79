"""The optimizer: parameter groups and state; one recorded function updates all parameters of a group."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fdl.extend import Function, Storage, cut, from_numpy, put, want, whole
from fdl.stateful.autograd import enable_grad, no_grad
from fdl.stateful.core.cells import refuse_step
from fdl.stateful.core.errors import ArgumentError, OperandError
from fdl.stateful.core.tape import HookHandle, grad_mode
from fdl.stateful.core.tensor import Composite, Tensor, held_by, wrap
from fdl.stateful.core.views import overwrite_all
from fdl.stateful.nn.module import drop_gradients

ParamsT = Iterable[Any]
_params_t = params_t = ParamsT


def _use_grad_for_differentiable(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step under `no_grad`, but where the optimizer's settings say `differentiable`."""

    @functools.wraps(step)
    def public(self: Any, *args: Any, **kwargs: Any) -> Any:
        saved, grad_mode.enabled = grad_mode.enabled, bool(self.defaults.get("differentiable", False))
        try:
            return step(self, *args, **kwargs)
        finally:
            grad_mode.enabled = saved

    return public


def _default_to_fused_or_foreach(
    params: Sequence[Any], differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    """Neither: all updates are one program anyhow."""
    return False, False


def _get_value(x: Any) -> Any:
    """A number, of a tensor that holds one."""
    return x.item() if isinstance(x, Tensor) else x


def _dispatch_sqrt(x: Any) -> Any:
    """The root of a tensor or a number."""
    return x.sqrt() if isinstance(x, Tensor) else math.sqrt(x)


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    """None: nothing is captured."""
    return []


class _Required:
    """A setting that has to be given."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
_OPTIONS = {"foreach": None, "capturable": False, "differentiable": False, "fused": None}


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step`, its own or a subclass's, with the hooks around it."""

    @functools.wraps(step)
    def public(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(type(self), "step", None) is not public:  # a subclass's step asked for this one
            return step(self, *args, **kwargs)
        refuse_step(f"a step of {type(self).__name__}")
        for hook in self._hooks_of("step_pre"):
            hook(self, args, kwargs)
        self.stepped = True
        result = step(self, *args, **kwargs)
        for hook in self._hooks_of("step"):
            hook(self, args, kwargs)
        return result

    return public


class Draft:
    """What a step will change. Nothing has changed until `carry_out`, which changes all of it: an interrupt leaves a
    step undone or done.
    """

    __slots__ = ("cells", "kept", "seen", "states", "values")

    def __init__(self) -> None:
        self.cells: list[Storage] = []
        self.seen: list[tuple[Tensor, Any]] = []
        self.values: list[Any] = []
        self.states: list[dict[str, Any]] = []
        self.kept: list[dict[str, Any]] = []

    def update(
        self,
        function: Function,
        cells: Sequence[Any],
        others: Sequence[Any],
        numbers: Sequence[Any],
        static: tuple[Any, ...],
    ) -> None:
        """Record `function(*cells, *others, *numbers, *static)`; its results will be put into the cells, in order."""
        storages: list[Storage] = [t._storage for t in cells if t._view is None]
        gradients = [g._storage.array if g._view is None else g._value() for g in others]
        if len(storages) < len(cells):  # parameters that are parts of other tensors
            outs, _ = function.record([*[t._value() for t in cells], *gradients, *numbers], static)
            self.seen += zip(cells, outs, strict=True)
            return
        outs, _ = function.record([*[s.array for s in storages], *gradients, *numbers], static)
        self.cells += storages
        self.values += outs

    def keep(self, states: Sequence[dict[str, Any]], **numbers: Any) -> None:
        """These numbers will stand in the states."""
        self.states += states
        self.kept += [numbers] * len(states)

    def carry_out(self) -> None:
        """Make the changes; once more gives the same."""
        put(self.cells, self.values)
        if self.seen:
            with no_grad():
                overwrite_all(self.seen)
        for state, numbers in zip(self.states, self.kept, strict=True):
            state.update(numbers)


class Optimizer:
    """Base of optimizers: `param_groups`, `state`, `zero_grad`, `state_dict`; subclasses write `_update(group,
    parameters, draft)`.
    """

    _counts = True  # whether the state says how many steps there were
    # settings of PyTorch that say how a step is computed: kept for its state dicts, and without effect here, where each
    # step is one program
    _options: tuple[str, ...] = ("foreach", "capturable", "differentiable")

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, (Tensor, Composite)):
            raise OperandError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got torch.Tensor"
            )
        if not isinstance(params, Iterable):
            raise OperandError(
                f"'{type(params).__name__}' object is not iterable",
                why="an optimizer takes tensors, or dicts with a key 'params'",
                hint="model.parameters()"
                + (", called with ()" if callable(params) and hasattr(params, "__func__") else ""),
            )
        self.defaults = {**defaults, **{name: _OPTIONS[name] for name in self._options}}
        self.stepped = False  # whether there was a step: schedules look at it
        self._hooks: dict[str, dict[int, Any]] = {}  # by kind
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ArgumentError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.__dict__["step"])  # type: ignore[method-assign]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own; ValueError where one is in a group already or is no leaf."""
        group = {**self.defaults, **param_group}
        lacking = [name for name, value in group.items() if value is required]
        if lacking:
            raise ArgumentError(
                f"parameter group didn't specify a value of required optimization parameter {lacking[0]}"
            )
        given = group["params"]
        listed = (
            [given] if isinstance(given, (Tensor, Composite)) else [p[1] if isinstance(p, tuple) else p for p in given]
        )
        group["params"] = held_by(listed)
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise OperandError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not p.is_leaf:
                raise ArgumentError("can't optimize a non-leaf Tensor")
            if id(p) in known:
                raise ArgumentError("some parameters appear in more than one parameter group")
        self.param_groups.append({"params": group.pop("params"), **group})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        for group in self.param_groups:
            drop_gradients(group["params"], set_to_none)
        cut()

    @_hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; `closure`, if given, computes the loss first and is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        draft = Draft()
        saved, grad_mode.enabled = grad_mode.enabled, False
        try:
            for group in self.param_groups:
                parameters = [p for p in group["params"] if p._grad is not None]
                if parameters:
                    self._update(group, parameters, draft)
            whole(draft.carry_out)
        finally:
            grad_mode.enabled = saved
        want()
        return loss

    # Hooks

    def _hooks_of(self, kind: str) -> list[Any]:
        hooks = self.__dict__.get("_hooks", {})  # an optimizer around another one may not have called `__init__`
        return list(hooks[kind].values()) if kind in hooks else []

    def _add_hook(self, kind: str, hook: Any, prepend: bool = False) -> HookHandle:
        return HookHandle(self._hooks.setdefault(kind, {}), hook, prepend)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return self._add_hook("step_pre", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._add_hook("step", hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer)` before `state_dict`."""
        return self._add_hook("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; what it returns, if anything, replaces the dict."""
        return self._add_hook("state_dict", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer, state_dict)` before `load_state_dict`; what it returns, if anything,
        replaces the dict.
        """
        return self._add_hook("load_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer)` after `load_state_dict`."""
        return self._add_hook("load", hook, prepend)

    def _update(self, group: dict[str, Any], parameters: list[Any], draft: Draft) -> None:
        """Draw up what a step changes; the states say how it was before."""
        raise NotImplementedError(self)

    def _states_of(self, parameters: Sequence[Any], names: Sequence[str]) -> list[dict[str, Any]]:
        """States of parameters, zeros at first: concrete leaves, so that the first step is the same program as the
        second.
        """
        state, last = self.state, names[-1]
        for p in parameters:
            if p not in state or last not in state[p]:
                own = state[p]
                own.setdefault("step", 0)
                for name in names:
                    own.setdefault(name, wrap(from_numpy(np.zeros(tuple(p.shape), p.dtype.np))))
        return [state[p] for p in parameters]

    @staticmethod
    def _by_count(states: Sequence[dict[str, Any]]) -> dict[int, Sequence[int]]:
        """Numbers of the states by their count of steps: one, unless some parameters came later or were frozen for a
        while.
        """
        counts = [s["step"] for s in states]
        if counts.count(counts[0]) == len(counts):
            return {counts[0]: range(len(counts))}
        found: dict[int, list[int]] = {}
        for i, count in enumerate(counts):
            found.setdefault(count, []).append(i)
        return dict(found)

    # State

    def state_dict(self) -> dict[str, Any]:
        """State by number of the parameter, and groups with numbers in the place of parameters: PyTorch's layout."""
        for hook in self._hooks_of("state_dict_pre"):
            hook(self)
        numbers = {id(p): i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        groups = [
            {**{k: v for k, v in g.items() if k != "params"}, "params": [numbers[id(p)] for p in g["params"]]}
            for g in self.param_groups
        ]
        state = {
            numbers[id(p)]: {k: _exported(k, v) for k, v in s.items() if k != "step" or self._counts}
            for p, s in self.state.items()
            if id(p) in numbers
        }
        found: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._hooks_of("state_dict"):
            changed = hook(self, found)
            found = found if changed is None else changed
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; ValueError where groups do not fit."""
        for hook in self._hooks_of("load_pre"):
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        groups = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise ArgumentError("loaded state dict has a different number of parameter groups")
        if any(len(new["params"]) != len(own["params"]) for new, own in zip(groups, self.param_groups, strict=True)):
            raise ArgumentError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        parameters = {
            n: p
            for new, own in zip(groups, self.param_groups, strict=True)
            for n, p in zip(new["params"], own["params"], strict=True)
        }
        start = {} if self._counts else {"step": 1}  # what has a buffer has made a step
        loaded = {
            parameters[int(n)]: {**start, **{k: _imported(k, v) for k, v in s.items()}}
            for n, s in state_dict["state"].items()
            if int(n) in parameters
        }
        self.state = defaultdict(dict, loaded)
        for new, own in zip(groups, self.param_groups, strict=True):
            own.update({k: v for k, v in new.items() if k != "params"})
        for hook in self._hooks_of("load"):
            hook(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}", *(f"    {k}: {group[k]}" for k in sorted(group) if k != "params")]
        return "\n".join([*lines, ")"])


_NUMBERS = ("step", "mu_product", "eta", "mu")  # of a state that PyTorch keeps as tensors


def _exported(name: str, value: Any) -> Any:
    return wrap(from_numpy(np.asarray(float(value), np.float32))) if name in _NUMBERS else value


def _imported(name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return int(value) if name == "step" else float(value)
    return wrap(value._value()) if isinstance(value, Tensor) else value
