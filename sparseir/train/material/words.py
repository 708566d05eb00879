"""The vocabulary of an encoder of whole words (DeepImpact, DeepCT): those of what it is trained on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from indexer.progress import Progress, silent
from sparseir.config.data import DataConfig
from sparseir.config.recipe import Recipe
from sparseir.data.pairs import read_triples
from sparseir.data.prepared.expanded import documents_of
from sparseir.data.prepared.folder import Prepared
from sparseir.data.stores.counts import StringCounts
from sparseir.models.encoder import SparseEncoder
from sparseir.models.kinds import word_parts
from sparseir.models.sources import resolve_source
from sparseir.models.towers.own_tokens import WordTokenizer
from sparseir.train.material.collection import open_collection


def encoder_of_words(recipe: Recipe, *, progress: Progress = silent) -> SparseEncoder:
    """A fresh encoder whose terms are the `model.word_vocabulary` words, or stems, that most documents hold, ties by the word.

    They are counted in bounded memory, whatever the number of documents. Source: Mallia et al. 2021 (arXiv:2104.12016), where
    the vocabulary is the collection's.

    Raises
    ------
    ConfigError : no such base.
    DataError : documents that cannot be read.
    """
    folder = resolve_source(recipe.model.base)
    plain = word_parts(recipe.model, folder, None)
    tokenizer = plain.tokenizer
    assert isinstance(tokenizer, WordTokenizer)
    specials = set(tokenizer.tokenizer.all_special_tokens)
    with StringCounts() as frequency:
        for done, text in enumerate(_texts(recipe.data), 1):
            words = set(tokenizer.words_of(text)) - specials
            frequency.add({term for word in words if (term := tokenizer.term_of(word)) is not None})
            if done % 1000 == 0:
                progress("collecting words", done, None)
        chosen = frequency.most_frequent(recipe.model.word_vocabulary)
    return SparseEncoder(word_parts(recipe.model, folder, chosen))


def _texts(data: DataConfig) -> Iterator[str]:
    """The documents that training reads."""
    if data.prepared is not None:
        yield from (
            text for _, block in documents_of(Prepared(data.prepared), expanded=True).blocks() for text in block
        )
    for name in data.datasets:
        for document in itertools.islice(open_collection(name, data).corpus(), data.max_documents):
            yield document.expanded
    if data.triples is not None:
        for triple in read_triples(data.triples):
            yield from (*triple.positives, *triple.negatives)
