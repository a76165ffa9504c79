"""The same lines run on torch and on fdl: values, dtypes, shapes, texts and error types must agree."""

import numpy as np
import pytest

import fdl.stateful as fdl_torch

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

SETUP = """
F = torch.nn.functional
nn = torch.nn
a = torch.tensor([[1.5, -2.0, 0.25], [3.0, 0.5, -1.0]])
b = torch.tensor([[0.5, 1.0, 2.0], [-1.5, 4.0, 0.125]])
v = torch.tensor([1.0, 2.0, 3.0])
i = torch.tensor([[3, -1, 4], [1, -5, 9]])
k = torch.tensor([2, 0, 1])
m = torch.tensor([[True, False, True], [False, True, True]])
d = torch.tensor([1.0, 2.0], dtype=torch.float64)
s = torch.tensor(2.5)
u = torch.tensor([200, 100], dtype=torch.uint8)
"""

EXPRESSIONS = """
a + b; a - 1; 2 - a; a * 3; a / 2; 1 / a; i / 2; i // 2; i % 3; a % 1.5; -a; a ** 2; a ** 3; 2 ** a; a ** 0.5; a ** -1; i ** 2; a.pow(2.5)
a > 0; a == b; i != 3; a >= b; a < 1; ~m; m & (a > 0); m | (a > 0); m ^ m; i & 3; i | 1
a + i; i + 1; i + 1.5; m + m; m * 2; m * 1.5; a * m; d + v[:2]; v[:2] * d; s + i; i * s; u + 100; u * 2; u - 1; s * d; torch.tensor(1) + s; i + torch.tensor(2.0, dtype=torch.float64)
a + torch.tensor(1.0, dtype=torch.float64); torch.tensor([1, 2], dtype=torch.int32) + torch.tensor([1, 2]); torch.tensor([1.0], dtype=torch.float16) + torch.tensor([1.0], dtype=torch.bfloat16)
a.sum(); a.sum(0); a.sum(1, keepdim=True); a.sum((0, 1)); i.sum(); m.sum(); a.mean(); a.mean(-1); a.var(); a.var(1); a.std(0); a.var(unbiased=False); a.prod(); i.prod(1)
a.max(); a.max(1).values; a.max(1).indices; a.min(0)[0]; a.min(0)[1]; torch.max(a, b); torch.min(a, b); a.amax(1); a.amin((0, 1)); a.argmax(); a.argmax(1); a.argmin(0); i.max(); a.argmax(1, keepdim=True)
a.topk(2).values; a.topk(2).indices; a.topk(1, dim=0)[0]; a.topk(2, largest=False)[0]; a.all(); m.any(1); m.all(0); (a > 0).sum(1); a.norm(); a.norm(1); a.norm(2, dim=1); a.norm(float("inf"))
a.exp(); a.abs().log(); a.abs().sqrt(); a.sin(); a.cos(); a.tan(); a.tanh(); a.sigmoid(); torch.erf(a); a.floor(); a.ceil(); a.round(); a.trunc(); a.sign(); a.reciprocal(); a.square(); a.abs().rsqrt(); i.abs(); i.sign(); torch.log1p(a.abs()); torch.expm1(a); i.exp(); a.atan(); torch.atan2(a, b)
a.clamp(0, 1); a.clamp(min=0.0); a.clamp(max=torch.tensor(0.5)); i.clamp(-1, 3); torch.where(m, a, b); torch.where(m, a, 0.0); torch.where(a > 0, 1, 0); a.masked_fill(m, -9); torch.lerp(a, b, 0.25); torch.maximum(a, b); torch.fmod(a, 1.0); torch.remainder(i, 4); torch.div(i, 2, rounding_mode="floor"); torch.div(i, 2, rounding_mode="trunc")
a.t(); a.T; a.view(3, 2); a.view(-1); a.reshape(3, -1); a.flatten(); a.unsqueeze(0); a.unsqueeze(-1).shape; a.squeeze(); a[None].squeeze(0); a.permute(1, 0); a.transpose(0, 1); v.expand(2, 3); a.repeat(2, 1); v.repeat(2, 2); v.repeat_interleave(2); a.flip(0); torch.roll(v, 1); torch.roll(a, (1, 1), (0, 1)); a.tril(); a.triu(1); torch.cat([a, b]); torch.cat([a, b], 1); torch.cat([a, i]); torch.stack([a, b]); torch.stack([v, v], 1); a.split(2, 1)[1]; a.chunk(2, 1)[0]; v.split([1, 2])[1]; a.unbind(1)[2]; a.narrow(1, 1, 2); a.select(0, 1); torch.movedim(a[None], 0, 2).shape; a.unflatten(1, (3, 1)).shape
a[0]; a[-1, 1]; a[:, 1]; a[:, -2:]; a[::2]; a[:, ::2]; a[..., 0]; a[None, :, 1]; a[k[1:2]]; a[:, k]; a[[0, 1], [2, 0]]; a[m]; a[a > 1]; a[m].shape; a[:, m[0]]; i[0, 0]; a[torch.tensor(1)]; a[1:1]; a[0][1]; a[:, None].shape; a[[1]]; a[k[1:], 1:]
a @ b.t(); a @ v; v @ v; torch.dot(v, v); torch.mm(a, b.t()); torch.bmm(a[None], b.t()[None]); torch.outer(v, v); torch.einsum("ij,kj->ik", a, b); torch.einsum("bi, bj -> ij", a, b); a.matmul(v); i @ i.t(); torch.mv(a, v); torch.addmm(v, a, torch.ones(3, 3))
torch.arange(5); torch.arange(1, 7, 2); torch.arange(0.0, 1.0, 0.25); torch.arange(3, dtype=torch.float32); torch.linspace(0, 1, 5); torch.eye(3); torch.eye(2, 3); torch.zeros(2, 3); torch.ones((2,)); torch.full((2,), 7); torch.full((2,), 1.5); torch.full((2,), True); torch.zeros_like(a); torch.ones_like(i); torch.full_like(a, 2); torch.tensor([[1, 2], [3, 4]]); torch.tensor(1.5); torch.tensor([True]); torch.tensor([]); torch.empty(0).shape; torch.meshgrid(v, v, indexing="ij")[0]; torch.as_tensor([1.0])
a.softmax(1); a.log_softmax(0); a.logsumexp(1); a.cumsum(1); i.cumsum(0); F.softmax(v, dim=0); F.relu(a); F.gelu(a); F.gelu(a, approximate="tanh"); F.silu(a); F.leaky_relu(a, 0.1); F.elu(a); F.softplus(a); F.hardtanh(a); F.logsigmoid(a); F.mish(a); F.selu(a); F.relu6(a * 5); F.hardswish(a); F.hardsigmoid(a); F.softsign(a); F.glu(torch.cat([a, b], 1)); F.normalize(a); F.tanhshrink(a)
F.cross_entropy(a, k[:2]); F.cross_entropy(a, k[:2], reduction="none"); F.cross_entropy(a, k[:2], reduction="sum"); F.cross_entropy(a, torch.tensor([2, -100])); F.cross_entropy(a, k[:2], weight=v); F.cross_entropy(a, k[:2], label_smoothing=0.1); F.cross_entropy(a, b.softmax(1)); F.cross_entropy(v, torch.tensor(1)); F.nll_loss(a.log_softmax(1), k[:2]); F.mse_loss(a, b); F.l1_loss(a, b); F.smooth_l1_loss(a, b); F.huber_loss(a, b, delta=0.5); F.binary_cross_entropy(a.sigmoid(), m.float()); F.binary_cross_entropy_with_logits(a, m.float()); F.kl_div(a.log_softmax(1), b.softmax(1), reduction="batchmean"); F.one_hot(k); F.one_hot(k, 5); F.embedding(k, b.t()); F.layer_norm(a, (3,)); F.layer_norm(a, (2, 3)); F.linear(a, b); F.linear(a, b, v[:2]); F.scaled_dot_product_attention(a[None], b[None], b[None]); F.scaled_dot_product_attention(a[None], a[None], b[None], is_causal=True); F.rms_norm(a, (3,), eps=1e-6)
a.gather(1, torch.tensor([[0, 2], [1, 1]])); a.index_select(1, k); torch.zeros(2, 3).scatter(1, torch.tensor([[2, 0], [1, 2]]), a); torch.zeros(2, 3).scatter_add(0, torch.tensor([[0, 1, 0]]), a); torch.zeros(4).index_add(0, torch.tensor([0, 0, 3]), v); a.masked_select(m); torch.nonzero(m); torch.bincount(k); torch.diag(v); torch.diag(a[:, :2]); a.scatter(1, torch.tensor([[0], [1]]), 9.0)
a.shape; a.size(); a.size(1); a.dim(); a.numel(); a.dtype; i.dtype; a.to(torch.float64); a.long(); a.int(); i.float(); m.float(); a.double().dtype; a.half().dtype; a.bool(); a.tolist(); s.item(); i[0, 0].item(); len(a); list(v)[1]; float(s); int(s); bool(s); a.is_contiguous(); a.element_size(); torch.is_tensor(a); torch.allclose(a, a); torch.equal(a, b); torch.isclose(a, a); a.isnan(); torch.isfinite(a); a.type(torch.int32); a.type_as(i); a.new_zeros(2); a.new_ones((2, 2)).dtype; torch.result_type(a, 1); torch.promote_types(torch.int32, torch.float16)
a.add(b, alpha=2); a.addcmul(a, b, value=0.5); a.addcdiv(a, b, value=0.5); a.sub(1, alpha=3); torch.sub(a, b); torch.broadcast_tensors(a, v)[1]; a.logical_not(); torch.logical_and(a, b); a.count_nonzero(); torch.tensor([3.0, float("nan")]).max(); torch.tensor([float("inf"), 1.0]).softmax(0); F.relu(torch.tensor([float("nan"), -1.0])); F.gelu(torch.tensor([float("nan"), 1.0])); torch.tensor([float("nan"), 3.0]).clamp(0, 1); F.leaky_relu(torch.tensor([float("nan")])); F.elu(torch.tensor([float("nan")])); F.hardtanh(torch.tensor([float("nan")])); F.softplus(torch.tensor([float("nan")])); torch.tensor([float("nan"), 1.0]).topk(2)[1]
"""

