"""Matrices by their coordinates: against their dense selves, and PyTorch's where it is installed."""

import numpy as np
import pytest

import fdl
import fdl.stateful as torch

AT, GIVEN, SHAPE = [[0, 2, 1, 2], [1, 0, 3, 0]], [2.0, 3.0, -1.0, 4.0], (3, 4)  # (2, 0) stands twice
DENSE = np.array([[0, 2, 0, 0], [0, 0, 0, -1], [7, 0, 0, 0]], np.float32)


@pytest.fixture
def a():
    return torch.sparse_coo_tensor(AT, GIVEN, SHAPE)


def test_what_it_is(a):
    assert (
        a.shape == SHAPE
        and a.ndim == 2
        and a._nnz() == 4
        and a.is_sparse
        and not a.is_coalesced()
        and a.dtype == torch.float32
    )
    np.testing.assert_array_equal(a.to_dense().numpy(), DENSE)
    merged = a.coalesce()
    assert (
        merged._nnz() == 3
        and merged.indices().tolist() == [[0, 1, 2], [1, 3, 0]]
        and merged.values().tolist() == [2, -1, 7]
    )
    np.testing.assert_array_equal(a.t().to_dense().numpy(), DENSE.T)
    np.testing.assert_array_equal((a + a * 2).to_dense().numpy(), DENSE * 3)
    np.testing.assert_array_equal((a - a / 2).to_dense().numpy(), DENSE / 2)
    np.testing.assert_array_equal((a + torch.ones(3, 4)).numpy(), DENSE + 1)
    np.testing.assert_array_equal(torch.tensor(DENSE).to_sparse().to_dense().numpy(), DENSE)
    assert (
        torch.sparse.sum(a).item() == 8
        and torch.sparse.FloatTensor(torch.tensor(AT), torch.tensor(GIVEN), torch.Size(SHAPE)).double().dtype
        == torch.float64
    )


def test_products_and_their_gradients(a):
    x = torch.tensor(np.arange(8, dtype=np.float32).reshape(4, 2), requires_grad=True)
    for product in (
        a @ x,
        torch.mm(a, x),
        torch.spmm(a, x),
        torch.sparse.mm(a, x),
        a.mm(x),
        torch.sparse.addmm(torch.zeros(3, 2), a, x),
    ):
        np.testing.assert_array_equal(product.detach().numpy(), DENSE @ x.detach().numpy())
    np.testing.assert_array_equal((a @ torch.ones(4)).numpy(), DENSE.sum(1))
    np.testing.assert_array_equal((torch.ones(2, 3) @ a).numpy(), np.ones((2, 3)) @ DENSE)
    values = torch.tensor(GIVEN, requires_grad=True)
    out = torch.sparse_coo_tensor(AT, values, SHAPE) @ x
    gradients = torch.autograd.grad((out**2).sum(), [values, x])
    got = fdl.grad(lambda v, x: ((v @ x) ** 2).sum(), (0, 1))(a, x.detach())
    residual = 2 * DENSE @ x.detach().numpy()
    np.testing.assert_allclose(gradients[1].numpy(), DENSE.T @ residual)
    np.testing.assert_allclose(
        gradients[0].numpy(), [(residual[r] * x.detach().numpy()[c]).sum() for r, c in zip(*AT, strict=True)]
    )
    np.testing.assert_allclose(got[0]._values().numpy(), gradients[0].numpy())
    np.testing.assert_allclose(got[1].numpy(), gradients[1].numpy())


def test_errors(a):
    with pytest.raises(RuntimeError, match="found index 3"):
        torch.sparse_coo_tensor([[0, 3]], [1.0, 1.0], (3,))
    with pytest.raises(RuntimeError, match="coalesce"):
        a.values()
    with pytest.raises(RuntimeError, match="not implemented for sparse"):
        torch.softmax(a, 0)
    with pytest.raises(RuntimeError, match="as many rows"):
        a @ torch.ones(3, 2)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_as_in_torch():
    theirs = pytest.importorskip("torch")

    def facts(torch):
        a = torch.sparse_coo_tensor(AT, GIVEN, SHAPE)
        x = torch.ones(4, 2) * torch.arange(4.0)[:, None]
        merged = a.coalesce()
        return [
            merged.indices(),
            merged.values(),
            torch.sparse.mm(a, x),
            (a + a).to_dense(),
            torch.sparse.sum(a),
            a.t().to_dense(),
            torch.tensor(DENSE).to_sparse().values(),
        ]

    for got, want in zip(facts(torch), facts(theirs), strict=True):
        np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_a_graph_network_trains():
    torch.manual_seed(0)
    labels = torch.arange(30) % 3
    links = ((labels[:, None] == labels) & (torch.rand(30, 30) < 0.4)).float() + torch.eye(30)
    graph = (links / links.sum(1, keepdim=True)).to_sparse()
    first, second = torch.nn.Linear(30, 8), torch.nn.Linear(8, 3)
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=0.05)
    for _ in range(40):
        out = torch.spmm(graph, second(torch.relu(torch.spmm(graph, first(torch.eye(30))))))
        loss = torch.nn.functional.cross_entropy(out[:12], labels[:12])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (out.argmax(1) == labels).float().mean().item() > 0.9
