"""`torch.onnx`: importable, and truthful: models are not exported yet."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.errors import UnsupportedError

__all__ = ["OnnxExporterError", "export", "is_in_onnx_export"]


class OnnxExporterError(RuntimeError):
    """An export failed."""


def is_in_onnx_export() -> bool:
    """No."""
    return False


def export(model: Any, args: Any = (), f: Any = None, **settings: Any) -> Any:
    """NotImplementedError: ONNX files are not written yet."""
    raise UnsupportedError("torch.onnx.export: ONNX files are not written yet", hint="torch.save, or safetensors")


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Nothing: nobody asks for symbols, as nothing is exported."""


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Nothing, for the same reason."""
