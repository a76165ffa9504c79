"""`torch.__config__`: how this was built."""

from __future__ import annotations

from fdl import num_threads

__all__ = ["parallel_info", "show"]


def show() -> str:
    """What computes."""
    return "fdl: programs are generated, and compiled by the C compiler that is found; no CUDA, MKL or OpenMP is used\n"


def parallel_info() -> str:
    """How many threads work."""
    return f"fdl parallel info:\n\ttorch.get_num_threads() : {num_threads()}\n"
