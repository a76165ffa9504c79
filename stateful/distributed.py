"""`torch.distributed`: a group of one process. Everything works there, and does what it does for one; more processes
are an error.
"""

from __future__ import annotations

import enum
import os
from types import SimpleNamespace
from typing import Any

from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.tensor import Tensor

__all__ = [
    "DTensor", "DeviceMesh", "FullyShardedDataParallel", "GroupMember", "ProcessGroup", "ReduceOp", "Work",
    "all_gather", "all_gather_into_tensor", "all_gather_object",
    "all_reduce", "all_to_all", "all_to_all_single", "barrier", "batch_isend_irecv", "broadcast",
    "broadcast_object_list", "destroy_process_group", "gather", "gather_object", "get_backend",
    "get_default_backend_for_device", "get_global_rank", "get_group_rank", "get_node_local_rank",
    "get_process_group_ranks", "get_rank", "get_world_size", "group", "init_process_group", "irecv", "is_available",
    "is_backend_available", "is_gloo_available", "is_initialized", "is_mpi_available", "is_nccl_available",
    "is_torchelastic_launched", "is_ucc_available", "isend", "monitored_barrier", "new_group", "recv",
    "recv_object_list", "reduce", "reduce_scatter", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send",
    "send_object_list",
]  # fmt: skip


class ReduceOp(enum.Enum):
    """How a reduction combines; one process has nothing to combine."""

    SUM = "sum"
    AVG = "avg"
    PRODUCT = "product"
    MIN = "min"
    MAX = "max"


_GROUP = {"initialized": False}


def is_available() -> bool:
    """No: there is a group of one process, and none of several."""
    return False


def is_initialized() -> bool:
    """Whether `init_process_group` has been called."""
    return _GROUP["initialized"]


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    **kwargs: Any,
) -> None:
    """Begin a group of one; RuntimeError where arguments or WORLD_SIZE ask for more."""
    size = world_size if world_size >= 0 else int(os.environ.get("WORLD_SIZE", "1"))
    if size != 1:
        raise TensorError(f"torch.distributed: fdl runs in one process, and was asked for {size}")
    _GROUP["initialized"] = True


def destroy_process_group(group: Any = None) -> None:
    """End it."""
    _GROUP["initialized"] = False


