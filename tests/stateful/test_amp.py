"""`torch.autocast` and `GradScaler` against what PyTorch 2.13 gave on a CPU: the dtype of each operation's result, and
scales and parameters along a run.
"""

from __future__ import annotations

import pickle

import pytest

import fdl
import fdl.stateful as torch

F, nn = torch.nn.functional, torch.nn

# Expressions by the dtypes that they had under `torch.autocast("cpu", torch.bfloat16)`: of float32 operands, of
# bfloat16, of both, of float64; "" where PyTorch raised.
RECORDED = {
    ("bfloat16", "bfloat16", "bfloat16", "float64"): [
        "torch.mm(x, y)",
        "x @ y",
        "torch.bmm(b, b)",
        "torch.addmm(x, x, y)",
        "torch.addbmm(x, b, b)",
        "torch.baddbmm(b, b, b)",
        "torch.einsum('ij,jk->ik', x, y)",
        "F.linear(x, y)",
        "F.linear(x, y, x[0])",
        "torch.linalg.vecdot(x, y)",
        "torch.matrix_power(x, 3)",
        "F.conv1d(b, b)",
        "F.conv2d(c, c)",
        "F.conv3d(d, d)",
        "F.conv_transpose1d(b, b)",
        "F.conv_transpose2d(c, c)",
        "F.conv_transpose3d(d, d)",
        "F.scaled_dot_product_attention(c, c, c)",
        "F.prelu(x, x[0])",
        "F.affine_grid(b[:, :2], (3, 1, 2, 2))",
    ],
    ("float32", "bfloat16", "float32", "float64"): [
        "torch.mv(x, x[0])",
        "torch.addmv(x[0], x, x[0])",
        "torch.dot(x[0], x[1])",
        "torch.addr(x, x[0], x[0])",
        "torch.outer(x[0], x[0])",
        "F.bilinear(x, x, b[:, :, :], None)",
        "torch.kron(x, y)",
        "torch.vdot(x[0], x[1])",
        "torch.softmax(x, 1)",
        "F.log_softmax(x, 1)",
        "x.exp()",
        "x.abs().log()",
        "x.abs() ** 1.5",
        "x.sum()",
        "x.mean()",
        "x.cumsum(0)",
        "x.cumprod(0)",
        "x.norm()",
        "torch.linalg.norm(x)",
        "torch.linalg.vector_norm(x)",
        "torch.linalg.matrix_norm(x)",
        "x.var()",
        "x.std()",
        "x + y",
        "x * y",
        "x / y",
        "F.relu(x)",
        "F.gelu(x)",
        "F.silu(x)",
        "torch.sigmoid(x)",
        "torch.tanh(x)",
        "F.softplus(x)",
        "F.layer_norm(x, (3,))",
        "F.group_norm(c, 1)",
        "F.batch_norm(x, None, None, training=True)",
        "F.instance_norm(c)",
        "F.rms_norm(x, (3,))",
        "F.dropout(x, 0.0)",
        "F.embedding(torch.tensor([0, 1]), x)",
        "F.max_pool2d(c, 2)",
        "F.avg_pool2d(c, 2)",
        "F.avg_pool1d(b, 2)",
        "F.max_pool1d(b, 2)",
        "F.adaptive_avg_pool2d(c, 1)",
        "F.lp_pool2d(c, 2.0, 2)",
        "F.interpolate(c, scale_factor=2)",
        "F.interpolate(c, scale_factor=2, mode='bilinear')",
        "F.interpolate(b, scale_factor=2, mode='linear')",
        "F.interpolate(c, scale_factor=2, mode='bicubic')",
        "F.interpolate(d, scale_factor=2, mode='trilinear')",
        "F.pad(b, (1, 1))",
        "F.pad(b, (1, 1), mode='circular')",
        "F.gaussian_nll_loss(x, y, x.abs() + 1)",
        "F.cosine_similarity(x, y)",
        "F.pairwise_distance(x, y)",
        "F.normalize(x)",
        "x.median()",
        "torch.logsumexp(x, 0)",
        "torch.dist(x, y)",
        "torch.renorm(x, 2, 0, 1.0)",
        "torch.linalg.matrix_exp(s)",
        "torch.fft.fftshift(x)",
        "torch.cat([x, y])",
        "torch.stack([x, y])",
        "torch.index_copy(x, 0, torch.tensor([0]), y[:1])",
        "torch.hstack([x, y])",
        "torch.where(x > 0, x, y)",
        "torch.addcmul(x, x, y)",
        "torch.atan2(x, y)",
        "torch.scatter_add(x, 0, torch.zeros(3, 3, dtype=torch.int64), x)",
        "x.cosh()",
        "x.abs().rsqrt()",
        "x.clamp(-1,1).acos()",
        "F.softmin(x, 1)",
        "F.glu(b[:, :, :2])",
        "F.unfold(c, 2)",
        "F.pixel_shuffle(torch.cat([c, c[:, :1]], 1), 2)",
        "F.hardtanh(x)",
        "F.embedding_bag(torch.tensor([0, 1]), x, torch.tensor([0]))",
    ],
    ("bfloat16", "bfloat16", "", "float64"): [
        "torch.tensordot(x, y, 1)",
        "torch.linalg.multi_dot([x, y, x])",
        "torch.inner(x, y)",
    ],
    ("float32", "float32", "float32", "float64"): [
        "x.prod()",
        "x.prod(0)",
        "F.avg_pool3d(d, 2)",
        "F.max_pool3d(d, 2)",
        "F.adaptive_avg_pool3d(d, 1)",
        "F.adaptive_max_pool3d(d, 1)",
        "F.grid_sample(c, c[:, :, :, :2])",
        "F.pad(b, (1, 1), mode='reflect')",
        "F.pad(c, (1, 1, 1, 1), mode='reflect')",
        "F.pad(b, (1, 1), mode='replicate')",
        "F.pad(c, (1, 1, 1, 1), mode='replicate')",
        "F.pad(d, (1, 1, 1, 1, 1, 1), mode='replicate')",
        "F.mse_loss(x, y)",
        "F.l1_loss(x, y)",
        "F.smooth_l1_loss(x, y)",
        "F.huber_loss(x, y)",
        "F.cross_entropy(x, t)",
        "F.cross_entropy(x, y.softmax(1))",
        "F.nll_loss(x, t)",
        "F.nll_loss(c, torch.zeros(3, 3, 3, dtype=torch.int64))",
        "F.kl_div(x, y.softmax(1), reduction='sum')",
        "F.binary_cross_entropy(x.sigmoid(), y.sigmoid())",
        "F.binary_cross_entropy_with_logits(x, y.sigmoid())",
        "F.cosine_embedding_loss(x, y, torch.ones(3))",
        "F.hinge_embedding_loss(x, torch.ones(3, 3))",
        "F.poisson_nll_loss(x, y)",
        "F.margin_ranking_loss(x[0], y[0], torch.ones(3))",
        "F.soft_margin_loss(x, torch.ones(3, 3))",
        "F.triplet_margin_loss(x, y, x)",
        "F.multi_margin_loss(x, t)",
        "F.multilabel_margin_loss(x, torch.zeros(3, 3, dtype=torch.int64))",
        "F.multilabel_soft_margin_loss(x, torch.ones(3, 3))",
        (
            "F.ctc_loss(c[0].log_softmax(2), torch.ones(3, 2, dtype=torch.int64), torch.tensor([3, 3, 3]), "
            "torch.tensor([1, 1, 1]))"
        ),
        "torch.cdist(x, y)",
        "torch.quantile(x, 0.5)",
        "torch.nanquantile(x, 0.5)",
        "torch.trace(x)",
        "torch.linalg.cholesky(s)",
        "torch.cholesky(s)",
        "torch.cholesky_inverse(s)",
        "torch.cholesky_solve(x, s)",
        "torch.inverse(s)",
        "torch.linalg.inv(s)",
        "torch.pinverse(s)",
        "torch.linalg.solve(s, x)",
        "torch.linalg.lstsq(s, x)[0]",
        "torch.linalg.qr(s)[0]",
        "torch.linalg.svd(s)[0]",
        "torch.linalg.svdvals(s)",
        "torch.linalg.eigh(s)[0]",
        "torch.linalg.eigvalsh(s)",
        "torch.linalg.cond(s)",
        "torch.linalg.tensorinv(s, ind=1)",
        "torch.linalg.tensorsolve(s, x[0])",
        "torch.fft.irfft(torch.fft.rfft(x))",
        "F.local_response_norm(c, 2)",
    ],
    ("float32", "", "float32", "float64"): [
        "F.pdist(x)",
        "torch.linalg.det(s)",
        "torch.linalg.slogdet(s)[1]",
        "torch.linalg.solve_triangular(s, x, upper=True)",
        "torch.logdet(s)",
    ],
    ("complex64", "complex64", "complex64", "complex128"): [
        "torch.polar(x.abs(), y)",
        "torch.stft(b.reshape(-1), 8, window=torch.ones(8), return_complex=True)",
        "torch.fft.fft(x)",
        "torch.fft.rfft(x)",
        "torch.fft.fft2(x)",
        "torch.view_as_complex(x.repeat(1, 2)[:, :2])",
    ],
    ("int64", "int64", "int64", "int64"): [
        "torch.linalg.matrix_rank(s)",
    ],
    ("float32", "bfloat16", "", "float64"): [
        "torch.linalg.cross(x, y)",
        "torch.lerp(x, y, 0.5)",
    ],
    ("float32", "bfloat16", "float32", ""): [
        "torch.nn.GRUCell(3, 3)(x, x)",
        "torch.nn.LSTMCell(3, 3)(x)[0]",
        "torch.nn.GRU(3, 3)(b)[0]",
        "torch.nn.TransformerEncoderLayer(3, 1, 4, batch_first=True)(b)",
        "torch.nn.BatchNorm1d(3)(x)",
    ],
    ("bfloat16", "bfloat16", "bfloat16", ""): [
        "torch.nn.RNNCell(3, 3)(x)",
        "torch.nn.LSTM(3, 3)(b)[0]",
        "torch.nn.RNN(3, 3)(b)[0]",
        "torch.nn.MultiheadAttention(3, 1, batch_first=True)(b, b, b)[0]",
        "torch.nn.MultiheadAttention(3, 1, batch_first=True)(b, b, b)[1]",
        "torch.nn.Linear(3, 2)(x)",
        "torch.nn.Conv2d(3, 2, 1)(c)",
    ],
}
CASES = [(expression, dtypes) for dtypes, expressions in RECORDED.items() for expression in expressions]


