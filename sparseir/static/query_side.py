"""The query side of a static site: what a page needs to make of a text what the index makes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.interchange import Vocabulary
from sparseir.data.passages import windows_of
from sparseir.errors import ConfigError
from sparseir.lexical.analysis import NO_STEMMER
from sparseir.lexical.queries import LexicalQueryEncoder
from sparseir.models.query_table import QueryTable
from sparseir.search.query_encoder import open_query_encoder

LANGUAGES = ("english", NO_STEMMER)
"""That the page stems."""


@dataclass(frozen=True, slots=True, eq=False)
class SiteQueries:
    """settings : for site.json. terms : strings by id. weights : float64 by id, of a term that a query says once. added :
    a term that is said, one that it adds, and the share of what the latter weighs in `as_built`, float64 by term; the triples
    of a term stand together.
    """

    settings: dict[str, Any]
    terms: list[str]
    weights: NDArray[np.float64]
    added: list[tuple[int, int, np.float32]]
    as_built: dict[int, float]


def query_side_of(index: Index) -> SiteQueries:
    """The query side of an index, as data.

    Raises
    ------
    ConfigError : an index of passages, or one whose queries need a model, a tokenizer or a stemmer that the page lacks.
    SparseIRError : an index without a query side.
    """
    if windows_of(index) is not None:
        raise ConfigError(f"index {index.path.name!r} is one of passages, which a static site does not group yet")
    encoder = open_query_encoder(index)
    learned = encoder.learned if isinstance(encoder, LexicalQueryEncoder) else encoder
    vocabulary = Vocabulary.of_index(index.query_files, index.num_terms)
    weights = np.zeros(index.num_terms)
    settings: dict[str, Any] = {"first_stem": index.num_terms, "wordpiece": None, "lexical": None}
    terms = [vocabulary.term(i) for i in range(index.num_terms)]
    added: list[tuple[int, int, np.float32]] = []
    as_built: dict[int, float] = {}
    if learned is not None:
        if not isinstance(learned, QueryTable):
            raise ConfigError("the queries of this index run a model; a static site looks them up")
        settings["wordpiece"] = _wordpiece(json.loads(learned.tokenizer.to_str()))
        weights[: learned.num_terms] = learned.weights
        for token, number in learned.tokenizer.get_vocab().items():
            terms[number] = token
    if isinstance(encoder, LexicalQueryEncoder):
        channel = encoder.lexical
        if channel.config.language not in LANGUAGES:
            raise ConfigError(
                f"the words of this index are stemmed as {channel.config.language}; a static site stems {' or '.join(LANGUAGES)}"
            )
        stop_words = sorted(channel.analyzer.stop_words)
        settings |= {
            "first_stem": channel.first_term,
            "lexical": {"language": channel.config.language, "stop_words": stop_words},
        }
        stems = list(range(channel.first_term, channel.first_term + len(channel.table)))
        as_built = dict(zip(stems, encoder.weights_as_built(stems), strict=True))
        for term, stem in zip(stems, channel.table.stems, strict=True):
            terms[term] = stem
            weights[term] = as_built[term] * channel.fitted_factor(term)
        added = [
            (term, other, np.float32(share))
            for term in stems
            for other, share in channel.added_words(term)
            if share * as_built[other]
        ]
    return SiteQueries(settings, terms, weights, added, as_built)


def _wordpiece(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """The settings of a BERT tokenizer; others are refused."""
    model, normalizer, splitter = (tokenizer.get(part) or {} for part in ("model", "normalizer", "pre_tokenizer"))
    found = model.get("type"), normalizer.get("type"), splitter.get("type")
    if found != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        raise ConfigError(
            f"the tokenizer of this index is {', '.join(map(str, found))}; a static site has that of BERT "
            "(WordPiece, BertNormalizer, BertPreTokenizer)"
        )
    lowercase, accents = normalizer["lowercase"], normalizer["strip_accents"]
    return {
        "clean": normalizer["clean_text"],
        "chinese": normalizer["handle_chinese_chars"],
        "lowercase": lowercase,
        "strip_accents": lowercase if accents is None else accents,
        "prefix": model["continuing_subword_prefix"],
        "longest": model["max_input_chars_per_word"],
        "added": [token["content"] for token in tokenizer["added_tokens"]],
    }
