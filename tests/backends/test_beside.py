"""Programs that the helper process compiles while the loop goes on: the same bits whenever they come."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl.backends import beside, cache
from fdl.backends.c import key_of
from fdl.backends.toolchain import find_compiler
from fdl.core.config import config
from fdl.core.primitive import Primitive
from fdl.ops import Failure, check
from fdl.testing import count_compilations, count_native_calls
from fdl.transforms import make_graph
from fdl.transforms.lazy import current_recorder, flush, programs
from tests.conftest import ROOT, needs_compiler

pytestmark = needs_compiler


@pytest.fixture
def helped(tmp_path, monkeypatch):
    """A helper and a cache of their own, and nothing recorded."""
    flush()
    programs.forget_programs()
    current_recorder().forget()
    monkeypatch.setattr(config, "wait", False)
    monkeypatch.setattr(beside, "_helpers", [])
    config.cache_dir = tmp_path
    yield
    for helper in beside._helpers:
        helper.end()
        assert helper.process.wait(60) is not None


def line(x):
    """Work enough for its program to be compiled when it comes back."""
    return np.asarray(jnp.sum(jnp.tanh(x @ x.T) * 1.7, 1)).tobytes()


def some():
    return jnp.asarray(np.random.default_rng(0).normal(size=(700, 300)).astype(np.float32)).block_until_ready()


def test_the_loop_goes_on_and_takes_the_program_when_it_is_there(helped):
    x = some()
    found = [line(x) for _ in range(4)]
    with count_compilations() as compiled, count_native_calls() as ran:
        assert fdl.wait_compiled(120)
        found += [line(x) for _ in range(4)]
        assert (compiled(), ran()) == (0, 4)
    assert len(set(found)) == 1


def test_what_the_cache_has_is_not_asked_for(helped):
    config.wait, x = True, some()
    found = [line(x) for _ in range(4)]
    programs.forget_programs()
    current_recorder().forget()
    config.wait = False
    with count_native_calls() as ran:
        found += [line(x) for _ in range(4)]
        assert ran() == 3
    assert not beside._helpers and len(set(found)) == 1


def training(steps):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(200, 300), torch.nn.GELU(), torch.nn.Dropout(0.3), torch.nn.Linear(300, 5)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    x, y = torch.randn(256, 200), torch.randint(0, 5, (256,))
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.detach().numpy().tobytes() for p in model.parameters()]


def test_bits_do_not_tell_when_programs_come(helped, monkeypatch):
    config.tier = "native"
    wanted, steps = training(24), random.Random(0)
    config.tier = "auto"
    known = beside.is_pending

    def late(*args):
        """Programs that come at a step that nobody knows."""
        pending = known(*args)
        return steps.random() < 0.8 or (pending and not fdl.wait_compiled(120))

    monkeypatch.setattr(programs, "is_pending", late)
    for _ in range(4):
        programs.forget_programs()
        current_recorder().forget()
        with count_native_calls() as ran:
            assert training(24) == wanted
        assert ran()


def test_a_helper_that_is_gone_is_not_missed(helped):
    x = some()
    found = [line(x) for _ in range(2)]
    (helper,) = beside._helpers
    helper.process.kill()
    helper.process.wait()
    assert fdl.wait_compiled(60)
    with count_native_calls() as ran:
        found += [line(x), np.asarray(jnp.sum(jnp.tanh(x @ x.T) * 1.7, 1)).tobytes()]
        assert ran() == 2
    assert len(set(found)) == 1


class Mistake(ValueError):
    """An error of the user's."""


def test_what_is_not_data_is_compiled_here(helped):
    compiler = find_compiler()
    own_p = Primitive("a users own").define(shape=lambda x: x, impl=lambda x: x)

    def checked(x):
        check(x < 0, Failure(Mistake, "negative", "negative"))
        return x

    for f in (lambda x: own_p.bind(x), checked):
        assert not beside.is_pending("a test", make_graph(f)(jnp.float32(1)), compiler)
    assert not beside._helpers