def result_dtype(expression, dtype, other, low):
    torch.manual_seed(0)
    x, y = torch.randn(3, 3).to(dtype), torch.randn(3, 3).to(other)
    b, c, d = (torch.randn(*(3,) * n).to(dtype) for n in (3, 4, 5))
    t, s = torch.tensor([0, 1, 2]), (torch.eye(3) * 3 + 0.1).to(dtype)
    names = {"torch": torch, "F": F, "x": x, "y": y, "b": b, "c": c, "d": d, "t": t, "s": s}
    with torch.autocast("cpu", dtype=low):
        return str(eval(expression, names).dtype).removeprefix("torch.")


@pytest.mark.parametrize(("expression", "dtypes"), CASES, ids=[expression for expression, _ in CASES])
def test_dtypes_of_results(expression, dtypes):
    low, single, double = torch.bfloat16, torch.float32, torch.float64
    given = [(single, single), (low, low), (single, low), (double, double)]
    found = [result_dtype(expression, *pair, low) if wanted else "" for pair, wanted in zip(given, dtypes, strict=True)]
    assert tuple(found) == dtypes
    if dtypes[0] in ("bfloat16", "float32") and "LSTM(" not in expression:  # PyTorch's LSTM knows no float16
        assert result_dtype(expression, single, single, torch.float16) == dtypes[0].replace("bfloat16", "float16")


