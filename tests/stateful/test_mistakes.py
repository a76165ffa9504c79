"""Classic mistakes with tensors, modules, losses, optimizers and loaders: PyTorch 2.13's class, the facts, the user's
line and a way out.

Classes are those that PyTorch 2.13 raises for the same line, recorded; words are facts that its users look for, or
fdl's where it says more.
"""

import numpy as np
import pytest

import fdl.numpy as jnp
import fdl.stateful as torch
from fdl.core.errors import DtypeError, ShapeError
from fdl.stateful import nn
from fdl.stateful.utils.data import DataLoader, Dataset, TensorDataset

F, t = nn.functional, torch.ones


def leaf(*shape):
    return torch.ones(*shape, requires_grad=True)


def backward_twice():
    x = leaf(3)
    y = (x * x).sum()
    y.backward()
    y.backward()


class Late(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(2, 2)


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(2, 2)]


class Data(Dataset):
    def __init__(self, item):
        self.item = item

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return self.item(i)


def bad_sample(i):
    raise ValueError(f"bad sample {i}")


def in_place(x):
    x += 1


def first(*args, **kwargs):
    return next(iter(DataLoader(*args, **kwargs)))


def labels(*values):
    return torch.tensor(values)


MISTAKES = {  # the line, the builtin that PyTorch raises, words of the message, words of the way out
    "features": (lambda: nn.Linear(3, 2)(t(4, 5)), RuntimeError, "(4x5 and 3x2)", "x.flatten(1)"),
    "an ndarray for a layer": (
        lambda: nn.Linear(3, 2)(np.ones((4, 3))),
        TypeError,
        "argument 'input' (position 1) must be Tensor, not numpy.ndarray",
        "torch.from_numpy(input)",
    ),
    "a list for a layer": (
        lambda: nn.Linear(3, 2)([1.0, 2.0, 3.0]),
        TypeError,
        "must be Tensor, not list",
        "torch.tensor(input)",
    ),
    "an ndarray for an activation": (lambda: F.relu(np.ones(2)), TypeError, "not numpy.ndarray", "torch.from_numpy"),
    "a list for a function": (lambda: torch.sin([1.0]), TypeError, "sin(): argument 'input'", "torch.tensor(input)"),
    "a list of indices": (
        lambda: nn.Embedding(10, 3)([1, 2]),
        TypeError,
        "must be Tensor, not list",
        "torch.tensor(input)",
    ),
    "an ndarray of targets": (
        lambda: F.mse_loss(t(2), np.ones(2)),
        TypeError,
        "argument 'target' (position 2)",
        "torch.from_numpy(target)",
    ),
    "a list of targets": (lambda: F.mse_loss(t(2), [1.0, 1.0]), AttributeError, "not list", "torch.tensor(target)"),
    "a list of labels": (
        lambda: F.cross_entropy(t(2, 3), [0, 1]),
        TypeError,
        "argument 'target' (position 2)",
        "torch.tensor(target)",
    ),
    "an ndarray of labels": (
        lambda: F.cross_entropy(t(2, 3), np.array([0, 1])),
        TypeError,
        "not numpy.ndarray",
        "torch.from_numpy(target)",
    ),
    "a list added": (lambda: t(3) + [1, 2, 3], TypeError, "for +: 'Tensor' and 'list'", "torch.tensor(x)"),
    "None multiplied": (lambda: t(3) * None, TypeError, "'NoneType'", "torch.tensor"),
    "text compared": (lambda: t(3) < "a", TypeError, "'str'", "torch.tensor"),
    "channels": (
        lambda: nn.Conv2d(3, 8, 3)(t(1, 1, 8, 8)),
        RuntimeError,
        "to have 3 channels, but got 1 channels",
        "in_channels=1",
    ),
    "dimensions": (lambda: nn.Conv2d(3, 8, 3)(t(8, 8)), RuntimeError, "[8, 8]", "x.unsqueeze(0)"),
    "a kernel too large": (lambda: nn.Conv2d(3, 8, 9)(t(1, 3, 4, 4)), RuntimeError, "Kernel size: (9 x 9)", "padding="),
    "no flatten": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(144, 10))(t(2, 1, 8, 8)),
        RuntimeError,
        "144",
        "x.flatten(1)",
    ),
    "bytes for an image": (
        lambda: nn.Conv2d(3, 8, 3)(t(1, 3, 8, 8, dtype=torch.uint8)),
        RuntimeError,
        "torch.uint8",
        "x.float()",
    ),
    "channels of a norm": (lambda: nn.BatchNorm2d(4)(t(2, 4)), ValueError, "got 2D input", "x.unsqueeze(0)"),
    "one sample": (lambda: nn.BatchNorm1d(4)(t(1, 4)), ValueError, "[1, 4]", "model.eval()"),
    "floats as indices": (lambda: nn.Embedding(10, 3)(t(2)), RuntimeError, "torch.float32", "x.long()"),
    "an index of a table": (lambda: nn.Embedding(10, 3)(labels(10)), IndexError, "10 is given", "a table of more rows"),
    "heads": (lambda: nn.MultiheadAttention(5, 2), AssertionError, "5 and 2", "multiple of num_heads"),
    "a probability": (lambda: nn.Dropout(20), ValueError, "but got 20", "0.2 for 20 %"),
    "labels of floats": (lambda: F.cross_entropy(t(2, 3), t(2)), RuntimeError, "torch.float32", "target.long()"),
    "labels outside": (lambda: F.cross_entropy(t(2, 3), labels(0, 3)), IndexError, "Target 3", "labels from 0 to 2"),
    "labels of another batch": (
        lambda: F.cross_entropy(t(2, 3), labels(0, 1, 2)),
        ValueError,
        "batch_size (2)",
        "one label for each row",
    ),
    "labels in a column": (
        lambda: F.cross_entropy(t(2, 3), labels([0], [1])),
        RuntimeError,
        "[2, 1]",
        "target.squeeze(1)",
    ),
    "weights of other classes": (
        lambda: F.cross_entropy(t(2, 3), labels(0, 1), weight=t(2)),
        RuntimeError,
        "all 3 classes",
        "torch.ones(classes)",
    ),
    "a reduction": (lambda: F.mse_loss(t(2), t(2), reduction="avg"), ValueError, "avg", "'mean'"),
    "sizes of probabilities": (
        lambda: F.binary_cross_entropy(t(2, 1), t(2)),
        ValueError,
        "torch.Size([2, 1])",
        "target.unsqueeze(1)",
    ),
    "no probability": (
        lambda: F.binary_cross_entropy(torch.tensor([2.0, 0.5]), t(2)),
        RuntimeError,
        "between 0 and 1",
        "binary_cross_entropy_with_logits",
    ),
    "integers for probabilities": (
        lambda: F.binary_cross_entropy(t(2), labels(0, 1)),
        RuntimeError,
        "Long",
        "target.float()",
    ),
    "shapes": (lambda: t(3) + t(4), RuntimeError, "(3,) and (4,)", "torch.broadcast_to"),
    "products": (lambda: t(2, 3) @ t(2, 3), RuntimeError, "2, 3", "x.T"),
    "a view": (lambda: t(6).view(4, 2), RuntimeError, "[4, 2]", "-1 for one of them"),
    "a view of a transposed tensor": (lambda: t(2, 3).t().view(6), RuntimeError, "stride", "x.reshape(...)"),
    "cat of shapes": (lambda: torch.cat([t(2, 3), t(2, 4)]), RuntimeError, "float32[2,4]", "torch.stack"),
    "cat of a tensor": (
        lambda: torch.cat(t(2, 3), t(2, 3)),
        TypeError,
        "must be tuple of Tensors",
        "torch.cat([a, b])",
    ),
    "cat of nothing": (lambda: torch.cat([]), ValueError, "non-empty", "nothing was appended"),
    "stack of numbers": (lambda: torch.stack([1.0, 2.0]), TypeError, "element 0", "torch.tensor([...])"),
    "stack of shapes": (lambda: torch.stack([t(2), t(3)]), RuntimeError, "[3] at entry 1", "pad_sequence"),
    "an index outside": (lambda: t(3)[3], IndexError, "index 3", "size - 1"),
    "half an index": (lambda: t(3)[1.5], IndexError, "got float", "int(i)"),
    "too many indices": (lambda: t(3)[0, 0], IndexError, "dimension 1", "x[..., i]"),
    "a mask of another length": (lambda: t(3)[torch.tensor([True, False])], IndexError, "[2]", "mask = x > 0"),
    "a dimension outside": (lambda: t(2, 3).sum(dim=2), IndexError, "[-2, 1], but got 2", "dim=-1"),
    "one number of many": (lambda: t(3).item(), RuntimeError, "3 elements", ".tolist()"),
    "one truth of many": (lambda: bool(t(3) > 0), RuntimeError, "ambiguous", ".any()"),
    "numpy of what wants a gradient": (lambda: leaf(3).numpy(), RuntimeError, "requires grad", "x.detach().numpy()"),
    "a mean of integers": (lambda: labels(1, 2).mean(), RuntimeError, "int64", "x.float()"),
    "a gradient of integers": (
        lambda: torch.tensor([1], requires_grad=True),
        RuntimeError,
        "floating point",
        "x.float()",
    ),
    "bits of floats": (lambda: t(2) & t(2), NotImplementedError, "float32", "x.to(dtype)"),
    "backward of many": (lambda: (leaf(3) * 2).backward(), RuntimeError, "scalar outputs", "backward(gradient="),
    "backward without history": (
        lambda: t(3).sum().backward(),
        RuntimeError,
        "does not require grad",
        "requires_grad=True",
    ),
    "a leaf in place": (lambda: in_place(leaf(3)), RuntimeError, "leaf Variable", "torch.no_grad()"),
    "backward twice": (backward_twice, RuntimeError, "a second time", "retain_graph=True"),
    "a gradient that is not there": (
        lambda: torch.autograd.grad(leaf(3).sum(), leaf(3)),
        RuntimeError,
        "not have been used",
        "allow_unused=True",
    ),
    "an integer takes halves": (lambda: labels(1, 2).add_(1.5), RuntimeError, "Float", "x.float()"),
    "no parameters": (
        lambda: torch.optim.Adam(Listed().parameters()),
        ValueError,
        "empty parameter list",
        "nn.ModuleList",
    ),
    "a module for parameters": (
        lambda: torch.optim.SGD(nn.Linear(1, 1), lr=0.1),
        TypeError,
        "'Linear' object is not iterable",
        "model.parameters()",
    ),
    "a method for parameters": (
        lambda: torch.optim.SGD(nn.Linear(1, 1).parameters, lr=0.1),
        TypeError,
        "'method' object",
        "called with ()",
    ),
    "what is no leaf": (lambda: torch.optim.SGD([leaf(2) * 2], lr=0.1), ValueError, "non-leaf", "requires_grad"),
    "a rate": (lambda: torch.optim.SGD([leaf(2)], lr=-1), ValueError, "-1", "lr=1e-3"),
    "no closure": (lambda: torch.optim.LBFGS([leaf(2)]).step(), TypeError, "'closure'", "optimizer.step(closure)"),
    "a schedule of a model": (
        lambda: torch.optim.lr_scheduler.StepLR(nn.Linear(1, 1), 1),
        TypeError,
        "Linear is not an Optimizer",
        "the optimizer",
    ),
    "no super().__init__()": (Late, AttributeError, "before Module.__init__() call", "super().__init__()"),
    "no forward": (lambda: nn.Module()(t(2)), NotImplementedError, "forward", "def forward"),
    "a class for a module": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU),
        TypeError,
        "Module subclass",
        "nn.ReLU()",
    ),
    "a tensor for a parameter": (
        lambda: setattr(nn.Linear(1, 1), "weight", t(1, 1)),
        TypeError,
        "'weight'",
        "nn.Parameter(value)",
    ),
    "a name": (lambda: nn.Linear(1, 1).weights, AttributeError, "'weights'", ".weight"),
    "a missing key": (
        lambda: nn.Linear(2, 2).load_state_dict({"weight": t(2, 2)}),
        RuntimeError,
        '"bias"',
        "strict=False",
    ),
    "sizes of a state": (
        lambda: nn.Linear(2, 2).load_state_dict({"weight": t(3, 2), "bias": t(2)}),
        RuntimeError,
        "size mismatch for weight",
        "sizes of the one that was saved",
    ),
    "no accelerator": (lambda: t(2).to("cuda"), AssertionError, "cuda", "torch.cuda.is_available()"),
    "an unknown device": (lambda: t(2).to("gpu"), RuntimeError, "gpu", "'cpu'"),
    "rows of two lengths": (lambda: torch.tensor([[1, 2], [3]]), ValueError, "equal length", "pad_sequence"),
    "text for a tensor": (lambda: torch.tensor(["a"]), ValueError, "'str'", "vocabulary"),
    "None for a tensor": (lambda: torch.tensor([None]), RuntimeError, "NoneType", "numbers"),
    "an integer default": (lambda: torch.set_default_dtype(torch.int64), TypeError, "floating-point", "torch.float32"),
    "half an element": (lambda: torch.zeros(2.5), TypeError, "float", "whole numbers"),
    "no sections": (lambda: torch.tensor_split(t(3), 0), RuntimeError, "got 0", "from 1"),
    "no bins": (lambda: torch.histc(t(3), 0), RuntimeError, "got 0", "bins=100"),
    "a triangle of fewer than no rows": (lambda: torch.tril_indices(-1, 2), RuntimeError, "-1", "from 0"),
    "classes of floats": (lambda: F.one_hot(t(2)), RuntimeError, "torch.float32", "labels.long()"),
    "letters": (lambda: torch.einsum("ij->k", t(2, 3)), RuntimeError, "subscript k", "einsum("),
    "terms": (lambda: torch.einsum("ij,jk->ik", t(2, 3)), RuntimeError, "2 operands, got 1", "einsum("),
    "a fan": (lambda: nn.init.kaiming_normal_(t(3, 3), mode="foo"), ValueError, "foo", "one of the words"),
    "bags that begin late": (
        lambda: F.embedding_bag(labels(0, 1), t(3, 2), labels(1)),
        RuntimeError,
        "got 1",
        "offsets[0] = 0",
    ),
    "bags beyond the end": (
        lambda: F.embedding_bag(labels(0, 1), t(3, 2), labels(0, 5)),
        RuntimeError,
        "length 2",
        "from 0 to 2",
    ),
    "ragged batches": (
        lambda: first(Data(lambda i: t(i + 1)), batch_size=2),
        RuntimeError,
        "[2] at entry 1",
        "collate_fn=",
    ),
    "objects in batches": (lambda: first(Data(lambda i: object()), batch_size=2), TypeError, "object", "__getitem__"),
    "lengths of tensors": (lambda: TensorDataset(t(3), t(4)), AssertionError, "Size mismatch", "x.shape[0]"),
    "parts of a set": (
        lambda: torch.utils.data.random_split(Data(t), [1, 1]),
        ValueError,
        "does not equal",
        "[0.8, 0.2]",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case):
    f, error, words, way = MISTAKES[case]
    with pytest.raises(error) as caught:
        f()
    message = str(caught.value)
    assert words in message
    assert "at:  test_mistakes.py" in message
    assert way in message.partition("try: ")[2]
    assert "jnp." not in message


