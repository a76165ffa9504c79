"""Modules, optimizers' state, data, files, memory shared with NumPy, and the tape's odd corners; what needs no PyTorch
to be known.
"""

import copy
import gc
import inspect
import io
import itertools
import pickle
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.stateful as torch
from fdl.core.errors import DeferredError
from fdl.stateful.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

nn, F = torch.nn, torch.nn.functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.body = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        self.register_buffer("scale", torch.ones(2))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x):
        return self.body(self.fc(x)) * self.scale


# Modules


def test_names_and_state():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["fc.weight", "fc.bias", "body.0.weight", "body.0.bias"]
    assert list(net.state_dict()) == ["scale", "fc.weight", "fc.bias", "body.0.weight", "body.0.bias"]
    assert [n for n, _ in net.named_modules()] == ["", "fc", "body", "body.0", "body.1"]
    assert [type(m).__name__ for m in net.children()] == ["Linear", "Sequential"]
    assert sum(p.numel() for p in net.parameters()) == 14


def test_loading_is_all_or_nothing():
    net = Net()
    before = net.fc.weight.tolist()
    state = dict(net.state_dict())
    state["fc.weight"] = torch.zeros(2, 3)
    state["fc.bias"] = torch.zeros(5)
    state["extra"] = torch.zeros(1)
    del state["scale"]
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert (
        "size mismatch for fc.bias" in text
        and 'Unexpected key(s) in state_dict: "extra"' in text
        and 'Missing key(s) in state_dict: "scale"' in text
    )
    assert net.fc.weight.tolist() == before
    state["fc.bias"] = torch.zeros(2)
    report = net.load_state_dict(state, strict=False)
    assert report.missing_keys == ["scale"] and report.unexpected_keys == ["extra"]
    assert net.fc.weight.tolist() == [[0, 0, 0], [0, 0, 0]] and net.fc.weight.requires_grad


def test_a_state_shares_values_but_a_copy_does_not():
    net = Net()
    state, copied = net.state_dict(), copy.deepcopy(net)
    with torch.no_grad():
        net.fc.bias.fill_(7.0)
    assert state["fc.bias"].tolist() == [7.0, 7.0]
    assert copied.fc.bias.tolist() != [7.0, 7.0]
    assert copied.fc.bias.requires_grad and copied.fc.bias is not net.fc.bias


def test_tied_parameters_come_once_and_train_together():
    a, b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    b.weight = a.weight
    both = nn.ModuleList([a, b])
    assert len(list(both.parameters())) == 1
    b(a(torch.ones(1, 2))).sum().backward()
    assert a.weight.grad is b.weight.grad and a.weight.grad is not None


def test_hooks():
    net, seen = Net(), []
    before = net.fc.register_forward_pre_hook(lambda m, args: seen.append("before"))
    after = net.fc.register_forward_hook(lambda m, args, out: out * 0)
    out = net(torch.ones(1, 3))
    assert seen == ["before"] and (out == net.body(torch.zeros(1, 2))).all()
    before.remove()
    after.remove()
    net(torch.ones(1, 3))
    assert seen == ["before"]


def test_modes_conversion_and_freezing():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    assert net.eval()[1].training is False and net.train()[1].training is True
    net.double()
    assert net[0].weight.dtype == torch.float64 and net[0].weight.requires_grad
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_attributes_of_modules_are_checked():
    net = Net()
    with pytest.raises(TypeError, match="cannot assign"):
        net.fc = 3
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = net.nothing
    net.fc = None
    assert "fc.weight" not in net.state_dict()
    del net.body
    assert not hasattr(net, "body")


def test_containers():
    layers = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    assert len(layers[1:]) == 2 and isinstance(layers[-1], nn.Linear)
    modules = nn.ModuleList([nn.ReLU()])
    modules.append(nn.Tanh())
    modules.insert(0, nn.Identity())
    del modules[1]
    assert [type(m).__name__ for m in modules] == ["Identity", "Tanh"]
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Linear(1, 1)
    assert list(table) == ["a", "b"] and "a" in table and table.pop("a") is not None and len(table) == 1


def test_default_initialisation_has_pytorchs_bounds():
    layer = nn.Linear(100, 400)
    bound = 1 / np.sqrt(100)
    for p in layer.parameters():
        values = np.array(p.tolist())
        assert np.abs(values).max() <= bound * (1 + 1e-6) and abs(values.std() - bound / np.sqrt(3)) < 0.01
    weights = np.array(nn.Embedding(200, 50).weight.tolist())
    assert abs(weights.mean()) < 0.05 and abs(weights.std() - 1) < 0.05


