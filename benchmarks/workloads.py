"""What is measured: seeded NumPy data by family, with the tolerance within which frameworks must agree."""

import dataclasses
import itertools
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
    return {
        "x": r.normal(size=10).astype("f"),
        "y": r.normal(size=10).astype("f"),
        "tree": {f"p{i:02d}": r.normal(size=8).astype("f") for i in range(20)},
    }


def vector(n: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(2).normal(size=n).astype("f")}


def mlp(batch: int) -> dict[str, Any]:
    r = np.random.default_rng(5)
    params = []
    for fan_in, fan_out in ((784, 128), (128, 64), (64, 10)):
        bound = fan_in**-0.5
        params.append(
            (r.uniform(-bound, bound, (fan_in, fan_out)).astype("f"), r.uniform(-bound, bound, fan_out).astype("f"))
        )
    return {
        "params": params,
        "x": r.random((batch, 784)).astype("f"),
        "y": r.integers(0, 10, batch).astype("i"),
        "rate": 1e-3,
    }


def lorenz() -> dict[str, Any]:
    return {"theta": np.array([1.0, 1.0, 1.0, 10.0, 28.0, 8 / 3], "f"), "steps": 1000, "dt": 0.001}


def scalars(k: int, steps: int) -> dict[str, Any]:
    r = np.random.default_rng(7)
    return {
        "a": np.float32(0.5),
        "b": np.float32(0.3),
        "x": r.uniform(0.5, 1.5, k).astype("f"),
        "steps": steps,
        "dt": 0.005,
    }


def rows() -> dict[str, Any]:
    r = np.random.default_rng(3)
    n, m = 4096, 1024
    wide = lambda: r.normal(size=(n, m)).astype("f")
    return {
        "x": wide(),
        "c": wide(),
        "row": r.normal(size=n).astype("f"),
        "w": (1 + 0.1 * r.normal(size=m)).astype("f"),
        "b": (0.1 * r.normal(size=m)).astype("f"),
    }


def matrix() -> dict[str, Any]:
    return {"x": np.random.default_rng(4).random((4096, 4096), np.float32)}


def _linear(r: Any, fan_in: int, fan_out: int, name: str, params: dict[str, Any]) -> None:
    bound = fan_in**-0.5
    params[f"{name}.w"] = r.uniform(-bound, bound, (fan_in, fan_out)).astype("f")
    params[f"{name}.b"] = r.uniform(-bound, bound, fan_out).astype("f")


def _norm(size: int, name: str, params: dict[str, Any]) -> None:
    params[f"{name}.w"], params[f"{name}.b"] = np.ones(size, "f"), np.zeros(size, "f")


def lenet() -> dict[str, Any]:
    """Images NHWC, filters HWIO: what a convolution of channels-last images reads in order."""
    r = np.random.default_rng(6)
    params: dict[str, Any] = {}
    for name, a, b in (("c1", 1, 32), ("c2", 32, 64)):
        bound = (9 * a) ** -0.5
        params[f"{name}.w"] = r.uniform(-bound, bound, (3, 3, a, b)).astype("f")
        params[f"{name}.b"] = r.uniform(-bound, bound, b).astype("f")
    _linear(r, 9216, 128, "f1", params)
    _linear(r, 128, 10, "f2", params)
    return {
        "params": params,
        "x": r.random((64, 28, 28, 1), np.float32),
        "y": r.integers(0, 10, 64).astype("i"),
        "rate": 1e-3,
    }


def resnet_layers() -> list[tuple[str, int, int, int, int]]:
    """ResNet-18 for 32x32 images: (name, channels in, channels out, kernel, stride)."""
    layers = [("stem", 3, 64, 3, 1)]
    before = 64
    for stage, stride in enumerate((1, 2, 2, 2)):
        width = 64 * 2**stage
        for block in range(2):
            name, step = f"s{stage}.{block}", stride if block == 0 else 1
            layers += [(f"{name}.conv1", before, width, 3, step), (f"{name}.conv2", width, width, 3, 1)]
            if step != 1 or before != width:
                layers.append((f"{name}.down", before, width, 1, step))
            before = width
    return layers