def test_an_error_in_a_worker_says_so_and_keeps_its_class():
    with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker thread 0") as caught:
        first(Data(bad_sample), num_workers=1)
    assert "bad sample 0" in str(caught.value)
    assert str(caught.value.__cause__) == "bad sample 0"


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss])
def test_losses_warn_of_sizes_that_broadcast(loss):
    with pytest.warns(UserWarning, match=r"target size \(torch.Size\(\[2\]\)\).*input size \(torch.Size\(\[2, 1\]\)\)"):
        loss(t(2, 1), t(2))


def test_the_logarithm_of_a_determinant_of_zero():
    """PyTorch 2.13: -inf, and NaN where it is negative."""
    assert torch.logdet(torch.zeros(2, 2)).item() == float("-inf")
    assert torch.isnan(torch.logdet(torch.tensor([[0.0, 1.0], [1.0, 0.0]])))


ARRAYS = {
    "concatenate": (lambda: jnp.concatenate([jnp.ones((2, 3)), jnp.ones((2, 4))]), ShapeError),
    "concatenate nothing": (lambda: jnp.concatenate([]), ShapeError),
    "squeeze": (lambda: jnp.squeeze(jnp.ones((2, 3)), 0), ShapeError),
    "dot": (lambda: jnp.dot(jnp.ones(3), jnp.ones(4)), ShapeError),
    "solve": (lambda: jnp.linalg.solve(jnp.eye(2), jnp.ones(3)), ShapeError),
    "argmax": (lambda: jnp.argmax(jnp.ones(0)), ShapeError),
    "einsum": (lambda: jnp.einsum("ij->k", jnp.ones((2, 3))), ShapeError),
    "arange": (lambda: jnp.arange("a"), DtypeError),
    "where": (lambda: jnp.where(jnp.ones(3) > 0, 1.0), DtypeError),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_mistakes_with_arrays_have_a_way_out(case):
    f, error = ARRAYS[case]
    with pytest.raises(error) as caught:
        f()
    assert "try: " in str(caught.value)
    assert "at:  test_mistakes.py" in str(caught.value)
