"""Methods that the runtime library takes over: what they do is what Python does, whatever they are given."""

import numpy as np
import pytest

import fdl.stateful as torch
from fdl.core.config import config
from fdl.stateful.core import methods as _methods
from tests.conftest import needs_compiler


@pytest.fixture(autouse=True)
def library():
    """The runtime library is there from the first program on."""
    config.tier = "compiled"
    (torch.ones(3) * 2).sum().item()


def taken_over(name):
    return type(getattr(torch.Tensor, name)).__name__ == "method_descriptor"


@needs_compiler
def test_who_is_asked_first():
    assert all(map(taken_over, ["add_", "sub_", "mul_", "div_", "exp_", "relu_", "float", "long"]))
    assert all(map(taken_over, ["add", "exp", "__add__", "__rsub__", "__gt__", "item", "__bool__"]))
    assert not any(map(taken_over, ["clamp", "clamp_", "fill_", "__floordiv__", "tolist"]))
    assert not _methods._RECORDED


@needs_compiler
def test_a_chain_of_changes():
    for _ in range(3):
        values = np.arange(6, dtype=np.uint8).reshape(2, 3)
        x = torch.from_numpy(values)
        y = x.float().div_(255.0).sub_(0.5).mul_(torch.tensor([1.0, 2.0, 3.0]))
        assert x.dtype == torch.uint8
        assert y.float() is y
        want = (values.astype("f") / np.float32(255) - np.float32(0.5)) * np.array([1, 2, 3], "f")
        np.testing.assert_array_equal(y.numpy(), want)
        assert y.add_(1, alpha=2) is y
        assert torch.equal(torch.ones(2).exp_().sqrt_().neg_(), -torch.exp(torch.ones(2)).sqrt())


@needs_compiler
def test_history_and_what_must_not_be_changed():
    for _ in range(3):
        leaf = torch.ones(3, requires_grad=True)
        with pytest.raises(
            RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"
        ):
            leaf.add_(1)
        y = leaf * 2
        y.mul_(leaf).sum().backward()
        assert leaf.grad.tolist() == [4.0, 4.0, 4.0]
        with torch.no_grad():
            assert leaf.mul_(3.0) is leaf
        whole = torch.zeros(2, 3)
        whole[0].add_(1).mul_(5)
        assert whole.tolist() == [[5.0] * 3, [0.0] * 3]
        parameter = torch.nn.Parameter(torch.ones(2))
        with torch.no_grad():
            parameter.mul_(3.0)
        assert type(parameter) is torch.nn.Parameter
        assert parameter.tolist() == [3.0, 3.0]


@needs_compiler
def test_types_and_arguments():
    for _ in range(3):
        whole = torch.ones(3, dtype=torch.int64)
        with pytest.raises(RuntimeError, match="can't be cast to the desired output type Long"):
            whole.div_(2.0)
        assert whole.add_(2).tolist() == [3, 3, 3]
        with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
            torch.ones(3).add_(torch.ones(2, 3))
        with pytest.raises(TypeError):
            whole.add_("one")
        with pytest.raises(TypeError):
            whole.add_()
        assert torch.ones(2).double().dtype == torch.float64
        assert torch.ones(2).mul_(other=3.0).tolist() == [3.0, 3.0]


@needs_compiler
def test_functions_see_methods(monkeypatch):
    import fdl

    f = fdl.jit(lambda t: t.clone().mul_(2.0).float())
    assert f(torch.ones(2)).tolist() == [2.0, 2.0]
    monkeypatch.setattr(config, "eager", True)
    assert torch.ones(2).mul_(3.0).long().tolist() == [3, 3]


@needs_compiler
@pytest.mark.parametrize("shape", [(), (0,), (3, 4), (2, 0, 3)])
def test_ndarrays_are_copied(shape):
    for dtype in ("f4", "f8", "i8", "u1", "?"):
        values = np.ones(shape, dtype)
        for _ in range(3):
            x = torch.from_numpy(values)
            assert (tuple(x.shape), x.dtype.np) == (shape, values.dtype)
            np.testing.assert_array_equal(x.numpy(), values)
    wide = np.arange(12.0).reshape(3, 4)
    for _ in range(3):
        for seen in (wide.T, wide[::2], wide[:, 1]):
            np.testing.assert_array_equal(torch.from_numpy(seen).numpy(), seen)
        own = np.ones(3)
        x = torch.from_numpy(own)
        own[0] = 5
        x.add_(1)
        assert (own[0], x[0].item()) == (5, 2)
    with pytest.raises(TypeError, match=r"expected np.ndarray"):
        torch.from_numpy([1])
