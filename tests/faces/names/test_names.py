"""How many of JAX's public names are there. `python -m pytest -s tests/faces/names/test_names.py` prints which are not.

The numbers may only grow: whoever adds names raises them.
"""

import importlib
import inspect
import json

import pytest

from tests.faces.names.evaluate import RECORDED
from tests.faces.names.left_out import LEFT_OUT

PARAMETERS = json.loads((RECORDED / "parameters.json").read_text())
NAMES = json.loads((RECORDED / "names.json").read_text())
LEAST = {
    "numpy": 382, "numpy.linalg": 31, "numpy.fft": 18, "lax": 172, "lax.linalg": 9, "random": 46, "nn": 33,
    "nn.initializers": 20, "scipy.special": 34, "scipy.stats": 5, "scipy.linalg": 37, "scipy.signal": 6,
    "scipy.ndimage": 1, "scipy.integrate": 1, "tree": 14, "tree_util": 35, "ops": 4, "image": 3, "flatten_util": 1,
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


# what says where results lie, or where memory for them is, or what XLA should do: there is nothing to choose
NOT_OF_FDL = {
    "_dot_general", "_split_transpose", "accuracy", "algorithm", "axis_env", "axis_index_groups", "backend",
    "compiler_options", "concrete", "device", "implementation", "in_shardings", "out", "out_sharding", "out_shardings",
    "reduce_axes", "sharding", "spmd_axis_name", "sum_match", "to", "use_magma",
}  # fmt: skip
COMPLETE = {
    "": 8, "numpy": 288, "numpy.linalg": 28, "numpy.fft": 18, "lax": 101, "lax.linalg": 5, "random": 40, "nn": 31,
    "nn.initializers": 19, "scipy.special": 26, "scipy.stats": 0, "scipy.linalg": 7, "scipy.signal": 6,
    "scipy.ndimage": 1, "scipy.integrate": 1, "tree": 10, "tree_util": 22, "ops": 4, "image": 2, "flatten_util": 1,
}  # fmt: skip


@pytest.mark.parametrize("path", PARAMETERS)
def test_parameters_only_become_more(path):
    """How many of JAX's functions take all of its arguments by name."""
    module = importlib.import_module(f"fdl.{path}" if path else "fdl") if not path or found(path) else None
    lacking = {}
    for name, wanted in PARAMETERS[path].items():
        if inspect.isfunction(inspect.unwrap(getattr(module, name, None))):
            own = inspect.signature(getattr(module, name)).parameters.values()
            given = {p.name for p in own}
            missing = [n for n in wanted if n not in given and n not in NOT_OF_FDL]
            if missing and not any(p.kind == p.VAR_KEYWORD for p in own):
                lacking[name] = missing
    there = [name for name in PARAMETERS[path] if hasattr(module, name)]
    print(f"\n{path or 'jax'}: {len(there) - len(lacking)} of {len(there)}; lacking: {lacking}")
    assert len(there) - len(lacking) >= COMPLETE[path]
