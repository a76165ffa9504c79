"""How much of PyTorch's public names is there: a count that may only grow.

`recorded/public_names.txt` lists the public names of PyTorch 2.13's modules and, behind `()`, the attributes of its
most used classes. Most of what is missing is of devices, compilers, quantisation and export.
"""

import importlib

import fdl.stateful as torch
from tests.stateful.cases import RECORDED

LEAST = 2750  # names that are there


def names():
    """{module: its public names}; a class is a module's name with `()`."""
    found = {}
    for line in (RECORDED / "public_names.txt").read_text().splitlines():
        if not line.startswith(" "):
            module = found.setdefault(line.removesuffix(":"), [])
        else:
            module += line.split()
    return found


def holder(name):
    """What stands for one of PyTorch's modules or classes; None where nothing does."""
    path = name.removesuffix("()").split(".")[1:]
    found = torch
    for part in path:
        found = getattr(found, part, None)
    if found is not None or name.endswith("()"):
        return found
    try:
        return importlib.import_module(".".join(["fdl.stateful", *path]))
    except ImportError:
        return None


def test_the_count_of_public_names_grows():
    there = {name: {n for n in listed if hasattr(holder(name), n)} for name, listed in names().items()}
    count = sum(map(len, there.values()))
    assert count >= LEAST, f"{count} of PyTorch's public names are there, and {LEAST} were"


def test_no_name_of_the_tensor_functions_that_scripts_use_is_missing():
    used = """abs add arange argmax as_tensor bmm cat chunk clamp cumsum einsum empty eye flatten from_numpy full gather
    linspace log matmul max mean min multinomial nonzero norm ones permute pow rand randint randn randperm reshape roll
    scatter sigmoid softmax sort split sqrt squeeze stack std sum tanh tensor topk transpose tril triu unsqueeze var
    where zeros zeros_like"""
    assert not [name for name in used.split() if not hasattr(torch, name)]
