"""What the uses share: each is a function that returns numbers, run under one framework or the other.

A use is told from its neighbours by its name; what it raises is its result. Parameters and data come from NumPy's
generator, so that two frameworks begin with the same numbers.
"""

import json
import sys
import traceback
import warnings
from collections.abc import Mapping

import numpy as np

USES = {}


def use(sentence):
    """Mark a function as a use of the library; `sentence` says what it does."""

    def mark(f):
        USES[f.__name__] = (sentence, f)
        return f

    return mark


def normal(shape, seed, scale=1.0):
    """Numbers of the normal distribution, float32."""
    return (scale * np.random.RandomState(seed).standard_normal(shape)).astype(np.float32)


def plain(x):
    """Numbers, texts and containers, as JSON holds them."""
    if isinstance(x, Mapping):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(y) for y in x]
    if x is None or isinstance(x, (str, bool, int, float)):
        return x
    if hasattr(x, "detach"):
        x = x.detach().cpu().float().numpy() if x.dtype.is_floating_point else x.detach().cpu().numpy()
    x = np.asarray(x)
    return (x.astype(np.float64) if x.dtype.kind not in "biu" else x).tolist()


def main():
    """Run the uses that the command line names, all without a name, and write what they gave to the file it names first."""
    warnings.simplefilter("ignore")
    path, *names = sys.argv[1:]
    found = {}
    for name, (sentence, f) in USES.items():
        if names and name not in names:
            continue
        try:
            found[name] = {"use": sentence, "numbers": plain(f())}
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            traceback.print_exc()
            found[name] = {"use": sentence, "error": f"{type(error).__name__}: {error}"}
        with open(path, "w") as file:  # after each, since the next may end the process
            json.dump(found, file)
