"""PyTorch: replicas are the processes that `torchrun` starts.

Gradients are reduced as one array when all are there. Reducing parts during the
backward pass would hide at most that time, on a CPU a few hundredths of a step,
and take the cores it needs. Optimizers are whole in each process: a share of
ELECTRA-Large's moments on 8 devices would save what 3 rows in training take.
"""

import datetime
import os
from typing import Any

import keras
import torch
import torch.distributed as dist

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# All processes have to come; a step and the saving of a checkpoint may take.
START_SECONDS, STEP_SECONDS = 120, 600

if dist.is_torchelastic_launched() and torch.cuda.is_available():
    # Before any variable is made, on the device that is current then.
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def _is_started():
    """Whether there is a group of processes. `torchrun`'s is started."""
    if not dist.is_available() or dist.is_initialized():
        return dist.is_available()
    if any(name not in os.environ for name in ENVIRONMENT):
        return False
    start = datetime.timedelta(seconds=START_SECONDS)
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=start))
        dist.init_process_group(
            # "gloo" beside it is for what is on the CPU.
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=datetime.timedelta(seconds=STEP_SECONDS),
        )
    except (RuntimeError, ValueError) as error:
        there = {name: os.environ[name] for name in ENVIRONMENT}
        raise ConnectionError(
            f"The processes of `torchrun` do not find each other: {there}. "
            "Start as many as WORLD_SIZE says, the first (RANK=0) on the "
            f"machine MASTER_ADDR. {error}"
        ) from error
    return True


# Rows that fill up the batch of a step, and how many each process has of it.
filling: list[Any] = [0, 1]


def fillers(size: Any) -> Any:
    """As many of an array of which each process has `size` rows."""
    return filling[0] * size // filling[1]


@torch.compiler.assume_constant_result
def count() -> Any:
    return dist.get_world_size() if _is_started() else 1


@torch.compiler.assume_constant_result
def index() -> Any:
    return dist.get_rank() if _is_started() else 0


def processes() -> tuple[Any, ...]:
    return index(), count()


def devices() -> Any:
    return count()


def total(value: Any) -> Any:
    return summed([value])[0]


@torch._disable_dynamo
@torch.no_grad()
def summed(tensors: Any) -> Any:
    if not _is_started() or tensors[0].is_meta:  # Keras asks for shapes
        return tensors
    flat = torch.cat([t.reshape(-1).to(torch.float32) for t in tensors])
    _together(dist.all_reduce, flat)
    parts = flat.split([t.numel() for t in tensors])
    return [p.view(t.shape).to(t.dtype) for p, t in zip(parts, tensors)]


def gathered(rows: Any) -> Any:
    if rows.is_meta:
        return torch.cat([rows] * count())
    return rows if count() == 1 else _Gather.apply(rows)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows):  # some may have fewer
        sizes = torch.zeros(count(), device=rows.device)
        sizes[index()] = len(rows)
        ctx.sizes = [int(size) for size in total(sizes)]
        whole = rows.new_zeros(count(), max(ctx.sizes), *rows.shape[1:])
        whole[index(), : len(rows)] = rows
        _together(dist.all_reduce, whole)
        return torch.cat([r[:size] for r, size in zip(whole, ctx.sizes)])

    @staticmethod
    def backward(ctx, gradient):
        return total(gradient).split(ctx.sizes)[index()]


def everyone(number: Any) -> Any:
    numbers = [number] * count()
    if count() > 1:
        _together(dist.all_gather_object, numbers, number)
    return numbers


@torch.no_grad()
def begin(variables: Any) -> None:
    if count() == 1:
        return
    for variable in variables:
        value = variable.value.contiguous()
        _together(dist.broadcast, value, 0)
        variable.value.copy_(value)
    for generator in [torch, torch.cuda][: 1 + torch.cuda.is_available()]:
        state = generator.get_rng_state()
        _together(dist.broadcast, state, 0)
        generator.set_rng_state(state)


def _together(function, *args):
    try:
        function(*args)
    except RuntimeError as error:  # of gloo: a connection is closed
        raise ConnectionError(
            f"Process {index()} of {count()} waited for the others in vain: "
            "one has ended, or the network fails. Start all again; with "
            "`ResumableCheckpoint` they go on after the last epoch."
        ) from error


def spread(x: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_tensor, x)
