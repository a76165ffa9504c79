"""What is interrupted, what must hold afterwards, and whether the process is sound.

A scenario is prepared once; then, in a child each, `before` (undisturbed), `act` (interrupted somewhere) and `after`
run. `expect` runs in a child of its own and gives the numbers of a process that nobody interrupted.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import sys
import tempfile
import threading
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import lax
from fdl.core.config import config
from fdl.core.errors import DonatedError
from fdl.core.trace import Tracer, base_trace, current_trace, transforming
from fdl.stateful import func
from fdl.stateful.utils.data import DataLoader, TensorDataset
from fdl.transforms.lazy import current_recorder

nn, F = torch.nn, torch.nn.functional


def values(tree: Any) -> Any:
    """Arrays and tensors of a nest as bytes, so that they can be sent and compared."""
    if isinstance(tree, dict):
        return {k: values(v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [values(v) for v in tree]
    if isinstance(tree, torch.Tensor):
        return np.asarray(tree.detach()._value()).tobytes()
    return np.asarray(tree).tobytes() if hasattr(tree, "aval") else tree


# Health


def _locks() -> list[tuple[str, Any]]:
    kinds = type(threading.Lock()), type(threading.RLock())
    found: list[tuple[str, Any]] = [("the recorder's", current_recorder().lock)]
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "fdl" and isinstance(module, types.ModuleType):
            for key, value in vars(module).items():
                found += [
                    (f"{name}.{key}", v)
                    for v in (value.values() if isinstance(value, dict) else [value])
                    if isinstance(v, kinds)
                ]
    return found


def held_locks() -> list[str]:
    """Names of fdl's locks that another thread cannot take."""
    found: list[str] = []

    def work() -> None:
        for name, lock in _locks():
            if lock.acquire(timeout=30):  # a build in the background may hold it for a while
                lock.release()
            else:
                found.append(name)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found


def _temporary_files() -> list[str]:
    folders = [config.cache_dir / kind for kind in ("programs", "plans", "runtime")]
    return [
        name
        for folder in folders
        if folder.exists()
        for name in os.listdir(folder)
        if name.startswith(".tmp-") or name.endswith((".o", ".s"))
    ]


def _quiet(look: Any, seconds: float = 20.0) -> Any:
    """What `look` finds, once it finds nothing or the time is over: work in the background may go on for a while."""
    end = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def _children() -> list[int]:
    """Processes that this one has started and that are not gone, or not waited for."""
    found: list[int] = []
    tasks = Path("/proc/self/task")
    for task in tasks.iterdir() if tasks.exists() else ():
        with contextlib.suppress(OSError):  # a thread that is gone by now
            found += map(int, (task / "children").read_text().split())
    return found


def _train() -> list[Any]:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = torch.arange(6.0).reshape(2, 3)
    for _ in range(2):
        optimizer.zero_grad()
        F.mse_loss(model(x), torch.ones(2, 1)).backward()
        optimizer.step()
    return [p.tolist() for p in model.parameters()]


def health() -> dict[str, Any]:
    """What a sound process gives: fresh computations on both faces, and nothing left over."""
    found: dict[str, Any] = {}
    found["transforming"] = transforming()
    found["base"] = current_trace() is base_trace()
    found["grad mode"] = torch.is_grad_enabled()
    found["busy"] = current_recorder().busy
    x = jnp.arange(4.0)
    found["eager"] = (x * 2 + 1).tolist()
    found["grad"] = fdl.grad(lambda v: (v * v).sum())(x).tolist()
    found["vmap"] = fdl.vmap(lambda v: v + v.sum())(x.reshape(2, 2)).tolist()
    found["jit"] = fdl.jit(lambda v: jnp.sin(v) * 0 + v)(x).tolist()
    found["jit of grad"] = fdl.jit(fdl.grad(lambda v: (v * v * v).sum()))(x).tolist()
    found["scan"] = lax.scan(lambda c, v: (c + v, c * v), jnp.float32(0), x)[0].tolist()
    t = torch.ones(3, requires_grad=True)
    (t * t * 2).sum().backward()
    found["backward"] = t.grad.tolist()
    found["train"] = _train()
    torch.manual_seed(5)
    found["random"] = torch.rand(2).tolist()
    found["func"] = func.grad(lambda v: (v * v).sum())(torch.ones(2)).tolist()
    found["locks"] = held_locks()
    found["temporary files"] = _quiet(_temporary_files)
    found["children"] = _quiet(_children)
    return found