def test_contexts_nest_and_end():
    x = torch.ones(2, 2)
    seen = []
    with torch.autocast("cpu"):
        seen.append((x @ x).dtype)
        with torch.autocast("cpu", enabled=False):
            seen += [(x @ x).dtype, torch.is_autocast_enabled("cpu")]
        with pytest.raises(ValueError), torch.autocast("cpu", dtype=torch.float16):
            seen += [(x @ x).dtype, torch.get_autocast_dtype("cpu")]
            raise ValueError
        seen.append((x @ x).dtype)
    bf, half, single = torch.bfloat16, torch.float16, torch.float32
    assert seen == [bf, single, False, half, half, bf]
    assert (x @ x).dtype == single and not torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == bf

    @torch.autocast("cpu", dtype=half)
    def product(x):
        return x @ x if x.ndim == 2 else product(x[0])

    assert product(x[None]).dtype == half and (x @ x).dtype == single


def test_devices_and_dtypes_that_are_not_there():
    with pytest.raises(ValueError, match=r"Expected `device_type` of type `str`, got: `<class 'int'>`"):
        torch.autocast(3)
    with pytest.raises(RuntimeError, match="device type at start of device string: abacus"):
        torch.autocast("abacus")
    with pytest.warns(UserWarning, match=r"CUDA is not available or torch_xla is imported. Disabling autocast."):
        context = torch.autocast("cuda")
    assert not context._enabled and context.fast_dtype == torch.float16
    with pytest.warns(UserWarning, match="In CPU autocast, but the target dtype is not supported"):
        context = torch.autocast("cpu", dtype=torch.float64)
    with context:
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with pytest.warns(FutureWarning, match=r"torch.cpu.amp.autocast\(args...\)"):
        assert torch.cpu.amp.autocast().device == "cpu"
    assert (
        not torch.is_autocast_enabled() and torch.is_autocast_cache_enabled() and torch.amp.is_autocast_available("cpu")
    )


