"""Models and train steps of the PyTorch adapter, on the same parameters as `models.py` in PyTorch's own layouts."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from workloads import resnet_layers


def _array(value):
    return torch.tensor(np.ascontiguousarray(value))


def _linear(params, name, bias=True):
    layer = nn.Linear(*params[f"{name}.w"].shape, bias=bias)
    layer.weight = nn.Parameter(_array(params[f"{name}.w"].T))
    if bias:
        layer.bias = nn.Parameter(_array(params[f"{name}.b"]))
    return layer


def _norm(params, name):
    layer = nn.LayerNorm(params[f"{name}.w"].shape[0])
    layer.weight, layer.bias = nn.Parameter(_array(params[f"{name}.w"])), nn.Parameter(_array(params[f"{name}.b"]))
    return layer


def _convolution(params, name, stride=1, padding=0, bias=True):
    k, _, a, b = params[f"{name}.w"].shape
    layer = nn.Conv2d(a, b, k, stride, padding, bias=bias)
    layer.weight = nn.Parameter(_array(params[f"{name}.w"].transpose(3, 2, 0, 1)))
    if bias:
        layer.bias = nn.Parameter(_array(params[f"{name}.b"]))
    return layer


class Model(nn.Module):
    """Layers by name; names with dots are written with underscores."""

    def __init__(self, layers, forward):
        super().__init__()
        self.layers = nn.ModuleDict({name.replace(".", "_"): layer for name, layer in layers.items()})
        self.run = forward

    def __getitem__(self, name):
        return self.layers[name.replace(".", "_")]

    def forward(self, x):
        return self.run(self, x)


class TorchModels:
    def compiled(self, f):
        """A function, or a model, as this framework runs it."""
        return f

    def train(self, model, optimizer, x, y):
        model = self.compiled(model)

        def step():
            optimizer.zero_grad(set_to_none=True)
            logits = model(x)
            loss = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
            loss.backward()
            optimizer.step()
            return loss

        return step

    def adam(self, model, d, decay=0.0):
        if decay:
            return torch.optim.AdamW(model.parameters(), lr=d["rate"], weight_decay=decay, fused=True)
        return torch.optim.Adam(model.parameters(), lr=d["rate"], fused=True)

    def lenet(self, d):
        p = d["params"]
        f1 = {"f1.w": p["f1.w"].reshape(12, 12, 64, 128).transpose(2, 0, 1, 3).reshape(9216, 128), "f1.b": p["f1.b"]}

        def forward(m, x):
            x = functional.relu(m["c2"](functional.relu(m["c1"](x))))
            return m["f2"](functional.relu(m["f1"](torch.flatten(functional.max_pool2d(x, 2), 1))))

        model = Model(
            {"c1": _convolution(p, "c1"), "c2": _convolution(p, "c2"), "f1": _linear(f1, "f1"), "f2": _linear(p, "f2")},
            forward,
        )
        model = model.to(memory_format=torch.channels_last)
        x = _array(d["x"].transpose(0, 3, 1, 2)).to(memory_format=torch.channels_last)
        return self.train(model, self.adam(model, d), x, _array(d["y"]).long())

    def resnet(self, d):
        p, layers = d["params"], {}
        for name, _, width, k, stride in resnet_layers():
            layers[name] = _convolution(p, name, stride, k // 2, bias=False)
            layers[f"{name}.norm"] = nn.BatchNorm2d(width)
        layers["fc"] = _linear(p, "fc")

        def forward(m, x):
            layer = lambda name, x: m[f"{name}.norm"](m[name](x))
            x = functional.relu(layer("stem", x))
            for stage in range(4):
                for block in range(2):
                    name = f"s{stage}.{block}"
                    h = layer(f"{name}.conv2", functional.relu(layer(f"{name}.conv1", x)))
                    x = functional.relu(h + (layer(f"{name}.down", x) if f"{name}.down" in layers else x))
            return m["fc"](x.mean((2, 3)))

        model = Model(layers, forward).to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=d["rate"], momentum=0.9, weight_decay=5e-4, fused=True)
        return self.train(
            model,
            optimizer,
            _array(d["x"].transpose(0, 3, 1, 2)).to(memory_format=torch.channels_last),
            _array(d["y"]).long(),
        )

    def lstm(self, d):
        p = d["params"]
        lstm = nn.LSTM(128, 256)
        lstm.weight_ih_l0, lstm.weight_hh_l0 = nn.Parameter(_array(p["wx"].T)), nn.Parameter(_array(p["wh"].T))
        lstm.bias_ih_l0, lstm.bias_hh_l0 = (
            nn.Parameter(_array(p["bias"])),
            nn.Parameter(torch.zeros(1024), requires_grad=False),
        )
        model = Model({"lstm": lstm, "fc": _linear(p, "fc")}, lambda m, x: m["fc"](m["lstm"](x)[0][-1]))
        return self.train(model, self.adam(model, d), _array(d["x"]), _array(d["y"]).long())

    def text(self, d):
        p = d["params"]
        layers = {"embed": nn.Embedding.from_pretrained(_array(p["embed"]), freeze=False), "fc": _linear(p, "fc")}
        for i in range(2):
            layer = nn.TransformerEncoderLayer(256, 4, 2048, dropout=0.0)
            layer.self_attn.in_proj_weight = nn.Parameter(_array(p[f"{i}.qkv.w"].T))
            layer.self_attn.in_proj_bias = nn.Parameter(_array(p[f"{i}.qkv.b"]))
            layer.self_attn.out_proj.weight = nn.Parameter(_array(p[f"{i}.out.w"].T))
            layer.self_attn.out_proj.bias = nn.Parameter(_array(p[f"{i}.out.b"]))
            layer.linear1, layer.linear2 = _linear(p, f"{i}.up"), _linear(p, f"{i}.down")
            layer.norm1, layer.norm2 = _norm(p, f"{i}.norm1"), _norm(p, f"{i}.norm2")
            layers[f"layer{i}"] = layer
        model = Model(layers, lambda m, x: m["fc"](m["layer1"](m["layer0"](m["embed"](x))).mean(1)))
        return self.train(model, self.adam(model, d, 0.01), _array(d["x"]).long(), _array(d["y"]).long())

    def gpt_model(self, p, count, heads):
        layers = {
            "tok": nn.Embedding.from_pretrained(_array(p["tok"]), freeze=False),
            "norm": _norm(p, "norm"),
            "head": _linear({"head.w": p["head"]}, "head", bias=False),
        }
        for i in range(count):
            layers |= {f"{i}.{name}": _linear(p, f"{i}.{name}") for name in ("qkv", "proj", "up", "down")}
            layers |= {f"{i}.{name}": _norm(p, f"{i}.{name}") for name in ("norm1", "norm2")}

        def forward(m, x):
            batch, length = x.shape
            h = m["tok"](x) + m.pos
            for i in range(count):
                q, k, v = m[f"{i}.qkv"](m[f"{i}.norm1"](h)).view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
                a = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                h = h + m[f"{i}.proj"](a.transpose(1, 2).reshape(h.shape))
                h = h + m[f"{i}.down"](functional.gelu(m[f"{i}.up"](m[f"{i}.norm2"](h)), approximate="tanh"))
            return m["head"](m["norm"](h))

        model = Model(layers, forward)
        model.pos = nn.Parameter(_array(p["pos"]))
        return model

    def gpt(self, d):
        model = self.gpt_model(d["params"], d["layers"], d["heads"])
        return self.train(model, self.adam(model, d, 0.01), _array(d["x"]).long(), _array(d["y"]).long())

    def decode(self, d):
        count, layers, heads = d["tokens"], d["layers"], d["heads"]
        m = self.gpt_model(d["params"], layers, heads).eval()

        def step():
            with torch.inference_mode():
                size = m.pos.shape[1] // heads
                keys, values = ([torch.zeros(heads, count, size) for _ in range(layers)] for _ in range(2))
                token, out = torch.zeros(1, dtype=torch.long), []
                for at in range(count):
                    x = m["tok"](token) + m.pos[at]
                    for i in range(layers):
                        q, k, v = m[f"{i}.qkv"](m[f"{i}.norm1"](x)).view(3, heads, size)
                        keys[i][:, at], values[i][:, at] = k, v
                        a = functional.scaled_dot_product_attention(
                            q[None, :, None], keys[i][None, :, : at + 1], values[i][None, :, : at + 1]
                        )
                        x = x + m[f"{i}.proj"](a.reshape(1, -1))
                        x = x + m[f"{i}.down"](functional.gelu(m[f"{i}.up"](m[f"{i}.norm2"](x)), approximate="tanh"))
                    token = m["head"](m["norm"](x)).argmax(-1)
                    out.append(token)
                return torch.cat(out)

        return step

    def attention(self, d):
        q, k, v = (_array(d[name].transpose(0, 2, 1, 3)).requires_grad_() for name in "qkv")
        g = _array(d["g"].transpose(0, 2, 1, 3))

        def step():
            loss = (functional.scaled_dot_product_attention(q, k, v, is_causal=True) * g).sum()
            return [x.transpose(1, 2) for x in torch.autograd.grad(loss, (q, k, v))]

        return step

    def per_sample(self, d):
        params = [tuple(map(_array, layer)) for layer in d["params"]]
        x, y = _array(d["x"]), _array(d["y"]).long()

        def loss(params, x, y):
            for w, b in params[:-1]:
                x = functional.relu(x @ w + b)
            return functional.cross_entropy(x @ params[-1][0] + params[-1][1], y)

        f = self.compiled(torch.func.vmap(torch.func.grad(loss), (None, 0, 0)))
        return lambda: [leaf for layer in f(params, x, y) for leaf in layer]
