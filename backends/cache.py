"""The disk cache of compiled programs: whole files only, private, bounded; safe under concurrent processes, crashes and
damage.

Two keys: (Graph, fdl's own files, compiler and machine) finds a plan, which is JSON and names the binary; (source,
compiler and machine) finds the binary. So a hit on the first skips passes and rendering, and equal sources share a
binary. Arrays never enter a key.

Nothing is believed because it lies there. A library's name ends in a digest of its bytes, a plan begins with one of its
text and its key: what is empty, cut off or altered is removed and made anew. Files and folders that others may write to
are not read. Where the user's folder cannot be used (no such right, disk full, no execution), another one serves this
process, and a warning says so once.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fdl.core.blocks import aside
from fdl.core.config import config
from fdl.core.errors import CacheError, CacheWarning

T = TypeVar("T")
_MAX_FILES = 4000  # of one kind; the oldest half goes when there are more
_TEMPORARY = ".tmp-"
_DAY = 86_400

# modules above all others that define operations
OPERATIONS = ("ad_checkpoint", "bounded_loops", "callbacks", "custom_batching", "custom_derivatives")
_GIVEN_UP: dict[Path, str] = {}  # folders of this process that cannot be used, and why
_SWEPT: set[Path] = set()
_told: list[Path] = []


@functools.cache
def own_files() -> dict[str, Path]:
    """fdl's files that decide what is generated, by name: core, operations, passes, transforms and all below, modules
    above that define operations, and the runtime library's C files of the floors above.
    """
    package = Path(__file__).resolve().parent.parent
    checkout = (package / "pyproject.toml").exists()
    homes = {
        name: package / "fdl" / name if checkout and name in ("core", "ops", "passes") else package / name
        for name in ("core", "ops", "passes", "lowering", "backends", "transforms", "stateful/native")
    }
    found = {
        f"{name}/{path.relative_to(home)}": path
        for name, home in homes.items()
        for path in home.rglob("*")
        if path.suffix in (".py", ".j2", ".h", ".hpp", ".c")
    }
    facade = package / "fdl" if checkout else package
    found |= {f"{name}.py": facade / f"{name}.py" for name in OPERATIONS}
    return dict(sorted(found.items()))


@functools.cache
def own_digest() -> str:
    """A hash of these files."""
    digest = hashlib.sha256()
    for name, path in own_files().items():
        digest.update(f"{name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(*parts: str) -> str:
    """A file name from what identifies its content."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


# Folders


def usable(work: Callable[[], T]) -> T:
    """Do what writes to the cache and loads from it: again with another folder where this one fails; CacheError where
    there is none left.
    """
    while True:
        root = _root()
        try:
            result = work()
        except OSError as error:
            _give_up(root, error)
            continue
        _tell()
        return result


def folder(kind: str) -> Path:
    """The cache's folder for a kind of file, private to the user."""
    while True:
        root = _root()
        try:
            return _private(root, kind)
        except OSError as error:
            _give_up(root, error)


def _root() -> Path:
    if config.cache_dir not in _GIVEN_UP:
        return config.cache_dir
    if _process_root() not in _GIVEN_UP:
        return _process_root()
    reasons = "; ".join(f"{path}: {why}" for path, why in _GIVEN_UP.items())
    raise CacheError(
        "compiled programs can be kept nowhere",
        why=reasons,
        hint="set FDL_CACHE_DIR to a folder that is yours alone, on a disk with room from which programs may run",
    )


@functools.cache
def _process_root() -> Path:
    """A cache for this process alone, removed when it ends; those of processes that were killed are removed first."""
    try:
        where = Path(tempfile.gettempdir())
        for left in where.glob(f"fdl-{_host()}-*"):
            if left.lstat().st_uid == os.getuid() and _is_left(left):
                shutil.rmtree(left, ignore_errors=True)
        root = tempfile.mkdtemp(prefix=f"fdl-{_host()}-{os.getpid()}-", dir=where)
    except OSError as error:
        raise CacheError(
            "compiled programs can be kept nowhere",
            why=f"{_reason(error)}; {'; '.join(_GIVEN_UP.values())}",
            hint="set FDL_CACHE_DIR or TMPDIR",
        ) from error
    atexit.register(_remove_root, root, os.getpid())
    return Path(root)


def _remove_root(root: str, owner: int) -> None:
    if os.getpid() == owner:  # and not a forked child, which ends before
        shutil.rmtree(root, ignore_errors=True)


def _private(root: Path, kind: str) -> Path:
    """The folder of a kind; OSError where it cannot be written to, or where others may write to it."""
    path = root / kind
    for part in (root, path):
        part.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = part.stat()
        if not _is_private(found) and not (
            part is root and found.st_uid in (0, os.getuid()) and found.st_mode & stat.S_ISVTX
        ):
            raise PermissionError(errno.EPERM, f"others may write to it (chmod go-w {part})", str(part))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if path not in _SWEPT:
        _SWEPT.add(path)
        _sweep(path)
    return path


