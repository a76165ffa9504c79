"""What PyTorch's users write, as text that runs on torch and on fdl, and the facts by which both are compared.

`record.py` writes what PyTorch says to `recorded/`; `test_recorded.py` holds fdl to it, on machines without torch as well.
"""

import itertools
import json
import math
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).resolve().parent / "recorded"

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
q = torch.tensor([[2.0, -1.0, 0.5], [0.25, 3.0, 1.0], [-0.5, 1.0, 4.0]])
c = torch.sin(torch.arange(32.0)).view(1, 2, 4, 4)
w = torch.tensor([0.5, -1.5, 2.0], requires_grad=True)
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
    "l = nn.Linear(3, 2); l.weight.data = a.clone(); l.bias.data = v[:2].clone(); l = nn.utils.weight_norm(l); y = l(b); y.sum().backward(); out = (y, sorted(l.state_dict()), l.weight_g.grad, l.weight_v.grad, nn.utils.remove_weight_norm(l).weight)",
    "l = nn.Linear(3, 2); l.weight.data = a.clone(); l.bias.data = v[:2].clone(); l = nn.utils.parametrizations.weight_norm(l, dim=1); y = l(b); y.sum().backward(); out = (y, list(l.state_dict()), l.parametrizations.weight.original0.grad, repr(l))",
    "c = nn.ConvTranspose2d(2, 3, 2); c.weight.data = torch.arange(24.0).sin().view(2, 3, 2, 2); c.bias.data = v.clone(); c = nn.utils.spectral_norm(c); x = torch.arange(18.0).cos().view(1, 2, 3, 3)\nfor _ in range(40):\n    y = c(x)\nout = (y, list(c.state_dict()), nn.utils.remove_spectral_norm(c).weight)",
    "l = nn.Linear(3, 2); l.weight.data = a.clone(); l.bias.data = v[:2].clone(); l = nn.utils.parametrizations.spectral_norm(l)\nfor _ in range(40):\n    y = l(b)\ny.sum().backward(); l.eval(); out = (y, l(b), list(l.state_dict()), l.parametrizations.weight.original.grad)",
    "P = nn.utils.parametrize\nclass S(nn.Module):\n    def forward(self, x):\n        return x.triu() + x.triu(1).T\nl = nn.Linear(2, 2); l.weight.data = a[:, :2].clone(); P.register_parametrization(l, 'weight', S()); out = (l.weight, P.is_parametrized(l), list(l.state_dict()), repr(l)); P.remove_parametrizations(l, 'weight'); out = (*out, l.weight, repr(l), type(l).__name__)",
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

REPRS = """
torch.tensor(1.0); torch.tensor([1, -20, 300]); torch.tensor([1.5, 2.25]); torch.tensor([1e-5, 1.0]); torch.tensor([1e10, 1.0]); torch.tensor([float("nan"), 1.0, float("inf")]); torch.zeros(2, 3)
torch.arange(12).reshape(2, 2, 3); torch.tensor([True, False]); torch.ones(2, requires_grad=True); torch.ones(2, dtype=torch.float64); torch.arange(2000); torch.zeros(40, 40); torch.tensor([]); torch.zeros(0, 3)
torch.linspace(0, 1, 30); torch.tensor([1.0, 1000.0, 100000.0]); torch.tensor([0.1, 123456.0]); torch.tensor(3); torch.tensor([[1.5, -2.0], [100.0, 0.001]]); torch.tensor([5.0, 7.0, 9.0]); torch.tensor([1.0], dtype=torch.float16)
nn.Linear(2, 3); nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Dropout(0.1)); nn.ModuleList([nn.Linear(1, 1, bias=False)]); nn.LayerNorm(3); nn.Embedding(3, 2); nn.GELU(); nn.LeakyReLU(0.2); nn.Flatten(); nn.CrossEntropyLoss(); nn.ReLU(inplace=True); nn.Softmax(dim=1); nn.ModuleDict({"a": nn.Tanh()}); nn.MSELoss(); nn.Identity()
torch.float32; torch.device("cpu"); torch.Size([2, 3]); torch.ones(2).shape; torch.tensor([0.00001234]); torch.tensor([-1.0, 2.0]); torch.tensor([1e-8, 1e8]); torch.tensor([[0.5]]); torch.full((3,), -7.25); torch.tensor(float("inf")); torch.tensor([2**40])
nn.Parameter(torch.zeros(2)); torch.optim.SGD([torch.ones(1)], lr=0.1).param_groups[0]["lr"]
"""

