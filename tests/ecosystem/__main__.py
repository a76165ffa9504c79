"""`python -m tests.ecosystem [LIBRARY ...]` from the repository's root: see the package's docstring."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import site
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.ecosystem.compare import differences
from tests.ecosystem.environments import environment, pin, wheel
from tests.ecosystem.libraries import LIBRARIES, RECORDED, USES, Library
from tests.ecosystem.table import write

MODULES = {"torch": "fdl.stateful", "jax": "fdl"}
MINUTES = 15  # for all uses of a library


def ran(library: Library, python: Path, before: tuple[str, ...], path: list[Path], out: Path) -> dict:
    """What the uses of a library gave: {use: {"use": sentence, "numbers" or "error": ...}}."""
    out.unlink(missing_ok=True)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg"}
    log = out.with_suffix(".log")
    with log.open("w") as file:
        command = [str(python), *before, str(library.script), str(out)]
        subprocess.run(command, env=env, stdout=file, stderr=subprocess.STDOUT, timeout=60 * MINUTES, cwd=out.parent)
    if out.exists():
        return json.loads(out.read_text())
    last = [line for line in log.read_text().splitlines() if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)][-1:]
    return {"import": {"use": "import", "error": last[0] if last else "no result"}}


def digest(library: Library) -> str:
    """Of all that decides what a library's uses give here."""
    ours = [
        p
        for d in ("fdl", "stateful", "transforms", "backends", "lowering")
        for p in (ROOT / d).rglob("*")
        if p.is_file()
    ]
    theirs = [library.script, USES / "common.py", USES / f"{library.face}_common.py"]
    held = hashlib.sha256(" ".join(library.pins()).encode())
    for p in sorted(p for p in ours + theirs if "__pycache__" not in p.parts):
        held.update(p.read_bytes())
    return held.hexdigest()


def judged(library: Library, folder: Path, fdl: Path) -> dict:
    """The result of each use of a library: what it is, and what is wrong with it, if anything."""
    kept, key = folder / f"{library.stem}.json", digest(library)
    if kept.exists() and (old := json.loads(kept.read_text()))["key"] == key:
        return old["uses"]
    before = ("-m", MODULES[library.face])
    found = ran(library, environment(library, folder), before, [fdl], folder / f"{library.stem}.out.json")
    uses = {}
    for name, want in library.recorded().items():
        got = found.get(name) or found.get("import") or {"error": "the process ended before it"}
        wrong = got.get("error") or differences(got["numbers"], want["numbers"], library.rtol)
        uses[name] = {"use": want["use"], "wrong": wrong}
    kept.write_text(json.dumps({"key": key, "uses": uses}, indent=1))
    return uses


def record(library: Library, folder: Path) -> None:
    """Take the numbers of the real framework, which the interpreter that runs this has."""
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    path = [p for p in map(Path, [*given, *site.getsitepackages()]) if p != ROOT]
    found = ran(library, environment(library, folder), (), path, folder / f"{library.stem}.record.json")
    if wrong := [f"{name}: {f['error']}" for name, f in found.items() if "error" in f]:
        print(library.stem, "fails in the real framework:", *wrong, sep="\n  ")
    RECORDED.mkdir(exist_ok=True)
    rows = [f"{json.dumps(name)}: {json.dumps(rounded(f))}" for name, f in found.items() if "error" not in f]
    (RECORDED / f"{library.stem}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


def rounded(x: object) -> object:
    """Floats to seven digits, which is what float32 holds."""
    if isinstance(x, float):
        return float(f"{x:.7g}")
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    return [rounded(v) for v in x] if isinstance(x, list) else x


def main() -> int:
    """Pin, record or run the libraries that are named, all without a name; 1 where a use gives something else."""
    parser = argparse.ArgumentParser(prog="python -m tests.ecosystem")
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=" ".join(lib.stem for lib in LIBRARIES))
    parser.add_argument("--pin", action="store_true", help="resolve versions anew")
    parser.add_argument("--record", action="store_true", help="take the numbers of the real frameworks, which are here")
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "fdl-ecosystem", help="of environments")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    chosen = [lib for lib in LIBRARIES if not given.libraries or lib.stem in given.libraries]
    for library in chosen if given.pin or given.record else ():
        if given.pin:
            pin(library, given.folder / "pins")
        if given.record:
            record(library, given.folder)
    if given.pin or given.record:
        return 0
    fdl, wrong = wheel(given.folder), 0
    for library in chosen:
        for name, found in judged(library, given.folder, fdl).items():
            wrong += bool(found["wrong"])
            print(f"{library.stem:>22} {name:16} {found['wrong'] or 'as recorded'}", flush=True)
    write(given.folder)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
