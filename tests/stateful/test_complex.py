"""Complex tensors and Fourier transforms: against NumPy, and against PyTorch where it is installed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fdl
import fdl.stateful as torch
from fdl.core.errors import DtypeError, ShapeError
from fdl.ops import dft, dft_tables

R = np.random.default_rng(7)


def numbers(*shape):
    return (R.normal(size=shape) + 1j * R.normal(size=shape)).astype(np.complex64)


def close(got, want, tol=2e-5):
    want = np.asarray(want)
    assert tuple(got.shape) == want.shape
    np.testing.assert_allclose(got.numpy(force=True), want, rtol=tol, atol=tol * max(1, np.abs(want).max(initial=0)))


A, B, M, W = numbers(3, 4), numbers(3, 4), numbers(4, 4), numbers(4, 2)
UNARY = (
    "exp log sqrt square reciprocal sin cos tan sinh cosh tanh log2 log10 log1p expm1 asinh acosh atanh asin "
    "acos atan conj abs angle"
).split()
PLAIN = {
    "conj": np.conj, "angle": np.angle, "square": np.square, "reciprocal": np.reciprocal, "abs": np.abs,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan,
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_each_element(name):
    close(getattr(torch.tensor(A), name)(), PLAIN.get(name, getattr(np, name, None))(A), 1e-4)


def test_roots_and_sizes_at_the_ends():
    z = torch.tensor([-1 + 0j, 0j, 4 + 0j, -0.0 - 1j, 3e30 + 4e30j])
    close(z[:4].sqrt(), np.sqrt(np.array([-1, 0, 4, -1j], np.complex64)))
    np.testing.assert_allclose(z.abs().numpy(), [1, 0, 4, 1, 5e30], rtol=1e-6)
    tiny = torch.tensor(3e-30 + 4e-30j)
    assert math.isclose(tiny.abs().item(), 5e-30, rel_tol=1e-5)
    x = torch.tensor(0j, requires_grad=True)
    x.abs().backward()
    assert x.grad.item() == 0


def test_arithmetic_with_all_kinds_of_operands():
    a, b = torch.tensor(A), torch.tensor(B)
    real = torch.tensor(A.real.copy())
    for got, want in [
        (a + b, A + B), (a - b, A - B), (a * b, A * B), (a / b, A / B), (a + 2, A + 2), (2j * a, 2j * A),
        (1 / a, 1 / A), (1j - a, 1j - A), (real * 1j, A.real * 1j),
        (real + a, A.real + A), (a * real, A * A.real), (real / a, A.real / A), (a**3, A**3), (a**-2, A**-2.0),
        (a**0.5, A**0.5), (2.0**a, 2.0**A),
        (-a, -A), (a @ torch.tensor(M), A @ M),
    ]:  # fmt: skip
        close(got, want, 2e-4)
    assert (
        (a == a).all()
        and not (a == b).any()
        and (a != b).all()
        and torch.allclose(a, a + 1e-9)
        and torch.equal(a, a.clone())
    )
    assert (torch.ones(2, dtype=torch.float64) * 1j).dtype == torch.complex128 and (
        torch.ones(2, dtype=torch.int64) + 1j
    ).dtype == torch.complex64


def test_what_moves_and_adds_elements():
    a = torch.tensor(A)
    for got, want in [
        (a.reshape(2, 6), A.reshape(2, 6)), (a.T, A.T), (a.mH, A.conj().T), (a[1], A[1]), (a[:, ::2], A[:, ::2]),
        (a[torch.tensor([2, 0])], A[[2, 0]]),
        (a[a.real > 0], A[A.real > 0]),
        (a.sum(), A.sum()), (a.mean(1), A.mean(1)), (a.cumsum(0), A.cumsum(0)), (a.prod(1), A.prod(1)),
        (a.cumprod(1), A.cumprod(1)), (torch.stack([a, a], 1), np.stack([A, A], 1)),
        (torch.cat([a, torch.ones(1, 4)]), np.concatenate([A, np.ones((1, 4))])), (a.flip(0), A[::-1]),
        (a.roll(1, 1), np.roll(A, 1, 1)),
        (torch.where(a.real > 0, a, 0), np.where(A.real > 0, A, 0)),
        (a.masked_fill(a.real > 0, 2), np.where(A.real > 0, 2, A)),
        (a.unsqueeze(0).expand(2, 3, 4), np.broadcast_to(A, (2, 3, 4))), (torch.tensor(M).diagonal(), M.diagonal()),
        (a.norm(), np.linalg.norm(A)), (a.var(), A.var(ddof=1)), (torch.einsum("ij,kj->ik", a, a), A @ A.T),
        (torch.linalg.inv(torch.tensor(M)), np.linalg.inv(M)),
        (torch.linalg.solve(torch.tensor(M), torch.tensor(W)), np.linalg.solve(M, W)),
        (torch.vdot(a[0], a[1]), np.vdot(A[0], A[1])),
    ]:  # fmt: skip
        close(got, want, 5e-4)


def test_in_place_and_through_views():
    pairs = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    z = torch.view_as_complex(pairs)
    z *= 1j
    z[0] = 5
    assert pairs.tolist() == [[5, 0], [-4, 3]] and torch.view_as_real(z).tolist() == pairs.tolist()
    z.real.zero_()
    assert z.tolist() == [0, 3j]
    z.add_(1 - 1j).conj_physical_()
    assert z.tolist() == [1 + 1j, 1 - 2j]
    z.fill_(2j)
    assert z.tolist() == [2j, 2j]


def test_types_and_printing():
    z = torch.tensor([1 + 2j])
    assert (
        z.dtype == torch.complex64 == torch.cfloat
        and z.is_complex()
        and torch.is_complex(z)
        and z.dtype.is_complex
        and not z.is_floating_point()
    )
    assert (
        torch.tensor(A.astype(np.complex128)).dtype == torch.complex128
        and z.to(torch.complex128).dtype == torch.cdouble
    )
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        assert z.to(torch.float64).tolist() == [1]
    assert torch.zeros(2, dtype=torch.cfloat).tolist() == [0j, 0j] and torch.ones(1).to(torch.cfloat).tolist() == [
        1 + 0j
    ]
    assert (
        torch.full((2,), 1j).tolist() == [1j, 1j]
        and torch.randn(3, dtype=torch.cfloat).shape == (3,)
        and z.item() == 1 + 2j
        and complex(z) == 1 + 2j
    )
    assert repr(torch.tensor([1 + 2j, -0.5 - 1j])) == "tensor([ 1.0000+2.j, -0.5000-1.j])"
    with pytest.raises(RuntimeError, match=r"complex64 is not supported"):
        z.softmax(0)
    with pytest.raises(RuntimeError, match="real scalar"):
        torch.tensor(1j, requires_grad=True).backward()
    with pytest.raises(RuntimeError, match="last dimension of size 2"):
        torch.view_as_complex(torch.ones(3))


def test_training_a_complex_weight_compiles_and_descends():
    torch.manual_seed(0)
    w = torch.randn(4, 4, dtype=torch.cfloat, requires_grad=True)
    x = torch.tensor(numbers(8, 4))
    losses = []
    for _ in range(40):
        loss = (x @ w - x * 1j).abs().pow(2).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


def test_loaders_stack_them():
    class Signals(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return torch.tensor(A[0]) * i, i

    (first, numbers), _ = torch.utils.data.DataLoader(Signals(), batch_size=2)
    close(first, np.stack([A[0] * 0, A[0]]))
    assert numbers.tolist() == [0, 1]


def test_under_functional_transforms():
    z = torch.tensor(A)
    gradient = fdl.grad(lambda z: (z * z).abs().sum())(z)
    close(gradient, 2 * A.conj(), 1e-4)  # of |z|^2, as JAX has it
    close(torch.func.grad(lambda z: (z * z).abs().sum())(z), 2 * A, 1e-4)  # as PyTorch has it
    close(fdl.jit(lambda z: z.exp())(z), np.exp(A), 1e-4)
    close(fdl.vmap(lambda z: z.sum())(z), A.sum(1), 1e-4)


# Fourier transforms


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700), st.booleans(), st.booleans())
def test_transforms_of_any_length(n, inverse, real):
    x, y = R.normal(size=(2, 2, n))
    want = np.fft.ifft(x + 1j * y * (not real)) * n if inverse else np.fft.fft(x + 1j * y * (not real))
    re, im = dft(x, None if real else y, inverse=inverse)
    np.testing.assert_allclose(np.asarray(re) + 1j * np.asarray(im), want, atol=1e-12 * n)


@pytest.mark.parametrize("n", [1, 2, 30, 64, 97, 257, 509, 1000, 1024, 1009, 2018])
def test_compiled_in_float32(n):
    x, y = R.normal(size=(2, 3, n)).astype(np.float32)
    re, im = fdl.jit(lambda x, y: dft(x, y))(x, y)
    want = np.fft.fft(x.astype(np.float64) + 1j * y)
    assert np.abs(np.asarray(re) + 1j * np.asarray(im) - want).max() < 1e-6 * np.abs(want).max()


def test_axes_constants_and_errors():
    x = R.normal(size=(3, 5, 2))
    re, im = dft(x, axis=1, constants=dft_tables(5, False, True, "float64"))
    np.testing.assert_allclose(np.asarray(re) + 1j * np.asarray(im), np.fft.fft(x, axis=1), atol=1e-13)
    with pytest.raises(DtypeError):
        dft(np.arange(3))
    with pytest.raises(ShapeError):
        dft(np.ones((2, 0)))


X, Z = R.normal(size=(4, 6, 9)).astype(np.float32), numbers(4, 6, 9)
COMPLEX = "fft ifft fft2 ifft2 fftn ifftn hfft irfft irfft2 irfftn fftshift ifftshift".split()
REAL = "rfft rfft2 rfftn ihfft".split()


@pytest.mark.parametrize("name", COMPLEX + REAL)
def test_as_numpy(name):
    given = X if name in REAL else Z
    calls = [{}] if "shift" in name else [{"norm": norm} for norm in (None, "ortho", "forward")]
    calls += (
        [{"n": 5}, {"n": 12}]
        if name in ("fft", "ifft", "hfft", "irfft", "rfft", "ihfft")
        else [{"s": (5, 8)}]
        if name.endswith(("2", "n")) and "fft" in name
        else []
    )
    for kwargs in calls:
        close(
            getattr(torch.fft, name)(torch.tensor(given), **kwargs),
            getattr(np.fft, name)(given, **({"axes": (-2, -1)} if "s" in kwargs else {}), **kwargs),
            1e-5,
        )


def test_frequencies():
    close(torch.fft.fftfreq(7, 0.5), np.fft.fftfreq(7, 0.5))
    close(torch.fft.rfftfreq(6), np.fft.rfftfreq(6))


def programs(torch):
    """Gradients through complex values, line by line."""
    log = []
    z = torch.tensor(A, requires_grad=True)
    x = torch.tensor(X, requires_grad=True)
    for loss in (
        z.abs().sum(), (z * torch.tensor(B)).real.sum(), z.exp().imag.sum(), (z / torch.tensor(B)).abs().sum(),
        (z @ torch.tensor(M)).abs().pow(2).sum(), z.sqrt().angle().sum(),
        torch.view_as_real(z).pow(2).sum(), (z**3).real.sum(), z.tanh().abs().sum(), z.prod(0).abs().sum(),
        z.conj().log().imag.sum(), torch.fft.fft(z).abs().sum(),
        torch.fft.irfft(z, n=5).pow(3).sum(), z[1:, ::2].mean().abs(),
    ):  # fmt: skip
        log.append(torch.autograd.grad(loss, z)[0].resolve_conj().numpy())
    for loss in (
        torch.fft.rfft2(x).abs().sum(),
        torch.fft.ihfft(x).abs().sum(),
        torch.polar(x.exp(), x).imag.sum(),
        torch.view_as_complex(x[..., :2].contiguous()).abs().sum(),
    ):
        log.append(torch.autograd.grad(loss, x)[0].numpy())
    log.append(torch.autograd.grad(z * z, z, torch.tensor(B))[0].resolve_conj().numpy())
    return log


@pytest.mark.peers
def test_gradients_as_in_torch():
    theirs = pytest.importorskip("torch")
    for k, (ours, want) in enumerate(zip(programs(torch), programs(theirs), strict=True)):
        np.testing.assert_allclose(ours, want, rtol=2e-3, atol=2e-3, err_msg=str(k))


@pytest.mark.peers
def test_printing_as_in_torch():
    theirs = pytest.importorskip("torch")
    for values in ([1 + 2j, 3.5 - 1j], [0.25j, -1], [[1e-3 + 1j, 2], [3, 4j]], 1j, [1e6 + 1j, 1.5], []):
        z = np.asarray(values, np.complex64)
        assert repr(torch.tensor(z)) == repr(theirs.tensor(z)), values
    assert repr(torch.tensor(A.astype(np.complex128))) == repr(theirs.tensor(A.astype(np.complex128)))
    assert repr(torch.tensor([1j], requires_grad=True)) == repr(theirs.tensor([1j], requires_grad=True))


def test_rotary_embedding_is_replayed():
    """What models do with complex numbers most: turn pairs by angles."""
    torch.manual_seed(1)
    layer = torch.nn.Linear(8, 8)
    turns = torch.polar(torch.ones(5, 4), torch.outer(torch.arange(5.0), torch.tensor([1.0, 0.1, 0.01, 0.001])))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    x, losses = torch.randn(2, 5, 8), []
    for _ in range(25):
        q = torch.view_as_complex(layer(x).float().reshape(2, 5, 4, 2))
        out = torch.view_as_real(q * turns).flatten(2).type_as(x)
        loss = (out - x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


# Spectra over time


@pytest.mark.parametrize("normalized", [False, True])
def test_spectra_of_pieces(normalized):
    x = R.normal(size=(2, 40)).astype(np.float32)
    window = np.hanning(9)[:8].astype(np.float32)
    got = torch.stft(
        torch.tensor(x), 8, 3, window=torch.tensor(window), center=False, normalized=normalized, return_complex=True
    )
    want = np.stack(
        [np.fft.rfft(x[:, k : k + 8] * window, norm="ortho" if normalized else None) for k in range(0, 33, 3)], -1
    )
    close(got, want)
    assert torch.stft(torch.tensor(x), 8, window=torch.tensor(window), return_complex=False).shape == (2, 5, 21, 2)


def test_spectra_go_back_to_the_signal():
    x = torch.randn(3, 50, requires_grad=True)
    for kwargs in ({}, {"hop_length": 4}, {"win_length": 12}, {"normalized": True}):
        window = torch.hann_window(kwargs.get("win_length", 16))
        back = torch.istft(
            torch.stft(x, 16, window=window, return_complex=True, **kwargs), 16, window=window, length=50, **kwargs
        )
        np.testing.assert_allclose(back[:, :44].detach().numpy(), x[:, :44].detach().numpy(), atol=1e-4)
    (gradient,) = torch.autograd.grad(back[:, :40].sum(), x)
    np.testing.assert_allclose(gradient[:, :40].numpy(), 1, atol=1e-3)
    with pytest.raises(RuntimeError, match="return_complex"):
        torch.stft(x, 16)
    with pytest.raises(RuntimeError, match="complex-valued"):
        torch.istft(x, 16)


def test_windows():
    for name, want in {
        "hann": np.hanning(9),
        "hamming": np.hamming(9),
        "blackman": np.blackman(9),
        "bartlett": np.bartlett(9),
    }.items():
        window = getattr(torch.signal.windows, name)
        np.testing.assert_allclose(window(9).numpy(), want, atol=1e-6)
        np.testing.assert_allclose(window(8, sym=False).numpy(), want[:8], atol=1e-6)
    np.testing.assert_allclose(torch.signal.windows.kaiser(7, beta=5.0).numpy(), np.kaiser(7, 5), rtol=1e-5)
    assert torch.signal.windows.hann(1).tolist() == [1] and torch.signal.windows.hann(0).tolist() == []


# Parameters and files


def spectral(torch):
    """A layer of a Fourier neural operator: its weights are complex."""

    class Spectral(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(W0))
            self.head = torch.nn.Linear(3, 2)
            self.register_buffer("turns", torch.tensor(A[0]))

        def forward(self, x):
            modes = torch.fft.rfft(x, dim=1)[:, :4]
            out = torch.einsum("bmi,mio->bmo", modes, self.weight) * self.turns[:, None]
            return self.head(torch.fft.irfft(out, n=x.shape[1], dim=1))

    return Spectral()


W0 = numbers(4, 2, 3) * 0.3


def trained(torch, steps=12):
    net = spectral(torch)
    with torch.no_grad():
        net.head.weight.fill_(0.2)
        net.head.bias.zero_()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    x = torch.tensor(np.sin(np.arange(60, dtype=np.float32)).reshape(3, 10, 2))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (net(x) - x).pow(2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return net, losses


def test_complex_parameters_train():
    net, losses = trained(torch)
    assert losses[-1] < losses[0] and [n for n, _ in net.named_parameters()] == ["weight", "head.weight", "head.bias"]
    assert repr(net.weight).startswith("Parameter containing:\ntensor([[[")
    gradient = fdl.grad(lambda net, x: net(x).pow(2).sum())(net, torch.ones(1, 10, 2))
    assert gradient.weight.shape == net.weight.shape and gradient.weight.dtype == torch.complex64


@pytest.mark.peers
def test_complex_parameters_train_as_in_torch():
    theirs = pytest.importorskip("torch")
    ours, want = trained(torch), trained(theirs)
    np.testing.assert_allclose(ours[1], want[1], rtol=1e-3)
    np.testing.assert_allclose(ours[0].weight.detach().numpy(), want[0].weight.detach().numpy(), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("format", ["safetensors", "pt"])
def test_complex_tensors_in_files(tmp_path, format):
    net = spectral(torch)
    torch.save({"net": net.state_dict(), "z": torch.tensor(1j)}, tmp_path / "f", format=format)
    state = torch.load(tmp_path / "f")
    assert state["z"].item() == 1j
    other = spectral(torch)
    with torch.no_grad():
        other.weight.zero_()
    other.load_state_dict(state["net"])
    np.testing.assert_array_equal(other.weight.detach().numpy(), W0)


@pytest.mark.peers
def test_complex_tensors_in_files_of_torch(tmp_path):
    theirs = pytest.importorskip("torch")
    theirs.save({"z": theirs.tensor(A)}, tmp_path / "theirs.pt")
    np.testing.assert_array_equal(torch.load(tmp_path / "theirs.pt")["z"].numpy(), A)
    torch.save({"z": torch.tensor(A)}, tmp_path / "ours.pt", format="pt")
    np.testing.assert_array_equal(theirs.load(tmp_path / "ours.pt")["z"].numpy(), A)


def test_layers_of_complex_numbers_are_made_and_filled():
    """Both parts of uniform numbers lie in the range; normal ones have half the variance in each part, and the mean is
    the real part's.
    """
    layer = torch.nn.Linear(40, 50, dtype=torch.complex64)
    assert layer.weight.dtype is layer.bias.dtype is torch.complex64
    parts = torch.view_as_real(layer.weight.detach())
    assert 0.15 < parts.abs().max() <= 40**-0.5 and parts.abs().min(0).values.min() < 0.01
    assert layer(torch.ones(3, 40, dtype=torch.complex64)).shape == (3, 50)
    assert torch.nn.Conv2d(1, 1, 2, dtype=torch.complex128).weight.dtype is torch.complex128
    assert layer.float().half().double().bfloat16().weight.dtype is torch.complex64
    assert layer.to(torch.complex128).weight.dtype is torch.complex128
    torch.manual_seed(0)
    z = torch.zeros(4000, dtype=torch.complex128).normal_(3.0, 2.0)
    assert abs(z.mean().item() - 3) < 0.15 and abs(z.real.std().item() - 2**0.5) < 0.1
    assert abs(z.imag.std().item() - 2**0.5) < 0.1
    assert torch.normal(0.0, 1.0, (3,), dtype=torch.complex64).dtype is torch.complex64
    z.conj().uniform_(1, 2)
    assert z.real.min() >= 1 and z.imag.max() <= -1


def test_parts_take_numbers():
    z = torch.zeros(2, dtype=torch.complex64)
    z.real, z.imag = 5, np.ones(2)
    assert z.tolist() == [5 + 1j, 5 + 1j]
    z.conj().imag = 3.0
    assert z.tolist() == [5 - 3j, 5 - 3j]
    with pytest.raises(TypeError, match=r"copy_\(\): argument 'other' \(position 1\) must be Tensor, not int"):
        z.copy_(5)


def test_what_complex_numbers_are_refused_by():
    z = torch.tensor([3 + 4j, 0.5j], requires_grad=True)
    with pytest.raises(RuntimeError, match="view is not supported for conjugate view tensors"):
        z.detach().conj().view(torch.float32)
    with pytest.raises(RuntimeError, match=r"Got 3-D tensor\. For batches of matrices, consider using tensor\.mH"):
        z.view(1, 1, 2).H  # noqa: B018
    with pytest.raises(RuntimeError, match="Expected both inputs to be Half, Float or Double tensors"):
        torch.polar(torch.tensor([1]), torch.tensor([2]))
    for refused in (
        lambda: torch.nn.functional.mse_loss(z, z),
        lambda: torch.nn.functional.layer_norm(z, (2,)),
        lambda: (z.abs().sum().backward(), torch.nn.utils.clip_grad_value_([z], 1.0)),
    ):
        with pytest.raises(NotImplementedError):
            refused()


def test_lengths_of_complex_numbers():
    z = torch.tensor([3 + 4j, 12j], requires_grad=True)
    unit = torch.nn.functional.normalize(z, dim=0)
    close(unit.detach(), np.array([3 + 4j, 12j]) / 13)
    loss = torch.nn.functional.l1_loss(z, torch.zeros(2, dtype=torch.complex64))
    assert loss.dtype is torch.float32 and loss.item() == 8.5
    loss.backward()
    close(z.grad, [0.3 + 0.4j, 0.5j])


def test_dtypes_of_complex_numbers_and_of_their_parts():
    assert torch.tensor([1.0]).cfloat().dtype is torch.complex64
    assert torch.tensor([1]).cdouble().dtype is torch.complex128
    assert torch.complex128.to_real() is torch.float64 and torch.int8.to_real() is torch.int8
    assert torch.bfloat16.to_complex() is torch.complex64 and torch.complex64.to_complex() is torch.complex64
    assert (torch.finfo(torch.complex64).dtype, torch.finfo(torch.complex128).bits) == ("float32", 64)
    with pytest.raises(RuntimeError, match="Unknown Complex ScalarType for Int"):
        torch.int32.to_complex()