# Functions of order, statistics, linear algebra and special functions, and those that move elements
MORE = """
a.sort(1).values; a.sort(1)[1]; a.sort(0, descending=True)[0]; a.argsort(1); i.argsort(1, descending=True); torch.msort(a); a.kthvalue(2, 1)[0]; a.median(); a.median(1).values; a.median(1).indices; v.quantile(0.4); a.quantile(torch.tensor([0.2, 0.9]), dim=1); a.nanquantile(0.5); i.mode(1)[0]
torch.unique(i); torch.unique(i, return_inverse=True)[1]; torch.unique(i, return_counts=True)[1]; torch.unique_consecutive(torch.tensor([1, 1, 2, 2, 1])); torch.searchsorted(v, torch.tensor([0.5, 2.0, 9.0])); torch.searchsorted(v, torch.tensor([2.0]), right=True); torch.bucketize(torch.tensor([1.5, 3.0]), v); torch.isin(i, k)
torch.histc(a, 4, -3, 3); torch.cov(a); torch.corrcoef(a); torch.std_mean(a, 1); torch.var_mean(a); a.nansum(); a.nanmean(); a.aminmax(); a.logsumexp((0, 1)); torch.logcumsumexp(a, 1); a.cummax(1)[0]; a.cummin(1)[1]; a.cumprod(0); a.diff(); torch.trapezoid(a); torch.cumulative_trapezoid(a, dim=1); torch.dist(a, b); torch.cdist(a, b); torch.cdist(a, b, p=1.0); torch.pdist(torch.cat([a, b])); F.cosine_similarity(a, b); F.pairwise_distance(a, b); a.renorm(2, 0, 1.0)
torch.linalg.norm(a); torch.linalg.norm(a, "nuc"); torch.linalg.vector_norm(a, 3); torch.linalg.matrix_norm(a); torch.linalg.det(q); torch.linalg.slogdet(q)[1]; torch.linalg.inv(q); torch.linalg.solve(q, v); torch.linalg.solve(q, torch.eye(3)); torch.linalg.cholesky(q @ q.T + torch.eye(3)); torch.linalg.eigvalsh(q + q.T); torch.linalg.svdvals(a); torch.linalg.pinv(a); torch.linalg.matrix_rank(q); torch.linalg.matrix_power(q, 3); torch.linalg.matrix_power(q, -2); torch.linalg.cond(q); torch.linalg.lstsq(b.t(), v).solution; torch.linalg.multi_dot([a, q, b.t()]); torch.linalg.cross(v, v.flip(0)); torch.linalg.qr(q)[1].abs(); torch.linalg.matrix_exp(q * 0.1); torch.linalg.solve_triangular(q.tril(), v[:, None], upper=False); torch.cholesky_solve(v[:, None], torch.linalg.cholesky(q @ q.T + torch.eye(3))); torch.logdet(q @ q.T); torch.trace(q); torch.kron(a, v); torch.tensordot(a, b, dims=([1], [1])); torch.chain_matmul(a, q); torch.baddbmm(torch.ones(1, 2, 2), a[None], b.t()[None], beta=2); torch.inner(a, b); torch.vander(v); torch.block_diag(a, q)
torch.special.gammaln(v); torch.special.digamma(v); torch.special.erf(a); torch.special.erfc(a); torch.special.erfinv(a / 4); torch.special.expit(a); torch.special.logit(a.sigmoid()); torch.special.xlogy(a.abs(), b.abs()); torch.special.entr(a.abs()); torch.special.ndtr(a); torch.special.i0(v); torch.special.sinc(a); torch.special.log_softmax(a, 1); torch.special.multigammaln(v + 2, 2); torch.special.zeta(v + 1, 2.0); torch.special.polygamma(1, v); torch.lgamma(v); torch.erfc(a); torch.exp2(a); torch.log2(v); torch.log10(v); torch.logaddexp(a, b); torch.logaddexp2(a, b); torch.hypot(a, b); torch.sinc(a); torch.heaviside(a, b); torch.copysign(a, b); torch.frac(a); torch.deg2rad(a); torch.rad2deg(a); torch.nan_to_num(torch.tensor([float("nan"), float("inf"), 1.0])); torch.signbit(a); torch.sgn(a); torch.ldexp(a, k); torch.float_power(v, 2); torch.gcd(i, torch.tensor(6)); torch.lcm(i, torch.tensor(4)); torch.bitwise_left_shift(i.abs(), 2); torch.asin(a / 4); torch.acosh(v); torch.asinh(a); torch.atanh(a / 4); torch.sinh(a); torch.cosh(a); torch.positive(a); torch.absolute(a); torch.rsub(a, 2)
torch.take(a, k); a.take_along_dim(k[None, :2], 1); torch.index_select(a, 0, k[1:2]); a.index_fill(1, k[:1], 9.0); a.index_copy(1, k[:2], b[:, :2]); torch.zeros(3, 3).scatter_reduce(0, torch.tensor([[0, 1, 0]]), v[None], "amax"); torch.ones(3).index_reduce(0, k, v, "prod"); a.masked_scatter(m, b); torch.argwhere(m); a.rot90(); a.fliplr(); a.flipud(); torch.tile(v, (2, 2)); torch.hstack([v, v]); torch.vstack([v, v]); torch.dstack([v, v]); torch.column_stack([v, v]); torch.tensor_split(v, 2)[0]; torch.hsplit(torch.ones(2, 4), 2)[1]; torch.swapaxes(a, 0, 1); torch.ravel(a); torch.atleast_2d(v); torch.cartesian_prod(v, v); torch.combinations(v); torch.diag_embed(a); torch.diagonal(q); torch.diagflat(v); a.unfold(1, 2, 1); torch.tril_indices(3, 3); torch.triu_indices(3, 3, 1); torch.broadcast_to(v, (2, 3)); torch.flatten(a[None], 1); torch.logspace(0, 2, 3); torch.unravel_index(k, (2, 2))[0]; torch.squeeze(a[None]); torch.adjoint(a); a.mT; a.expand_as(b); a.view_as(b); a.reshape_as(b.t().contiguous()); torch.select(a, 0, 1); torch.gather(a, 1, k[None, :2]); torch.clip(a, -1, 1); torch.addr(q, v, v); torch.addmv(v[:2], a, v); torch.addbmm(torch.ones(2, 2), a[None], b.t()[None]); torch.bernoulli(torch.ones(3)); torch.poisson(torch.zeros(2)); torch.is_floating_point(a); torch.numel(a); torch.can_cast(torch.int32, torch.float32); torch.finfo(torch.float32).eps; torch.iinfo(torch.int8).max
F.max_pool2d(c, 2); F.max_pool2d(c, 3, 2, 1, return_indices=True)[1]; F.avg_pool2d(c, 2, ceil_mode=True, count_include_pad=False); F.adaptive_avg_pool2d(c, (2, 3)); F.adaptive_max_pool2d(c, 2); F.lp_pool2d(c, 2.0, 2); F.interpolate(c, scale_factor=2); F.interpolate(c, size=(3, 7), mode="bilinear"); F.interpolate(c, size=(3, 7), mode="bilinear", align_corners=True); F.interpolate(c, scale_factor=1.5, mode="bicubic"); F.interpolate(c[0], size=5, mode="linear"); F.interpolate(c, size=(2, 2), mode="area"); F.pad(c, (1, 2)); F.pad(c, (1, 1, 1, 1), mode="reflect"); F.pad(c, (1, 0, 2, 1), mode="replicate"); F.pad(a, (1, 1), value=3.0); F.pixel_shuffle(torch.arange(16.0).view(1, 4, 2, 2), 2); F.pixel_unshuffle(torch.arange(16.0).view(1, 1, 4, 4), 2); F.unfold(c, 2); F.fold(torch.ones(1, 4, 9), (4, 4), 2); F.grid_sample(c, torch.tensor([[[[-0.5, 0.25], [0.9, -1.2]]]]), align_corners=False); F.affine_grid(torch.tensor([[[1.0, 0.5, 0.0], [0.0, 1.0, 0.25]]]), (1, 1, 2, 3), align_corners=False); F.conv1d(c[0], torch.ones(2, 4, 3)); F.conv2d(c, torch.ones(1, 2, 2, 2), padding=1, stride=2); F.conv_transpose2d(c, torch.ones(2, 1, 2, 2), stride=2); F.local_response_norm(c, 2); F.instance_norm(c); F.group_norm(c, 2); F.batch_norm(c, torch.zeros(2), torch.ones(2)); F.channel_shuffle(torch.arange(8.0).view(1, 4, 1, 2), 2)
F.celu(a); F.prelu(a, torch.tensor([0.25])); F.rrelu(a); F.threshold(a, 0.1, 20.0); F.softmin(a, 1); F.hardshrink(a); F.softshrink(a); F.gumbel_softmax(a, tau=1.0).sum(1); F.bilinear(a, b, torch.ones(2, 3, 3)); F.embedding_bag(k, b.t(), torch.tensor([0, 1])); F.cosine_embedding_loss(a, b, torch.tensor([1.0, -1.0])); F.margin_ranking_loss(v, v.flip(0), torch.ones(3)); F.triplet_margin_loss(a, b, a * 2); F.poisson_nll_loss(a, b.abs()); F.gaussian_nll_loss(a, b, torch.ones(2, 3)); F.hinge_embedding_loss(a, torch.ones(2, 3)); F.soft_margin_loss(a, torch.ones(2, 3)); F.multi_margin_loss(a, k[:2]); F.multilabel_soft_margin_loss(a, m.float()); F.multilabel_margin_loss(a, torch.tensor([[0, 2, -1], [1, -1, -1]])); F.ctc_loss(torch.full((4, 1, 3), -1.0), torch.tensor([[1, 2]]), torch.tensor([4]), torch.tensor([2]))
torch.func.grad(lambda x: (x ** 2).sum())(v); torch.func.jacrev(lambda x: x ** 2)(v); torch.func.jacfwd(lambda x: x.sin())(v); torch.func.hessian(lambda x: (x ** 3).sum())(v); torch.func.vmap(lambda x: x @ x)(a); torch.func.jvp(lambda x: x * x, (v,), (v,))[1]; torch.func.vjp(lambda x: x * x, v)[1](v)[0]; torch.autograd.functional.jacobian(lambda x: x ** 2, v); torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), v); torch.autograd.grad((w ** 2).sum(), w)[0]; torch.vmap(torch.dot)(a, b)
F.smooth_l1_loss(a, b, beta=0.0); F.multi_margin_loss(v, torch.tensor([2]), p=2); F.multi_margin_loss(a, k[:2], p=2); a.tile(2); a.tile((2, 1, 2)); torch._foreach_add([v, v], 1.0)[1]; torch._foreach_mul([v], [s])[0]
"""

