"""What a step minimises: one module per objective, batch in, loss out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparseir.config.recipe import Recipe
from sparseir.errors import ConfigError
from sparseir.losses.csr import reconstruction
from sparseir.losses.ranking import (
    info_nce,
    kl_divergence,
    margin_mse,
    masked_language_model,
    triplet,
    vector_distillation,
)
from sparseir.models.coil import CoilTower, coil_scores
from sparseir.models.csr import CsrTower
from sparseir.models.encoder import SparseEncoder
from sparseir.models.towers import MaskedLMTower
from sparseir.train.batches import RankingBatch, TextBatch
from sparseir.train.encoding import BatchEncoder
from sparseir.train.parallel import gather_rows, own_share, world
from sparseir.train.sparsity import Columns, Sparsity

_EXCLUDED = -1e4  # the score of a candidate that does not count; finite, so that softmax rows stay finite


class Objective(nn.Module):
    """An encoder with its loss.

    `step` is the optimiser step under way, counted from 1; the trainer sets it. `figures` holds the numbers of the last
    batch for the log.
    """

    def __init__(self, encoder: SparseEncoder, recipe: Recipe, idf: Tensor | None) -> None:
        super().__init__()
        self.towers = encoder.module
        self.encoder = encoder
        self.recipe = recipe
        self.step = 1
        self.progress = 0.0
        self.figures: dict[str, float] = {}
        for tower in (encoder.document_tower, encoder.query_tower):
            if isinstance(tower, MaskedLMTower):
                tower.revive = recipe.train.revive_terms
        self.sparsity = Sparsity(recipe.regulariser, idf=idf, num_terms=encoder.num_terms)
        self._encode = BatchEncoder(encoder.tokenizer, chunk_size=recipe.train.chunk_size, bf16=recipe.train.bf16)

    def train(self, mode: bool = True) -> Objective:
        """Training mode, in which dropout is on only where the recipe wants it: transformers asks for it every step."""
        return super().train(mode and self.recipe.train.dropout)

    def get_extra_state(self) -> dict[str, Any]:
        return self.sparsity.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.sparsity.load_state_dict(state)

    @property
    def _document_length(self) -> int:
        return self.encoder.document_length(self.recipe.data.max_document_length)

    def _documents(self, texts: list[str], terms: Tensor | None = None) -> Tensor:
        return self._encode(self.encoder.document_tower, texts, self._document_length, terms)

    def _queries(self, texts: list[str], terms: Tensor | None = None) -> Tensor:
        return self._encode(self.encoder.query_tower, texts, self.encoder.query_length(), terms)

    def _columns(self, wanted: NDArray[np.int64], number: int) -> Columns:
        """All terms, or those that are wanted and a sample drawn by the batch's number."""
        count, num_terms = self.recipe.train.sampled_terms, self.encoder.num_terms
        if count is None:
            return Columns(None, num_terms, num_terms)
        specials = self.encoder.tokenizer.special_ids
        exact = np.setdiff1d(wanted, specials)
        rng = np.random.default_rng([self.recipe.train.seed, 1, number])
        drawn = rng.choice(num_terms, min(count, num_terms), replace=False)
        rest = np.setdiff1d(drawn, np.concatenate([exact, specials]))
        terms = torch.from_numpy(np.concatenate([exact, rest])).to(self.encoder.device)
        return Columns(terms, len(exact), num_terms)

    def _finish(self, ranking: Tensor, penalty: Tensor, active_dims: float) -> Tensor:
        self.figures |= {
            "penalty": float(penalty.detach()),
            "lambda_document": self.sparsity.lambda_document(self.step),
            "active_dims": active_dims,
        }
        return (ranking + penalty) * world()[1]  # DDP averages over processes what is a sum; see `gather_rows`


