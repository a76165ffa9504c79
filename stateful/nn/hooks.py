"""Hooks of modules: what is called around `forward`, around the gradients of a call, and around reading and loading
state.

A module without hooks has no table of them, and its call costs nothing more. Hooks on gradients are two identities, one
on what goes in and one on what comes out, whose derivatives call them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fdl.stateful.autograd import Function
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.tape import HookHandle, grad_mode
from fdl.stateful.core.tensor import Tensor

_KINDS = (
    "forward_pre", "forward", "backward_pre", "backward", "state_dict_pre", "state_dict", "load_pre", "load",
    "forward_pre_with_kwargs", "forward_with_kwargs", "forward_always",
)  # fmt: skip


def _replaced(given: Any, number: int, what: str) -> tuple[Any, ...]:
    """What a hook returned, as a tuple of so many gradients."""
    found = given if isinstance(given, tuple) else (given,)
    if len(found) != number:
        raise TensorError(
            f"Backward hook returned an invalid number of {what}, got {len(found)}, but expected {number}"
        )
    return found


class _Backward:
    """One call of a module with hooks on its gradients."""

    def __init__(self, module: Hooked) -> None:
        self.module = module
        self.grad_output: tuple[Any, ...] = ()
        self.inputs: list[bool] = []  # which arguments are tensors
        self.flows = False  # whether one of them has a gradient

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with an identity on tensors."""
        self.inputs = [isinstance(a, Tensor) for a in args]
        self.flows = any(isinstance(a, Tensor) and a.requires_grad for a in args)
        return tuple(_around(self._arrived, args)) if self.flows else args

    def leave(self, out: Any) -> Any:
        """The results, with an identity on tensors."""
        outs = out if isinstance(out, (tuple, list)) else [out]
        if not any(isinstance(t, Tensor) and t.requires_grad for t in outs):
            return out
        new = _around(self._started, outs)
        return tuple(new) if isinstance(out, tuple) else new if isinstance(out, list) else new[0]

    def _started(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.module._hooks_of("backward_pre"):
            found = hook(self.module, gradients)
            gradients = gradients if found is None else _replaced(found, len(gradients), "grad_output")
        self.grad_output = gradients
        if not self.flows:
            self._call((None,) * len(self.inputs))
        return gradients

    def _arrived(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        arrived = iter(gradients)
        found = self._call(tuple([next(arrived) if is_tensor else None for is_tensor in self.inputs]))
        return tuple([g for g, is_tensor in zip(found, self.inputs, strict=True) if is_tensor])

    def _call(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.module._hooks_of("backward"):
            found = hook(self.module, grad_input, self.grad_output)
            grad_input = grad_input if found is None else _replaced(found, len(grad_input), "grad_input")
        return grad_input


class _Around(Function):
    """The identity of several tensors, whose derivative hands all gradients to a function; what has none comes as
    zeros.
    """

    @staticmethod
    def forward(ctx: Any, call: Callable[[tuple[Any, ...]], Sequence[Any]], *xs: Tensor) -> Any:
        ctx.call = call
        outs = tuple([x.detach() for x in xs])
        ctx.mark_non_differentiable(*[out for x, out in zip(xs, outs, strict=True) if not x.requires_grad])
        return outs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (None, *ctx.call(gradients))


def _around(call: Callable[[tuple[Any, ...]], Sequence[Any]], values: Sequence[Any]) -> list[Any]:
    """Values, of which the tensors went through the identity."""
    through = iter(_Around.apply(call, *(x for x in values if isinstance(x, Tensor))))
    return [next(through) if isinstance(x, Tensor) else x for x in values]


class Hooked:
    """What modules have of hooks."""

    _hooks: dict[str, dict[int, Any]] | None = None  # by kind; None where there never was one

    def _table(self, kind: str) -> dict[int, Any]:
        """The hooks of a kind, as they can be looked at and taken away."""
        if self._hooks is None:
            self.__dict__["_hooks"] = {k: {} for k in _KINDS}
        assert self._hooks is not None
        return self._hooks[kind]

    _forward_hooks = property(lambda self: self._table("forward"))
    _forward_pre_hooks = property(lambda self: self._table("forward_pre"))
    _forward_hooks_with_kwargs = property(lambda self: self._table("forward_with_kwargs"))
    _forward_hooks_always_called = property(lambda self: self._table("forward_always"))
    _forward_pre_hooks_with_kwargs = property(lambda self: self._table("forward_pre_with_kwargs"))
    _backward_hooks = property(lambda self: self._table("backward"))
    _backward_pre_hooks = property(lambda self: self._table("backward_pre"))
    _state_dict_hooks = property(lambda self: self._table("state_dict"))
    _state_dict_pre_hooks = property(lambda self: self._table("state_dict_pre"))
    _load_state_dict_pre_hooks = property(lambda self: self._table("load_pre"))
    _load_state_dict_post_hooks = property(lambda self: self._table("load"))

    def _mark(self, handle: HookHandle, **kinds: bool) -> None:
        """Note what a hook wants."""
        for kind, wanted in kinds.items():
            if wanted:
                self._table(kind)[handle.id] = True

    def _hooks_of(self, kind: str) -> list[Any]:
        return [] if self._hooks is None else list(self._hooks[kind].values())

    def _add_hook(self, kind: str, hook: Any, prepend: bool = False) -> HookHandle:
        return HookHandle(self._table(kind), hook, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> HookHandle:
        """Call `hook(module, args, output)` after `forward`; what it returns, if anything, replaces the output. With
        `with_kwargs` it gets `(module, args, kwargs, output)`; with `always_call` it is called, with None, where
        `forward` fails.
        """
        handle = self._add_hook("forward", hook, prepend)
        self._mark(handle, forward_with_kwargs=with_kwargs, forward_always=always_call)
        return handle

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """Call `hook(module, args)` before `forward`; what it returns, if anything, replaces the arguments. With
        `with_kwargs` it gets `(module, args, kwargs)`, and returns both.
        """
        handle = self._add_hook("forward_pre", hook, prepend)
        self._mark(handle, forward_pre_with_kwargs=with_kwargs)
        return handle

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the positional arguments are known; what
        it returns, if anything, replaces them.

        >>> import fdl.stateful as torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> hook = lambda module, grad_input, grad_output: print(grad_output[0].tolist())
        >>> handle = layer.register_full_backward_hook(hook)
        >>> layer(torch.ones(1, 2)).sum().backward()
        [[1.0]]
        """
        return self._add_hook("backward", hook, prepend)

    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(module, grad_output)` before gradients go through the module; what it returns, if anything,
        replaces them.
        """
        return self._add_hook("backward_pre", hook, prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` reads the module."""
        return self._add_hook("state_dict_pre", hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after; it may change the dict in place,
        and returns nothing.
        """
        hook._from_public_api = True  # type: ignore[attr-defined]
        return self._add_hook("state_dict", hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`
        before values are taken; it may change the dict.
        """
        return self._add_hook("load_pre", hook)

    def _register_load_state_dict_pre_hook(self, hook: Callable[..., Any], with_module: bool = False) -> HookHandle:
        """`register_load_state_dict_pre_hook`, of a hook that is not given the module unless `with_module`."""
        return self._add_hook("load_pre", hook if with_module else lambda module, *args: hook(*args))

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """`register_state_dict_post_hook`, of a hook that may return another dict."""
        return self._add_hook("state_dict", hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(module, incompatible_keys)` after values were taken; it may change the lists of keys."""
        return self._add_hook("load", hook)

    def _hooked(self, number: int, args: Any, kwargs: Any, out: Any) -> Any:
        """What a hook says of a result; None where it is there no more."""
        hook = self._table("forward").get(number)
        if hook is None:
            return None
        return hook(self, args, kwargs, out) if number in self._table("forward_with_kwargs") else hook(self, args, out)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for number, hook in list(self._table("forward_pre").items()):
            if number in self._table("forward_pre_with_kwargs"):
                args, kwargs = hook(self, args, kwargs) or (args, kwargs)
            elif (found := hook(self, args)) is not None:
                args = found if isinstance(found, tuple) else (found,)
        watched = (
            _Backward(self)
            if grad_mode.enabled and (self._hooks_of("backward") or self._hooks_of("backward_pre"))
            else None
        )
        args = watched.enter(args) if watched else args
        try:
            out = self.forward(*args, **kwargs)  # type: ignore[attr-defined]
        except Exception:
            for number in self._table("forward_always"):
                self._hooked(number, args, kwargs, None)
            raise
        for number in list(self._table("forward")):
            found = self._hooked(number, args, kwargs, out)
            out = out if found is None else found
        return watched.leave(out) if watched else out