# constructor and inputs; parameters are set to the same numbers in both libraries
MODULES = {
    "Linear": ("nn.Linear(4, 3)", "r(2, 4)"),
    "Linear_no_bias": ("nn.Linear(4, 3, bias=False)", "r(4)"),
    "Bilinear": ("nn.Bilinear(3, 4, 2)", "r(2, 3), r(2, 4)"),
    "Identity": ("nn.Identity(7)", "r(2)"),
    "Sequential": ("nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))", "r(5, 3)"),
    "Conv1d": ("nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)", "r(2, 4, 9)"),
    "Conv2d": ("nn.Conv2d(2, 4, (3, 2), padding=(1, 0))", "r(2, 2, 5, 6)"),
    "Conv2d_same": ("nn.Conv2d(2, 2, 3, padding='same', padding_mode='circular')", "r(1, 2, 5, 5)"),
    "Conv2d_depthwise": ("nn.Conv2d(4, 8, 3, groups=4, bias=False)", "r(1, 4, 6, 5)"),
    "Conv3d": ("nn.Conv3d(1, 2, 2, stride=(1, 2, 1))", "r(1, 1, 3, 4, 3)"),
    "ConvTranspose1d": ("nn.ConvTranspose1d(3, 2, 3, stride=2, padding=1, output_padding=1)", "r(2, 3, 4)"),
    "ConvTranspose2d": ("nn.ConvTranspose2d(4, 2, 3, stride=2, groups=2, dilation=2)", "r(1, 4, 3, 3)"),
    "ConvTranspose3d": ("nn.ConvTranspose3d(1, 2, 2)", "r(1, 1, 2, 2, 3)"),
    "MaxPool1d": ("nn.MaxPool1d(3, stride=2)", "r(1, 2, 8)"),
    "MaxPool2d": ("nn.MaxPool2d(3, 2, padding=1, return_indices=True)", "r(1, 2, 6, 7)"),
    "MaxPool2d_ceil": ("nn.MaxPool2d(2, ceil_mode=True)", "r(1, 2, 5, 5)"),
    "MaxPool3d": ("nn.MaxPool3d(2)", "r(1, 1, 4, 4, 4)"),
    "MaxUnpool2d": ("nn.MaxUnpool2d(2)", "r(1, 1, 2, 2), torch.tensor([[[[0, 3], [9, 14]]]])"),
    "AvgPool1d": ("nn.AvgPool1d(2)", "r(1, 2, 7)"),
    "AvgPool2d": ("nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)", "r(1, 2, 6, 6)"),
    "AvgPool3d": ("nn.AvgPool3d(2, divisor_override=3)", "r(1, 1, 4, 2, 4)"),
    "LPPool2d": ("nn.LPPool2d(2, 2)", "r(1, 1, 4, 4).abs()"),
    "AdaptiveAvgPool1d": ("nn.AdaptiveAvgPool1d(3)", "r(1, 2, 7)"),
    "AdaptiveAvgPool2d": ("nn.AdaptiveAvgPool2d((None, 2))", "r(1, 2, 5, 5)"),
    "AdaptiveMaxPool2d": ("nn.AdaptiveMaxPool2d(2)", "r(1, 2, 5, 7)"),
    "ReflectionPad2d": ("nn.ReflectionPad2d(2)", "r(1, 1, 4, 5)"),
    "ReplicationPad1d": ("nn.ReplicationPad1d((1, 2))", "r(1, 2, 4)"),
    "CircularPad2d": ("nn.CircularPad2d(1)", "r(1, 1, 3, 3)"),
    "ZeroPad2d": ("nn.ZeroPad2d((1, 0, 2, 1))", "r(1, 1, 3, 3)"),
    "ConstantPad1d": ("nn.ConstantPad1d(2, 3.5)", "r(1, 2, 4)"),
    "BatchNorm1d": ("nn.BatchNorm1d(3)", "r(5, 3)"),
    "BatchNorm2d": ("nn.BatchNorm2d(2, momentum=None)", "r(3, 2, 4, 4)"),
    "BatchNorm3d_plain": ("nn.BatchNorm3d(2, affine=False, track_running_stats=False)", "r(2, 2, 2, 2, 2)"),
    "LayerNorm": ("nn.LayerNorm((3, 4), bias=False)", "r(2, 3, 4)"),
    "GroupNorm": ("nn.GroupNorm(2, 4)", "r(2, 4, 3)"),
    "InstanceNorm1d": ("nn.InstanceNorm1d(3, affine=True)", "r(2, 3, 5)"),
    "InstanceNorm2d": ("nn.InstanceNorm2d(2, track_running_stats=True)", "r(2, 2, 3, 3)"),
    "RMSNorm": ("nn.RMSNorm(5)", "r(2, 5)"),
    "LocalResponseNorm": ("nn.LocalResponseNorm(2)", "r(1, 4, 3)"),
    "Embedding": ("nn.Embedding(6, 3, padding_idx=1)", "torch.tensor([[0, 1], [5, 1]])"),
    "Embedding_max_norm": ("nn.Embedding(6, 3, max_norm=1.0)", "torch.tensor([0, 5])"),
    "EmbeddingBag": ("nn.EmbeddingBag(6, 3, mode='sum')", "torch.tensor([0, 5, 2, 2]), torch.tensor([0, 1])"),
    "EmbeddingBag_max": ("nn.EmbeddingBag(6, 3, mode='max')", "torch.tensor([[0, 5], [2, 2]])"),
    "RNN": ("nn.RNN(3, 4, num_layers=2, nonlinearity='relu')", "r(5, 2, 3)"),
    "LSTM": ("nn.LSTM(3, 4, num_layers=2, batch_first=True, bidirectional=True)", "r(2, 5, 3)"),
    "LSTM_projection": ("nn.LSTM(3, 4, proj_size=2)", "r(5, 2, 3)"),
    "GRU": ("nn.GRU(3, 4, bidirectional=True)", "r(5, 2, 3)"),
    "GRU_state": ("nn.GRU(3, 4)", "r(5, 3), r(1, 4)"),
    "RNNCell": ("nn.RNNCell(3, 4)", "r(2, 3)"),
    "LSTMCell": ("nn.LSTMCell(3, 4)", "r(2, 3), (r(2, 4), r(2, 4))"),
    "GRUCell": ("nn.GRUCell(3, 4)", "r(2, 3), r(2, 4)"),
    "MultiheadAttention": ("nn.MultiheadAttention(8, 2, batch_first=True)", "x8(2, 3), x8(2, 4), x8(2, 4)"),
    "MultiheadAttention_kv": ("nn.MultiheadAttention(8, 2, kdim=3, vdim=5, add_bias_kv=True)", "r(3, 2, 8), r(4, 2, 3), r(4, 2, 5)"),
    "TransformerEncoderLayer": ("nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)", "r(2, 5, 8)"),
    "TransformerEncoder": ("nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0, activation='gelu', norm_first=True), 2)", "r(5, 2, 8)"),
    "TransformerDecoderLayer": ("nn.TransformerDecoderLayer(8, 2, 16, 0.0)", "r(3, 2, 8), r(5, 2, 8)"),
    "Transformer": ("nn.Transformer(8, 2, 1, 1, 16, 0.0)", "r(3, 2, 8), r(4, 2, 8)"),
    "Flatten": ("nn.Flatten(0, 1)", "r(2, 3, 4)"),
    "Unflatten": ("nn.Unflatten(1, (2, 3))", "r(2, 6)"),
    "Fold": ("nn.Fold((4, 5), (2, 2), stride=2, padding=1)", "r(1, 8, 9)"),
    "Unfold": ("nn.Unfold(2, dilation=2)", "r(1, 2, 4, 4)"),
    "PixelShuffle": ("nn.PixelShuffle(2)", "r(1, 8, 2, 3)"),
    "PixelUnshuffle": ("nn.PixelUnshuffle(2)", "r(1, 2, 4, 2)"),
    "ChannelShuffle": ("nn.ChannelShuffle(2)", "r(1, 4, 2)"),
    "Upsample": ("nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)", "r(1, 2, 3, 3)"),
    "UpsamplingNearest2d": ("nn.UpsamplingNearest2d(size=(5, 4))", "r(1, 2, 3, 3)"),
    "CosineSimilarity": ("nn.CosineSimilarity(dim=0)", "r(3, 2), r(3, 2)"),
    "PairwiseDistance": ("nn.PairwiseDistance(p=1, keepdim=True)", "r(3, 2), r(3, 2)"),
    "ParameterList": ("L()", "r(2, 3)"),
    **{name: (f"nn.{name}()", "r(2, 3)") for name in (
        "ReLU", "ReLU6", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "Tanh", "LogSigmoid", "Softplus", "Softsign", "Tanhshrink", "Hardtanh", "Hardswish",
        "Hardsigmoid", "Hardshrink", "Softshrink", "LeakyReLU", "PReLU",
    )},
    "PReLU_channels": ("nn.PReLU(3)", "r(2, 3, 2)"),
    "Threshold": ("nn.Threshold(0.1, 20)", "r(2, 3)"),
    "GLU": ("nn.GLU()", "r(2, 4)"),
    "Softmax": ("nn.Softmax(dim=1)", "r(2, 3)"),
    "Softmin": ("nn.Softmin(dim=0)", "r(2, 3)"),
    "LogSoftmax": ("nn.LogSoftmax(dim=-1)", "r(2, 3)"),
    "Softmax2d": ("nn.Softmax2d()", "r(1, 3, 2, 2)"),
    "AdaptiveLogSoftmaxWithLoss": ("nn.AdaptiveLogSoftmaxWithLoss(16, 10, [3, 6])", "r(3, 16), torch.tensor([0, 4, 9])"),
    "CrossEntropyLoss": ("nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1)", "r(4, 3), torch.tensor([0, 2, 1, -100])"),
    "NLLLoss": ("nn.NLLLoss(ignore_index=1, reduction='sum')", "r(2, 3, 4), torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]])"),
    "KLDivLoss": ("nn.KLDivLoss(reduction='batchmean', log_target=True)", "r(2, 3), r(2, 3)"),
    "BCELoss": ("nn.BCELoss()", "r(2, 3).sigmoid(), r(2, 3).sigmoid().detach()"),
    "BCEWithLogitsLoss": ("nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0]))", "r(2, 3), r(2, 3).sigmoid().detach()"),
    "CTCLoss": ("nn.CTCLoss(zero_infinity=True)", "r(6, 2, 4).log_softmax(2), torch.tensor([[1, 2, 2], [3, 1, 0]]), torch.tensor([6, 5]), torch.tensor([3, 2])"),
    "TripletMarginLoss": ("nn.TripletMarginLoss(swap=True)", "r(3, 4), r(3, 4), r(3, 4)"),
    "MarginRankingLoss": ("nn.MarginRankingLoss(0.3)", "r(4), r(4), torch.tensor([1.0, -1.0, 1.0, 1.0])"),
    "GaussianNLLLoss": ("nn.GaussianNLLLoss(full=True)", "r(2, 3), r(2, 3), r(2, 3).abs() + 0.1"),
    "PoissonNLLLoss": ("nn.PoissonNLLLoss(full=True)", "r(2, 3), r(2, 3).abs().detach()"),
    "HuberLoss": ("nn.HuberLoss(delta=0.7)", "r(2, 3), r(2, 3)"),
    "SmoothL1Loss": ("nn.SmoothL1Loss(beta=0.5, reduction='none')", "r(2, 3), r(2, 3)"),
    "MultiLabelMarginLoss": ("nn.MultiLabelMarginLoss()", "r(2, 4), torch.tensor([[0, 2, -1, 1], [3, -1, 0, 0]])"),
    "MultiMarginLoss": ("nn.MultiMarginLoss(p=2, margin=0.5)", "r(3, 4), torch.tensor([1, 0, 3])"),
    "CosineEmbeddingLoss": ("nn.CosineEmbeddingLoss(margin=0.2)", "r(3, 4), r(3, 4), torch.tensor([1, -1, 1])"),
    "LazyLinear": ("nn.LazyLinear(3)", "r(2, 4)"),
    "LazyConv2d": ("nn.LazyConv2d(3, 2)", "r(1, 2, 4, 4)"),
    "LazyBatchNorm1d": ("nn.LazyBatchNorm1d()", "r(4, 3)"),
    "Dropout_eval": ("nn.Dropout(0.4).eval()", "r(2, 3)"),
    "AlphaDropout_eval": ("nn.AlphaDropout(0.4).eval()", "r(2, 3)"),
    "BatchNorm2d_eval": ("nn.BatchNorm2d(2).eval()", "r(2, 2, 2, 2)"),
}  # fmt: skip

