"""`torchvision.datasets`: MNIST and its kin, CIFAR-10 from local files; and the digits that scikit-learn brings.

Files lie where torchvision puts them. `download=True` fetches what is missing from the usual mirrors, where there is a
network.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdl.stateful.files.access import FileError, reading
from fdl.stateful.files.download import download_url_to_file
from fdl.stateful.functions.creation import from_numpy
from fdl.stateful.utils.data import Dataset

_DEFLATE = 1032  # times its size is what a packed file unpacks to at most

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "Digits", "FakeData", "FashionMNIST", "ImageFolder", "KMNIST"]


class _Images(Dataset[Any]):
    """Arrays of images with labels, changed by `transform` and `target_transform`."""

    images: np.ndarray[Any, Any]

    def __init__(self, transform: Callable[[Any], Any] | None, target_transform: Callable[[Any], Any] | None) -> None:
        self.transform, self.target_transform = transform, target_transform

    def _label(self, index: int) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._changed(self.images[index], self._label(index))

    def _changed(self, image: Any, label: Any) -> tuple[Any, Any]:
        """A sample as the user's transforms make it."""
        return (image if self.transform is None else self.transform(image)), (
            label if self.target_transform is None else self.target_transform(label)
        )

    def __len__(self) -> int:
        return len(self.images)


def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """An array of the IDX format (LeCun); FileError, a ValueError, for anything else."""
    packed = path.suffix == ".gz"
    with (
        reading(path, "is no IDX file of bytes, or is damaged", "datasets"),
        gzip.open(path) if packed else path.open("rb") as file,
    ):
        head = file.read(4)
        if len(head) < 4 or head[:3] != b"\0\0\x08":
            raise ValueError("it does not begin as one")
        shape = struct.unpack(f">{head[3]}I", file.read(4 * head[3]))
        count = math.prod(shape)
        if count > path.stat().st_size * (_DEFLATE if packed else 1):
            raise ValueError(f"it is cut off: its shape is {shape}")
        values = np.frombuffer(file.read(count + 1), np.uint8)  # at its end a packed file compares its checksum
        if values.size != count:
            raise ValueError(f"it has {'fewer' if values.size < count else 'more'} bytes than its shape {shape} says")
        return values.reshape(shape)


def _fetch(url: str, target: Path) -> None:
    """A file from one of the mirrors below."""
    target.parent.mkdir(parents=True, exist_ok=True)
    download_url_to_file(url, target)


class MNIST(_Images):
    """Handwritten digits, 28 by 28 (LeCun et al., 1998), in `root/MNIST/raw`."""

    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    classes: ClassVar[list[str]] = [
        f"{d} - {n}" for d, n in enumerate("zero one two three four five six seven eight nine".split())
    ]

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(transform, target_transform)
        self.root, self.train = Path(root), train
        self.folder = self.root / type(self).__name__ / "raw"
        part = "train" if train else "t10k"
        self.images, labels = (
            read_idx(self._file(f"{part}-{name}-ubyte", download)) for name in ("images-idx3", "labels-idx1")
        )
        if (
            self.images.ndim != 3
            or labels.shape != self.images.shape[:1]
            or (labels.size and labels.max() >= len(self.classes))
        ):
            raise FileError(
                f"datasets: the files of {part} in {self.folder} do not belong together",
                why=(
                    f"images are {self.images.shape}, labels {labels.shape} up to {labels.max(initial=0)}, "
                    f"of {len(self.classes)} classes"
                ),
                hint="other copies of the files, or download=True in an empty folder",
            )
        self.data, self.targets = from_numpy(self.images.copy()), from_numpy(labels.astype(np.int64))
        self._labels = labels

    def _file(self, name: str, download: bool) -> Path:
        for path in (self.folder / name, self.folder / f"{name}.gz"):
            if path.exists():
                return path
        target = self.folder / f"{name}.gz"
        if not download:
            raise RuntimeError(
                f"Dataset not found. You can use download=True to download it: expected {self.folder / name} or "
                f"{target}"
            )
        problem: Exception | None = None
        for mirror in self.mirrors:
            try:
                _fetch(f"{mirror}{name}.gz", target)
                return target
            except OSError as error:
                problem = error
        raise RuntimeError(f"no mirror gave {name}.gz; put it at {target}") from problem

    def _label(self, index: int) -> int:
        return int(self._labels[index])


class FashionMNIST(MNIST):
    """Articles of clothing, 28 by 28 (Xiao, Rasul, Vollgraf, 2017), in `root/FashionMNIST/raw`."""

    mirrors: ClassVar[tuple[str, ...]] = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    classes: ClassVar[list[str]] = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """Handwritten characters of old Japanese, 28 by 28 (Clanuwat et al., 2018), in `root/KMNIST/raw`."""

    mirrors: ClassVar[tuple[str, ...]] = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    classes: ClassVar[list[str]] = "o ki su tsu na ha ma ya re wo".split()


