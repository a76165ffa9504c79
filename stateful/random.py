"""`torch.random`: the default generator, and blocks after which it is what it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fdl.extend import block
from fdl.stateful.core.random import default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


@block
def fork_rng(devices: Any = None, enabled: bool = True, device_type: str = "cpu") -> Iterator[None]:
    """A block whose draws do not count: after it the default generator goes on from where it was.

    >>> import fdl.stateful as torch
    >>> before = torch.get_rng_state()
    >>> with torch.random.fork_rng():
    ...     _ = torch.manual_seed(3), torch.rand(2)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            set_rng_state(state)