# Scenarios


class Scenario:
    """Something to interrupt."""

    warm = True
    seeded = 0  # points of a cold one that are tried besides those in functions that set and undo state

    def __init__(self, name: str) -> None:
        self.name = name

    def prepare(self) -> None:
        """Bring the process to where it starts from."""

    def before(self) -> None:
        """What is recorded or drawn before, and must not be lost."""

    def act(self) -> Any:
        """What is interrupted."""

    def expect(self) -> Any:
        """Numbers to compare with."""
        self.before()
        return values(self.act())

    def after(self, expected: Any, interrupted: bool, result: Any) -> None:
        """Whatever came, the same can be done again and gives the same."""
        if not interrupted:
            assert values(result) == expected, "another result"
        assert values(self.act()) == expected, "another result when it is done again"


class Pending(Scenario):
    """Values recorded and drawn before are looked at afterwards."""

    def before(self) -> None:
        torch.manual_seed(11)
        self.pending = [torch.rand(3), torch.arange(3.0) * 3, jnp.arange(3.0) + 1]
        self.cell = torch.zeros(3)
        self.cell.add_(self.pending[0])

    def expect(self) -> Any:
        self.before()
        return {"act": values(self.act()), "pending": values([*self.pending, self.cell]), "next": values(torch.rand(2))}

    def after(self, expected: Any, interrupted: bool, result: Any) -> None:
        assert values([*self.pending, self.cell]) == expected["pending"], "pending values were lost"
        assert values(torch.rand(2)) == expected["next"], "the generator repeats or skips numbers"
        super().after(expected["act"], interrupted, result)


class Flush(Pending):
    """Looking at what is recorded; values that are alive all come out."""

    times = 4

    def prepare(self) -> None:
        for _ in range(self.times):
            self.before()
            self.act()

    def act(self) -> Any:
        return (self.pending[1] + self.pending[0]).sum().tolist()


class FirstFlush(Flush):
    """The same, never met before."""

    warm, times = False, 0


class JitCall(Pending):
    """A jitted function of both argument structures: fast and general."""

    times = 3

    def prepare(self) -> None:
        self.f = fdl.jit(lambda x, y: {"a": jnp.tanh(x) @ y, "b": (x * 2).sum()})
        self.x, self.y = jnp.arange(6.0).reshape(2, 3) / 7, jnp.ones((3, 2))
        for _ in range(self.times):
            super().before()
            self.act()

    def act(self) -> Any:
        return [self.f(self.x, self.y), self.f(self.x, y=self.y)]


class FirstJit(JitCall):
    """Traced, lowered, compiled."""

    warm, times, seeded = False, 0, 400


class Donation(Scenario):
    """What is given away is whole, or it is said that it is gone; it never has other values."""

    def prepare(self) -> None:
        self.f = fdl.jit(lambda x, y: (x * 2 + y, y.sum()), donate_argnums=0)
        for _ in range(3):
            self.before()
            self.act()

    def before(self) -> None:
        self.x, self.y, self.z = jnp.ones(400) * 3, jnp.ones(400) * 5, jnp.ones(400)
        for array in (self.x, self.y, self.z):
            array.block_until_ready()

    def act(self) -> Any:
        return [self.f(self.x, self.z), self.f(self.y, y=self.z)]

    def after(self, expected: Any, interrupted: bool, result: Any) -> None:
        for array, value in ((self.x, 3.0), (self.y, 5.0)):
            with contextlib.suppress(DonatedError):
                assert set(array.tolist()) == {value}, "given away, and overwritten unsaid"
        self.before()
        assert values(self.act()) == expected, "another result when it is done again"