def test_dropout_keeps_the_mean_and_follows_the_seed():
    torch.manual_seed(3)
    a = F.dropout(torch.ones(10_000), 0.3)
    torch.manual_seed(3)
    b = F.dropout(torch.ones(10_000), 0.3)
    assert (a == b).all() and abs(a.mean().item() - 1) < 0.03 and abs((a == 0).float().mean().item() - 0.3) < 0.03
    assert F.dropout(torch.ones(3), 0.3, training=False).tolist() == [1, 1, 1]


# Optimizers


def test_optimizer_state_goes_through_a_file():
    def model():
        torch.manual_seed(1)
        return nn.Linear(3, 2)

    def steps(net, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            net(torch.ones(4, 3)).pow(2).sum().backward()
            optimizer.step()

    one, two = model(), model()
    first, second = torch.optim.Adam(one.parameters(), lr=0.1), torch.optim.Adam(two.parameters(), lr=0.5)
    steps(one, first, 3)
    file = io.BytesIO()
    torch.save({"model": one.state_dict(), "optimizer": first.state_dict(), "epoch": 3, "lr": 0.1}, file)
    file.seek(0)
    saved = torch.load(file)
    assert saved["epoch"] == 3 and saved["lr"] == 0.1 and saved["optimizer"]["state"][0]["step"].item() == 3.0
    two.load_state_dict(saved["model"])
    second.load_state_dict(saved["optimizer"])
    steps(one, first, 2)
    steps(two, second, 2)
    assert one.weight.tolist() == two.weight.tolist() and second.param_groups[0]["lr"] == 0.1


def test_parameter_groups_and_closures():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([{"params": [a], "lr": 1.0}, {"params": b}], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (a + b).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert (a.item(), b.item()) == (0.0, 0.5)
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [a]})


def test_a_parameter_outside_of_the_loss_is_left_alone():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.Adam([a, b], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (a * 2).sum().backward()
        optimizer.step()
    assert b.item() == 1.0 and b.grad is None


# Data


class Squares(Dataset):
    def __len__(self):
        return 5

    def __getitem__(self, i):
        return {"x": torch.tensor([float(i)]), "y": i * i, "name": f"n{i}"}


def test_loaders_collate_samples():
    batches = list(DataLoader(Squares(), batch_size=2))
    assert [b["x"].tolist() for b in batches] == [[[0.0], [1.0]], [[2.0], [3.0]], [[4.0]]]
    assert (
        batches[1]["y"].tolist() == [4, 9]
        and batches[1]["y"].dtype == torch.int64
        and batches[0]["name"] == ["n0", "n1"]
    )
    assert len(DataLoader(Squares(), batch_size=2, drop_last=True)) == 2
    assert [int(b["y"]) for b in DataLoader(Squares(), batch_size=None)] == [0, 1, 4, 9, 16]


def test_shuffling_follows_the_generator():
    data = TensorDataset(torch.arange(20))
    order = lambda seed: [
        b[0].tolist()
        for b in DataLoader(data, batch_size=6, shuffle=True, generator=torch.Generator().manual_seed(seed))
    ]
    assert order(1) == order(1) != order(2)
    assert sorted(itertools.chain(*order(1))) == list(range(20))
    loader = DataLoader(data, batch_size=20, shuffle=True)
    torch.manual_seed(0)
    first, second = next(iter(loader))[0].tolist(), next(iter(loader))[0].tolist()
    torch.manual_seed(0)
    assert first != second and next(iter(loader))[0].tolist() == first


def test_datasets():
    data = TensorDataset(torch.arange(6), torch.arange(6) * 2)
    assert [x.tolist() for x in data[2]] == [2, 4]
    assert len(ConcatDataset([data, data])) == 12 and ConcatDataset([data, data])[7][0].item() == 1
    parts = random_split(data, [4, 2], torch.Generator().manual_seed(0))
    assert [len(p) for p in parts] == [4, 2] and sorted(int(p[i][0]) for p in parts for i in range(len(p))) == list(
        range(6)
    )
    assert [len(p) for p in random_split(data, [0.5, 0.5])] == [3, 3]
    assert Subset(data, [5])[0][0].item() == 5
    drawn = list(WeightedRandomSampler([0.0, 1.0], 5))
    assert drawn == [1] * 5

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(5))

    assert [b.tolist() for b in DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]


def test_errors_of_a_dataset_reach_the_user():
    class Broken(Squares):
        def __getitem__(self, i):
            raise KeyError("broken sample")

    with pytest.raises(KeyError, match="broken sample"):
        list(DataLoader(Broken()))


# Files


NESTED = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=4), st.integers(0, 5)), inner, max_size=3),
    ),
    max_leaves=8,
)


