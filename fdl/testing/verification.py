"""`verify`: every law, for an operation of one's own; what is broken in words, with the smallest input."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.errors import ChoiceError, MissingRuleError
from fdl.core.primitive import Primitive
from fdl.testing.cases import Case, cases_of, name_of
from fdl.testing.laws import LAWS, Broken, Law, NoMeaning
from fdl.testing.tolerances import Data

_TRIES = 300  # inputs that are tried for a smaller one


class LawError(AssertionError):
    """An operation breaks a law; `findings` are all that it breaks."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n\n".join(f.told() for f in findings))
        self.findings = list(findings)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a law says about an operation: it holds over `count` inputs, it has no meaning for a `reason`, or it is
    broken at `case`.
    """

    name: str
    law: Law
    count: int = 0
    reason: str = ""
    case: Case | None = None

    @property
    def state(self) -> str:
        """ "holds", "broken", or "no meaning"."""
        return "broken" if self.case is not None else "holds" if self.count else "no meaning"

    def told(self) -> str:
        """In words."""
        if self.case is None:
            words = f"over {self.count} inputs" if self.count else f"no meaning: {self.reason}"
            return f"{self.name}: {self.law.name}: {words}"
        told = self.case.told().replace("\n", "\n    ")
        return (
            f"`{self.name}` breaks the law `{self.law.name}`: {self.law.says}\n"
            f"  smallest input:\n    {told}\n"
            f"  {self.reason.replace(chr(10), chr(10) + '  ')}\n"
            f"  look at: {self.law.look_at}"
        )


def verify(
    subject: Primitive | Callable[..., Any],
    samples: Iterable[Any] | None = None,
    *,
    reference: Callable[..., Any] | None = None,
    laws: Iterable[str] | None = None,
    examples: int = 1,
    seed: int = 0,
    shrink: bool = True,
) -> list[Finding]:
    """Hold an operation to all laws, or to those that are named, and return what each says; LawError where one is
    broken, which says in words which one, and shows the smallest input that was found.

    `subject` is a primitive, with its own samples unless others are given, or a function of arrays and trees of them.
    `samples` are tuples of arguments: arrays, trees, or `Spec`s, of which `examples` inputs each are drawn from `seed`;
    or a strategy of such tuples (`fdl.testing.strategies`). `reference` is a function of NumPy arrays that says what
    is right; without one, values are held to the operation run line by line by the reference of each primitive.

    >>> import fdl.numpy as jnp
    >>> from fdl.testing import Spec
    >>> found = verify(lambda x: jnp.tanh(x) ** 2, [(Spec((2, 3)),)], reference=lambda x: np.tanh(x) ** 2)
    >>> found[0].told()
    '<lambda>: forward: over 1 inputs'
    """
    findings = list(examined(subject, samples, reference, laws, examples, seed, shrink))
    faults = [f for f in findings if f.case is not None]
    if faults:
        raise LawError(faults)
    return findings


def examined(
    subject: Primitive | Callable[..., Any],
    samples: Iterable[Any] | None = None,
    reference: Callable[..., Any] | None = None,
    laws: Iterable[str] | None = None,
    examples: int = 1,
    seed: int = 0,
    shrink: bool = True,
) -> Iterator[Finding]:
    """What each law says about an operation, one after another, broken or not."""
    name = name_of(subject)
    if hasattr(samples, "example"):
        samples, examples = _drawn(samples, examples, seed), 1
    cases = list(cases_of(subject, samples, reference, examples, seed))
    if not cases:
        raise ChoiceError(
            f"verify: {name} has no samples",
            why="laws are held to inputs",
            hint='samples=[(np.ones((2, 3), "float32"),)], or [(Spec((2, 3)),)] for numbers that are drawn',
        )
    for law in _chosen(laws):
        yield _examine(name, law, cases, shrink)


def _chosen(names: Iterable[str] | None) -> list[Law]:
    names = list(LAWS) if names is None else list(names)
    for name in names:
        if name not in LAWS:
            raise ChoiceError(f"there is no law {name!r}", hint=f"one of {', '.join(LAWS)}")
    return [LAWS[name] for name in names]


def _examine(name: str, law: Law, cases: Sequence[Case], shrink: bool) -> Finding:
    count, reason = 0, ""
    if law.together is not None and len(cases) > 1:
        with contextlib.suppress(Exception):  # whatever it is, it shows again case by case
            law.together(cases)
            return Finding(name, law, len(cases))
    for case in cases:
        try:
            law.check(case)
        except NoMeaning as nothing:
            reason = reason if reason.startswith("refused") else str(nothing)
        except MissingRuleError as lacking:
            reason = str(lacking).splitlines()[0]
        except Exception as error:
            smallest, error = _smallest(law, case, error) if shrink else (case, error)
            return Finding(name, law, count, _words(error), smallest)
        else:
            count += 1
    return Finding(name, law, count, reason)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"


def _drawn(strategy: Any, examples: int, seed: int) -> list[Any]:
    """Tuples of arguments that a strategy of Hypothesis gives."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    found: list[Any] = []

    @seeded(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(arguments: Any) -> None:
        found.append(arguments)

    collect()
    return found


# The smallest input


def _smallest(law: Law, case: Case, error: Exception) -> tuple[Case, Exception]:
    """An input that breaks the law in the same way and has fewer or simpler numbers, found by trying."""
    tries = 0
    better = True
    while better and tries < _TRIES:
        better = False
        for args in _simpler(case.args):
            tries += 1
            try:
                law.check(case.at(args))
            except (NoMeaning, MissingRuleError):
                continue
            except Exception as other:
                if type(other) is not type(error):  # not a smaller input, but one that is none
                    continue
                case, error, better = case.at(args), other, True
                break
            if tries >= _TRIES:
                break
    return case, error


def _simpler(args: tuple[Data, ...]) -> Iterator[tuple[Data, ...]]:
    """Inputs with shorter axes, then those with simpler values."""
    for size in sorted({d for a in args for d in a.shape if d > 1}, reverse=True):
        for shorter in dict.fromkeys((1, size // 2, size - 1)):
            yield tuple(a[tuple(slice(shorter if d == size else None) for d in a.shape)] for a in args)
    for i, a in enumerate(args):
        if dtypes.is_inexact(a.dtype):
            plain = [np.zeros_like(a), np.ones_like(a), np.round(a.astype(np.complex128).real).astype(a.dtype)]
        else:
            plain = [np.zeros_like(a)]
        for simple in plain:
            if _simplicity(simple) < _simplicity(a):
                yield (*args[:i], simple, *args[i + 1 :])


def _simplicity(a: Data) -> tuple[int, int]:
    """How many values there are that are not whole, and how many that are not 0."""
    x = a.astype(np.complex128)
    with np.errstate(all="ignore"):
        return int(np.sum(x != np.round(x))), int(np.sum(x != 0)) + int(np.sum(np.abs(x) > 1))
