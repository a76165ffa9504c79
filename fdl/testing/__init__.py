"""Laws and checks for operations of your own.

`verify(operation, samples)` holds a function or a primitive to every law that fdl's own primitives are held to: values,
lowering, forward and reverse mode, lanes, second order, dtypes. What is broken is said in words, with the smallest
input. `python -m fdl verify` does it for all of fdl's.

>>> import fdl, fdl.numpy as jnp
>>> @fdl.custom_jvp
... def cube(x):
...     return x**3
>>> @cube.defjvp
... def cube_jvp(primals, tangents):
...     return primals[0] ** 3, 2 * primals[0] ** 2 * tangents[0]  # wrong: 3 times
>>> try:
...     verify(cube, [(Spec((2,)),)], laws=["jvp"])
... except LawError as error:
...     print(error.findings[0].law.says)
forward mode gives the slope of central differences

`fdl.testing.strategies` has strategies of Hypothesis for arrays, types, trees and programs. `check_grads` and
`check_batching` look at one function at one place; the counters say how often something was traced or compiled.
"""

from fdl.ops.sample import Sample, Spec
from fdl.testing.counting import assert_max_traces, count_compilations, count_native_calls, count_programs
from fdl.testing.derivatives import check_batching, check_grads
from fdl.testing.table import main as main
from fdl.testing.tolerances import assert_close
from fdl.testing.verification import Finding, LawError, verify

__all__ = [
    "Finding",
    "LawError",
    "Sample",
    "Spec",
    "assert_close",
    "assert_max_traces",
    "check_batching",
    "check_grads",
    "count_compilations",
    "count_native_calls",
    "count_programs",
    "verify",
]
