"""Values and refusals recorded from PyTorch 2.13 that tests of fdl against itself had let pass."""

import math

import numpy as np
import pytest

import fdl.stateful as torch
from fdl.stateful.nn import functional as F

inf, nan = math.inf, math.nan


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([np.float64(3)], "float64"), ([1.0, np.float64(3)], "float64"),
        ([[np.float64(1)], [np.float64(2)]], "float64"), ([np.array([1.0, 2.0])], "float64"),
        ([np.float32(3)], "float32"), ([1.0, 2.0], "float32"), ([[1.0], [2]], "float32"), ([np.int8(3)], "int8"),
        ([np.bool_(True)], "bool"),
    ],
)  # fmt: skip
def test_numbers_of_numpy_keep_their_dtype(data, dtype):
    assert torch.tensor(data).dtype == getattr(torch, dtype)
    assert torch.as_tensor(data).dtype == getattr(torch, dtype)


def test_whole_numbers_are_counted_as_such():
    assert torch.arange(2.5, dtype=torch.int64).tolist() == [0, 1]
    assert torch.arange(0.5, 4, 1.5, dtype=torch.int64).tolist() == [0, 1, 2, 3]
    assert torch.arange(-2.5, 2.5, dtype=torch.int32).tolist() == [-2, -1, 0, 1, 2]
    assert torch.linspace(10, 1, 7, dtype=torch.int32).tolist() == [10, 8, 7, 5, 4, 2, 1]
    assert F.avg_pool2d(torch.arange(16).reshape(1, 1, 4, 4), 2).tolist() == [[[[2, 4], [10, 12]]]]
    with pytest.raises(NotImplementedError, match="int32"):
        F.avg_pool1d(torch.arange(8, dtype=torch.int32).reshape(1, 1, 8), 2)


def test_powers_of_linalg_go_up():
    assert torch.linalg.vander(torch.tensor([2, 3]), N=4).tolist() == [[1, 2, 4, 8], [1, 3, 9, 27]]
    for x in (torch.tensor(2.0), torch.tensor([2.0])):
        with pytest.raises(RuntimeError, match="N must be greater than 1"):
            torch.linalg.vander(x)


@pytest.mark.parametrize(
    ("driver", "residuals", "rank", "singular"),
    [
        (None, [], 2, []),
        ("gelsy", [], 2, []),
        ("gels", [0.0333], [], []),
        ("gelsd", [0.0333], 2, [9.7305, 0.5629]),
        ("gelss", [0.0333], 2, [9.7305, 0.5629]),
    ],
)
def test_least_squares_tell_what_the_driver_knows(driver, residuals, rank, singular):
    found = torch.linalg.lstsq(torch.tensor([[1.0, 2], [3, 4], [4, 7]]), torch.tensor([[1.0], [2], [3]]), driver=driver)
    np.testing.assert_allclose(found.solution.numpy(), [[0.3], [0.2667]], atol=1e-4)
    np.testing.assert_allclose(found.residuals.numpy(), residuals, atol=1e-4)
    assert found.rank.tolist() == rank
    np.testing.assert_allclose(found.singular_values.numpy(), singular, atol=1e-4)


def test_least_squares_of_wide_systems():
    found = torch.linalg.lstsq(torch.tensor([[1.0, 2, 3], [4, 5, 7]]), torch.tensor([[1.0], [2]]))
    want = np.linalg.lstsq([[1.0, 2, 3], [4, 5, 7]], [[1.0], [2]])[0]
    np.testing.assert_allclose(found.solution.numpy(), want, atol=1e-5)
    assert found.residuals.shape == (0,) and found.rank.item() == 2
    told = torch.linalg.lstsq(torch.tensor([[1.0, 2], [2, 4], [4, 8]]), torch.tensor([[1.0], [2], [3]]), driver="gelsd")
    assert told.residuals.shape == (0,) and told.rank.item() == 1


