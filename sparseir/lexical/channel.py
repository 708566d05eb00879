"""The lexical channel of an index: its settings, its vocabulary and the statistics that were fixed at the build.

A document holds, for each of its stems, the term first_term + number with the weight full_weight · saturated(tf); a query
looks up alpha · idf / full_weight. The product is alpha times BM25, and full_weight, that of the learned terms, gives both
channels all 255 steps of the impacts: with 1 in its place, a learned weight of 3 would leave BM25's factor 85 of them. Where
documents get other words than their own, a factor may reach `highest_factor`, and full_weight is as much smaller.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from indexer import SparseVectors
from indexer.interchange.vocabulary import Vocabulary
from indexer.interchange.vocabulary_files import TERMS_FILE, AfterTokenizer
from indexer.interchange.whole import read_whole
from sparseir.config.lexical import EXPANSION_SETTINGS, NEIGHBOUR_SETTINGS, LexicalConfig
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.analysis import Analyzer
from sparseir.lexical.bm25 import saturated
from sparseir.lexical.frequencies import FREQUENCIES_FILE, WordFrequencies
from sparseir.lexical.stems import StemFactors, StemTable, WordCounts
from sparseir.lexical.stored_terms import StoredTerms
from sparseir.lexical.term_factors import TermFactors

CHANNEL_FILE = "lexical.json"
_FORMAT = "sparseir-lexical-channel"
_VERSION = 2
"""Files of version 1 list the learned terms in terms.jsonl and do not deflate the counts; they are read as well."""

BM25_KIND = "bm25"
"""Kind of encoder that an index of the channel alone names."""

STEM_MARK = "stem:"
"""What stands before a stem in vocabularies that hold learned terms too: many a stem is a word piece as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthStatistics:
    """What the documents counted so far say of lengths.

    documents, words : of all documents ever added; deletions are not taken off.
    average : that weights are made with; fixed by the first documents.
    current : what the average of all documents ever added is.
    """

    documents: int = 0
    words: int = 0
    average: float = 0.0

    @property
    def current(self) -> float:
        return self.words / self.documents if self.words else 0.0

    def with_lengths(self, documents: int, words: int) -> LengthStatistics:
        return LengthStatistics(documents=self.documents + documents, words=self.words + words, average=self.average)

    def fixed(self) -> LengthStatistics:
        """With the average of now, where there is none yet."""
        return LengthStatistics(documents=self.documents, words=self.words, average=self.average or self.current)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelState:
    """What lexical.json says of a channel.

    config : as it was built, the stop words of its language spelt out. first_term : id of stem 0. num_stems : known stems.
    full_weight : weight of a factor of 1 in a document. lengths : statistics so far.
    """

    config: LexicalConfig
    first_term: int
    num_stems: int
    full_weight: float
    lengths: LengthStatistics

    @classmethod
    def load(cls, folder: Path) -> ChannelState:
        """Read the file in a query side.

        Raises
        ------
        DataError : it is missing or damaged.
        """
        try:
            content = json.loads(read_whole(folder / CHANNEL_FILE, 1 << 26))
            if content["format"] != _FORMAT or content["version"] not in (1, _VERSION):
                raise DataError(
                    f"not a lexical channel this build reads ({content['format']!r}, version {content['version']!r})"
                )
            names = ["language", "stop_words", "k1", "b", "alpha"]
            names += [n for n in (*NEIGHBOUR_SETTINGS, *EXPANSION_SETTINGS) if n in content]  # an older file lacks them
            return cls(
                config=LexicalConfig(**{**{n: content[n] for n in names}, "stop_words": tuple(content["stop_words"])}),
                first_term=content["first_term"],
                num_stems=content["num_stems"],
                full_weight=float(content["full_weight"]),
                lengths=LengthStatistics(**content["lengths"]),
            )
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            raise DataError(f"the lexical channel is damaged: {error!r}", path=folder / CHANNEL_FILE) from error


