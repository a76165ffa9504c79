"""What libraries ask of PyTorch beside functions of tensors: blocks, weak dictionaries, parts of texts, names."""

import gc
import warnings

import pytest

import fdl.stateful as torch
from fdl.stateful._utils import _get_device_module
from fdl.stateful.utils._contextlib import _DecoratorContextManager, _NoParamDecoratorContextManager, context_decorator


class Depth(_DecoratorContextManager):
    now = 0

    def __enter__(self):
        Depth.now += 1

    def __exit__(self, *error):
        Depth.now -= 1


def test_a_block_decorates_functions_and_steps_of_generators():
    @Depth()
    def f():
        return Depth.now

    @Depth()
    def g():
        try:
            got = yield Depth.now
            yield got, Depth.now
        except KeyError:
            yield "thrown", Depth.now
        return "end"

    assert (f(), Depth.now) == (1, 0)
    steps = g()
    assert next(steps) == 1 and Depth.now == 0  # what the caller does in between is outside
    assert steps.send("sent") == ("sent", 1) and steps.throw(KeyError()) == ("thrown", 1)
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "end" and Depth.now == 0
    with pytest.raises(RuntimeError, match="Cannot decorate classes"):
        context_decorator(Depth().clone, int)


def test_a_block_decorates_a_class_with_a_warning():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")

        @Depth()
        class A:
            def __init__(self):
                self.depth = Depth.now

    assert A().depth == 1 and told[0].category is FutureWarning


def test_a_block_without_arguments_decorates_by_its_class():
    class Plain(_NoParamDecoratorContextManager):
        __enter__, __exit__ = Depth.__enter__, Depth.__exit__

    assert Plain(lambda: Depth.now)() == 1 and Plain()(lambda: Depth.now)() == 1


def test_weak_dictionaries_tell_keys_apart_by_identity():
    held = torch.utils.weak.WeakIdKeyDictionary()
    a, b = torch.ones(2), torch.ones(2)
    held[a], held[b] = "a", "b"
    held[a] = "again"
    assert list(held.values()) == ["again", "b"] and held.pop(b) == "b" and b not in held
    del a
    gc.collect()
    assert len(held) == 0 and 3 not in held
    ref = torch.utils.weak.WeakIdRef(b)
    assert ref == torch.utils.weak.WeakIdRef(b) and ref() is b and hash(ref) == id(b)
    del b
    gc.collect()
    assert ref() is None and ref == ref


def test_parts_of_a_printed_tensor():
    text = torch._tensor_str
    assert text._tensor_str(torch.tensor([[1, 2], [3, 4]]), 6) == "[[1, 2],\n       [3, 4]]"
    assert text._add_suffixes("x(1", ["a=2"], 2, force_newline=True) == "x(1,\n  a=2)"
    assert text._str_intern(torch.tensor([1.0]), tensor_contents="?") == "tensor(?)"
    torch.set_printoptions(precision=2)
    try:
        assert text.PRINT_OPTS.precision == 2 and text._tensor_str(torch.tensor([0.123]), 0) == "[0.12]"
    finally:
        torch.set_printoptions(profile="default")
    with pytest.raises(AttributeError):
        text.PRINT_OPTS.colour  # noqa: B018


def test_types_without_tensors_are_names():
    table = {torch.float16: torch.complex32, torch.quint8: None}
    assert table[torch.half] is torch.complex32 and torch.complex32 != torch.complex64
    with pytest.raises(NotImplementedError, match=r"torch\.qint8: no tensor has numbers of this type"):
        torch.zeros(2, dtype=torch.qint8)


def test_whether_a_transform_runs_and_maps():
    told = []

    def f(x):
        told.append((torch._C._are_functorch_transforms_active(), torch._C._functorch.is_batchedtensor(x)))
        return x * 2

    f(torch.ones(2))
    torch.vmap(f)(torch.ones(2))
    torch.func.grad(f)(torch.tensor(1.0))
    assert told == [(False, False), (True, True), (True, False)]
    with pytest.raises(NotImplementedError, match="levels"):
        torch._C._functorch._add_batch_dim(torch.ones(2), 0, 1)


def test_what_is_of_several_processes_says_so():
    for made in (torch.distributed.fsdp.FSDPModule, torch.distributed.rpc.init_rpc, torch.distributed.fsdp.fully_shard):
        with pytest.raises(RuntimeError, match="one process"):
            made()
    with pytest.raises(RuntimeError, match="emit_nvtx"):
        torch.autograd.profiler.emit_nvtx()
    assert not torch.autograd._profiler_enabled()
    with torch.profiler.profile():
        assert torch.autograd._profiler_enabled()
    assert _get_device_module("cpu") is torch.cpu
    with pytest.raises(RuntimeError, match="corresponding module"):
        _get_device_module("abacus")


