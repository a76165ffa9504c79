"""Settings of the environment: what they mean, and that a wrong one is an error at `import fdl`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fdl
from tests.conftest import ROOT

SHOW = (
    "import fdl; from fdl.core.config import config as c; print(c.tier, c.eager, c.threads, c.cache_dir, "
    "c.compiler, *c.log)"
)


def run(code=SHOW, cwd=ROOT, options=(), **variables):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FDL_", "OMP_", "XDG_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        check=False,
        timeout=120,
    )


WRONG = [
    ("FDL_TIER", "fast", "one of auto, compiled, native, interpreted"),
    ("FDL_TIER", "Compiled", "one of auto, compiled, native, interpreted"),
    ("FDL_EAGER", "yes", "one of 0, 1"),
    ("FDL_NUM_THREADS", "0", "a whole number from 1 to 65536"),
    ("FDL_NUM_THREADS", "2.5", "a whole number from 1 to 65536"),
    ("FDL_NUM_THREADS", "99999999999999999999", "a whole number from 1 to 65536"),
    ("FDL_CACHE_DIR", str(Path(__file__)), "a folder"),
    ("FDL_CACHE_DIR", str(Path(__file__) / "below"), "a folder"),
    ("FDL_CC", "no-such-compiler", "the name or path of a C compiler"),
    ("FDL_CC", str(ROOT), "the name or path of a C compiler"),
    ("FDL_LOG", "everything", "compile"),
    ("FDL_LOG", "compile,runs", "compile"),
]


@pytest.mark.parametrize("name, value, expected", WRONG)
def test_wrong_values_are_errors_at_import(name, value, expected):
    done = run("import fdl", **{name: value})
    assert done.returncode == 1
    last = done.stderr[done.stderr.rindex("SettingError") :]
    assert last.startswith(f"SettingError: {name}={value!r}: expected {expected}") and "<string>:1" in last


def test_values_are_read(tmp_path):
    given = run(
        FDL_TIER="compiled",
        FDL_EAGER="1",
        FDL_NUM_THREADS="3",
        FDL_CACHE_DIR="some/where",
        FDL_CC=sys.executable,
        FDL_LOG="compile",
        cwd=tmp_path,
    )
    assert given.stdout.split() == [
        "compiled",
        "True",
        "3",
        str(tmp_path / "some" / "where"),
        sys.executable,
        "compile",
    ]
    nothing = {"FDL_TIER": "", "FDL_EAGER": "", "FDL_NUM_THREADS": "", "FDL_CC": "", "FDL_LOG": ""}
    empty = run(OMP_NUM_THREADS="5", FDL_CACHE_DIR="~/x", HOME=str(tmp_path), **nothing)
    assert empty.stdout.split() == ["auto", "False", "5", str(tmp_path / "x")]
    for variables, where in [
        ({"XDG_CACHE_HOME": str(tmp_path)}, tmp_path / "fdl"),
        ({"XDG_CACHE_HOME": "x", "HOME": str(tmp_path)}, tmp_path / ".cache" / "fdl"),
    ]:
        assert run(
            "import fdl; from fdl.core.config import config; print(config.cache_dir)", **variables
        ).stdout.strip() == str(where)


def test_unknown_variables_are_warned_of():
    done = run("import fdl", FDL_TEIR="compiled")
    assert (
        done.returncode == 0 and "SettingWarning: FDL_TEIR is no setting of fdl; did you mean FDL_TIER?" in done.stderr
    )
    assert not run("import fdl", FDLX="1").stderr


@pytest.mark.parametrize(
    "count, error", [(0, ValueError), (-1, ValueError), (1 << 40, ValueError), (2.5, TypeError), ("2", TypeError)]
)
def test_numbers_of_threads_are_checked(count, error):
    before = fdl.num_threads()
    with pytest.raises(error):
        fdl.set_num_threads(count)
    assert fdl.num_threads() == before
