"""Fixtures of all tests: a private cache of compiled programs, settings put back, and no trace left open."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("FDL_WAIT", "1")  # what is counted does not depend on time
os.environ.setdefault("FDL_CACHE_DIR", tempfile.mkdtemp(prefix="fdl-tests-"))

from fdl.backends.toolchain import find_compiler
from fdl.core.config import config
from fdl.core.trace import transforming
from fdl.transforms.lazy import set_eager

config.wait = True  # where something has read the settings before

settings.register_profile(
    "ci", max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.register_profile("long", max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

ROOT = Path(__file__).resolve().parent.parent


def module_names():
    """Modules of the package, from the checkout's files: its folders are mapped, which defeats `pkgutil`."""
    homes = {
        "fdl": "fdl",
        "transforms": "fdl.transforms",
        "lowering": "fdl.lowering",
        "backends": "fdl.backends",
        "stateful": "fdl.stateful",
    }
    for folder, package in homes.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([package, *(p for p in parts if p != "__init__")])


def pytest_collection_modifyitems(config, items):
    """What takes minutes runs where it is asked for: `-m slow`, `-m sim`, `-m ecosystem`, or by its name."""
    if any("::" in argument for argument in config.args):
        return
    unasked = [kind for kind in ("slow", "sim", "ecosystem") if kind not in config.option.markexpr]
    left_out = [i for i in items if any(map(i.get_closest_marker, unasked))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [i for i in items if not any(map(i.get_closest_marker, unasked))]


needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler")


@pytest.fixture(autouse=True)
def _undisturbed():
    """Each test leaves no trace open and all settings as they were."""
    saved = config.tier, config.threads, config.compiler, config.cache_dir, config.eager
    yield
    config.tier, _, config.compiler, config.cache_dir, eager = saved
    set_eager(eager)
    config.set_threads(saved[1])
    assert not transforming(), "a trace was left open"
