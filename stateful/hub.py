"""`torch.hub`: files of weights from the network, kept in a folder.  Nothing that was fetched is executed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.files.download import download_url_to_file
from fdl.stateful.files.tensors import load as _load

__all__ = ["download_url_to_file", "get_dir", "load", "load_state_dict_from_url", "set_dir"]

HASH_REGEX = re.compile(r"-([a-f0-9]{8,})\.")
_CHOSEN: list[str] = []


def get_dir() -> str:
    """The folder: what `set_dir` said, else `$TORCH_HOME/hub`, else `~/.cache/torch/hub`."""
    if _CHOSEN:
        return _CHOSEN[-1]
    home = os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch")
    return str(Path(home).expanduser() / "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Use another folder."""
    _CHOSEN.append(str(Path(d).expanduser()))


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """What a file of weights holds: fetched once, then read from the folder. With `check_hash` its name says how its
    SHA-256 begins.
    """
    folder = Path(model_dir if model_dir is not None else Path(get_dir()) / "checkpoints").expanduser()
    name = file_name or Path(urlparse(url).path).name
    if name in ("", ".", ".."):
        raise ArgumentError(f"load_state_dict_from_url: {url} names no file", hint="file_name= for its name")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        found = HASH_REGEX.search(path.name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    return _load(path, map_location=map_location, weights_only=weights_only)


def load(repo_or_dir: str, model: str, *args: Any, **kwargs: Any) -> Any:
    """RuntimeError: it would execute code from a repository."""
    raise RuntimeError(
        "hub.load runs code from a repository, which fdl does not do: build the model, "
        "and load_state_dict_from_url its weights"
    )
