"""Samples that run with the runtime library and without it: each returns what it has seen, and names the reasons for
which the library leaves some of its calls to Python. One that names none is the library's alone from its second run on.
"""

import threading
import weakref

import numpy as np

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import lax
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.ops import promotion
from fdl.ops.axes import PARTS
from fdl.stateful.functions import creation
from fdl.stateful.functions.indexing import _PICKS
from fdl.stateful.utils import data
from fdl.transforms.lazy import flush, recorders, set_eager
from fdl.transforms.lazy.programs import forget_programs

SAMPLES = {}
with fdl.enable_x64():
    pass  # the first time, all is recorded anew


def sample(*reasons, tier="interpreted"):
    """Make a function a sample; `tier` is how its programs run."""

    def register(f):
        SAMPLES[f.__name__] = f, reasons, tier
        return f

    return register


def error_of(f):
    """Class and text of what a call raises."""
    try:
        f()
    except Exception as error:
        return type(error), str(error)
    raise AssertionError("nothing was raised")


def leaf(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype, requires_grad=True)


# Tensors: plain


@sample()
def a_layer_and_its_gradient():
    x, w, b = torch.arange(6.0).reshape(2, 3), leaf([0.5, -1.0, 2.0]), leaf(0.25)
    y = torch.sum(x * w, 1).add(b).tanh()
    y.mean().backward()
    return y, w.grad, b.grad


@sample()
def a_loop_of_training():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (model(torch.ones(5, 3)) - 1).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return losses, list(model.parameters())


@sample()
def changes_in_place():
    x, y = torch.ones(3), leaf(1.0, 2.0, 3.0)
    z = y * 2
    chained = x.add_(1).mul_(torch.full((3,), 3.0)).div_(2.0).sub_(0.5).exp_()
    z.mul_(y).add_(x)
    z.sum().backward()
    return chained is x, x, z, y.grad, z.requires_grad


