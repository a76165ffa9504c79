"""Functions where they saturate, bend or have no slope: values and gradients are PyTorch's (2.13), so that training
goes on where it goes on there.
"""

import math

import numpy as np
import pytest

import fdl.stateful as torch
import fdl.stateful.nn.functional as F

inf, nan = math.inf, math.nan

CASES = {  # function of x, x, its values, the gradient of their sum
    "softplus": (
        lambda x: F.softplus(x),
        [0.0, -0.0, -30.0, 30.0],
        [0.6931472, 0.6931472, 9.357623e-14, 30.0],
        [0.5, 0.5, 9.357623e-14, 1.0],
    ),
    "logsigmoid": (lambda x: F.logsigmoid(x), [0.0, -200.0, 200.0], [-0.6931472, -200.0, 0.0], [0.5, 1.0, 0.0]),
    "mish": (lambda x: F.mish(x), [0.0, -200.0], [0.0, -0.0], [0.6, 0.0]),
    "binary_cross_entropy_with_logits": (
        lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor([0.0, 1.0, 0.0, 1.0]), reduction="none"),
        [0.0, 0.0, 200.0, -200.0],
        [0.6931472, 0.6931472, 200.0, 200.0],
        [0.5, -0.5, 1.0, -1.0],
    ),
    "binary_cross_entropy_with_logits, weight of what is 1": (
        lambda x: F.binary_cross_entropy_with_logits(
            x, torch.tensor([0.0, 1.0]), pos_weight=torch.tensor(3.0), reduction="none"
        ),
        [0.0, 0.0],
        [0.6931472, 2.079442],
        [0.5, -1.5],
    ),
    "binary_cross_entropy": (
        lambda x: F.binary_cross_entropy(x, torch.tensor([0.0, 1.0, 0.0, 1.0]), reduction="none"),
        [0.0, 0.0, 1.0, 1.0],
        [0.0, 100.0, 100.0, -0.0],
        [0.0, -1000000000000.0, 1000000000000.0, 0.0],
    ),
    "relu6": (lambda x: F.relu6(x), [0.0, 6.0, 3.0], [0.0, 6.0, 3.0], [0.0, 0.0, 1.0]),
    "hardtanh": (lambda x: F.hardtanh(x), [-1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]),
    "hardswish": (lambda x: F.hardswish(x), [-3.0, 3.0, 0.0, inf], [-0.0, 3.0, 0.0, inf], [0.0, 1.0, 0.5, 1.0]),
    "hardsigmoid": (lambda x: F.hardsigmoid(x), [-3.0, 3.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.1666667]),
    "norm": (lambda x: x.norm(), [0.0, 0.0], [0.0], [0.0, 0.0]),
    "norm 3": (lambda x: x.norm(3), [0.0, 0.0], [0.0], [0.0, 0.0]),
    "norm of a half": (lambda x: x.norm(0.5), [0.0, 1.0], [1.0], [0.0, 1.0]),
    "norm of some": (lambda x: x.view(2, 2).norm(dim=1), [0.0, 0.0, 3.0, 4.0], [0.0, 5.0], [0.0, 0.0, 0.6, 0.8]),
    "normalize": (lambda x: F.normalize(x, dim=0), [0.0, 0.0], [0.0, 0.0], [1000000000000.0, 1000000000000.0]),
    "pairwise_distance": (lambda x: F.pairwise_distance(x, x.detach(), eps=0.0), [1.0, 2.0], [0.0], [0.0, 0.0]),
    "std": (lambda x: x.std(), [2.0, 2.0, 2.0], [0.0], [0.0, 0.0, 0.0]),
    "std over an axis": (
        lambda x: x.view(2, 2).std(1),
        [2.0, 2.0, 1.0, 3.0],
        [0.0, 1.414214],
        [0.0, 0.0, -0.7071068, 0.7071068],
    ),
    "sinh": (lambda x: torch.sinh(x), [0.0, 100.0, -100.0, 1e-08], [0.0, inf, -inf, 1e-08], [1.0, inf, inf, 1.0]),
    "cosh": (lambda x: torch.cosh(x), [0.0, 1e-08, 100.0], [1.0, 1.0, inf], [0.0, 1e-08, inf]),
    "asinh": (
        lambda x: torch.asinh(x),
        [0.0, 1e30, -1e30, inf],
        [0.0, 69.7707, -69.7707, inf],
        [1.0, 1e-30, 1e-30, 0.0],
    ),
    "acosh": (lambda x: torch.acosh(x), [1.0, 10000000000.0, inf], [0.0, 23.719, inf], [inf, 1e-10, 0.0]),
    "asin": (lambda x: torch.asin(x), [1.0, -1.0, 0.0], [1.570796, -1.570796, 0.0], [inf, inf, 1.0]),
    "acos": (lambda x: torch.acos(x), [1.0, -1.0, 0.0], [0.0, 3.141593, 1.570796], [-inf, -inf, -1.0]),
    "atan2": (lambda x: torch.atan2(x, torch.zeros(2)), [0.0, 1.0], [0.0, 1.570796], [0.0, 0.0]),
    "hypot": (lambda x: torch.hypot(x, torch.tensor([0.0, 1.0])), [inf, -inf], [inf, inf], [nan, nan]),
    "pow 0": (lambda x: x**0, [0.0, 2.0, inf], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]),
    "huber_loss": (
        lambda x: F.huber_loss(x, torch.zeros(3), reduction="none"),
        [inf, -inf, 0.0],
        [inf, inf, 0.0],
        [1.0, -1.0, 0.0],
    ),
    "smooth_l1_loss": (
        lambda x: F.smooth_l1_loss(x, torch.zeros(3), reduction="none"),
        [inf, -inf, 0.0],
        [inf, inf, 0.0],
        [1.0, -1.0, 0.0],
    ),
    "cross_entropy of ignored labels": (
        lambda x: F.cross_entropy(x.view(1, 3), torch.tensor([-100])),
        [0.0, 1.0, 2.0],
        [nan],
        [0.0, 0.0, 0.0],
    ),
    "attention that sees nothing": (
        lambda x: F.scaled_dot_product_attention(
            x.view(1, 3, 1),
            x.view(1, 3, 1),
            x.view(1, 3, 1),
            attn_mask=torch.tensor([[False, False, False], [True, True, True], [True, False, False]]),
        ),
        [1.0, 2.0, 3.0],
        [0.0, 2.850937, 1.0],
        [0.9571044, 0.07625835, 1.125233],
    ),
    "attention of heads that sees nothing": (
        lambda x: F.scaled_dot_product_attention(
            x.view(1, 1, 3, 1),
            x.view(1, 1, 3, 1),
            x.view(1, 1, 3, 1),
            attn_mask=torch.tensor([[-inf, -inf, -inf], [0.0, 0.0, 0.0], [0.0, -inf, -inf]]),
        ),
        [1.0, 2.0, 3.0],
        [0.0, 2.850937, 1.0],
        [0.9571044, 0.07625841, 1.125233],
    ),
    "margin_ranking_loss": (
        lambda x: F.margin_ranking_loss(x, torch.zeros(2), torch.ones(2)),
        [0.0, 1.0],
        [0.0],
        [-0.5, -0.0],
    ),
    "hinge_embedding_loss": (
        lambda x: F.hinge_embedding_loss(x, torch.tensor([-1.0, -1.0])),
        [1.0, 2.0],
        [0.0],
        [-0.5, 0.0],
    ),
    "multi_margin_loss": (
        lambda x: F.multi_margin_loss(x.view(1, 3), torch.tensor([1])),
        [0.0, 1.0, 2.0],
        [0.6666667],
        [0.0, -0.3333333, 0.3333333],
    ),
    "xlogy": (
        lambda x: torch.xlogy(x, torch.tensor([0.0, 2.0, 3.0])),
        [0.0, 0.0, 1.0],
        [0.0, 0.0, 1.098612],
        [0.0, 0.6931472, 1.098612],
    ),
    "Beta": (
        lambda x: torch.distributions.Beta(x, 2.0).log_prob(torch.tensor([0.0, 1.0])),
        [1.0, 2.0],
        [0.6931472, -inf],
        [1.5, 0.8333335],
    ),
    "Geometric": (
        lambda x: torch.distributions.Geometric(x).log_prob(torch.tensor([0.0, 3.0])),
        [1.0, 0.5],
        [0.0, -2.772589],
        [1.0, -4.0],
    ),
    "floor_divide": (lambda x: torch.floor_divide(x.detach(), 0.1) + x, [1.0, -0.3], [10.0, -4.3], [1.0, 1.0]),
    "determinant": (
        lambda x: torch.det(x.view(2, 2)).detach() + x.sum(),
        [1.0, 2.0, 2.0, 4.0],
        [9.0],
        [1.0, 1.0, 1.0, 1.0],
    ),
    "digamma": (lambda x: torch.digamma(x).detach() + x * 0, [-1.0, -30.0], [nan, nan], [0.0, 0.0]),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    f, given, values, slopes = CASES[name]
    x = torch.tensor(given, requires_grad=True)
    out = f(x)
    out.sum().backward()
    np.testing.assert_allclose(out.detach().numpy().reshape(-1), values, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=1e-5, atol=1e-30)


