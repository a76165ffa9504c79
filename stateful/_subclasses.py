"""`torch._subclasses`: tensors without values are traced elsewhere; here none is fake."""

from __future__ import annotations

from types import SimpleNamespace

__all__ = ["FakeTensor", "fake_tensor"]


class FakeTensor:
    """The class of tensors without values, of which there are none."""


def _is_fake(x: object) -> bool:
    """No."""
    return False


fake_tensor = SimpleNamespace(FakeTensor=FakeTensor, is_fake=_is_fake)
