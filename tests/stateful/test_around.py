"""What scripts have around a model: event files, groups of one process, comparisons, lists of tensors, PyTorch's module
names, unmodified scripts, `.pt` files.
"""

import copy
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import fdl.stateful as torch
from fdl.stateful.utils.tensorboard import SummaryWriter, crc32c

# Event files


def fields(data):
    """The fields of a protocol buffer: {number: [value, ...]}."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        elif tag & 7 == 1:
            (value,), at = struct.unpack_from("<d", data, at), at + 8
        elif tag & 7 == 5:
            (value,), at = struct.unpack_from("<f", data, at), at + 4
        else:
            length = varint()
            value, at = data[at : at + length], at + length
        found.setdefault(tag >> 3, []).append(value)
    return found


def events(folder):
    (path,) = [p for p in folder.iterdir() if p.is_file()]
    data, at = path.read_bytes(), 0

    def checked(part):
        (want,) = struct.unpack_from("<I", data, at + len(part))
        crc = crc32c(part)
        assert want == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        return part

    while at < len(data):
        (length,) = struct.unpack("<Q", checked(data[at : at + 8]))
        at += 12
        yield fields(checked(data[at : at + length]))
        at += length + 4


def test_events_are_records_as_tensorboard_reads_them(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", torch.tensor(0.25), 7)
        writer.add_text("note", "hello", 1)
        writer.add_histogram("weights", torch.tensor([1.0, 2.0, 4.0]), 2, bins=3)
        writer.add_image("image", torch.zeros(3, 4, 5), 3)
        writer.add_scalars("both", {"a": 1.0, "b": 2.0}, 4)
    first, *rest = events(tmp_path)
    assert first[3] == [b"brain.Event:2"]
    summaries = {fields(e[5][0])[1][0]: e for e in rest}
    values = {fields(s)[1][0].decode(): (e[2][0], fields(s)) for s, e in summaries.items()}
    assert values["loss"][0] == 7 and values["loss"][1][2] == [0.25]
    assert b"hello" in values["note/text_summary"][1][8][0]
    histogram = fields(values["weights"][1][5][0])
    assert (histogram[1], histogram[2], histogram[3], histogram[4], histogram[5]) == (
        [1.0],
        [4.0],
        [3.0],
        [7.0],
        [21.0],
    )
    assert np.frombuffer(histogram[7][0]).tolist() == [1.0, 1.0, 1.0]
    image = fields(values["image"][1][4][0])
    assert (image[1], image[2], image[3]) == ([4], [5], [3]) and image[4][0].startswith(b"\x89PNG")
    (_, event) = events(tmp_path / "both_a")
    assert fields(fields(event[5][0])[1][0])[2] == [1.0]


# One process


def test_a_group_of_one_process():
    dist = torch.distributed
    dist.init_process_group("gloo", rank=0, world_size=1)
    assert dist.is_initialized() and (dist.get_rank(), dist.get_world_size()) == (0, 1)
    x = torch.tensor([1.0, 2.0])
    dist.all_reduce(x, op=dist.ReduceOp.SUM)
    gathered = [torch.zeros(2)]
    dist.all_gather(gathered, x)
    assert gathered[0].tolist() == x.tolist() == [1.0, 2.0]
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
    assert model(x).shape == (1,) and sorted(model.state_dict()) == ["module.bias", "module.weight"]
    for done in (dist.all_reduce(x, async_op=True), dist.all_gather(gathered, x, async_op=True)):
        assert done.wait() and done.is_completed()
    assert dist.broadcast(x) is None
    dist.destroy_process_group()
    assert not dist.is_initialized()
    with pytest.raises(RuntimeError, match="one process"):
        dist.init_process_group("gloo", rank=0, world_size=2)


# Operations of users


def test_operations_of_users_take_arguments_by_name():
    @torch.library.custom_op("around::line", mutates_args=())
    def line(x: torch.Tensor, slope: float = 1.0, start: float = 0.0) -> torch.Tensor:
        return x * slope + start

    asked = []
    line.register_autograd(
        lambda ctx, g: (g * ctx.slope, None, None),
        setup_context=lambda ctx, inputs, output: (asked.append(inputs[1:]), setattr(ctx, "slope", inputs[1])),
    )
    x = torch.ones(1, requires_grad=True)
    assert [line(x, start=2.0, slope=3.0).item(), line(x, start=2.0).item(), line(x, slope=4.0).item()] == [5, 3, 4]
    assert asked == [(3.0, 2.0), (1.0, 2.0), (4.0,)]
    line(x, start=2.0, slope=3.0).sum().backward()
    assert x.grad.tolist() == [3.0]
    line.register_kernel("cpu", lambda x, slope=1.0, start=0.0: x * 0 + 7)
    assert line(x, start=2.0).item() == 7


@pytest.mark.parametrize("name", ["strided", "sparse_csr", "channels_last", "preserve_format"])
def test_layouts_are_the_same_in_copies(name):
    word = getattr(torch, name)
    assert pickle.loads(pickle.dumps(word)) is copy.deepcopy(word) is word


# Comparisons and lists


def test_assert_close_says_what_differs():
    close = torch.testing.assert_close
    close({"a": [torch.ones(2), 1.0]}, {"a": [torch.ones(2) + 1e-6, 1.0]})
    for actual, expected, words in [
        (torch.ones(2), torch.ones(3), "shape"),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), "dtype"),
        (torch.ones(2), torch.tensor([1.0, 1.1]), "not close"),
        ([1.0], [1.0, 2.0], "length"),
        ({"a": 1}, {"b": 1}, "keys"),
        (torch.tensor([float("nan")]), torch.tensor([float("nan")]), "not close"),
    ]:
        with pytest.raises(AssertionError, match=words):
            close(actual, expected)
    torch.testing.assert_allclose(torch.ones(2), torch.ones(2, dtype=torch.float64))


def test_foreach_is_the_operation_on_each_tensor():
    xs, ys = [torch.tensor([4.0]), torch.tensor([9.0, 16.0])], [torch.tensor([1.0]), torch.tensor([2.0, 3.0])]
    assert [x.tolist() for x in torch._foreach_add(xs, ys, alpha=2)] == [[6.0], [13.0, 22.0]]
    assert [x.tolist() for x in torch._foreach_sqrt(xs)] == [[2.0], [3.0, 4.0]]
    assert torch._foreach_mul_(xs, 0.5) is None
    torch._foreach_addcdiv_(xs, ys, ys, value=1.0)
    torch._foreach_maximum_(xs, [torch.tensor([9.0]), torch.tensor([0.0, 0.0])])
    assert [x.tolist() for x in xs] == [[9.0], [5.5, 9.0]]
    torch._foreach_zero_(xs)
    assert [x.tolist() for x in xs] == [[0.0], [0.0, 0.0]]


def test_every_foreach_name_has_its_operation():
    from fdl.stateful._foreach import _BOTH, _IN_PLACE

    assert all(hasattr(torch.Tensor, name) for name in _BOTH)
    assert all(hasattr(torch.Tensor, f"{name}_") for name in _IN_PLACE)


def test_initial_values():
    w = torch.nn.init.dirac_(torch.empty(3, 3, 3))
    x = torch.randn(1, 3, 7)
    np.testing.assert_allclose(torch.nn.functional.conv1d(x, w, padding=1).numpy(), x.numpy(), rtol=1e-6)
    s = torch.nn.init.sparse_(torch.empty(10, 4), 0.3)
    assert (s == 0).sum(0).tolist() == [3, 3, 3, 3]
    assert torch.nn.init.xavier_normal is torch.nn.init.xavier_normal_


def test_stacked_states_of_an_ensemble_run_at_once():
    models = [torch.nn.Linear(3, 2) for _ in range(4)]
    parameters, buffers = torch.func.stack_module_state(models)
    x = torch.randn(5, 3)
    outs = torch.vmap(lambda p, b: torch.func.functional_call(models[0], (p, b), (x,)))(parameters, buffers)
    for got, model in zip(outs, models, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


# Derivatives of functions


def test_derivatives_of_functions_are_those_of_the_core():
    functional = torch.autograd.functional
    x = torch.tensor([0.5, -1.0, 2.0])
    f = lambda x: torch.sin(x).sum() * x
    g = lambda x: (torch.sin(x) * x**2).sum()
    np.testing.assert_allclose(
        functional.jacobian(f, x).numpy(),
        np.diag(np.full(3, np.sin(x.numpy()).sum())) + np.outer(x.numpy(), np.cos(x.numpy())),
        rtol=1e-5,
    )
    hessian = np.diag(-np.sin(x.numpy()) * x.numpy() ** 2 + 4 * np.cos(x.numpy()) * x.numpy() + 2 * np.sin(x.numpy()))
    np.testing.assert_allclose(functional.hessian(g, x).numpy(), hessian, rtol=1e-4, atol=1e-5)
    v = torch.tensor([1.0, 2.0, 3.0])
    np.testing.assert_allclose(functional.hvp(g, x, v)[1].numpy(), hessian @ v.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        functional.vjp(f, x, v)[1].numpy(), functional.jacobian(f, x).numpy().T @ v.numpy(), rtol=1e-5
    )
    np.testing.assert_allclose(
        functional.jvp(f, x, v)[1].numpy(), functional.jacobian(f, x).numpy() @ v.numpy(), rtol=1e-5
    )


# Unmodified scripts

SCRIPT = """
import sys
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.backends.cudnn as cudnn
import torch.utils.data.distributed
from torch.autograd import Variable
from torch.cuda.amp import GradScaler
from torch.distributions.categorical import Categorical
from torch.nn.modules.batchnorm import BatchNorm1d
from torch.optim.lr_scheduler import StepLR
from torch.utils.data.dataloader import DataLoader
from torch.utils.tensorboard import SummaryWriter
from torchvision import datasets, transforms