def test_what_is_empty():
    assert torch.isnan(torch.zeros(0).var())
    assert torch.isnan(torch.zeros(3, 0).std(1)).all()
    assert torch.zeros(0, 2).logsumexp(0).tolist() == [-inf, -inf]
    assert torch.tensor(2.0).flip(0).tolist() == 2.0
    with pytest.raises(IndexError):
        F.cross_entropy(torch.zeros(3, 0), torch.zeros(3, dtype=torch.long))
    assert (
        F.cross_entropy(torch.zeros(1, 1), torch.zeros(1, dtype=torch.long)).item() == 0.0
    )  # what failed before left nothing behind


def test_masks_without_dimensions():
    x = torch.arange(6.0).reshape(2, 3)
    yes, no = torch.tensor(True), torch.tensor(False)
    assert (x[yes].shape, x[no].shape, x[0, no].shape, x[:, no].shape) == ((1, 2, 3), (0, 2, 3), (0, 3), (2, 0, 3))
    y = torch.tensor(1.0)
    assert (y[y > 0].tolist(), y[y < 0].tolist()) == ([1.0], [])
    x[no] = 7.0
    x[1, no] = 7.0
    assert x.max().item() == 5.0
    x[yes] = 7.0
    assert x.min().item() == 7.0


def test_slopes_of_a_parabola_are_exact_at_both_ends():
    at = torch.tensor([0.0, 1.0, 3.0, 3.5])
    (slopes,) = torch.gradient(at**2, spacing=(at,), edge_order=2)
    np.testing.assert_allclose(slopes.numpy(), 2 * at.numpy(), rtol=1e-6, atol=1e-6)


