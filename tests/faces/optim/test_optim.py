"""`fdl.optim` against recorded answers of optax, and what records cannot hold."""

import itertools
import json

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import optim
from tests.faces.optim import cases

RECORDED = json.loads(cases.RECORD.read_text())
PATHS = {**{name: (make, cases.start, cases.gradients) for name, make in cases.OPTIMIZERS.items()},
         **{name: (make, cases.wide, cases.wide_gradients) for name, make in cases.WIDE.items()}}  # fmt: skip


LOOSER = {
    "bfloat16": (1e-2, 1e-2),  # means that are kept with three digits
    "lbfgs": (1e-3, 1e-4),  # which divides by small differences
    "radam": (5e-4, 2e-5),  # whose factor comes of differences of such numbers
}


@pytest.mark.parametrize("name", PATHS)
def test_paths(name):
    make, params, grads = PATHS[name]
    got = cases.path_of(optim, make, params(), grads(), jnp.asarray)
    # optax corrects means in float32, where 1 - 0.999 has three digits less
    rtol, atol = next((limits for kind, limits in LOOSER.items() if kind in name), (2e-5, 2e-5))
    np.testing.assert_allclose(got, RECORDED["optimizers"][name], rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", cases.SCHEDULES)
def test_schedules(name):
    schedule = cases.SCHEDULES[name](optim)
    want = RECORDED["schedules"][name]
    np.testing.assert_allclose([float(schedule(k)) for k in cases.PLACES], want, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(
        [float(fdl.jit(schedule)(jnp.asarray(k))) for k in cases.PLACES[:4]], want[:4], rtol=1e-6, atol=1e-7
    )


@pytest.mark.peers
def test_the_record_is_what_optax_says():
    optax = pytest.importorskip("optax")
    jax_numpy = pytest.importorskip("jax.numpy")
    optimizers, schedules = cases.answers(optax, jax_numpy.asarray)
    for name, rows in optimizers.items():
        np.testing.assert_allclose(rows, RECORDED["optimizers"][name], rtol=1e-5, atol=1e-6)
    for name, values in schedules.items():
        np.testing.assert_allclose(values, RECORDED["schedules"][name], rtol=1e-6)


BOTH_FACES = {
    "rprop": (lambda: optim.rprop(0.1), lambda p: torch.optim.Rprop(p, lr=0.1)),
    "adam": (lambda: optim.adam(0.1), lambda p: torch.optim.Adam(p, lr=0.1)),
    "sgd": (lambda: optim.sgd(0.1, 0.9, True), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    "rmsprop": (lambda: optim.rmsprop(0.1, 0.99, eps_in_sqrt=False), lambda p: torch.optim.RMSprop(p, lr=0.1)),
    "adagrad": (
        lambda: optim.adagrad(0.1, 0.0, 1e-12),
        lambda p: torch.optim.Adagrad(p, lr=0.1, eps=1e-12),
    ),
    "adadelta": (lambda: optim.adadelta(0.1), lambda p: torch.optim.Adadelta(p, lr=0.1)),
    "adamax": (lambda: optim.adamax(0.1), lambda p: torch.optim.Adamax(p, lr=0.1)),
}


@pytest.mark.parametrize("name", BOTH_FACES)
def test_both_faces_take_the_same_steps(name):
    functional, stateful = BOTH_FACES[name]
    rng = np.random.default_rng(4)
    first, grads = rng.normal(size=6), rng.normal(size=(8, 6))
    opt, params = functional(), jnp.asarray(first)
    p = torch.nn.Parameter(torch.tensor(first))
    other, state = stateful([p]), opt.init(params)
    for g in grads:
        updates, state = opt.update(jnp.asarray(g), state, params)
        params = optim.apply_updates(params, updates)
        p.grad = torch.tensor(g)
        other.step()
    np.testing.assert_allclose(params, p.detach().numpy(), rtol=1e-5)


def rosenbrock(p):
    return jnp.sum(100.0 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2)


SEARCHES = {
    "zoom": lambda: optim.lbfgs(),
    "zoom keeps": lambda: optim.lbfgs(linesearch=optim.scale_by_zoom_linesearch(30)),
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("jitted", [False, True])
def test_searches_find_the_bottom_of_a_valley(name, jitted):
    opt, both = SEARCHES[name](), optim.value_and_grad_from_state(rosenbrock)
    params = jnp.asarray(np.array([-1.2, 1.0, -0.5]))  # float64

    def step(params, state):
        value, grad = both(params, state=state)
        updates, state = opt.update(grad, state, params, value=value, grad=grad, value_fn=rosenbrock)
        return optim.apply_updates(params, updates), state, value

    values, state = [], opt.init(params)
    step = fdl.jit(step) if jitted else step
    for _ in range(80):
        params, state, value = step(params, state)
        values.append(float(value))
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(values))
    np.testing.assert_allclose(params, np.ones(3), atol=1e-4)


def test_backtracking_goes_downhill_at_each_step():
    bowl = lambda p: jnp.sum(jnp.array([1.0, 30.0]) * (p - 2.0) ** 2)
    opt = optim.chain(optim.scale(-1.0), optim.scale_by_backtracking_linesearch(40))
    both, params = optim.value_and_grad_from_state(bowl), jnp.zeros(2)
    state, values = opt.init(params), []
    for _ in range(80):
        value, grad = both(params, state=state)
        updates, state = opt.update(grad, state, params, value=value, grad=grad, value_fn=bowl)
        params = optim.apply_updates(params, updates)
        values.append(float(value))
    assert all(b <= a for a, b in itertools.pairwise(values)) and values[-1] < 1e-3 * values[0]


def test_a_search_meets_the_conditions_of_wolfe():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.normal(size=2)
        f = lambda p, a=a, b=b: jnp.cos(a + 3 * p) + 0.1 * (p - b) ** 2
        p = float(rng.normal())
        value, grad = fdl.value_and_grad(f)(p)
        tx = optim.chain(optim.scale(-1.0), optim.scale_by_zoom_linesearch(40))
        updates, _ = tx.update(grad, tx.init(p), p, value=value, grad=grad, value_fn=f)
        reached, slope = fdl.value_and_grad(f)(p + updates)
        assert reached <= value - 1e-4 * abs(float(updates) * float(grad)) + 1e-6
        assert abs(slope) <= 0.9 * abs(grad) + 1e-6


def test_muon_makes_matrices_orthogonal_and_leaves_vectors_to_adam():
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.normal(size=(6, 3)).astype(np.float32)), "b": jnp.zeros(3)}
    opt = optim.muon(1.0)
    updates, state = opt.update(params, opt.init(params), params)
    values = np.linalg.svd(np.asarray(updates["w"]) / np.sqrt(2.0), compute_uv=False)
    assert np.all((values > 0.6) & (values < 1.3))
    again, _ = opt.update(params, state, params)
    assert np.isfinite(np.asarray(again["b"])).all()


def test_whole_steps_compile_and_agree():
    target = jnp.arange(5.0)
    opt = optim.chain(optim.clip_by_global_norm(1.0), optim.adamw(optim.cosine_decay_schedule(0.1, 30)))

    def step(params, state):
        grads = fdl.grad(lambda p: jnp.sum((p["x"] - target) ** 2))(params)
        updates, state = opt.update(grads, state, params)
        return optim.apply_updates(params, updates), state

    found = []
    for run in (step, fdl.jit(step)):
        params, state = {"x": jnp.zeros(5)}, opt.init({"x": jnp.zeros(5)})
        for _ in range(20):
            params, state = run(params, state)
        found.append(np.asarray(params["x"]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_updates_that_are_not_finite_are_left_out_and_counted():
    opt = optim.apply_if_finite(optim.sgd(1.0), 2)
    state = opt.init(0.0)
    for error, count in ((True, 1), (True, 2), (False, 0)):
        updates, state = opt.update(jnp.nan if error else 1.0, state, 0.0)
        assert state.notfinite_count == count and float(updates) == (0.0 if error else -1.0)
    assert state.total_notfinite == 2


def test_mistakes():
    with pytest.raises(ValueError, match=r"adam.*\(updates, state, params\)|needs the parameters"):
        optim.adamw(0.1).update(1.0, optim.adamw(0.1).init(1.0))
    with pytest.raises(ValueError, match="labels without a transformation"):
        optim.partition({"a": optim.sgd(0.1)}, {"w": "b"}).init({"w": 1.0})
    with pytest.raises(ValueError, match="each name once"):
        optim.named_chain(("a", optim.scale(1.0)), ("a", optim.scale(1.0)))
    with pytest.raises(ValueError, match="init"):
        optim.chain(optim.scale(1.0)).update(1.0, ())
    with pytest.raises(ValueError, match="LookaheadParams"):
        tx = optim.lookahead(optim.sgd(0.1), 2, 0.5)
        tx.update(1.0, tx.init(optim.LookaheadParams(1.0, 1.0)), 1.0)


# two parameters that began at 1 + 1j and 2 - 1j, after five steps along z - (0.5 + 0.5j), by optax 0.2.8
COMPLEX = {
    "adam": [0.824898 + 0.824898j, 1.823642 - 0.823642j],
    "adamw": [0.824875 + 0.824875j, 1.823594 - 0.823619j],
    "rmsprop": [0.684456 + 0.684456j, 1.64081 - 0.64081j],
    "rmsprop, centered": [0.652848 + 0.652848j, 1.590043 - 0.590043j],
    "nadam": [0.802597 + 0.802597j, 1.79748 - 0.79748j],
    "adabelief": [0.786805 + 0.786805j, 1.78407 - 0.78407j],
    "yogi": [0.825342 + 0.825343j, 1.823827 - 0.823828j],
    "adamax": [0.836155 + 0.836155j, 1.827377 - 0.827377j],
    "adagrad": [0.896245 + 0.896245j, 1.888031 - 0.888032j],
    "adadelta": [0.999179 + 1j, 1.999178 - 1j],
    "lamb": [0.701584 + 0.701584j, 1.696146 - 0.696145j],
    "lars": [0.999611 + 0.999611j, 1.998834 - 0.998834j],
    "radam": [0.88167 + 0.88167j, 1.645011 - 0.645011j],
    "lion": [0.822991 + 0.822991j, 1.822746 - 0.822986j],
    "amsgrad": [0.836461 + 0.836461j, 1.827716 - 0.827716j],
    "novograd": [0.854435 + 0.854435j, 1.563304 - 0.563304j],
}


@pytest.mark.parametrize("name", COMPLEX)
def test_the_mean_square_of_complex_numbers_is_of_their_sizes(name):
    kind, *more = name.split(", ")
    opt = getattr(optim, kind)(0.05, **dict.fromkeys(more, True))
    z = jnp.array([1 + 1j, 2 - 1j])
    state = opt.init(z)
    for _ in range(5):
        step, state = opt.update(z - (0.5 + 0.5j), state, z)
        z = optim.apply_updates(z, step)
    np.testing.assert_allclose(z, COMPLEX[name], rtol=0, atol=1e-5)


def test_norms_of_complex_arrays_are_of_their_sizes():
    """By optax 0.2.8."""
    z, tx = jnp.array([[1 + 1j, 2 - 1j], [3j, 1.0]]), optim.adaptive_grad_clip(0.5)
    clipped, _ = tx.update(z * 3, tx.init(z), z)
    np.testing.assert_allclose(clipped, [[0.5 + 0.5j, 1 - 0.5j], [1.5j, 0.5]], rtol=1e-6)
