"""A dense text embedder, as its folder describes it. Baseline and teacher."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparseir.models.inference import native_dtype
from sparseir.models.loading import loading, read_model_config
from sparseir.models.networks.backbone import max_tokens, quiet_transformers
from sparseir.models.networks.embedding import read_embedding
from sparseir.models.panics import Tokenizing
from sparseir.models.sources import resolve_source


class DenseEmbedder:
    """x(text) = m, or m / ‖m‖: m is the mean of the last hidden states over the text's tokens, specials included, or the
    first of them, with a prompt before the text, as the folder says (see `embedding.read_embedding`).

    This is what sentence-transformers gives by `encode_query` and `encode_document`.

    Parameters
    ----------
    source : folder, hub id or packaged model of an encoder.
    max_length : tokens of a text that are read, as far as the network's position embeddings reach.
    device : torch device.
    bf16 : run the network in bfloat16 where the device has it; the mean and its length are float32 all the same.

    Raises
    ------
    ConfigError : no such model, or one that does not load.
    """

    def __init__(self, source: str | Path, *, max_length: int = 256, device: str = "cpu", bf16: bool = False) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = resolve_source(source)
        dtype = native_dtype("native" if bf16 else "float32", torch.device(device))
        with quiet_transformers(), loading(source, "no dense encoder loads from there"):
            model = AutoModel.from_pretrained(
                str(folder), config=read_model_config(folder), dtype=dtype, trust_remote_code=False
            )
            self._stated = read_embedding(folder)
            self._tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        self._model = model.to(device).eval()
        self._max_length = min(max_length, max_tokens(self._model) or max_length)
        self._device = torch.device(device)

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return int(self._model.config.hidden_size)

    def embed(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        batch_size: int = 32,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """float32 (len(texts), dimensions); texts of one length run together.

        Parameters
        ----------
        query : the texts are queries, which may have another prompt than documents.
        """
        prompt = self._stated.query_prompt if query else self._stated.document_prompt
        out = np.empty((len(texts), self.dimensions), np.float32)
        order = np.argsort([len(t) for t in texts], kind="stable")
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            given = [prompt + texts[i] for i in rows]
            with Tokenizing(given):
                features = self._tokenizer(
                    given, padding=True, truncation=True, max_length=self._max_length, return_tensors="pt"
                )
            features = features.to(self._device)
            with torch.inference_mode():
                hidden = self._model(**features).last_hidden_state.float()
                if self._stated.pooling == "cls":
                    pooled = hidden[:, 0]
                else:
                    mask = features["attention_mask"].unsqueeze(-1).float()
                    pooled = (hidden * mask).sum(1) / mask.sum(1)
                if self._stated.normalise:
                    pooled = torch.nn.functional.normalize(pooled, dim=-1)
                out[rows] = pooled.cpu().numpy()
            if progress is not None:
                progress(min(start + batch_size, len(order)), len(order))
        return out


@dataclass(slots=True)
class Spent:
    """Wall-clock and processor time, in seconds."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


class RememberedEmbeddings:
    """A dense model that embeds a text once, whoever asks: a baseline and the indexes that are built beside it.

    Parameters
    ----------
    source, max_length, device, bf16 : as of `DenseEmbedder`, which is loaded when it is first asked.

    Attributes
    ----------
    on_documents, on_queries : what embedding them has taken so far.
    """

    def __init__(self, source: str | Path, *, max_length: int = 256, device: str = "cpu", bf16: bool = False) -> None:
        self._load = partial(DenseEmbedder, source, max_length=max_length, device=device, bf16=bf16)
        self._known: dict[bytes, NDArray[np.float32]] = {}
        self.on_documents, self.on_queries = Spent(), Spent()

    @cached_property
    def model(self) -> DenseEmbedder:
        """The model itself, which remembers nothing."""
        return self._load()

    def release(self) -> None:
        """Let go of the network, which a text that is new loads again; embeddings stay."""
        self.__dict__.pop("model", None)

    @cached_property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return self.model.dimensions

    def embed(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        batch_size: int = 32,
        progress: Callable[[int, int], None] | None = None,
    ) -> NDArray[np.float32]:
        """As `DenseEmbedder.embed`."""
        spent = self.on_queries if query else self.on_documents
        start, cpu = time.perf_counter(), time.process_time()
        names = [_digest(text, query) for text in texts]
        new = {name: text for name, text in zip(names, texts, strict=True) if name not in self._known}
        if new:
            rows = self.model.embed(list(new.values()), query=query, batch_size=batch_size, progress=progress)
            self._known.update(zip(new, rows, strict=True))
        found = np.array([self._known[name] for name in names], np.float32).reshape(len(texts), self.dimensions)
        spent.seconds += time.perf_counter() - start
        spent.cpu_seconds += time.process_time() - cpu
        return found


def _digest(text: str, query: bool) -> bytes:
    return hashlib.blake2b(
        text.encode(errors="surrogatepass"), digest_size=16, person=b"query" if query else b""
    ).digest()
