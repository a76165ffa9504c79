"""Classes that decide what functions of tensors do with them."""

import pickle

import numpy as np
import pytest

import fdl.stateful as torch

CALLS = []


class Named(torch.Tensor):
    pass


class Counted(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        CALLS.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs)


class Scalar:
    """No tensor, but functions take it."""

    def __init__(self, value):
        self.value = value

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is not torch.mean:
            return NotImplemented
        return args[0].value


torch.overrides.disable()  # which these classes began: other tests look at plain functions


@pytest.fixture(autouse=True)
def classes_decide():
    torch.overrides.enable()
    yield
    torch.overrides.disable()


def test_subclasses_keep_their_type():
    x = torch.ones(2, 2).as_subclass(Named)
    for y in (x + 1, 1 + x, x @ x, torch.exp(x), x.sum(), x[0], torch.cat([x, x]), x.max(1).values, x.t()):
        assert type(y) is Named
    assert type(torch.ones(2) + 1) is torch.Tensor
    assert type(torch.nn.Parameter(torch.ones(2)) + 1) is torch.Tensor


def test_gradients_flow_through_subclasses():
    x = torch.ones(2, requires_grad=True)
    (x.as_subclass(Named) * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])


def test_a_class_is_told_of_functions_and_methods():
    CALLS.clear()
    x = torch.ones(2).as_subclass(Counted)
    y = torch.add(x, 1).mul(2)
    assert CALLS == ["add", "mul"] and type(y) is Counted


def test_what_is_no_tensor_may_answer():
    assert torch.mean(Scalar(7)) == 7
    with pytest.raises(TypeError, match="no implementation found for 'exp' on types that implement"):
        torch.exp(Scalar(7))


def test_no_class_is_asked_in_a_block_without_them():
    x = torch.ones(2).as_subclass(Named)
    with torch._C.DisableTorchFunctionSubclass():
        assert type(x + 1) is torch.Tensor


def test_a_mode_is_told_of_everything():
    told = []

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            told.append(func.__name__)
            return func(*args, **(kwargs or {}))

    with Mode():
        torch.zeros(2).add(1)
    torch.zeros(2)
    assert told == ["zeros", "add"]


def test_methods_that_change_in_between_stay(monkeypatch):
    """The runtime library may take a method over while classes decide."""
    taken = lambda self: "taken"
    torch.overrides.enable()
    monkeypatch.setattr(torch.Tensor, "ravel", taken)
    torch.overrides.disable()
    assert vars(torch.Tensor)["ravel"] is taken


def test_public_functions_are_pickled_while_classes_decide():
    for f in (torch.relu, torch.nn.functional.gelu, torch.linalg.norm, torch.special.erf):
        assert pickle.loads(pickle.dumps(f)) is f