OPTIMIZERS = {
    "SGD": [
        "lr=0.01",
        "lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1",
        "lr=1e-4, momentum=0.9, dampening=0.1, maximize=True",
    ],
    "Adam": [
        "lr=0.01",
        "lr=0.01, amsgrad=True, weight_decay=0.1",
        "lr=0.01, betas=(0.8, 0.9), eps=1e-3, maximize=True",
    ],
    "AdamW": ["lr=0.01", "lr=0.01, amsgrad=True"],
    "Adamax": ["", "weight_decay=0.1, maximize=True"],
    "NAdam": ["", "weight_decay=0.1, decoupled_weight_decay=True, momentum_decay=6e-3"],
    "RAdam": ["lr=0.01", "lr=0.01, weight_decay=0.1, decoupled_weight_decay=True"],
    "RMSprop": ["", "momentum=0.9, centered=True, weight_decay=0.1"],
    "Rprop": ["", "etas=(0.6, 1.3), step_sizes=(1e-3, 1)"],
    "Adagrad": ["", "lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1"],
    "Adadelta": ["", "rho=0.95, weight_decay=0.1, maximize=True"],
    "ASGD": ["", "t0=10, lambd=0.01, weight_decay=0.1"],
    "Adafactor": ["", "weight_decay=0.1, maximize=True"],
    "LBFGS": ["max_iter=4", "line_search_fn='strong_wolfe'", "lr=0.5, history_size=3, max_iter=6"],
}

