"""The adapter that fdl and JAX share: their functional faces are one."""

import itertools

import numpy as np
from adapters.models import Models


class Functional(Models):
    """Written for modules `jax`, `jnp`, `lax` and `nn`, which a subclass names."""

    def results(self, out):
        return [np.asarray(v) for v in self.jax.tree_util.tree_leaves(out)]

    def repeated(self, f, *args):
        def step():
            return self.wait(f(*args))

        return step

    def wait(self, out):
        return out

    def affine(self, d):
        return self.repeated(self.jax.jit(lambda x: x * 2 + 1), self.jnp.asarray(d["x"]))

    def tree(self, d):
        tree = {k: self.jnp.asarray(v) for k, v in d["tree"].items()}
        return self.repeated(self.jax.jit(lambda t: {k: v * 2 + 1 for k, v in t.items()}), tree)

    def eager_add(self, d):
        return self.repeated(
            lambda x, y: (x + y).block_until_ready(), self.jnp.asarray(d["x"]), self.jnp.asarray(d["y"])
        )

    def eager_gradient(self, d):
        gradient = self.jax.grad(lambda x: (self.jnp.tanh(x) * x).sum())
        return self.repeated(lambda x: gradient(x).block_until_ready(), self.jnp.asarray(d["x"]))

    def elementwise(self, d, gradient):
        jnp, nn = self.jnp, self.nn
        f = lambda x: jnp.tanh(x) * nn.sigmoid(x) + jnp.exp(-x * x)
        g = self.jax.grad(lambda x: f(x).sum()) if gradient else f
        return self.repeated(self.jax.jit(g), jnp.asarray(d["x"]))

    def lorenz(self, d, gradient):
        steps, dt = d["steps"], d["dt"]

        def loss(theta):
            sigma, rho, beta = theta[3], theta[4], theta[5]

            def slope(x, y, z):
                return sigma * (y - x), x * (rho - z) - y, x * y - beta * z

            def body(carry, _):
                x, y, z, total = carry
                k1 = slope(x, y, z)
                k2 = slope(*(u + dt / 2 * k for u, k in zip((x, y, z), k1, strict=True)))
                k3 = slope(*(u + dt / 2 * k for u, k in zip((x, y, z), k2, strict=True)))
                k4 = slope(*(u + dt * k for u, k in zip((x, y, z), k3, strict=True)))
                x, y, z = (
                    u + dt / 6 * (a + 2 * b + 2 * c + e)
                    for u, a, b, c, e in zip((x, y, z), k1, k2, k3, k4, strict=True)
                )
                return (x, y, z, total + (x * x + y * y + z * z)), None

            start = (theta[0], theta[1], theta[2], self.jnp.float32(0))
            return self.lax.scan(body, start, None, length=steps)[0][3] / steps

        return self.repeated(self.jax.jit(self.jax.grad(loss) if gradient else loss), self.jnp.asarray(d["theta"]))

    def scalars(self, d):
        k, steps, dt = len(d["x"]), d["steps"], d["dt"]

        def loss(a, b, x):
            def body(v, _):
                return tuple(v[i] + dt * (a * v[(i + 1) % k] - b * v[i] * v[i - 1]) for i in range(k)), None

            final = self.lax.scan(body, tuple(x[i] for i in range(k)), None, length=steps)[0]
            return sum(v * v for v in final)

        return self.repeated(
            self.jax.jit(self.jax.grad(loss, (0, 1, 2))), *(self.jnp.asarray(d[name]) for name in ("a", "b", "x"))
        )

    def rows(self, d, op, gradient):
        x, c, row, w, b = (self.jnp.asarray(d[name]) for name in ("x", "c", "row", "w", "b"))
        if op == "layer_norm":
            f, args, weight = self.layer_norm, (x, w, b), c
        else:
            f, args, weight = (lambda x: getattr(self.nn, op)(x, axis=-1)), (x,), c if op == "softmax" else row
        if gradient:
            loss = lambda weight, *args: (f(*args) * weight).sum()
            return self.repeated(self.jax.jit(self.jax.grad(loss, tuple(range(1, len(args) + 1)))), weight, *args)
        return self.repeated(self.jax.jit(f), *args)

    def reduce(self, d, op, axis):
        return self.repeated(self.jax.jit(lambda x: getattr(self.jnp, op)(x, axis=axis)), self.jnp.asarray(d["x"]))

    def hessian(self, d):
        sizes = d["sizes"]

        def loss(theta, x, y):
            at = 0
            for i, (a, b) in enumerate(itertools.pairwise(sizes)):
                w, bias = theta[at : at + a * b].reshape(a, b), theta[at + a * b : at + a * b + b]
                at += a * b + b
                x = x @ w + bias
                x = self.jnp.tanh(x) if i < len(sizes) - 2 else x
            return ((x - y) ** 2).mean()

        return self.repeated(
            self.jax.jit(self.jax.hessian(loss)), *(self.jnp.asarray(d[name]) for name in ("theta", "x", "y"))
        )

    def unrolled(self, d):
        jnp, steps = self.jnp, d["steps"]

        def loss(x):
            for _ in range(steps):
                x = jnp.sin(x) * 1.01 + x @ x * 1e-3
            return x.sum()

        return self.repeated(self.jax.jit(self.jax.grad(loss)), jnp.asarray(d["x"]))

    def matrices(self, d):
        def run(a, b, m):
            return self.lax.scan(lambda m, b: (a @ m + b, None), m, b)[0]

        with self.wide():
            args = [self.jnp.asarray(d[name]) for name in ("a", "b", "m")]
            f = self.jax.jit(run)
            f(*args)

        def step():
            with self.wide():
                return self.wait(f(*args))

        return step

    def gathers(self, d):
        trips = d["trips"]

        def run(v, index):
            return self.lax.fori_loop(0, trips, lambda i, v: 0.9 * v + 0.1 * v[(index + i) & 63] * (1 - v * v), v)

        return self.repeated(self.jax.jit(run), self.jnp.asarray(d["v"]), self.jnp.asarray(d["index"]))

    def maxima(self, d):
        jnp = self.jnp

        def run(x):
            top = x.max()
            start = (jnp.int32(0), jnp.int32(0))
            return self.lax.while_loop(lambda c: c[0] < top, lambda c: (jnp.maximum(c[0], x[c[1]]), c[1] + 1), start)[1]

        return self.repeated(self.jax.jit(run), jnp.asarray(d["x"]))
