"""How each operation and each dtype is written in C, CUDA and Metal: meaning stands in `fdl/ops`, spelling here.

One row serves all three languages; `METAL` lists what Metal writes otherwise. `{0}`, `{1}` are operands, `{T}` is the
operands' type suffix.
"""

from __future__ import annotations

from fdl.core import dtypes
from fdl.core.changes import Watched
from fdl.core.dtypes import DType
from fdl.core.errors import CompileError

_CALLS = """exp exp2 expm1 log log2 log10 log1p sqrt rsqrt cbrt hypot pow sin cos tan asin acos atan2 sinh cosh tanh
asinh acosh atanh logistic softplus erf erfc lgamma floor ceil trunc round is_finite abs sign max min rem shift_left
shift_right"""

C: Watched[str, str] = Watched(
    {
        "add": "{0} + {1}",
        "add:bool": "{0} | {1}",
        "sub": "{0} - {1}",
        "mul": "{0} * {1}",
        "mul:bool": "{0} & {1}",
        "neg": "-{0}",
        "eq": "{0} == {1}",
        "ne": "{0} != {1}",
        "lt": "{0} < {1}",
        "le": "{0} <= {1}",
        "gt": "{0} > {1}",
        "ge": "{0} >= {1}",
        "and": "{0} & {1}",
        "or": "{0} | {1}",
        "xor": "{0} ^ {1}",
        "select": "{0} ? {1} : {2}",
        "philox": "fdl_philox({0}, {1}, {2}, {3}, {4})",
        "div:float": "{0} / {1}",
        "div:int": "fdl_div_{T}({0}, {1})",
        "not:int": "~{0}",
        "not:bool": "!{0}",
        **{name: f"fdl_{name}_{{T}}({{args}})" for name in _CALLS.split()},
    }
)
_METALS = (
    "exp exp2 log log2 log10 sqrt rsqrt sin cos tan asin acos atan2 sinh cosh tanh asinh acosh atanh floor ceil trunc"
)
METAL: Watched[str, str] = Watched(
    {
        **{name: f"{name}({{args}})" for name in _METALS.split()},
        "round": "rint({args})",
        "is_finite": "isfinite({args})",
        "abs": "abs({args})",
    }
)

TABLES = {"metal": METAL}  # by language, where it is not written as in C

# Calls that cost as much as ten additions or so, which the schedule weighs.
_CHEAP = "sqrt rsqrt floor ceil trunc round is_finite abs sign max min shift_left shift_right"
COSTLY = frozenset(_CALLS.split()) - frozenset(_CHEAP.split()) | {"philox"}

# Results that need no rounding in a narrow dtype: they are among the operands' values, or a sign away.
EXACT = frozenset(["neg", "abs", "sign", "max", "min", "select", "floor", "ceil", "trunc", "round", "stop_gradient"])

SUFFIX: dict[DType, str] = {
    dtypes.bool_: "b8",
    **{d: f"{'u' if d in dtypes.UNSIGNED else 'i'}{d.itemsize * 8}" for d in dtypes.INTEGERS},
    dtypes.float32: "f32",
    dtypes.float64: "f64",
    dtypes.bfloat16: "bf16",
    dtypes.float16: "f16",
    dtypes.float8_e4m3fn: "f8e4m3fn",
    dtypes.float8_e5m2: "f8e5m2",
}


def changed_rows() -> str:
    """Rows of C that are not as they stand here, since somebody has added or replaced them."""
    return repr(sorted((name, C.get(name, "")) for name in C.changed)) if C.changed else ""


def storage_type(dtype: DType) -> str:
    """The type of an element in memory."""
    if dtype in (dtypes.float32, dtypes.float64):
        return "float" if dtype == dtypes.float32 else "double"
    return f"fdl_u{dtype.itemsize * 8}" if dtype in dtypes.NARROW_FLOATS else f"fdl_{SUFFIX[dtype]}"


