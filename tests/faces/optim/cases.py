"""Optimizers, transformations and schedules that fdl and optax are asked for alike, and what optax answers.

`python -m tests.faces.optim.cases` records (optax 0.2 and JAX have to be installed). A case is a function of the
library, so that one text serves both.
"""

import json
from pathlib import Path

import numpy as np

RECORD = Path(__file__).with_name("recorded.json")
STEPS = 7


def start():
    """Parameters: a matrix, a vector, a number."""
    rng = np.random.default_rng(0)
    return {
        "w": rng.normal(size=(3, 4)).astype(np.float32),
        "deep": [rng.normal(size=5).astype(np.float32), np.float32(rng.normal())],
    }


def gradients():
    """Gradients of some steps: of both signs, large and small ones, and zeros."""
    rng = np.random.default_rng(1)
    scales = [1.0, 0.1, 3.0, 0.0, 1e-3, 30.0, 1.0]
    draw = lambda shape, s: (s * rng.normal(size=shape)).astype(np.float32)
    return [{"w": draw((3, 4), s), "deep": [draw(5, s), draw((), s)[()]]} for s in scales]


def wide():
    """Parameters with a matrix that is large enough to be factored at 4."""
    rng = np.random.default_rng(2)
    return {"w": rng.normal(size=(6, 4)).astype(np.float32), "b": rng.normal(size=4).astype(np.float32)}


OPTIMIZERS = {
    "sgd": lambda o: o.sgd(0.1),
    "sgd momentum": lambda o: o.sgd(0.1, momentum=0.9),
    "sgd nesterov": lambda o: o.sgd(0.1, momentum=0.9, nesterov=True),
    "sgd schedule": lambda o: o.sgd(o.exponential_decay(0.1, 2, 0.5)),
    "adam": lambda o: o.adam(0.1),
    "adam betas": lambda o: o.adam(0.1, b1=0.5, b2=0.9, eps=1e-3, eps_root=1e-4),
    "adam nesterov": lambda o: o.adam(0.1, nesterov=True),
    "adam bfloat16": lambda o: o.adam(0.1, mu_dtype="bfloat16"),
    "adamw": lambda o: o.adamw(0.1, weight_decay=0.1),
    "adamw mask": lambda o: o.adamw(0.1, weight_decay=0.1, mask={"w": True, "deep": False}),
    "nadam": lambda o: o.nadam(0.1),
    "nadamw": lambda o: o.nadamw(0.1, weight_decay=0.1),
    "amsgrad": lambda o: o.amsgrad(0.1),
    "adamax": lambda o: o.adamax(0.1),
    "adamaxw": lambda o: o.adamaxw(0.1, weight_decay=0.1),
    "radam": lambda o: o.radam(0.1),
    "radam early": lambda o: o.radam(0.1, b2=0.9),
    "adabelief": lambda o: o.adabelief(0.1, eps=1e-6),
    "yogi": lambda o: o.yogi(0.1),
    "lion": lambda o: o.lion(0.1, weight_decay=0.1),
    "adagrad": lambda o: o.adagrad(0.1),
    "adadelta": lambda o: o.adadelta(1.0, weight_decay=0.01),
    "adadelta plain": lambda o: o.adadelta(),
    "rmsprop": lambda o: o.rmsprop(0.1),
    "rmsprop outside": lambda o: o.rmsprop(0.1, eps_in_sqrt=False, initial_scale=0.5, momentum=0.9),
    "rmsprop centered": lambda o: o.rmsprop(0.1, centered=True, momentum=0.9, nesterov=True),
    "rmsprop corrected": lambda o: o.rmsprop(0.1, bias_correction=True),
    "lamb": lambda o: o.lamb(0.1, weight_decay=0.1),
    "lars": lambda o: o.lars(0.1, weight_decay=0.1),
    "novograd": lambda o: o.novograd(0.1, weight_decay=0.1),
    "sign_sgd": lambda o: o.sign_sgd(0.1),
    "signum": lambda o: o.signum(0.1),
    "adafactor": lambda o: o.adafactor(0.1),
    "adafactor momentum": lambda o: o.adafactor(0.1, momentum=0.9, weight_decay_rate=0.01, clipping_threshold=None),
    "clip": lambda o: o.chain(o.clip(0.5), o.sgd(0.1)),
    "clip_by_global_norm": lambda o: o.chain(o.clip_by_global_norm(1.0), o.sgd(0.1)),
    "clip_by_block_rms": lambda o: o.chain(o.clip_by_block_rms(0.5), o.sgd(0.1)),
    "adaptive_grad_clip": lambda o: o.chain(o.adaptive_grad_clip(0.1), o.sgd(0.1)),
    "centralize": lambda o: o.chain(o.centralize(), o.sgd(0.1)),
    "keep_params_nonnegative": lambda o: o.chain(o.sgd(0.1), o.keep_params_nonnegative()),
    "trace and ema": lambda o: o.chain(o.trace(0.8), o.ema(0.7), o.scale(-0.1)),
    "ema as it is": lambda o: o.chain(o.ema(0.7, debias=False), o.scale(-0.1)),
    "param block norm": lambda o: o.chain(o.scale_by_param_block_norm(), o.scale(-0.01)),
    "param block rms": lambda o: o.chain(o.scale_by_param_block_rms(), o.scale(-0.01)),
    "masked": lambda o: o.masked(o.adam(0.1), {"w": True, "deep": False}),
    "partition": lambda o: o.multi_transform({"a": o.adam(0.1), "s": o.sgd(0.1)}, {"w": "a", "deep": "s"}),
    "freeze": lambda o: o.chain(o.sgd(0.1), o.freeze({"w": False, "deep": True})),
    "apply_every": lambda o: o.chain(o.apply_every(3), o.sgd(0.1)),
    "MultiSteps": lambda o: o.MultiSteps(o.adam(0.1), 3),
    "MultiSteps sum": lambda o: o.MultiSteps(o.sgd(0.1), 2, use_grad_mean=False),
    "apply_if_finite": lambda o: o.apply_if_finite(o.adam(0.1), 2),
    "flatten": lambda o: o.flatten(o.adam(0.1)),
    "inject_hyperparams": lambda o: o.inject_hyperparams(o.adam)(learning_rate=o.linear_schedule(0.1, 0.0, 5), b1=0.8),
    "named_chain": lambda o: o.named_chain(("down", o.scale(-1.0)), ("half", o.scale(0.5))),
    "decay schedule": lambda o: o.chain(o.add_decayed_weights(o.linear_schedule(0.1, 0.0, 5)), o.scale(-0.1)),
    "lbfgs": lambda o: o.lbfgs(0.1, memory_size=3, linesearch=None),
    "lbfgs plain": lambda o: o.lbfgs(0.1, memory_size=2, scale_init_precond=False, linesearch=None),
}

