"""`torch.utils.data`: datasets, samplers, and the loader that makes batches of them.

Batches are concrete when they are handed out: a loader's work never joins the program of a training step.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from fdl.extend import NATIVE, ConcreteArray, shaped
from fdl.stateful.core.errors import ArgumentError, ExpectationError, OperandError, PlaceError, UnsupportedError
from fdl.stateful.core.random import Generator, default_generator
from fdl.stateful.core.tensor import Tensor, owned, wrap
from fdl.stateful.functions.creation import tensor
from fdl.stateful.functions.shapes import stack
from fdl.stateful.utils.workers import Processes, Settings, Threads, WorkerInfo, get_worker_info, in_order, of_streams

_collate_fn_t = Callable[[list[Any]], Any]  # how types of PyTorch call what makes a batch of samples

T = TypeVar("T")

__all__ = [
    "BatchSampler", "ConcatDataset", "ChainDataset", "DataLoader", "Dataset", "DistributedSampler", "IterableDataset",
    "RandomSampler", "Sampler", "SequentialSampler", "StackDataset", "Subset",
    "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "WorkerInfo", "default_collate", "default_convert",
    "get_worker_info", "random_split",
]  # fmt: skip

# Datasets


class Dataset(Generic[T]):
    """Samples by number: subclasses write `__getitem__` and `__len__`."""

    def __getitem__(self, index: Any) -> Any:
        raise UnsupportedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T]):
    """Samples in a row: subclasses write `__iter__`."""

    def __iter__(self) -> Iterator[Any]:
        raise UnsupportedError("Subclasses of IterableDataset should implement __iter__.")


class TensorDataset(Dataset[Any]):
    """Rows of tensors of one length.

    >>> import fdl.stateful as torch
    >>> data = torch.utils.data.TensorDataset(torch.arange(3), torch.ones(3))
    >>> data[1]
    (tensor(1), tensor(1.))
    """

    def __init__(self, *tensors: Any) -> None:
        if any(t.shape[0] != tensors[0].shape[0] for t in tensors):
            raise ExpectationError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> Any:
        return tuple([t[index] for t in self.tensors])

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class ConcatDataset(Dataset[Any]):
    """Datasets one after another."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        self.cumulative_sizes = np.cumsum([len(d) for d in self.datasets]).tolist()

    def __len__(self) -> int:
        return int(self.cumulative_sizes[-1])

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise PlaceError("index out of range")
        index %= len(self)
        which = int(np.searchsorted(self.cumulative_sizes, index, "right"))
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class StackDataset(Dataset[Any]):
    """Datasets side by side: an element is a tuple of theirs, or a dict where they are named.

    >>> StackDataset([1, 2], [3, 4])[1], StackDataset(x=[1, 2])[0]
    ((2, 4), {'x': 1})
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset: expected either datasets or named datasets, at least one")
        self.datasets: Any = tuple(args) if args else kwargs
        if len({len(d) for d in args or kwargs.values()}) > 1:
            raise ArgumentError("Size mismatch between datasets")

    def __len__(self) -> int:
        return len(next(iter(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)))

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple(d[index] for d in self.datasets)


class ChainDataset(IterableDataset[Any]):
    """Streams one after another."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        for d in self.datasets:
            yield from d

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)


