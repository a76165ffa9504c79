"""Record JAX's public names, and the parameters of its functions:
`JAX_PLATFORMS=cpu python -m tests.faces.names.record_names`.
"""

import importlib
import inspect
import json
import types
import warnings

from tests.faces.names.evaluate import RECORDED

MODULES = """numpy numpy.linalg numpy.fft lax lax.linalg random nn nn.initializers scipy.special scipy.stats
scipy.linalg scipy.signal scipy.ndimage scipy.integrate tree tree_util ops image flatten_util""".split()


def names_of(path):
    """Names of a module that are no modules, but for those that are listed here, too."""
    module = importlib.import_module(f"jax.{path}")
    found = []
    for name in dir(module):
        if name.startswith("_"):
            continue
        value = getattr(module, name)
        own = f"{path}.{name}" in MODULES or path == "scipy.stats"
        if own or not isinstance(value, types.ModuleType):
            found.append(name)
    return found


def parameters_of(path):
    """{function: names of its parameters} of a module; None where Python does not know them."""
    module = importlib.import_module(f"jax.{path}" if path else "jax")
    found = {}
    for name in names_of(path) if path else ROOT:
        value = getattr(module, name)
        if not callable(value) or inspect.isclass(value):
            continue
        try:
            parameters = inspect.signature(value).parameters.values()
        except (TypeError, ValueError):
            continue
        found[name] = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return found


ROOT = """checkpoint eval_shape grad hessian jacfwd jacobian jacrev jit jvp linear_transpose linearize make_jaxpr
value_and_grad vjp vmap""".split()


def main():
    warnings.simplefilter("ignore")
    rows = ",\n".join(f"{json.dumps(path)}: {json.dumps(parameters_of(path))}" for path in ["", *MODULES])
    (RECORDED / "parameters.json").write_text("{\n" + rows + "\n}\n")
    rows = ",\n".join(f"{json.dumps(path)}: {json.dumps(names_of(path))}" for path in MODULES)
    (RECORDED / "names.json").write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