class LexicalChannel:
    """See the module.

    Parameters
    ----------
    config : as it was built.
    learned_terms : strings of the terms before the channel's; empty for a BM25 index.
    stems : known stems, by number; or the strings of both channels as they are stored.
    full_weight : weight of a factor of 1 in a document.
    lengths : statistics so far.
    frequencies : of documents' own words, where documents get others too; None counts posting lists.
    fitted : what its weights in queries are multiplied by; None: nothing was fitted.

    Raises
    ------
    ConfigError : no stemmer of that language.
    """

    def __init__(
        self,
        config: LexicalConfig,
        *,
        learned_terms: Sequence[str] = (),
        stems: Iterable[str] | StoredTerms = (),
        full_weight: float = 1.0,
        lengths: LengthStatistics | None = None,
        frequencies: WordFrequencies | None = None,
        fitted: TermFactors | None = None,
    ) -> None:
        self._learned = stems if isinstance(stems, StoredTerms) else list(learned_terms)
        self.config = config.chosen(beside_learned=bool(self.first_term))
        self.analyzer = Analyzer(config)
        self.table = StemTable(self.analyzer, stems)
        self.full_weight = full_weight
        self.lengths = lengths or LengthStatistics()
        self.frequencies = frequencies
        self.fitted: TermFactors | None = None
        self.take_fit(fitted)

    @property
    def learned_terms(self) -> list[str]:
        """Strings of the terms before the channel's."""
        return self._learned.learned if isinstance(self._learned, StoredTerms) else self._learned

    @property
    def first_term(self) -> int:
        """Id of stem 0."""
        return self._learned.num_learned if isinstance(self._learned, StoredTerms) else len(self._learned)

    @property
    def highest_factor(self) -> float:
        """What no factor of a document exceeds: 1 of its own words, more where it gets others as well."""
        near = 1 + self.config.neighbour_weight if self.config.neighbours else 1.0
        if not self.config.expansion_model:
            return near
        from sparseir.lexical.projection import HIGHEST

        return max(near, HIGHEST)

    @property
    def num_terms(self) -> int:
        """Size of the vocabulary of both channels."""
        return max(1, self.first_term + len(self.table))

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digest of what makes terms and weights of a text, statistics aside."""
        import hashlib  # loads OpenSSL, which searching does without

        without = ("alpha", *self.config.unused)
        settings = {name: value for name, value in asdict(self.config).items() if name not in without}
        settings["stop_words"] = sorted(self.analyzer.stop_words)
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]

    def count(self, texts: Sequence[str]) -> WordCounts:
        """Count the stems of documents that are about to be indexed; the statistics take them in."""
        words = self.table.count(texts)
        self.lengths = self.lengths.with_lengths(len(texts), int(words.counts.sum()))
        return words

    def factors(self, words: WordCounts) -> StemFactors:
        """What the documents bring to BM25. `lengths` must have its average, unless there is no word."""
        values = saturated(words, self.lengths.average or 1.0, k1=self.config.k1, b=self.config.b)
        return StemFactors(words.indptr, words.stems, values)

    def add_to(self, learned: SparseVectors, factors: StemFactors) -> SparseVectors:
        """Rows of both channels."""
        terms = factors.stems + np.uint32(self.first_term)
        weights = (factors.values * self.full_weight).astype(np.float32)
        return side_by_side(learned, SparseVectors(factors.indptr, terms, weights, self.num_terms))

    def own_frequency(self, term_id: int, postings: int) -> int:
        """Documents that say the stem of a term, by how many have a posting of it."""
        return postings if self.frequencies is None else self.frequencies.own(term_id - self.first_term, postings)

    def take_fit(self, fitted: TermFactors | None) -> None:
        """Weigh queries by a fit; by none: as built.

        Raises
        ------
        DataError : it adds terms that are not the channel's.
        """
        if fitted is not None and fitted.added is not None:
            try:
                fitted.added.check_terms(self.first_term, self.first_term + len(self.table))
            except ValueError as error:
                raise DataError(f"the fitted query weights are another index's: {error}; fit them again") from None
        self.fitted = fitted

    def fitted_factor(self, term_id: int) -> float:
        """What the weight of one of the channel's terms in a query is multiplied by; 1 where nothing was fitted."""
        return 1.0 if self.fitted is None else self.fitted.of(term_id)

    def added_words(self, term_id: int) -> list[tuple[int, float]]:
        """The channel's terms that one of them adds to a query, each with the share of its weight that it gets."""
        return [] if self.fitted is None or self.fitted.added is None else self.fitted.added.of(term_id)

    def terms_of(self, text: str) -> set[int]:
        """The channel's terms in a text; words that no document had give none."""
        stems = (self.analyzer.stem(word) for word in self.analyzer.words(text))
        numbers = {self.table.find(stem) for stem in stems if stem is not None}
        return {self.first_term + number for number in numbers if number >= 0}

    def token(self, term_id: int) -> str:
        """The stem of one of the channel's terms."""
        number = int(term_id) - self.first_term
        return self.table.stems[number] if number < len(self.table) else f"[{term_id}]"

    def save(self, folder: str | Path) -> None:
        """Write lexical.json, and terms.jsonl with the strings of both channels."""
        folder = Path(folder)
        mark = STEM_MARK if self.first_term else ""
        if self.frequencies is not None:
            self.frequencies.save(folder)
        learned = self.learned_terms
        terms = Vocabulary.fixed([*learned, *(mark + stem for stem in self.table.stems)])
        terms.save(folder, after=AfterTokenizer.of(folder, learned, mark))
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            **asdict(self.config),
            "stop_words": sorted(self.analyzer.stop_words),
            "first_term": self.first_term,
            "num_stems": len(self.table),
            "full_weight": self.full_weight,
            "lengths": asdict(self.lengths),
        }
        (folder / CHANNEL_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> LexicalChannel:
        """Read what `save` wrote.

        Raises
        ------
        DataError : a file is missing or damaged, or the two do not belong together.
        """
        folder = Path(folder)
        state = ChannelState.load(folder)
        first, stems = state.first_term, state.num_stems
        terms = StoredTerms.read(folder / TERMS_FILE, first, mark=STEM_MARK if first else "")
        if len(terms) != first + stems:
            raise DataError(f"{TERMS_FILE} holds {len(terms)} terms, {CHANNEL_FILE} {first} + {stems}", path=folder)
        return cls(
            state.config,
            stems=terms,
            full_weight=state.full_weight,
            lengths=state.lengths,
            frequencies=_frequencies(folder, state),
            fitted=TermFactors.load(folder),
        )


def _frequencies(folder: Path, state: ChannelState) -> WordFrequencies | None:
    """None without words of others, and of neighbours in an index of a time when these were counted like its own."""
    config = state.config
    if not config.expands or not (config.expansion_model or (folder / FREQUENCIES_FILE).exists()):
        return None
    return WordFrequencies.load(folder, num_stems=state.num_stems)


def has_channel(query_side: Path | None) -> bool:
    """Whether an index with this query side has a lexical channel."""
    return query_side is not None and (query_side / CHANNEL_FILE).is_file()


def side_by_side(first: SparseVectors, second: SparseVectors) -> SparseVectors:
    """Rows that hold the terms of both; every term of `second` must be above those of `first`."""
    if not first.nnz:
        return second
    sizes = np.stack([np.diff(first.indptr), np.diff(second.indptr)], axis=1)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    from_first = np.repeat(np.tile([True, False], len(sizes)), sizes.reshape(-1))
    terms = np.empty(len(from_first), np.uint32)
    weights = np.empty(len(from_first), np.float32)
    for part, place in ((first, from_first), (second, ~from_first)):
        terms[place], weights[place] = part.term_ids, part.weights
    return SparseVectors(ends[::2].astype(np.int64), terms, weights, second.num_terms)
