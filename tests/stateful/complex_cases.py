"""What is asked of PyTorch about complex tensors: shared by the tests and by who records its answers.

Each case takes `torch` and gives numbers, texts and lists of them.
"""

import numpy as np

_RNG = np.random.default_rng(11)


def _numbers(*shape):
    return _RNG.normal(size=shape) + 1j * _RNG.normal(size=shape)


A, B, M = _numbers(2, 3), _numbers(2, 3), _numbers(3, 3)
H = M @ M.conj().T + np.eye(3)
X = _RNG.normal(size=(2, 3))


def plain(x):
    """A tensor, or a tuple of them, as nested lists: a complex number as two."""
    if x is None or isinstance(x, (str, bool, int, float)):
        return x
    if isinstance(x, (tuple, list)):
        return [plain(y) for y in x]
    if isinstance(x, complex):
        return [x.real, x.imag]
    values = np.asarray(x.detach().resolve_conj().resolve_neg().numpy())
    if values.dtype.kind == "c":
        values = np.stack([values.real, values.imag], -1)
    return values.tolist()


def leaf(torch, values=A):
    return torch.tensor(values, requires_grad=True)


# Doors at which a user sees or gives a cotangent


def attribute(torch):
    z = leaf(torch)
    ((z * torch.tensor(B)).sum().real + (z.conj() * z * z).imag.sum()).backward()
    first = plain(z.grad)
    (z**3).sum().imag.backward()  # adds up
    return [first, plain(z.grad)]


def grad_outputs(torch):
    z = leaf(torch)
    found = torch.autograd.grad([z * z, z.exp()], [z], [torch.tensor(B), torch.tensor(A)])
    out = z * torch.tensor(B)
    out.backward(torch.tensor(A))
    return [plain(found), plain(z.grad)]


def batched_grad_outputs(torch):
    z = leaf(torch)
    return plain(torch.autograd.grad(z.sin(), z, torch.tensor(np.stack([A, B, B * 1j])), is_grads_batched=True))


def second_order(torch):
    z = leaf(torch)
    (g,) = torch.autograd.grad((z.abs() ** 2 * z.real).sum(), z, create_graph=True)
    (h,) = torch.autograd.grad(g, z, torch.tensor(B), retain_graph=True)
    (k,) = torch.autograd.grad((g * g.conj()).real.sum(), z)
    return [plain(g), plain(h), plain(k)]


def second_order_of_holomorphic(torch):
    z, w = leaf(torch), leaf(torch, B)
    (g,) = torch.autograd.grad(z.exp() * z, z, w, create_graph=True)
    return [plain(g), plain(torch.autograd.grad(g, [z, w], torch.tensor(X * (1 - 2j))))]


def create_graph_backward(torch):
    z = leaf(torch)
    (z * z * z).real.sum().backward(create_graph=True)
    g = z.grad
    first = plain(g)
    z.grad = None
    g.imag.sum().backward()
    return [first, plain(z.grad)]


def tensor_hooks(torch):
    z, seen = leaf(torch), []
    y = z * torch.tensor(B)
    y.register_hook(lambda g: seen.append(plain(g)) or g * 2j)
    z.register_hook(lambda g: seen.append(plain(g)) or g + 1j)
    y.retain_grad()
    (y * y).imag.sum().backward()
    return [seen, plain(y.grad), plain(z.grad)]


def hooks_of_second_order(torch):
    z, seen = leaf(torch), []
    y = z * z
    y.register_hook(lambda g: seen.append(plain(g)) or g * (1 + 1j))
    (g,) = torch.autograd.grad((y * y).real.sum(), z, create_graph=True)
    return [seen, plain(g), plain(torch.autograd.grad(g.real.sum(), z))]


def hook_after_accumulation(torch):
    z, seen = leaf(torch), []
    z.register_post_accumulate_grad_hook(lambda p: seen.append(plain(p.grad)))
    (z * 2j).real.sum().backward()
    return seen


def module_hooks(torch):
    seen = []

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(M))

        def forward(self, x):
            return x @ self.weight

    layer, z = Layer(), leaf(torch)
    layer.register_full_backward_pre_hook(lambda m, g: seen.append(plain(g)) or (g[0] * 1j,))
    layer.register_full_backward_hook(lambda m, gi, go: seen.append([plain(gi), plain(go)]) or (gi[0] * 2,))
    (layer(z * 1).abs() ** 2).sum().backward()
    return [seen, plain(z.grad), plain(layer.weight.grad)]