class Transforms(Pending):
    """All transforms, loops and branches, of a function that reads from outside."""

    def prepare(self) -> None:
        self.w = jnp.arange(3.0)
        for _ in range(3):
            super().before()
            self.act()

    def act(self) -> Any:
        w = self.w

        def f(x: Any) -> Any:
            y = lax.cond(x.sum() > 0, lambda v: v * w, lambda v: v - w, x)
            total, _ = lax.scan(lambda c, v: (c * 0.5 + v, None), jnp.float32(0), y)
            return total + (y * y).sum()

        x = jnp.arange(3.0) + 1
        vs = jnp.ones((2, 3))
        return [
            fdl.grad(f)(x), fdl.jvp(f, (x,), (x,)), fdl.vmap(fdl.grad(f))(vs), fdl.value_and_grad(fdl.checkpoint(f))(x),
            fdl.linearize(f, x)[0],
            fdl.make_jaxpr(f)(x) and 0 if hasattr(fdl, "make_jaxpr") else 0, fdl.hessian(f)(x),
        ]  # fmt: skip


class FirstTransforms(Transforms):
    """The same, for the first time."""

    warm, seeded = False, 600

    def prepare(self) -> None:
        self.w = jnp.arange(3.0)


class Step(Scenario):
    """A training step: it is done, wholly or not at all, and training goes on to the same numbers."""

    steps = 6

    def make(self) -> None:
        """A model, an optimizer and data."""
        torch.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
        self.optimizer = self.optimizer_of(
            [
                {"params": self.model[0].parameters()},
                {"params": [*self.model[1].parameters(), *self.model[4].parameters()], "lr": 0.02},
            ]
        )
        self.x, self.y = torch.randn(6, 4), torch.arange(6) % 3

    def optimizer_of(self, groups: Any) -> Any:
        """The optimizer."""
        return torch.optim.AdamW(groups, lr=0.01)

    def prepare(self) -> None:
        self.make()
        for _ in range(self.steps):
            self.before()
            self.act()

    def before(self) -> None:
        torch.manual_seed(21)
        self.pending = torch.rand(3)

    def step(self) -> Any:
        """A step; its loss."""
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss

    def act(self) -> Any:
        return self.step().item()

    def state(self) -> Any:
        """All that a step changes at once."""
        names = {id(p): n for n, p in self.model.named_parameters()}
        return {
            "model": values(dict(self.model.named_parameters())),
            "optimizer": {names[id(p)]: values(dict(s)) for p, s in self.optimizer.state.items() if s.get("step")},
        }

    def trajectory(self) -> Any:
        """How it goes on."""
        for m in self.model.modules():
            if isinstance(m, nn.BatchNorm1d):
                m.reset_running_stats()
        torch.manual_seed(31)
        return [self.act() for _ in range(2)], self.state()

    def expect(self) -> Any:
        self.before()
        starts = [(self.state(), self.copied(self.trajectory))]
        self.act()
        starts.append((self.state(), self.copied(self.trajectory)))
        return {"ends": starts, "draws": self.draws(), "pending": values(self.pending)}

    def copied(self, work: Any) -> Any:
        """What `work` gives in a process of its own, which has no part in this one."""
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            with os.fdopen(theirs, "wb") as out:
                out.write(pickle.dumps(work()))
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours, "rb") as given:
            data = given.read()
        os.waitpid(child, 0)
        return pickle.loads(data)

    def draws(self) -> Any:
        """Numbers that a generator may give next: those of an undisturbed one."""
        torch.manual_seed(21)
        return [values(torch.rand(3)) for _ in range(8)]

    def after(self, expected: Any, interrupted: bool, result: Any) -> None:
        ends = expected["ends"]
        assert values(self.pending) == expected["pending"], "a pending value was lost"
        assert values(torch.rand(3)) in expected["draws"][1:], "the generator repeats or skips numbers"
        state = self.state()
        found = [trajectory for end, trajectory in ends if end == state]
        assert found, f"a step was done in part: {_compare(state, ends[0][0])}; {_compare(state, ends[1][0])}"
        assert interrupted or state == ends[1][0], "a step that was not interrupted was not done"
        assert self.trajectory() == found[0], "training goes on to other numbers"


