"""The base trace: outside of all transforms an operation is checked and recorded; work happens when a value is looked
at.

Read in this order: `trie.py` (what was recorded before, as a tree of operations), `programs.py` (who runs a program,
and when it is compiled), `recorder.py` (one walk through the trie, and the flush at its end), `trace.py` (who asks
which recorder).
"""

from fdl.transforms.lazy.recorder import Recorder, Segment
from fdl.transforms.lazy.trace import LazyTrace, current_recorder, cut, flush, recorders, set_eager, want

__all__ = ["LazyTrace", "Recorder", "Segment", "current_recorder", "cut", "flush", "recorders", "set_eager", "want"]
