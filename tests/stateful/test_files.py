"""Files: written whole or not at all, through links and onto devices; read with one class of error for all damage, in
bounded memory, without running anything.
"""

from __future__ import annotations

import errno
import gzip
import http.server
import io
import json
import math
import os
import pickle
import random
import resource
import stat
import struct
import threading
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict

import pytest

import fdl.stateful as torch
from fdl.stateful.files import access as _files
from fdl.stateful.files.access import FileError, RefusedError
from fdl.stateful.utils.tensorboard import SummaryWriter
from fdl.stateful.vision import datasets
from tests.stateful.damages import RECORDED, content, damaged, sources


def loaded(data, **options):
    return torch.load(io.BytesIO(data), **options)


def plain(x):
    """Values for comparison."""
    if isinstance(x, dict):
        return [(plain(k), plain(v)) for k, v in x.items()]
    if isinstance(x, (list, tuple)):
        return [type(x).__name__, *map(plain, x)]
    return (str(x.dtype), tuple(x.shape), repr(x.tolist())) if hasattr(x, "tolist") else repr(x)


# What comes back


def test_a_file_of_torch_holds_what_torch_put_in():
    """Recorded by PyTorch 2.13."""
    for options in ({}, {"weights_only": False}):
        x = loaded(RECORDED.read_bytes(), **options)
        assert x["w"].tolist() == [[(4 * i + j) / 8 for j in range(4)] for i in range(3)]
        assert x["turned"].tolist() == x["w"].t().tolist()
        assert x["part"].tolist() == [2, 3, 4] and x["base"].tolist() == [0, 1, 2, 3, 4, 5]
        assert x["wide"].tolist() == [[0.5] * 3] * 2
        assert x["windows"].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
        assert (x["half"].tolist(), x["half"].dtype) == ([1.5, -2.0], torch.float16)
        assert (x["bfloat16"].tolist(), x["bfloat16"].dtype) == ([3.0], torch.bfloat16)
        assert x["flags"].tolist() == [True, False] and x["bytes"].tolist() == [7, 255]
        assert x["z"].tolist() == [1 + 2j] and x["empty"].shape == (0, 3)
        assert type(x["state"]) is OrderedDict and x["state"]._metadata == {"": {"version": 2}}
        assert isinstance(x["p"], torch.nn.Parameter) and x["p"].requires_grad
        assert x["size"] == torch.Size([2, 3]) and x["dtype"] is torch.float64 and x["device"] == torch.device("cpu")
        assert x["plain"] == [1, -2.5, "text", None, (True, 1180591620717411303424), b"\x00\xff", {3}, 1j]


@pytest.mark.parametrize("format", ["safetensors", "pt"])
def test_names_that_meet_in_the_file_stay_apart(format):
    one, two = torch.ones(2), torch.zeros(2)
    for x in (
        {"a": {"b": one}, "a.b": two}, {"a.b": two, "a": {"b": one}}, {1: one, "1": two}, {"": one, "tensor": two},
        {"__metadata__": one, "b": two},
        {"z": torch.tensor([1j]), "z.real": two}, {"a": {"a": one}, "a.a": two, "a.a~1": one},
        {"fdl": one, "fdl.checksum": two, '"fdl.checksum": "00000000 00000000"': one},
    ):  # fmt: skip
        file = io.BytesIO()
        torch.save(x, file, format=format)
        assert plain(loaded(file.getvalue())) == plain(x)


def test_what_cannot_be_stored_is_a_type_error(tmp_path):
    import numpy as np

    itself: list = []
    itself.append(itself)
    deep: list = []
    for _ in range(200):
        deep = [deep]
    for x in (itself, deep, np.array([object()]), np.array([1j]), np.longdouble(1), {"f": len}):
        for format in ("safetensors", "pt"):
            if x is deep and format == "pt":
                continue
            with pytest.raises(TypeError, match="cannot store"):
                torch.save(x, tmp_path / "f", format=format)
    assert not list(tmp_path.iterdir())
    file = io.BytesIO()
    torch.save(np.arange(3, dtype=">i4"), file)
    assert loaded(file.getvalue()).tolist() == [0, 1, 2]


# Writing


FORMATS = pytest.mark.parametrize("format", ["safetensors", "pt"])


