"""Models and train steps, written for modules `jax`, `jnp`, `lax` and `nn`, which a subclass names."""

from workloads import resnet_layers


class Models:
    """Each method gives a function that does one train step and returns its loss, or what its name says."""

    # What models are made of

    def layer_norm(self, x, w, b):
        mean = x.mean(-1, keepdims=True)
        var = self.jnp.square(x - mean).mean(-1, keepdims=True)
        return (x - mean) * self.lax.rsqrt(var + 1e-5) * w + b

    def cross_entropy(self, logits, y):
        return -self.jnp.take_along_axis(self.nn.log_softmax(logits), y[..., None], -1).mean()

    @staticmethod
    def dense(p, name, x):
        return x @ p[f"{name}.w"] + p[f"{name}.b"]

    def convolution(self, x, w, stride=1, pad=0):
        return self.lax.conv_general_dilated(
            x, w, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    # Train steps

    def adam(self, rate, decay=0.0):
        """State of a parameter, and its update."""

        def update(p, g, state, t):
            m, v = state
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            step = m / (1 - 0.9**t) / (self.jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
            return p - rate * (step + decay * p if decay else step), (m, v)

        return lambda p: (self.jnp.zeros_like(p), self.jnp.zeros_like(p)), update

    def momentum(self, rate, decay):
        def update(p, g, state, t):
            (m,) = state
            m = 0.9 * m + (g + decay * p)
            return p - rate * m, (m,)

        return lambda p: (self.jnp.zeros_like(p),), update

    def train(self, loss, d, optimizer, aux=None):
        """`loss(params, aux, x, y) -> (value, aux)`; state is donated."""
        init, update = optimizer
        tree = self.jax.tree_util
        params = tree.tree_map(self.jnp.asarray, d["params"])
        leaves, structure = tree.tree_flatten(params)
        state = (params, [init(p) for p in leaves], aux, self.jnp.float32(1))
        x, y = self.jnp.asarray(d["x"]), self.jnp.asarray(d["y"])

        def step(state, x, y):
            params, slots, aux, t = state
            (value, aux), grads = self.jax.value_and_grad(loss, has_aux=True)(params, aux, x, y)
            new = [
                update(*leaf, t) for leaf in zip(tree.tree_leaves(params), tree.tree_leaves(grads), slots, strict=True)
            ]
            return (tree.tree_unflatten(structure, [p for p, _ in new]), [s for _, s in new], aux, t + 1), value

        f = self.jax.jit(step, donate_argnums=0)

        def run():
            nonlocal state
            state, value = f(state, x, y)
            return self.wait(value)

        return run

    def simple(self, forward, d, optimizer):
        """Cross entropy of a model without state of its own."""
        return self.train(lambda p, aux, x, y: (self.cross_entropy(forward(p, x), y), aux), d, optimizer)

    def perceptron(self, params, x):
        for w, b in params[:-1]:
            x = self.nn.relu(x @ w + b)
        return x @ params[-1][0] + params[-1][1]

    def mlp(self, d):
        return self.simple(self.perceptron, d, self.adam(d["rate"]))

    def lenet(self, d):
        nn, lax = self.nn, self.lax

        def forward(p, x):
            x = nn.relu(self.convolution(x, p["c1.w"]) + p["c1.b"])
            x = nn.relu(self.convolution(x, p["c2.w"]) + p["c2.b"])
            x = lax.reduce_window(x, -self.jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            return self.dense(p, "f2", nn.relu(self.dense(p, "f1", x.reshape(x.shape[0], -1))))

        return self.simple(forward, d, self.adam(d["rate"]))

    def resnet(self, d):
        jnp, nn, lax = self.jnp, self.nn, self.lax
        specs = {name: (k, stride) for name, _, _, k, stride in resnet_layers()}
        running = {
            name: (jnp.zeros(d["params"][f"{name}.norm.w"].shape), jnp.ones(d["params"][f"{name}.norm.w"].shape))
            for name in specs
        }

        def loss(p, running, x, y):
            after = {}

            def layer(name, x):
                k, stride = specs[name]
                x = self.convolution(x, p[f"{name}.w"], stride, k // 2)
                mean = x.mean((0, 1, 2))
                var = jnp.square(x - mean).mean((0, 1, 2))
                count = x.size // x.shape[-1]
                old_mean, old_var = running[name]
                after[name] = (
                    lax.stop_gradient(0.9 * old_mean + 0.1 * mean),
                    lax.stop_gradient(0.9 * old_var + 0.1 * var * (count / (count - 1))),
                )
                return (x - mean) * (lax.rsqrt(var + 1e-5) * p[f"{name}.norm.w"]) + p[f"{name}.norm.b"]

            x = nn.relu(layer("stem", x))
            for stage in range(4):
                for block in range(2):
                    name = f"s{stage}.{block}"
                    h = layer(f"{name}.conv2", nn.relu(layer(f"{name}.conv1", x)))
                    x = nn.relu(h + (layer(f"{name}.down", x) if f"{name}.down" in specs else x))
            return self.cross_entropy(self.dense(p, "fc", x.mean((1, 2))), y), after

        return self.train(loss, d, self.momentum(d["rate"], 5e-4), running)

    def lstm(self, d):
        jnp, nn, lax = self.jnp, self.nn, self.lax

        def forward(p, x):
            def cell(carry, xt):
                h, c = carry
                i, f, g, o = jnp.split(xt + h @ p["wh"], 4, -1)
                c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
                return (nn.sigmoid(o) * jnp.tanh(c), c), None

            zero = jnp.zeros((x.shape[1], 256))
            (h, _), _ = lax.scan(cell, (zero, zero), x @ p["wx"] + p["bias"])
            return self.dense(p, "fc", h)

        return self.simple(forward, d, self.adam(d["rate"]))

    def text(self, d):
        jnp, nn = self.jnp, self.nn

        def forward(p, x):
            h = p["embed"][x]
            length, batch, width = h.shape
            for i in range(2):
                q, k, v = (t.reshape(length, batch, 4, 64) for t in jnp.split(self.dense(p, f"{i}.qkv", h), 3, -1))
                weights = nn.softmax(jnp.einsum("lnhd,mnhd->nhlm", q, k) / 8, axis=-1)
                a = jnp.einsum("nhlm,mnhd->lnhd", weights, v).reshape(length, batch, width)
                h = self.layer_norm(h + self.dense(p, f"{i}.out", a), p[f"{i}.norm1.w"], p[f"{i}.norm1.b"])
                f = self.dense(p, f"{i}.down", nn.relu(self.dense(p, f"{i}.up", h)))
                h = self.layer_norm(h + f, p[f"{i}.norm2.w"], p[f"{i}.norm2.b"])
            return self.dense(p, "fc", h.mean(1))

        return self.simple(forward, d, self.adam(d["rate"], 0.01))

    def gpt(self, d):
        jnp, nn, layers, heads = self.jnp, self.nn, d["layers"], d["heads"]

        def forward(p, x):
            batch, length = x.shape
            h = p["tok"][x] + p["pos"]
            for i in range(layers):
                t = self.dense(p, f"{i}.qkv", self.layer_norm(h, p[f"{i}.norm1.w"], p[f"{i}.norm1.b"]))
                q, k, v = (u.reshape(batch, length, heads, -1) for u in jnp.split(t, 3, -1))
                h = h + self.dense(p, f"{i}.proj", nn.dot_product_attention(q, k, v, is_causal=True).reshape(h.shape))
                t = self.layer_norm(h, p[f"{i}.norm2.w"], p[f"{i}.norm2.b"])
                h = h + self.dense(p, f"{i}.down", nn.gelu(self.dense(p, f"{i}.up", t), approximate=True))
            return self.layer_norm(h, p["norm.w"], p["norm.b"]) @ p["head"]

        return self.simple(forward, d, self.adam(d["rate"], 0.01))

    # Others

    def attention(self, d):
        def loss(q, k, v, g):
            return (self.nn.dot_product_attention(q, k, v, is_causal=True) * g).sum()

        return self.repeated(
            self.jax.jit(self.jax.grad(loss, (0, 1, 2))), *(self.jnp.asarray(d[name]) for name in "qkvg")
        )

    def decode(self, d):
        """Greedy tokens with a cache of keys and values."""
        jnp, nn, lax, count, layers, heads = self.jnp, self.nn, self.lax, d["tokens"], d["layers"], d["heads"]

        def token(p, keys, values, tok, at):
            x = p["tok"][tok] + p["pos"][at]
            size = x.shape[0] // heads
            keys, values = list(keys), list(values)
            for i in range(layers):
                t = self.layer_norm(x, p[f"{i}.norm1.w"], p[f"{i}.norm1.b"])
                q, k, v = self.dense(p, f"{i}.qkv", t).reshape(3, heads, size)
                keys[i] = lax.dynamic_update_slice(keys[i], k[:, None], (0, at, 0))
                values[i] = lax.dynamic_update_slice(values[i], v[:, None], (0, at, 0))
                s = jnp.einsum("hd,hsd->hs", q, keys[i]) * size**-0.5
                s = nn.softmax(jnp.where(jnp.arange(count) <= at, s, -jnp.inf), axis=-1)
                x = x + self.dense(p, f"{i}.proj", jnp.einsum("hs,hsd->hd", s, values[i]).reshape(x.shape))
                t = self.layer_norm(x, p[f"{i}.norm2.w"], p[f"{i}.norm2.b"])
                x = x + self.dense(p, f"{i}.down", nn.gelu(self.dense(p, f"{i}.up", t), approximate=True))
            return keys, values, jnp.argmax(self.layer_norm(x, p["norm.w"], p["norm.b"]) @ p["head"]).astype(jnp.int32)

        def run(p):
            cache = [jnp.zeros((heads, count, p["pos"].shape[1] // heads)) for _ in range(layers)]

            def body(carry, at):
                keys, values, tok = token(p, *carry, at)
                return (keys, values, tok), tok

            return lax.scan(body, (cache, cache, jnp.int32(0)), jnp.arange(count))[1]

        return self.repeated(self.jax.jit(run), {k: jnp.asarray(v) for k, v in d["params"].items()})

    def per_sample(self, d):
        jax, jnp = self.jax, self.jnp
        f = jax.jit(jax.vmap(jax.grad(lambda p, x, y: self.cross_entropy(self.perceptron(p, x), y)), (None, 0, 0)))
        return self.repeated(
            f, jax.tree_util.tree_map(jnp.asarray, d["params"]), jnp.asarray(d["x"]), jnp.asarray(d["y"])
        )
