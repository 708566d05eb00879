"""The module that sentence-transformers loads from our folders by its class path, for kinds it has no modules for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sentence_transformers.base.modules.input_module import InputModule
from sentence_transformers.util import load_dir_path
from torch import Tensor

from sparseir.models.encoder import SparseEncoder
from sparseir.models.folder import write_description
from sparseir.models.sentence.write import write_own_module


class TowerModule(InputModule):
    """One tower of a `SparseEncoder` as the only module of a route.

    `SparseEncoder("folder", trust_remote_code=True)` of sentence-transformers gives the vectors of our own loader.
    """

    def __init__(self, encoder: SparseEncoder, *, query: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.query = query
        self.tower = encoder.query_tower if query else encoder.document_tower
        self.tokenizer = encoder.tokenizer.tokenizer
        config = encoder.config
        self.max_seq_length = config.max_query_length if query else config.max_document_length

    def preprocess(self, inputs: list[str], prompt: str | None = None, **kwargs: Any) -> dict[str, Tensor]:
        texts = [f"{prompt or ''}{text}" for text in inputs]
        tokenize = self.encoder.tokenize_queries if self.query else self.encoder.tokenize_documents
        return tokenize(texts)

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        features["sentence_embedding"] = self.tower(features)
        return features

    def get_embedding_dimension(self) -> int:
        return self.encoder.num_terms

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the tower, and in the folder above, where sentence-transformers writes its routes, our description."""
        folder = Path(output_path)
        write_own_module(self.encoder, self.tower, folder, query=self.query)
        write_description(self.encoder.config, folder.parent)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> TowerModule:
        keys = ("token", "cache_folder", "revision", "local_files_only")
        found = load_dir_path(model_name_or_path, subfolder, **{k: kwargs[k] for k in keys if k in kwargs})
        place = Path(found)
        with torch.no_grad():
            encoder = SparseEncoder.load(place.parent, device="cpu")
        return cls(encoder, query=place.name.startswith("query"))