def _compare(a: Any, b: Any) -> list[str]:
    flat = [(f"{part}.{n}", a[part].get(n) == b[part].get(n)) for part in a for n in {**a[part], **b[part]}]
    return [n for n, same in flat if not same]


class FirstStep(Step):
    """The first step."""

    warm, steps, seeded = False, 0, 1500


class Momentum(Step):
    """SGD with dampening, which makes two calls at first."""

    def optimizer_of(self, groups: Any) -> Any:
        return torch.optim.SGD(groups, lr=0.01, momentum=0.9, dampening=0.1, nesterov=False)


class NAdam(Step):
    """An optimizer that is a formula, and keeps a number in its state."""

    def optimizer_of(self, groups: Any) -> Any:
        return torch.optim.NAdam(groups, lr=0.01)


class StepInJit(Step):
    """A step that is one program."""

    def make(self) -> None:
        super().make()
        self.jitted = fdl.jit(self.step)

    def act(self) -> Any:
        return self.jitted().item()


class Accumulate(Step):
    """`backward` onto gradients that are there already: all of them grow, or none."""

    def prepare(self) -> None:
        self.make()
        self.model.eval()
        for _ in range(self.steps):
            self.before()
            self.act()

    def act(self) -> Any:
        loss = F.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        return loss.item()

    def state(self) -> Any:
        return {
            "model": values(dict(self.model.named_parameters())),
            "optimizer": values({n: p.grad for n, p in self.model.named_parameters()}),
        }


class Save(Scenario):
    """The file is the old one, whole, or the new one, and nothing else lies beside it."""

    format = "safetensors"

    def prepare(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fdl-interrupts-"))
        self.old, self.new = {"w": torch.zeros(3), "n": 1}, {"w": torch.arange(5.0), "n": [2, "x"]}
        for _ in range(2):
            torch.save(self.new, self.folder / "warm", format=self.format)

    def before(self) -> None:
        self.own = Path(tempfile.mkdtemp(dir=self.folder))
        torch.save(self.old, self.own / "file", format=self.format)
        self.descriptors = sorted(os.listdir("/proc/self/fd"))

    def act(self) -> Any:
        torch.save(self.new, self.own / "file", format=self.format)

    def expect(self) -> Any:
        return None

    def after(self, expected: Any, interrupted: bool, result: Any) -> None:
        assert [p.name for p in self.own.iterdir()] == ["file"], f"left over: {list(self.own.iterdir())}"
        found = values(torch.load(self.own / "file"))
        assert found in ([values(self.old), values(self.new)] if interrupted else [values(self.new)]), (
            "the file is broken"
        )
        assert sorted(os.listdir("/proc/self/fd")) == self.descriptors, "a descriptor is open"
        self.act()
        assert values(torch.load(self.own / "file")) == values(self.new)


class SaveArchive(Save):
    """PyTorch's format."""

    format = "pt"


class Load(Scenario):
    """Reading a file, and a module's state from it."""

    format = "safetensors"

    def prepare(self) -> None:
        torch.manual_seed(2)
        self.path = Path(tempfile.mkdtemp(prefix="fdl-interrupts-")) / "file"
        self.source, self.model = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)) for _ in range(2))
        torch.save(self.source.state_dict(), self.path, format=self.format)
        for _ in range(2):
            torch.load(self.path)

    def act(self) -> Any:
        self.model.load_state_dict(torch.load(self.path))
        return self.model.state_dict()

    def after(self, expected: Any, interrupted: bool, result: Any) -> None:
        now = values(dict(self.model.state_dict()))
        before = values(dict(self.first))
        assert now in (before, expected), "loaded in part"
        super().after(expected, interrupted, result)

    def before(self) -> None:
        self.first = {k: v.clone() for k, v in self.model.state_dict().items()}