def test_a_normalisation_folded_into_the_layer_before():
    torch.manual_seed(0)
    fusion, x = torch.nn.utils.fusion, torch.randn(3, 2, 6, 6)
    for conv, transpose in ((torch.nn.Conv2d(2, 4, 3), False), (torch.nn.ConvTranspose2d(2, 4, 3, bias=False), True)):
        bn = torch.nn.BatchNorm2d(4)
        bn(conv(x))
        conv.eval(), bn.eval()
        torch.testing.assert_close(fusion.fuse_conv_bn_eval(conv, bn, transpose)(x), bn(conv(x)))
    linear, bn = torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4, affine=False)
    bn(linear(x[:, 0, 0]))
    with pytest.raises(AssertionError, match="eval"):
        fusion.fuse_linear_bn_eval(linear, bn)
    linear.eval(), bn.eval()
    torch.testing.assert_close(fusion.fuse_linear_bn_eval(linear, bn)(x[:, 0, 0]), bn(linear(x[:, 0, 0])))


def test_a_tensor_of_a_module_is_exchanged():
    swap = torch.nn.utils._named_member_accessor.swap_tensor
    module = torch.nn.BatchNorm1d(2)
    old = swap(module, "running_mean", torch.ones(2))
    assert old.tolist() == [0, 0] and module.running_mean.tolist() == [1, 1]
    assert swap(module, "weight", None).tolist() == [1, 1] and module.weight is None
    assert swap(module, "extra", torch.ones(1), allow_missing=True) is None and module.extra.tolist() == [1]
    with pytest.raises(AttributeError, match="no attribute `none`"):
        swap(module, "none", torch.ones(1))
    with pytest.raises(TypeError, match="not an instance"):
        swap(module, "eps", torch.ones(1))
    assert module.eps == 1e-5


def test_classes_whose_constructor_asks_for_more():
    class Named(torch.Tensor):
        def __new__(cls, x, name):
            made = torch.as_tensor(x).as_subclass(cls)
            made.name = name
            return made

    t = Named([1.0, 2.0], "a")
    assert type(t + 1) is Named and t.name == "a" and type(t.clone()) is Named


def test_shapes_stay_shapes():
    shape = torch.ones(2, 3).shape
    assert [type(s) for s in (shape[1:], shape + (4,), (4,) + shape, shape * 2, shape[0])] == [torch.Size] * 4 + [int]
    assert (4,) + shape == torch.Size([4, 2, 3]) and shape[-2:].numel() == 6
    numbers = [1]
    numbers += shape
    assert numbers == [1, 2, 3]
    for wrong in (lambda: [1] + shape, lambda: shape + [1]):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError):
        shape + [1]


def test_gradients_up_to_a_value_leave_what_made_it():
    """What is in front of the inputs neither runs nor lets go of what it keeps: PyTorch goes on from there."""
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    middle = x * x
    out = (middle * middle).sum()
    (by_middle,) = torch.autograd.grad(out, middle)
    assert by_middle.tolist() == [8, 18]
    assert torch.autograd.grad(middle.sum(), x)[0].tolist() == [4, 6]
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(out, middle)
    seen = []
    y = torch.tensor(2.0, requires_grad=True)
    z = y * 3
    z.register_hook(seen.append)
    w = z * z
    torch.autograd.grad(w, w, retain_graph=True)
    assert not seen
    w.backward(inputs=[z], retain_graph=True)
    assert len(seen) == 1 and y.grad is None and z.grad.item() == 12


def test_the_graph_of_gradients_is_walked():
    """As drawers of graphs do: from a result back to the leaves."""

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x, y = torch.ones(2, requires_grad=True), torch.ones(2)
    out = (Twice.apply(x) * y).sum()
    names, node = [], out.grad_fn
    while node.next_functions:
        names.append(node.name())
        ((node, index),) = node.next_functions
        assert index == 0
    assert names == ["SumBackward0", "MulBackward0", "TwiceBackward"]
    assert node.name() == "AccumulateGrad" and node.variable is x
    held = (x * x).grad_fn
    del x
    gc.collect()
    assert [n.name() for n, _ in held.next_functions] == ["AccumulateGrad"] * 2
