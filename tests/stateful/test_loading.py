"""Data: threads that load ahead, files of images, transforms."""

import gzip
import struct
import threading
import time

import numpy as np
import pytest

import fdl.stateful as torch
from fdl.stateful import vision
from fdl.stateful.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info
from fdl.stateful.vision import datasets, transforms

# Worker threads


class Squares(Dataset):
    def __len__(self):
        return 23

    def __getitem__(self, i):
        if i % 5 == 0:
            time.sleep(0.001)  # workers overtake each other
        return torch.tensor([float(i), float(i * i)]), i


def drawn(workers, **options):
    torch.manual_seed(3)
    return [(x.tolist(), y.tolist()) for x, y in DataLoader(Squares(), batch_size=4, num_workers=workers, **options)]


@pytest.mark.parametrize(
    "options", [{}, {"shuffle": True}, {"shuffle": True, "drop_last": True}, {"prefetch_factor": 5}]
)
def test_the_order_is_the_same_for_any_number_of_workers(options):
    ahead = {k: v for k, v in options.items() if k != "prefetch_factor"}
    want = drawn(0, **ahead)
    assert drawn(1, **options) == drawn(3, **options) == want


def test_an_exception_of_a_worker_reaches_the_user_with_its_line():
    class Broken(Squares):
        def __getitem__(self, i):
            if i == 9:
                raise KeyError("sample nine")
            return super().__getitem__(i)

    before = threading.active_count()
    got = []
    with pytest.raises(KeyError, match="sample nine") as caught:
        for x, _ in DataLoader(Broken(), batch_size=4, num_workers=2):
            got.append(len(x))
    assert got == [4, 4]
    assert any("__getitem__" in str(entry) for entry in caught.traceback)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_loop_that_is_left_leaves_no_thread():
    before = threading.active_count()
    for _ in DataLoader(Squares(), batch_size=2, num_workers=3):
        break
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, 17, step))


def test_streams_share_the_work_between_workers():
    assert [x.tolist() for x in DataLoader(Stream(), batch_size=5)] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12, 13, 14],
        [15, 16],
    ]
    shared = [v for x in DataLoader(Stream(), batch_size=3, num_workers=2) for v in x.tolist()]
    assert sorted(shared) == list(range(17))


def test_workers_know_their_number_and_are_begun_once():
    begun = []
    loader = DataLoader(
        Squares(),
        batch_size=8,
        num_workers=2,
        worker_init_fn=begun.append,
        collate_fn=lambda batch: get_worker_info().id,
    )
    assert list(loader) == [0, 1, 0]
    assert begun == [0, 1]
    assert get_worker_info() is None


def test_a_model_trains_on_batches_of_workers():
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    data = TensorDataset(x, x @ torch.tensor([[1.0], [-2.0], [0.5]]))
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(30):
        for a, b in DataLoader(data, batch_size=16, shuffle=True, num_workers=2):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(a), b)
            loss.backward()
            optimizer.step()
    assert loss.item() < 1e-4


# Vision


def write_idx(path, values, packed):
    data = struct.pack(">HBB" + "I" * values.ndim, 0, 8, values.ndim, *values.shape) + values.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_reads_idx_files(tmp_path, packed):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (5, 28, 28), np.uint8), np.arange(5, dtype=np.uint8)
    folder = tmp_path / "MNIST" / "raw"
    write_idx(folder / "train-images-idx3-ubyte", images, packed)
    write_idx(folder / "train-labels-idx1-ubyte", labels, packed)
    data = datasets.MNIST(
        tmp_path,
        train=True,
        transform=transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]),
    )
    assert len(data) == 5
    image, label = data[3]
    assert (label, image.shape, image.dtype) == (3, (1, 28, 28), torch.float32)
    np.testing.assert_allclose(image.numpy()[0], (images[3] / 255 - 0.5) / 0.5, rtol=1e-5, atol=1e-6)
    (batch, labels), *_ = DataLoader(data, batch_size=4)
    assert batch.shape == (4, 1, 28, 28) and labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [datasets.MNIST, datasets.CIFAR10])
