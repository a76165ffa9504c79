"""How many of JAX's public names are there. `python -m pytest -s tests/faces/names/test_names.py` prints which are not.

The numbers may only grow: whoever adds names raises them.
"""

import importlib
import json

import pytest

from tests.faces.names.evaluate import RECORDED
from tests.faces.names.left_out import LEFT_OUT

NAMES = json.loads((RECORDED / "names.json").read_text())
LEAST = {
    "numpy": 377, "numpy.linalg": 19, "numpy.fft": 18, "lax": 170, "lax.linalg": 9, "random": 46, "nn": 33,
    "nn.initializers": 20, "scipy.special": 34, "scipy.stats": 5, "scipy.linalg": 9, "scipy.signal": 0,
    "scipy.ndimage": 0, "scipy.integrate": 0, "tree": 14, "tree_util": 35, "ops": 4, "image": 3, "flatten_util": 1,
}  # fmt: skip


def found(path):
    """Those of JAX's names in a module that fdl's has."""
    try:
        module = importlib.import_module(f"fdl.{path}")
    except ModuleNotFoundError:
        return []
    return [name for name in NAMES[path] if hasattr(module, name)]


def left_out(path):
    """Those of JAX's names in a module that are left out for a reason."""
    words = {word for names in LEFT_OUT.get(path, {}).values() for word in names.split()}
    ends = tuple(word[1:] for word in words if word.startswith("*"))
    return {name for name in NAMES[path] if name in words or (ends and name.endswith(ends))}


@pytest.mark.parametrize("path", NAMES)
def test_names_only_become_more(path):
    there, out = found(path), left_out(path)
    missing = [name for name in NAMES[path] if name not in there and name not in out]
    print(f"\n{path}: {len(there)} of {len(NAMES[path])}, {len(out)} left out; missing: {' '.join(missing)}")
    assert len(there) >= LEAST[path]


@pytest.mark.parametrize("path", LEFT_OUT)
def test_what_is_left_out_is_not_there(path):
    unknown = {w for names in LEFT_OUT[path].values() for w in names.split()} - set(NAMES[path]) - {"*_p"}
    assert not unknown
    assert not left_out(path) & set(found(path))