cudnn.benchmark = True
x = Variable(torch.ones(2, 3))
same = BatchNorm1d is nn.BatchNorm1d, DataLoader is torch.utils.data.DataLoader
print(torch.__version__, sys.argv[1:], isinstance(x, torch.Tensor), *same, __name__)
"""


def run_script(tmp_path, text, *arguments):
    path = tmp_path / "script.py"
    path.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "fdl.stateful", str(path), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )


def test_a_script_for_pytorch_runs_as_it_is(tmp_path):
    done = run_script(tmp_path, SCRIPT, "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("+fdl ")[1].strip() == "['--epochs', '3'] True True True __main__"


def test_a_script_that_needs_what_is_not_there_says_so(tmp_path):
    done = run_script(tmp_path, "import torch.ao\n")
    assert done.returncode == 1 and "fdl has nothing in the place of it" in done.stderr
    assert run_script(tmp_path, "import sys; sys.exit(3)\n").returncode == 3


# Files of PyTorch


def state():
    torch.manual_seed(0)
    return {
        "w": torch.randn(3, 4).t(),
        "half": torch.ones(2, dtype=torch.float16),
        "flags": torch.tensor([True, False]),
        "n": [1, 2.5, "x", None, (1, 2)],
        "empty": torch.zeros(0, 3),
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.tolist() == b.tolist()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and (all(map(same, a, b)) if isinstance(a, (list, tuple)) else a == b)


def test_pt_files_come_back(tmp_path):
    torch.save(state(), tmp_path / "a.pt", format="pt")
    assert zipfile.is_zipfile(tmp_path / "a.pt")
    assert same(state(), torch.load(tmp_path / "a.pt"))


@pytest.mark.parametrize("format", ["safetensors", "pt"])
def test_mapped_files(tmp_path, format):
    """Large values stay in the file; what is written to a tensor does not go there."""
    path = tmp_path / "f"
    torch.save({**state(), "large": torch.arange(1000.0)}, path, format=format)
    found = torch.load(path, mmap=True)
    assert same({k: found[k] for k in state()}, state()) and found["large"].tolist() == torch.arange(1000.0).tolist()
    array = found["large"]._value()._numpy()
    assert not array.flags.owndata and not array.flags.writeable
    found["large"].mul_(2)
    assert found["large"][3].item() == 6 and torch.load(path)["large"][3].item() == 3
    path.unlink()
    assert (found["w"] + 1).shape == (4, 3)
    with pytest.raises(ValueError, match="file path"):
        torch.load(io.BytesIO(b""), mmap=True)


class Evil:
    def __reduce__(self):
        return (os.system, ("echo hacked > hacked",))


def test_a_file_that_would_run_something_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"x": Evil()}, 2))
        archive.writestr("a/version", "3\n")
    with pytest.raises(pickle.UnpicklingError, match="system"):
        torch.load(io.BytesIO(buffer.getvalue()))
    assert not (tmp_path / "hacked").exists()


@pytest.mark.peers
def test_files_go_to_torch_and_come_from_there(tmp_path):
    theirs = pytest.importorskip("torch")
    torch.save(state(), tmp_path / "a.pt", format="pt")
    read = theirs.load(tmp_path / "a.pt")
    assert (
        read["w"].tolist() == state()["w"].tolist()
        and read["half"].dtype == theirs.float16
        and read["n"] == state()["n"]
    )
    model = theirs.nn.Sequential(theirs.nn.Linear(3, 4), theirs.nn.BatchNorm1d(4))
    optimizer = theirs.optim.Adam(model.parameters())
    model(theirs.ones(5, 3) * theirs.arange(5.0)[:, None]).sum().backward()
    optimizer.step()
    theirs.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "b.pt")
    found = torch.load(tmp_path / "b.pt")
    ours = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    ours.load_state_dict(found["model"])
    torch.optim.Adam(ours.parameters()).load_state_dict(found["optimizer"])
    for a, b in zip(ours.state_dict().values(), model.state_dict().values(), strict=True):
        assert a.tolist() == b.tolist()


# Names in place, and of layers


def in_place(torch):
    """What changes the shape or the values of a tensor itself."""
    log = []
    x = torch.tensor(np.arange(6, dtype=np.float32).reshape(2, 1, 3))
    y = x.view(6)
    log.append(x.squeeze_(1).tolist())
    log.append(x.t_().tolist())
    x[0] = 100.0
    log.append((x.tolist(), y.tolist()))
    log.append(x.unsqueeze_(0).transpose_(1, 2).tolist())
    w = torch.ones(2, 1, requires_grad=True)
    z = w * 3
    z.squeeze_(1).mul_(2)
    z.sum().backward()
    log.append((z.tolist(), w.grad.tolist()))
    with pytest.raises(RuntimeError, match="leaf Variable"):
        w.squeeze_()
    a = torch.tensor([1.0, -2.0])
    log.append(torch.sigmoid_(torch.relu_(a)).tolist()[1])
    log.append(torch.ones(2, 3).sum_to_size(3).tolist())
    b = torch.tensor([1.0, 2.0]).apply_(lambda v: v + 1)
    log.append((b.tolist(), b.greater(2).tolist(), b.negative_().tolist(), b.resize_as_(torch.ones(1)).shape))
    log.append(torch.layer_norm(torch.tensor([[1.0, 3.0]]), (2,)).round().tolist())
    log.append(torch.conv1d(torch.ones(1, 1, 3), torch.ones(1, 1, 2)).tolist())
    log.append(
        (
            torch.is_nonzero(torch.tensor(2)),
            torch.is_signed(a),
            torch.is_same_size(a, b),
            torch.typename(a),
            torch.frombuffer(bytearray(b"ab"), dtype=torch.uint8).tolist(),
        )
    )
    table = torch.zeros(2, 3)
    table[1] = torch.ones(1, 1, 3)  # leading dimensions of one element count for nothing
    log.append(table.tolist())
    log += [
        torch.zeros(size=(2,), pin_memory=False).tolist(),
        torch.empty(2, 3, layout=torch.strided).shape,
        torch.ones(3, out=torch.zeros(3)).tolist(),
    ]
    row = torch.tensor([[[1.0, 2.0]]])
    log += [
        torch.nn.functional.pad(row, (-2, 3), "replicate").tolist(),
        torch.nn.functional.pad(torch.zeros(0, 3, 3), (1, 2), "reflect").shape,
    ]
    log += [
        repr(torch.tensor([[3.0, 1.0]]).max(1)),
        repr(torch.tensor([3.0, 1.0]).sort()),
        repr(torch.linalg.slogdet(torch.eye(2))),
    ]
    log.append(torch.embedding(torch.eye(2), torch.tensor([1])).tolist())
    return log


def test_names_in_place_and_of_layers():
    log = in_place(torch)
    assert log[0] == [[0, 1, 2], [3, 4, 5]] and log[2][1] == [100, 1, 2, 100, 4, 5] and log[4] == ([6, 6], [[6], [6]])


@pytest.mark.peers
def test_names_in_place_and_of_layers_as_in_torch():
    assert in_place(torch) == in_place(pytest.importorskip("torch"))


# Weights from the network, and processes


def test_weights_from_an_address(tmp_path):
    source = tmp_path / "weights.pt"
    torch.save({"w": torch.ones(2)}, source, format="pt")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    named = tmp_path / f"net-{digest[:8]}.pt"
    source.rename(named)
    folder = tmp_path / "kept"
    got = torch.hub.load_state_dict_from_url(named.as_uri(), model_dir=str(folder), check_hash=True)
    assert got["w"].tolist() == [1, 1] and [p.name for p in folder.iterdir()] == [named.name]
    named.write_bytes(b"other")
    assert torch.hub.load_state_dict_from_url(named.as_uri(), model_dir=str(folder))["w"].tolist() == [
        1,
        1,
    ]  # it was fetched once
    with pytest.raises(RuntimeError, match="invalid hash value"):
        torch.hub.load_state_dict_from_url(named.as_uri(), model_dir=str(tmp_path / "elsewhere"), check_hash=True)
    assert not list((tmp_path / "elsewhere").iterdir())
    with pytest.raises(RuntimeError, match="runs code"):
        torch.hub.load("a/b", "c")


def _noted(rank, path, values):
    if rank == 2:
        raise KeyError("third")
    (path / str(rank)).write_text(str(values.sum().item()))


def test_processes_are_started_and_their_errors_come_back(tmp_path):
    torch.multiprocessing.spawn(_noted, args=(tmp_path, torch.ones(3)), nprocs=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"] and (tmp_path / "1").read_text() == "3.0"
    with pytest.raises(torch.multiprocessing.ProcessRaisedException, match="KeyError: 'third'"):
        torch.multiprocessing.spawn(_noted, args=(tmp_path, torch.ones(3)), nprocs=3)


def test_slices_that_are_pruned():
    layer = torch.nn.Linear(3, 4)
    with pytest.raises(ValueError, match="Structured pruning can only be applied to multidimensional tensors"):
        torch.nn.utils.prune.ln_structured(layer, "bias", amount=2, n=2, dim=0)
    with pytest.raises(IndexError, match="Invalid index 5 for tensor of size"):
        torch.nn.utils.prune.random_structured(torch.nn.Linear(3, 4), "weight", amount=2, dim=5)


def test_lengths_that_do_not_fit():
    flex = pytest.importorskip("fdl.stateful.nn.attention.flex_attention")
    mask = flex.create_block_mask(lambda b, h, q, k: q >= k, None, None, 5, 3, device="cpu")
    x = torch.ones(1, 1, 3, 4)
    with pytest.raises(ValueError, match="block_mask was created for"):
        flex.flex_attention(x, x, x, block_mask=mask)
    with pytest.raises(RuntimeError, match="hop_length"):
        torch.stft(torch.arange(16.0), 8, hop_length=0, return_complex=True)
