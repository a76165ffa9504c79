"""Records what PyTorch answers to `complex_cases.py`: `python -m tests.stateful.record_complex`, where torch is
installed.
"""

import json
import warnings
from pathlib import Path

from tests.stateful.complex_cases import CASES, REFUSED, refusal

HOME = Path(__file__).parent / "recorded" / "complex.json"


def main():
    import torch

    warnings.simplefilter("ignore")
    found = {name: case(torch) for name, case in CASES.items()}
    found["refused"] = {name: refusal(torch, name) for name in REFUSED}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(fact, separators=(',', ':'))}" for name, fact in found.items())
    HOME.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