def test_gradients_have_the_dtype_of_their_tensors():
    w = nn.Parameter(torch.ones(2, 2))
    for _ in range(2):  # a weight that is converted once is converted anew after backward, and after it was written
        with torch.autocast("cpu"):
            loss = (torch.ones(2, 2) @ w).sum() + (torch.full((2, 2), 2.0) @ w).sum()
            loss.backward()
            with torch.no_grad():
                w.add_(1)
            assert (torch.ones(2, 2) @ w)[0, 0].item() == 2 * w[0, 0].item()
    assert w.grad.dtype == torch.float32 and w.grad.tolist() == [[12.0, 12.0], [12.0, 12.0]]


def test_jitted_functions_know_the_state():
    w = torch.randn(3, 3)
    calls = []
    f = fdl.jit(lambda x: (calls.append(1), x @ w)[1])
    x = torch.randn(3, 3)
    found = []
    for _ in range(2):
        found.append(f(x).dtype)
        with torch.autocast("cpu"):
            found.append(f(x).dtype)
        with torch.autocast("cpu", dtype=torch.float16):
            found.append(f(x).dtype)
    assert found == [torch.float32, torch.bfloat16, torch.float16] * 2 and len(calls) == 3
    inside = fdl.jit(lambda x: torch.autocast("cpu")(torch.mm)(x, x))
    assert inside(x).dtype == torch.bfloat16 and torch.mm(x, x).dtype == torch.float32
    with torch.autocast("cpu"):
        assert fdl.grad(lambda w: (x @ w).sum())(w).dtype == torch.float32
        assert torch.func.vmap(lambda row: row @ w)(x).dtype == torch.bfloat16