@FORMATS
def test_links_are_followed_and_modes_kept(tmp_path, format):
    target, link = tmp_path / "real" / "w", tmp_path / "link"
    target.parent.mkdir()
    link.symlink_to(target)
    for mode in (None, 0o640, 0o604):
        if mode is not None:
            target.chmod(mode)
        torch.save([mode], link, format=format)
        assert link.is_symlink() and torch.load(target) == [mode]
        assert mode is None or stat.S_IMODE(target.stat().st_mode) == mode
    mask = os.umask(0o027)
    try:
        torch.save([1], tmp_path / "new", format=format)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "new", "real"] and [
        p.name for p in target.parent.iterdir()
    ] == ["w"]
    around = tmp_path / "around"
    around.symlink_to(around)
    with pytest.raises(OSError):
        torch.save([1], around, format=format)
    long = tmp_path / ("n" * 255)
    torch.save([1], long, format=format)
    assert torch.load(long) == [1]


@FORMATS
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path, format):
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    torch.save({"a": [1, 2]}, tmp_path / "pipe", format=format)
    reader.join()
    assert loaded(got[0]) == {"a": [1, 2]} and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        torch.save([1], tmp_path / "folder", format=format)
    with pytest.raises(FileNotFoundError):
        torch.save([1], tmp_path / "nowhere" / "w", format=format)
    try:
        os.mknod(tmp_path / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        torch.save([1], tmp_path / "null", format=format)
        assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)
    except PermissionError:  # devices are for the superuser to make, on file systems that have them
        assert not (tmp_path / "null").is_file()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "null") == ["folder", "pipe"]


@FORMATS
def test_threads_that_write_one_file_each_write_it_whole(tmp_path, format):
    values = [[i, torch.full((5000,), float(i))] for i in range(4)]
    errors = []

    def work(value):
        try:
            for _ in range(25):
                torch.save(value, tmp_path / "w", format=format)
                i, x = torch.load(tmp_path / "w")
                assert set(x.tolist()) == {float(i)}
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(v,)) for v in values]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not errors and [p.name for p in tmp_path.iterdir()] == ["w"]


@FORMATS
def test_a_planted_name_leads_nobody_astray(tmp_path, format, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in (f".w.{os.getpid()}", ".fdl-0feed0"):
        (tmp_path / name).symlink_to(victim)
    torch.save([1], tmp_path / "w", format=format)
    monkeypatch.setattr(_files.os, "urandom", lambda count: bytes.fromhex("0feed0"))  # as if the name could be guessed
    with pytest.raises(FileExistsError):
        torch.save([2], tmp_path / "w", format=format)
    assert (
        victim.read_text() == "mine" and torch.load(tmp_path / "w") == [1] and (tmp_path / ".fdl-0feed0").is_symlink()
    )


@FORMATS
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, format, monkeypatch):
    path = tmp_path / "w"
    torch.save([1], path, format=format)
    old = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    def interrupted(*args):
        raise KeyboardInterrupt

    for name, failure in (
        ("fsync", full),
        ("replace", full),
        ("fchmod", full),
        ("fsync", interrupted),
        ("replace", interrupted),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(_files.os, name, failure)
            with pytest.raises((OSError, KeyboardInterrupt)):
                torch.save([2], path, format=format)
        assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["w"]
    ones = torch.ones(1000)
    ones.tolist()  # made before programs, too, are refused
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))  # the system refuses what is longer
        with pytest.raises(OSError):
            torch.save([ones], path, format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["w"]
    if os.geteuid():
        path.chmod(0o444)
        with pytest.raises(PermissionError):
            torch.save([2], path, format=format)


@FORMATS
def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, format, monkeypatch):
    log = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}
    for name, f in real.items():
        monkeypatch.setattr(_files.os, name, lambda *args, name=name, f=f: (log.append(name), f(*args))[1])
    torch.save([1], tmp_path / "w", format=format)
    assert log == ["fsync", "replace", "fsync"]


@FORMATS
def test_file_objects_are_written_and_read_where_they_are(format):
    file = io.BytesIO()
    file.write(b"before")
    torch.save([torch.ones(2)], file, format=format)
    file.seek(6)
    assert plain(torch.load(file)) == plain([torch.ones(2)])
    with pytest.raises(TypeError, match="open for text"):
        torch.load(io.StringIO("text"))


# Nothing in a file reaches fdl's own objects