STATEMENTS = [
    "x = torch.zeros(3, 4); x[1] = 1.0; x[:, 2] += 5; x[0].fill_(2.0); out = x",
    "x = torch.zeros(3, 4); x[0, 1:3] = torch.tensor([1.0, 2.0]); x[2] = x[0]; out = x",
    "x = torch.arange(12).reshape(3, 4); x.t()[1] = -1; x.view(-1)[5] = 9; out = x",
    "x = torch.arange(6.0); y = x.view(2, 3); y.mul_(2); x.add_(1); out = (x, y)",
    "x = torch.arange(6.0); y = x[::2]; y += 10; z = y[1:]; z.zero_(); out = (x, y, z)",
    "x = torch.zeros(2, 2); y = x.expand(3, 2, 2).clone(); y[0, 0, 0] = 1; out = (x, y)",
    "x = torch.ones(4); x[torch.tensor([0, 2])] = 5; x[[1]] += 2; out = x",
    "x = torch.ones(2, 3); x[x > 0] = 3; x[torch.tensor([[True, False, False], [False, True, False]])] = torch.tensor([7.0, 8.0]); out = x",
    "x = torch.arange(4.0); y = x.detach(); y[0] = 100; out = (x, y)",
    "x = torch.arange(4.0); x.data[0] = 100; x.data = torch.ones(2); out = x",
    "x = torch.arange(4.0); y = x.clone(); x.zero_(); out = (x, y)",
    "x = torch.arange(6.0).view(2, 3); a1, a2 = x.unbind(); a1.copy_(a2); out = x",
    "x = torch.arange(6); x //= 2; x *= 3; x -= 1; out = x",
    "x = torch.tensor([1, 2]); x = x + 0.5; out = x",
    "x = torch.tensor([1.0, 2.0], requires_grad=True); y = x * 3; y[0] = 0.0; y.sum().backward(); out = x.grad",
    "x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True); y = x.clone(); y[1:] *= 2; y[0].add_(y[2]); (y ** 2).sum().backward(); out = x.grad",
    "x = torch.ones(2, 3, requires_grad=True); y = x * 2; z = y.view(6); z[3] = 10; (y * y).sum().backward(); out = x.grad",
    "x = torch.zeros(3); w = torch.ones(3, requires_grad=True); x[1:] = w[1:] * 2; (x ** 2).sum().backward(); out = (x, w.grad)",
    "w = torch.ones(3, requires_grad=True); y = w.t() * 2; y.retain_grad(); y.sum().backward(); out = (y.grad, w.grad)",
    "w = torch.ones(3, requires_grad=True); (w * 2).sum().backward(); (w * 3).sum().backward(); out = w.grad",
    "w = torch.tensor([2.0], requires_grad=True); y = w ** 3; g, = torch.autograd.grad(y, w, create_graph=True); h, = torch.autograd.grad(g, w, create_graph=True); j, = torch.autograd.grad(h, w); out = (g.detach(), h.detach(), j)",
    "w = torch.tensor([1.0, 2.0], requires_grad=True); y = (w ** 2).sum(); y.backward(retain_graph=True); y.backward(); out = w.grad",
    "w = torch.tensor([1.0, 2.0], requires_grad=True); y = w * 2; y.backward(torch.tensor([1.0, 10.0])); out = w.grad",
    "w = torch.tensor([1.0, 2.0], requires_grad=True); h = w.register_hook(lambda g: g * 2); (w * 3).sum().backward(); h.remove(); (w * 3).sum().backward(); out = w.grad",
    "w = torch.ones(2, requires_grad=True)\nwith torch.no_grad():\n    w.add_(1); w[0] = 5\nout = (w.detach(), w.requires_grad, w.is_leaf)",
    "w = torch.ones(2, requires_grad=True)\nwith torch.no_grad():\n    z = w * 2\n    with torch.enable_grad():\n        y = w * 3\nout = (z.requires_grad, y.requires_grad)",
    "w = torch.ones(3, 4, requires_grad=True); g, = torch.autograd.grad((w @ torch.ones(4, 2)).sum(), [w]); out = g",
    "w = torch.ones(2, requires_grad=True); u2 = torch.ones(2, requires_grad=True); out = torch.autograd.grad((w * 2).sum(), [w, u2], allow_unused=True)",
    "x = torch.tensor([0.5, 1.5], requires_grad=True); y = torch.sin(x) * torch.exp(x); g = torch.autograd.grad(y.sum(), x, create_graph=True)[0]; g.sum().backward(); out = x.grad",
    "x = torch.tensor([[1.0, 5.0], [7.0, 7.0]], requires_grad=True); x.max(1)[0].sum().backward(); out = x.grad",
    "x = torch.tensor([[1.0, 5.0], [7.0, 7.0]], requires_grad=True); x.amax(1).sum().backward(); out = x.grad",
    "x = torch.tensor([1.0, 5.0, 7.0], requires_grad=True); x.topk(2)[0].sum().backward(); out = x.grad",
    "x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True); (x[:, 0] * x[1]).sum().backward(); out = x.grad",
    "x = torch.ones(3, requires_grad=True); y = x * 1; y *= 2; y += x; (y * y).sum().backward(); out = x.grad",
    "x = torch.ones(3, requires_grad=True); y = torch.cat([x, x * 2]); y[2:4].sum().backward(); out = x.grad",
    "lin = nn.Linear(2, 2)\nwith torch.no_grad():\n    lin.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]])); lin.bias.zero_()\nlin(torch.ones(1, 2)).sum().backward(); out = (lin.weight.grad, lin.bias.grad)",
    "e = nn.Embedding(4, 2, padding_idx=0)\nwith torch.no_grad():\n    e.weight.copy_(torch.arange(8.0).view(4, 2))\ne(torch.tensor([0, 1, 1])).sum().backward(); out = e.weight.grad",
    "p = nn.Parameter(torch.tensor([3.0, 4.0])); p.grad = torch.tensor([3.0, 4.0]); n = nn.utils.clip_grad_norm_([p], 1.0); out = (n, p.grad)",
    "p = nn.Parameter(torch.tensor([3.0, 4.0])); p.grad = torch.tensor([3.0, -4.0]); nn.utils.clip_grad_value_([p], 1.0); out = p.grad",
    "x = torch.arange(3.0); n = x.numpy(); n[0] = 7; x[1] = 9; x += 1; out = (x, n.tolist())",
    "x = torch.arange(4.0).view(2, 2); n = x[1].numpy(); n[0] = 7; x.mul_(2); out = (x, n.tolist())",
    "x = torch.arange(3.0); y = x.to(torch.float32); z = x.to(torch.float64); y[0] = 5; out = (x, z)",
    "x = torch.ones(2, 2); y = x.contiguous(); y[0] = 5; z = x.t().contiguous(); z[0] = 7; out = x",
    "x = torch.ones(2); x.resize = 3; y = x; y += 1; out = (x, x.resize)",
    "x = torch.zeros(5); x.index_add_(0, torch.tensor([1, 1]), torch.tensor([1.0, 2.0])); x.scatter_(0, torch.tensor([4]), 3.0); x.clamp_(max=2.5); out = x",
    "x = torch.zeros(2, 3); x.masked_fill_(torch.tensor([True, False, True]), 4); x.uniform_; out = x",
    "x = torch.zeros(3); x.index_put_((torch.tensor([0, 0]),), torch.tensor([1.0, 2.0]), accumulate=True); out = x",
    "r = []\nfor q in torch.arange(3):\n    r.append(q.item())\nout = r",
]

