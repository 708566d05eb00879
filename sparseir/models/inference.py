"""Running a tower over many texts: length order, number format, rows of SparseVectors."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer import SparseVectors
from sparseir.models.networks.lengths import padded_length
from sparseir.models.towers.csr import CsrTower
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.models.towers.tower import Tower

Dtype = Literal["float32", "bfloat16", "native"]
Progress = Callable[[int, int], None]

_CPU_TOKENS = 1024
"""Most tokens of a forward pass on a CPU, padding included. Larger intermediate results fall out of the caches and are given
back to the system after every use: 32 texts of 128 tokens in one pass took a fifth longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeOptions:
    """How texts are run through a tower.

    Parameters
    ----------
    batch_size : most texts a forward pass sees. On a CPU it sees fewer when they are long: see `_CPU_TOKENS`.
    max_length : tokens of a text the network reads.
    max_active_dims : most weights of a row, the largest; of equal ones the smaller term ids.
    dtype : "native" is bfloat16 where the device multiplies it in hardware, else float32.
    progress : called with (texts done, texts in all) after every batch.
    """

    batch_size: int = 32
    max_length: int = 256
    max_active_dims: int | None = None
    dtype: Dtype = "float32"
    progress: Progress | None = None


def native_dtype(dtype: Dtype, device: torch.device) -> torch.dtype:
    """The torch dtype a `Dtype` means on a device."""
    if dtype != "native":
        return torch.float32 if dtype == "float32" else torch.bfloat16
    return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 products in hardware; where it emulates them they cost several times float32's."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class InferenceCopies:
    """Copies of a module in lower precision, made again when its parameters have changed since."""

    def __init__(self) -> None:
        self._copies: dict[tuple[int, torch.dtype], tuple[tuple[int, ...], nn.Module]] = {}

    def of(self, module: nn.Module, dtype: torch.dtype) -> nn.Module:
        """The module itself for its own dtype, else a copy with the parameters of now."""
        parameters = list(module.parameters())
        if not parameters or parameters[0].dtype == dtype:
            return module
        # Every in-place change, an optimiser step as well, moves a parameter's version.
        state = tuple(x for p in parameters for x in (p.data_ptr(), p._version))
        key = (id(module), dtype)
        kept = self._copies.get(key)
        if kept is None or kept[0] != state:
            with torch.no_grad():
                made = copy.deepcopy(module).to(dtype).eval().requires_grad_(False)
                on_cpu = parameters[0].device.type == "cpu"
                if on_cpu and isinstance(made, MaskedLMTower) and native_dtype("native", parameters[0].device) == dtype:
                    made.freeze()
            kept = self._copies[key] = (state, made)
        return kept[1]


@torch.inference_mode()
def run_tower(
    tower: nn.Module,
    rows: Sequence[Sequence[Any]],
    pad: Callable[[Sequence[Sequence[Any]], int], dict[str, Tensor]],
    options: EncodeOptions,
    num_terms: int,
) -> SparseVectors:
    """One row of weights per row of token ids, in the order given; a row without tokens is an empty row."""
    given = (options.max_active_dims,) if isinstance(tower, Tower) and tower.takes_width else ()
    terms, weights = _no_weights(len(rows))
    done, total = 0, sum(1 for row in rows if row)
    with evaluating(tower):
        for chosen, features in feature_batches(tower, rows, pad, options):
            for i, row in zip(chosen, tower(features, *given).float(), strict=True):
                terms[i], weights[i] = _active(row, options.max_active_dims)
            done += len(chosen)
            if options.progress is not None:
                options.progress(done, total)
    return _vectors(terms, weights, num_terms)


@torch.inference_mode()
def run_codes(
    tower: CsrTower, dense: NDArray[np.floating], options: EncodeOptions, device: torch.device
) -> SparseVectors:
    """One row of codes per dense embedding, (N, d), in order; an embedding of zeros is an empty row."""
    terms, weights = _no_weights(len(dense))
    for start in range(0, len(dense), options.batch_size):
        rows = np.array(dense[start : start + options.batch_size], np.float32)
        given = tower.dense.scaled(torch.from_numpy(rows).to(device))
        for i, row in enumerate(tower.of_dense(given, options.max_active_dims)):
            if rows[i].any():
                terms[start + i], weights[start + i] = _active(row, options.max_active_dims)
        if options.progress is not None:
            options.progress(start + len(rows), len(dense))
    return _vectors(terms, weights, tower.num_terms)


def _no_weights(rows: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [np.zeros(0, np.uint32)] * rows, [np.zeros(0, np.float32)] * rows


def _vectors(terms: list[np.ndarray], weights: list[np.ndarray], num_terms: int) -> SparseVectors:
    indptr = np.concatenate([[0], np.cumsum([len(t) for t in terms])]).astype(np.int64)
    return SparseVectors(
        indptr,
        np.concatenate(terms or [np.zeros(0, np.uint32)]),
        np.concatenate(weights or [np.zeros(0, np.float32)]),
        num_terms,
    )


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout) within the block; afterwards each part has the mode it had before.

    The parts differ: transformers hands out networks in evaluation mode, inside of towers that are in training mode.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def feature_batches(
    tower: nn.Module,
    rows: Sequence[Sequence[Any]],
    pad: Callable[[Sequence[Sequence[Any]], int], dict[str, Tensor]],
    options: EncodeOptions,
) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """The batches texts are encoded in: places of the rows, and their features on the tower's device.

    Rows come by rising length, so that a batch holds little padding; those without tokens are left out.
    """
    device = next((p.device for p in tower.parameters()), torch.device("cpu"))
    on_cpu = device.type == "cpu"
    order = sorted((i for i in range(len(rows)) if rows[i]), key=lambda i: len(rows[i]))
    lengths = [min(padded_length(len(rows[i])) if on_cpu else len(rows[i]), options.max_length) for i in order]
    limit = _CPU_TOKENS if on_cpu else None
    for start, end in token_batches(lengths, most_texts=options.batch_size, most_tokens=limit):
        batch = pad([rows[i] for i in order[start:end]], lengths[end - 1])
        yield order[start:end], {name: x.to(device) for name, x in batch.items()}


def token_batches(
    lengths: Sequence[int], *, most_texts: int, most_tokens: int | None = None
) -> Iterator[tuple[int, int]]:
    """Cut rows of rising length into batches (start, end), limited in texts and in tokens, padding included.

    A single row may be longer than `most_tokens`; None is no limit.
    """
    start = 0
    while start < len(lengths):
        end = start + 1
        while end < len(lengths) and end - start < most_texts:
            if most_tokens is not None and (end + 1 - start) * lengths[end] > most_tokens:
                break
            end += 1
        yield start, end
        start = end


def _active(row: Tensor, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    ids = row.nonzero().squeeze(1)
    terms = ids.cpu().numpy().astype(np.uint32)
    weights = row[ids].cpu().numpy().astype(np.float32)
    if limit is not None and len(terms) > limit:
        kept = np.sort(np.argsort(-weights, kind="stable")[:limit])
        terms, weights = terms[kept], weights[kept]
    return terms, weights
