"""Each library's uses give what PyTorch or JAX gave: `python -m pytest -m ecosystem`, minutes a library."""

import os
from pathlib import Path

import pytest

from tests.ecosystem.__main__ import judged
from tests.ecosystem.compare import differences
from tests.ecosystem.environments import wheel
from tests.ecosystem.libraries import LIBRARIES

FOLDER = Path(os.environ.get("FDL_ECOSYSTEM", Path.home() / ".cache" / "fdl-ecosystem"))


@pytest.mark.ecosystem
@pytest.mark.parametrize("library", LIBRARIES, ids=lambda lib: lib.stem)
def test_uses_give_what_was_recorded(library):
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = judged(library, FOLDER, wheel(FOLDER))
    assert not {name: f["wrong"] for name, f in found.items() if f["wrong"]}


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda lib: lib.stem)
def test_each_library_has_its_uses_its_pins_and_its_records(library):
    assert library.recorded() and library.version() and library.script.exists()


@pytest.mark.parametrize(
    "got, want, told",
    [
        (1.0005, 1.0, None),
        (1.002, 1.0, " is 1.002, recorded 1.0"),
        (1e-4, 0.0, " is 0.0001, recorded 0.0"),
        ([1, [2]], [1, [3]], "[1][0] is 2, recorded 3"),
        ({"a": 1}, {"b": 1}, " has ['a'], recorded ['b']"),
        ([1], [1, 2], " has 1 elements, recorded 2"),
        (float("nan"), float("nan"), None),
        (True, 1, " is True, recorded 1"),
    ],
)
def test_differences_are_told_by_their_place(got, want, told):
    assert differences(got, want, 1e-3) == told
