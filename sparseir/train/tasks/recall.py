"""Query term recall: which words of a document its queries hold (DeepCT)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from indexer.progress import Progress
from sparseir.config.lexical import LexicalConfig
from sparseir.config.recipe import Recipe
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.analysis import Analyzer
from sparseir.losses.recall import query_term_recall
from sparseir.models.encoder import SparseEncoder
from sparseir.models.towers.deepct import DeepCtTower
from sparseir.models.towers.own_tokens import WordTokenizer
from sparseir.train.loop.objective import Objective
from sparseir.train.material.batches import Shuffle
from sparseir.train.material.columns import Columns
from sparseir.train.material.idf import corpus_idf
from sparseir.train.tasks.ranking import read_training


def build(recipe: Recipe, encoder: SparseEncoder, progress: Progress) -> tuple[QueryTermRecall, RecallBatches]:
    """The objective and its batches.

    Raises
    ------
    ConfigError : another kind of encoder.
    DataError : no document that answers a query, or faults in the data.
    """
    if not isinstance(encoder.document_tower, DeepCtTower):
        raise ConfigError(
            f"loss.objective: recall is deepct's, which predicts frequencies; this encoder is {encoder.kind}"
        )
    if recipe.regulariser.kind != "none":
        raise ConfigError(
            f"regulariser.kind: {recipe.regulariser.kind} has no gradient through frequencies, which are rounded; set it to none"
        )
    training = read_training(recipe, progress)
    asked: dict[int, list[str]] = {}
    for query in training.queries:
        for place in query.positives:
            asked.setdefault(place, []).append(query.text)
    if not asked:
        raise DataError("data: no document that answers a query; give data.split judgements, or data.triples")
    idf = corpus_idf(recipe, encoder, training.texts, progress)
    return QueryTermRecall(encoder, recipe, idf), RecallBatches(training.texts, asked, recipe)


@dataclass(slots=True)
class RecallBatch:
    """Documents with the queries that each of them answers."""

    number: int
    texts: list[str]
    queries: list[list[str]]

    def describe(self) -> dict[str, Any]:
        """What a failed run saves of it."""
        return {"number": self.number, "texts": self.texts, "queries": self.queries}


class RecallBatches(TorchDataset[RecallBatch]):
    """Documents that answer a query, shuffled.

    Parameters
    ----------
    texts : of all documents. asked : texts of the queries by position of the document that answers them.
    """

    def __init__(self, texts: Sequence[str], asked: dict[int, list[str]], recipe: Recipe) -> None:
        self.texts = texts
        self._asked = list(asked.items())
        self._train = recipe.train
        self._shuffle = Shuffle(len(self._asked), recipe.train.seed + 1)

    def __len__(self) -> int:
        return self._train.num_batches

    def __getitem__(self, number: int) -> RecallBatch:
        size = min(self._train.batch_size, len(self._asked))
        chosen = [self._asked[i] for i in dict.fromkeys(self._shuffle.take(number * size, size))]
        return RecallBatch(number, [self.texts[place] for place, _ in chosen], [queries for _, queries in chosen])


class QueryTermRecall(Objective):
    """ŷ of the first piece of every word against the share of the document's queries that hold the word's stem.

    Words are compared by their English stems; stop words of the lexical channel are in no query, as in the authors' labels.
    """

    def __init__(self, encoder: SparseEncoder, recipe: Recipe, idf: Tensor | None) -> None:
        super().__init__(encoder, recipe, idf)
        self._analyzer = Analyzer(LexicalConfig())

    def forward(self, batch: RecallBatch) -> Tensor:
        tower, tokenizer = self.encoder.document_tower, self.encoder.tokenizer
        assert isinstance(tower, DeepCtTower)
        assert isinstance(tokenizer, WordTokenizer)
        predicted, _, features = self._encode.token_vectors(tower, batch.texts, self._document_length)
        recall, counted = (torch.zeros(predicted.shape[:2]) for _ in range(2))
        rows = tokenizer.first_words(batch.texts, self._document_length)
        for i, (row, queries) in enumerate(zip(rows, batch.queries, strict=True)):
            shares = self.shares(queries)
            for place, word in row:
                recall[i, place] = max((shares.get(stem, 0.0) for stem in self._stems(word)), default=0.0)
                counted[i, place] = 1.0
        device = predicted.device
        loss = query_term_recall(predicted.squeeze(-1), recall.to(device), counted.to(device).bool())
        self.figures = {"recall": float(loss.detach())}
        with torch.no_grad():
            tf = tower.frequencies(features, predicted)
            tower.see(tf)
        columns = Columns(None, self.encoder.num_terms, self.encoder.num_terms)
        return self._with_penalty(loss, tf.unsqueeze(1), columns)

    def shares(self, queries: Sequence[str]) -> dict[str, float]:
        """The share of the queries that hold each stem."""
        held = Counter(stem for query in queries for stem in set(self._stems(query)))
        return {stem: count / len(queries) for stem, count in held.items()}

    def _stems(self, text: str) -> list[str]:
        found = (self._analyzer.stem(word) for word in self._analyzer.words(text))
        return [stem for stem in found if stem is not None]
