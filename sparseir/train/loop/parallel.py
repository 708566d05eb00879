"""Runs on several processes: each encodes its share of a batch, all see the whole of it."""

from __future__ import annotations

import itertools

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) without torch.distributed."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def wait_for_all() -> None:
    """Return once every process has come here."""
    if world()[1] > 1:
        dist.barrier()


def own_share(size: int) -> slice:
    """The contiguous rows of a batch this process encodes.

    Shares differ by at most one row.
    """
    rank, processes = world()
    return slice(size * rank // processes, size * (rank + 1) // processes)


def gather_rows(own: Tensor, size: int) -> Tensor:
    """The rows of all processes in order, (size, …); gradients reach this process's own rows only.

    Each process computes the same loss from the same rows, and differentiates it for its own share; the sum over
    processes is the gradient of the whole. DDP averages, so the loss is multiplied by the number of processes.
    """
    rank, processes = world()
    if processes == 1:
        return own
    ends = [size * r // processes for r in range(processes + 1)]
    longest = max(b - a for a, b in itertools.pairwise(ends))
    padded = own.new_zeros((longest, *own.shape[1:]))
    padded[: len(own)] = own.detach()
    parts = [torch.empty_like(padded) for _ in range(processes)]
    dist.all_gather(parts, padded)
    rows = [part[: ends[r + 1] - ends[r]] for r, part in enumerate(parts)]
    rows[rank] = own
    return torch.cat(rows)