def function(torch):
    """A derivative of one's own; it is told conjugates, and tells them."""
    seen = []

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z, x):
            ctx.save_for_backward(z, x)
            return z * z * x

        @staticmethod
        def backward(ctx, g):
            z, x = ctx.saved_tensors
            seen.append(plain(g))
            return g * (2 * z * x).conj(), (g * (z * z).conj()).real

    z, x = leaf(torch), torch.tensor(X, requires_grad=True)
    (Square.apply(z, x) * torch.tensor(B)).imag.sum().backward()
    return [seen, plain(z.grad), plain(x.grad)]


def function_of_second_order(torch):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z**3

        @staticmethod
        def backward(ctx, g):
            (z,) = ctx.saved_tensors
            return g * (3 * z * z).conj()

    z = leaf(torch)
    (g,) = torch.autograd.grad(Cube.apply(z).real.sum(), z, create_graph=True)
    return [plain(g), plain(torch.autograd.grad((g * torch.tensor(B)).real.sum(), z))]


def checks(torch):
    z = leaf(torch)
    both = [
        torch.autograd.gradcheck(f, z)
        for f in (torch.exp, torch.abs, torch.angle, torch.conj, lambda z: z * z.conj(), lambda z: (z.real, z.imag * z))
    ]
    return [*both, torch.autograd.gradgradcheck(lambda z: z * z * z.conj(), z)]


def transforms(torch):
    z = torch.tensor(A)
    f = lambda z: (z * z * z.conj()).real.sum()
    out, pull = torch.func.vjp(lambda z: z * z, z)
    return [
        plain(torch.func.grad(f)(z)),
        [plain(t) for t in torch.func.grad_and_value(f)(z)],
        plain(out),
        plain(pull(torch.tensor(B))),
        plain(torch.func.jvp(lambda z: z * z, (z,), (torch.tensor(B),))),
    ]


# Gradients through operations


OPERATIONS = {
    "abs": lambda torch, z: z.abs(),
    "angle": lambda torch, z: z.angle(),
    "sgn": lambda torch, z: torch.sgn(z),
    "div": lambda torch, z: z / torch.tensor(B),
    "rdiv": lambda torch, z: torch.tensor(X) / z,
    "pow": lambda torch, z: z**3 + z**0.5 + 2.0**z,
    "powers": lambda torch, z: torch.tensor(B) ** z,
    "matmul": lambda torch, z: z @ torch.tensor(M),
    "prod": lambda torch, z: z.prod(1),
    "cumprod": lambda torch, z: z.cumprod(1),
    "cumsum": lambda torch, z: z.cumsum(0),
    "mean": lambda torch, z: z.mean(),
    "var": lambda torch, z: z.var(),
    "std": lambda torch, z: z.std(1),
    "norm": lambda torch, z: z.norm(),
    "norm 3": lambda torch, z: torch.linalg.vector_norm(z, 3.0),
    "where": lambda torch, z: torch.where(z.real > 0, z, 1j),
    "index": lambda torch, z: z[[0, 1, 1], [2, 0, 0]],
    "put": lambda torch, z: z.index_put((torch.tensor([0, 1]), torch.tensor([1, 2])), z[0, :2], accumulate=True),
    "addcmul": lambda torch, z: torch.addcmul(z, z, torch.tensor(B), value=0.5 + 1j),
    "lerp": lambda torch, z: torch.lerp(z, torch.tensor(B), 0.3),
    "real": lambda torch, z: z.real * z,
    "pairs": lambda torch, z: torch.view_as_real(z) ** 2,
    "conj": lambda torch, z: z.conj() * z * z,
    "mH": lambda torch, z: z.mH @ z,
    "einsum": lambda torch, z: torch.einsum("ij,kj->ik", z, z.conj()),
    "vdot": lambda torch, z: torch.vdot(z[0], z[1]),
    "log": lambda torch, z: z.log() + z.sqrt() + z.tanh(),
    "asin": lambda torch, z: z.asin() + z.acos() + z.atan() + z.asinh() + z.acosh() + z.atanh(),
    "fft": lambda torch, z: torch.fft.fft(z) + torch.fft.ifft(z, norm="ortho"),
    "irfft": lambda torch, z: torch.fft.irfft(z),
    "fft2": lambda torch, z: torch.fft.fft2(z),
    "polar": lambda torch, z: torch.polar(z.abs(), z.angle()),
    "complex": lambda torch, z: torch.complex(z.imag, z.real),
    "to": lambda torch, z: z.to(torch.complex64) * 2,
    "sigmoid": lambda torch, z: torch.sigmoid(z),
    "det": lambda torch, z: torch.linalg.det(z @ z.mT + torch.tensor(M)[:2, :2]),
    "slogdet": lambda torch, z: torch.linalg.slogdet(z @ z.mT + torch.tensor(M)[:2, :2]).logabsdet,
    "inv": lambda torch, z: torch.linalg.inv(z[:, :2]),
    "solve": lambda torch, z: torch.linalg.solve(torch.tensor(H), z.T),
    "cholesky": lambda torch, z: torch.linalg.cholesky(z @ z.mH + torch.eye(2)),
    "triangular": lambda torch, z: torch.linalg.solve_triangular(torch.tensor(H), z.T, upper=True),
    "matrix_exp": lambda torch, z: torch.matrix_exp(z[:, :2]),
    "linear": lambda torch, z: torch.nn.functional.linear(z, torch.tensor(M), torch.tensor(B[0])),
    "conv": lambda torch, z: torch.nn.functional.conv1d(z[None], torch.tensor(B)[None, :, :2]),
}


