"""`save` writes what the name says, and `load` reads what PyTorch wrote before it wrote archives."""

import argparse
import contextlib
import dataclasses
import io
import operator
import pickle
import struct
import types

import pytest

import fdl.stateful as torch
from fdl.stateful.files.access import FileError, RefusedError
from tests.stateful.cases import RECORDED

OLD = RECORDED / "before_zip.pth"


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 3)

    def forward(self, x):
        return self.layer(x)


@dataclasses.dataclass
class Settings:
    rate: float


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "w.ckpt", "w.pth.tar"])
def test_names_of_pytorch_are_its_archives(tmp_path, name):
    torch.save({"w": torch.ones(2)}, tmp_path / name)
    assert (tmp_path / name).read_bytes()[:4] == b"PK\x03\x04"
    assert torch.load(tmp_path / name)["w"].tolist() == [1, 1]


def test_safetensors_is_safetensors(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").read_bytes()[8:9] == b"{"
    with (tmp_path / "x.pt").open("wb") as file:
        torch.save({"w": torch.ones(2)}, file)
    assert (tmp_path / "x.pt").read_bytes()[:4] == b"PK\x03\x04"


def test_what_is_no_data_is_read_with_the_users_word_alone(tmp_path):
    module, path = Net(), tmp_path / "w.pt"
    kept = {
        "model": module,
        "set": {1, 2},
        "args": argparse.Namespace(a=1),
        "more": types.SimpleNamespace(b=Settings(0.1)),
    }
    torch.save(kept, path)
    with pytest.raises(RefusedError, match="Net was not an allowed global"):
        torch.load(path)
    found = torch.load(path, weights_only=False)
    assert found["set"] == {1, 2} and found["args"].a == 1 and found["more"].b == Settings(0.1)
    for a, b in zip(module.parameters(), found["model"].parameters(), strict=True):
        assert type(b) is torch.nn.Parameter and b.tolist() == a.tolist()
    assert found["model"](torch.ones(1, 2)).shape == (1, 3)


def test_a_class_that_cannot_be_pickled_writes_nothing(tmp_path):
    with pytest.raises((TypeError, AttributeError)):
        torch.save({"f": lambda: 0, "s": {1}}, tmp_path / "w.pt")
    assert not (tmp_path / "w.pt").exists()


@pytest.mark.parametrize("weights_only", [True, False])
def test_files_from_before_archives(weights_only):
    found = torch.load(OLD, weights_only=weights_only)
    assert found["w"].tolist() == [[0, 3], [1, 4], [2, 5]] and found["row"].tolist() == [0, 1, 2]
    assert found["half"].dtype == torch.bfloat16 and found["half"].item() == 1.5
    assert type(found["p"]) is torch.nn.Parameter and found["n"] == [1, "x", (2.5, None)]
    assert found["i"].tolist() == [[1, -2]] and found["state"]["bias"].tolist() == [3]


def test_a_module_from_before_archives_is_refused_by_its_name():
    with pytest.raises(RefusedError, match=r"GLOBAL torch\.nn\.modules\.linear\.Linear was not an allowed global"):
        torch.load(RECORDED / "before_zip_module.pth")


def test_damage_of_such_a_file_is_one_class_of_error(tmp_path):
    data = OLD.read_bytes()
    for cut in range(13, len(data), 37):
        with pytest.raises(FileError):
            torch.load(io.BytesIO(data[:cut]))
    place = data.rindex(struct.pack("<q", 6))
    for count in (-1, 1 << 60):
        with pytest.raises(FileError, match="is cut off"):
            torch.load(io.BytesIO(data[:place] + struct.pack("<q", count) + data[place + 8 :]))
    for place in range(13, len(data), 11):
        changed = bytearray(data)
        changed[place] ^= 0x55
        with contextlib.suppress(FileError):
            torch.load(io.BytesIO(bytes(changed)))


def test_scripted_models_are_refused_as_what_they_are(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "m.pt", "w") as file:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
            file.writestr(f"m/{name}", b"")
    for weights_only in (True, False):
        with pytest.raises(FileError, match="is an archive of TorchScript"):
            torch.load(tmp_path / "m.pt", weights_only=weights_only)


@pytest.mark.peers
def test_pytorch_reads_what_the_name_says(tmp_path):
    peer = pytest.importorskip("torch")
    torch.save({"w": torch.arange(6.0).reshape(2, 3), "n": [1, "x"]}, tmp_path / "w.pth")
    found = peer.load(tmp_path / "w.pth")
    assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["n"] == [1, "x"]


def pickled_names():
    """Functions of PyTorch 2.13, which pickle finds there."""
    found = ["relu", "sum", "absolute", "relu_", "tensor", "conv2d", "matmul", "nan_to_num_", "histc", "det", "stft"]
    found += ["linalg.norm", "linalg.lu", "fft.rfft", "special.zeta", "special.expit", "masked.softmax", "func.grad"]
    return [*found, "nn.functional.relu", "Tensor.sum", "Tensor.exp", "Tensor.relu", "Tensor.polygamma"]


@pytest.mark.parametrize("name", pickled_names())
def test_functions_are_pickled_by_their_names(name):
    f = operator.attrgetter(name)(torch)
    assert pickle.loads(pickle.dumps(f)) is f


def test_every_public_function_is_where_pickle_looks():
    for place in (torch, torch.linalg, torch.fft, torch.special, torch.masked, torch.func):
        for name in vars(torch) if place is torch else place.__all__:
            f = getattr(place, name)
            if isinstance(f, types.FunctionType) and not name.startswith("_"):
                assert pickle.loads(pickle.dumps(f)) is f, name


@pytest.mark.parametrize("act", [torch.relu, torch.tanh, torch.special.expit], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["w.pt", "w"])
def test_modules_that_hold_functions_are_saved(tmp_path, act, name):
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation=act).eval()
    torch.save(layer, tmp_path / name)
    found, x = torch.load(tmp_path / name, weights_only=False), torch.ones(3, 1, 4)
    assert found.activation is act and found(x).tolist() == layer(x).tolist()