@sample()
def views_and_gradients_through_them():
    x = leaf([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    seen = x[1].narrow(0, 0, 2).reshape(2, 1).t()
    (seen * seen).sum().backward()
    return seen, x.grad, x.unsqueeze(0).squeeze(0).transpose(0, 1)


@sample()
def without_gradients():
    w = leaf(1.0, 2.0)
    with torch.no_grad():
        y = w * 3
        w.mul_(2.0)
    return y, w, y.requires_grad, (w * 1).requires_grad


@sample()
def types_that_mix():
    ints, floats, wide = torch.arange(3), torch.ones(3), torch.ones(3, dtype=torch.float64)
    numbers = ints + 1, ints + 1.5, True + ints, 2 / floats
    changed = torch.ones(3).mul_(wide), torch.arange(3).mul_(3).add_(ints), torch.zeros(3).add_(ints)
    return numbers, changed, ints * floats, floats * wide, floats > ints, ints.float(), floats.long(), floats.float()


@sample()
def requiring_gradients_later():
    x = torch.ones(2)
    y = x * 2
    x.requires_grad_()
    z = x * y
    z.sum().backward()
    return z, x.grad, x.detach() * 3, y.requires_grad


@sample()
def first_order_within_second():
    x = leaf(1.0, 2.0)
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (g * g).sum().backward()
    return g, x.grad


@sample()
def functional_gradients():
    x, y = jnp.arange(4.0), jnp.ones(4)
    return fdl.value_and_grad(lambda a, b: (jnp.sin(a) * b - a).sum(), argnums=(0, 1))(x, y)


@sample("unknown")
def functional_operations():
    x = jnp.arange(6.0).reshape(2, 3)
    y = jnp.tanh(x) * 2.5 + x.T.reshape(2, 3)
    return y, y.sum(0), jnp.where(y > 1, y, 0)


@sample()
def ndarrays_that_came_before():
    return torch.from_numpy(np.ones((2, 3), "f4")) * 2, torch.from_numpy(np.arange(4)) + 1


@sample("unknown")
def integers_within_bounds():
    table = torch.arange(6.0).reshape(3, 2)
    return table[torch.tensor([2, 0, 1])], table[torch.tensor([[-1], [0]])], jnp.arange(5.0)[jnp.array([4, -5])]


@sample()
def rows_of_a_set():
    rows = data.TensorDataset(torch.arange(6.0).reshape(3, 2), torch.arange(3))
    return data._rows(rows, [2, 0]), data._rows(rows, [1, 1, 0])


# Tensors: what is left to Python


@sample("unknown")
def operations_that_are_new():
    return torch.ones(2).add(1).mul(3)


@sample("stale")
def views_whose_base_changes():
    x = torch.zeros(2, 3)
    view = x[0]
    x.add_(1)
    first = view * 2
    x[1] = 5
    return first, view + 1, x


@sample("stale")
def views_whose_base_forgets():
    w = leaf([1.0, 2.0], [3.0, 4.0])
    y = w * 2
    view = y[0]
    y.detach_()
    return view * 3, view.requires_grad, y


@sample("view")
def writes_through_views():
    x, w = torch.zeros(2, 3), leaf(1.0, 2.0, 3.0)
    x[0].add_(1).mul_(5)
    y = x * 1
    y[1].add_(w)
    (y * y).sum().backward()
    return x, y, w.grad


@sample("leaf")
def leaves_that_are_changed():
    x = leaf(1.0, 2.0)
    return error_of(lambda: x.add_(1)), error_of(lambda: x[0].mul_(2)), x


@sample("untracked", "leaf")
def views_without_gradients():
    w = leaf([1.0, 2.0], [3.0, 4.0])
    with torch.no_grad():
        v, rows = w[1], w[:1]
    v.requires_grad_()
    y = v[0:1] * 2
    y.sum().backward()
    return v, rows, v.requires_grad, y, v.grad, w.grad


@sample("shared")
def memory_that_numpy_sees():
    x, y = torch.ones(2, 2), torch.ones(2)
    memory, view = x.numpy(), x[0]
    memory[0, 0] = 7
    y.mul_(x[0])
    x.add_(1)
    return x, view * 1, y, np.array(memory)


@sample("shared", "computed")
def parameters_that_numpy_sees():
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
    memory = parameters[1].detach().numpy()
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    sum((p * p).sum() for p in parameters).backward()
    optimizer.step()
    return parameters, np.array(memory)


@sample("subclass")
def parameters_that_are_changed():
    p = torch.nn.Parameter(torch.ones(2))
    with torch.no_grad():
        same = p.mul_(3.0) is p
    return same, type(p), p, p[0]


@sample("arguments")
def arguments_of_all_kinds():
    x = torch.ones(2)
    x.add_(1, alpha=2).mul_(other=3.0).add_(True).sub_(np.float32(1))
    sums = x.sum(0), x.sum(dtype=torch.float64), x.mean(keepdim=True)
    return x, sums, error_of(lambda: x.add_()), error_of(lambda: x.add_("one")), error_of(lambda: x.float(1, 2, 3))


@sample("overlap")
def tensors_of_one_memory():
    x = torch.arange(4.0).reshape(2, 2)
    return x.add_(x), x.mul_(x[0:2]), x.sub_(x.detach())


@sample("special")
def methods_under_transforms():
    return fdl.jit(lambda t: t.clone().mul_(2.0).long())(torch.ones(2)), fdl.jit(lambda t: t.float())(torch.arange(2))


@sample()
def views_of_complex_tensors():
    z = torch.tensor([[1 + 2j, 3j], [1.0, -1j]])
    return torch.view_as_real(z[0] * z[1]), torch.view_as_real(z.t()), z.conj().imag


@sample("composite")
def views_of_sparse_tensors():
    s = torch.sparse_coo_tensor([[0], [1]], [2.0], (2, 2))
    return error_of(lambda: torch.transpose(s, 0, 1))


@sample("many")
def more_operands_than_bits():
    assert torch.ones((1,) * 9).sum().item() == 1
    parts = [leaf(float(i)) for i in range(61)]
    whole = torch.cat(parts)
    whole.sum().backward()
    return whole, parts[60].grad


@sample("traced", "operand")
def tensors_that_left_a_transform():
    kept = []
    fdl.jit(lambda t: kept.extend([t * 2, t.sum()]) or t.sum())(torch.ones(3))
    errors = [
        error_of(f)[0] for f in (lambda: kept[0] * 2, lambda: kept[0][0], lambda: kept[1].item(), lambda: kept[0].sum())
    ]
    return type(error_of(lambda: kept[0].add_(1))), errors


@sample("wide")
def integers_that_are_too_wide():
    return error_of(lambda: torch.arange(3) + 2**70), error_of(lambda: torch.arange(3).add_(2**70))


@sample("unknown")
def errors_of_shapes_and_types():
    x, whole = torch.ones(3), torch.arange(3)
    return [
        error_of(f)
        for f in (
            lambda: x.add_(torch.ones(2, 3)),
            lambda: x + torch.ones(2),
            lambda: whole.div_(2.0),
            lambda: x[3],
            lambda: x @ torch.ones(2, 2),
            lambda: (x * 2).backward(),
        )
    ]


@sample("operand", "unknown", "unreadable")
def ndarrays_of_all_kinds():
    creation._COPIED.clear()
    square = np.arange(9.0).reshape(3, 3)
    torch.from_numpy(square)
    return torch.from_numpy(square.T), torch.from_numpy(square[::-1]), error_of(lambda: torch.from_numpy([1]))


@sample("outside", "empty", "unreadable")
def rows_that_are_none():
    rows = data.TensorDataset(torch.arange(8.0).reshape(4, 2))
    seen = data.TensorDataset(torch.from_numpy(np.arange(6.0).reshape(2, 3)).t())
    return (
        data._rows(rows, [-1, 0]),
        data._rows(rows, [0, -2]),
        data._rows(seen, [2, 0]),
        error_of(lambda: data._rows(rows, [])),
        error_of(lambda: data._rows(rows, [0, 4])),
        error_of(lambda: data._rows(rows, [3, 4])),
    )


@sample("narrow", "unreadable")
def indices_of_all_widths():
    x, wide = jnp.arange(5.0), jnp.arange(6).reshape(2, 3).T[:2].block_until_ready()
    return (
        x[jnp.array([1, -1], "int8")],
        x[wide],
        error_of(lambda: x[jnp.array([5])]),
        error_of(lambda: x[wide + 4].tolist()),
    )


@sample("unknown")
def operands_of_what_failed():
    a, b, c, d = (torch.from_numpy(np.full(n, n, "f")) for n in (3, 2, 3, 3))
    c += 1
    flush()
    found = []
    for x, fails in ((d, False), (c, True)):
        y = a * 2
        if fails:  # it has marked `c` with a place that `d` gets
            found.append(error_of(lambda: c + b))
        found += [y * d, x * 3]
        flush()
    return found


@sample("unknown")
def cells_of_a_program_that_fails():
    x, table, places = torch.ones(3), torch.arange(3.0), torch.arange(3)
    x.mul_(2)
    found = table[places + 1]
    x.add_(1)
    return error_of(lambda: found.tolist()), x


# The tape


@sample("hooked")
def hooks():
    x, seen = leaf(1.0, 2.0), []
    y = x * 2
    y.register_hook(lambda g: seen.append(g * 1) or g * 3)
    x.register_hook(lambda g: seen.append(g + 1))
    y.retain_grad()
    (y * y).sum().backward()
    return x.grad, y.grad, seen


@sample("several")
def functions_of_several_results():
    x = leaf([3.0, 1.0, 2.0], [4.0, 6.0, 5.0])
    values, places = x.max(1)
    top, _ = x.topk(2)
    (values.sum() + (top * top).sum()).backward()
    return values, places, x.grad


@sample("released")
def backward_twice():
    x = leaf(1.0, 2.0)
    y = (x * x).exp()
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return x.grad, error_of(lambda: y.sum().backward())


@sample("graph")
def gradients_of_operations_with_graphs():
    def f(x):
        total, partial = lax.scan(lambda c, v: (c * v, c), 1.0, x)
        return lax.cond(total > 0, lambda a: (a * 2).sum(), lambda a: a.sum(), partial)

    return fdl.grad(f)(jnp.array([1.0, 2.0, 3.0]))


@sample("several")
def functional_gradients_of_several_results():
    def f(x):
        q, r = jnp.linalg.qr(x)
        return (q * x).sum() + (r * r).sum()

    return fdl.grad(f)(jnp.array([[2.0, 1.0], [0.5, 3.0]]))


@sample("constant")
def constants_within_gradients():
    c = jnp.arange(3.0)
    return fdl.grad(lambda x: (x * jnp.sin(c)).sum() + jnp.cos(c).sum())(jnp.ones(3))


@sample("operand")
def numbers_within_gradients():
    return fdl.grad(lambda x: (2 * x + x * np.float32(3) + jnp.maximum(x, np.ones(3, "f"))).sum())(jnp.ones(3))


@sample("many")
def functional_gradients_of_many():
    return fdl.grad(lambda xs: jnp.concatenate(xs).sum())([jnp.ones(1) * i for i in range(61)])


# Operators of arrays, and looks at values


@sample()
def operators_of_arrays():
    x, y, n = jnp.arange(4.0), jnp.ones(4), jnp.arange(4)
    mask = (x > 1) ^ (n <= 2)
    return -x + y, x - 1, 2 * y, 1.5 - x, n * 3 + n, 7 & n, n << 1, n == 2, x != y, ~mask, n + True


@sample()
def operators_of_tensors():
    x, y, n = torch.arange(4.0), torch.ones(4), torch.arange(4)
    return -x + y, x - 1, 2 * y, 1.5 - x, n * 3 + n, 7 & n, 2 / y, n == 2, x != y, ~(x > 1), n + True, x.exp(), x.sub(y)


@sample()
def folds_over_all():
    x, n = leaf([1.0, 2.0], [4.0, 3.0]), torch.arange(6).reshape(1, 2, 3)
    (x.sum() * x.mean() + x.amax() * x[0].amin()).backward()
    return x.grad, n.sum(), n.any(), n.all(), n[0, 0, 0].sum(), (n > 1).sum()


@sample(tier="compiled")
def parts_at_numbers():
    x, y, w = torch.arange(6.0).reshape(2, 3), jnp.arange(6).reshape(2, 3), leaf([1.0, 2.0], [3.0, 4.0])
    x.tolist(), y.tolist()
    (w[1] * w[-1, 0]).sum().backward()
    known = [x[0, 2].item(), x[-1][0].item(), bool(x[1, 1] > 3), int(y[1, -1]), y[0], y[0][1], x[1]]
    return known, w.grad, w[0][1].item(), (x * 2)[1], x[0, 0].shape, x


@sample("place", "unknown", "unreadable")
def parts_at_other_places():
    _PICKS.clear(), PARTS.clear()
    x, y = torch.arange(6.0).reshape(2, 3), jnp.arange(6).reshape(2, 3)
    x.tolist()
    errors = [error_of(f) for f in (lambda: x[2], lambda: x[0, -4], lambda: x[0, 0, 0], lambda: y[5], lambda: y[2**70])]
    return errors, x[0], x[1], x[:, 1], x[()], y[0], y[0], y[..., 1], (y + 1)[1], type(error_of(lambda: x["a"]))


@sample(tier="compiled")
def looks_at_values():
    x, w = jnp.arange(4.0), leaf(1.0, 2.0)
    w.grad = torch.ones(2)
    y = [torch.ones(1) + i for i in range(3)]
    torch.optim.SGD([w], lr=0.5).step()  # what it has recorded is complete
    seen = w.sum().item(), bool(y[0] > 0), int(y[1] * 2), float(y[2]), type((torch.arange(3) == 1).any().item())
    return (x + 1).block_until_ready(), [bool((v > 1).all()) for v in (x, x + 2)], float(x.sum()), int(x.max()), seen


@sample(tier="compiled")
def looks_at_values_of_all_types():
    whole = [np.array(v).astype(t) for t in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8") for v in (-1, 100)]
    arrays = [jnp.array(v) for v in (*whole, np.float64(0.1), np.float32(-0.0), np.float32(np.nan), np.bool_(True))]
    outs = [jnp.maximum(a, a).block_until_ready() for a in arrays]
    return [(repr(f(a)), type(f(a))) for a in outs for f in (type(a).item, bool, float)]


@sample("unreadable", tier="compiled")
def looks_at_values_of_other_kinds():
    x = jnp.ones(3) * 2
    halves = (jnp.ones(2, jnp.bfloat16) + 1).sum().item(), (torch.ones(1).half() * 3).item()
    errors = (
        error_of(lambda: bool(x)),
        error_of(lambda: torch.ones(2).add(1).item()),
        error_of(lambda: float(x[:0] + 1)),
    )
    return halves, errors, x.block_until_ready()


@sample("operand", "wide", "unknown")
def numbers_of_other_kinds():
    promotion.TYPED.clear(), promotion._ALIGNED.clear()
    x, n, small = jnp.ones(2), jnp.arange(2), jnp.arange(2, dtype="int8")
    within = small + 100
    with fdl.enable_x64():
        within = within, x * 2.5, n + 7, 1 - x, jnp.exp(0.5), x > 1
    wide = error_of(lambda: small + 300), error_of(lambda: n + 2**31), error_of(lambda: n + 2**64)
    return x + 1j, x * np.float32(2), x + np.ones(2, "f"), within, wide, x + 2**40, error_of(lambda: x + [1.0])


@sample("special", tier="auto")
def operations_one_by_one():
    set_eager(True)
    try:
        x = jnp.maximum(jnp.ones(2), 0.5) * 2
        seen = bool(x[0] + 1 > 2), (torch.ones(2) + 1).sum().item()
    finally:
        set_eager(False)
    with torch.autocast("cpu", torch.bfloat16):
        return seen, x, (torch.ones(2) * 2).sum().item()


# Threads, and recorders


def elsewhere(work):
    """The result of work in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@sample("marked")
def arrays_that_two_threads_use():
    x = torch.ones(3) * 1
    x.sum().item()
    y = x + 1
    other = elsewhere(lambda: (x * 2).sum().item())
    return y, other, x * 3, x + y


@sample("pending")
def values_that_are_pending_elsewhere():
    other = elsewhere(lambda: torch.ones(3) * 2)
    flush()  # what follows is of a later epoch
    return torch.ones(3) * other, other.add_(1)


@sample("pending")
def arrays_that_were_donated():
    x = jnp.ones(3) * 1
    fdl.jit(lambda a: a + 1, donate_argnums=0)(x)
    return error_of(lambda: x * 2)


@sample("busy")
def an_operation_in_the_midst_of_another():
    x = leaf(1.0, 2.0)
    y = x * 2
    recorders.recorder.busy = True
    try:
        z = y + 1
        seen = [z[0].item(), torch.ones(2).mul_(3.0).tolist()]
        z.sum().backward()
    finally:
        recorders.recorder.busy = False
    return seen, z, x.grad, y * 3


@sample("over")
def a_loop_that_nobody_looks_at():
    x, c = torch.ones(2), jnp.ones(())
    for _ in range(1100):
        x.add_(0.5)
        c = c + 1
    return x, c


@sample()
def values_that_die():
    x = torch.ones(4)
    y = x * 2
    alive = weakref.ref(y)
    z = y + x
    changed = torch.zeros(4).add_(1)
    w = changed * z
    del y, changed
    return alive() is None, z, w


# Calls of compiled programs


@sample(tier="compiled")
def calls_of_one_signature():
    f = fdl.jit(lambda tree, xs: {"a": tree["a"] * xs[0], "b": (xs[1], None)}, donate_argnums=1)
    given = [[from_numpy(np.arange(n, dtype="f") + i) for n in (2, 2, 3)] for i in range(3)]
    return [f({"a": a}, (b, c)) for a, b, c in given], [error_of(x.tolist) for x in given[2][1:]]


@sample("structure", "types", tier="compiled")
def calls_of_other_signatures():
    f = fdl.jit(lambda *xs: sum(x["a"] for x in xs))
    one, two, whole = {"a": jnp.ones(2)}, {"a": jnp.ones(3)}, {"a": jnp.arange(2)}
    calls = [(one,), (one,), (one, one), (two,), (two,), (whole,), ({"a": 1.5},), ({"a": 1.5, "b": jnp.ones(2)},)]
    g = fdl.jit(lambda tree: {"sum": sum(fdl.tree.leaves(tree)), "same": tree})
    a, b = jnp.ones(2), jnp.zeros(2)
    trees = [
        (a, [b]),
        (a, [b, a]),
        (a, [b]),
        (a, [b], b),
        (a,),
        [a, b],
        [a],
        {"x": a},
        {"x": a, "y": None},
        {"x": a, "y": b},
        {"x": None},
    ]
    found = [g(tree) for tree in trees for _ in range(2)]
    return [f(*xs) for xs in calls], error_of(lambda: f({"b": jnp.ones(2)})), found


@sample("unreadable", tier="compiled")
def calls_with_memory_in_another_order():
    config.tier = "interpreted"
    turned, half = jnp.arange(6.0).reshape(2, 3).T.block_until_ready(), jnp.ones(2, "float16") * 1
    config.tier = "compiled"
    f = fdl.jit(lambda x: x * 2)
    return [f(turned) for _ in range(3)], turned + 1, half * 2.5


@sample("unknown", tier="compiled")
def a_compiled_loop():
    x, w = torch.arange(6.0).reshape(2, 3), leaf(0.5, -1.0, 2.0)
    for _ in range(3):
        loss = ((x * w).sum(1) - 1).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            w.sub_(w.grad * 0.1)
            w.grad = None
    return loss, w


@sample("unknown", tier="auto")
def a_program_that_was_interpreted_before():
    forget_programs()
    found = []
    for config.tier in ("interpreted", "auto"):
        found.append((torch.arange(3.0) * 2 + 1).tolist())
    return found


@sample("checked", "unknown", tier="compiled")
def a_program_that_checks_places():
    x, places = jnp.arange(6.0), jnp.arange(3)
    return [x[places + i].tolist() for i in range(3)], error_of(lambda: x[places + 4].tolist())
