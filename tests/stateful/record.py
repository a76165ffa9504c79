"""Write down what PyTorch says of every case: `python -m tests.stateful.record`, from the repository's root, where
torch is installed.
"""

import json
import warnings

import torch

from tests.stateful.cases import RECORDED, facts


def rounded(x):
    """Floats to nine digits, which is all that float32 holds."""
    if isinstance(x, float):
        return float(f"{x:.9g}")
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    return [rounded(y) for y in x] if isinstance(x, (list, tuple)) else x


def main():
    warnings.simplefilter("ignore")
    find, cases = facts(torch)
    for table, names in cases.items():
        found = {case: rounded(find[table](case)) for case in names}
        lines = ",\n".join(f"{json.dumps(case)}: {json.dumps(fact)}" for case, fact in found.items())
        (RECORDED / f"{table}.json").write_text("{\n" + lines + "\n}\n")
        print(table, len(found))


if __name__ == "__main__":
    main()