def register_type(dtype: DType) -> str:
    """The type of a value in a kernel: narrow floats are computed in float."""
    return storage_type(dtypes.compute_dtype(dtype))


def spell(op: str, operand: DType, result: DType, args: list[str], table: dict[str, str]) -> str:
    """The expression of one operation on operands that are names or literals."""
    if op == "convert":
        return _convert(operand, result, args[0])
    if op == "bitcast":
        return _bitcast(operand, result, args[0])
    kind = "float" if dtypes.is_float(operand) else "bool" if operand == dtypes.bool_ else "int"
    row = table.get(op) or table.get(f"{op}:{kind}") or C.get(f"{op}:{kind}") or C.get(op)
    if row is None:
        raise CompileError(
            f"{op}: it is not said how this is written in C",
            hint=f'fdl.lowering.ir.spellings.C["{op}"] = "...", where {{0}}, {{1}} are operands',
        )
    try:
        text = row.format(*args, T=SUFFIX[dtypes.compute_dtype(operand)], args=", ".join(args))
    except (IndexError, KeyError, ValueError) as error:
        why = f"it names something else than {{0}} to {{{len(args) - 1}}}, {{T}} and {{args}}: {error}"
        raise CompileError(f"{op}: its spelling {row!r} cannot be filled in", why=why) from None
    if dtypes.is_integer(result) and result.itemsize < 8:
        return f"({register_type(result)})({text})"
    if result in dtypes.NARROW_FLOATS and op not in EXACT:
        return f"fdl_round_{SUFFIX[result]}({text})"
    return text


def _convert(source: DType, target: DType, x: str) -> str:
    wide = dtypes.compute_dtype(source)
    if target == dtypes.bool_:
        return f"{x} != 0"
    if dtypes.is_float(source) and dtypes.is_integer(target):
        return f"fdl_{SUFFIX[wide]}_to_{SUFFIX[target]}({x})"
    if target in dtypes.NARROW_FLOATS:
        return f"fdl_round_{SUFFIX[target]}((float){x})"
    return f"({register_type(target)}){x}"


def _bitcast(source: DType, target: DType, x: str) -> str:
    """The bits of a number read as another dtype of the same width; narrow floats stand in registers of float."""
    word = f"fdl_u{source.itemsize * 8}"
    if source in dtypes.NARROW_FLOATS:
        x = f"fdl_store_{SUFFIX[source]}({x})"
    elif dtypes.is_float(source):
        x = f"fdl_bits{'64' if source == dtypes.float64 else ''}({x})"
    if target in dtypes.NARROW_FLOATS:
        return f"fdl_load_{SUFFIX[target]}(({word}){x})"
    if dtypes.is_float(target):
        return f"fdl_{'double' if target == dtypes.float64 else 'float'}(({word}){x})"
    return f"({register_type(target)}){x}"


_SUFFIXES = {dtypes.uint32: "u", dtypes.int64: "ll", dtypes.uint64: "ull"}


def literal(value: object, dtype: DType) -> str:
    """A constant that reads back as the same bits."""
    if dtype == dtypes.bool_:
        return "1" if value else "0"
    if not dtypes.is_float(dtype):
        number, suffix = int(value), _SUFFIXES.get(dtype, "")  # type: ignore[call-overload]
        least = dtype.itemsize >= 4 and number == -(1 << 8 * dtype.itemsize - 1)  # whose size is no literal of the type
        return f"({number + 1}{suffix} - 1)" if least else f"{number}{suffix}"
    number_ = float(value)  # type: ignore[arg-type]
    width = "F64" if dtype == dtypes.float64 else "F32"
    if number_ != number_:
        return f"FDL_NAN_{width}"
    if number_ in (float("inf"), float("-inf")):
        return f"{'-' if number_ < 0 else ''}FDL_INF_{width}"
    text = repr(number_) if dtype == dtypes.float64 else f"{number_:.9g}"
    text = text if any(c in text for c in ".e") else text + ".0"
    return f"({text})" if dtype == dtypes.float64 else f"({text}f)"