ERRORS = [
    "torch.ones(2, 3) + torch.ones(4)", "torch.ones(2)[5]", "torch.ones(2, 3) @ torch.ones(2, 3)", "nn.Linear(3, 2)(torch.ones(1, 4))", "torch.ones(2).backward()",
    "torch.ones(2, requires_grad=True).add_(1)", "(torch.ones(2, requires_grad=True) * 2).backward()", "F.embedding(torch.tensor([7]), torch.ones(5, 2))",
    "torch.ones(2, requires_grad=True).numpy()", "torch.tensor([1, 2], requires_grad=True)", "torch.ones(2, 3).view(5)", "bool(torch.ones(2))", "torch.ones(2).item()",
    "torch.cat([torch.ones(2, 3), torch.ones(2, 4)])", "torch.stack([torch.ones(2), torch.ones(3)])", "torch.ones(2).sum(3)", "F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3]))",
    "F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1, 2]))", "torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=-1)", "torch.optim.SGD([], lr=1)", "nn.Module()(1)",
    "torch.ones(2)['a']", "torch.ones(2, 3).permute(0)", "torch.ones(2, 3).expand(3, 3)", "int(torch.ones(2))", "torch.tensor([[1, 2], [3]])", "torch.ones(2).requires_grad_().zero_()",
    "x = torch.ones(1, requires_grad=True); y = x * x; y.backward(); y.backward()", "torch.zeros(2, dtype=torch.int64).add_(1.5)", "torch.arange(3).mean()",
    "torch.autograd.grad(torch.ones(1, requires_grad=True) * 2, torch.ones(1, requires_grad=True))", "torch.randint(3, 3, (2,))", "len(torch.tensor(1.0))", "list(torch.tensor(1.0))",
    "nn.Linear(2, 2).load_state_dict({'weight': torch.zeros(2, 2)})", "nn.Linear(2, 2).load_state_dict({'weight': torch.zeros(2, 3), 'bias': torch.zeros(2)})", "nn.Linear(2, 2).foo",
    "torch.ones(2, 2).dot(torch.ones(2))", "torch.ones(2)[0, 0]", "torch.ones(3).split([1, 1])", "torch.device('abacus')", "nn.Dropout(1.5)",
    "torch.ones(3)[torch.tensor([5])]", "torch.zeros(2)[1:0:-1]", "torch.ones(2).to('cuda:0')", "m2 = nn.Linear(1, 1); m2.weight = torch.ones(1)",
]  # fmt: skip


