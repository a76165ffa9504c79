"""Records what PyTorch gives for the calls of `torch_instances.py`: `python -m tests.oracles.record_torch FIRST LAST`, where PyTorch is installed.

What a call gives is worked out in float64 and rounded once, or in the call's own dtypes where fdl agrees with that alone.  What PyTorch refuses is left out.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import fdl.stateful
from tests.oracles.evaluate import Results
from tests.oracles.instances import Call
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
    HOME.mkdir(exist_ok=True)
    index: list[Any] = []
    data: list[bytes] = []
    for number in range(first, last):
        with np.errstate(all="ignore"):
            outs = found(call(number), number)
        index.append([number, None if outs is None else [[x.dtype.name, x.shape] for x in outs]])
        data.extend(x.tobytes() for x in outs or [])
    blob = np.frombuffer(b"".join(data), np.uint8)
    np.savez_compressed(HOME / f"{first:05}.npz", data=blob, index=np.frombuffer(json.dumps(index).encode(), np.uint8))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
