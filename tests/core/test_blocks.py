"""Blocks undo what they set wherever an interrupt comes, also while somebody holds its traceback; nothing is lost to
`contextlib`.
"""

import contextlib

import pytest

from fdl.core.blocks import Block, block, in_one_call, whole
from tests.conftest import needs_compiler
from tests.interrupts import points


class Setting:
    value = 0


@block
def raised(by):
    before = Setting.value
    try:
        Setting.value += abs(by)  # a call, after which Python looks for signals
        yield Setting.value
    finally:
        Setting.value = before


class Raised(Block):
    def _steps(self):
        before, Setting.value = Setting.value, Setting.value + 1
        try:
            yield self
        finally:
            Setting.value = before


def nested():
    with raised(2) as found, Raised():
        assert found
        with contextlib.suppress(ValueError), raised(3):
            raise ValueError
    mode = Raised()
    with mode, mode:
        pass


@needs_compiler
def test_no_interrupt_leaves_a_block_set():
    kept = []
    for target in range(points.counted(nested)):
        kept.append(
            points.interrupt(nested, target)
        )  # whoever keeps the error keeps its traceback, and with it all frames
        assert Setting.value == 0, f"set after an interrupt at point {target}"
    assert len(kept) > 40
    assert None not in kept


@needs_compiler
def test_a_whole_change_is_made_in_full():
    cells = [0] * 5

    def change():
        for i in range(len(cells)):
            cells[i] = abs(7)

    def act():
        whole(change)

    seen = set()
    for target in range(points.counted(act)):
        cells[:] = [0] * 5
        assert points.interrupt(act, target) is not None
        seen.add(tuple(cells))
    assert seen == {(0,) * 5, (7,) * 5}


@needs_compiler
def test_what_is_done_in_one_call_is_not_divided():
    class Cell:
        a = 0

    cells = [Cell() for _ in range(4)]

    def act():
        in_one_call(map(setattr, cells, "aaaa", [1] * 4))

    seen = set()
    for target in range(points.counted(act)):
        in_one_call(map(setattr, cells, "aaaa", [0] * 4))
        assert points.interrupt(act, target) is not None
        seen.add(tuple(c.a for c in cells))
    assert seen == {(0,) * 4, (1,) * 4}


def test_blocks_are_entered_by_exit_stacks_and_by_hand():
    with contextlib.ExitStack() as stack:
        assert stack.enter_context(raised(5)) == 5
        stack.enter_context(Raised())
        assert Setting.value == 6
    assert Setting.value == 0
    mode = Raised()
    assert hasattr(mode, "__exit__")
    assert mode.__enter__() is mode
    with mode.__enter__():
        assert Setting.value == 3
    mode.__exit__(None, None, None)
    mode.__exit__(None, None, None)
    assert Setting.value == 0


def test_a_block_may_catch_and_replace_what_is_raised():
    @block
    def catching():
        with contextlib.suppress(ValueError):
            yield

    @block
    def replacing():
        try:
            yield
        except ValueError as error:
            raise KeyError("other") from error

    with catching():
        raise ValueError
    with pytest.raises(KeyError), replacing():
        raise ValueError
    with pytest.raises(ZeroDivisionError), catching():
        raise ZeroDivisionError