def _is_private(found: os.stat_result) -> bool:
    """Whether nobody but the user may write there."""
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)


def _give_up(root: Path, error: OSError) -> None:
    _GIVEN_UP.setdefault(root, _reason(error))


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _tell() -> None:
    """Say once of each folder that it was given up."""
    for root, why in list(_GIVEN_UP.items()):
        if root not in _told:
            _told.append(root)
            text = (
                f"compiled programs are not kept in {root}: {why}; they serve this process alone\n  try: "
                "set FDL_CACHE_DIR to another folder"
            )
            warnings.warn(text, CacheWarning, stacklevel=2)


# Files


def find(kind: str, stem: str) -> Path | None:
    """The library that was kept under a name; None where there is none, or none that is whole."""
    where = folder(kind)
    for name in sorted(os.listdir(where)):
        if name.startswith(f"{stem}.") and name.endswith(".so") and is_whole(where / name):
            return where / name
    return None


def has(kind: str, stem: str) -> bool:
    """Whether a library lies there, whole or not."""
    return any(name.startswith(f"{stem}.") and name.endswith(".so") for name in os.listdir(folder(kind)))


def keep(kind: str, stem: str, build: Callable[[Path], object]) -> Path:
    """Build a library and keep it under a name."""
    return _publish(folder(kind), build, lambda content: f"{stem}.{_digest(stem, content)}.so")


def keep_text(kind: str, name: str, text: str) -> Path:
    """Keep a text under a name."""
    return _publish(folder(kind), lambda path: path.write_text(text), lambda _: name)


def is_whole(path: Path) -> bool:
    """Whether a library has the bytes that its name tells; it is removed where it has not."""
    stem, _, digest = path.name.removesuffix(".so").partition(".")
    content = _read(path)
    if content is not None and _digest(stem, content) == digest:
        return True
    _remove(path)
    return False


def read_plan(key: str) -> dict[str, Any] | None:
    """The plan of a program, None where there is none or it is damaged."""
    path = folder("plans") / f"{key}.json"
    digest, _, text = (_read(path) or b"").partition(b"\n")
    if digest != _digest(key, text).encode():
        _remove(path)
        return None
    plan: dict[str, Any] = json.loads(text)
    return plan


def has_plan(key: str) -> bool:
    """Whether a plan lies there, damaged or not."""
    return (folder("plans") / f"{key}.json").exists()


def write_plan(key: str, plan: dict[str, Any]) -> None:
    """Keep the plan of a program."""
    text = json.dumps(plan)
    keep_text("plans", f"{key}.json", f"{_digest(key, text.encode())}\n{text}")


def _digest(name: str, content: bytes) -> str:
    return hashlib.sha256(name.encode() + b"\0" + content).hexdigest()[:40]


def _read(path: Path) -> bytes | None:
    """A file's content; None unless it is a plain file of the user, to which nobody else may write."""
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            found = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(found.st_mode) and _is_private(found) else None
    except OSError:
        return None


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _publish(where: Path, write: Callable[[Path], object], name: Callable[[bytes], str]) -> Path:
    """Make a file whole or not at all: written beside under another name, brought to the disk, then renamed.

    What has begun comes to its end, whatever interrupts the caller.
    """
    return aside(lambda: _written(where, write, name))


def _written(where: Path, write: Callable[[Path], object], name: Callable[[bytes], str]) -> Path:
    handle, given = tempfile.mkstemp(dir=where, prefix=f"{_TEMPORARY}{_host()}-{os.getpid()}-")
    os.close(handle)
    temporary = Path(given)
    try:
        write(temporary)
        path = where / name(temporary.read_bytes())
        temporary.chmod(0o700 if path.suffix == ".so" else 0o600)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        _remove(temporary)
    _bound(where)
    return path


def _bound(where: Path) -> None:
    files = [p for p in where.iterdir() if not p.name.startswith(_TEMPORARY)]
    if len(files) > _MAX_FILES:
        for path in sorted(files, key=lambda p: p.stat().st_mtime)[: _MAX_FILES // 2]:
            _remove(path)


@functools.cache
def _host() -> str:
    """This machine, or the part of it in which numbers of processes mean the same."""
    space = os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else ""
    return key_of(platform.node(), space)[:8]


def _sweep(where: Path) -> None:
    """Remove what processes left that were ended while they wrote."""
    for name in os.listdir(where):
        if name.startswith(_TEMPORARY) and _is_left(where / name):
            _remove(where / name)


def _is_left(path: Path) -> bool:
    parts = path.name.split("-")
    with contextlib.suppress(OSError):
        if len(parts) < 4 or parts[1] != _host() or not parts[2].isdecimal():
            return time.time() - path.stat().st_mtime > _DAY
        try:
            os.kill(int(parts[2]), 0)
        except ProcessLookupError:
            return True
    return False
