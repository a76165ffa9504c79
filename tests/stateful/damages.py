"""Damages of saved files, each of a seed: bits and bytes of any file, and edits of what a header or a pickle says, put
back with checksums that are right.

`damaged(kind, seed)` gives bytes and whether they may stand for other values than before: a file whose checksums were
computed anew, or one that has none, may. Run by hand: `pytest -m slow tests/stateful/test_files.py`.
"""

from __future__ import annotations

import io
import json
import pickletools
import random
import re
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import fdl.stateful as torch

RECORDED = Path(__file__).parent / "recorded" / "containers.pt"  # by PyTorch 2.13
_FIELD = re.compile(rb'"fdl\.checksum": "([0-9a-f]{8}) ([0-9a-f]{8})"')
_EXTREMES = [
    0,
    1,
    127,
    128,
    255,
    1 << 15,
    1 << 16,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 62,
    1 << 63,
    (1 << 64) - 1,
]
_VALUES = [
    -1, 0, 1, 2, 1 << 31, 1 << 40, 1 << 62, 1 << 64, 10**400, 1.5, float("nan"), float("inf"), True, None, "", "x",
    "F32", "F64", "BOOL", "C64", [], [0], [-1], [1 << 40, 1 << 40],
    [0, 1 << 62], [1] * 70, {}, {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "\ud800", "x" * 3000,
]  # fmt: skip


def content():
    """Tensors of several types among containers."""
    torch.manual_seed(3)
    return {
        "w": torch.randn(3, 5),
        "half": torch.randn(4).half(),
        "flags": torch.tensor([True, False, True]),
        "n": [1, 2.5, "text", None, (True, torch.arange(3))],
        "z": torch.tensor([1 + 2j]),
        "state": OrderedDict(torch.nn.BatchNorm1d(3).state_dict()),
        "empty": torch.zeros(0, 2),
        7: torch.tensor([255], dtype=torch.uint8),
    }


def _saved(x, format):
    file = io.BytesIO()
    torch.save(x, file, format=format)
    return file.getvalue()


def _plain():
    """A safetensors file as others write them, without anything of fdl's in its metadata."""
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BOOL", "shape": [3], "data_offsets": [24, 27]},
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + struct.pack("<6f", *range(6)) + bytes([1, 0, 1])


def sources():
    """Files by kind."""
    return {
        "safetensors": _saved(content(), "safetensors"),
        "pt": _saved(content(), "pt"),
        "recorded": RECORDED.read_bytes(),
        "plain": _plain(),
    }


# Bytes


def _flip(r, b):
    for _ in range(r.choice([1, 1, 1, 2, 9])):
        b[r.randrange(len(b))] ^= 1 << r.randrange(8)
    return b


def _cut(r, b):
    return b[: r.randrange(len(b))]


def _span(r, b):
    start = r.randrange(len(b))
    return start, min(len(b), start + r.choice([1, 2, 4, 8, 16, 100, 1000]))


def _drop(r, b):
    i, j = _span(r, b)
    return b[:i] + b[j:]


def _repeat(r, b):
    i, j = _span(r, b)
    return b[:j] + b[i:]


def _noise(r, b):
    i, j = _span(r, b)
    b[i:j] = r.randbytes(j - i)
    return b


def _blank(r, b):
    i, j = _span(r, b)
    b[i:j] = bytes([r.choice([0, 32, 48, 255])]) * (j - i)
    return b


def _moved(r, b):
    i, j = _span(r, b)
    at = r.randrange(len(b))
    b[at : at + j - i] = b[i:j]
    return b


def _number(r, b):
    width = r.choice([1, 2, 4, 8])
    at = r.choice([0, r.randrange(len(b)), r.randrange(max(1, len(b) - 300), len(b))])
    b[at : at + width] = (r.choice(_EXTREMES) % (1 << 8 * width)).to_bytes(width, "little")
    return b


def _added(r, b):
    return r.choice(
        [
            lambda: b + r.randbytes(r.randrange(1, 300)),
            lambda: bytearray(r.randbytes(r.randrange(1, 30))) + b,
            lambda: b + b,
        ]
    )()


_BYTES = [_flip, _flip, _cut, _drop, _repeat, _noise, _blank, _moved, _number, _added]


# What a header says


def _edited(r, tree):
    """A tree of JSON with one place changed."""
    places = []

    def walk(x):
        for k in list(x) if isinstance(x, dict) else range(len(x)) if isinstance(x, list) else []:
            places.append((x, k))
            walk(x[k])

    walk(tree)
    if not places:
        return r.choice(_VALUES)
    inside, k = r.choice(places)
    change = r.randrange(6)
    if change == 0 and isinstance(inside, dict):
        inside[r.choice(["x", "tensor", "dict", "dtype", "__metadata__", "fdl"])] = inside.pop(k)
    elif change == 1:
        del inside[k]
    elif change == 2:
        other, name = r.choice(places)
        inside[k] = (
            json.loads(json.dumps(other[name]))
            if name in (other if isinstance(other, dict) else range(len(other)))
            else None
        )
    elif change == 3:
        value = []
        for _ in range(r.choice([5, 200, 400])):
            value = [value]
        inside[k] = value
    else:
        inside[k] = r.choice(_VALUES)
    return tree


def _header(r, data):
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.get("__metadata__", {})
    if "fdl" in metadata and r.random() < 0.6:
        metadata["fdl"] = json.dumps(_edited(r, json.loads(metadata["fdl"])))
    else:
        header = _edited(r, header)
    text = json.dumps(header).encode()
    if r.random() < 0.1:  # a name that stands twice, or containers that JSON's reader cannot hold
        text = r.choice(
            [text.replace(b'"half"', b'"w"'), text.replace(b"[", b"[" * 90000, 1), text[:-1] + b", " + text[1:]]
        )
    body = data[8 + length :]
    for field in _FIELD.finditer(text):
        text = text[: field.start(1)] + b"00000000" + b" %08x" % zlib.crc32(body) + text[field.end(2) :]
        text = text[: field.start(1)] + b"%08x" % zlib.crc32(text) + text[field.end(1) :]
        break
    return struct.pack("<Q", len(text)) + text + body


# What a pickle says

_STEPS = [
    b"(", b"0", b"1", b"2", b"N", b"}", b"]", b")", b"\x88", b"t", b"\x85", b"\x86", b"\x87", b"l", b"d", b"a", b"e",
    b"s", b"u", b"b", b"R", b"Q",
    b"o", b"\x81", b"\x92", b"\x8f", b"\x90", b"\x91", b"\x93", b"\x94", b"K\x01", b"J\xff\xff\xff\xff",
    b"J\xff\xff\xff\x7f", b"h\x00", b"h\x05",
    b"q\x07", b"r\xff\xff\xff\xff", b"j\xff\xff\xff\x7f", b"\x8a\x09" + b"\xff" * 8 + b"\x7f", b"\x8b\xff\xff\xff\x7f",
    b"X\xff\xff\xff\x7f",
    b"B\xff\xff\xff\xff", b"\x8d" + b"\xff" * 8, b"\x8e" + b"\xff" * 7 + b"\x7f", b"X\x01\x00\x00\x00x",
    b"cos\nsystem\n", b"ctorch\nfloat32\n",
    b"ctorch\nSize\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n",
    b"ccollections\nOrderedDict\n", b"c__builtin__\nset\n",
    b"(ios\nsystem\n", b"\x82\x01", b"P0\n", b"I99\n", b"L7L\n", b"Fnan\n", b"\x85" * 3000, b"\x95" + b"\xff" * 8,
]  # fmt: skip


def _steps(r, text):
    places = [place for _, _, place in pickletools.genops(text)]
    parts = [text[i:j] for i, j in zip(places, [*places[1:], len(text)])]
    for _ in range(r.choice([1, 1, 2, 5])):
        i = r.randrange(1, len(parts))
        change = r.randrange(5)
        if change == 0:
            del parts[i]
        elif change == 1:
            parts.insert(i, r.choice(_STEPS))
        elif change == 2:
            parts[i] = r.choice(_STEPS)
        elif change == 3:
            j = r.randrange(1, len(parts))
            parts[i], parts[j] = parts[j], parts[i]
        else:
            b = bytearray(parts[i])
            b[-1] = r.randrange(256)
            parts[i] = bytes(b)
    return b"".join(parts)


def _archive(r, data):
    out = io.BytesIO()
    kind = r.randrange(10)
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if kind == 1 else zipfile.ZIP_STORED) as new,
    ):
        names = old.namelist()
        chosen = r.choice(names)
        for name in names:
            text = old.read(name)
            if kind == 0 and name == chosen:
                text = bytes(r.choice(_BYTES)(r, bytearray(text or b"\0")))
            elif kind > 1 and name.endswith("data.pkl"):
                text = _steps(r, text)
            elif kind == 1 and name == chosen:
                text = bytes(r.choice([0, 100, 10_000_000]))
            new.writestr(name, text)
    return out.getvalue()


def damaged(kind, seed, whole):
    """Bytes of a file of this kind, damaged, and whether other values than before may stand there."""
    r = random.Random(f"{kind} {seed}")
    if r.random() < 0.5:
        if kind in ("safetensors", "plain"):
            return _header(r, whole), True
        return _archive(r, whole), True
    b = bytearray(whole)
    for _ in range(r.choice([1, 1, 1, 2])):
        b = r.choice(_BYTES)(r, b) or bytearray(b"\0")
    return bytes(b), kind == "plain"
