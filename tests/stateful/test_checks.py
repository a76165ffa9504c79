"""What depends on values is checked as PyTorch checks it: at the line, in every transform, or in `backward()`.

Classes and texts are those of PyTorch 2.13 on a CPU; `RANGES` has its own class where PyTorch's is RuntimeError for an
index.
"""

import threading

import numpy as np
import pytest

import fdl
import fdl.stateful as torch
import fdl.stateful.nn.functional as F
from fdl.core.config import config
from fdl.core.errors import DeferredError
from fdl.testing import count_programs
from fdl.transforms.lazy import programs
from tests.conftest import needs_compiler

X, M, W = torch.arange(3.0), torch.arange(6.0).reshape(2, 3), torch.ones(3, 2)


def I(*values):  # noqa: E743
    return torch.tensor(values)


# (function of an index, one that is inside, one that is outside, class, text)
RANGES = {
    "embedding": (lambda i: F.embedding(i, W), [0, 2], [0, 3], IndexError, "index out of range in self"),
    "embedding, negative": (lambda i: F.embedding(i, W), [0, 2], [-1, 0], IndexError, "index out of range in self"),
    "embedding_bag": (
        lambda i: F.embedding_bag(i, W, I(0)),
        [0, 2],
        [0, 3],
        RuntimeError,
        "takes value 3 which is not in the valid range",
    ),
    "cross_entropy": (lambda y: F.cross_entropy(M, y), [0, 2], [0, 3], IndexError, "Target 3 is out of bounds."),
    "cross_entropy, ignored": (
        lambda y: F.cross_entropy(M, y, ignore_index=7),
        [7, 2],
        [-100, 2],
        IndexError,
        "Target -100 is out of bounds.",
    ),
    "nll_loss": (lambda y: F.nll_loss(M, y), [-100, 2], [0, 5], IndexError, "Target 5 is out of bounds."),
    "multi_margin_loss": (lambda y: F.multi_margin_loss(M, y), [0, 2], [0, 3], RuntimeError, "target out of range"),
    "multilabel_margin_loss": (
        lambda y: F.multilabel_margin_loss(X, y),
        [1, 0, -1],
        [3, 0, -1],
        RuntimeError,
        "argument #2 'target' is out of range",
    ),
    "gather": (
        lambda i: X.gather(0, i),
        [0, 2],
        [3, 0],
        RuntimeError,
        "index 3 is out of bounds for dimension 0 with size 3",
    ),
    "gather, negative": (
        lambda i: X.gather(0, i),
        [0, 2],
        [-1, 0],
        RuntimeError,
        "index -1 is out of bounds for dimension 0 with size 3",
    ),
    "take": (
        lambda i: X.take(i),
        [-3, 2],
        [3, 0],
        IndexError,
        "out of range: tried to access index 3 on a tensor of 3 elements.",
    ),
    "take_along_dim": (lambda i: X.take_along_dim(i, 0), [-3, 2], [0, 3], IndexError, "index 3 is out of bounds"),
    "index_select": (lambda i: X.index_select(0, i), [0, 2], [0, 3], IndexError, "index out of range in self"),
    "scatter": (
        lambda i: X.scatter(0, i, 1.0),
        [0, 2],
        [0, 3],
        RuntimeError,
        "index 3 is out of bounds for dimension 0 with size 3",
    ),
    "scatter_add": (
        lambda i: X.scatter_add(0, i, torch.ones(2)),
        [0, 2],
        [0, 3],
        RuntimeError,
        "index 3 is out of bounds",
    ),
    "scatter_reduce": (
        lambda i: X.scatter_reduce(0, i, torch.ones(2), "sum"),
        [0, 2],
        [0, -1],
        RuntimeError,
        "index -1 is out of bounds",
    ),
    "index_add": (lambda i: X.index_add(0, i, torch.ones(2)), [0, 2], [0, 3], IndexError, "index out of range in self"),
    "index_copy": (
        lambda i: X.index_copy(0, i, torch.ones(2)),
        [0, 2],
        [0, 3],
        IndexError,
        r"index_copy_\(\): index 3 is out of bounds",
    ),
    "index_fill": (
        lambda i: X.index_fill(0, i, 1.0),
        [-3, 2],
        [0, -4],
        IndexError,
        "index -4 is out of bounds for dimension 0 with size 3",
    ),
    "index_reduce": (
        lambda i: X.index_reduce(0, i, torch.ones(2), "amax"),
        [0, 2],
        [0, 3],
        IndexError,
        "index out of range in self",
    ),
    "index_put": (
        lambda i: torch.index_put(X, (i,), torch.ones(2)),
        [-3, 2],
        [0, 3],
        IndexError,
        "index 3 is out of bounds",
    ),
    "put": (lambda i: X.put(i, torch.ones(2)), [-3, 2], [0, 3], IndexError, "out of range: tried to access index 3"),
    "x[i]": (lambda i: X[i], [-3, 2], [0, 3], IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
    "x[:, i]": (lambda i: M[:, i], [-3, 2], [0, 3], IndexError, "index 3 is out of bounds"),
    "x[i, i]": (
        lambda i: M[I(0, 1), i],
        [1, 2],
        [1, 3],
        IndexError,
        "index 3 is out of bounds for dimension 1 with size 3",
    ),
    "one_hot": (
        lambda i: F.one_hot(i, 3),
        [0, 2],
        [0, 3],
        RuntimeError,
        "Class values must be smaller than num_classes.",
    ),
    "one_hot, negative": (
        lambda i: F.one_hot(i, 3),
        [0, 2],
        [0, -1],
        RuntimeError,
        "Class values must be non-negative.",
    ),
}


@pytest.mark.parametrize("name", RANGES)
def test_an_index_out_of_range_raises_in_every_transform(monkeypatch, name):
    monkeypatch.setattr(config, "tier", "interpreted")
    f, good, bad, error, text = RANGES[name]
    known, waiting = torch.tensor(bad), torch.tensor(bad) + 0
    for g in (f, fdl.jit(f), lambda i: torch.func.vmap(f)(i.expand(2, -1)), lambda i: fdl.vmap(f)(i.reshape(1, -1))):
        g(torch.tensor(good)).tolist()
        for value in (known, waiting):
            with pytest.raises(error, match=text):
                g(value).tolist()
            waiting = torch.tensor(bad) + 0
    for g in (
        f,
        lambda i: torch.func.vmap(f)(torch.tensor([bad, bad])),
    ):  # known values are looked at by the line itself
        with pytest.raises(error, match=text):
            g(known)


@needs_compiler
@pytest.mark.parametrize("name", ["embedding", "cross_entropy", "x[i, i]"])
def test_compiled_programs_check_as_well(name):
    f, good, bad, error, text = RANGES[name]
    g = fdl.jit(f)
    g(torch.tensor(good)).tolist()
    with pytest.raises(error, match=text):
        g(torch.tensor(bad))
    g(torch.tensor(good)).tolist()


def test_labels_of_small_types_are_compared_as_numbers():
    assert F.cross_entropy(torch.zeros(1, 3), torch.tensor([2], dtype=torch.uint8)).item() == pytest.approx(
        np.log(3.0), rel=1e-6
    )
    with pytest.raises(IndexError, match="Target 156"):  # -100 in the eight bits of a byte
        F.cross_entropy(torch.zeros(1, 3), torch.tensor([156], dtype=torch.uint8))


MASKS = {
    "x[m]": lambda: X[torch.tensor([True, False])],
    "rows": lambda: M[torch.tensor([True, False, True])],
    "columns": lambda: M[:, torch.tensor([True, False])],
    "whole": lambda: M[torch.ones(2, 2, dtype=torch.bool)],
    "written": lambda: X.__setitem__(torch.tensor([True, False]), 1.0),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_have_the_sizes_of_what_they_mask(name):
    with pytest.raises(
        IndexError,
        match=r"The shape of the mask \[[\d, ]+\] at index \d does not match the shape of the indexed tensor",
    ):
        MASKS[name]()


NAN = float("nan")
DOMAINS = {
    "binary_cross_entropy, input": (
        lambda: F.binary_cross_entropy(torch.tensor([1.5]), torch.tensor([1.0])),
        "all elements of input should be between 0 and 1",
    ),
    "binary_cross_entropy, NaN": (
        lambda: F.binary_cross_entropy(torch.tensor([NAN]), torch.tensor([1.0])),
        "all elements of input should be between 0 and 1",
    ),
    "binary_cross_entropy, target": (
        lambda: F.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([-1.0])),
        "all elements of target should be between 0 and 1",
    ),
    "multinomial, negative": (
        lambda: torch.multinomial(torch.tensor([-1.0, 2.0]), 1),
        "probability tensor contains either `inf`, `nan` or element < 0",
    ),
    "multinomial, infinite": (
        lambda: torch.multinomial(torch.tensor([1.0, float("inf")]), 1),
        "probability tensor contains either",
    ),
    "multinomial, NaN": (lambda: torch.multinomial(torch.tensor([1.0, NAN]), 1), "probability tensor contains either"),
    "multinomial, zeros": (
        lambda: torch.multinomial(torch.tensor([[1.0, 1.0], [0.0, 0.0]]), 1, True),
        r"invalid multinomial distribution \(sum of probabilities <= 0\)",
    ),
    "multinomial, too many": (
        lambda: torch.multinomial(torch.ones(2), 3),
        r"cannot sample n_sample > prob_dist.size\(-1\) samples without replacement",
    ),
    "multinomial, none": (lambda: torch.multinomial(torch.ones(2), 0), "cannot sample n_sample <= 0 samples"),
    "multinomial, three dimensions": (
        lambda: torch.multinomial(torch.ones(2, 2, 2), 1),
        "prob_dist must be 1 or 2 dim",
    ),
    "bernoulli": (lambda: torch.bernoulli(torch.tensor([0.5, 1.5])), "Expected p_in >= 0 && p_in <= 1"),
    "bernoulli, NaN": (lambda: torch.bernoulli(torch.tensor([NAN])), "Expected p_in >= 0 && p_in <= 1"),
    "bernoulli_": (lambda: torch.ones(2).bernoulli_(1.5), r"bernoulli_ expects p to be in \[0, 1\], but got p=1.5"),
    "bernoulli_ of a tensor": (
        lambda: torch.ones(2).bernoulli_(torch.tensor([0.5, 2.0])),
        "Expected p_in >= 0 && p_in <= 1",
    ),
    "normal, tensor": (
        lambda: torch.normal(0.0, torch.tensor([1.0, -1.0])),
        "normal expects all elements of std >= 0.0",
    ),
    "normal, number": (lambda: torch.normal(torch.zeros(1), -1.0), "normal expects std >= 0.0, but found std -1"),
    "normal_": (lambda: torch.ones(2).normal_(0, -1), "normal expects std >= 0.0, but found std -1"),
    "poisson": (lambda: torch.poisson(torch.tensor([-1.0])), "invalid Poisson rate, expected rate to be non-negative"),
    "exponential_": (lambda: torch.ones(2).exponential_(0.0), "exponential_ expects lambda > 0.0, but found lambda=0"),
    "geometric_": (lambda: torch.ones(2).geometric_(1.0), r"geometric_ expects p to be in \(0, 1\), but got p=1"),
    "cauchy_": (lambda: torch.ones(2).cauchy_(0, -1.0), "cauchy_ expects sigma > 0.0, but found sigma=-1"),
    "log_normal_": (lambda: torch.ones(2).log_normal_(0, 0.0), "log_normal_ expects std > 0.0, but found std=0"),
    "uniform_": (
        lambda: torch.ones(2).uniform_(1, 0),
        r"uniform_ expects to return a \[from, to\) range, but found from=1 > to=0",
    ),
    "random_": (
        lambda: torch.ones(2).random_(3, 3),
        "random_ expects 'from' to be less than 'to', but got from=3 >= to=3",
    ),
    "quantile": (lambda: torch.quantile(X, 1.5), r"quantile\(\) q must be in the range \[0, 1\] but got 1.5"),
    "quantile, tensor": (
        lambda: torch.quantile(X, torch.tensor([-0.5])),
        r"quantile\(\) q values must be in the range \[0, 1\]",
    ),
    "bincount": (lambda: torch.bincount(I(-1)), "bincount only supports 1-d non-negative integral inputs."),
    "repeat_interleave": (lambda: torch.repeat_interleave(X, I(1, -1, 1)), "repeats can not be negative"),
    "max_unpool1d": (
        lambda: F.max_unpool1d(torch.ones(1, 1, 2), torch.tensor([[[0, 9]]]), 2),
        "Found an invalid max index: 9",
    ),
    "//": (lambda: I(1) // 0, "ZeroDivisionError"),
    "//, tensor": (lambda: I(1, 2) // I(1, 0), "ZeroDivisionError"),
    "%": (lambda: I(1) % 0, "ZeroDivisionError"),
    "%, reflected": (lambda: 3 % I(0), "ZeroDivisionError"),
    "fmod": (lambda: torch.fmod(I(1), I(0)), "ZeroDivisionError"),
    "div, trunc": (lambda: torch.div(I(1), I(0), rounding_mode="trunc"), "ZeroDivisionError"),
    "remainder_": (lambda: I(1).remainder_(0), "ZeroDivisionError"),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_values_outside_of_a_domain_raise_at_the_line(name):
    f, text = DOMAINS[name]
    with pytest.raises(RuntimeError, match=text):
        f()


def test_values_at_the_edge_of_a_domain_are_fine():
    assert F.binary_cross_entropy(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])).item() == 0.0
    assert torch.bernoulli(torch.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]
    assert torch.normal(torch.tensor([2.0]), torch.tensor([0.0])).tolist() == [2.0]
    assert torch.poisson(torch.tensor([0.0])).tolist() == [0.0]
    assert (torch.tensor([1.0, 0.0]) // 0).tolist()[0] == float("inf")
    assert (I(7, -7) // 2).tolist() == [3, -4] and (I(7, -7) % 3).tolist() == [1, 2]
    assert torch.multinomial(torch.tensor([0.0, 1.0]), 1).tolist() == [1]


# Factorisations

EYE, ONES, ZEROS = torch.eye(2), torch.ones(2, 2), torch.zeros(2, 2)
BATCH = torch.stack([torch.eye(2), torch.ones(2, 2)])
PIVOT = "The diagonal element {} is zero, the inversion could not be completed because the input matrix is singular."
MINOR = (
    r"The factorization could not be completed because the input is not positive-definite \(the leading "
    r"minor of order {} is not positive-definite\)."
)
IMPOSSIBLE = {
    "cholesky": (lambda: torch.linalg.cholesky(-EYE), "linalg.cholesky: " + MINOR.format(1)),
    "cholesky, second": (
        lambda: torch.linalg.cholesky(torch.tensor([[1.0, 2.0], [2.0, 1.0]])),
        "linalg.cholesky: " + MINOR.format(2),
    ),
    "cholesky, batch": (
        lambda: torch.linalg.cholesky(torch.stack([EYE, -EYE])),
        r"linalg.cholesky: \(Batch element 1\): " + MINOR.format(1),
    ),
    "cholesky_ex, asked": (
        lambda: torch.linalg.cholesky_ex(-EYE, check_errors=True),
        "linalg.cholesky_ex: " + MINOR.format(1),
    ),
    "cholesky_inverse": (lambda: torch.cholesky_inverse(ZEROS), "cholesky_inverse: " + PIVOT.format(1)),
    "inv": (lambda: torch.linalg.inv(ONES), "linalg.inv: " + PIVOT.format(2)),
    "inverse": (lambda: ZEROS.inverse(), "linalg.inv: " + PIVOT.format(1)),
    "inv, batch": (lambda: torch.linalg.inv(BATCH), r"linalg.inv: \(Batch element 1\): " + PIVOT.format(2)),
    "inv_ex, asked": (lambda: torch.linalg.inv_ex(ZEROS, check_errors=True), "linalg.inv_ex: " + PIVOT.format(1)),
    "solve": (
        lambda: torch.linalg.solve(ONES, torch.ones(2)),
        "torch.linalg.solve: The solver failed because the input matrix is singular.",
    ),
    "solve, batch": (
        lambda: torch.linalg.solve(BATCH, torch.ones(2, 2, 1)),
        r"torch.linalg.solve: \(Batch element 1\): The solver failed",
    ),
    "solve, right": (lambda: torch.linalg.solve(ONES, ONES, left=False), "torch.linalg.solve: The solver failed"),
    "tensorsolve": (lambda: torch.linalg.tensorsolve(ZEROS, torch.ones(2)), "torch.linalg.solve: The solver failed"),
    "tensorinv": (lambda: torch.linalg.tensorinv(ZEROS, 1), "inv: " + PIVOT.format(1)),
    "lu_factor": (
        lambda: torch.linalg.lu_factor(ONES),
        "torch.linalg.lu_factor: .* using it on lu_solve would result in a division by zero.",
    ),
    "matrix_power": (lambda: torch.linalg.matrix_power(ZEROS, -1), "linalg.inv: " + PIVOT.format(1)),
    "svd": (
        lambda: torch.linalg.svd(ONES * NAN).S.tolist(),
        "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite values.",
    ),
    "pinv": (
        lambda: torch.linalg.pinv(torch.tensor([[NAN, 0.0], [0.0, 1.0]])),
        "linalg.svd: The algorithm failed to converge",
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_has_no_factor_raises_at_the_line(monkeypatch, name):
    monkeypatch.setattr(config, "tier", "interpreted")
    f, text = IMPOSSIBLE[name]
    with pytest.raises(torch.linalg.LinAlgError, match=text):
        f()


def test_the_forms_that_tell_do_not_raise(monkeypatch):
    monkeypatch.setattr(config, "tier", "interpreted")
    told = [
        torch.linalg.cholesky_ex(torch.tensor(a)).info.item()
        for a in ([[4.0, 2.0], [2.0, 5.0]], [[-1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]])
    ]
    assert told == [0, 1, 2]
    assert [torch.linalg.inv_ex(a).info.item() for a in (EYE, ZEROS, ONES)] == [0, 1, 2]
    assert torch.linalg.inv_ex(BATCH).info.tolist() == [0, 2] and torch.linalg.inv_ex(BATCH).info.dtype == torch.int32
    assert torch.linalg.solve_ex(ZEROS, torch.ones(2)).info.item() == 1
    assert torch.linalg.cond(ZEROS, 1).item() == float("inf")
    assert repr(torch.linalg.inv_ex(EYE)).startswith("torch.return_types.linalg_inv_ex(")


def test_factors_that_exist_have_their_gradients_and_pending_ones_raise(monkeypatch):
    monkeypatch.setattr(config, "tier", "interpreted")
    a = torch.tensor([[4.0, 1.0], [1.0, 3.0]], requires_grad=True)
    torch.linalg.inv(a * 2).sum().backward()
    inverse = np.linalg.inv(2 * np.array([[4.0, 1.0], [1.0, 3.0]]))
    np.testing.assert_allclose(a.grad.numpy(), -2 * inverse.T @ np.ones((2, 2)) @ inverse.T, rtol=1e-5)
    jitter = 0.0
    while True:  # as Gaussian processes do it
        try:
            factor = torch.linalg.cholesky(a.detach() * 0 + 1 + jitter * torch.eye(2))
            break
        except torch.linalg.LinAlgError:
            jitter += 0.5
    assert jitter == 0.5 and factor.tolist()[0][0] == pytest.approx(1.5**0.5)
    with pytest.raises(RuntimeError):
        fdl.jit(torch.linalg.inv)(ONES).tolist()


def test_factors_and_exchanges_of_rows_are_those_of_lapack(monkeypatch):
    monkeypatch.setattr(config, "tier", "interpreted")
    a = torch.tensor([[1.0, 4.0, 2.0], [2.0, 2.0, 7.0], [5.0, 1.0, 3.0]])
    both = torch.stack([a, a.flip(0)])
    factors, pivots = torch.linalg.lu_factor(both)
    assert pivots.tolist() == [[3, 3, 3], [1, 3, 3]] and pivots.dtype == torch.int32
    np.testing.assert_allclose(
        factors[0].numpy(), [[5.0, 1.0, 3.0], [0.2, 3.8, 1.4], [0.4, 0.42105263, 5.2105263]], rtol=1e-6
    )
    x = torch.linalg.lu_solve(factors, pivots, torch.ones(2, 3, 1))
    np.testing.assert_allclose((both @ x).numpy(), np.ones((2, 3, 1)), rtol=1e-5)
    p, lower, upper = torch.linalg.lu(both)
    np.testing.assert_allclose((p @ lower @ upper).numpy(), both.numpy(), rtol=1e-6)
    assert torch.linalg.lu_factor_ex(ONES).info.item() == 2
    single = a.clone().requires_grad_()
    torch.linalg.lu_solve(*torch.linalg.lu_factor(single), torch.ones(3, 1)).sum().backward()
    inverse = np.linalg.inv(a.numpy())
    np.testing.assert_allclose(
        single.grad.numpy(), -inverse.T @ np.ones((3, 1)) @ (inverse @ np.ones((3, 1))).T, rtol=1e-4
    )


# Labels that are computed


def loop(classes=3):
    model = torch.nn.Linear(4, classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(torch.ones(5, 4)), labels)
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def test_backward_raises_for_a_bad_label_and_nothing_is_lost():
    model, step = loop()
    for _ in range(3):
        step(I(0, 1, 2, 0, 1) + 0)
    before = [p.tolist() for p in model.parameters()]
    seen = torch.ones(2) * 3
    with pytest.raises(IndexError, match="Target 4 is out of bounds"):
        step(I(0, 1, 2, 0, 1) + 4)
    assert [p.tolist() for p in model.parameters()] == before and seen.tolist() == [3.0, 3.0]
    assert np.isfinite(step(I(0, 1, 2, 0, 1) + 0).item())


def test_what_follows_a_bad_label_is_never_computed():
    model, _ = loop()
    loss = F.cross_entropy(model(torch.ones(2, 4)), I(0, 1) + 7)
    with pytest.raises(IndexError):
        loss.backward()
    with pytest.raises(DeferredError):
        loss.item()


def test_a_value_that_another_thread_asks_for_is_checked_there():
    rows = F.embedding(I(1, 7) + 0, W)
    found = []

    def ask():
        try:
            found.append(rows.tolist())
        except IndexError as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert isinstance(found[0], IndexError)
    with pytest.raises(IndexError):
        rows.tolist()


def test_a_step_under_jit_with_a_bad_label_changes_nothing():
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    @fdl.jit
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step(torch.ones(4, 4), I(0, 1, 2, 0))
    before = [p.tolist() for p in model.parameters()]
    with pytest.raises(IndexError, match="Target 9 is out of bounds"):
        step(torch.ones(4, 4), I(0, 1, 2, 9))
    assert [p.tolist() for p in model.parameters()] == before
    assert np.isfinite(step(torch.ones(4, 4), I(0, 1, 2, 0)).item())


def test_batches_of_loaders_are_checked_at_the_line():
    data = torch.utils.data.TensorDataset(torch.ones(8, 4), I(0, 1, 2, 0, 1, 2, 0, 3))
    model = torch.nn.Linear(4, 3)
    losses = []
    with pytest.raises(IndexError, match="Target 3 is out of bounds"):
        for x, y in torch.utils.data.DataLoader(data, batch_size=4):
            losses.append(F.cross_entropy(model(x), y))
    assert len(losses) == 1 and np.isfinite(losses[0].item())


def test_probabilities_of_a_model_are_checked_by_the_one_program_of_a_step():
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(offset=0.0):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy(model(torch.ones(8, 4)).sigmoid().squeeze(-1) + offset, torch.ones(8))
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step()
    with count_programs() as count:
        for _ in range(5):
            step()
    assert count() == 0
    before = model.weight.tolist()
    with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1"):
        step(5.0).item()
    assert model.weight.tolist() == before


def test_a_loop_that_computes_its_labels_runs_one_small_program_more(monkeypatch):
    runs = []
    run = programs.Program.run

    def counted(self, *args):
        runs.append(len(self.graph.equations))
        run(self, *args)

    monkeypatch.setattr(programs.Program, "run", counted)
    for labels, expected in (
        (lambda: I(0, 1, 2, 0, 1), 1),
        (lambda: I(0, 1, 2, 0, 1) + 0, 2),
        (lambda: I(9, 0, 1, 2, 0, 1)[1:], 1),
    ):
        _, step = loop()
        for _ in range(3):
            step(labels())
        torch.zeros(1).tolist()
        runs.clear()
        with count_programs() as new:
            for _ in range(4):
                step(labels())
            torch.zeros(1).tolist()
        assert len(runs) <= 4 * expected + 2 and new() <= 1  # the crop joins the step before, but for the first one
        if expected == 2:
            assert runs.count(2) == 4  # the sum and the mask