@pytest.mark.parametrize(
    ("values", "skip", "want"),
    [
        ([1.0, 2.0, 2.0, 3.0], False, [0.0, 0.5, 0.5, 0.0]), ([1.0, inf, inf], False, [0.0, 0.5, 0.5]),
        ([1.0, 2.0, 2.0, nan], True, [0.0, 0.5, 0.5, 0.0]),
        ([3.0, 1.0, 2.0], False, [0.0, 0.0, 1.0]),
        ([[1.0, 5.0, nan], [2.0, nan, 4.0]], False, [[0.0, 0.0, 0.5], [0.0, 0.5, 0.0]]),
    ],
)  # fmt: skip
def test_equal_medians_share_the_gradient(values, skip, want):
    x = torch.tensor(values, requires_grad=True)
    (x.nanmedian() if skip else x.median()).backward()
    assert x.grad.tolist() == want


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2)])
def test_a_batch_of_nothing_leaves_statistics_alone(shape):
    layer = torch.nn.BatchNorm1d(3) if len(shape) == 2 else torch.nn.BatchNorm2d(3)
    assert layer(torch.zeros(*shape)).shape == shape
    assert (
        layer.running_mean.tolist() == [0.0] * 3
        and layer.running_var.tolist() == [1.0] * 3
        and layer.num_batches_tracked.item() == 1
    )


REFUSED = {
    "dtype of a layer": (
        lambda: torch.nn.Linear(3, 2)(torch.zeros(1, 3, dtype=torch.float64)),
        RuntimeError,
        "must have the same dtype",
    ),
    "dtype of a lazy layer": (
        lambda: torch.nn.LazyLinear(2)(torch.zeros(1, 3, dtype=torch.float64)),
        RuntimeError,
        "must have the same dtype",
    ),
    "dtype of labels": (
        lambda: F.cross_entropy(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int32)),
        RuntimeError,
        "Long or Byte",
    ),
    "labels that are floats": (lambda: F.nll_loss(torch.zeros(2, 3), torch.zeros(2)), RuntimeError, "Long or Byte"),
    "dtype of a recurrent layer": (
        lambda: torch.nn.RNN(3, 4)(torch.zeros(2, 1, 3, dtype=torch.float64)),
        ValueError,
        "does not match weight dtype",
    ),
    "dtype of a state": (
        lambda: torch.nn.GRU(3, 4)(torch.zeros(2, 1, 3), torch.zeros(1, 1, 4, dtype=torch.float64)),
        (ValueError, RuntimeError),
        "dtype",
    ),
    "dtype of a cell": (
        lambda: torch.nn.GRUCell(3, 4)(torch.zeros(1, 3, dtype=torch.float64)),
        (ValueError, RuntimeError),
        "dtype",
    ),
    "padding of another batch": (lambda: _attend((3, 3)), AssertionError, "to be 2, but got 3"),
    "padding of other keys": (lambda: _attend((2, 4)), AssertionError, "to be 3, but got 4"),
    "shape of a gradient": (
        lambda: setattr(torch.nn.Linear(2, 1).weight, "grad", torch.zeros(2)),
        RuntimeError,
        r"\[2\].*\[1, 2\]",
    ),
    "dtype of a gradient": (
        lambda: setattr(torch.nn.Linear(2, 1).weight, "grad", torch.zeros(1, 2).double()),
        RuntimeError,
        "dtype",
    ),
    "a number as a gradient": (
        lambda: setattr(torch.nn.Linear(2, 1).weight, "grad", 3),
        TypeError,
        "Tensor or None but got grad of type int",
    ),
    "a driver": (lambda: torch.linalg.lstsq(torch.ones(2, 2), torch.ones(2, 1), driver="x"), RuntimeError, "gelsd"),
}


def _attend(mask):
    x = torch.zeros(3, 2, 4)
    return torch.nn.MultiheadAttention(4, 2)(x, x, x, key_padding_mask=torch.zeros(*mask, dtype=torch.bool))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    run, error, text = REFUSED[name]
    with pytest.raises(error, match=text):
        run()