def operation(name):
    def case(torch):
        z = leaf(torch)
        out = OPERATIONS[name](torch, z)
        weight = torch.tensor(np.linspace(0.5, 1.5, out.numel()).reshape(tuple(out.shape)))
        loss = ((1 - 0.5j) * out * weight).real.sum() if out.is_complex() else (out * weight).sum()
        return [plain(out), plain(torch.autograd.grad(loss, z))]

    return case


# Views, memory, numbers


def conjugate_views(torch):
    z = torch.tensor(A)
    c = z.conj()
    facts = [c.is_conj(), c.imag.is_neg(), c.conj().is_conj(), (c + 0).is_conj(), c.clone().is_conj()]
    c[0, 0] = 5 + 1j
    c.imag[1] = 7.0
    z.mH[2, 1] *= 2
    return [
        facts,
        plain(z),
        plain(c),
        c.resolve_conj().is_conj(),
        list(c.T.stride()),
        list(z.real.stride()),
        z.imag.storage_offset(),
        list(torch.view_as_real(z.T).stride()),
    ]


def writes(torch):
    z = torch.tensor(A)
    z.real.zero_()
    z.imag[0] += 10
    pairs = torch.view_as_real(z)
    pairs[1, :, 0] = torch.arange(3.0, dtype=torch.float64)
    x = torch.tensor(np.arange(12.0).reshape(3, 2, 2))
    w = torch.view_as_complex(x)
    w *= 1j
    w[1:].conj()[0] = 1 + 1j
    z.real = torch.ones(2, 3, dtype=torch.float64) * 3
    seen = z.real.numpy()
    seen[0, 0] = 99.0
    return [
        plain(z),
        plain(pairs),
        plain(x),
        plain(w[:, 0].as_strided((2,), (2,), 1)),
        plain(z.conj().as_strided((3,), (2,))),
    ]


def gradients_through_writes(torch):
    z = leaf(torch)
    y = z * 1
    y.imag.mul_(2)
    y.conj()[0] = z[1] * 1j
    torch.view_as_real(y)[:, 2, 0] = z.real[:, 0] ** 2
    return plain(torch.autograd.grad((y * torch.tensor(B)).real.sum(), z))


def dtypes(torch):
    kinds = [
        torch.bool,
        torch.uint8,
        torch.int64,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
        torch.complex128,
    ]
    found = []
    for a in kinds:
        x = torch.ones(2, dtype=a)
        found.append(str((x + 1j).dtype))
        found += [str((x + torch.ones(shape, dtype=b)).dtype) for b in kinds[-3:] for shape in ((2,), ())]
    z = torch.tensor(A)
    return [
        *found,
        str((z * 2.0).dtype),
        str(z.abs().dtype),
        str(z.real.dtype),
        str((z == z).dtype),
        str(torch.full((1,), 1j).dtype),
        str(torch.tensor([1, 2j]).dtype),
        str(torch.result_type(z, 1.5)),
        str(torch.promote_types(torch.complex64, torch.float64)),
        str(torch.zeros(1, dtype=complex).dtype),
        torch.can_cast(torch.complex64, torch.float32),
        torch.can_cast(torch.float32, torch.complex64),
        str(z.to(torch.complex64).dtype),
        plain(torch.tensor([1 + 2j]).to(torch.complex128)),
    ]


