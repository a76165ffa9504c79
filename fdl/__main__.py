"""`python -m fdl doctor` says what this machine offers and what it lacks; `python -m fdl cache list|clear` looks after
compiled programs; `python -m fdl verify` holds every primitive to every law; `python -m fdl script.py [args]`, `-m
module` or `-c code` runs a program of JAX, with `jax` being fdl in this process and in its children.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fdl
from fdl.alias import run
from fdl.backends import runtime
from fdl.backends.cuda import cuda_available
from fdl.backends.toolchain import find_compiler
from fdl.core.config import config
from fdl.core.errors import CompileError


def _findings() -> Iterator[tuple[str, str, str]]:
    """(what, what was found, the command that mends a lack, or nothing)."""
    yield "fdl", f"{fdl.__version__}, Python {sys.version.split()[0]}, {sys.platform}", ""
    compiler = find_compiler()
    if compiler is None:
        yield (
            "compiler",
            "none: jitted functions run on the interpreter",
            (
                "pip install 'fdl[compiler]', or: apt install gcc, or: xcode-select --install, or: "
                "conda install c-compiler"
            ),
        )
    else:
        yield "compiler", compiler.path, ""
        yield "vectors", f"{compiler.vector_bytes} bytes, {compiler.vector_bytes // 4} floats", ""
        start = time.perf_counter()
        try:
            runtime.load(compiler)
            yield "runtime library", f"loaded in {time.perf_counter() - start:.2f} s", ""
        except (CompileError, OSError, ImportError) as error:
            yield "runtime library", f"does not load: {error}", "python -m fdl cache clear"
    yield "threads", str(config.threads), ""
    if cuda_available():
        yield "GPU", 'there is one: jit(f, device="cuda")', ""
    elif shutil.which("nvidia-smi") and importlib.util.find_spec("cupy") is None:
        yield "GPU", "there is one, but no CuPy", "pip install 'fdl[cuda]'"
    else:
        yield "GPU", "none", ""
    files = list(_cached())
    yield "cache", f"{config.cache_dir}: {len(files)} files, {sum(p.stat().st_size for p in files) / 1e6:.1f} MB", ""
    shared = [p for p in (config.cache_dir, *config.cache_dir.glob("*")) if p.is_dir() and p.stat().st_mode & 0o022]
    if shared:
        yield "cache", f"others may write to {shared[0]}: it is not used", f"chmod go-w {' '.join(map(str, shared))}"


def _cached() -> Iterator[Path]:
    return (p for p in config.cache_dir.glob("*/*") if p.is_file())


def doctor() -> int:
    """Print all findings; 1 where something is amiss."""
    amiss = 0
    for what, found, remedy in _findings():
        print(f"{what:>16}  {found}")
        if remedy:
            amiss = 1
            print(f"{'':>16}  mend it by: {remedy}")
    return amiss


def cache(action: str) -> int:
    """List the disk cache, or empty it."""
    for path in sorted(_cached()):
        if action == "clear":
            path.unlink(missing_ok=True)
        else:
            print(
                f"{path.stat().st_size:>10}  "
                f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(path.stat().st_mtime))}  "
                f"{path.relative_to(config.cache_dir)}"
            )
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m fdl", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="what this machine offers, what it lacks, and how to mend it")
    commands.add_parser("cache", help="compiled programs on disk").add_argument(
        "action", choices=["list", "clear"], nargs="?", default="list"
    )
    commands.add_parser("verify", help="hold every primitive to every law; see `python -m fdl verify --help`")
    given_arguments = sys.argv[1:] if arguments is None else arguments
    if given_arguments[:1] == ["verify"]:
        return fdl.testing.main(given_arguments[1:])
    if given_arguments and given_arguments[0] not in ("doctor", "cache", "-h", "--help"):
        fdl.install()
        return run(given_arguments, "python -m fdl")
    given = parser.parse_args(given_arguments)
    return doctor() if given.command == "doctor" else cache(given.action)


if __name__ == "__main__":
    sys.exit(main())
