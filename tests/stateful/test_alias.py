"""`import torch` gets fdl: scripts, modules, lines, children of every kind, and what metadata say."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPT = """
import importlib.metadata, importlib.util, multiprocessing, sys
import torch, helper
from torch.utils.data import DataLoader

class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        return torch.tensor(i)

def work(queue):
    import torch.nn
    queue.put(torch.nn.__name__)

if __name__ == "__main__":
    print(torch.__version__ == importlib.metadata.version("torch"), importlib.util.find_spec("torch") is not None)
    print(sys.argv[1:], helper.NAME)
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.SimpleQueue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get())
    process.join()
    print([b.tolist() for b in DataLoader(Numbers(), 2, num_workers=1, multiprocessing_context=sys.argv[1])])
"""


def run(*arguments, module="fdl.stateful", cwd=None):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", module, *arguments], capture_output=True, text=True, env=env, cwd=cwd
    )


@pytest.mark.parametrize("start", ["spawn", "fork", "forkserver"])
def test_a_script_and_its_children_have_the_alias(tmp_path, start):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("NAME = 'beside the script'")
    found = run(str(tmp_path / "script.py"), start)
    assert found.stdout.splitlines() == [
        "True True", f"['{start}'] beside the script", "fdl.stateful.nn", "[[0, 1], [2, 3]]",
    ], found.stderr  # fmt: skip


@pytest.mark.parametrize("name", ["torch", "torchvision"])
def test_a_child_may_ask_for_any_package_first(name):
    line = f"import {name}; print({name}.__name__)"
    parent = f"import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', {line!r}], text=True))"
    found = run("-c", parent)
    assert found.stdout.strip() == name, found.stderr


def test_a_module_and_a_line(tmp_path):
    (tmp_path / "one.py").write_text("import sys, torch; print(torch.ones(1).tolist(), sys.argv[1:], __name__)")
    assert run("-m", "one", "x", cwd=tmp_path).stdout == "[1.0] ['x'] __main__\n"
    assert run("-c", "import sys, torch; print(torch.ones(1).tolist(), sys.argv)", "y").stdout == "[1.0] ['-c', 'y']\n"


@pytest.mark.parametrize("module", ["fdl.stateful", "fdl"])
@pytest.mark.parametrize(
    "arguments, status, text",
    [
        (["none.py"], 2, "no such file: none.py"),
        (["-m", "no_such"], 1, "no module named no_such"),
        (["-c"], 2, "usage: "),
    ],
)
def test_what_is_missing_is_one_clear_line(module, arguments, status, text):
    found = run(*arguments, module=module)
    assert found.returncode == status and len(found.stderr.splitlines()) == 1 and text in found.stderr


def test_a_program_of_jax():
    line = "import jax, jax.numpy as jnp; print(jax.grad(lambda x: jnp.sum(x * x))(jnp.ones(2)).tolist())"
    assert run("-c", line, module="fdl").stdout == "[2.0, 2.0]\n"


def test_install_reaches_processes_that_are_started_later():
    line = (
        "import fdl.stateful, subprocess, sys; fdl.stateful.install(); import torch; "
        "print(torch is fdl.stateful, subprocess.check_output([sys.executable, '-c', "
        "'import importlib.metadata as m; print(m.version(\"torch\"))'], text=True).strip() == torch.__version__)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, env=env)
    assert found.stdout == "True True\n", found.stderr


def test_what_is_not_there_is_no_module():
    found = run("-c", "import torch.no_such_part")
    assert "No module named 'torch.no_such_part': fdl has nothing in the place of it" in found.stderr
