"""The disk cache of compiled programs: written atomically, private, bounded; safe under concurrent processes and crashes.

Two keys: (Graph, fdl's own files, compiler and machine) finds a plan, which is JSON and names the binary; (source, compiler and machine) finds the binary.
So a hit on the first skips passes and rendering, and equal sources share a binary.  Arrays never enter a key.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fdl.core.config import config

_MAX_FILES = 4000  # of one kind; the oldest half goes when there are more


@functools.cache
def own_digest() -> str:
    """A hash of fdl's files that decide what is generated."""
    package = Path(__file__).resolve().parent.parent
    roots = [package / name for name in ("core", "ops", "lowering", "backends")]
    if (package / "pyproject.toml").exists():  # a checkout
        roots = [package / "fdl" / "core", package / "fdl" / "ops", package / "lowering", package / "backends"]
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".j2", ".h", ".c")):
            digest.update(f"{path.relative_to(root.parent)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(*parts: str) -> str:
    """A file name from what identifies its content."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def folder(kind: str) -> Path:
    """The cache's folder for a kind of file, private to the user."""
    return _folder(config.cache_dir, kind)


@functools.cache
def _folder(root: Path, kind: str) -> Path:
    path = root / kind
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _is_private(path) and os.access(path, os.W_OK):
            return path
    except OSError:
        pass
    # code that others may write is not loaded, and a home that cannot be written to is no reason to fail
    return _folder(_process_root(), kind)


def _is_private(path: Path) -> bool:
    """Whether nobody but the user may write there."""
    status = path.stat()
    return not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


@functools.cache
def _process_root() -> Path:
    """A cache for this process alone, removed when it ends."""
    root = tempfile.mkdtemp(prefix="fdl-")
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return Path(root)


def publish(path: Path, write: Callable[[Path], object]) -> None:
    """Make a file whole or not at all: written beside under another name, then renamed."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o700 if path.suffix == ".so" else 0o600)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _bound(path.parent)


def _bound(where: Path) -> None:
    files = [p for p in where.iterdir() if not p.name.startswith(".tmp-")]
    if len(files) > _MAX_FILES:
        for path in sorted(files, key=lambda p: p.stat().st_mtime)[: _MAX_FILES // 2]:
            path.unlink(missing_ok=True)


def read_plan(key: str) -> dict[str, Any] | None:
    """The plan of a program, None where there is none or it is damaged."""
    try:
        plan = json.loads((folder("plans") / f"{key}.json").read_text())
    except (OSError, ValueError):
        return None
    return plan if isinstance(plan, dict) else None


def write_plan(key: str, plan: dict[str, Any]) -> None:
    """Keep the plan of a program."""
    publish(folder("plans") / f"{key}.json", lambda path: path.write_text(json.dumps(plan)))
