"""Records what PyTorch gives for the calls of `torch_instances.py`: `python -m tests.oracles.record_torch FIRST LAST`,
where PyTorch is installed.

What a call gives is worked out in float64 and rounded once, or in the call's own dtypes where fdl agrees with that
alone. What PyTorch refuses is left out.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

import fdl.stateful
from tests.oracles.evaluate import Results
from tests.oracles.instances import Call
from tests.oracles.records import save
from tests.oracles.torch_evaluate import answers, differ, widened
from tests.oracles.torch_instances import call

HOME = Path(__file__).parent / "recorded_torch"


def found(c: Call, number: int) -> Results | None:
    """What the call gives; None where PyTorch refuses it.  Differences are printed."""
    import torch

    own, got = answers(torch, c, number), answers(fdl.stateful, c, number)
    if isinstance(own, Exception):
        return None
    wide = answers(torch, widened(c), number)
    if isinstance(got, Exception):
        print(number, c, "|", repr(got), flush=True)
        return own
    if isinstance(wide, list) and [x.shape for x in wide] == [x.shape for x in own]:
        wide = [x.astype(y.dtype) for x, y in zip(wide, own, strict=True)]
        if not differ(c, got, wide):
            return wide
    if wrong := differ(c, got, own):
        print(number, str(c)[:300], "|", wrong[:400], flush=True)
    return own


def main(first: int, last: int) -> None:
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        save(HOME / f"{first:05}.npz", ((number, found(call(number), number)) for number in range(first, last)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