class Subset(Dataset[Any]):
    """Some samples of a dataset."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[[self.indices[i] for i in index] if isinstance(index, list) else self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Parts of these sizes, or shares that add up to 1, at random."""
    sizes = [int(n) for n in lengths]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        sizes = [math.floor(len(dataset) * share) for share in lengths]
        for i in range(len(dataset) - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != len(dataset):
        raise ArgumentError("Sum of input lengths does not equal the length of the input dataset!")
    order = (generator or default_generator).numpy().permutation(len(dataset)).tolist()
    ends = np.cumsum(sizes).tolist()
    return [Subset(dataset, order[end - n : end]) for end, n in zip(ends, sizes, strict=True)]


# Samplers


class Sampler(Generic[T]):
    """An order of sample numbers."""

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(self)


class SequentialSampler(Sampler[int]):
    """In order."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """In random order, or with replacement."""

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._count = num_samples

    @property
    def num_samples(self) -> int:
        """How many samples are drawn."""
        return len(self.data_source) if self._count is None else self._count

    def __iter__(self) -> Iterator[int]:
        rng, n = (self.generator or default_generator).numpy(), len(self.data_source)
        if self.replacement:
            return self._drawn(rng, n)
        rounds = [rng.permutation(n) for _ in range(-(-self.num_samples // n) if n else 0)]
        return iter(np.concatenate(rounds)[: self.num_samples].tolist() if rounds else [])

    def _drawn(self, rng: np.random.Generator, n: int) -> Iterator[int]:
        """Numbers below `n`, drawn as they are asked for."""
        for start in range(0, self.num_samples, _DRAWN):
            yield from rng.integers(0, n, min(_DRAWN, self.num_samples - start)).tolist()

    def __len__(self) -> int:
        return self.num_samples


_DRAWN = 1024  # numbers at a time: how many does not change which


class SubsetRandomSampler(Sampler[int]):
    """Given numbers in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        order = (self.generator or default_generator).numpy().permutation(len(self.indices)).tolist()
        return iter([self.indices[i] for i in order])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Numbers drawn by weight."""

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        self.weights = np.asarray(weights.tolist() if isinstance(weights, Tensor) else list(weights), np.float64)
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        rng = (self.generator or default_generator).numpy()
        return iter(
            rng.choice(
                len(self.weights), self.num_samples, self.replacement, self.weights / self.weights.sum()
            ).tolist()
        )

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler[int]):
    """The part of a dataset of one of several processes; `set_epoch` changes the order."""

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas or 1, rank or 0
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0
        n = len(dataset)
        self.num_samples = n // self.num_replicas if drop_last else -(-n // self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        n, total = len(self.dataset), self.num_samples * self.num_replicas
        order = np.random.default_rng((self.seed, self.epoch)).permutation(n) if self.shuffle else np.arange(n)
        return iter(np.resize(order, total)[self.rank : total : self.num_replicas].tolist())

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Another order for another epoch."""
        self.epoch = epoch


class BatchSampler(Sampler[list[int]]):
    """Lists of numbers from another sampler."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        if batch_size <= 0:
            raise ArgumentError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        while batch := list(itertools.islice(numbers, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


# Batches


_RECORDED = 256  # samples of a batch that are stacked by a program


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: tensors, arrays and numbers are stacked, containers are kept."""
    first = batch[0]
    if isinstance(first, Tensor):
        return (
            stack([x if x._edge is None else x.detach() for x in batch])
            if len(batch) <= _RECORDED
            else owned(np.stack([x._value()._numpy() for x in batch]))
        )
    if isinstance(first, np.ndarray):
        return owned(np.stack(batch))
    if type(first) is int:
        values = np.array(batch)
        if values.dtype == np.int64:
            return owned(values)
    if isinstance(first, (int, float, np.generic)):
        return tensor(
            [x.item() if isinstance(x, np.generic) else x for x in batch],
            dtype="float64" if isinstance(first, float) else None,
        )
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {k: default_collate([x[k] for x in batch]) for k in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*[default_collate(column) for column in zip(*batch, strict=True)])
    if isinstance(first, (tuple, list)):
        return [default_collate(column) for column in zip(*batch, strict=True)]
    raise OperandError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first)}"
    )


