"""Runs of a scenario in forked children, each interrupted at one point, and what became of them.

A child whose process is broken, or whose values are lost, says so; a child that hangs is ended and counts as broken.
"""

from __future__ import annotations

import os
import pickle
import random
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType
from typing import Any, NamedTuple

from fdl.core.config import Tier, config
from tests.interrupts import points
from tests.interrupts.scenarios import Scenario, health
from tests.interrupts.stateful_code import sets_and_undoes

LIMIT = 60.0  # seconds that a child may take
ROOM = 30_000_000  # points that a log has room for


class Failure(NamedTuple):
    """An interrupt that broke something: its number, where it came, and what was wrong."""

    scenario: str
    point: int
    place: str
    reason: str


class Place(NamedTuple):
    """Where a point lies."""

    file: str
    function: str
    line: int
    first: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def _child(work: Callable[[], Any], result: int) -> None:
    try:
        answer = pickle.dumps((True, work()))
    except BaseException:
        answer = pickle.dumps((False, traceback.format_exc()))
    with os.fdopen(result, "wb") as pipe:
        pipe.write(answer)


def _forked(works: Iterable[tuple[Any, Callable[[], Any]]], workers: int) -> Iterator[tuple[Any, bool, Any]]:
    """(key, whether it returned, what it returned or the traceback) of each work, done in a child of its own, some at a
    time.
    """
    waiting = iter(works)
    running: dict[int, tuple[Any, int, float, list[bytes]]] = {}
    while True:
        while len(running) < workers:
            found = next(waiting, None)
            if found is None:
                break
            ours, theirs = os.pipe()
            child = os.fork()
            if not child:
                os.close(ours)
                _child(found[1], theirs)
                os._exit(0)
            os.close(theirs)
            running[ours] = (found[0], child, time.monotonic(), [])
        if not running:
            return
        ready, _, _ = select.select(list(running), [], [], 1.0)
        for pipe in ready:
            data = os.read(pipe, 1 << 20)
            running[pipe][3].append(data)
            if not data:
                key, child, _, parts = running.pop(pipe)
                os.close(pipe)
                os.waitpid(child, 0)
                done, value = pickle.loads(b"".join(parts)) if any(parts) else (False, "the process died")
                yield key, done, value
        for pipe, (key, child, since, _) in list(running.items()):
            if time.monotonic() - since > LIMIT:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                os.close(pipe)
                del running[pipe]
                yield key, False, "the process hangs"


def _place(code: CodeType, at: int) -> Place:
    line = next(
        (line for start, end, line in code.co_lines() if start <= at < end and line is not None), code.co_firstlineno
    )
    return Place(code.co_filename, code.co_qualname, line, code.co_firstlineno)


def _log(scenario: Scenario) -> list[Place]:
    """The points of one undisturbed run."""

    def work() -> list[Place]:
        scenario.before()
        points.start(-1, ROOM)
        scenario.act()
        points.stop()
        known: dict[tuple[int, int], Place] = {}
        places = []
        for code, at in points.logged():
            key = id(code), at
            if key not in known:
                known[key] = _place(code, at)
            places.append(known[key])
        return places

    ((_, done, found),) = _forked([(None, work)], 1)
    assert done, found
    return found


def _interrupted(scenario: Scenario, point: int, expected: Any) -> Callable[[], str]:
    def work() -> str:
        scenario.before()
        state, result = "", None
        try:
            points.start(point)
            result = scenario.act()
            state = "swallowed" if not points.stop() else "not reached"
        except KeyboardInterrupt:
            state = "raised"
        finally:
            points.stop()
        scenario.after(expected["scenario"], state == "raised", result)
        found = health()
        wrong = [name for name, value in expected["health"].items() if not _equal(found[name], value)]
        assert not wrong, f"wrong after the interrupt: {[(n, found[n], expected['health'][n]) for n in wrong]}"
        return state

    return work


def _equal(a: Any, b: Any) -> bool:
    return bool(pickle.dumps(a) == pickle.dumps(b))


class Report(NamedTuple):
    """What a campaign on a scenario found."""

    scenario: str
    points: int
    tried: int
    swallowed: int
    failures: list[Failure]
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.points} points, {self.tried} tried, {self.swallowed} swallowed, "
            f"{len(self.failures)} broken, {self.seconds:.0f} s"
        )


def _chosen(scenario: Scenario, places: Sequence[Place], limit: int | None, seed: int) -> list[int]:
    """Points to try: all of a warm scenario; of a cold one those in functions that set and undo state, and some others;
    or `limit` of them.
    """
    own = [i for i, p in enumerate(places) if "/tests/interrupts/" not in p.file or p.file.endswith("scenarios.py")]
    draw = random.Random(f"{scenario.name}:{seed}")
    if limit is not None:
        return sorted(draw.sample(own, min(limit, len(own))))
    if scenario.warm:
        return own
    special = sets_and_undoes()
    chosen = [i for i in own if (places[i].file, places[i].first) in special]
    others = sorted(set(own) - set(chosen))
    return sorted([*chosen, *draw.sample(others, min(scenario.seeded, len(others)))])


def campaign(
    scenario: Scenario,
    limit: int | None = None,
    seed: int = 0,
    workers: int = 2,
    only: Sequence[int] | None = None,
    tier: Tier = "auto",
) -> Report:
    """Interrupt a scenario at all its points, or at `limit` of them, each in a process of its own."""
    start = time.monotonic()
    config.tier = tier
    points.start(-1)  # the library is built in this process
    points.stop()
    scenario.prepare()
    places = _log(scenario)
    ((_, done, expected),) = _forked([(None, lambda: {"scenario": scenario.expect(), "health": health()})], 1)
    assert done, expected
    targets = list(only) if only is not None else _chosen(scenario, places, limit, seed)
    failures, swallowed = [], 0
    for point, done, value in _forked(((i, _interrupted(scenario, i, expected)) for i in targets), workers):
        if not done:
            failures.append(Failure(scenario.name, point, str(places[point]), value))
        elif value == "swallowed":
            swallowed += 1
    return Report(scenario.name, len(places), len(targets), swallowed, failures, time.monotonic() - start)