SCHEDULERS = [
    "StepLR(o, 7)", "MultiStepLR(o, [3, 9, 9, 20])", "LambdaLR(o, lambda e: 0.9**e)", "MultiplicativeLR(o, lambda e: 0.95)", "ConstantLR(o)", "LinearLR(o, 0.2, 1.0, 9)",
    "ExponentialLR(o, 0.9)", "PolynomialLR(o, 20, 2.0)", "CosineAnnealingLR(o, 10, 0.001)", "CosineAnnealingWarmRestarts(o, 5, 2)", "CyclicLR(o, 0.001, 0.1, 5, mode='triangular2')",
    "CyclicLR(o, 0.001, 0.1, 5, 7, mode='exp_range', gamma=0.99)", "OneCycleLR(o, 0.1, total_steps=40)", "OneCycleLR(o, 0.1, total_steps=40, three_phase=True, anneal_strategy='linear')",
    "ReduceLROnPlateau(o, patience=2, threshold=0.05)", "SequentialLR(o, [S.LinearLR(o, 0.1, 1.0, 5), S.CosineAnnealingLR(o, 20)], [5])",
    "ChainedScheduler([S.ConstantLR(o, 0.5, 4), S.ExponentialLR(o, 0.9)])",
]  # fmt: skip

# a distribution, one to diverge from (or nothing), and values
DISTRIBUTIONS = [
    ("Normal(t(0.5, 1.0), t(1.0, 2.0))", "Normal(t(0.0, 0.0), t(2.0, 1.0))", "t(0.3, -2.0)"), ("LogNormal(t(0.1), t(0.5))", "", "t(0.3, 2.0)"), ("HalfNormal(t(2.0))", "", "t(0.3, 2.0)"),
    ("Uniform(t(0.0), t(2.0))", "Uniform(t(-1.0), t(3.0))", "t(0.3, 1.9)"), ("Exponential(t(1.5))", "Exponential(t(0.5))", "t(0.3, 1.9)"), ("Laplace(t(1.0), t(2.0))", "Laplace(t(0.0), t(1.0))", "t(0.3, -1.9)"),
    ("Cauchy(t(1.0), t(2.0))", "", "t(0.3, -1.9)"), ("Gumbel(t(1.0), t(2.0))", "", "t(0.3, -1.9)"), ("Gamma(t(0.5, 3.0), t(1.0, 2.0))", "Gamma(t(1.0, 1.0), t(2.0, 2.0))", "t(0.3, 1.9)"), ("Chi2(t(3.0))", "", "t(0.3, 1.9)"),
    ("Dirichlet(t(1.0, 2.0, 3.0))", "Dirichlet(t(2.0, 2.0, 2.0))", "t(0.2, 0.3, 0.5)"), ("Beta(t(0.5), t(2.0))", "Beta(t(1.5), t(1.0))", "t(0.3, 0.9)"), ("StudentT(t(3.0), t(0.0), t(2.0))", "", "t(0.3, -1.9)"),
    ("Bernoulli(t(0.3, 0.8))", "Bernoulli(t(0.5, 0.5))", "t(0.0, 1.0)"), ("Bernoulli(logits=t(0.3, -0.8))", "", "t(0.0, 1.0)"), ("Geometric(t(0.3))", "Geometric(t(0.6))", "t(0.0, 4.0)"),
    ("Categorical(t(0.2, 0.3, 0.5))", "Categorical(t(0.5, 0.3, 0.2))", "torch.tensor([0, 2])"), ("Categorical(logits=t(0.2, 0.3, 0.5))", "", "torch.tensor([0, 2])"), ("OneHotCategorical(t(0.2, 0.3, 0.5))", "", "t(0.0, 1.0, 0.0)"),
    ("Poisson(t(2.0, 7.0))", "Poisson(t(1.0, 9.0))", "t(3.0, 4.0)"), ("MultivariateNormal(torch.zeros(2), scale_tril=torch.tensor([[1.0, 0.0], [0.5, 2.0]]))", "", "t(0.3, -1.0)"),
    ("Independent(D.Normal(torch.zeros(3), torch.ones(3)), 1)", "", "t(0.3, -1.0, 2.0)"), ("Multinomial(5, t(0.2, 0.8))", "", "t(2.0, 3.0)"), ("TransformedDistribution(D.Normal(t(0.0), t(1.0)), [D.transforms.ExpTransform()])", "", "t(0.5, 1.0)"),
]  # fmt: skip


