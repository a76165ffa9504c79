"""Record JAX's public names: `JAX_PLATFORMS=cpu python -m tests.faces.names.record_names`."""

import importlib
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


def main():
    warnings.simplefilter("ignore")
    rows = ",\n".join(f"{json.dumps(path)}: {json.dumps(names_of(path))}" for path in MODULES)
    (RECORDED / "names.json").write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