def test_whole_numbers_beyond_int64_are_no_tensor_of_int64():
    """What PyTorch 2.13 says of them."""
    for data in (2**63, -(2**63) - 1, [2**70, 1], [2**63, 2**64 - 1]):
        for given in ({}, {"dtype": torch.int64}):
            with pytest.raises(ValueError, match="Overflow when unpacking long long"):
                torch.tensor(data, **given)
        assert torch.tensor(data, dtype=torch.float64).tolist() == np.array(data, np.float64).tolist()
    assert torch.tensor([2**70, 1.5]).dtype == torch.float32 and torch.tensor([np.uint64(3)]).tolist() == [3]
    assert torch.tensor([2**63], dtype=torch.uint64).tolist() == [2**63]
    with pytest.raises(RuntimeError, match="Could not infer dtype of NoneType"):
        torch.tensor([2**70, None])


def test_numbers_that_a_dtype_has_no_place_for():
    assert torch.full((1,), -1, dtype=torch.uint8).tolist() == [255]
    assert torch.full((1,), float("inf")).tolist() == [float("inf")]
    assert torch.full((1,), 127.0, dtype=torch.int8).tolist() == [127]
    for value, dtype, name in (
        (300, torch.int8, "int8_t"),
        (-256, torch.uint8, "uint8_t"),
        (float("nan"), torch.int64, "int64_t"),
        (1e300, torch.float32, "float"),
        (1e30, torch.float16, "c10::Half"),
    ):
        with pytest.raises(RuntimeError, match=f"value cannot be converted to type {name} without overflow"):
            torch.full((2,), value, dtype=dtype)
        with pytest.raises(RuntimeError, match="without overflow"):
            torch.full_like(torch.zeros(2, dtype=dtype), value)


def test_what_indices_may_be():
    class Place:
        def __index__(self):
            return 1

    x = torch.tensor([1, 2, 3])
    x[Place()] = 7
    assert x[Place()].item() == 7 and x[: Place()].tolist() == [1]
    for wrong in (1.0, 1j, np.float32(1)):
        with pytest.raises(IndexError, match="only integers, slices"):
            x[wrong]
    with pytest.raises(TypeError, match="only integer tensors of a single element can be converted to an index"):
        [1, 2][torch.tensor([0, 1])]
    with pytest.raises(IndexError, match="Dimension out of range"):
        torch.fft.fft2(torch.arange(6.0))