def lines_of(text):
    """The expressions of a table."""
    return [e.strip() for line in text.strip().splitlines() for e in line.split("; ") if e.strip().strip(";")]


def scope(library):
    """Names that the texts use, for one of the libraries."""
    found = {"torch": library, "np": np}
    exec(SETUP, found)
    return found


def plain(library, x):
    """A value as JSON can hold it, tensors by dtype, shape and elements."""
    if isinstance(x, library.Tensor):
        values = x.detach()
        values = values.to(library.float32) if values.dtype in (library.bfloat16, library.float16) else values
        return {
            "dtype": str(x.dtype),
            "shape": list(x.shape),
            "values": [float(e) if isinstance(e, float) else e for e in values.reshape(-1).tolist()],
        }
    if isinstance(x, (tuple, list)):
        return [plain(library, y) for y in x]
    return x if isinstance(x, (bool, int, float, str, type(None))) else str(x)


def assert_same(got, want, rtol=2e-5, atol=1e-6):
    """Equal, and close where there are floats."""
    if isinstance(want, dict):
        assert set(got) == set(want), (sorted(got), sorted(want))
        if "shape" in want and "values" in want:
            assert (got["dtype"], got["shape"]) == (want["dtype"], want["shape"])
            np.testing.assert_allclose(
                np.array(got["values"], np.float64), np.array(want["values"], np.float64), rtol=rtol, atol=atol
            )
        else:
            for key, value in want.items():
                assert_same(got[key], value, rtol, atol)
    elif isinstance(want, list):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            assert_same(g, w, rtol, atol)
    elif isinstance(want, float):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)
    else:
        assert got == want


