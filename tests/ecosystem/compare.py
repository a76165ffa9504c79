"""Whether two results, as JSON holds them, are the same numbers."""

from __future__ import annotations

import math


def differences(got: object, want: object, rtol: float, where: str = "") -> str | None:
    """The first place where two results differ, in words; None where they agree.

    Floats agree within `rtol` of the larger of themselves and 1e-2 (so what is almost zero is held to `rtol` / 100).

    >>> differences({"a": [1.0, 2]}, {"a": [1.0, 3]}, 1e-3)
    "['a'][1] is 2, recorded 3"
    """
    if isinstance(want, dict) and isinstance(got, dict):
        if got.keys() != want.keys():
            return f"{where} has {sorted(got)}, recorded {sorted(want)}"
        pairs = [(got[k], want[k], f"{where}[{k!r}]") for k in want]
    elif isinstance(want, list) and isinstance(got, list):
        if len(got) != len(want):
            return f"{where} has {len(got)} elements, recorded {len(want)}"
        pairs = [(g, w, f"{where}[{i}]") for i, (g, w) in enumerate(zip(got, want))]
    else:
        return None if _same(got, want, rtol) else f"{where} is {got!r}, recorded {want!r}"
    return next((d for p in pairs if (d := differences(p[0], p[1], rtol, p[2]))), None)


def _same(got: object, want: object, rtol: float) -> bool:
    floats = isinstance(got, float) or isinstance(want, float)
    if not (floats and isinstance(got, (int, float)) and isinstance(want, (int, float))):
        return type(got) is type(want) and got == want
    if bool in (type(got), type(want)):
        return False
    if not (math.isfinite(got) and math.isfinite(want)):
        return got == want or (math.isnan(got) and math.isnan(want))
    return abs(got - want) <= rtol * max(abs(want), 1e-2)