class LoadArchive(Load):
    """PyTorch's format."""

    format = "pt"


class Loader(Scenario):
    """An epoch of a loader with worker threads, whose batches are looked at."""

    workers = 2

    def prepare(self) -> None:
        self.data = TensorDataset(torch.arange(24.0).reshape(12, 2), torch.arange(12))
        for _ in range(2):
            self.act()

    def act(self) -> Any:
        torch.manual_seed(9)
        return [
            [b.tolist() for b in batch]
            for batch in DataLoader(self.data, batch_size=5, shuffle=True, num_workers=self.workers)
        ]

    def after(self, expected: Any, interrupted: bool, result: Any) -> None:
        super().after(expected, interrupted, result)
        gc.collect()
        assert not _quiet(lambda: [t.name for t in threading.enumerate() if t.name.startswith("fdl-loader")], 5.0), (
            "worker threads are left"
        )


class PlainLoader(Loader):
    """Without workers."""

    workers = 0


class Blocks(Scenario):
    """Context managers and functions that set something for their time."""

    def prepare(self) -> None:
        torch.manual_seed(1)
        self.layer = nn.Linear(3, 2)
        self.other = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
        self.x = torch.arange(3.0)
        for _ in range(3):
            self.act()

    def act(self) -> Any:
        with torch.no_grad():
            y = self.layer(self.x)
        with torch.enable_grad(), torch.set_grad_enabled(False), torch.inference_mode():
            y = y + self.x.sum()
        z = torch.no_grad()(lambda: self.layer(self.x) * 2)()
        with torch.autograd.detect_anomaly():
            self.layer.zero_grad()
            self.layer(self.x).sum().backward()
        swapped = func.functional_call(self.layer, self.other, (self.x,))
        gradient = func.grad(lambda v: self.layer(v).sum())(self.x)
        with torch.profiler.profile() as profile, torch.profiler.record_function("part"):
            w = self.layer(self.x)
            profile.step()
        return [y, z, swapped, gradient, w]

    def after(self, expected: Any, interrupted: bool, result: Any) -> None:
        assert torch.is_grad_enabled(), "grad mode"
        assert not torch.autograd.checks.watch.anomalies, "anomalies are looked for"
        assert not torch.profiler._OPEN, "a profile is open"
        assert [type(p) for p in self.layer.parameters()] == [nn.Parameter] * 2, "a module's parameters were swapped"
        assert not any(isinstance(p._storage.array, Tracer) for p in self.layer.parameters()), (
            "a tracer was left in a module"
        )
        super().after(expected, interrupted, result)


class Build(Scenario):
    """A program whose library has to be built."""

    warm, seeded = False, 100

    def before(self) -> None:
        config.cache_dir = Path(tempfile.mkdtemp(prefix="fdl-interrupts-build-"))

    def prepare(self) -> None:
        self.x = jnp.arange(3.0)
        fdl.jit(lambda v: v * 3)(self.x)

    def act(self) -> Any:
        return fdl.jit(lambda v: jnp.exp(v) * 0 + v * 3)(self.x).tolist()


SCENARIOS: dict[str, Scenario] = {
    s.name: s
    for s in [
        Flush("flush"),
        JitCall("jit call"),
        Transforms("transforms"),
        Donation("donation"),
        Step("step"),
        Momentum("step of SGD"),
        NAdam("step of NAdam"),
        StepInJit("step in jit"),
        Accumulate("accumulate"),
        Save("save"),
        SaveArchive("save pt"),
        Load("load"),
        LoadArchive("load pt"),
        Loader("loader"),
        PlainLoader("loader without workers"),
        Blocks("blocks"),
        FirstFlush("first flush"),
        FirstJit("first jit"),
        FirstTransforms("first transforms"),
        FirstStep("first step"),
        Build("build"),
    ]
}
