"""Loops that run compiled after their first steps compute what line-by-line execution computes."""

import gc
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, settings

import fdl.stateful as torch
from fdl.core.config import config
from fdl.extend import flush
from fdl.testing import count_compilations, count_native_calls, count_programs
from fdl.transforms.lazy import set_eager
from tests.conftest import needs_compiler
from tests.stateful import loops

nn, F = torch.nn, torch.nn.functional


def in_mode(spec, tier, eager):
    config.tier = tier
    set_eager(eager)
    try:
        return loops.run(torch, spec)
    finally:
        set_eager(False)


def assert_bits(got, want):
    assert got[0] == want[0]
    for a, b in zip(got[1] + got[2], want[1] + want[2], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.tobytes() == b.tobytes(), np.abs(a - b).max()


def assert_near(got, want, tolerance=2e-4):
    np.testing.assert_allclose(got[0], want[0], rtol=tolerance, atol=tolerance)
    for a, b in zip(got[1] + got[2], want[1] + want[2], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@needs_compiler
@settings(max_examples=8)
@given(loops.specs())
def test_edited_loops_have_the_bits_of_eager_execution(spec):
    assert_bits(in_mode(spec, "compiled", False), in_mode(spec, "compiled", True))


@settings(max_examples=60)
@given(loops.specs())
def test_edited_loops_agree_when_interpreted(spec):
    assert_near(in_mode(spec, "interpreted", False), in_mode(spec, "interpreted", True), 1e-5)


@pytest.mark.peers
@settings(max_examples=60)
@given(loops.specs(dropout=False))
def test_edited_loops_agree_with_torch(spec):
    peer = pytest.importorskip("torch")
    assert_near(in_mode(spec, "interpreted", False), loops.run(peer, spec), 2e-3)


@pytest.mark.peers
@pytest.mark.parametrize("optimizer", ["SGD", "momentum", "Adam", "AdamW"])
@pytest.mark.parametrize(
    "edits",
    [
        ["none", "freeze", "thaw", "none"],
        ["print", "second", "freeze", "accumulate", "thaw", "rebuild", "clip"],
        ["zero", "freeze", "zero", "thaw", "double"],
    ],
)
def test_frozen_parameters_keep_counts_of_their_own(optimizer, edits):
    peer = pytest.importorskip("torch")
    spec = {
        "seed": 1,
        "widths": (6, 4),
        "activation": "Tanh",
        "norm": True,
        "dropout": 0.0,
        "optimizer": optimizer,
        "loss": "cross",
        "edits": edits,
    }
    assert_near(in_mode(spec, "interpreted", False), loops.run(peer, spec), 1e-4)


# Counts: programs, native calls, compilations, memory


def mlp(dropout=0.0, sizes=(20, 16, 8, 4)):
    torch.manual_seed(0)
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])


def batch(n=8, inputs=20, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(size=(n, inputs)).astype(np.float32)), torch.tensor(rng.integers(0, classes, n))


def train_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


@needs_compiler
def test_adam_steps_with_dropout_and_changing_rate_are_one_program():
    config.tier = "compiled"
    model, (x, y) = mlp(dropout=0.2), batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with count_programs() as programs, count_native_calls() as calls, count_compilations() as compilations:
        for step in range(3):
            optimizer.param_groups[0]["lr"] = 1e-3 / (step + 1)
            train_step(model, optimizer, x, y)
            assert calls() == step
        optimizer.zero_grad()
        assert (programs(), calls()) == (1, 3)
        assert compilations() <= 1


