"""Interrupts at exact points: every place where CPython handles signals is counted, logged, or raises
KeyboardInterrupt.

CPython runs pending calls where it handles signals (function entry, backward jumps, return from a call of C), in the
main thread, and nowhere else. A pending call that queues itself again is asked a fixed number of times at each point;
it counts, and fails at the point that is wanted, as a signal's handler would.
"""

from __future__ import annotations

import ctypes
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import CodeType

from fdl.backends.toolchain import find_compiler

_SOURCE = """
#include <stdlib.h>
typedef struct PyObject PyObject;
typedef struct PyFrame PyFrame;
int Py_AddPendingCall(int (*)(void *), void *), PyFrame_GetLasti(PyFrame *);
void PyErr_SetNone(PyObject *);
PyFrame *PyEval_GetFrame(void);
PyObject *PyFrame_GetCode(PyFrame *);
extern PyObject *PyExc_KeyboardInterrupt;
static long asked, target, logged, room;
static int active, times = 1;
static struct { PyObject *code; int at; } *points;

static int tick(void *unused) {
  if (!active) return 0;
  if (asked++ < 0) { Py_AddPendingCall(tick, unused); return 0; } /* the point at the end of `start` itself */
  const long point = (asked - 1) / times;
  if (points && asked % times == 0 && logged < room) {
    PyFrame *frame = PyEval_GetFrame();
    points[logged].code = frame ? PyFrame_GetCode(frame) : 0;
    points[logged++].at = frame ? PyFrame_GetLasti(frame) : 0;
  }
  if (point == target) { active = 0; PyErr_SetNone(PyExc_KeyboardInterrupt); return -1; }
  Py_AddPendingCall(tick, unused);
  return 0;
}
void set_times(int n) { times = n; }
void start(long wanted, long log) {
  asked = -times, logged = 0, target = wanted, room = log, active = 1;
  points = log ? malloc((size_t)log * sizeof *points) : 0;
  Py_AddPendingCall(tick, 0);
}
int stop(void) { const int was = active; active = 0; return was; }
long count(void) { return asked / times; }
PyObject *code_of(long i) { return points[i].code; }
int place_of(long i) { return points[i].at; }
"""


@functools.cache
def _library() -> ctypes.PyDLL:
    folder = Path(tempfile.mkdtemp(prefix="fdl-points-"))
    source, target = folder / "points.c", folder / "points.so"
    source.write_text(_SOURCE)
    compiler = find_compiler()
    assert compiler is not None
    compiler.build([source], target, ("-O2", "-shared", "-fPIC", "-w"))
    library = ctypes.PyDLL(str(target))
    library.start.argtypes = [ctypes.c_long, ctypes.c_long]
    library.start.restype = None
    library.count.restype = ctypes.c_long
    library.code_of.argtypes = library.place_of.argtypes = [ctypes.c_long]
    library.code_of.restype = ctypes.py_object
    _calibrate(library)
    return library


def _loop(n: int) -> None:
    for _ in range(n):
        pass


def _calibrate(library: ctypes.PyDLL) -> None:
    """Learn how often a point asks: the difference of two loops leaves out what surrounds them."""
    counts = []
    for n in (1000, 3000):
        library.start(-1, 0)
        _loop(n)
        library.stop()
        counts.append(library.count())
    library.set_times(round((counts[1] - counts[0]) / 2000))


def start(target: int = -1, log: int = 0) -> None:
    """Count points from now on; at number `target` KeyboardInterrupt is raised, once; up to `log` points are
    remembered.
    """
    _library().start(target, log)


def stop() -> bool:
    """Count no more; whether the interrupt is still to come."""
    return bool(_library().stop())


def interrupt(act: Callable[[], object], target: int) -> KeyboardInterrupt | None:
    """Run an act and interrupt it at one of its points; what was raised, None where the act has swallowed it."""
    start(target)
    try:
        act()
    except KeyboardInterrupt as error:
        return error
    finally:
        stop()
    return None


def counted(act: Callable[[], object]) -> int:
    """How many points an act has, once Python has adapted its code: some calls that are known well look
    for no signals.
    """
    for _ in range(100):
        act()
    start()
    act()
    stop()
    return int(_library().count()) - 2  # those of `start` and `stop`


def logged() -> list[tuple[CodeType, int]]:
    """The points since `start`: the code that ran, and where in it."""
    library = _library()
    return [(library.code_of(i), library.place_of(i)) for i in range(library.count())]