class CIFAR10(_Images):
    """Small colour images of ten kinds (Krizhevsky, 2009), from the binary version in `root/cifar-10-batches-bin`: no
    pickle is read.
    """

    classes: ClassVar[list[str]] = "airplane automobile bird cat deer dog frog horse ship truck".split()
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    digest = "c32a1d4ab5d03f1284b67883e8d87530"
    base_folder = "cifar-10-batches-bin"
    files: ClassVar[tuple[list[str], list[str]]] = (
        [f"data_batch_{i}.bin" for i in range(1, 6)],
        ["test_batch.bin"],
    )  # for training and for tests
    labels = 1  # bytes before each image, of which the last one is the label

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(transform, target_transform)
        self.folder = Path(root) / self.base_folder
        names = self.files[not train]
        if download and not all((self.folder / n).exists() for n in names):
            self._download(Path(root))
        rows = []
        for name in names:
            if not (self.folder / name).exists():
                raise RuntimeError(
                    "Dataset not found or corrupted. You can use download=True to download it: "
                    f"expected {self.folder / name}"
                )
            with reading(self.folder / name, "is damaged", "datasets"):
                rows.append(self._rows((self.folder / name).read_bytes()))
        table = np.concatenate(rows)
        self.targets = table[:, self.labels - 1].astype(int).tolist()
        self.images = self.data = table[:, self.labels :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    def _rows(self, data: bytes) -> np.ndarray[Any, Any]:
        """Labels and pixels of each image; ValueError where they are no whole images, or not of these classes."""
        if len(data) % (self.labels + 3072):
            raise ValueError(f"it is cut off: {len(data)} bytes are no whole number of images of {self.labels + 3072}")
        found = np.frombuffer(data, np.uint8).reshape(-1, self.labels + 3072)
        if len(found) and found[:, self.labels - 1].max() >= len(self.classes):
            raise ValueError(f"a label is {found[:, self.labels - 1].max()}, and there are {len(self.classes)} classes")
        return found

    def _download(self, root: Path) -> None:
        archive = root / self.url.rsplit("/", 1)[1]
        if not archive.exists():
            _fetch(self.url, archive)
        if hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest() != self.digest:
            raise RuntimeError(f"{archive} is damaged: delete it and try again")
        with tarfile.open(archive) as tar:
            tar.extractall(root, filter="data")

    def _label(self, index: int) -> int:
        return int(self.targets[index])


class CIFAR100(CIFAR10):
    """Small colour images of a hundred kinds (Krizhevsky, 2009), from the binary version in `root/cifar-100-binary`: no
    pickle is read.
    """

    classes: ClassVar[list[str]] = (
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel "
        "can castle caterpillar cattle chair chimpanzee clock cloud "
        "cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house "
        "kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man "
        "maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
        "pine_tree plain plate poppy porcupine possum rabbit raccoon ray "
        "road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower "
        "sweet_pepper table tank telephone television tiger tractor train "
        "trout tulip turtle wardrobe whale willow_tree wolf woman worm"
    ).split()
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    digest = "03b5dce01913d631647c71ecec9e9cb8"
    base_folder = "cifar-100-binary"
    files: ClassVar[tuple[list[str], list[str]]] = (["train.bin"], ["test.bin"])
    labels = 2


class Digits(_Images):
    """1,797 handwritten digits, 8 by 8, that come with scikit-learn; four of five are for training."""

    classes: ClassVar[list[str]] = [str(d) for d in range(10)]

    def __init__(
        self,
        root: Any = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(transform, target_transform)
        try:
            from sklearn.datasets import load_digits  # type: ignore[import-untyped]
        except ImportError as error:
            raise RuntimeError("Digits come with scikit-learn: pip install scikit-learn") from error
        found = load_digits()
        chosen = (np.arange(len(found.target)) % 5 != 0) == train
        self.images = (found.images[chosen] * (255 / 16)).astype(np.uint8)
        self._labels = found.target[chosen]
        self.data, self.targets = from_numpy(self.images.copy()), from_numpy(self._labels.astype(np.int64))

    def _label(self, index: int) -> int:
        return int(self._labels[index])


class FakeData(_Images):
    """Noise with random labels, the same at each run."""

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, ...] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform, target_transform)
        self.size, self.image_size, self.num_classes, self.offset = size, tuple(image_size), num_classes, random_offset

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < self.size:
            raise IndexError(f"{type(self).__name__} index out of range")
        rng = np.random.default_rng((self.offset, index))
        image = rng.integers(0, 256, self.image_size, np.uint8).transpose(1, 2, 0)
        return self._changed(image, int(rng.integers(self.num_classes)))


class ImageFolder(_Images):
    """Images in a folder for each class, `root/class/name.png`; read with Pillow."""

    extensions: ClassVar[tuple[str, ...]] = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

    def __init__(
        self,
        root: Any,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] | None = None,
    ) -> None:
        super().__init__(transform, target_transform)
        self.root, self.loader = str(root), loader or _pillow
        self.classes = sorted(p.name for p in Path(root).iterdir() if p.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {root}.")
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        files = (
            (path, self.class_to_idx[name]) for name in self.classes for path in sorted((Path(root) / name).rglob("*"))
        )
        self.samples = self.imgs = [
            (str(path), label) for path, label in files if path.suffix.lower() in self.extensions
        ]
        self.targets = [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self.samples[index]
        return self._changed(self.loader(path), label)


def _pillow(path: str) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise RuntimeError("ImageFolder reads images with Pillow: pip install pillow") from error
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except Exception as error:  # of many classes, few of which name the file
        error.add_note(f"ImageFolder reads {path}")
        raise