@needs_compiler
def test_the_loop_of_an_mlp_is_compiled_within_forty_steps():
    model, (x, y) = mlp(sizes=(784, 128, 64, 10)), batch(64, 784, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with count_native_calls() as calls:
        for _ in range(41):
            train_step(model, optimizer, x, y)
        optimizer.zero_grad()
        assert calls() >= 1


def test_logged_iterations_repeat_at_most_three_programs():
    model, (x, y) = mlp(), batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    with count_programs() as programs:
        for step in range(400):
            loss = train_step(model, optimizer, x, y)
            if step % 10 == 0:
                loss.item()
        flush()
    assert programs() <= 3


def test_two_call_sites_share_one_program():
    x = torch.ones(3)
    with count_programs() as programs:
        (x * 2 + 1).tolist()
        (x * 3 + 5).tolist()
        float((x * 2 + 1)[0])
    assert programs() <= 2


def test_memory_stays_flat_over_many_steps():
    model, (x, y) = mlp(), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    for _ in range(20):
        train_step(model, optimizer, x, y)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(300):
        train_step(model, optimizer, x, y)
    gc.collect()
    assert len(gc.get_objects()) < before + 200


@needs_compiler
def test_parameters_are_updated_in_place():
    config.tier = "compiled"
    model, (x, y) = mlp(), batch(16)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(4):
        train_step(model, optimizer, x, y)
    optimizer.zero_grad()
    buffer = id(model[0].weight._value()._data)
    train_step(model, optimizer, x, y)
    optimizer.zero_grad()
    assert id(model[0].weight._value()._data) == buffer


@needs_compiler
def test_an_alias_keeps_its_value_when_parameters_are_updated():
    config.tier = "compiled"
    model, (x, y) = mlp(), batch(16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = model[0].weight.detach().clone()
    values = kept.tolist()
    for _ in range(6):
        train_step(model, optimizer, x, y)
        older, copied = model[0].weight.clone().detach(), model[0].weight.tolist()
        train_step(model, optimizer, x, y)
        assert older.tolist() == copied
    assert kept.tolist() == values


def test_bad_labels_in_a_recorded_program_undo_the_step():
    model, (x, y) = mlp(), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model[0].weight.tolist()
    with pytest.raises(IndexError, match="out of bounds"):
        train_step(model, optimizer, x, y + 3)
        optimizer.zero_grad()
    optimizer.zero_grad()
    assert model[0].weight.tolist() == before
    train_step(model, optimizer, x, y)
    optimizer.zero_grad()
    assert model[0].weight.tolist() != before


def test_threads_train_models_of_their_own():
    def work(seed, results):
        model, (x, y) = mlp(), batch(seed=seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(15):
            loss = train_step(model, optimizer, x, y)
        results[seed] = loss.item()

    alone, together = {}, {}
    torch.manual_seed(0)
    for seed in range(4):
        work(seed, alone)
    models = [threading.Thread(target=work, args=(seed, together)) for seed in range(4)]
    for t in models:
        t.start()
    for t in models:
        t.join()
    assert set(together) == set(alone)


def test_a_tensor_recorded_by_another_thread_can_be_used():
    box = []
    worker = threading.Thread(target=lambda: box.append(torch.ones(3) * 2 + 1))
    worker.start()
    worker.join()
    assert (box[0] * 2).tolist() == [6.0, 6.0, 6.0]
    assert box[0].tolist() == [3.0, 3.0, 3.0]


def test_gan_style_loops_with_two_optimizers():
    def loop(library):
        rng = np.random.default_rng(0)
        make = lambda *s: library.tensor(rng.normal(size=s).astype(np.float32))
        g, d = library.nn.Linear(2, 3), library.nn.Linear(3, 1)
        with library.no_grad():
            for p in [*g.parameters(), *d.parameters()]:
                p.copy_(make(*p.shape))
        og, od = library.optim.Adam(g.parameters(), lr=0.01), library.optim.Adam(d.parameters(), lr=0.01)
        seen = []
        for _ in range(6):
            z, real = make(4, 2), make(4, 3)
            od.zero_grad()
            (
                library.nn.functional.softplus(-d(real)).mean()
                + library.nn.functional.softplus(d(g(z).detach())).mean()
            ).backward()
            od.step()
            og.zero_grad()
            loss = library.nn.functional.softplus(-d(g(z))).mean()
            loss.backward()
            og.step()
            seen.append(loss.item())
        return seen

    set_eager(True)
    want = loop(torch)
    set_eager(False)
    np.testing.assert_allclose(loop(torch), want, rtol=1e-6)
