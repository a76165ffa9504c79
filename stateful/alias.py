"""`import torch` gets fdl: `install()` for notebooks and `sitecustomize`, `python -m fdl.stateful` for scripts."""

from __future__ import annotations

from fdl import alias
from fdl.stateful._settings import version

__all__ = ["install"]


ALIAS = alias.Alias("torch", {"torch": "fdl.stateful", "torchvision": "fdl.stateful.vision"}, version.__version__)


def install() -> None:
    """Let `import torch` get fdl from now on, here and in Python processes that are started from here.

    Call it before anything imports torch. `importlib.metadata` says the same version as `torch.__version__`.
    """
    alias.install(ALIAS, "fdl.stateful")
