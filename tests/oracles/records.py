"""What calls gave, in a file: one blob of values, and an index of numbers, dtypes and shapes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

import fdl.numpy as jnp
from tests.oracles.evaluate import Results


def save(path: Path, found: Iterable[tuple[int, Results | None]]) -> None:
    """Write (number, results or None) of calls."""
    index: list[tuple[int, list[tuple[str, tuple[int, ...]]] | None]] = []
    data: list[bytes] = []
    for number, results in found:
        index.append((number, None if results is None else [(x.dtype.name, x.shape) for x in results]))
        data.extend(x.tobytes() for x in results or [])
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        path, data=np.frombuffer(b"".join(data), np.uint8), index=np.frombuffer(json.dumps(index).encode(), np.uint8)
    )


def load(home: Path) -> Iterator[tuple[int, Results | None]]:
    """What `save` wrote into the files of a folder, in the order of numbers."""
    for path in sorted(home.glob("*.npz")):
        with np.load(path) as archive:
            data, index = archive["data"].tobytes(), json.loads(archive["index"].tobytes())
        place = 0
        for number, types in index:
            found: Results = []
            for name, shape in types or []:
                dtype, count = jnp.dtype(name), int(np.prod(shape))
                found.append(
                    np.frombuffer(data, dtype, count, place).reshape(shape) if count else np.zeros(shape, dtype)
                )
                place += count * dtype.itemsize
            yield number, None if types is None else found