WIDE = {
    "adafactor factored": lambda o: o.adafactor(0.1, min_dim_size_to_factor=4),
    "adafactor tall": lambda o: o.adafactor(0.1, min_dim_size_to_factor=3, decay_rate=0.5),
}

SCHEDULES = {
    "constant": lambda o: o.constant_schedule(0.3),
    "linear": lambda o: o.linear_schedule(1.0, 0.1, 10, 3),
    "polynomial": lambda o: o.polynomial_schedule(1.0, 0.1, 3, 10),
    "exponential": lambda o: o.exponential_decay(1.0, 5, 0.5, 2),
    "staircase": lambda o: o.exponential_decay(1.0, 5, 0.5, staircase=True, end_value=0.2),
    "growing": lambda o: o.exponential_decay(1.0, 5, 2.0, end_value=3.0),
    "cosine": lambda o: o.cosine_decay_schedule(1.0, 10, 0.1, 1.5),
    "warmup constant": lambda o: o.warmup_constant_schedule(0.0, 1.0, 4),
    "warmup cosine": lambda o: o.warmup_cosine_decay_schedule(0.0, 1.0, 4, 12, 0.1),
    "warmup exponential": lambda o: o.warmup_exponential_decay_schedule(0.0, 1.0, 4, 5, 0.5),
    "piecewise": lambda o: o.piecewise_constant_schedule(1.0, {3: 0.5, 8: 0.1}),
    "piecewise linear": lambda o: o.piecewise_interpolate_schedule("linear", 1.0, {3: 0.5, 8: 3.0}),
    "piecewise cosine": lambda o: o.piecewise_interpolate_schedule("cosine", 1.0, {3: 0.5, 8: 3.0}),
    "linear onecycle": lambda o: o.linear_onecycle_schedule(20, 1.0),
    "cosine onecycle": lambda o: o.cosine_onecycle_schedule(20, 1.0),
    "joined": lambda o: o.join_schedules([o.constant_schedule(1.0), o.linear_schedule(1.0, 0.0, 4)], [5]),
    "sgdr": lambda o: o.sgdr_schedule(
        [{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 6}] * 2
    ),
}
PLACES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 19, 25]


def path_of(library, make, params, grads, to_array):
    """All parameters after each step, as flat lists."""
    opt = make(library)
    params = {k: [to_array(x) for x in v] if isinstance(v, list) else to_array(v) for k, v in params.items()}
    state, rows = opt.init(params), []
    for g in grads:
        g = {k: [to_array(x) for x in v] if isinstance(v, list) else to_array(v) for k, v in g.items()}
        updates, state = opt.update(g, state, params)
        params = library.apply_updates(params, updates)
        flat = [x for v in params.values() for x in (v if isinstance(v, list) else [v])]
        rows.append([float(e) for x in flat for e in np.ravel(np.asarray(x))])
    return rows


def wide_gradients():
    rng = np.random.default_rng(3)
    return [
        {"w": rng.normal(size=(6, 4)).astype(np.float32), "b": rng.normal(size=4).astype(np.float32)} for _ in range(5)
    ]


def answers(library, to_array):
    """What a library says to all cases."""
    found = {name: path_of(library, make, start(), gradients(), to_array) for name, make in OPTIMIZERS.items()}
    found |= {name: path_of(library, make, wide(), wide_gradients(), to_array) for name, make in WIDE.items()}
    return found, {name: [float(make(library)(k)) for k in PLACES] for name, make in SCHEDULES.items()}


if __name__ == "__main__":
    import jax.numpy
    import optax

    optimizers, schedules = answers(optax, jax.numpy.asarray)
    RECORD.write_text(json.dumps({"optax": optax.__version__, "optimizers": optimizers, "schedules": schedules}))