class Ranking(Objective):
    """Queries against their candidates: InfoNCE, KL, MarginMSE and triplet, by weight, plus sparsity on both sides."""

    def forward(self, batch: RankingBatch) -> Tensor:
        columns = self._columns(self._query_terms(batch), batch.number)
        queries, documents, scores = self._score(batch, columns)
        grouped = documents.view(len(batch.queries), -1, documents.shape[-1])
        ranking = self._ranking(scores, batch, grouped.shape[1])
        if self.recipe.loss.reconstruction:
            ranking = ranking + self._reconstruction(batch)
        penalty = self.sparsity.documents(grouped, self.step, columns, self.progress)
        if self.encoder.query_table is None:
            penalty = penalty + self.sparsity.queries(queries, self.step)
        return self._finish(ranking, penalty, columns.active_dims(documents.detach()))

    def _score(self, batch: RankingBatch, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of queries and of documents, and scores: (Q, Q·C) in the batch, else (Q, C)."""
        queries = self._queries(batch.queries, columns.terms)
        documents = self._documents(batch.documents, columns.terms)
        if self.recipe.loss.in_batch:
            return queries, documents, queries @ documents.T
        grouped = documents.view(len(queries), -1, documents.shape[-1])
        return queries, documents, torch.einsum("qv,qcv->qc", queries, grouped)

    def _query_terms(self, batch: RankingBatch) -> NDArray[np.int64]:
        if self.recipe.train.sampled_terms is None:
            return np.zeros(0, np.int64)
        return np.unique(np.concatenate([[0], *self.encoder.tokenizer.rows(batch.queries, 1 << 20)]).astype(np.int64))

    def _ranking(self, scores: Tensor, batch: RankingBatch, each: int) -> Tensor:
        loss, device = self.recipe.loss, scores.device
        target = (
            torch.arange(len(scores), device=device) * each
            if loss.in_batch
            else torch.zeros(len(scores), dtype=torch.int64, device=device)
        )
        known = batch.known.to(device)
        teacher = None if batch.teacher is None else batch.teacher.to(device)
        own = torch.arange(each, device=device) + (torch.arange(len(scores), device=device) * each)[:, None]
        if not loss.in_batch:
            known = known.gather(1, own)
        parts: dict[str, Tensor] = {}
        if loss.info_nce:
            allowed = self._allowed(known, teacher, target)
            parts["info_nce"] = loss.info_nce * info_nce(
                scores.masked_fill(~allowed, _EXCLUDED), target, temperature=loss.temperature
            )
        if loss.kl:
            assert teacher is not None
            parts["kl"] = loss.kl * kl_divergence(scores, teacher)
        ours, theirs = (
            (scores, teacher)
            if not loss.in_batch
            else (scores.gather(1, own), None if teacher is None else teacher.gather(1, own))
        )
        if loss.margin_mse:
            assert theirs is not None
            parts["margin_mse"] = loss.margin_mse * margin_mse(ours, theirs, all_pairs=loss.margin_mse_all_pairs)
        if loss.triplet:
            parts["triplet"] = loss.triplet * triplet(ours[:, :1], ours[:, 1:])
        self.figures = {name: float(part.detach()) for name, part in parts.items()}
        return torch.stack(list(parts.values())).sum()

    def _reconstruction(self, batch: RankingBatch) -> Tensor:
        """What a sparse autoencoder's codes leave of the dense embeddings of the batch's documents."""
        tower = self.encoder.document_tower
        if not isinstance(tower, CsrTower):
            raise ConfigError(f"loss.reconstruction: belongs to csr, not to {self.encoder.kind}")
        texts = batch.documents[own_share(len(batch.documents))]
        features = self.encoder.tokenizer(texts, self._document_length)
        dense = tower.dense({name: value.to(self.encoder.device) for name, value in features.items()})
        # The codes of all processes' texts on each: which latents are dead is then the same everywhere.
        codes = tower.autoencoder.codes(gather_rows(dense, len(batch.documents)))
        loss = self.recipe.loss.reconstruction * reconstruction(codes.dense, codes.at_k, codes.at_4k, codes.auxiliary)
        self.figures["reconstruction"] = float(loss.detach())
        return loss / world()[1]

    def _allowed(self, known: Tensor, teacher: Tensor | None, target: Tensor) -> Tensor:
        """Candidates InfoNCE may call negative, and each query's target: no judged positive, no likely one."""
        rows = torch.arange(len(target), device=target.device)
        allowed = ~known
        if teacher is not None:
            bar = teacher[rows, target].unsqueeze(1) * self.recipe.data.false_negative_margin
            allowed &= teacher < bar
        allowed[rows, target] = True
        return allowed


class TokenRanking(Ranking):
    """`Ranking` by the exact score of COIL's token vectors; sparsity is that of their norms, which the index holds."""

    def _score(self, batch: RankingBatch, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
        sides = (
            (self.encoder.query_tower, batch.queries, self.encoder.query_length()),
            (self.encoder.document_tower, batch.documents, self._document_length),
        )
        norms, tokens = [], []
        for tower, texts, length in sides:
            assert isinstance(tower, CoilTower)
            vectors, features = self._encode.token_vectors(tower, texts, length)
            norms.append(tower.norms(vectors, features))
            tokens.append(tower.counted(vectors, features))
        scores = coil_scores(*tokens)
        if not self.recipe.loss.in_batch:
            each = len(batch.documents) // len(batch.queries)
            scores = torch.stack([row[i * each : (i + 1) * each] for i, row in enumerate(scores)])
        return norms[0], norms[1], scores


class Vectors(Objective):
    """A text's vector, learnt from a sparse teacher's by squared error."""

    def forward(self, batch: TextBatch) -> Tensor:
        assert batch.target is not None
        columns = self._columns(batch.target.any(0).nonzero().squeeze(1).numpy(), batch.number)
        weights = self._documents(batch.texts, columns.terms)
        target = batch.target.to(weights.device)
        absent = self.recipe.loss.vectors_absent
        if columns.terms is None:
            loss = vector_distillation(weights, target, absent=absent)
        else:  # the teacher's terms themselves, and the sample for all others, where the teacher is 0
            target, k = target[:, columns.terms], columns.exact
            loss = vector_distillation(weights[:, :k], target[:, :k], absent=absent)
            loss = loss + columns.factor * vector_distillation(weights[:, k:], target[:, k:], absent=absent)
        self.figures = {"vectors": float(loss.detach())}
        penalty = self.sparsity.documents(weights.unsqueeze(1), self.step, columns, self.progress)
        return self._finish(loss, penalty, columns.active_dims(weights.detach()))


class MaskedLM(Objective):
    """Masked tokens guessed by the head, with the regulariser on the vectors the same pass gives.

    Of the tokens chosen, 8 in 10 are masked, one is replaced by a random token and one kept (Devlin et al. 2019).
    """

    def forward(self, batch: TextBatch) -> Tensor:
        tower = self.encoder.document_tower
        assert isinstance(tower, MaskedLMTower)
        texts = batch.texts[own_share(len(batch.texts))]
        features = self.encoder.tokenizer(texts, self._document_length)
        features = {name: value.to(self.encoder.device) for name, value in features.items()}
        masked, chosen, labels = self._mask(features["input_ids"], features["attention_mask"], batch.number)
        lengths = features["attention_mask"].sum(1).tolist()
        rows = [row[:length] for row, length in zip(masked.tolist(), lengths, strict=True)]
        states, decoder = self._encode.states(tower, rows)[chosen], tower.backbone.decoder
        with torch.autocast(self.encoder.device.type, torch.bfloat16, enabled=self.recipe.train.bf16):
            loss = masked_language_model(states, labels, decoder.weight, decoder.bias)
        self.figures = {"masked_lm": float(loss.detach())}
        if self.recipe.regulariser.kind == "none":
            return self._finish(loss / world()[1], loss * 0.0, 0.0)
        weights = self._documents(batch.texts)
        columns = Columns(None, self.encoder.num_terms, self.encoder.num_terms)
        penalty = self.sparsity.documents(weights.unsqueeze(1), self.step, columns, self.progress)
        return self._finish(loss / world()[1], penalty, columns.active_dims(weights.detach()))

    def _mask(self, ids: Tensor, mask: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
        tokenizer = self.encoder.tokenizer
        rng = torch.Generator().manual_seed((self.recipe.train.seed * 1_000_003 + number) * 64 + world()[0])
        special = torch.isin(ids.cpu(), torch.tensor(tokenizer.special_ids)) | (mask.cpu() == 0)
        chosen = (torch.rand(ids.shape, generator=rng) < self.recipe.loss.mask_probability) & ~special
        fate = torch.rand(ids.shape, generator=rng)
        random = torch.randint(self.encoder.num_terms, ids.shape, generator=rng)
        masked = torch.where(chosen & (fate < 0.8), tokenizer.tokenizer.mask_token_id, ids.cpu())
        masked = torch.where(chosen & (fate >= 0.9), random, masked)
        return masked.to(ids.device), chosen.to(ids.device), ids[chosen.to(ids.device)]