@given(NESTED)
def test_nested_values_come_back_as_they_were(value):
    file = io.BytesIO()
    torch.save({"value": value, "t": torch.ones(2, dtype=torch.bfloat16)}, file)
    file.seek(0)
    loaded = torch.load(file)
    assert loaded["value"] == value and loaded["t"].dtype == torch.bfloat16


def test_files_are_whole_or_not_there(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"a": torch.arange(3)}, path)
    with pytest.raises(TypeError, match="cannot store"):
        torch.save({"a": torch.arange(4), "f": lambda: 0}, path)
    assert torch.load(path)["a"].tolist() == [0, 1, 2] and [p.name for p in tmp_path.iterdir()] == ["w.pt"]


@pytest.mark.parametrize(
    "data", [b"", b"12345678", b"\x80\x02}q\x00.", b"\xff" * 64, (8).to_bytes(8, "little") + b'{"a":{}}']
)
def test_other_files_are_refused(data):
    with pytest.raises(RuntimeError, match="no file that save wrote"):
        torch.load(io.BytesIO(data))


# Memory and history


def test_numpy_shares_memory_both_ways_until_it_is_dropped():
    x = torch.zeros(3)
    memory = x.numpy()
    y = x + 1
    memory[0] = 5
    assert y.tolist() == [1, 1, 1] and (x + 1).tolist() == [6, 1, 1]
    x.add_(1)
    assert memory.tolist() == [6, 1, 1]
    view = x[1:].numpy()
    view[:] = 9
    assert x.tolist() == [6, 9, 9]
    del memory, view
    x.add_(1)
    assert x.tolist() == [7, 10, 10] and x._storage.exported is None


def test_imported_memory_is_copied():
    memory = np.ones(3, np.float32)
    x, y = torch.from_numpy(memory), torch.tensor(memory)
    z = x * 2
    memory[:] = 7
    assert x.tolist() == y.tolist() == [1, 1, 1] and z.tolist() == [2, 2, 2]


def test_dlpack_both_ways():
    x = torch.arange(3.0)
    assert np.from_dlpack(x).tolist() == [0, 1, 2]
    assert torch.from_dlpack(np.arange(3.0)).tolist() == [0, 1, 2]


def test_values_written_through_an_alias_keep_history():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = w * 3
    y.detach()[0] = 100.0
    assert y.tolist() == [100.0, 6.0]
    (y * y).sum().backward()
    assert w.grad.tolist() == [600.0, 36.0]


def test_residuals_are_the_values_of_their_time():
    w = torch.tensor([2.0, 3.0], requires_grad=True)
    x = torch.tensor([5.0, 7.0])
    y = (w * x).sum()
    x.zero_()
    with torch.no_grad():
        w.mul_(0)
    y.backward()
    assert w.grad.tolist() == [5.0, 7.0]


def test_second_derivatives_through_rebound_leaves():
    w = torch.tensor([2.0], requires_grad=True)
    y = (w**3).sum()
    (g,) = torch.autograd.grad(y, w, create_graph=True)
    with torch.no_grad():
        w.add_(1)
    (h,) = torch.autograd.grad(g.sum(), w)
    assert h.tolist() == [12.0]


def test_third_derivatives_and_gradient_penalties():
    x = torch.tensor(0.7, requires_grad=True)
    first = torch.autograd.grad(torch.sin(x), x, create_graph=True)[0]
    second = torch.autograd.grad(first, x, create_graph=True)[0]
    third = torch.autograd.grad(second, x)[0]
    assert [round(v.item(), 5) for v in (first, second, third)] == [
        round(float(v), 5) for v in (np.cos(0.7), -np.sin(0.7), -np.cos(0.7))
    ]
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    inputs = torch.ones(3, 2, requires_grad=True)
    (g,) = torch.autograd.grad(net(inputs).sum(), inputs, create_graph=True)
    ((g.norm(dim=1) - 1) ** 2).mean().backward()
    assert net[0].weight.grad is not None and net[2].weight.grad.abs().sum().item() > 0


def test_graphs_are_freed_after_backward_and_when_dropped():
    w = torch.ones(3, requires_grad=True)
    y = w * 2
    node = weakref.ref(y.grad_fn)
    z = y.sum()
    z.backward()
    del y, z
    gc.collect()
    assert node() is None


def test_long_chains_need_no_recursion():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1.0
    view = torch.zeros(4)
    for _ in range(3000):
        view = view.view(4)
    view.add_(1)
    assert view.sum().item() == 4.0


def test_hooks_may_replace_gradients_and_are_counted():
    w = torch.ones(2, requires_grad=True)
    y = w * 3
    y.register_hook(lambda g: g * 10)
    w.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert w.grad.tolist() == [31.0, 31.0]