def test_graphs_are_the_same_on_the_other_side(helped):
    """A plan lies where this process looks for it: loops, numbers, weak types, dtypes and donated inputs."""

    def f(x, h):
        total = fdl.lax.scan(lambda c, r: (c * 0.5 + r.sum(), c), 1.0, x)
        return total, fdl.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x), h.astype("bfloat16") * 3, x.argmax(0)

    compiler = find_compiler()
    graph, _ = make_graph(f)(jnp.ones((4, 3)), jnp.ones(5, "float16")).lift()
    assert beside.is_pending("a test", graph, compiler, (0,))
    assert fdl.wait_compiled(120)
    assert not beside.is_pending("a test", graph, compiler, (0,))
    assert cache.has_plan(key_of(graph, compiler, (0,)))


def softly(x):
    """Work enough, through functions with custom derivatives."""
    return np.asarray(jnp.sum(fdl.nn.softmax(jnp.tanh(x @ x.T)) * 1.7, 1)).tobytes()


def test_functions_with_custom_derivatives_are_sent(helped):
    x = some()
    found = [softly(x) for _ in range(4)]
    assert len(beside._helpers[0].jobs) == 1
    with count_compilations() as compiled, count_native_calls() as ran:
        assert fdl.wait_compiled(120)
        found += [softly(x) for _ in range(4)]
        assert (compiled(), ran()) == (0, 4)
    assert len(set(found)) == 1


def test_who_asks_does_not_wait_until_the_helper_reads(helped):
    """More bytes than a pipe holds, to a helper that does not read."""
    beside._helpers[:] = [beside._Helper()]
    (helper,) = beside._helpers
    os.kill(helper.process.pid, signal.SIGSTOP)
    before = time.monotonic()
    jobs = [helper.ask(bytes(1 << 20)) for _ in range(3)]
    assert not fdl.wait_compiled(0.1) and time.monotonic() - before < 10
    helper.process.kill()
    assert fdl.wait_compiled(60) and all(job.is_set() for job in jobs)


def test_what_may_be_waited_for_is_so_in_all(helped):
    """Not so long for each program."""
    beside._helpers[:] = [beside._Helper()]
    (helper,) = beside._helpers
    waits = []

    class Slow(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            time.sleep(0.05)
            return True

    helper.jobs += [Slow() for _ in range(3)]
    assert fdl.wait_compiled(100)
    assert 100 >= waits[0] > waits[1] > waits[2]
    helper.jobs.clear()


FORKED = """
import os, signal
import numpy as np, fdl, fdl.numpy as jnp
from fdl.backends import beside
def line():
    return np.asarray(jnp.sum(jnp.tanh(x @ x.T), 1)).tobytes()
x = jnp.asarray(np.linspace(0, 1, 210000, dtype=np.float32).reshape(700, 300))
wanted = [line() for _ in range(3)][0]
parents = beside._helpers[0].process.pid
os.kill(parents, signal.SIGSTOP)
child = os.fork()
if child == 0:
    assert fdl.wait_compiled(1) and line() == wanted  # asks a helper of its own
    assert fdl.wait_compiled(200) and line() == wanted
    assert beside._helpers[0].process.pid != parents
    beside._helpers[0].end()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
os.kill(parents, signal.SIGCONT)
assert fdl.wait_compiled(200) and line() == wanted
"""


def test_a_forked_child_does_not_wait_for_what_its_parent_asked(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "FDL_CACHE_DIR": str(tmp_path), "FDL_WAIT": "0"}
    subprocess.run([sys.executable, "-c", FORKED], env=env, capture_output=True, text=True, check=True, timeout=300)


SCRIPT = """
import sys, time
import numpy as np, fdl.numpy as jnp
from fdl.backends import beside
x = jnp.asarray(np.ones((700, 300), np.float32))
for _ in range(3):
    float(jnp.sum(jnp.tanh(x @ x.T)))
print(beside._helpers[0].process.pid)
"""


def test_nothing_is_left_when_a_script_ends(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "FDL_CACHE_DIR": str(tmp_path), "FDL_WAIT": "0"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True, timeout=300
    )
    helper, until = int(run.stdout), time.monotonic() + 60
    while os.path.exists(f"/proc/{helper}/stat") and time.monotonic() < until:
        with open(f"/proc/{helper}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "Z":  # nobody has asked how it ended
                break
        time.sleep(0.05)
    assert time.monotonic() < until
    assert not list(tmp_path.rglob(".tmp-*"))
