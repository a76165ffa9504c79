"""PyTorch, eager, with its fused optimizers."""

import itertools

import torch
from adapters.torch_models import TorchModels
from adapters.userloop import userloop
from torch.nn import functional


class Adapter(TorchModels):
    version = torch.__version__

    def __init__(self, threads):
        torch.set_num_threads(threads)

    def results(self, out):
        if isinstance(out, dict):
            return [out[k].detach().numpy() for k in sorted(out)]
        return [v.detach().numpy() for v in (out if isinstance(out, (tuple, list)) else [out])]

    def affine(self, d):
        x = torch.tensor(d["x"])
        f = self.compiled(lambda x: x * 2 + 1)
        return lambda: f(x)

    def tree(self, d):
        tree = {k: torch.tensor(v) for k, v in d["tree"].items()}
        f = self.compiled(lambda tree: {k: v * 2 + 1 for k, v in tree.items()})
        return lambda: f(tree)

    def eager_add(self, d):
        x, y = torch.tensor(d["x"]), torch.tensor(d["y"])
        return lambda: x + y

    def elementwise(self, d, gradient):
        x = torch.tensor(d["x"], requires_grad=gradient)
        f = self.compiled(lambda x: torch.tanh(x) * torch.sigmoid(x) + torch.exp(-x * x))
        return (lambda: torch.autograd.grad(f(x).sum(), x)[0]) if gradient else (lambda: f(x))

    def eager_gradient(self, d):
        x = torch.tensor(d["x"], requires_grad=True)
        return lambda: torch.autograd.grad((torch.tanh(x) * x).sum(), x)[0]

    def rows(self, d, op, gradient):
        x, c, row, w, b = (torch.tensor(d[name]) for name in ("x", "c", "row", "w", "b"))
        if op == "layer_norm":
            f, args, weight = (lambda x, w, b: functional.layer_norm(x, (x.shape[-1],), w, b)), (x, w, b), c
        else:
            f, args, weight = (lambda x: getattr(torch, op)(x, -1)), (x,), c if op == "softmax" else row
        f = self.compiled(f)
        if not gradient:
            return lambda: f(*args)
        args = [a.requires_grad_() for a in args]
        return lambda: torch.autograd.grad((f(*args) * weight).sum(), args)

    def reduce(self, d, op, axis):
        x = torch.tensor(d["x"])
        options = {"unbiased": False} if op == "var" else {}
        f = self.compiled(
            lambda x: getattr(torch, op)(x, **options) if axis is None else getattr(torch, op)(x, axis, **options)
        )
        return lambda: f(x)

    def hessian(self, d):
        theta, x, y, sizes = torch.tensor(d["theta"]), torch.tensor(d["x"]), torch.tensor(d["y"]), d["sizes"]

        def loss(theta):
            h, at = x, 0
            for i, (a, b) in enumerate(itertools.pairwise(sizes)):
                h = h @ theta[at : at + a * b].view(a, b) + theta[at + a * b : at + a * b + b]
                at += a * b + b
                h = torch.tanh(h) if i < len(sizes) - 2 else h
            return ((h - y) ** 2).mean()

        f = self.compiled(torch.func.hessian(loss))
        return lambda: f(theta)

    def unrolled(self, d):
        x, steps = torch.tensor(d["x"]), d["steps"]

        def loss(x):
            for _ in range(steps):
                x = torch.sin(x) * 1.01 + x @ x * 1e-3
            return x.sum()

        f = self.compiled(torch.func.grad(loss))
        return lambda: f(x)

    def mlp(self, d):
        return self.userloop(d, False)

    def userloop(self, d, item):
        return userloop(torch, d, item, fused=True)
