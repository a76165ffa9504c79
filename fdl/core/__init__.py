"""The ground floor: dtypes, avals, pytrees, the Graph, primitives, traces, arrays, errors, settings.

Read in this order: `avals.py`, `graph.py`, `primitive.py`, `trace.py`, `array.py`; the others when they are met.
"""

from fdl.core.array import METHODS, Array, ConcreteArray, as_array, from_numpy
from fdl.core.array import is_operand as valid_jaxtype
from fdl.core.avals import ShapedArray, ShapeDtypeStruct, SymDim, shaped
from fdl.core.config import config
from fdl.core.graph import Atom, DropVar, Equation, Graph, Literal, Var, bind_graph, interpret
from fdl.core.primitive import REGISTRY, RULES, Primitive
from fdl.core.trace import Trace, Tracer, aval_of, base_trace, current_trace, live_trace, set_trace

__all__ = [
    "METHODS", "REGISTRY", "RULES", "Array", "Atom", "ConcreteArray", "DropVar", "Equation", "Graph", "Literal",
    "Primitive", "ShapeDtypeStruct", "ShapedArray", "SymDim",
    "Trace", "Tracer", "Var", "as_array", "aval_of", "base_trace", "bind_graph", "config", "current_trace",
    "from_numpy", "interpret", "live_trace", "set_trace", "shaped", "valid_jaxtype",
]  # fmt: skip
