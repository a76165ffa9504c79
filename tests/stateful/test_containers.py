"""Containers of modules and parameters, and what modules refuse to hold, are PyTorch's (2.13): results and messages are
recorded from it.
"""

from collections import OrderedDict

import pytest

import fdl.stateful as torch
import fdl.stateful.nn as nn


def linear(n):
    return nn.Linear(n, n)


def sizes(module):
    """Names and sizes of children."""
    return {name: None if child is None else child.in_features for name, child in module._modules.items()}


def row():
    return nn.Sequential(linear(1), linear(2), linear(3))


def listed():
    return nn.ModuleList([linear(1), linear(2), linear(3)])


REFUSED = [
    (lambda: nn.Sequential(lambda x: x), TypeError, "<lambda> is not a Module subclass"),
    (lambda: nn.Sequential(nn.ReLU), TypeError, "ReLU is not a Module subclass"),
    (lambda: nn.Sequential([linear(1)]), TypeError, "list is not a Module subclass"),
    (lambda: nn.Sequential(torch.ones(1)), TypeError, "torch.FloatTensor is not a Module subclass"),
    (lambda: nn.Sequential({"a": linear(1)}), TypeError, "dict is not a Module subclass"),
    (
        lambda: nn.Sequential(OrderedDict([("a.b", linear(1))])),
        KeyError,
        'module name can\\\\\'t contain ".", got: a.b',
    ),
    (lambda: row().append(3), TypeError, "int is not a Module subclass"),
    (lambda: row().insert(7, linear(1)), IndexError, "Index out of range: 7"),
    (lambda: row().insert(1, 3), AssertionError, "module should be of type"),
    (lambda: row()[3], IndexError, "index 3 is out of range"),
    (lambda: row()["0"], TypeError, "'str' object cannot be interpreted as an integer"),
    (lambda: row().pop(5), IndexError, "index 5 is out of range"),
    (
        lambda: row() + [linear(1)],
        ValueError,
        "add operator supports only objects of Sequential class, but <class 'list'> is given",
    ),
    (lambda: row() * 0, ValueError, "Non-positive multiplication factor 0"),
    (
        lambda: row().__setitem__(0, 3),
        TypeError,
        r"cannot assign 'int' as child module '0' \(torch.nn.Module or None expected\)",
    ),
    (
        lambda: listed().extend(linear(4)),
        TypeError,
        "ModuleList.extend should be called with an iterable, but got Linear",
    ),
    (lambda: nn.ModuleList([1]), TypeError, "int is not a Module subclass"),
    (lambda: nn.ModuleList({"a": linear(1)}), TypeError, "str is not a Module subclass"),
    (lambda: listed().__delitem__(5), IndexError, "index 5 is out of range"),
    (lambda: nn.ModuleDict({"a": 1}), TypeError, "int is not a Module subclass"),
    (lambda: nn.ModuleDict({1: linear(1)}), TypeError, "module name should be a string. Got int"),
    (lambda: nn.ModuleDict({"keys": linear(1)}), KeyError, "attribute 'keys' already exists"),
    (lambda: nn.ModuleDict({"": linear(1)}), KeyError, "module name can\\\\'t be empty string"),
    (lambda: nn.ModuleDict([["a"]]), ValueError, "ModuleDict update sequence element #0 has length 1; 2 is required"),
    (
        lambda: nn.ModuleDict(3),
        TypeError,
        "ModuleDict.update should be called with an iterable of key/value pairs, but got int",
    ),
    (lambda: nn.ParameterList(3), TypeError, "ParameterList.extend should be called with an iterable, but got int"),
    (
        lambda: nn.ParameterList().extend(torch.ones(3)),
        TypeError,
        "ParameterList.extend should be called with an iterable, but got Tensor",
    ),
    (lambda: nn.ParameterList()(1), RuntimeError, "ParameterList should not be called."),
    (lambda: nn.ParameterDict({1: torch.ones(1)}), TypeError, r"as it is not a string \(type is 'int'\)"),
    (
        lambda: nn.Module().register_buffer("a", 3),
        TypeError,
        r"cannot assign 'int' object to buffer 'a' \(torch Tensor or None required\)",
    ),
    (lambda: nn.Module().register_buffer("a", [1.0]), TypeError, "cannot assign 'list' object to buffer 'a'"),
    (lambda: nn.Module().register_buffer(3, torch.ones(1)), TypeError, "buffer name should be a string. Got int"),
    (lambda: linear(1).register_buffer("weight", torch.ones(1)), KeyError, "attribute 'weight' already exists"),
    (
        lambda: nn.Module().register_parameter("a", torch.ones(1)),
        TypeError,
        "cannot assign 'torch.FloatTensor' object to parameter 'a'",
    ),
    (lambda: nn.Module().register_module("a", 3), TypeError, "int is not a Module subclass"),
    (lambda: nn.Module().add_module("a.b", linear(1)), KeyError, "module name can"),
    (
        lambda: setattr(linear(1), "weight", torch.ones(1, 1)),
        TypeError,
        "cannot assign 'torch.FloatTensor' as parameter 'weight'",
    ),
    (lambda: setattr(linear(1), "weight", linear(1)), TypeError, "Linear' as parameter 'weight'"),
    (
        lambda: setattr(nn.BatchNorm1d(1), "running_mean", 3),
        TypeError,
        r"cannot assign 'int' as buffer 'running_mean' \(torch.nn.Buffer, torch.Tensor or None expected\)",
    ),
    (lambda: linear(1).load_state_dict([]), TypeError, "Expected state_dict to be dict-like, got <class 'list'>"),
    (lambda: linear(1).to(torch.int64), TypeError, "nn.Module.to only accepts floating point or complex dtypes"),
    (lambda: linear(1).train("yes"), ValueError, "training mode is expected to be boolean"),
    (lambda: nn.BatchNorm1d(1).get_parameter("running_mean"), AttributeError, "`running_mean` is not an nn.Parameter"),
    (lambda: linear(1).get_submodule("a"), AttributeError, "Linear has no attribute `a`"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("make", [row, listed])
def test_lists_of_modules(make):
    m = make()
    m.append(linear(4)).extend([linear(5)])
    m.insert(1, linear(9))
    assert sizes(m) == {"0": 1, "1": 9, "2": 2, "3": 3, "4": 4, "5": 5} and m[-1].in_features == 5
    assert m.pop(0).in_features == 1 and m.pop(-1).in_features == 5
    del m[1:3]
    assert sizes(m) == {"0": 9, "1": 4}
    m[-1] = linear(7)
    m += make()
    assert [child.in_features for child in m] == [9, 7, 1, 2, 3] and len(m + make()) == 8
    assert [n for n, _ in m.named_parameters()][:2] == ["0.weight", "0.bias"] and not any(
        name.isdigit() for name in dir(m)
    )


def test_slices_keep_names_or_count_anew():
    assert sizes(row()[1:]) == {"1": 2, "2": 3} and sizes(row()[::2]) == {"0": 1, "2": 3}
    assert sizes(listed()[1:]) == {"0": 2, "1": 3}
    assert sizes(row() * 2) == {"0": 1, "1": 2, "2": 3, "3": 1, "4": 2, "5": 3}


def test_places_that_are_none():
    m = nn.ModuleList([None, linear(1)])
    assert (
        sizes(m) == {"0": None, "1": 1}
        and list(m.state_dict()) == ["1.weight", "1.bias"]
        and len(m) == 2
        and m[0] is None
    )
    assert len(list(m.parameters())) == 2 and len(list(m.eval().double().children())) == 1
    assert repr(nn.ModuleList([None, nn.ReLU()])) == "ModuleList(\n  (0): None\n  (1): ReLU()\n)"
    assert sizes(nn.Sequential(None)) == {"0": None} and sizes(nn.ModuleDict({"a": None})) == {"a": None}
    m[0] = linear(2)
    assert sizes(m) == {"0": 2, "1": 1}


def test_parameters_in_lists_and_dictionaries():
    p = nn.ParameterList([1, "a", torch.ones(1)])
    assert list(p)[:2] == [1, "a"] and isinstance(p[-1], nn.Parameter) and [n for n, _ in p.named_parameters()] == ["2"]
    p[0] = torch.ones(4)
    p += [torch.zeros(2)]
    assert [tuple(x.shape) for x in p.parameters()] == [(1,), (4,), (2,)] or [n for n, _ in p.named_parameters()] == [
        "2",
        "0",
        "3",
    ]
    d = nn.ParameterDict({"a": torch.ones(1), "b": 3})
    assert d.get("z") is None and d.get("z", 3) == 3 and d["b"] == 3 and d.setdefault("c", torch.ones(3)).requires_grad
    assert list((d | nn.ParameterDict({"z": torch.ones(1)})).keys()) == ["a", "b", "c", "z"] and list(reversed(d)) == [
        "c",
        "b",
        "a",
    ]
    assert (
        d.popitem()[0] == "c"
        and d.pop("a").shape == (1,)
        and list(d) == ["b"]
        and list(d.fromkeys(["x"], 1).items()) == [("x", 1)]
    )
    d.clear()
    assert len(d) == 0 and len(d.copy()) == 0
