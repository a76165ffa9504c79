"""MLX on the CPU, through the names that the functional adapter is written in; each result is computed before a call
returns.

MLX has no loops of its own: a scan in a compiled function is unrolled, and workloads that are long loops have no method
here.
"""

import functools
import types

import mlx.core as mx
import mlx.nn
from adapters.functional import Functional
from mlx.utils import tree_flatten, tree_map

mx.set_default_device(mx.cpu)


def computed(out):
    mx.eval(out)
    return out


def jit(f, donate_argnums=()):
    compiled = mx.compile(f)
    return lambda *args: computed(compiled(*args))


def value_and_grad(f, has_aux):
    return mx.value_and_grad(f)  # what a function gives besides its first result is aux always


def hessian(f):
    """Forward over reverse, all directions at once."""

    def run(x, *rest):
        gradient = mx.grad(lambda x: f(x, *rest))
        return mx.vmap(lambda v: mx.jvp(gradient, [x], [v])[1][0])(mx.eye(x.size))

    return run


def flatten(tree):
    """Leaves in the order of their paths, and the structure."""
    return [leaf for _, leaf in sorted(tree_flatten(tree), key=lambda pair: pair[0])], tree


def unflatten(structure, leaves):
    by_path = dict(zip(sorted(path for path, _ in tree_flatten(structure)), leaves, strict=True))
    in_order = iter([by_path[path] for path, _ in tree_flatten(structure)])
    return tree_map(lambda _: next(in_order), structure)


def scan(body, carry, xs):
    """Unrolled."""
    for i in range(xs.shape[0]):
        carry, _ = body(carry, xs[i])
    return carry, None


def max_pool(x, start, op, window, strides, padding):
    """The largest of each window, where windows do not overlap."""
    (n, h, w, c), (_, p, q, _) = x.shape, window
    return x.reshape(n, h // p, p, w // q, q, c).max((2, 4))


def attention(q, k, v, is_causal):
    heads_first = [x.transpose(0, 2, 1, 3) for x in (q, k, v)]
    out = mx.fast.scaled_dot_product_attention(
        *heads_first, scale=q.shape[-1] ** -0.5, mask="causal" if is_causal else None
    )
    return out.transpose(0, 2, 1, 3)


class Adapter(Functional):
    version = mx.__version__
    jax = types.SimpleNamespace(
        jit=jit,
        grad=mx.grad,
        vmap=mx.vmap,
        value_and_grad=value_and_grad,
        hessian=hessian,
        tree_util=types.SimpleNamespace(
            tree_map=tree_map, tree_flatten=flatten, tree_leaves=lambda tree: flatten(tree)[0], tree_unflatten=unflatten
        ),
    )
    jnp = types.SimpleNamespace(**{name: getattr(mx, name) for name in dir(mx) if name[0] != "_"})
    jnp.asarray, jnp.float32 = mx.array, functools.partial(mx.array, dtype=mx.float32)
    lax = types.SimpleNamespace(
        rsqrt=mx.rsqrt, stop_gradient=mx.stop_gradient, scan=scan, reduce_window=max_pool, max=None
    )
    nn = types.SimpleNamespace(
        relu=mlx.nn.relu,
        sigmoid=mx.sigmoid,
        softmax=mx.softmax,
        logsumexp=mx.logsumexp,
        log_softmax=mlx.nn.log_softmax,
        dot_product_attention=attention,
        gelu=lambda x, approximate: mlx.nn.gelu_approx(x),
    )
    lorenz = scalars = matrices = gathers = maxima = decode = None

    def __init__(self, threads):
        pass

    def layer_norm(self, x, w, b):
        return mx.fast.layer_norm(x, w, b, 1e-5)

    def convolution(self, x, w, stride=1, pad=0):
        return mx.conv2d(x, w.transpose(3, 0, 1, 2), stride, pad)

    def train(self, loss, d, optimizer, aux=None):
        return super().train(loss, d, optimizer, {} if aux is None else aux)

    def eager_add(self, d):
        return self.repeated(lambda x, y: computed(x + y), mx.array(d["x"]), mx.array(d["y"]))

    def eager_gradient(self, d):
        gradient = mx.grad(lambda x: (mx.tanh(x) * x).sum())
        return self.repeated(lambda x: computed(gradient(x)), mx.array(d["x"]))
