"""The tape: reverse mode operation by operation, outside of all transforms.

Read in this order: `function.py` (what is recorded as one node, linearized, and its transpose), `walk.py` (nodes, and
the way back over them), `trace.py` (who tapes the operations of a function under `grad`; tensors of `fdl.stateful` tape
their own).
"""

from fdl.transforms.tape.function import Function, Signature, Taped, residuals_of
from fdl.transforms.tape.trace import tape_flat
from fdl.transforms.tape.walk import ORDER, Leaf, Node, walk

__all__ = ["ORDER", "Function", "Leaf", "Node", "Signature", "Taped", "residuals_of", "tape_flat", "walk"]
