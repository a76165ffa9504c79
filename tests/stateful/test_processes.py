"""Loaders whose workers are processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import fdl.stateful as torch
from fdl.stateful.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork")


class Squares(Dataset):
    def __len__(self):
        return 23

    def __getitem__(self, i):
        return torch.tensor([float(i), float(i * i)]), i, {"pid": os.getpid()}


class Broken(Squares):
    def __getitem__(self, i):
        if i == 9:
            raise KeyError("sample nine")
        return super().__getitem__(i)


class Deadly(Squares):
    def __getitem__(self, i):
        if i == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(i)


class Slow(Squares):
    def __getitem__(self, i):
        time.sleep(30 if i > 8 else 0)
        return super().__getitem__(i)


class Stream(IterableDataset):
    def __iter__(self):
        info = get_worker_info()
        return iter(range(info.id, 17, info.num_workers))


def nothing_left():
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not multiprocessing.active_children()


def drawn(workers, **options):
    torch.manual_seed(3)
    return [
        (x.tolist(), y.tolist())
        for x, y, _ in DataLoader(Squares(), batch_size=4, shuffle=True, num_workers=workers, **options)
    ]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_fetch_what_the_loop_would(method):
    assert drawn(2, multiprocessing_context=method) == drawn(0)
    pids = {
        p
        for _, _, info in DataLoader(Squares(), batch_size=4, num_workers=2, multiprocessing_context=method)
        for p in info["pid"].tolist()
    }
    assert len(pids) == 2 and os.getpid() not in pids
    assert nothing_left()


def test_an_exception_comes_with_the_workers_traceback():
    got = []
    with pytest.raises(KeyError) as caught:
        for x, _, _ in DataLoader(Broken(), batch_size=4, num_workers=2, multiprocessing_context="fork"):
            got.append(len(x))
    assert got == [4, 4]
    text = str(caught.value)
    assert "DataLoader worker process 0" in text and "sample nine" in text and "__getitem__" in text
    assert nothing_left()


def test_a_worker_that_dies_is_named():
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly"):
        list(DataLoader(Deadly(), batch_size=4, num_workers=2, multiprocessing_context="fork"))
    assert nothing_left()


@pytest.mark.parametrize("context", [None, "fork"])
def test_batches_are_not_waited_for_for_ever(context):
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"timed out after 0\.3 seconds"):
        list(
            DataLoader(
                Slow() if context else Late(), batch_size=4, num_workers=2, multiprocessing_context=context, timeout=0.3
            )
        )
    assert time.monotonic() - start < 10
    assert nothing_left()


class Late(Squares):
    def __getitem__(self, i):
        time.sleep(0.8 if i > 8 else 0)
        return super().__getitem__(i)


def test_a_loop_that_is_left_leaves_no_process():
    for _ in DataLoader(Squares(), batch_size=2, num_workers=3, multiprocessing_context="fork"):
        break
    assert nothing_left()


def test_streams_share_the_work():
    shared = [
        v for x in DataLoader(Stream(), batch_size=3, num_workers=2, multiprocessing_context="fork") for v in x.tolist()
    ]
    assert sorted(shared) == list(range(17))
    assert nothing_left()


def mark(number):
    os.environ["MARK"] = str(number)


def marked(batch):
    return os.environ["MARK"], get_worker_info().id, torch.initial_seed()


def test_workers_are_begun_and_seeded():
    torch.manual_seed(11)
    found = list(
        DataLoader(
            Squares(),
            batch_size=8,
            num_workers=2,
            worker_init_fn=mark,
            collate_fn=marked,
            multiprocessing_context="fork",
        )
    )
    assert found == [("0", 0, 11), ("1", 1, 12), ("0", 0, 11)]
    assert "MARK" not in os.environ and get_worker_info() is None


def test_tensors_of_the_loop_reach_the_workers():
    x = torch.arange(12.0).reshape(6, 2) * 2  # pending when the workers start
    data = TensorDataset(x, torch.arange(6))
    batches = [
        (a.tolist(), b.tolist())
        for a, b in DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context="fork")
    ]
    assert batches == [
        ([[0.0, 2.0], [4.0, 6.0], [8.0, 10.0], [12.0, 14.0]], [0, 1, 2, 3]),
        ([[16.0, 18.0], [20.0, 22.0]], [4, 5]),
    ]


def test_interruption_ends_all():
    code = """
        import multiprocessing, signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
        from tests.stateful.test_processes import Slow
        from fdl.stateful.utils.data import DataLoader
        try:
            for batch in DataLoader(Slow(), batch_size=4, num_workers=2, multiprocessing_context="fork"):
                print("batch", flush=True)
        except KeyboardInterrupt:
            print("interrupted", len(multiprocessing.active_children()), flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "batch\n"
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert out.splitlines()[-1] == "interrupted 0"


def test_wrong_contexts_are_refused():
    with pytest.raises(ValueError, match="num_workers > 0"):
        DataLoader(Squares(), multiprocessing_context="fork")
    with pytest.raises(ValueError, match="valid start method"):
        DataLoader(Squares(), num_workers=1, multiprocessing_context="thread")
