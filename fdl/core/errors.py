"""Every error a user can meet, in one form.

A message says what happened, why it cannot be, what to write instead and where.  Classes inherit
`FdlError` and the natural builtin, so that `except TypeError` keeps working in ported scripts.
Read next: `source.py`, which finds the user's line.
"""

from __future__ import annotations

from fdl.core import source


class FdlError(Exception):
    """Base of all errors that fdl raises on purpose.

    `what` names the operation, shapes and dtypes; `why` says why it cannot be; `hint` shows what to
    write instead; the user's line is found by itself unless `at` gives it.
    """

    def __init__(self, what: str, *, why: str = "", hint: str = "", at: source.Location | None = None) -> None:
        lines = [what]
        if why:
            lines.append(f"  why: {why}")
        if hint:
            lines.append(f"  try: {hint}")
        self.at = at or source.user_location()
        if self.at is not None:
            lines.append(f"  at:  {self.at}")
        super().__init__("\n".join(lines))


class ShapeError(FdlError, TypeError, ValueError):
    """Shapes do not fit the operation.

    >>> import fdl.numpy as jnp
    >>> jnp.ones((2, 3)) + jnp.ones((2, 4))  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.ShapeError: add: shapes (2, 3) and (2, 4) do not broadcast...
    >>> (jnp.ones((2, 3)) + jnp.ones((2, 1))).shape  # right
    (2, 3)
    """


class DtypeError(FdlError, TypeError):
    """A dtype does not fit the operation.

    >>> import fdl
    >>> fdl.grad(lambda n: n * 2)(3)  # wrong: an integer has no derivative
    Traceback (most recent call last):
    ...
    fdl.core.errors.DtypeError: grad: argument 0 (n) has dtype int32...
    >>> float(fdl.grad(lambda n: n * 2)(3.0))  # right
    2.0
    """


class TooLargeError(FdlError, MemoryError):
    """An array would take more memory than the machine has.

    >>> import fdl.numpy as jnp
    >>> jnp.zeros((1 << 30, 1 << 20))  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.TooLargeError: an array float32[1073741824,1048576] takes 4,503,599,627,370,496 bytes...
    >>> jnp.zeros((1 << 3, 1 << 2)).nbytes  # right
    128
    """


class StructureError(FdlError, TypeError, ValueError):
    """Nested containers do not have the structure that was asked for.

    >>> from fdl import tree
    >>> tree.map(lambda a, b: a + b, {"w": 1}, {"v": 1})  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.StructureError: tree.map: the trees differ...
    >>> tree.map(lambda a, b: a + b, {"w": 1}, {"w": 1})  # right
    {'w': 2}
    """


class TracedValueError(FdlError, TypeError, RuntimeError):
    """Python asked for the value of something that is only being recorded.

    >>> import fdl
    >>> fdl.jit(lambda x: float(x) * 2)(1.0)  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.TracedValueError: `float(x)` needs a value, but x is traced...
    >>> float(fdl.jit(lambda x: x * 2)(1.0))  # right: look at the result
    2.0
    """


class TracedBoolError(TracedValueError):
    """Python branched on a traced value.

    >>> import fdl
    >>> from fdl import numpy as jnp
    >>> fdl.jit(lambda x: x if x > 0 else -x)(1.0)  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.TracedBoolError: `if x` needs a value, but x is traced...
    >>> float(fdl.jit(lambda x: jnp.where(x > 0, x, -x))(1.0))  # right
    1.0
    """


class TracedMaskError(TracedValueError, IndexError):
    """A traced mask, or a traced part of a slice, would decide the size of a result.

    >>> import fdl
    >>> from fdl import numpy as jnp
    >>> fdl.jit(lambda x: x[x > 0])(jnp.ones(3))  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.TracedMaskError: `x[mask]` needs a value, but x is traced...
    >>> fdl.jit(lambda x: jnp.where(x > 0, x, 0).sum())(jnp.ones(3)).tolist()  # right
    3.0
    """


