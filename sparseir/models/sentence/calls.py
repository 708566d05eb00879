"""Calls of sentence-transformers' SparseEncoder, under its names: tensors out, terms back, folders to a hub."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from indexer import SparseVectors
from sparseir.errors import ConfigError, DataError, SparseIRError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

Task = Literal["document", "query"]
Decoded = list[tuple[str, float]]


def encode(
    encoder: SparseEncoder,
    sentences: str | Sequence[str],
    *,
    task: Task = "document",
    batch_size: int = 32,
    max_active_dims: int | None = None,
    convert_to_sparse_tensor: bool = True,
) -> Tensor:
    """See `SparseEncoder.encode`."""
    if task not in ("document", "query"):
        raise ConfigError(f"task is {task!r}; there are: document, query")
    one = isinstance(sentences, str)
    texts = [sentences] if isinstance(sentences, str) else list(sentences)
    faulty = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if faulty is not None:
        raise DataError(f"sentences: expected texts; number {faulty} is of type {type(texts[faulty]).__name__}")
    run = encoder.encode_queries if task == "query" else encoder.encode_documents
    rows = as_tensor(run(texts, batch_size=batch_size, max_active_dims=max_active_dims))
    rows = rows[0] if one else rows
    return rows if convert_to_sparse_tensor else rows.to_dense()


def as_tensor(vectors: SparseVectors) -> Tensor:
    """The rows as one sparse COO tensor, float32 (N, V), coalesced."""
    lengths = np.diff(vectors.indptr)
    places = np.stack([np.repeat(np.arange(len(vectors)), lengths), vectors.term_ids.astype(np.int64)])
    return torch.sparse_coo_tensor(
        torch.from_numpy(places),
        torch.from_numpy(np.array(vectors.weights, np.float32)),
        (len(vectors), vectors.num_terms),
        is_coalesced=True,
        check_invariants=False,  # SparseVectors hold them
    )


def similarity(encoder: SparseEncoder, queries: Tensor, documents: Tensor) -> Tensor:
    """See `SparseEncoder.similarity`."""
    rows = []
    for name, given in (("queries", queries), ("documents", documents)):
        if not isinstance(given, Tensor) or given.dim() not in (1, 2) or given.shape[-1] != encoder.num_terms:
            raise DataError(f"{name}: expected a tensor (rows, {encoder.num_terms}), as encode gives it")
        rows.append(given.unsqueeze(0) if given.dim() == 1 else given)
    first, second = rows
    return torch.mm(first, second.to_dense().T).to_dense()


def decode(
    encoder: SparseEncoder, embeddings: Tensor | SparseVectors, top_k: int | None = None
) -> Decoded | list[Decoded]:
    """See `SparseEncoder.decode`."""
    names = encoder.terms()
    if isinstance(embeddings, SparseVectors):
        rows: Iterable[tuple[Any, Any]] = (embeddings.row(i) for i in range(len(embeddings)))
    elif isinstance(embeddings, Tensor) and embeddings.dim() in (1, 2):
        rows = map(_of_row, embeddings.to_dense().cpu() if embeddings.dim() == 2 else [embeddings.to_dense().cpu()])
    else:
        raise DataError(f"embeddings: expected SparseVectors or a tensor (N, {len(names)}) or ({len(names)},)")
    if embeddings.shape[-1] > len(names) if isinstance(embeddings, Tensor) else embeddings.num_terms > len(names):
        raise DataError(f"embeddings: this encoder has {len(names)} terms, they have more")
    decoded = []
    for term_ids, weights in rows:
        order = np.argsort(-weights, kind="stable")[:top_k]
        decoded.append([(names[t], w) for t, w in zip(term_ids[order].tolist(), weights[order].tolist(), strict=True)])
    return decoded[0] if isinstance(embeddings, Tensor) and embeddings.dim() == 1 else decoded


def _of_row(row: Tensor) -> tuple[Any, Any]:
    weights = row.float().numpy()
    term_ids = np.flatnonzero(weights)
    return term_ids, weights[term_ids]


def push_to_hub(
    encoder: SparseEncoder,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    commit_message: str = "Upload of a sparse encoder",
    create_pr: bool = False,
) -> str:
    """See `SparseEncoder.push_to_hub`."""
    from huggingface_hub import HfApi, get_token

    if token is None and get_token() is None:
        raise ConfigError(
            "push_to_hub: no token for the hub; run `hf auth login`, set the variable HF_TOKEN, or pass token="
        )
    api = HfApi(token=token)
    with tempfile.TemporaryDirectory(prefix="sparseir-upload-") as folder:
        encoder.save(folder)
        try:
            made = api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=made.repo_id, folder_path=folder, commit_message=commit_message, create_pr=create_pr
            )
        # The client lets errors of its HTTP library through, and that library differs between its versions.
        except Exception as error:
            raise SparseIRError(f"push_to_hub: {repo_id!r} at {api.endpoint}: {_first_line(error)}") from error
    return str(commit.commit_url)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