def scope(library):
    found = {"torch": library, "np": np}
    exec(SETUP, found)
    return found


def plain(x):
    """Values that both libraries can be compared by."""
    if isinstance(x, (torch.Tensor, fdl_torch.Tensor)):
        values = x.detach().to(torch.float32 if isinstance(x, torch.Tensor) else fdl_torch.float32).numpy() if str(x.dtype) in ("torch.bfloat16",) else x.detach().numpy()
        return str(x.dtype), np.array(values)
    if isinstance(x, (tuple, list)):
        return [plain(y) for y in x]
    return str(x) if not isinstance(x, (bool, int, float, str, type(None))) else x


def assert_same(got, want):
    if isinstance(want, tuple) and isinstance(want[1], np.ndarray):
        assert got[0] == want[0], f"dtype {got[0]}, torch has {want[0]}"
        assert got[1].shape == want[1].shape, f"shape {got[1].shape}, torch has {want[1].shape}"
        np.testing.assert_allclose(got[1].astype(np.float64), want[1].astype(np.float64), rtol=2e-5, atol=1e-6)
    elif isinstance(want, list):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            assert_same(g, w)
    elif isinstance(want, float):
        assert got == pytest.approx(want, rel=1e-5)
    else:
        assert got == want


@pytest.mark.parametrize("line", [e.strip() for line in EXPRESSIONS.strip().splitlines() for e in line.split(";")])
def test_expression(line):
    want, got = eval(line, scope(torch)), eval(line, scope(fdl_torch))
    assert_same(plain(got), plain(want))


