"""Errors of traced programs, under JAX's names too."""

from fdl.core.errors import FdlError, LeakedTracerError, TracedBoolError, TracedMaskError, TracedValueError

ConcretizationTypeError = TracerArrayConversionError = TracerIntegerConversionError = TracedValueError
TracerBoolConversionError = TracedBoolError
NonConcreteBooleanIndexError = TracedMaskError
UnexpectedTracerError = LeakedTracerError

__all__ = [
    "ConcretizationTypeError", "FdlError", "LeakedTracerError", "NonConcreteBooleanIndexError", "TracedBoolError",
    "TracedMaskError", "TracedValueError", "TracerArrayConversionError", "TracerBoolConversionError",
    "TracerIntegerConversionError", "UnexpectedTracerError",
]  # fmt: skip
