"""Two revisions of the library side by side, each in a process of its own, on the same corpus."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.lowering.corpus import compiler
from tests.lowering.corpus.data import HERE


class Failed(Exception):
    """A worker could not do what it was asked, or ended."""


class Side:
    """A process that renders and runs with the library of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        headers, names, self.header_digests = self.ask("headers")
        self.headers, self.library = Path(headers), frozenset(names)

    def ask(self, method: str, *arguments: Any) -> Any:
        """The answer to a request; Failed with the reason where there is none."""
        self.send(method, *arguments)
        return self.answer()

    def send(self, method: str, *arguments: Any) -> None:
        """Begin with a request, whose answer is to be read before the next one."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.lowering.corpus.worker"],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(self.folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, *arguments]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """The answer to the request that was sent."""
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            status, self.process = self.process.wait(), None
            raise Failed(f"its process ended with status {status}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["result"]

    def included(self, text: str) -> dict[str, dict[str, str]]:
        """Digests of the headers that a text includes, at any depth."""
        found: dict[str, dict[str, str]] = {}
        texts = [text]
        while texts:
            for name in re.findall(r'#include "(\w+\.h)"', texts.pop()):
                if f"headers/{name}" not in found:
                    found[f"headers/{name}"] = self.header_digests[f"headers/{name}"]
                    texts.append((self.headers / name).read_text())
        return found

    def close(self) -> None:
        """End the process."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait()


def unpack(revision: str, folder: Path) -> None:
    """The library of a revision, with the corpus of today."""
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", revision], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    shutil.copytree(HERE, folder / HERE.relative_to(ROOT), dirs_exist_ok=True)


def object_code(text: str, headers: Path, target: str) -> list[Any]:
    """Machine code and data of a text, compiled by this machine's compiler for a target, and the symbols that they
    refer to in order, the program's own ones renumbered.
    """
    units = [["-DFDL_UNIT=0"], ["-DFDL_UNIT=1"]] if "FDL_UNIT" in text else [[]]
    return [_unit_code(text, headers, [*compiler.compile_command(target), *defined]) for defined in units]


def _unit_code(text: str, headers: Path, command: Sequence[str]) -> tuple[bytes, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        source, made, raw = (Path(folder, name) for name in ("p.c", "p.o", "p.bin"))
        source.write_text(text)
        subprocess.run([*command, f"-I{headers}", "-c", "-o", str(made), str(source)], check=True)
        sections = [part for name in (".text*", ".rodata*", ".data*") for part in ("-j", name)]
        subprocess.run(["objcopy", "-O", "binary", *sections, made, raw], check=True)
        table = subprocess.run(["objdump", "-r", made], check=True, capture_output=True, text=True).stdout
        numbers: dict[str, str] = {}
        symbols = [
            numbers.setdefault(name, str(len(numbers))) if f" {name}(" in text else name
            for name in re.findall(r"R_\S+ +(\w+)", table)
        ]
        return raw.read_bytes(), symbols


def same_bits(other: Side, own: Side, name: str) -> str:
    """What running a program with both says."""
    answers = []
    for side in (other, own):
        try:
            answers.append(side.ask("bits", name))
        except Failed as error:
            return f"cannot be run: {error}"
    wrong = [i for i, (a, b) in enumerate(zip(*answers, strict=True)) if a != b]
    return f"bits differ in {len(wrong)} of {len(answers[0])} results" if wrong else "same bits"


def times(other: Side, own: Side, name: str, rounds: int = 15) -> str:
    """The least time of both, measured in turn."""
    best = [min(t) for t in zip(*[(other.ask("time", name, 3), own.ask("time", name, 3)) for _ in range(rounds)])]
    return f"{best[0] * 1e6:.1f} us before, {best[1] * 1e6:.1f} us now, ratio {best[1] / best[0]:.3f}"
