"""The few facts a process needs about the others: its rank, how many they are, and how to average with them.

Under torchrun the environment tells (RANK, WORLD_SIZE, LOCAL_RANK); without it there is one process and every
operation here is the identity, so that the same loop runs in a notebook cell, on two CPU processes and on eight GPUs.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn  # before there is a group: its functions' defaults would hold on to ours (see `leave`)
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from labkit.processes import die_with_parent
from labkit.profile import pick_device


@dataclass(frozen=True)
class Ranks:
    """This process among the others."""

    rank: int
    world_size: int
    device: torch.device

    @classmethod
    def join(cls) -> Ranks:
        """Join the other processes if torchrun started this one (gloo on CPUs, nccl on GPUs)."""
        device = pick_device()
        if "WORLD_SIZE" not in os.environ:
            return cls(0, 1, device)
        die_with_parent()  # torchrun killed by force must not leave its workers training
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    def wrap(self, model: nn.Module, *example: Tensor) -> nn.Module:
        """The model whose `backward` averages gradients over the processes; train through *this* one.

        Calling the bare model instead trains one diverging copy a process, silently: the report's code did.
        Where `model` returns its loss, an `example` of its inputs makes resumed runs on CPUs repeatable to the bit.
        """
        if self.world_size == 1:
            return model
        ddp = DistributedDataParallel(model, device_ids=[self.device] if self.device.type == "cuda" else None)
        if example and self.device.type == "cpu":
            # After its first backward DDP sorts its buckets by the order in which gradients came. From three processes
            # on that changes the order of additions, so the first step of a resumed run would differ from what the
            # same step was in an undisturbed one. A backward for nothing has it done before any step; it costs a
            # micro-batch. `find_unused_parameters=True` prevents the sorting too, for a walk over the graph every step
            # and a warning. GPUs are left alone: their sums vary from run to run anyway.
            ddp(*example).backward()
            ddp.zero_grad(set_to_none=True)
        return ddp

    def sum(self, *values: float) -> list[float]:
        """Each value summed over the processes."""
        if self.world_size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)  # a sum, since gloo has no ReduceOp.AVG
        return total.tolist()

    def from_first(self, choose: Callable[[], Any]) -> Any:
        """What `choose` returns on rank 0, on every rank: for a choice to be made once, such as which file to load.

        The others don't call it; if it raises, torchrun ends them. The value is pickled.
        """
        box = [choose() if self.first else None]
        if self.world_size > 1:
            dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def leave(self) -> None:
        """Wait for the others, then part. Delete what `wrap` returned before: it holds on to the group.

        gloo's threads end with the last reference to their group. One that still lives when Python shuts down, and
        then lets go of a tensor, asks for a lock that is gone: the process is aborted ("terminate called without an
        active exception"), rarely, on a busy machine, after all work is done (PyTorch issue 190489).
        """
        if self.world_size > 1:
            dist.barrier()
            dist.destroy_process_group()
            gc.collect()  # a DDP wrapper is part of cycles


def rank_slice(batch: Tensor, micro_batch_size: int, ranks: Ranks) -> list[Tensor]:
    """Cut a global batch (batch, …) into micro-batches and return this rank's, in order.

    Micro-batch m goes to rank m mod world_size, so two processes see in one step what one process sees in two
    accumulation steps: together the ranks cover the batch once.
    """
    return list(batch.split(micro_batch_size))[ranks.rank :: ranks.world_size]
