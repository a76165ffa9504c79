"""Files: written whole or not at all, and read with one class of error for every kind of damage."""

from __future__ import annotations

import contextlib
import errno
import functools
import gzip
import io
import os
import pickle
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from fdl.extend import FdlError

Bytes = bytes | bytearray | memoryview


class FileError(FdlError, RuntimeError, ValueError):
    """A file is damaged, or in no format that is known.

    >>> import io, fdl.stateful as torch
    >>> torch.load(io.BytesIO(b"weights"))  # wrong: no file that save wrote
    Traceback (most recent call last):
    ...
    fdl.stateful.files.access.FileError: load: a BytesIO is damaged, or no file that save wrote...
    >>> file = io.BytesIO()
    >>> torch.save([torch.ones(1)], file); _ = file.seek(0); torch.load(file)  # right
    [tensor([1.])]
    """


class RefusedError(FileError, pickle.UnpicklingError):
    """A file asks for a class or a step that only code could give.

    >>> import pathlib, tempfile, fdl.stateful as torch
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.pt"
    >>> with zipfile.ZipFile(path, "w") as archive: archive.writestr("a/data.pkl", pickle.dumps(print))
    >>> torch.load(path)  # wrong: the file names a function
    Traceback (most recent call last):
    ...
    fdl.stateful.files.access.RefusedError: load: ...: Weights only load failed. Unsupported global: GLOBAL builtins...
    >>> torch.save({"lr": 0.1}, path, format="pt"); torch.load(path)  # right: tensors, numbers, strings and containers
    {'lr': 0.1}
    """


# What readers raise where bytes are not what they have to be
_DAMAGE = (
    gzip.BadGzipFile,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
)


def named(f: Any) -> str:
    """A file's name in messages."""
    name = f if isinstance(f, (str, os.PathLike)) else getattr(f, "name", None)
    return repr(os.fspath(name)) if isinstance(name, (str, os.PathLike)) else f"a {type(f).__name__}"


@contextlib.contextmanager
def reading(f: Any, what: str, by: str = "load") -> Iterator[None]:
    """Name the file, and the function that reads it, in all errors of its bytes: FileError, and RefusedError for what
    is not allowed.
    """
    name = f"{by}: {named(f)}"
    try:
        yield
    except FileError:
        raise
    except pickle.UnpicklingError as error:
        hint = "load(..., weights_only=False) runs code from the file: only for files that you trust"
        raise RefusedError(
            f"{name}: {error}", why="a file may hold tensors, numbers, strings and containers", hint=hint
        ) from error
    except _DAMAGE as error:
        why = (
            f"no key {error}"
            if isinstance(error, KeyError)
            else "its containers are nested too deep"
            if isinstance(error, RecursionError)
            else str(error)
        )
        raise FileError(f"{name} {what}", why=why or type(error).__name__, hint="another copy of the file") from error


def write_file(path: str | os.PathLike[str], pieces: Iterable[Bytes]) -> None:
    """Write a file whole or not at all: beside it under a name that nobody can guess, to the disk, then in its place.

    Links are followed, the mode of a file that is there is kept, and what is no file (a device, a pipe) is written to.
    OSError where there is no place or no right to write; then, as after an interrupt, the old file is as it was and
    nothing lies beside it.
    """
    try:
        found: os.stat_result | None = os.stat(path)
    except FileNotFoundError:
        found = None
    if found is None or stat.S_ISREG(found.st_mode):
        _replace(os.path.realpath(path), found, pieces)
        return
    with open(path, "wb") as file:  # a folder raises IsADirectoryError
        file.writelines(pieces)


def _replace(target: str, old: os.stat_result | None, pieces: Iterable[Bytes]) -> None:
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(
            errno.EACCES, os.strerror(errno.EACCES), target
        )  # a new file could take its place, but it is there to be kept
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".fdl-{os.urandom(8).hex()}")
    opener = functools.partial(
        os.open, mode=0o666 if old is None else 0o600
    )  # no Python code, in which an interrupt would lose the descriptor
    try:
        with open(temporary, "xb", opener=opener) as file:  # "x" follows no link that somebody has put there
            file.writelines(pieces)
            file.flush()
            if old is not None:
                _keep(file.fileno(), old)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except FileExistsError:  # not ours
        raise
    except BaseException:
        try:  # noqa: SIM105, a function of Python is where a second interrupt could come
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise
    with contextlib.suppress(OSError):  # some file systems bring no folder to the disk
        _sync(folder)


def _keep(handle: int, old: os.stat_result) -> None:
    """The owner, where that is allowed, and the rights of the file before."""
    with contextlib.suppress(OSError):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode) & 0o777)


def _sync(folder: str) -> None:
    for handle in map(
        os.open, (folder,), (os.O_RDONLY,)
    ):  # a loop gives it a name before an interrupt can come, as a call does not
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class View(io.RawIOBase):
    """Bytes as a file, without a copy of all."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.place = data, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; before the first byte there is none."""
        self.place = max(0, offset + (0, self.place, len(self.data))[whence])
        return self.place

    def tell(self) -> int:
        """The place."""
        return self.place

    def readinto(self, buffer: Any) -> int:
        """Bytes from the place on."""
        part = self.data[self.place : self.place + len(buffer)]
        buffer[: len(part)] = part
        self.place += len(part)
        return len(part)