def printing(torch):
    return [
        repr(torch.tensor(x))
        for x in (
            A,
            A.astype(np.complex64),
            1j,
            [0.25j, -1],
            np.array([1e6 + 1j, 1.5], np.complex64),
            np.zeros((0, 2), np.complex64),
            np.full(2, complex(np.nan, -np.inf), np.complex64),
        )
    ] + [repr(torch.tensor([1j], requires_grad=True)), repr(torch.nn.Parameter(torch.tensor([1j])))]


REFUSED = {
    "less": lambda torch, z: z < z,
    "maximum": lambda torch, z: torch.maximum(z, z),
    "max": lambda torch, z: z.max(),
    "sort": lambda torch, z: z.sort(),
    "argmax": lambda torch, z: z.argmax(),
    "sign": lambda torch, z: z.sign(),
    "floor": lambda torch, z: z.floor(),
    "relu": lambda torch, z: z.relu(),
    "softmax": lambda torch, z: z.softmax(0),
    "erf": lambda torch, z: torch.erf(z),
    "clamp": lambda torch, z: z.clamp(min=0),
    "unique": lambda torch, z: z.unique(),
    "numpy of a conjugate": lambda torch, z: z.conj().numpy(),
    "float": lambda torch, z: float(z[0, 0]),
    "pairs of a conjugate": lambda torch, z: torch.view_as_real(z.conj()),
    "backward": lambda torch, z: z.requires_grad_().sum().backward(),
    "real gradient": lambda torch, z: torch.autograd.grad(z.requires_grad_() * 1, z, torch.ones(2, 3)),
    "numbers of threes": lambda torch, z: torch.view_as_complex(torch.ones(3)),
    "real in place": lambda torch, z: torch.ones(2, 3).add_(z),
    "imag": lambda torch, z: torch.ones(2).imag,
    "rfft": lambda torch, z: torch.fft.rfft(z),
    "adafactor": lambda torch, z: _step(torch, torch.optim.Adafactor, z),
    "muon": lambda torch, z: _step(torch, torch.optim.Muon, z),
    "integer": lambda torch, z: torch.tensor(1j, dtype=torch.int64),
}


def _step(torch, kind, z, steps=1, **settings):
    p = torch.nn.Parameter(z.clone())
    optimizer = kind([p], **settings)

    def closure():
        optimizer.zero_grad()
        loss = ((p * p - torch.tensor(B).to(p.dtype)).abs() ** 2).sum() + p.real.sum()
        loss.backward()
        return loss

    for _ in range(steps):
        closure()
        optimizer.step(closure) if kind is torch.optim.LBFGS else optimizer.step()
    return p, optimizer


OPTIMIZERS = {
    "SGD": {"lr": 0.05},
    "SGD momentum": {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "Adam": {"lr": 0.1},
    "Adam amsgrad": {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1},
    "AdamW": {"lr": 0.1},
    "NAdam": {"lr": 0.1},
    "RAdam": {"lr": 0.1},
    "Adamax": {"lr": 0.1},
    "Adagrad": {"lr": 0.1, "initial_accumulator_value": 0.5},
    "Adadelta": {"lr": 1.0},
    "RMSprop": {"lr": 0.05, "centered": True, "momentum": 0.5},
    "Rprop": {"lr": 0.05},
    "ASGD": {"lr": 0.05},
    "LBFGS": {"lr": 0.1, "max_iter": 3},
}


def optimizer(name):
    def case(torch):
        p, made = _step(torch, getattr(torch.optim, name.split()[0]), torch.tensor(A), 4, **OPTIMIZERS[name])
        state = made.state[p] if name != "LBFGS" else {}
        return [plain(p), {k: plain(v) for k, v in state.items() if hasattr(v, "shape") and v.shape == p.shape}]

    return case


CASES = (
    {
        f.__name__: f
        for f in (
            attribute,
            grad_outputs,
            batched_grad_outputs,
            second_order,
            second_order_of_holomorphic,
            create_graph_backward,
            tensor_hooks,
            hooks_of_second_order,
            hook_after_accumulation,
            module_hooks,
            function,
            function_of_second_order,
            checks,
            transforms,
            conjugate_views,
            writes,
            gradients_through_writes,
            dtypes,
            printing,
        )
    }
    | {f"operation {k}": operation(k) for k in OPERATIONS}
    | {f"optimizer {k}": optimizer(k) for k in OPTIMIZERS}
)


def refusal(torch, name):
    """The kinds of error that a case raises."""
    try:
        REFUSED[name](torch, torch.tensor(A))
    except Exception as error:
        kinds = (NotImplementedError, ValueError, TypeError, RuntimeError)
        return [k.__name__ for k in kinds if isinstance(error, k)]
    return None
