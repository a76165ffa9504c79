"""Ctrl-C at any point leaves a sound process in which no value is lost: 300 points in all scenarios here; `python -m
tests.interrupts` tries all that the slow test does.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import needs_compiler
from tests.interrupts.scenarios import SCENARIOS
from tests.interrupts.stateful_code import sets_and_undoes

ROOT = Path(__file__).resolve().parent.parent.parent


def _run(*arguments, **environment):
    """The command's report; AssertionError where an interrupt broke something."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.interrupts", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


QUICK = {  # by tier; all scenarios are tried by hand
    "auto": [
        "first flush",
        "first jit",
        "first transforms",
        "first step",
        "save",
        "save pt",
        "load",
        "load pt",
        "loader",
        "loader without workers",
    ],
    "compiled": [
        "flush",
        "jit call",
        "donation",
        "step",
        "step of SGD",
        "step of NAdam",
        "step in jit",
        "accumulate",
        "blocks",
    ],
}


@needs_compiler
@pytest.mark.parametrize("tier", QUICK)
def test_no_interrupt_breaks_a_process_or_loses_a_value(tier):
    assert set(QUICK[tier]) <= set(SCENARIOS)
    report = _run("--together", f"--limit={-(-150 // len(QUICK[tier]))}", f"--tier={tier}", *QUICK[tier])
    assert (
        sum(int(line.split(" points, ")[1].split(" tried")[0]) for line in report.splitlines() if " points, " in line)
        >= 150
    )


@needs_compiler
@pytest.mark.slow
def test_no_interrupt_anywhere_breaks_a_process_or_loses_a_value():
    print(_run())


def test_code_that_sets_and_undoes_state_is_found_by_its_source():
    files = {Path(file).relative_to(ROOT).as_posix() for file, _ in sets_and_undoes() if file.startswith(str(ROOT))}
    assert {
        "fdl/core/trace.py",
        "transforms/stage.py",
        "transforms/lazy/recorder.py",
        "backends/cache.py",
        "stateful/core/modes.py",
        "stateful/func.py",
    } <= files