def get_rank(group: Any = None) -> int:
    """0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    return 1


def get_backend(group: Any = None) -> str:
    """What a group on a CPU is called."""
    return "gloo"


def get_default_backend_for_device(device: Any) -> str:
    """The same for every device."""
    return "gloo"


def barrier(*args: Any, **kwargs: Any) -> None:
    """All are here."""


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """The tensor is the sum of all."""
    return _done(async_op)


def reduce(
    tensor: Tensor, dst: int = 0, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """The tensor is the sum of all."""
    return _done(async_op)


def broadcast(tensor: Tensor, src: int = 0, group: Any = None, async_op: bool = False) -> Work | None:
    """Everybody has it."""
    return _done(async_op)


def broadcast_object_list(object_list: list[Any], src: int = 0, *args: Any, **kwargs: Any) -> None:
    """Everybody has them."""


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """The tensor of each process, of which there is one, into the list's tensors."""
    tensor_list[0].copy_(tensor)
    return _done(async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """The object of each process into the list."""
    object_list[0] = obj


class ProcessGroup:
    """Processes that work together: the one there is."""

    def rank(self) -> int:
        """0."""
        return 0

    def size(self) -> int:
        """1."""
        return 1


class Work:
    """Something that other processes would be waited for; it is done."""

    def wait(self, timeout: Any = None) -> bool:
        """It is done."""
        return True

    def is_completed(self) -> bool:
        """It is."""
        return True


class group:
    """The group of all processes, of which there is one."""

    WORLD = ProcessGroup()


class GroupMember:
    """The same, and what stands for no group."""

    WORLD = group.WORLD
    NON_GROUP_MEMBER = None


def _done(async_op: bool) -> Work | None:
    """What a collective gives: something to wait for where it is asked for, and there is nothing to wait for."""
    return Work() if async_op else None


def new_group(ranks: Any = None, *args: Any, **kwargs: Any) -> ProcessGroup:
    """The group of one; RuntimeError for other ranks than 0."""
    if ranks is not None and list(ranks) != [0]:
        raise TensorError(f"torch.distributed: fdl runs in one process, and was asked for a group of {list(ranks)}")
    return group.WORLD


def get_process_group_ranks(group: Any = None) -> list[int]:
    """0 alone."""
    return [0]


def get_global_rank(group: Any, group_rank: int) -> int:
    """0."""
    return 0


def get_group_rank(group: Any, global_rank: int) -> int:
    """0."""
    return 0


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """0."""
    return 0


def gather(
    tensor: Tensor, gather_list: Any = None, dst: int = 0, group: Any = None, async_op: bool = False
) -> Work | None:
    """The tensor of each process, of which there is one, into the list's tensors."""
    if gather_list is not None:
        gather_list[0].copy_(tensor)
    return _done(async_op)


def gather_object(obj: Any, object_gather_list: Any = None, dst: int = 0, group: Any = None) -> None:
    """The object of each process into the list."""
    if object_gather_list is not None:
        object_gather_list[0] = obj


def scatter(
    tensor: Tensor, scatter_list: Any = None, src: int = 0, group: Any = None, async_op: bool = False
) -> Work | None:
    """The list's tensor for this process into the tensor."""
    if scatter_list is not None:
        tensor.copy_(scatter_list[0])
    return _done(async_op)


def scatter_object_list(output: list[Any], inputs: Any = None, src: int = 0, group: Any = None) -> None:
    """The list's object for this process into the other list."""
    if inputs is not None:
        output[0] = inputs[0]


def reduce_scatter(
    output: Tensor, input_list: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """The sum of all processes' tensors for this one."""
    output.copy_(input_list[0])
    return _done(async_op)


def all_to_all(
    output_list: list[Tensor], input_list: list[Tensor], group: Any = None, async_op: bool = False
) -> Work | None:
    """The tensor that each process has for this one."""
    output_list[0].copy_(input_list[0])
    return _done(async_op)


def all_gather_into_tensor(output: Tensor, input: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """The tensors of all processes in one, of which there is one."""
    output.copy_(input.reshape(output.shape))
    return _done(async_op)


reduce_scatter_tensor = all_to_all_single = all_gather_into_tensor


def monitored_barrier(*args: Any, **kwargs: Any) -> None:
    """All are here."""


def is_nccl_available() -> bool:
    """No."""
    return False


is_gloo_available = is_mpi_available = is_ucc_available = is_torchelastic_launched = is_nccl_available


def is_backend_available(backend: str) -> bool:
    """No backend connects processes."""
    return False


def _alone(*args: Any, **kwargs: Any) -> Any:
    """RuntimeError: there is no other process."""
    raise TensorError("torch.distributed: fdl runs in one process, and there is no other one to send to or hear from")


send = recv = isend = irecv = send_object_list = recv_object_list = batch_isend_irecv = _alone


class _OfSeveral:
    """RuntimeError: it is for several processes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _alone()


class DTensor(_OfSeveral):
    """A tensor in parts that several processes hold. RuntimeError: there is one process."""


class DeviceMesh(_OfSeveral):
    """An order of several processes. RuntimeError: there is one."""


class FullyShardedDataParallel(_OfSeveral):
    """A module in parts that several processes hold. RuntimeError: there is one process."""


class FSDPModule(_OfSeveral):
    """What `fully_shard` makes of a module. RuntimeError: there is one process, and no module is one of these."""


class MixedPrecisionPolicy(_OfSeveral):
    """Types of what several processes exchange. RuntimeError: there is one process."""


class TensorPipeRpcBackendOptions(_OfSeveral):
    """How several processes call each other. RuntimeError: there is one."""


rpc = SimpleNamespace(
    TensorPipeRpcBackendOptions=TensorPipeRpcBackendOptions,
    api=SimpleNamespace(_all_gather=_alone, _require_initialized=lambda f: _alone),
    init_rpc=_alone, is_available=is_available, remote=_alone, rpc_async=_alone, rpc_sync=_alone, shutdown=_alone,
)  # fmt: skip
tensor = _tensor = SimpleNamespace(
    DTensor=DTensor, DeviceMesh=DeviceMesh, experimental=SimpleNamespace(implicit_replication=_alone)
)
device_mesh = SimpleNamespace(DeviceMesh=DeviceMesh, init_device_mesh=_alone)
fsdp = SimpleNamespace(
    FSDP=FullyShardedDataParallel, FSDPModule=FSDPModule, FullyShardedDataParallel=FullyShardedDataParallel,
    MixedPrecisionPolicy=MixedPrecisionPolicy, fully_shard=_alone,
)  # fmt: skip
_composable = SimpleNamespace(fsdp=fsdp)
distributed_c10d = SimpleNamespace(ProcessGroup=ProcessGroup, group=group, is_initialized=is_initialized)