def test_functions_with_a_backward_of_their_own():
    seen = []

    def made(**settings):
        class Square(torch.autograd.Function):
            @staticmethod
            @torch.amp.custom_fwd(device_type="cpu", **settings)
            def forward(ctx, x):
                ctx.save_for_backward(x)
                seen.append((x.dtype, torch.is_autocast_enabled("cpu")))
                return x * x

            @staticmethod
            @torch.amp.custom_bwd(device_type="cpu")
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                seen.append(torch.is_autocast_enabled("cpu"))
                return 2 * x * g

        return Square

    for square in (made(), made(cast_inputs=torch.float32)):
        x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
        with torch.autocast("cpu"):
            y = square.apply(x)
        y.float().sum().backward()
    assert seen == [(torch.bfloat16, True), True, (torch.float32, False), False]


# GradScaler

# PyTorch 2.13: gradients, both parameters, scale and count of good steps after each of twelve steps; SGD with momentum
# on one, Adam on the other; losses are infinite at steps 3 and 4 and not a number at step 8
INF, NAN = float("inf"), float("nan")
TRAJECTORY = [
    ([2.0, 4.0], [0.800000011920929, 1.600000023841858], [2.9000000953674316], 8.0, 1),
    ([1.600000023841858, 3.200000047683716], [0.46000000834465027, 0.9200000166893005], [2.800102710723877], 16.0, 0),
    (
        [0.9200000166893005, 1.840000033378601],
        [0.06199999898672104, 0.12399999797344208],
        [2.7003815174102783],
        16.0,
        1,
    ),
    ([INF, INF], [0.06199999898672104, 0.12399999797344208], [2.7003815174102783], 8.0, 0),
    (
        [0.12399999797344208, 0.24799999594688416],
        [-0.3086000084877014, -0.6172000169754028],
        [2.7003815174102783],
        4.0,
        0,
    ),
    (
        [-0.6172000169754028, -1.2344000339508057],
        [-0.5804200172424316, -1.1608400344848633],
        [2.6009135246276855],
        4.0,
        1,
    ),
    (
        [-1.1608400344848633, -2.3216800689697266],
        [-0.7089740037918091, -1.4179480075836182],
        [2.501779556274414],
        8.0,
        0,
    ),
    (
        [-1.4179480075836182, -2.8358960151672363],
        [-0.6828778386116028, -1.3657556772232056],
        [2.4030637741088867],
        8.0,
        1,
    ),
    ([NAN, NAN], [-0.6828778386116028, -1.3657556772232056], [2.304853916168213], 4.0, 0),
    (
        [-1.3657556772232056, -2.731511354446411],
        [-0.5228157043457031, -1.0456314086914062],
        [2.2072412967681885],
        4.0,
        1,
    ),
    (
        [-1.0456314086914062, -2.0912628173828125],
        [-0.27419665455818176, -0.5483933091163635],
        [2.1103203296661377],
        8.0,
        0,
    ),
    (
        [-0.5483933091163635, -1.096786618232727],
        [0.004399822559207678, 0.008799645118415356],
        [2.014188528060913],
        8.0,
        1,
    ),
]


def scaler(**settings):
    return torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2, **settings)


