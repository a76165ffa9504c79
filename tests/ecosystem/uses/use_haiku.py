import haiku as hk
import jax
import jax.numpy as jnp
import optax
from jax_common import data, fill, labels, main, use


@use("an MLP: two steps")
def mlp():
    net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 3])(x)))
    params, x, y = fill(net.init(jax.random.PRNGKey(0), data(8, 4))), data(8, 4), labels(8, 3)
    optimizer = optax.adam(1e-2)
    state, values = optimizer.init(params), []
    loss = jax.jit(
        jax.value_and_grad(lambda p: optax.softmax_cross_entropy_with_integer_labels(net.apply(p, x), y).mean())
    )
    for _ in range(2):
        value, grads = loss(params)
        updates, state = optimizer.update(grads, state)
        params = optax.apply_updates(params, updates)
        values.append(value)
    return values, sorted(params)


@use("state, convolutions, recurrence, attention, random keys")
def layers():
    def f(x):
        h = hk.Conv2D(4, 3)(x)
        h = hk.BatchNorm(True, True, 0.9)(h, is_training=True)
        h = hk.avg_pool(jax.nn.relu(h), 2, 2, "VALID")
        h = hk.LayerNorm(-1, True, True)(hk.Flatten()(h))
        core = hk.LSTM(4)
        out, _ = hk.dynamic_unroll(core, jnp.stack([h, h]), core.initial_state(x.shape[0]))
        return (
            out,
            hk.MultiHeadAttention(2, 4, w_init_scale=1.0)(out, out, out),
            hk.dropout(hk.next_rng_key(), 0.5, out).shape,
        )

    net = hk.transform_with_state(f)
    params, state = net.init(jax.random.PRNGKey(0), data(2, 8, 8, 1))
    (a, b, c), state = net.apply(fill(params), state, jax.random.PRNGKey(1), data(2, 8, 8, 1))
    return a[0], b[0], c, sorted(state)


if __name__ == "__main__":
    main()