@pytest.mark.parametrize("code", STATEMENTS)
def test_statements(code):
    spaces = scope(torch), scope(fdl_torch)
    for space in spaces:
        exec(code, space)
    assert_same(plain(spaces[1]["out"]), plain(spaces[0]["out"]))


@pytest.mark.parametrize("code", ERRORS)
def test_errors(code):
    kinds = []
    for library in (torch, fdl_torch):
        with pytest.raises(Exception) as caught:
            exec(code, scope(library))
        kinds.append(caught.type)
    assert issubclass(kinds[1], kinds[0]) or kinds[0] is AssertionError, f"fdl raises {kinds[1].__mro__}, torch {kinds[0]}"


REPRS = """
torch.tensor(1.0); torch.tensor([1, -20, 300]); torch.tensor([1.5, 2.25]); torch.tensor([1e-5, 1.0]); torch.tensor([1e10, 1.0]); torch.tensor([float("nan"), 1.0, float("inf")]); torch.zeros(2, 3)
torch.arange(12).reshape(2, 2, 3); torch.tensor([True, False]); torch.ones(2, requires_grad=True); torch.ones(2, dtype=torch.float64); torch.arange(2000); torch.zeros(40, 40); torch.tensor([]); torch.zeros(0, 3)
torch.linspace(0, 1, 30); torch.tensor([1.0, 1000.0, 100000.0]); torch.tensor([0.1, 123456.0]); torch.tensor(3); torch.tensor([[1.5, -2.0], [100.0, 0.001]]); torch.tensor([5.0, 7.0, 9.0]); torch.tensor([1.0], dtype=torch.float16)
nn.Linear(2, 3); nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(0.1)); nn.ModuleList([nn.Linear(1, 1, bias=False)]); nn.LayerNorm(3); nn.Embedding(3, 2); nn.GELU(); nn.LeakyReLU(0.2); nn.Flatten(); nn.CrossEntropyLoss(); nn.ReLU(inplace=True); nn.Softmax(dim=1); nn.ModuleDict({"a": nn.Tanh()}); nn.MSELoss(); nn.Identity()
torch.float32; torch.device("cpu"); torch.Size([2, 3]); torch.ones(2).shape; torch.tensor([0.00001234]); torch.tensor([-1.0, 2.0]); torch.tensor([1e-8, 1e8]); torch.tensor([[0.5]]); torch.full((3,), -7.25); torch.tensor(float("inf")); torch.tensor([2**40])
nn.Parameter(torch.zeros(2)); torch.optim.SGD([torch.ones(1)], lr=0.1).param_groups[0]["lr"]
"""


@pytest.mark.parametrize("line", [e.strip() for line in REPRS.strip().splitlines() for e in line.split(";")])
def test_repr(line):
    assert repr(eval(line, scope(fdl_torch))) == repr(eval(line, scope(torch)))