def pickled(text, records=(), pack=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", pack) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + text + b".")
        for name, data in dict(records).items():
            archive.writestr(f"a/{name}", data)
    return out.getvalue()


REDUCE, BUILD, MEMO = b"R", b"b", b"h"
FLOAT32 = b"ctorch\nfloat32\n"
ORDERED = b"ccollections\nOrderedDict\n)R"
ATTRIBUTES = b"N}U\x02npK\x01s\x86"  # (None, {"np": 1}), which sets slots


def call(name, *arguments):
    module, _, function = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + function.encode() + b"\n(" + b"".join(arguments) + b"tR"


def number(n):
    return pickle.dumps(n, 2)[2:-1]


def tensor(key="0", kind="FloatStorage", offset=0, size=(2,), stride=(1,), count=2):
    pid = b"(U\x07storagectorch\n" + kind.encode() + b"\n" + number(key) + b"U\x03cpu" + number(count) + b"tQ"
    return call(
        "torch._utils._rebuild_tensor_v2",
        pid,
        number(offset),
        number(tuple(size)),
        number(tuple(stride)),
        b"\x89",
        ORDERED,
    )


REFUSED = {
    "attributes of a dtype": FLOAT32 + ATTRIBUTES + BUILD,
    "attributes of a dtype as a dictionary": FLOAT32 + b"}U\x02npK\x01sb",
    "attributes of a device": call("torch.device", b"U\x03cpu") + b"N}U\x04typeU\x04cudas\x86b",
    "attributes of a function": b"ctorch._utils\n_rebuild_tensor_v2\n}U\x01aK\x01sb",
    "attributes of a class": b"ccollections\nOrderedDict\n}U\x03getK\x01sb",
    "attributes of a size": call("torch.Size", b"K\x01\x85") + b"}U\x01aK\x01sb",
    "attributes of a dictionary": b"}}U\x01aK\x01sb",
    "attributes of a storage type": b"ctorch\nFloatStorage\n}U\x04nameK\x01sb",
    "methods of an ordered dictionary": ORDERED + b"}U\x05itemsK\x01sb",
    "the class of an ordered dictionary": ORDERED + b"}U\x09__class__K\x01sb",
    "slots of an ordered dictionary": ORDERED + ATTRIBUTES + BUILD,
    "many attributes of an ordered dictionary": ORDERED
    + b"}("
    + b"".join(b"X\x03\x00\x00\x00%03dK\x01" % i for i in range(200))
    + b"ub",
    "state of an ordered dictionary": ORDERED + b"K\x01b",
    "a function of Python": b"cbuiltins\neval\nU\x011\x85R",
    "a function of NumPy": b"cnumpy\nload\nU\x011\x85R",
    "a function of fdl": b"cfdl.stateful\nsave\n)R",
    "a nested name": b"ctorch\nSize.__class__\n)R",
    "a name on the stack": b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93",
    "a call of a number": b"K\x01)R",
    "a call of a dtype": FLOAT32 + b")R",
    "an object": b"ccollections\nOrderedDict\n)\x81",
    "an object by mark": b"(ccollections\nOrderedDict\no",
    "an instance": b"(ios\nsystem\n",
    "an extension": b"\x82\x01",
    "a name of a storage": b"P0\n",
    "a function as a value": b"}U\x01actorch\nSize\ns",
    "a type of storages as a value": b"]ctorch\nFloatStorage\na",
    "a function as an attribute": ORDERED + b"}U\x09_metadatactorch\nSize\nsb",
}


def own():
    return (
        torch.float32.np,
        hash(torch.device("cpu")),
        torch.device("cpu").type,
        vars(OrderedDict()),
        torch.Size((1,)).numel(),
        torch.ones(1).dtype,
    )


@pytest.mark.parametrize("name", REFUSED)
def test_no_step_of_a_pickle_reaches_what_is_not_its_own(name):
    before = own()
    with pytest.raises(RefusedError, match="Weights only load failed") as caught:
        loaded(pickled(REFUSED[name]))
    assert isinstance(caught.value, pickle.UnpicklingError) and isinstance(caught.value, RuntimeError)
    assert own() == before


DATA = {"data/0": struct.pack("<2f", 1, 2), "data/flags": bytes([1, 2])}

DAMAGED = {
    "outside": tensor(size=(3,)),
    "an offset": tensor(offset=1),
    "a negative offset": tensor(offset=-1, size=(1,)),
    "a negative size": tensor(size=(-2,)),
    "a negative stride": tensor(offset=1, stride=(-1,)),
    "a size too many": tensor(size=(1, 1)),
    "many sizes": tensor(size=[1] * 70, stride=[1] * 70),
    "a huge size": tensor(size=(1 << 62, 1 << 62), stride=(0, 0)),
    "a huge size of nothing": tensor(size=(0, 1 << 62, 1 << 62), stride=(0, 0, 0)),
    "a size that repeats": tensor(size=(1 << 50,), stride=(0,)),
    "a size beyond 64 bits": tensor(size=(1 << 64,), stride=(0,)),
    "a size that is no number": tensor(size=("2",)),
    "a size that is a float": tensor(size=(2.0,)),
    "a count": tensor(count=3),
    "a count that is no number": tensor(count=None),
    "a missing record": tensor(key="1"),
    "a record outside": tensor(key="../data.pkl"),
    "a key that is no text": tensor(key=0),
    "bytes that do not fill an element": tensor(kind="ComplexDoubleStorage", count=0),
    "a bool of two": tensor(key="flags", kind="BoolStorage"),
    "a tensor of a list": call(
        "torch._utils._rebuild_tensor_v2", b"]", number(0), number((1,)), number((1,)), b"\x89", ORDERED
    ),
    "a parameter of a number": call("torch._utils._rebuild_parameter", b"K\x01", b"\x88", ORDERED),
    "a whole number that learns": tensor(kind="IntStorage").replace(b"\x89", b"\x88"),
    "an unknown device": call("torch.device", b"U\x03abc"),
    "a device of a list": call("torch.device", b"]"),
    "a size of text": call("torch.Size", b"U\x0212"),
    "an encoding": b"c_codecs\nencode\nX\x01\x00\x00\x00xX\x05\x00\x00\x00rot13\x86R",
    "bytes made again and again": b"X"
    + struct.pack("<I", 20_000)
    + b"a" * 20_000
    + b"q\x00]"
    + b"c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tRa" * 2_000,
    "dictionaries made again and again": b"]("
    + b"K\x01K\x02\x86" * 2_000
    + b"e\x85q\x00]"
    + b"ccollections\nOrderedDict\nh\x00Ra" * 4_000,
    "a name of containers": b"]2]\x86" + b"2\x86" * 60 + b"X\x01\x00\x00\x00x\x93",
    "a wide key": b")q\x000"
    + b"".join(b"(" + (b"h" + bytes([i])) * 200 + b"tq" + bytes([i + 1]) + b"0" for i in range(12))
    + b"}h\x0cK\x01s",
    "a list as a key": b"}]K\x01s",
    "a deep key": b"})" + b"\x85" * 100_000 + b"K\x01s",
    "a key that grows": b"})" + b"2\x86" * 60 + b"K\x01s",
    "an element of a set": call("builtins.set", b"](]e"),
    "a key without a value": b"}(K\x01u",
    "items of a number": b"K\x01(K\x02e",
    "items of a tensor": tensor() + b"K\x01K\x02s",
    "nothing on the stack": b"0",
    "no mark": b"K\x01t",
    "no value": b"",
    "an unknown number": b"h\x63",
    "text that is cut off": b"X\xff\xff\xff\x7fx",
    "bytes that are cut off": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "text that is no UTF-8": b"X\x01\x00\x00\x00\xff",
    "a number of many digits": b"L" + b"9" * 5000 + b"L\n",
    "a number that is none": b"Ix\n",
    "garbage": b"\xee\xff",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_pickles_that_do_not_fit_are_one_class_of_error(name, tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(pickled(DAMAGED[name], DATA))
    for options in ({}, {"mmap": True}):
        tracemalloc.start()
        try:
            with pytest.raises(FileError, match=r"checkpoint\.pt' is a damaged archive of torch\.save"):
                torch.load(path, **options)
            assert tracemalloc.get_traced_memory()[1] < 80 * path.stat().st_size + (1 << 20)
        finally:
            tracemalloc.stop()


def test_tensors_that_repeat_elements_take_what_the_file_has_a_right_to():
    repeated = b"]" + b"".join(tensor(size=(1 << 20, 2), stride=(0, 1)) + b"a" for _ in range(50))
    windows = b"]" + b"".join(
        tensor("large", size=(1 << 10, 1 << 10), stride=(1, 1), count=1 << 11) + b"a" for _ in range(50)
    )
    for data in (pickled(repeated, DATA), pickled(windows, {"data/large": bytes(1 << 13)})):
        tracemalloc.start()
        with pytest.raises(FileError, match="more than 16 times as many"):
            loaded(data)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(data) + (3 << 20)
        tracemalloc.stop()
    assert loaded(pickled(tensor(size=(1 << 10, 2), stride=(0, 1)), DATA))[77].tolist() == [1, 2]
    assert loaded(pickled(tensor(size=(1 << 20, 2), stride=(0, 1)), DATA), weights_only=False).shape == (1 << 20, 2)


def test_archives_that_do_not_fit(tmp_path):
    good = pickled(tensor(), DATA)
    assert loaded(good).tolist() == [1, 2]
    assert loaded(pickled(tensor(), DATA, zipfile.ZIP_DEFLATED)).tolist() == [1, 2]
    bomb = pickled(tensor(count=10), {"data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    twice = io.BytesIO(good)
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a/data/0", bytes(8))
    empty, other, odd = io.BytesIO(), io.BytesIO(), pickled(tensor(), {**DATA, "byteorder": b"middle"})
    for out, name in ((empty, "a/other"), (other, "b/data.pkl")):
        out.write(good if out is other else b"")
        with zipfile.ZipFile(out, "a") as archive:
            archive.writestr(name, b"N.")
    locked = bytearray(good)
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    for data in (
        bomb,
        twice.getvalue(),
        empty.getvalue(),
        other.getvalue(),
        odd,
        bytes(locked),
        good[:-1],
        good[:200],
        pickled(tensor(), DATA, zipfile.ZIP_BZIP2),
    ):
        tracemalloc.start()
        with pytest.raises(FileError, match="a damaged archive"):
            loaded(data)
        assert tracemalloc.get_traced_memory()[1] < 30 * len(data) + (1 << 20)
        tracemalloc.stop()


def test_trusted_files_run_and_damaged_ones_are_the_same_error():
    assert loaded(pickled(b"cbuiltins\nlen\n]\x85R"), weights_only=False) == 0
    for text in (b"h\x63", b"0", tensor(offset=-1), b"\xff"):
        with pytest.raises(FileError):
            loaded(pickled(text, DATA), weights_only=False)
    with pytest.raises(ModuleNotFoundError):
        loaded(pickled(b"cno_such_module\nf\n"), weights_only=False)


# Headers of safetensors


def headed(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def structured(tree, **header):
    return headed(
        {"__metadata__": {"fdl": tree if isinstance(tree, str) else json.dumps(tree)}, **header},
        bytes(8) if header else b"",
    )


DEEP = 100_000
WRONG = {
    "nothing": b"",
    "a length alone": struct.pack("<Q", 2),
    "a huge length": struct.pack("<Q", 1 << 63) + b"{}",
    "a length beyond": struct.pack("<Q", 3) + b"{}",
    "a header that is no JSON": headed(b"{x"),
    "a header that is a list": headed(b"[]"),
    "a header that is no UTF-8": headed(b'{"\xff": 1}'),
    "a deep header": headed(b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "deep dictionaries": headed(b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "a number of many digits": headed(b'{"a": ' + b"9" * 10_000 + b"}"),
    "a name twice": headed((b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {"dtype": "F32", '
    b'"shape": [1], "data_offsets": [0, 4]}}'), bytes(4)),
    "an entry of nothing": headed({"a": {}}),
    "an entry of a list": headed({"a": []}),
    "an entry with more": headed({"a": entry(more=1)}, bytes(8)),
    "an unknown dtype": headed({"a": entry("F31")}, bytes(8)),
    "a dtype of a list": headed({"a": entry(["F32"])}, bytes(8)),
    "a dtype of another size": headed({"a": entry("F64")}, bytes(8)),
    "a shape of another size": headed({"a": entry(shape=(3,))}, bytes(8)),
    "a negative shape": headed({"a": entry(shape=(-2, -1))}, bytes(8)),
    "a shape of floats": headed({"a": entry(shape=(2.0,))}, bytes(8)),
    "a shape of bools": headed({"a": entry(shape=(True, 2))}, bytes(8)),
    "a shape of many": headed({"a": entry(shape=[1] * 70 + [2])}, bytes(8)),
    "a shape that is huge": headed({"a": entry(shape=(1 << 63, 1 << 63))}, bytes(8)),
    "a shape that is huge and empty": headed({"a": entry(shape=(0, 1 << 62, 1 << 62), offsets=(0, 0))}),
    "a shape that is a number": headed({"a": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}}, bytes(8)),
    "offsets that overlap": headed({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)),
    "offsets that are the same": headed({"a": entry(), "b": entry()}, bytes(8)),
    "offsets with a gap": headed({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)),
    "offsets that begin late": headed({"a": entry(offsets=(4, 12))}, bytes(12)),
    "offsets outside": headed({"a": entry(offsets=(0, 8))}, bytes(7)),
    "offsets backward": headed({"a": entry(offsets=(8, 0))}, bytes(8)),
    "negative offsets": headed({"a": entry(offsets=(-8, 0))}, bytes(8)),
    "one offset": headed({"a": entry(offsets=(8,))}, bytes(8)),
    "offsets of floats": headed({"a": entry(offsets=(0.0, 8.0))}, bytes(8)),
    "data behind": headed({"a": entry()}, bytes(9)),
    "a bool of two": headed({"a": entry("BOOL", (2,), (0, 2))}, b"\x01\x02"),
    "metadata of a list": headed({"__metadata__": []}),
    "metadata of numbers": headed({"__metadata__": {"a": 1}}),
    "a structure that is no JSON": structured("{"),
    "a structure that is a number": structured("1"),
    "a structure of nothing": structured({}),
    "a deep structure": structured('{"list": [' * DEEP),
    "a structure of two": structured({"plain": 1, "value": "0x1"}),
    "an unknown structure": structured({"eval": "1"}),
    "a number that is none": structured({"value": "x"}),
    "a dtype that is none": structured({"dtype": "f31"}),
    "a dtype of many": structured({"dtype": "f4,f4"}),
    "a tensor that is missing": structured({"tensor": "b", "requires_grad": False}, a=entry()),
    "a tensor twice": structured({"list": [{"tensor": "a", "requires_grad": False}] * 2}, a=entry()),
    "a tensor too many": structured({"list": []}, a=entry()),
    "a tensor without an answer": structured({"tensor": "a"}, a=entry()),
    "a whole number that learns": structured({"tensor": "a", "requires_grad": True}, a=entry("I32")),
    "a complex number of one part": structured({"complex": [{"tensor": "a", "requires_grad": False}]}, a=entry()),
    "a complex number of text": structured({"complex": [{"plain": "a"}, {"plain": "b"}]}),
    "a key that is a list": structured({"dict": [[{"list": []}, {"plain": 1}]], "ordered": False}),
    "a key twice": structured({"dict": [[{"plain": 1}, {"plain": 1}]] * 2, "ordered": False}),
    "a dictionary of numbers": structured({"dict": [1], "ordered": False}),
    "a size of text": structured({"size": [{"plain": "x"}]}),
    "a plain list": structured({"plain": [1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_headers_that_do_not_fit_are_one_class_of_error(name, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(WRONG[name])
    for options in ({}, {"mmap": True}):
        with pytest.raises(FileError, match=r"weights\.safetensors' is damaged, or no file that save wrote"):
            torch.load(path, **options)


def test_headers_that_fit():
    found = loaded(
        headed(
            {
                "b": entry(offsets=(8, 16)),
                "a": entry(),
                "none": entry("I8", (0, 3), (8, 8)),
                "one": entry("F32", (), (16, 20)),
            },
            struct.pack("<5f", 1, 2, 3, 4, 5),
        )
    )
    assert {k: v.tolist() for k, v in found.items()} == {"b": [3, 4], "a": [1, 2], "none": [], "one": 5}
    assert loaded(headed(b"{}      ")) == {}
    assert loaded(
        structured({"list": [{"tensor": "a", "requires_grad": True}, {"plain": None}, {"value": "nan"}]}, a=entry())
    )[0].requires_grad


# Checksums


def test_each_bit_of_what_save_wrote_counts():
    """Every bit of the header and of the data of a safetensors file."""
    file = io.BytesIO()
    torch.save({"w": torch.tensor([1.0, 2.0]), "n": [3, "x"], "f": torch.tensor([True])}, file)
    whole = file.getvalue()
    for place in range(8 * len(whole)):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        with pytest.raises(FileError):
            loaded(bytes(data))


@pytest.mark.parametrize("name", ["pt", "recorded"])
def test_no_bit_of_an_archive_changes_what_is_read(name):
    """Bits of dates, versions and of padding say nothing; all others are noticed."""
    whole = sources()[name]
    want, rng, noticed = plain(loaded(whole)), random.Random(0), 0
    for _ in range(250):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            assert plain(loaded(bytes(data))) == want
        except FileError:
            noticed += 1
    assert noticed > 50


def test_files_written_anew_by_others():
    """Who keeps the metadata and changes the data is told; who leaves the checksum out is believed."""
    file = io.BytesIO()
    torch.save({"w": torch.tensor([1.0, 2.0])}, file)
    whole = file.getvalue()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    body = struct.pack("<2f", 3, 4)
    with pytest.raises(FileError, match=r"fdl\.checksum"):
        loaded(headed(header, body))
    metadata = header["__metadata__"]
    with pytest.raises(FileError, match="lost its checksum"):
        loaded(headed({**header, "__metadata__": {"fdl": metadata["fdl"]}}, body))
    with pytest.raises(FileError, match="lost its checksum"):
        loaded(headed({**header, "__metadata__": {"fdl.checksum": metadata["fdl.checksum"]}}, body))
    tree = {k: v for k, v in json.loads(metadata["fdl"]).items() if k != "checked"}
    assert loaded(headed({**header, "__metadata__": {"fdl": json.dumps(tree)}}, body))["w"].tolist() == [3, 4]
    del header["__metadata__"]
    assert loaded(headed(header, body))["w"].tolist() == [3, 4]


def test_checksums_are_those_of_the_data():
    file = io.BytesIO()
    torch.save(torch.tensor([1.0, 2.0]), file)
    data = file.getvalue()
    assert b'"fdl.checksum": "' in data and b" %08x" % zlib.crc32(data[-8:]) in data


# Other readers


def idx(shape, data, head=b"\0\0\x08"):
    return head + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + data


IDX = {
    "nothing": b"",
    "a part of the head": b"\0\0\x08",
    "no sizes": b"\0\0\x08\x03",
    "other numbers": idx((2,), bytes(8), b"\0\0\x0d"),
    "fewer bytes": idx((2, 3), bytes(5)),
    "more bytes": idx((2, 3), bytes(7)),
    "a huge shape": idx((0xFFFFFFFF,) * 3, bytes(7)),
    "many dimensions": idx((1,) * 200, bytes(1)),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", IDX)
def test_idx_files_that_do_not_fit(tmp_path, name, packed):
    path = tmp_path / ("digits.gz" if packed else "digits")
    path.write_bytes(gzip.compress(IDX[name]) if packed else IDX[name])
    with pytest.raises(FileError, match=r"digits.* is no IDX file of bytes, or is damaged"):
        datasets.read_idx(path)


def test_packed_idx_files_that_do_not_fit(tmp_path):
    path = tmp_path / "digits.gz"
    good = gzip.compress(idx((500,), bytes(range(250)) * 2))
    path.write_bytes(good)
    assert datasets.read_idx(path).tolist() == [*range(250)] * 2
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 4
    for data in (good[:-9], good[:30], bytes(flipped), good[:-8] + bytes(8), b"no gzip"):
        path.write_bytes(data)
        with pytest.raises(FileError, match="is no IDX file of bytes, or is damaged"):
            datasets.read_idx(path)


def test_datasets_whose_files_do_not_belong_together(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for images, labels in (((3, 28, 28), [1, 2]), ((3, 28), [1, 2, 3]), ((2, 28, 28), [1, 10])):
        (folder / "t10k-images-idx3-ubyte").write_bytes(idx(images, bytes(math.prod(images))))
        (folder / "t10k-labels-idx1-ubyte").write_bytes(idx((len(labels),), bytes(labels)))
        with pytest.raises(FileError, match="do not belong together"):
            datasets.MNIST(tmp_path, train=False)
    for kind, name in (
        (datasets.CIFAR10, "cifar-10-batches-bin/test_batch.bin"),
        (datasets.CIFAR100, "cifar-100-binary/test.bin"),
    ):
        path = tmp_path / name
        path.parent.mkdir()
        for data in (bytes(3000), bytes([200] * 2) + bytes(3072 - 2 + kind.labels)):
            path.write_bytes(data)
            with pytest.raises(FileError, match="is damaged"):
                kind(tmp_path, train=False)


def test_images_that_do_not_fit_are_named(tmp_path):
    pytest.importorskip("PIL.Image")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    with pytest.raises((OSError, SyntaxError)) as caught:
        datasets.ImageFolder(tmp_path)[0]
    assert "a.png" in "".join(caught.value.__notes__)


def test_complex_values_for_a_real_parameter_lose_a_part_with_a_warning():
    """As in PyTorch 2.13."""
    layer = torch.nn.Linear(1, 2)
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        layer.load_state_dict({**layer.state_dict(), "bias": torch.tensor([3 + 1j, 4 - 2j])})
    assert layer.bias.tolist() == [3, 4]


def test_states_of_generators_are_checked():
    before = torch.get_rng_state()
    for state in (torch.zeros(5056, dtype=torch.uint8), torch.zeros(2), [1, 2], None):
        with pytest.raises(TypeError, match="RNG state must be"):
            torch.set_rng_state(state)
    for shape in ((), (3,), (1, 2)):
        with pytest.raises(RuntimeError, match="RNG state is wrong size"):
            torch.set_rng_state(torch.zeros(shape, dtype=torch.int64))
    assert torch.get_rng_state().tolist() == before.tolist() and torch.rand(2).shape == (2,)


def test_states_of_scalers_and_schedules_change_all_or_nothing():
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    good = scaler.state_dict()
    for bad in (
        {k: v for k, v in good.items() if k != "growth_interval"},
        {**good, "scale": 2.0, "growth_factor": "x"},
        {**good, "scale": 2.0, "_growth_tracker": None},
    ):
        with pytest.raises((KeyError, ValueError, TypeError)):
            scaler.load_state_dict(bad)
        assert scaler.state_dict() == good
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    schedule.load_state_dict(
        {"optimizer": 1, "step": 2, "get_lr": 3, "lr_lambdas": [None], "last_epoch": 2, "_last_lr": [0.5]}
    )
    optimizer.step()
    schedule.step()
    assert schedule.optimizer is optimizer and optimizer.param_groups[0]["lr"] == 0.25


def test_two_writers_of_events_in_one_second_write_two_files(tmp_path):
    with SummaryWriter(tmp_path) as one, SummaryWriter(tmp_path) as two:
        one.add_scalar("a", 1.0)
        two.add_scalar("a", 2.0)
    assert len(list(tmp_path.iterdir())) == 2 and all(p.stat().st_size > 60 for p in tmp_path.iterdir())


def test_a_download_that_breaks_off_leaves_nothing(tmp_path):
    class Short(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(bytes(300))

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Short) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(OSError, match="300 of 1000 bytes"):
            torch.hub.load_state_dict_from_url(f"http://127.0.0.1:{server.server_port}/w.pt", model_dir=str(tmp_path))
        thread.join()
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="names no file"):
        torch.hub.load_state_dict_from_url("http://127.0.0.1/a/..", model_dir=str(tmp_path))


# Damage at random


def _campaign(kinds, seeds, path=None):
    """Count damages that gave the old values, other ones where they may, and errors; anything else fails.

    With a path the file lies there and is mapped, where checksums are not computed.
    """
    whole = sources()
    counts = {"same": 0, "other": 0, "refused": 0}
    before = own()
    for kind in kinds:
        want = plain(loaded(whole[kind]))
        for seed in seeds:
            data, free = damaged(kind, seed, whole[kind])
            if path is not None:
                path.unlink(missing_ok=True)  # what is mapped stays as it is
                path.write_bytes(data)
            tracemalloc.start()
            try:
                found = loaded(data) if path is None else torch.load(path, mmap=True)
            except FileError:
                counts["refused"] += 1
            except BaseException as error:
                raise AssertionError(f"damage {seed} of {kind}: {error!r}") from error
            else:
                same = _same(found, want)
                counts["same" if same else "other"] += 1
                assert same or free or path, f"damage {seed} of {kind} gives other values"
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            assert peak < 40 * len(data) + (3 << 20), (
                f"damage {seed} of {kind} takes {peak} bytes for a file of {len(data)}"
            )
            assert own() == before, f"damage {seed} of {kind}"
    return counts


def _same(found, want):
    try:
        return plain(found) == want
    except RecursionError:  # containers that hold themselves
        return False


KINDS = ["safetensors", "pt", "recorded", "plain"]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_noticed(kind):
    counts = _campaign([kind], range(80))
    assert counts["refused"] > 20


@pytest.mark.parametrize("kind", KINDS)
def test_damage_of_mapped_files(kind, tmp_path):
    counts = _campaign([kind], range(500, 540), tmp_path / "file")
    assert counts["refused"] > 10


@pytest.mark.slow
def test_five_thousand_damages_are_noticed():
    counts = _campaign(KINDS, range(1000, 2250))
    print(counts)
    assert sum(counts.values()) == 5000 and content()