def test_a_gradient_is_put_and_taken_away():
    weight = torch.nn.Linear(2, 1).weight
    weight.grad = torch.ones(1, 2)
    assert weight.grad.tolist() == [[1.0, 1.0]]
    weight.sum().backward()
    assert weight.grad.tolist() == [[2.0, 2.0]]
    weight.grad = None
    assert weight.grad is None


# Rates of five more steps of a schedule that goes on after four, from groups that know their first rate: what the
# optimizer was left with, and from that first rate.
SCHEDULES = {
    "ExponentialLR": ({"gamma": 0.9}, [0.32805, 0.295245, 0.2657205, 0.23914845, 0.215233605, 0.1937102445],
        [0.5, 0.45, 0.405, 0.3645, 0.32805, 0.295245]),
    "CosineAnnealingLR": ({"T_max": 5, "eta_min": 0.01},
        [0.0567908364, 0.01, 0.0567908364, 0.1792908364, 0.3307091636, 0.4532091636],
        [0.5, 0.01, 0.0567908364, 0.1792908364, 0.3307091636, 0.4532091636]),
    "LinearLR": ({"start_factor": 0.3, "end_factor": 1.0, "total_iters": 4}, [0.5] * 6, [0.5] * 6),
    "PolynomialLR": ({"total_iters": 5, "power": 2.0}, [0.02, 0.0, 0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0, 0.0, 0.0]),
    "MultiplicativeLR": ({"lr_lambda": lambda epoch: 0.8},
        [0.2048, 0.16384, 0.131072, 0.1048576, 0.08388608, 0.067108864], [0.5, 0.4, 0.32, 0.256, 0.2048, 0.16384]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("state", [True, False])
def test_schedules_that_go_on(name, state):
    arguments, kept, fresh = SCHEDULES[name]
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([{"params": [parameter], "initial_lr": 0.5}], lr=0.5)
    make = getattr(torch.optim.lr_scheduler, name)

    def rates(optimizer, schedule, count):
        found = [optimizer.param_groups[0]["lr"]]
        for _ in range(count):
            parameter.grad = torch.ones(2)
            optimizer.step()
            schedule.step()
            found.append(optimizer.param_groups[0]["lr"])
        return found

    if state:
        rates(optimizer, make(optimizer, **arguments), 4)
        before, optimizer = optimizer.state_dict(), torch.optim.SGD([parameter], lr=0.5)
        optimizer.load_state_dict(before)
    np.testing.assert_allclose(
        rates(optimizer, make(optimizer, **arguments, last_epoch=3), 5), kept if state else fresh, rtol=1e-6, atol=1e-12
    )


# What PyTorch 2.13 gives, written down.
@pytest.mark.parametrize(
    "what, want",
    [
        (
            "torch.nn.functional.group_norm(torch.tensor([[1.0, 3.0]]), 1, None, torch.tensor([10.0, 20.0]))",
            [[9.0, 21.0]],
        ),
        (
            (
                "torch.nn.functional.batch_norm(torch.tensor([[4.0]]), torch.zeros(1), torch.ones(1), None, "
                "torch.tensor([7.0]))"
            ),
            [[11.0]],
        ),
        ("torch.nn.functional.instance_norm(torch.tensor([[[1.0, 3.0]]]), bias=torch.tensor([10.0]))", [[[9.0, 11.0]]]),
        ("torch.tensor([7, -3]) ** 0", [1, 1]),
        ("torch.add(torch.tensor(-5), torch.tensor(8, dtype=torch.uint8), alpha=-1)", -13),
        ("torch.sub(torch.tensor([5], dtype=torch.int16), torch.tensor([200], dtype=torch.uint8), alpha=2)", [-395]),
        ("torch.isclose(torch.tensor([8.0, float('inf')]), torch.tensor([float('inf')] * 2))", [False, True]),
        ("torch.isclose(torch.tensor([5], dtype=torch.uint8), torch.tensor([7], dtype=torch.uint8), rtol=0.5)", [True]),
        ("torch.floor_divide(torch.tensor([-1.0, 92.0]), -float('inf'))", [0.0, -1.0]),
        ("torch.div(torch.tensor([-1.0]), float('inf'), rounding_mode='floor')", [-1.0]),
        ("torch.tensor([float('nan'), -2.0, 3.0]).topk(2, largest=False).values", [-2.0, 3.0]),
        ("torch.clamp(torch.tensor([1.0]), max=torch.tensor([float('nan')])).isnan()", [True]),
        ("torch.nn.functional.softshrink(torch.tensor([float('nan'), 2.0])).isnan()", [True, False]),
        ("torch.nn.functional.hardshrink(torch.tensor([float('nan'), 2.0])).isnan()", [True, False]),
        ("torch.nn.functional.threshold(torch.tensor([float('nan')]), 0, -1).isnan()", [True]),
        ("torch.logdet(torch.zeros(2, 2))", -float("inf")),
        ("torch.linspace(2, 3.5, 7, dtype=torch.int8)", [2, 2, 2, 2, 2, 2, 3]),
        ("torch.lerp(torch.tensor(1e30), torch.tensor(3.0), 1.0)", 3.0),
        ("torch.einsum('ij,ij->ij', torch.ones(2, 3), torch.tensor([[1.0, 2.0, 3.0]]))", [[1.0, 2.0, 3.0]] * 2),
        ("torch.tensor([0.5, 0.0]).sum(dtype=torch.bool)", True),
        ("torch.ones(4, 2).fill_diagonal_(0, wrap=True)", [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]),
        ("torch.zeros(1, 2, dtype=torch.long).scatter(1, torch.tensor([[1]]), True)", [[0, 1]]),
    ],
)
def test_of_special_values(what, want):
    got = eval(what, {"torch": torch}).tolist()
    assert np.allclose(got, want, rtol=2e-5, atol=1e-6), got
    assert np.asarray(got).dtype.kind == np.asarray(want).dtype.kind


@pytest.mark.parametrize(
    "what, error",
    [
        (
            (
                "torch.addcdiv(torch.ones(1, dtype=torch.int32), torch.ones(1, dtype=torch.int32), torch.ones(1, "
                "dtype=torch.int32))"
            ),
            RuntimeError,
        ),
        ("torch.add(torch.tensor([1]), torch.tensor([1]), alpha=0.5)", RuntimeError),
        ("torch.tensor([1, 2]).var()", RuntimeError),
        ("torch.tensor([1, 2]).std()", RuntimeError),
        ("torch.nn.functional.unfold(torch.ones(1, 1, 2, 2), 3)", RuntimeError),
        ("torch.fmod(torch.tensor([8]), torch.tensor([False]))", ZeroDivisionError),
    ],
)
def test_refused_as_in_pytorch(what, error):
    with pytest.raises(error):
        eval(what, {"torch": torch})


def test_an_empty_tensor_divided_by_zero_is_empty():
    assert (torch.zeros(0, dtype=torch.long) // 0).shape == (0,)
    assert torch.fmod(torch.zeros(0, dtype=torch.long), torch.tensor(0)).shape == (0,)


def test_embedding_by_frequency():
    """PyTorch: the gradient of a row is over how often the row is taken."""
    weight = torch.ones(3, 2, requires_grad=True)
    torch.nn.functional.embedding(torch.tensor([0, 0, 2]), weight, scale_grad_by_freq=True).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


def test_of_equal_ones_the_first_has_the_gradient():
    a, b = torch.tensor([2.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
    (torch.fmax(a, b) + torch.fmin(a, b)).sum().backward()
    assert (a.grad.item(), b.grad.item()) == (2.0, 0.0)


def test_gradients_of_complex_parameters_are_dropped():
    module = torch.nn.Module()
    module.w = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    for set_to_none in (True, False):
        (module.w * module.w.conj()).real.sum().backward()
        assert module.w.grad.tolist() == [2 + 0j, 2 + 0j]
        module.zero_grad(set_to_none)
        assert module.w.grad is None if set_to_none else module.w.grad.tolist() == [0j, 0j]
        module.w.grad = None
