import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import nnx, serialization
from flax.training import train_state
from jax_common import data, fill, labels, main, use


class CNN(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Conv(4, (3, 3))(x))
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.avg_pool(x, (2, 2), (2, 2)).reshape(x.shape[0], -1)
        return nn.Dense(3)(nn.Dropout(0.0)(x, deterministic=not train))


@use("linen: a convolutional network with batch norm, two steps of a train state")
def linen():
    net, x, y = CNN(), data(4, 8, 8, 1), labels(4, 3)
    variables = net.init(jax.random.PRNGKey(0), x)
    params = fill(variables["params"])
    state = train_state.TrainState.create(apply_fn=net.apply, params=params, tx=optax.adam(1e-2))
    stats = variables["batch_stats"]

    @jax.jit
    def step(state, stats):
        def loss(params):
            logits, new = state.apply_fn(
                {"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"]
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), new["batch_stats"]

        (value, new), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        return state.apply_gradients(grads=grads), new, value

    values = []
    for _ in range(2):
        state, stats, value = step(state, stats)
        values.append(value)
    bytes_ = serialization.to_bytes(state.params)
    again = serialization.from_bytes(state.params, bytes_)
    return values, stats["BatchNorm_0"]["mean"], again["Dense_0"]["bias"]


@use("linen: attention, norms, LSTM, embeddings, remat, scan over layers, tabulate")
def layers():
    key, x = jax.random.PRNGKey(0), data(2, 5, 8)

    def out(module, *args):
        return module.apply(fill(module.init(key, *args)), *args)

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.gelu(nn.Dense(8)(x)), None

    deep = nn.scan(nn.remat(Block), variable_axes={"params": 0}, split_rngs={"params": True}, length=3)()
    return (
        out(nn.MultiHeadDotProductAttention(2), x, x)[0, 0],
        out(nn.LayerNorm(), x)[0, 0],
        out(nn.RMSNorm(), x)[0, 0],
        out(nn.RNN(nn.LSTMCell(4)), x)[0, -1],
        out(nn.Embed(5, 4), labels(3, 5))[0],
        out(deep, x, None)[0][0, 0],
        out(nn.ConvTranspose(3, (2, 2), strides=(2, 2)), data(1, 3, 3, 2))[0, 0, 0],
        "Dense" in nn.Dense(3).tabulate(key, x),
    )


@use("nnx: an MLP, two steps")
def nnx_trains():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.one, self.two = nnx.Linear(4, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
            self.drop, self.norm = nnx.Dropout(0.0, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)

        def __call__(self, x):
            return self.two(self.drop(nnx.relu(self.norm(self.one(x)))))

    net = Net(nnx.Rngs(0))
    nnx.update(net, fill(nnx.state(net, nnx.Param)))
    optimizer = nnx.Optimizer(net, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(net, optimizer):
        loss = lambda net: optax.softmax_cross_entropy_with_integer_labels(net(data(8, 4)), labels(8, 3)).mean()
        value, grads = nnx.value_and_grad(loss)(net)
        optimizer.update(net, grads)
        return value

    values = [step(net, optimizer) for _ in range(2)]
    net.eval()
    definition, state = nnx.split(net)
    return values, nnx.merge(definition, state)(data(2, 4)), net.norm.mean[...]


@use("frozen dicts, flat dicts, dataclasses, key paths")
def structures():
    frozen = flax.core.freeze({"a": {"b": jnp.ones(2)}})

    @flax.struct.dataclass
    class Point:
        x: jnp.ndarray
        name: str = flax.struct.field(pytree_node=False, default="p")

    flat = flax.traverse_util.flatten_dict({"a": {"b": jnp.ones(2), "c": jnp.zeros(1)}}, sep="/")
    doubled = jax.tree_util.tree_map(lambda x: x * 2, (frozen, Point(jnp.ones(2))))
    return doubled[0]["a"]["b"], doubled[1].x, doubled[1].replace(x=jnp.zeros(1)).x, sorted(flat)


if __name__ == "__main__":
    main()
