"""An environment a library, without torch and jax: what is in it is pinned, and fdl comes from a wheel of this tree."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from tests.conftest import ROOT
from tests.ecosystem.libraries import PINS, Library

STOOD_FOR = {"torch": "2.13.0", "torchvision": "0.28.0", "jax": "0.10.2", "jaxlib": "0.10.2"}
NOT_NEEDED = ("triton", "nvidia-", "cuda-", "jax-cuda", "orbax-export")  # of other devices


def run(*command: object, **settings: object) -> str:
    """What a command prints; RuntimeError with its last lines where it fails."""
    found = subprocess.run([str(c) for c in command], capture_output=True, text=True, **settings)  # type: ignore
    if found.returncode:
        raise RuntimeError(f"{command[0]} {command[1]}: {found.stderr[-2000:]}")
    return found.stdout


def pip(*arguments: object) -> str:
    """Run pip."""
    return run(sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments)


def _stub(name: str, version: str, folder: Path) -> Path:
    """A wheel that holds nothing, by which pip takes a framework for installed while it resolves versions."""
    path, about = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: fdl\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")
    return path


def pin(library: Library, folder: Path) -> None:
    """Write the versions of all that a library needs but the frameworks that fdl stands for."""
    folder.mkdir(parents=True, exist_ok=True)
    stubs = [_stub(name, version, folder) for name, version in STOOD_FOR.items()]
    beside = [b for b in library.beside if b not in STOOD_FOR]
    report = folder / f"{library.stem}.report.json"
    pip("install", "--dry-run", "--ignore-installed", "--report", report, library.package, *beside, *stubs)
    found = [(p["metadata"]["name"], p["metadata"]["version"]) for p in json.loads(report.read_text())["install"]]
    kept = sorted(f"{n}=={v}" for n, v in found if n not in STOOD_FOR and not n.startswith(NOT_NEEDED))
    PINS.mkdir(exist_ok=True)
    (PINS / f"{library.stem}.txt").write_text("\n".join(kept) + "\n")


def environment(library: Library, folder: Path) -> Path:
    """The interpreter of a library's environment, made where it is not there or its pins have changed."""
    home = folder / library.stem
    python, done = home / "bin" / "python", home / "pins.txt"
    pins = library.pins()
    if done.exists() and done.read_text().split() == pins:
        return python
    venv.create(home, clear=True, symlinks=True)
    own = ["jinja2", "ml_dtypes", "typing_extensions", "filelock", "fsspec"]  # which fdl needs, or torch brings along
    pip("--python", python, "install", "--no-deps", *pins, "setuptools<81")
    pip("--python", python, "install", *own)
    done.write_text("\n".join(pins))
    return python


def wheel(folder: Path) -> Path:
    """fdl of this tree, as it installs."""
    target = folder / "fdl"
    pip("install", "--no-deps", "--no-build-isolation", "--upgrade", "--target", target, ROOT)
    return target
