"""This machine with other numbers, so that small programs meet what large ones do."""

import dataclasses

from fdl.backends import toolchain
from fdl.backends.toolchain import find_compiler


def retarget(patch, **numbers):
    """Lower all programs for this machine with these fields of its target changed, until `patch` is undone."""
    compiler = find_compiler()
    changed = dataclasses.replace(compiler, target=dataclasses.replace(compiler.target, **numbers))
    patch.setattr(toolchain, "_find", lambda *_: changed)