def test_a_missing_dataset_names_the_file_that_it_expects(tmp_path, kind):
    with pytest.raises(RuntimeError, match="expected") as caught:
        kind(tmp_path, train=True)
    assert str(tmp_path) in str(caught.value)


def test_cifar_reads_binary_files(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (2, 3073), np.uint8)
    rows[:, 0] = [7, 1]
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(rows.tobytes())
    image, label = datasets.CIFAR10(tmp_path, train=False, transform=transforms.ToTensor())[1]
    assert label == 1
    np.testing.assert_array_equal((image * 255).round().numpy().astype(np.uint8).reshape(-1), rows[1, 1:])


def test_image_folders(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for name, value in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(tmp_path / name / "a.png")
    data = datasets.ImageFolder(tmp_path, transforms.Compose([transforms.CenterCrop(4), transforms.ToTensor()]))
    assert (data.classes, data.class_to_idx, len(data)) == (["cat", "dog"], {"cat": 0, "dog": 1}, 2)
    image, label = data[1]
    assert label == 1 and image.shape == (3, 4, 4) and abs(image.mean().item() - 200 / 255) < 1e-6


CHANGES = [
    transforms.RandomCrop(5, padding=2), transforms.CenterCrop(4), transforms.RandomHorizontalFlip(1.0),
    transforms.RandomVerticalFlip(1.0), transforms.Resize((4, 6)),
    transforms.RandomResizedCrop(5), transforms.RandomRotation(30), transforms.Pad(1), transforms.Grayscale(3),
    transforms.RandomGrayscale(1.0),
    transforms.ColorJitter(0.2, 0.2, 0.2, 0.1), transforms.RandomApply([transforms.Pad(1)], 1.0),
    transforms.RandomChoice([transforms.CenterCrop(4)]), transforms.GaussianBlur(3),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: type(c).__name__)
def test_images_of_bytes_change_as_tensors_do(change):
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    torch.manual_seed(5)
    late = transforms.ToTensor()(change(pixels))
    torch.manual_seed(5)
    early = change(transforms.ToTensor()(pixels))
    assert late.shape == early.shape and late.dtype == torch.float32
    np.testing.assert_allclose(
        late.numpy(), early.numpy(), atol=1.01 / 255 * (3 if isinstance(change, transforms.ColorJitter) else 1)
    )


def test_known_changes():
    x = torch.arange(12.0).reshape(1, 3, 4)
    assert transforms.CenterCrop((1, 2))(x).tolist() == [[[5.0, 6.0]]]
    assert transforms.RandomHorizontalFlip(1.0)(x)[0, 0].tolist() == [3.0, 2.0, 1.0, 0.0]
    assert transforms.Pad((1, 0))(x).shape == (1, 3, 6)
    with pytest.raises(ValueError, match="larger than input"):
        transforms.RandomCrop(9)(x)


def test_grids_and_files(tmp_path):
    images = torch.arange(3 * 2 * 2.0).reshape(3, 1, 2, 2) / 11
    grid = vision.utils.make_grid(images, nrow=2, padding=1)
    assert grid.shape == (3, 7, 7)
    np.testing.assert_array_equal(grid.numpy()[0, 1:3, 1:3], images.numpy()[0, 0])
    vision.utils.save_image(images, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_rows_come_from_any_memory_and_wrong_numbers_are_refused():
    base = torch.arange(24.0).reshape(6, 4)
    (base + 1).sum().item()  # the runtime library is there
    data = TensorDataset(base, base.t().contiguous().t(), base[:, ::2], torch.arange(6) > 2, torch.zeros(6, 0))
    orders = [[5, 0, 3], [2, 2, -1], [4]]
    for order, batch in zip(orders, DataLoader(data, batch_sampler=orders), strict=True):
        for got, whole in zip(batch, data.tensors, strict=True):
            assert got.dtype == whole.dtype
            np.testing.assert_array_equal(got.numpy(), whole.numpy()[order])
            got.add_(1) if got.is_floating_point() else None  # a batch is the user's own
    np.testing.assert_array_equal(base.numpy(), np.arange(24.0).reshape(6, 4))
    with pytest.raises(IndexError):
        list(DataLoader(data, batch_sampler=[[0, 6]]))