def assert_agree(table, got, want):
    """A fact of a table and what is recorded of it: an error may be of several classes, PyTorch's among them."""
    if table == "errors":
        assert got and (set(want) <= set(got) or want[0] == "AssertionError"), f"raises {got}, PyTorch {want}"
    else:
        assert_same(json.loads(json.dumps(got)), want, rtol=1e-4, atol=1e-5)


def expression_facts(library, line):
    library.manual_seed(0)
    return plain(library, eval(line, scope(library)))


def statement_facts(library, code):
    space = scope(library)
    exec(code, space)
    return plain(library, space["out"])


def error_facts(library, code):
    """The names of the built-in classes of the error that the code raises."""
    try:
        exec(code, scope(library))
    except Exception as error:
        return [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"]
    return []


def flat(library, x):
    if isinstance(x, library.Tensor):
        return [x]
    return [y for part in x for y in flat(library, part)] if isinstance(x, (tuple, list)) else []


def digest(library, x):
    """A tensor by its shape, some elements and sums."""
    values = x.detach().reshape(-1).to(library.float64)
    return {
        "shape": list(x.shape),
        "dtype": str(x.dtype),
        "first": values[:4].tolist(),
        "sum": float(values.sum()),
        "size": float(values.abs().sum()),
    }


def module_facts(library, name):
    """What a module prints, holds, gives, and hands to gradients."""
    make, inputs = MODULES[name]
    count = itertools.count(1)

    def numbers(shape):
        return library.tensor(np.sin(np.arange(math.prod(shape)) * 1.7 + next(count)).reshape(shape).astype(np.float32))

    def r(*shape):
        return (1.5 * numbers(shape)).requires_grad_()

    class L(library.nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = library.nn.ParameterList(
                [library.nn.Parameter(library.ones(3)), library.nn.Parameter(library.full((3,), 2.0))]
            )

        def forward(self, x):
            return x * self.weights[0] + self.weights[1]

    space = {"torch": library, "nn": library.nn, "r": r, "x8": lambda *shape: r(*shape, 8), "L": L}
    module = eval(make, space)
    given = eval(f"({inputs},)", space)
    if "Lazy" in name:
        module(*given)
    with library.no_grad():
        for p in module.parameters():
            p.copy_(numbers(tuple(p.shape)) / 2)
    results = flat(library, module(*given))
    smooth = [y for y in results if y.requires_grad]
    if smooth:
        sum((y * library.arange(1, y.numel() + 1).reshape(y.shape) / y.numel()).sum() for y in smooth).backward()
    return {
        "repr": repr(module),
        "results": [digest(library, y) for y in results],
        "state": {key: digest(library, value) for key, value in module.state_dict().items()},
        "gradients": {key: None if p.grad is None else digest(library, p.grad) for key, p in module.named_parameters()},
        "input_gradients": [digest(library, x.grad) for x in flat(library, given) if x.requires_grad and x.is_leaf],
    }


def trajectory(library, name, settings, scheduler=None, steps=100):
    """Where an optimizer stands after some steps, or the rates that a scheduler gave it."""
    starts = [
        np.sin(np.arange(1, 13)).reshape(4, 3),
        np.cos(np.arange(1, 4)),
        np.sin(np.arange(5, 17)).reshape(2, 3, 2),
    ]
    targets = [library.tensor(np.cos(3 * s)) for s in starts]
    parameters = [library.nn.Parameter(library.tensor(s.copy())) for s in starts]
    optimizer = eval(f"make(parameters, {settings})", {"make": getattr(library.optim, name), "parameters": parameters})
    schedule = scheduler and eval(f"S.{scheduler}", {"S": library.optim.lr_scheduler, "o": optimizer})
    rates = []

    def closure():
        optimizer.zero_grad()
        loss = sum((((p - t) ** 2) * (1 + 0.3 * (p * t).sin())).sum() for p, t in zip(parameters, targets, strict=True))
        loss.backward()
        return loss

    for _ in range(steps):
        loss = optimizer.step(closure) if name == "LBFGS" else (closure(), optimizer.step())[0]
        if schedule is not None:
            schedule.step(*([loss.item()] if "Plateau" in scheduler else []))  # the loss before the step
            rates += [[g["lr"], g.get("momentum", 0)] for g in optimizer.param_groups]
    if schedule is not None:
        return rates
    state = optimizer.state_dict()
    return {
        "values": [p.detach().reshape(-1).tolist() for p in parameters],
        "state": sorted(state["state"].get(0, {})),
        "settings": sorted(state["param_groups"][0]),
    }


def distribution_facts(library, made, other, values):
    """Density, entropy, moments, divergence."""
    D = library.distributions
    space = {name: getattr(D, name) for name in dir(D)} | {
        "D": D,
        "torch": library,
        "t": lambda *xs: library.tensor([float(x) for x in xs]),
    }
    d = eval(made, space)
    found = {"log_prob": d.log_prob(eval(values, space)), "batch": list(d.batch_shape), "event": list(d.event_shape)}
    for what in ("entropy", "mean", "variance"):
        try:
            value = getattr(d, what)
            found[what] = value() if callable(value) else value
        except NotImplementedError:
            found[what] = None
    found["kl"] = D.kl_divergence(d, eval(other, space)) if other else None
    return {key: plain(library, value) for key, value in found.items()}


def facts(library):
    """All that is recorded: by table and case."""
    expressions = lines_of(EXPRESSIONS) + lines_of(MORE)
    return {
        "expressions": lambda case: expression_facts(library, case), "statements": lambda case: statement_facts(library, case), "errors": lambda case: error_facts(library, case),
        "reprs": lambda case: repr(eval(case, scope(library))), "modules": lambda case: module_facts(library, case),
        "optimizers": lambda case: trajectory(library, *case.split("(", 1)[0:1], case.split("(", 1)[1][:-1], steps=5 if case.startswith("LBFGS") else 100),
        "schedulers": lambda case: trajectory(library, "SGD", "lr=0.05, momentum=0.9", case, 38), "distributions": lambda case: distribution_facts(library, *json.loads(case)),
    }, {
        "expressions": expressions, "statements": STATEMENTS, "errors": ERRORS, "reprs": lines_of(REPRS), "modules": list(MODULES),
        "optimizers": [f"{kind}({settings})" for kind, cases in OPTIMIZERS.items() for settings in cases], "schedulers": SCHEDULERS,
        "distributions": [json.dumps(case) for case in DISTRIBUTIONS],
    }  # fmt: skip
