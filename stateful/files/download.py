"""Files from the network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from fdl.stateful.files.access import write_file

_CHUNK, _PATIENCE = 1 << 20, 60  # bytes at a time, seconds without one


def download_url_to_file(
    url: str, dst: str | os.PathLike[str], hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a file; it stands there whole or not at all. RuntimeError where its SHA-256 does not begin as it should,
    OSError where the connection breaks.
    """
    write_file(Path(dst).expanduser(), _fetched(url, hash_prefix))


def _fetched(url: str, hash_prefix: str | None) -> Iterator[bytes]:
    # it brings the network's modules, which would be a tenth of the time that importing fdl.stateful takes
    import urllib.request

    digest, count = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "fdl"})
    with urllib.request.urlopen(request, timeout=_PATIENCE) as source:  # the user's own address
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            count += len(chunk)
            yield chunk
        announced = source.headers.get("Content-Length")
    if announced is not None and int(announced) != count:  # where a connection breaks, reading in parts just ends
        raise ConnectionError(f"{url} gave {count} of {announced} bytes")
    if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
        raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