def test_custom_functions():
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            ctx.save_for_backward(x)
            return x * factor, x + 1

        @staticmethod
        def backward(ctx, g, h):
            (x,) = ctx.saved_tensors
            return g * ctx.factor * x + h, None

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    a, b = Scale.apply(x, 3.0)
    (a.sum() + b.sum()).backward()
    assert x.grad.tolist() == [4.0, 7.0]
    with pytest.raises(RuntimeError):
        a.sum().backward()
    again = torch.tensor([2.0], requires_grad=True)
    (g,) = torch.autograd.grad(Scale.apply(again, 2.0)[0].sum(), again, create_graph=True)
    assert torch.autograd.grad(g, again)[0].tolist() == [2.0]


def test_gradient_modes():
    w = torch.ones(1, requires_grad=True)

    @torch.no_grad()
    def frozen(x):
        return x * 2

    assert not frozen(w).requires_grad and torch.is_grad_enabled()
    with torch.inference_mode():
        assert not (w * 2).requires_grad
    with pytest.raises(ValueError), torch.no_grad():
        raise ValueError
    assert torch.is_grad_enabled()
    with torch.set_grad_enabled(False):
        assert not (w * 2).requires_grad
    assert (w * 2).requires_grad


def test_a_failed_step_is_undone_and_training_goes_on():
    w = nn.Parameter(torch.ones(3, 2))
    optimizer = torch.optim.Adam([w], lr=0.1)
    index = torch.tensor([0, 1]) + torch.tensor([0, 9])
    loss = F.embedding(index, w).sum()
    with pytest.raises(IndexError, match="index out of range in self: 10 is given"):
        loss.backward()
    assert w.tolist() == [[1, 1]] * 3
    with pytest.raises(DeferredError):
        loss.item()
    optimizer.zero_grad()
    F.embedding(torch.tensor([0, 1]), w).sum().backward()
    optimizer.step()
    assert w[2].tolist() == [1, 1] and w[0, 0].item() < 1


def test_modules_run_under_transforms():
    net = nn.Linear(3, 1)

    def loss(x):
        return net(torch.tensor(x)).sum()._value()

    gradient = fdl.grad(loss)(fdl.numpy.ones((2, 3)))
    assert gradient.shape == (2, 3)
    np.testing.assert_allclose(np.asarray(gradient)[0], net.weight.detach().numpy()[0], rtol=1e-6)
    assert float(fdl.jit(loss)(fdl.numpy.ones((2, 3)))) == pytest.approx(float(loss(fdl.numpy.ones((2, 3)))), rel=1e-5)


def test_a_jitted_function_reads_captured_tensors_again():
    net = nn.Sequential(nn.Linear(2, 2), nn.Flatten())
    weight = net[0].weight
    f = fdl.jit(lambda x: (net(torch.tensor(x)) + weight[0].sum() * 0)._value())
    x = fdl.numpy.ones((1, 2))
    for value in (1.0, 2.0, 3.0):
        with torch.no_grad():
            weight.fill_(value)
            net[0].bias.zero_()
        assert f(x).tolist() == [[2 * value, 2 * value]]
    assert net(torch.ones(1, 2)).tolist() == [[6.0, 6.0]]  # nothing of the transform stayed behind
    outer = fdl.jit(lambda x: f(x) * 2)
    assert outer(x).tolist() == [[12.0, 12.0]]
    with torch.no_grad():
        weight.fill_(5.0)
    assert outer(x).tolist() == [[20.0, 20.0]]
    net.double()
    assert f(x.astype("float64")).tolist() == [[10.0, 10.0]]


def test_views_that_were_read_under_a_transform_are_read_again_outside():
    base = torch.arange(4.0)
    part = base[1:]
    assert fdl.jit(lambda x: (part * torch.tensor(x)).sum()._value())(2.0).tolist() == 12.0
    assert part.tolist() == [1.0, 2.0, 3.0] and (part + 1).tolist() == [2.0, 3.0, 4.0]


def test_functions_of_layers_print_and_pickle_by_their_names():
    """Also those that another function has made: a layer may hold one, and a file the layer."""
    F = torch.nn.functional
    functions = {name: getattr(F, name) for name in dir(F) if inspect.isfunction(getattr(F, name)) and name[0] != "_"}
    assert {"conv2d", "max_pool2d", "max_pool2d_with_indices", "silu", "mse_loss", "dropout2d"} < functions.keys()
    for name, function in functions.items():
        assert pickle.loads(pickle.dumps(function)) is function, name
    assert F.conv2d.__qualname__ == "conv2d" and "(N, C, H, W)" in F.conv2d.__doc__