def test_scales_skipped_steps_and_growth_are_pytorchs():
    s = scaler()
    w, v = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor([3.0]))
    a, b = torch.optim.SGD([w], lr=0.1, momentum=0.9), torch.optim.Adam([v], lr=0.1)
    for k, (gradient, first, second, scale, count) in enumerate(TRAJECTORY):
        a.zero_grad()
        b.zero_grad()
        factor = INF if k in (3, 4) else NAN if k == 8 else 1.0
        loss = (w * w).sum() * (factor if k != 4 else 1.0) + (v * v).sum() * (factor if k != 8 else 1.0)
        s.scale(loss).backward()
        s.unscale_(a)
        assert w.grad.tolist() == pytest.approx(gradient, rel=1e-4, nan_ok=True)
        s.step(a)
        s.step(b)
        s.update()
        assert w.tolist() == pytest.approx(first, rel=1e-4) and v.tolist() == pytest.approx(second, rel=1e-5)
        assert (s.get_scale(), s._get_growth_tracker()) == (scale, count)
    state = {"scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2, "_growth_tracker": 1}
    assert s.state_dict() == state and pickle.loads(pickle.dumps(s)).state_dict() == state
    resumed = torch.amp.GradScaler("cpu")
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state and resumed.scale(torch.ones(1)).item() == 8.0


def test_scalers_that_are_off():
    with pytest.warns(UserWarning, match="GradScaler is enabled, but CUDA is not available"):
        absent = torch.amp.GradScaler()
    for s in (absent, torch.amp.GradScaler("cpu", enabled=False)):
        p = nn.Parameter(torch.ones(1))
        opt = torch.optim.SGD([p], lr=0.5)
        s.scale(p.sum()).backward()
        s.unscale_(opt)
        s.step(opt)
        s.update()
        assert p.item() == 0.5 and s.state_dict() == {} and s.get_scale() == 1.0 and not s.is_enabled()


STARTED = [
    (
        lambda s, a, b: (s.unscale_(a), s.unscale_(a)),
        RuntimeError,
        r"unscale_\(\) has already been called on this optimizer since the last update\(\).",
    ),
    (
        lambda s, a, b: (s.step(a), s.step(a)),
        RuntimeError,
        r"step\(\) has already been called since the last update\(\).",
    ),
    (lambda s, a, b: (s.step(a), s.unscale_(a)), RuntimeError, r"unscale_\(\) is being called after step\(\)."),
    (lambda s, a, b: s.step(b), AssertionError, "No inf checks were recorded for this optimizer."),
    (lambda s, a, b: s.update(), AssertionError, "No inf checks were recorded prior to update."),
    (
        lambda s, a, b: s.step(a, closure=lambda: 1),
        RuntimeError,
        "Closure use is not currently supported if GradScaler is enabled.",
    ),
]


def test_mistakes_with_scalers():
    p, q = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    a, b = torch.optim.SGD([p], lr=0.1), torch.optim.SGD([q], lr=0.1)
    for act, error, text in STARTED:
        s = scaler()
        s.scale(p.sum()).backward()
        with pytest.raises(error, match=text):
            act(s, a, b)
    for name in ("unscale_", "step", "update"):
        with pytest.raises(
            AssertionError,
            match=f"Attempted {name} but _scale is None.  This may indicate your script did not use scaler.scale",
        ):
            getattr(scaler(), name)(*([] if name == "update" else [a]))
    with pytest.raises(AssertionError, match=r"The growth factor must be > 1.0."):
        torch.amp.GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(AssertionError, match=r"The backoff factor must be < 1.0."):
        torch.amp.GradScaler("cpu", backoff_factor=1.0)
    with pytest.raises(RuntimeError, match="The source state dict is empty"):
        scaler().load_state_dict({})
    with pytest.raises(ValueError, match="outputs must be a Tensor or an iterable of Tensors"):
        scaler().scale(3)
    half = nn.Parameter(torch.ones(2, dtype=torch.float16))
    s = scaler()
    s.scale(half.sum()).backward()
    with pytest.raises(ValueError, match=r"Attempting to unscale FP16 gradients."):
        s.step(torch.optim.SGD([half], lr=0.1))


def test_a_step_in_mixed_precision_learns_and_is_jitted_as_it_is():
    def losses(wrapper):
        torch.manual_seed(0)
        m = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3))
        opt, s = torch.optim.AdamW(m.parameters(), lr=1e-2), torch.amp.GradScaler("cpu", init_scale=1024.0)

        def step(x, y):
            opt.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(m(x), y)
            s.scale(loss).backward()
            s.unscale_(opt)
            nn.utils.clip_grad_norm_(m.parameters(), 1.0)
            s.step(opt)
            s.update()
            return loss

        f = wrapper(step)
        x, y = torch.randn(32, 8), torch.randint(0, 3, (32,))
        return [f(x, y).item() for _ in range(20)]

    plain = losses(lambda f: f)
    assert plain[-1] < 0.8 * plain[0] and losses(fdl.jit) == pytest.approx(plain, rel=1e-4)
