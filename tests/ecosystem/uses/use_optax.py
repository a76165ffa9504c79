import jax
import jax.numpy as jnp
import optax
from jax_common import data, labels, main, use

PARAMS = {"w": data(4, 3), "b": data(3, seed=1)}


def loss(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(x @ params["w"] + params["b"], y).mean()


def run(optimizer, count=3):
    params, state = PARAMS, optimizer.init(PARAMS)

    @jax.jit
    def step(params, state):
        value, grads = jax.value_and_grad(loss)(params, data(8, 4), labels(8, 3))
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    values = []
    for _ in range(count):
        params, state, value = step(params, state)
        values.append(value)
    return values, params["b"]


@use("the optimizers, three jitted steps each")
def optimizers():
    names = "adam adamw sgd rmsprop adagrad lamb lion nadam radam adabelief adafactor yogi novograd sm3 fromage adamax rprop".split()
    return {name: run(getattr(optax, name)(0.1)) for name in names}


@use("chains, clipping, schedules, masks, many at once, accumulation")
def chains():
    rate = optax.warmup_cosine_decay_schedule(0.0, 0.1, 2, 10)
    chain = optax.chain(
        optax.clip_by_global_norm(0.5), optax.scale_by_adam(), optax.scale_by_schedule(rate), optax.scale(-1.0)
    )
    masked = optax.adamw(0.1, weight_decay=0.1, mask={"w": True, "b": False})
    parts = optax.multi_transform({"a": optax.sgd(0.1), "z": optax.set_to_zero()}, {"w": "a", "b": "z"})
    return (
        run(chain),
        run(masked),
        run(parts),
        run(optax.MultiSteps(optax.sgd(0.1), 2)),
        run(optax.apply_if_finite(optax.sgd(0.1), 2)),
        run(optax.inject_hyperparams(optax.adam)(learning_rate=rate)),
        run(optax.lookahead_optimizer()) if hasattr(optax, "lookahead_optimizer") else None,
        [rate(i) for i in range(5)],
    )


@use("losses")
def losses():
    x, y = data(4, 3), data(4, 3, seed=1)
    return [
        optax.huber_loss(x, y).sum(),
        optax.l2_loss(x, y).sum(),
        optax.cosine_similarity(x, y),
        optax.sigmoid_binary_cross_entropy(x, y > 0).sum(),
        optax.ctc_loss(data(1, 5, 4), jnp.zeros((1, 5)), jnp.array([[1, 2]]), jnp.zeros((1, 2))),
        optax.hinge_loss(x, jnp.sign(y)).sum(),
        optax.losses.kl_divergence(jax.nn.log_softmax(x), jax.nn.softmax(y)),
        optax.smooth_labels(jnp.eye(3), 0.1),
    ]


@use("L-BFGS with a line search")
def lbfgs():
    f = lambda p: jnp.sum((p - jnp.array([1.0, -2.0])) ** 2 * jnp.array([1.0, 10.0]))
    opt = optax.lbfgs()
    p, state = jnp.zeros(2), opt.init(jnp.zeros(2))
    both = optax.value_and_grad_from_state(f)
    for _ in range(4):
        value, grad = both(p, state=state)
        updates, state = opt.update(grad, state, p, value=value, grad=grad, value_fn=f)
        p = optax.apply_updates(p, updates)
    return p


if __name__ == "__main__":
    main()