class LeakedTracerError(FdlError, TypeError):
    """A traced value outlived the transform that made it.

    >>> import fdl
    >>> kept = []
    >>> _ = fdl.jit(lambda x: kept.append(x * 2))(1.0)  # wrong: a side effect
    >>> kept[0] + 1
    Traceback (most recent call last):
    ...
    fdl.core.errors.LeakedTracerError: a traced value float32[] left jit...
    >>> y = fdl.jit(lambda x: x * 2)(1.0)  # right: return it
    """


class NonScalarError(ShapeError):
    """`grad` of a function whose output is no scalar.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.grad(lambda x: x * 2)(jnp.ones(3))  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.NonScalarError: grad: the function returned float32[3], not a scalar...
    >>> fdl.grad(lambda x: (x * 2).sum())(jnp.ones(3)).tolist()  # right
    [2.0, 2.0, 2.0]
    """


class ImmutableError(FdlError, TypeError):
    """Item assignment on an array.

    >>> import fdl.numpy as jnp
    >>> x = jnp.zeros(3)
    >>> x[0] = 1.0  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.ImmutableError: arrays are immutable...
    >>> x.at[0].set(1.0).tolist()  # right
    [1.0, 0.0, 0.0]
    """


class MissingAttributeError(FdlError, AttributeError):
    """A method of another library's arrays.

    >>> import fdl.numpy as jnp
    >>> jnp.ones(3).unsqueeze(0)  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.MissingAttributeError: an array, float32[3], has no attribute 'unsqueeze'...
    >>> jnp.expand_dims(jnp.ones(3), 0).shape  # right
    (1, 3)
    """


class DonatedError(FdlError, RuntimeError):
    """An array was used after it had been donated to a jitted function.

    >>> import fdl, fdl.numpy as jnp
    >>> x = jnp.zeros(3)
    >>> y = fdl.jit(lambda x: x + 1, donate_argnums=0)(x)
    >>> x + 1  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.DonatedError: an array float32[3] was donated to a jitted function...
    >>> (y + 1).tolist()  # right
    [2.0, 2.0, 2.0]
    """


class StateError(FdlError, RuntimeError):
    """A function under a transform writes something that lives outside of it and that the transform cannot carry;
    nothing has been changed.

    >>> import fdl, fdl.stateful as torch
    >>> total = torch.zeros(())
    >>> fdl.vmap(lambda x: total.add_(x))(torch.ones(3))  # wrong: which of the three sums is `total` to hold?
    Traceback (most recent call last):
    ...
    fdl.core.errors.StateError: vmap(<lambda>) writes a mapped value float32[] to something that lives outside of it...
    >>> total.add_(fdl.vmap(lambda x: x)(torch.ones(3)).sum()).item()  # right
    3.0
    """


class DeferredError(FdlError, RuntimeError):
    """A value was asked for whose program had failed before.

    Wrong: catching the error of a failed computation, then looking at what depended on it.
    Right: computing it again; everything that was changed in place since the last computation stands as it was before.
    """


class ReleasedError(FdlError, RuntimeError):
    """Reverse mode went through a graph whose residuals are gone: each is kept until it was used once.

    >>> import fdl.stateful as torch
    >>> x = torch.ones(3, requires_grad=True)
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> y.backward()  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.ReleasedError: Trying to backward through the graph a second time...
    >>> y = (x * x).sum()  # right
    >>> y.backward(retain_graph=True)
    >>> y.backward()
    """


class MissingRuleError(FdlError, NotImplementedError):
    """A primitive lacks the rule that a transform needs.

    >>> import fdl
    >>> from fdl.core import Primitive
    >>> twice_p = Primitive("twice").define(shape=lambda x: x, impl=lambda x: 2 * x)
    >>> float(twice_p.bind(fdl.numpy.float32(1.0)))  # right: it has an implementation
    2.0
    >>> fdl.grad(twice_p.bind)(1.0)  # wrong: but no derivative
    Traceback (most recent call last):
    ...
    fdl.core.errors.MissingRuleError: primitive `twice` has no `jvp` rule...
    """


