import tempfile

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax_common import data, fill, labels, main, use


def filled(model):
    arrays, rest = eqx.partition(model, eqx.is_inexact_array)
    return eqx.combine(fill(arrays, 0.3), rest)


def trained(model, x, y, count=2):
    model, optimizer = filled(model), optax.adam(1e-2)
    state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model, state):
        def loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(x), y).mean()

        value, grads = eqx.filter_value_and_grad(loss)(model)
        updates, state = optimizer.update(grads, state, model)
        return eqx.apply_updates(model, updates), state, value

    values = []
    for _ in range(count):
        model, state, value = step(model, state)
        values.append(value)
    return model, values


@use("an MLP with filter_jit and filter_value_and_grad: two steps, saved and loaded")
def mlp():
    model, values = trained(eqx.nn.MLP(4, 3, 8, 2, key=jax.random.PRNGKey(0)), data(8, 4), labels(8, 3))
    with tempfile.TemporaryDirectory() as folder:
        eqx.tree_serialise_leaves(folder + "/m.eqx", model)
        again = eqx.tree_deserialise_leaves(folder + "/m.eqx", model)
    return (
        values,
        jax.vmap(again)(data(2, 4)),
        str(jax.tree_util.tree_structure(eqx.filter(model, eqx.is_array)).num_leaves),
    )


@use("a convolutional network")
def cnn():
    k = jax.random.split(jax.random.PRNGKey(0), 2)
    net = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(1, 4, 3, key=k[0]),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.MaxPool2d(2, 2),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(36, 3, key=k[1]),
        ]
    )
    return trained(net, data(8, 1, 8, 8), labels(8, 3))[1]


@use("attention, norms, embeddings, a GRU under scan")
def layers():
    key = jax.random.PRNGKey(0)
    x = data(5, 8)
    cell = filled(eqx.nn.GRUCell(8, 4, key=key))
    attention = filled(eqx.nn.MultiheadAttention(2, 8, key=key))
    return (
        jax.lax.scan(lambda h, x: (cell(x, h), None), jnp.zeros(4), x)[0],
        attention(x, x, x)[0],
        filled(eqx.nn.Embedding(5, 4, key=key))(2),
        jax.vmap(filled(eqx.nn.LayerNorm(8)))(x)[0],
        filled(eqx.nn.RMSNorm(8))(x[0]),
        eqx.nn.Dropout(0.5)(x, inference=True)[0],
    )


@use("batch norm's state")
def state():
    class Net(eqx.Module):
        norm: eqx.nn.BatchNorm
        out: eqx.nn.Linear

        def __init__(self):
            self.norm = eqx.nn.BatchNorm(4, "batch", mode="batch")
            self.out = eqx.nn.Linear(4, 2, key=jax.random.PRNGKey(0))

        def __call__(self, x, state):
            x, state = self.norm(x, state)
            return self.out(x), state

    net, held = eqx.nn.make_with_state(Net)()
    y, held = jax.vmap(filled(net), axis_name="batch", in_axes=(0, None), out_axes=(0, None))(data(6, 4), held)
    return y[0]


@use("tree_at, partition, filter_vmap over an ensemble, errors at run time, pretty printing")
def surgery():
    make = eqx.filter_vmap(lambda key: eqx.nn.Linear(3, 2, key=key))
    many = filled(make(jax.random.split(jax.random.PRNGKey(0), 4)))
    each = eqx.filter_vmap(lambda m, x: m(x), in_axes=(eqx.if_array(0), None))(many, data(3))
    one = eqx.tree_at(lambda m: m.bias, eqx.nn.Linear(3, 2, key=jax.random.PRNGKey(0)), jnp.ones(2))
    try:
        eqx.filter_jit(lambda x: eqx.error_if(x, x.sum() > 0, "too large"))(jnp.ones(2)).block_until_ready()
        raised = False
    except Exception as error:
        raised = "too large" in str(error)
    return each, one.bias, raised, str(one)


if __name__ == "__main__":
    main()