def default_convert(data: Any) -> Any:
    """Arrays as tensors; containers are kept."""
    if isinstance(data, np.ndarray):
        return tensor(data)
    if isinstance(data, Mapping):
        return {k: default_convert(v) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return [default_convert(v) for v in data]
    return data


def _rows(dataset: TensorDataset, indices: Sequence[int]) -> list[Tensor]:
    """A batch of a `TensorDataset` at once."""
    first, last = (indices[0], indices[-1] + 1) if len(indices) else (0, 0)
    if 0 <= first < last <= len(dataset) and list(indices) == list(range(first, last)):
        return [owned(t._value()._numpy()[first:last].copy()) for t in dataset.tensors]
    return [_taken(t._value(), indices) for t in dataset.tensors]


def _taken(array: ConcreteArray, indices: Sequence[int]) -> Tensor:
    """Some rows of an array, in memory of the runtime library's pool where that is there."""
    size, *rest = array.shape
    if NATIVE.rows is not None and type(indices) is list:
        data = array.block_until_ready()._data
        found = NATIVE.rows(data, array.dtype.itemsize * math.prod(rest), size, indices)
        if found is not None:
            return wrap(ConcreteArray(shaped((len(indices), *rest), array.dtype), found))
    return owned(array._numpy().take(np.asarray(indices), 0))


class _Batch(NamedTuple):
    """Numbers of the samples of a batch."""

    indices: Sequence[int]


@dataclasses.dataclass(frozen=True)
class _Fetcher:
    """What makes batches, in the loop or in its workers."""

    dataset: Any
    collate: Callable[[Any], Any]
    batch_size: int | None
    drop_last: bool

    def fetch(self, request: Any) -> Any:
        """The batch of these samples, or a sample by itself."""
        if not isinstance(request, _Batch):
            return self.collate(self.dataset[request])
        if type(self.dataset) is TensorDataset and self.collate is default_collate:
            return _rows(self.dataset, request.indices)
        together = getattr(self.dataset, "__getitems__", None)
        return self.collate(
            together(request.indices) if together is not None else [self.dataset[i] for i in request.indices]
        )

    def stream(self) -> Iterator[Any]:
        """Batches of an iterable dataset."""
        if self.batch_size is None:
            yield from map(self.collate, self.dataset)
            return
        batch = []
        for sample in self.dataset:
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield self.collate(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate(batch)


def _as_it_is(sample: Any) -> Any:
    return sample


def _context(wanted: Any, num_workers: int) -> Any:
    """The context of `multiprocessing` that a name stands for; None for threads."""
    if wanted is None:
        return None
    import multiprocessing  # what few ask for

    if num_workers == 0:
        raise ArgumentError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
            f"but got num_workers={num_workers}"
        )
    if not isinstance(wanted, str):
        return wanted
    methods = multiprocessing.get_all_start_methods()
    if wanted not in methods:
        raise ArgumentError(
            f"multiprocessing_context option should specify a valid start method in {methods}, "
            f"but got multiprocessing_context={wanted!r}"
        )
    return multiprocessing.get_context(wanted)


def _check_workers(num_workers: int, prefetch_factor: int | None) -> None:
    if num_workers < 0:
        raise ArgumentError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if prefetch_factor is not None and num_workers == 0:
        raise ArgumentError(
            "prefetch_factor option could only be specified in multiprocessing. "
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )


class _BaseDataLoaderIter:
    """A walk through a loader's batches."""

    def __init__(self, loader: DataLoader[Any], batches: Iterator[Any]) -> None:
        self._loader, self._batches = loader, batches

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def __next__(self) -> Any:
        return next(self._batches)

    def __len__(self) -> int:
        return len(self._loader)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """A walk whose batches are made in the loop."""


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """A walk whose batches workers make."""


class DataLoader(Generic[T]):
    """Batches of a dataset.

    Sampling and collation as in PyTorch. With `num_workers`, so many threads fetch batches ahead (`prefetch_factor`
    each), or processes where `multiprocessing_context` names how they start ("fork", "spawn", "forkserver"); the order
    is the same for any number of them, also where `in_order` would let it change. `pin_memory` and `persistent_workers`
    are accepted and change nothing. With
    `shuffle`, the order comes from `generator`, or the default one.

    >>> import fdl.stateful as torch
    >>> data = torch.utils.data.TensorDataset(torch.arange(5))
    >>> [batch.tolist() for (batch,) in torch.utils.data.DataLoader(data, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self.dataset, self.batch_size, self.drop_last, self.generator = dataset, batch_size, drop_last, generator
        self._iterator: Any = None  # of loaders whose workers stay, in PyTorch
        _check_workers(num_workers, prefetch_factor)
        self.num_workers, self.pin_memory, self.worker_init_fn = num_workers, pin_memory, worker_init_fn
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers else prefetch_factor
        self.iterable = isinstance(dataset, IterableDataset)
        if sampler is not None and shuffle:
            raise ArgumentError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ArgumentError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        if self.iterable and (shuffle or sampler is not None):
            raise ArgumentError("DataLoader with IterableDataset: expected unspecified shuffle and sampler options")
        if not self.iterable:
            self.sampler = (
                sampler
                if sampler is not None
                else RandomSampler(dataset, generator=generator)
                if shuffle
                else SequentialSampler(dataset)
            )
            self.batch_sampler = (
                batch_sampler
                if batch_sampler is not None
                else BatchSampler(self.sampler, batch_size, drop_last)
                if batch_size
                else None
            )
        self.collate_fn = (
            collate_fn if collate_fn is not None else default_collate if batch_size or batch_sampler else _as_it_is
        )
        self.timeout, self._context = timeout, _context(multiprocessing_context, num_workers)
        self.multiprocessing_context, self.persistent_workers = multiprocessing_context, persistent_workers
        self.pin_memory_device, self.in_order = pin_memory_device, in_order

    def __iter__(self) -> _BaseDataLoaderIter:
        fetcher = _Fetcher(self.dataset, self.collate_fn, self.batch_size, self.drop_last)
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(
                self, fetcher.stream() if self.iterable else map(fetcher.fetch, self._requests())
            )
        settings = Settings(
            self.num_workers, (self.generator or default_generator).initial_seed(), self.worker_init_fn, self.timeout
        )
        crew = Threads(fetcher, settings) if self._context is None else Processes(self._context, fetcher, settings)
        ahead = self.num_workers * (self.prefetch_factor or 0)
        batches = of_streams(crew) if self.iterable else in_order(crew, self._requests(), ahead)
        return _MultiProcessingDataLoaderIter(self, batches)

    def _requests(self) -> Iterator[Any]:
        """A list of numbers for each batch, or the number of each sample."""
        return iter(self.sampler if self.batch_sampler is None else map(_Batch, self.batch_sampler))

    def __len__(self) -> int:
        if self.iterable:
            size, n = self.batch_size or 1, len(self.dataset)
            return n // size if self.drop_last else -(-n // size)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)
