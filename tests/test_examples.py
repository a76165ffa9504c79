"""Every example runs offline, from its own folder or another, and learns something even in a few steps."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

# what to run, a pattern for its number, and the worst that will do
RUNS = {
    "train_digits": (
        ["--face", "stateful", "--epochs", "8"],
        r"test accuracy ([\d.]+)%",
        lambda accuracy: accuracy > 85,
    ),
    "classify_images": (["--epochs", "2"], r"test accuracy ([\d.]+)%\s*$", lambda accuracy: accuracy > 75),
    "classify_text": (
        ["--epochs", "2"],
        r"test accuracy ([\d.]+)% .12.5% by chance.\s*$",
        lambda accuracy: accuracy > 20,
    ),
    "char_gpt": (["--steps", "40", "--sample", "5"], r"not read: ([\d.]+)", lambda loss: loss < 3.6),
    "predict_waves": (["--epochs", "2"], r"of its own: ([\d.]+)", lambda error: error < 1.5),
    "vae": (["--epochs", "6"], r"likelihood: ([\d.]+)", lambda bound: bound < 34),
    "gan": (["--steps", "150"], r"lie ([\d.]+)", lambda away: away < 1),
    "reinforce": (["--episodes", "30"], r"balanced (\d+)", lambda steps: steps > 10),
    "style": (["--steps", "4"], r"([\de.+-]+) at the end", lambda loss: loss < 1e-2),
    "transfer": (["--epochs", "8"], r"([\d.]+)% with the frozen", lambda accuracy: accuracy > 50),
}


def test_all_examples_are_run():
    assert set(RUNS) == {path.stem for path in EXAMPLES.glob("*.py")} - {"corpus"}


@pytest.mark.parametrize("name", RUNS)
def test_example(name, tmp_path):
    pytest.importorskip("sklearn", reason="pip install fdl[examples]")
    pytest.importorskip("matplotlib", reason="pip install fdl[examples]")
    options, pattern, good = RUNS[name]
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = re.search(pattern, ran.stdout)
    assert found, ran.stdout[-2000:]
    assert good(float(found[1])), ran.stdout[-2000:]
    pictures = list(tmp_path.glob("*.png"))
    assert all(p.stat().st_size > 5000 for p in pictures)
    assert bool(pictures) == ("--output" in (EXAMPLES / f"{name}.py").read_text())
