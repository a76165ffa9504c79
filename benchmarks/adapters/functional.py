"""The adapter that fdl and JAX share: their functional faces are one."""

import numpy as np


class Functional:
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
        return self.repeated(lambda x, y: x + y, self.jnp.asarray(d["x"]), self.jnp.asarray(d["y"]))

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
                x, y, z = (u + dt / 6 * (a + 2 * b + 2 * c + e) for u, a, b, c, e in zip((x, y, z), k1, k2, k3, k4, strict=True))
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

        return self.repeated(self.jax.jit(self.jax.grad(loss, (0, 1, 2))), *(self.jnp.asarray(d[name]) for name in ("a", "b", "x")))

    def mlp(self, d):
        jnp, nn, rate = self.jnp, self.nn, d["rate"]
        params = [(jnp.asarray(w), jnp.asarray(b)) for w, b in d["params"]]
        zeros = lambda: [(jnp.zeros_like(w), jnp.zeros_like(b)) for w, b in params]
        x, y = jnp.asarray(d["x"]), jnp.asarray(d["y"])

        def loss(params, x, y):
            for w, b in params[:-1]:
                x = nn.relu(x @ w + b)
            logits = x @ params[-1][0] + params[-1][1]
            return -jnp.take_along_axis(nn.log_softmax(logits), y[:, None], 1).mean()

        def adam(p, g, m, v, t):
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            return p - rate / (1 - 0.9**t) * m / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v

        def step(state, x, y):
            params, m, v, t = state
            value, grads = self.jax.value_and_grad(loss)(params, x, y)
            new = [[adam(*leaf, t) for leaf in zip(*layer, strict=True)] for layer in zip(params, grads, m, v, strict=True)]
            pick = lambda i: [tuple(leaf[i] for leaf in layer) for layer in new]
            return (pick(0), pick(1), pick(2), t + 1), value

        f = self.jax.jit(step, donate_argnums=0)
        state = (params, zeros(), zeros(), jnp.float32(1))

        def run():
            nonlocal state
            state, value = f(state, x, y)
            return self.wait(value)

        return run
