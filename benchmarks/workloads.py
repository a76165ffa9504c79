"""What is measured: seeded NumPy data by family, with the tolerance within which frameworks must agree."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Workload:
    """`family` is an adapter's method; `check` is the number of steps that are compared."""

    name: str
    family: str
    make: Callable[[], dict[str, Any]]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    check: int = 1
    rtol: float = 2e-4


def small() -> dict[str, Any]:
    r = np.random.default_rng(1)
    return {"x": r.normal(size=10).astype("f"), "y": r.normal(size=10).astype("f"), "tree": {f"p{i:02d}": r.normal(size=8).astype("f") for i in range(20)}}


def vector(n: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(2).normal(size=n).astype("f")}


def mlp(batch: int) -> dict[str, Any]:
    r = np.random.default_rng(5)
    params = []
    for fan_in, fan_out in ((784, 128), (128, 64), (64, 10)):
        bound = fan_in**-0.5
        params.append((r.uniform(-bound, bound, (fan_in, fan_out)).astype("f"), r.uniform(-bound, bound, fan_out).astype("f")))
    return {"params": params, "x": r.random((batch, 784)).astype("f"), "y": r.integers(0, 10, batch).astype("i"), "rate": 1e-3}


def lorenz() -> dict[str, Any]:
    return {"theta": np.array([1.0, 1.0, 1.0, 10.0, 28.0, 8 / 3], "f"), "steps": 1000, "dt": 0.001}


def scalars(k: int) -> dict[str, Any]:
    r = np.random.default_rng(7)
    return {"a": np.float32(0.9), "b": np.float32(0.4), "x": r.uniform(0.2, 0.8, k).astype("f"), "steps": 1000, "dt": 0.01}


WORKLOADS = [
    Workload("dispatch.x2p1", "affine", small),
    Workload("dispatch.tree20", "tree", small),
    Workload("dispatch.eager_add", "eager_add", small),
    *(Workload(f"elementwise.forward.{n}", "elementwise", lambda n=n: vector(n), {"gradient": False}) for n in (10**3, 10**5, 10**7)),
    *(Workload(f"elementwise.gradient.{n}", "elementwise", lambda n=n: vector(n), {"gradient": True}) for n in (10**3, 10**5, 10**7)),
    Workload("scan.lorenz.forward", "lorenz", lorenz, {"gradient": False}, rtol=1e-3),
    Workload("scan.lorenz.gradient", "lorenz", lorenz, {"gradient": True}, rtol=2e-2),
    Workload("scan.scalars3.gradient", "scalars", lambda: scalars(3), rtol=2e-3),
    *(Workload(f"mlp.batch{b}", "mlp", lambda b=b: mlp(b), check=5) for b in (64, 1024)),
    *(Workload(f"userloop.mlp.batch{b}{'.item' if item else ''}", "userloop", lambda b=b: mlp(b), {"item": item}, check=5) for b, item in ((64, False), (64, True), (1024, False))),
]
