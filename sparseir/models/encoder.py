"""SparseEncoder: texts to sparse vectors, whatever the kind of encoder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer import SparseVectors
from sparseir.config.model import ModelConfig
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.models.folder import load_parts, save_parts
from sparseir.models.inference import Dtype, EncodeOptions, InferenceCopies, Progress, native_dtype, run_tower
from sparseir.models.kinds import build_parts
from sparseir.models.panics import Tokenizing
from sparseir.models.parts import EncoderParts
from sparseir.models.sentence import calls as sentence_calls
from sparseir.models.sources import resolve_source
from sparseir.models.towers.lookup import StaticQueryTower
from sparseir.models.towers.tower import Tower


class SparseEncoder(EncoderParts):
    """Two towers, a tokenizer, and the calls that turn texts into `SparseVectors`; parts : what they are made of.

    Made by `load` (finished weights) or `from_config` (for training). Documents and queries go through their own
    towers, which may be one object.
    """

    def __init__(self, parts: EncoderParts) -> None:
        super().__init__(
            parts.config, parts.tokenizer, parts.document_tower, parts.query_tower, parts.untrained, parts.plain
        )
        self._copies = InferenceCopies()

    @classmethod
    def from_config(cls, config: ModelConfig, *, device: str = "cpu") -> SparseEncoder:
        """A fresh encoder over the weights `config.base` names, for training.

        Parameters
        ----------
        config : of the encoder. device : as for `load`.

        Raises
        ------
        ConfigError : the base cannot be found or does not fit the kind.
        """
        return cls(build_parts(config)).to(device)

    @classmethod
    def load(cls, source: str | Path, *, device: str = "auto") -> SparseEncoder:
        """An encoder from a folder (sentence-transformers layout, ours, plain masked LM), a hub id or a packaged model.

        Parameters
        ----------
        source : the folder or id. device : "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:1".

        Raises
        ------
        ConfigError : nothing there, or a layout that is not a sparse encoder's.
        """
        return cls(load_parts(resolve_source(source), base=str(source))).to(pick_device(device))

    def save(self, folder: str | Path) -> None:
        """Write a model folder; sentence-transformers 5 and later load it where it knows the kind."""
        save_parts(self, Path(folder))

    @classmethod
    def from_pretrained(cls, source: str | Path, *, device: str = "auto") -> SparseEncoder:
        """`load`, with the same source and device, under the name other libraries use."""
        return cls.load(source, device=device)

    def save_pretrained(self, folder: str | Path) -> None:
        """`save` into a folder, under the name other libraries use."""
        self.save(folder)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the model folder to the Hugging Face hub; returns the address of the commit.

        Parameters
        ----------
        repo_id : owner/name, made where it does not exist.
        options : token (else the one of `hf auth login` or HF_TOKEN), private, commit_message, create_pr.

        Raises
        ------
        ConfigError : no token. SparseIRError : the hub cannot be reached, or refuses.
        """
        return sentence_calls.push_to_hub(self, repo_id, **options)

    def encode(
        self,
        sentences: str | Sequence[str],
        *,
        task: sentence_calls.Task = "document",
        batch_size: int = 32,
        max_active_dims: int | None = None,
        convert_to_sparse_tensor: bool = True,
    ) -> Tensor:
        """Embeddings as sentence-transformers' encoder gives them; to index or search, `encode_documents` and `encode_queries`.

        Parameters
        ----------
        sentences : a text, or a list. task : "document" or "query": which tower reads them.
        batch_size, max_active_dims : as for `encode_documents`. convert_to_sparse_tensor : False gives a dense tensor.

        Returns
        -------
        float32 tensor on the CPU, (N, V), of one text (V,): sparse COO, or dense where that is asked for.

        Raises
        ------
        ConfigError : no such task. DataError : something that is no text.
        """
        return sentence_calls.encode(
            self,
            sentences,
            task=task,
            batch_size=batch_size,
            max_active_dims=max_active_dims,
            convert_to_sparse_tensor=convert_to_sparse_tensor,
        )

    def encode_query(self, sentences: str | Sequence[str], **options: Any) -> Tensor:
        """`encode` with task="query".

        Parameters
        ----------
        sentences, options : as for `encode`.
        """
        return self.encode(sentences, task="query", **options)

    def encode_document(self, sentences: str | Sequence[str], **options: Any) -> Tensor:
        """`encode` with task="document".

        Parameters
        ----------
        sentences, options : as for `encode`.
        """
        return self.encode(sentences, task="document", **options)

    def similarity(self, queries: Tensor, documents: Tensor) -> Tensor:
        """Inner products of rows, dense float32 (Q, N); what searching an index ranks by, without its rounding.

        Parameters
        ----------
        queries, documents : (Q, V) and (N, V), sparse or dense; one row may be given as (V,).

        Raises
        ------
        DataError : no tensors over this vocabulary.
        """
        return sentence_calls.similarity(self, queries, documents)

    def decode(
        self, embeddings: Tensor | SparseVectors, top_k: int | None = None
    ) -> sentence_calls.Decoded | list[sentence_calls.Decoded]:
        """(term, weight) of each row, the heaviest first; of a tensor (V,) one list.

        Parameters
        ----------
        embeddings : rows over this vocabulary. top_k : most terms of a row.

        Raises
        ------
        DataError : neither SparseVectors nor a tensor over this vocabulary.
        """
        return sentence_calls.decode(self, embeddings, top_k)

    @property
    def module(self) -> nn.ModuleDict:
        """Both towers as one module: what an optimiser, a checkpoint or a data-parallel wrapper takes."""
        return nn.ModuleDict({"document": self.document_tower, "query": self.query_tower})

    @property
    def device(self) -> torch.device:
        """Where the towers are."""
        return next(self.document_tower.parameters()).device

    def to(self, device: str | torch.device) -> SparseEncoder:
        """Move both towers to a device of torch; returns self."""
        self.module.to(device)
        return self

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of configuration, tokenizer and weights: equal exactly for equal encoders."""
        what = self.config.identity()
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
        digest.update(self.tokenizer.uncut().to_str().encode())
        for name, value in sorted(self.module.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:32]

    def terms(self) -> list[str]:
        """The vocabulary string of every term id."""
        names = self.tokenizer.terms()
        return [f"latent_{i}" for i in range(self.num_terms)] if self.document_tower.latent else names

    def set_query_weights(self, weights: NDArray[np.float32]) -> None:
        """Replace the query weights of an encoder whose queries are looked up.

        Parameters
        ----------
        weights : (V,) finite and ≥ 0, usually `idf_weights` of a collection.

        Raises
        ------
        ConfigError : a network reads the queries. DataError : other weights.
        """
        tower = self.query_tower
        if not isinstance(tower, StaticQueryTower):
            raise ConfigError(f"a {self.kind} encoder reads queries with a network and has no query weights to set")
        given = np.asarray(weights, np.float32)
        if given.shape != (tower.num_terms,) or not np.isfinite(given).all() or (given < 0).any():
            raise DataError(
                f"query weights: expected {tower.num_terms} finite numbers ≥ 0, found an array of shape {given.shape}"
            )
        with torch.no_grad():
            tower.weight.copy_(torch.from_numpy(given.copy()).to(tower.weight.device) * tower.counts)

    def document_frequency(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """How many of the texts hold each term at least once, int64 (V,); whole texts, nothing is cut."""
        backend = self.tokenizer.uncut()
        df = np.zeros(self.num_terms, np.int64)
        for start in range(0, len(texts), 1024):
            part = list(texts[start : start + 1024])
            with Tokenizing(part):
                rows = backend.encode_batch(part, add_special_tokens=False)
            for encoded in rows:
                df[np.unique(np.asarray(encoded.ids, np.int64))] += 1
        return df

    def tokenize_documents(self, texts: Sequence[str], max_length: int | None = None) -> dict[str, Tensor]:
        """Token features of the texts of documents, cut at `document_length(max_length)`."""
        return self.tokenizer(texts, self.document_length(max_length))

    def tokenize_queries(self, texts: Sequence[str], max_length: int | None = None) -> dict[str, Tensor]:
        """Token features of the texts of queries, cut at `query_length(max_length)`."""
        return self.tokenizer(texts, self.query_length(max_length))

    def encode_documents(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 32,
        max_active_dims: int | None = None,
        dtype: Dtype = "float32",
        progress: Progress | None = None,
    ) -> SparseVectors:
        """One row per text, in order; an empty text is an empty row.

        Parameters
        ----------
        texts : documents, cut at `document_length`. batch_size : texts the network sees at a time.
        max_active_dims : most weights of a row, the largest.
        dtype : "native" runs the network in bfloat16 where the device has it: three times faster, weights to about 1%.
        progress : called with (done, all) after every batch.
        """
        options = EncodeOptions(
            batch_size=batch_size,
            max_length=self.document_length(),
            max_active_dims=max_active_dims,
            dtype=dtype,
            progress=progress,
        )
        return self._run(self.document_tower, texts, options)

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 32,
        max_active_dims: int | None = None,
        dtype: Dtype = "float32",
        progress: Progress | None = None,
    ) -> SparseVectors:
        """One row per query, in order; texts, batch_size, max_active_dims, dtype and progress as for `encode_documents`."""
        options = EncodeOptions(
            batch_size=batch_size,
            max_length=self.query_length(),
            max_active_dims=max_active_dims,
            dtype=dtype,
            progress=progress,
        )
        return self._run(self.query_tower, texts, options)

    def inference_tower(self, tower: Tower, dtype: Dtype) -> Tower:
        """The tower, or the copy of it that encodes in another number format (dtype); a lookup stays as it is."""
        if tower.looked_up:
            return tower
        return self._copies.of(tower, native_dtype(dtype, self.device))  # type: ignore[return-value]

    def _run(self, tower: Tower, texts: Sequence[str], options: EncodeOptions) -> SparseVectors:
        # Special tokens alone would still expand to something; a text without content has no terms.
        rows = [
            row if text.strip() else []
            for text, row in zip(texts, self.tokenizer.rows(texts, options.max_length), strict=True)
        ]
        try:
            return run_tower(
                self.inference_tower(tower, options.dtype), rows, self.tokenizer.pad, options, self.num_terms
            )
        except torch.OutOfMemoryError as error:
            raise SparseIRError(
                f"out of memory on the device: encode in batches smaller than {options.batch_size} texts, or of fewer than "
                f"{options.max_length} tokens (model.max_document_length)"
            ) from error

    def __repr__(self) -> str:
        described: dict[str, Any] = {"kind": self.kind, "base": self.config.base, "num_terms": self.num_terms}
        return f"SparseEncoder({', '.join(f'{k}={v!r}' for k, v in described.items())})"


def pick_device(device: str) -> torch.device:
    """ "auto" is cuda where there is one, else cpu.

    Raises
    ------
    ConfigError : a device torch does not know or this machine does not have.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"device {device!r}: expected auto, cpu, cuda or cuda:<number>") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r}: this machine has no CUDA device torch can use; take auto or cpu")
    return chosen
