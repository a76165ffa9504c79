"""Libraries that people use, on fdl in torch's or jax's place.

`libraries.py` says which, `uses/` holds a small but real use of each, `pins/` the versions of all that its environment
holds, `recorded/` the numbers that PyTorch or JAX give. `python -m tests.ecosystem [LIBRARY ...]` makes an environment
a library, without torch and jax, runs its uses, and writes `docs/libraries.md`; what it has done already for this state
of fdl it does not do again. `--pin` resolves versions anew, `--record` takes the numbers of the real frameworks.
"""