def resnet() -> dict[str, Any]:
    r = np.random.default_rng(7)
    params: dict[str, Any] = {}
    for name, a, b, k, _ in resnet_layers():
        params[f"{name}.w"] = (r.normal(size=(k, k, a, b)) * (2 / (b * k * k)) ** 0.5).astype("f")
        _norm(b, f"{name}.norm", params)
    _linear(r, 512, 10, "fc", params)
    return {
        "params": params,
        "x": r.normal(size=(32, 32, 32, 3)).astype("f"),
        "y": r.integers(0, 10, 32).astype("i"),
        "rate": 0.01,
    }


def lstm() -> dict[str, Any]:
    r = np.random.default_rng(8)
    params: dict[str, Any] = {}
    for name, shape in (("wx", (128, 1024)), ("wh", (256, 1024)), ("bias", (1024,))):
        params[name] = r.uniform(-1 / 16, 1 / 16, shape).astype("f")
    _linear(r, 256, 10, "fc", params)
    return {
        "params": params,
        "x": r.normal(size=(64, 32, 128)).astype("f"),
        "y": r.integers(0, 10, 32).astype("i"),
        "rate": 1e-3,
    }


def text() -> dict[str, Any]:
    """A classifier as published: two encoder layers over (length, batch, features), attention over the first axis."""
    r = np.random.default_rng(9)
    params: dict[str, Any] = {"embed": r.normal(size=(10000, 256)).astype("f")}
    for i in range(2):
        for name, a, b in (("qkv", 256, 768), ("out", 256, 256), ("up", 256, 2048), ("down", 2048, 256)):
            _linear(r, a, b, f"{i}.{name}", params)
        _norm(256, f"{i}.norm1", params)
        _norm(256, f"{i}.norm2", params)
    _linear(r, 256, 5, "fc", params)
    return {
        "params": params,
        "x": r.integers(0, 10000, (32, 64)).astype("i"),
        "y": r.integers(0, 5, 32).astype("i"),
        "rate": 1e-4,
    }


def _gpt_params(r: Any, layers: int, length: int, vocab: int = 1024, width: int = 256) -> dict[str, Any]:
    params: dict[str, Any] = {
        "tok": (0.02 * r.normal(size=(vocab, width))).astype("f"),
        "pos": (0.02 * r.normal(size=(length, width))).astype("f"),
    }
    for i in range(layers):
        for name, a, b in (
            ("qkv", width, 3 * width),
            ("proj", width, width),
            ("up", width, 4 * width),
            ("down", 4 * width, width),
        ):
            params[f"{i}.{name}.w"], params[f"{i}.{name}.b"] = (
                (0.05 * r.normal(size=(a, b))).astype("f"),
                np.zeros(b, "f"),
            )
        _norm(width, f"{i}.norm1", params)
        _norm(width, f"{i}.norm2", params)
    _norm(width, "norm", params)
    params["head"] = (0.05 * r.normal(size=(width, vocab))).astype("f")
    return params


def gpt(layers: int = 4, batch: int = 8, length: int = 256) -> dict[str, Any]:
    r = np.random.default_rng(10)
    tokens = r.integers(0, 1024, (batch, length + 1)).astype("i")
    return {
        "params": _gpt_params(r, layers, length),
        "layers": layers,
        "heads": 8,
        "x": tokens[:, :-1].copy(),
        "y": tokens[:, 1:].copy(),
        "rate": 3e-4,
    }


def decoding() -> dict[str, Any]:
    return {"params": _gpt_params(np.random.default_rng(11), 4, 128), "layers": 4, "heads": 8, "tokens": 128}


def attention() -> dict[str, Any]:
    r = np.random.default_rng(17)
    return {name: r.normal(size=(8, 256, 8, 32)).astype("f") for name in "qkvg"}


def hessian() -> dict[str, Any]:
    r = np.random.default_rng(12)
    sizes = (10, 20, 10, 5)
    count = sum(a * b + b for a, b in itertools.pairwise(sizes))
    return {
        "theta": (0.3 * r.normal(size=count)).astype("f"),
        "x": r.normal(size=(32, 10)).astype("f"),
        "y": r.normal(size=(32, 5)).astype("f"),
        "sizes": sizes,
    }