class AxisNameError(FdlError, NameError):
    """A collective named an axis that no surrounding `vmap` binds.

    >>> import fdl
    >>> from fdl import lax, numpy as jnp
    >>> lax.psum(1.0, "i")  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.AxisNameError: psum: no axis named 'i' is bound here...
    >>> fdl.vmap(lambda x: lax.psum(x, "i"), axis_name="i")(jnp.ones(3)).tolist()  # right
    [3.0, 3.0, 3.0]
    """


class ChoiceError(FdlError, ValueError):
    """An argument is none of the values that it can have.

    >>> import fdl.numpy as jnp
    >>> jnp.take(jnp.arange(3), 5, mode="nearest")  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.ChoiceError: take: mode='nearest' is none of fill, drop, clip, wrap, promise_in_bounds...
    >>> int(jnp.take(jnp.arange(3), 5, mode="clip"))  # right
    2
    """


class IndexBoundsError(FdlError, IndexError):
    """An index lies outside of the array, and no `mode` says what that means.

    It is raised where an index has a value; one that is recorded, by `jit` or in a loop, does as in JAX.

    >>> import fdl.numpy as jnp
    >>> jnp.arange(3)[5]  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.IndexBoundsError: index 5 is out of bounds for axis 0 of size 3...
    >>> int(jnp.arange(3)[2])  # right
    2
    """


class GraphError(FdlError, AssertionError):
    """A Graph or loop program breaks its own rules: a bug in a pass or a rule, not in user code.

    >>> from fdl.core import Graph, ShapedArray, Var
    >>> x = Var(ShapedArray((), "float32"))
    >>> Graph((), (), (x,)).check()  # wrong: x is defined nowhere
    Traceback (most recent call last):
    ...
    fdl.core.errors.GraphError: graph check: output 0 is not defined...
    >>> Graph((x,), (), (x,)).check()  # right
    """


class DeviceError(FdlError, ValueError):
    """A device that does not exist, or is not there on this machine.

    >>> import fdl
    >>> fdl.jit(lambda x: x, device="abacus")(1.0)  # wrong
    Traceback (most recent call last):
    ...
    fdl.core.errors.DeviceError: there is no device 'abacus'...
    >>> float(fdl.jit(lambda x: x, device="cpu")(1.0))  # right
    1.0
    """


class CompileError(FdlError, RuntimeError):
    """A program could not be compiled: no compiler under `FDL_TIER=compiled`, or one that failed.

    Wrong: `FDL_TIER=compiled` on a machine without a C compiler.
    Right: `FDL_TIER=auto` (the default), which falls back to the interpreter and warns once.
    """


class CacheError(CompileError):
    """Compiled programs can be kept nowhere, in the user's folder and in that for temporary files: disks are full, or
    let no program run.

    Wrong: `FDL_CACHE_DIR` on a disk that is mounted without the right to execute, and `TMPDIR` too.
    Right: `FDL_CACHE_DIR` names a folder of the user's from which programs may run.
    """


class CacheWarning(UserWarning):
    """The cache's folder cannot be used: what is compiled serves this process alone."""


class SettingError(FdlError, ValueError):
    """A variable of the environment whose name begins with `FDL_` has a value that it cannot have; raised at `import
    fdl`.

    Wrong: `FDL_TIER=fast`.
    Right: `FDL_TIER=compiled`; the README lists all of them.
    """


class SettingWarning(UserWarning):
    """A variable of the environment whose name begins with `FDL_` is no setting of fdl: it may be misspelt."""


class CompileWarning(UserWarning):
    """The compiler failed on a program, which runs on the slower interpreter."""


class ManyShapesWarning(UserWarning):
    """One line of the user has been compiled for many shapes; each new one takes the time of a compilation."""


class NoCompilerWarning(UserWarning):
    """No C compiler was found: programs run on the slower interpreter."""