def matrices() -> dict[str, Any]:
    r = np.random.default_rng(14)
    return {
        "a": 0.99 * np.linalg.qr(r.normal(size=(3, 3)))[0],
        "b": 0.1 * r.normal(size=(1000, 3, 3)),
        "m": r.normal(size=(3, 3)),
    }


def gathers() -> dict[str, Any]:
    r = np.random.default_rng(16)
    return {"v": r.random(64, np.float32), "index": r.permutation(64).astype("i"), "trips": 10000}


def unrolled(steps: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(18).normal(size=(16, 16)).astype("f"), "steps": steps}


def maxima() -> dict[str, Any]:
    return {"x": np.arange(1 << 16, dtype="i")}


WORKLOADS = [
    Workload("dispatch.x2p1", "affine", small),
    Workload("dispatch.tree20", "tree", small),
    Workload("dispatch.eager_add", "eager_add", small),
    Workload("dispatch.eager_gradient", "eager_gradient", small),
    *(
        Workload(f"elementwise.forward.{n}", "elementwise", lambda n=n: vector(n), {"gradient": False})
        for n in (10**3, 10**5, 10**7)
    ),
    *(
        Workload(f"elementwise.gradient.{n}", "elementwise", lambda n=n: vector(n), {"gradient": True})
        for n in (10**3, 10**5, 10**7)
    ),
    Workload("scan.lorenz.forward", "lorenz", lorenz, {"gradient": False}, rtol=1e-3),
    Workload("scan.lorenz.gradient", "lorenz", lorenz, {"gradient": True}, rtol=2e-2),
    *(
        Workload(f"rows.{op}.{'gradient' if g else 'forward'}", "rows", rows, {"op": op, "gradient": g})
        for op in ("softmax", "layer_norm", "logsumexp")
        for g in (False, True)
    ),
    *(
        Workload(f"reduce.{op}.{axis}", "reduce", matrix, {"op": op, "axis": axis}, rtol=1e-3)
        for op in ("sum", "mean", "var")
        for axis in (0, 1, None)
    ),
    *(
        Workload(f"scan.scalars{k}.gradient", "scalars", lambda k=k, n=n: scalars(k, n), rtol=2e-3)
        for k, n in ((3, 1000), (60, 614))
    ),
    Workload("scan.matrices", "matrices", matrices, rtol=1e-6),
    Workload("loop.gather", "gathers", gathers, rtol=1e-3),
    Workload("loop.maximum", "maxima", maxima, rtol=0),
    *(Workload(f"mlp.batch{b}", "mlp", lambda b=b: mlp(b), check=5) for b in (64, 1024)),
    Workload("lenet", "lenet", lenet, check=4, rtol=1e-3),
    Workload("resnet18", "resnet", resnet, check=3, rtol=3e-3),
    Workload("lstm", "lstm", lstm, check=4, rtol=1e-3),
    Workload("text_classifier", "text", text, check=4, rtol=1e-3),
    Workload("gpt", "gpt", gpt, check=4, rtol=1e-3),
    Workload("decode", "decode", decoding, rtol=0),
    Workload("attention.gradient", "attention", attention),
    Workload("per_sample", "per_sample", lambda: mlp(256), rtol=1e-3),
    Workload("hessian", "hessian", hessian, rtol=2e-3),
    *(
        Workload(
            f"userloop.mlp.batch{b}{'.item' if item else ''}", "userloop", lambda b=b: mlp(b), {"item": item}, check=5
        )
        for b, item in ((64, False), (64, True), (1024, False))
    ),
]

# What is measured by its first step: the time of compiling.
COMPILED = [
    Workload("gpt12", "gpt", lambda: gpt(layers=12)),
    *(Workload(f"unrolled.{n}", "unrolled", lambda n=n: unrolled(n)) for n in (50, 100, 200, 400, 800)),
]


def named(name: str) -> Workload:
    """The workload of this name."""
    return next(w for w in WORKLOADS + COMPILED if w.name == name)
