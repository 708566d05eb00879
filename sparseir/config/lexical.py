"""The `lexical` section: a channel of stemmed words beside, or without, the learned one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sparseir.errors import ConfigError

LANGUAGE_WORDS = "_language_"
"""Entry of `stop_words` for the list of the language."""

MOST_NEIGHBOURS = 100
"""More would make every document that of its topic."""

ALPHA_BESIDE_LEARNED = 2.0
"""Adding the scores as they come (1) is worse on nearly all collections it was tried on; docs/lexical.md."""

ALPHA_EXPANDED = 4.0
"""With the words of a dense model the channel ranks better than most learned ones; docs/lexical.md."""

NEIGHBOUR_SETTINGS = ("neighbours", "neighbour_weight", "neighbour_words")
"""Settings that do nothing without neighbours."""

EXPANSION_SETTINGS = ("expansion_model", "expansion_weight", "expansion_words", "expansion_length")
"""Settings that do nothing without expansion_model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LexicalConfig:
    """How words are found, reduced and weighed. Fixed when an index is built, but for alpha."""

    language: str = "english"
    """Language of the stemmer: one of Snowball's, or none, which leaves words as they are."""

    stop_words: tuple[str, ...] = (LANGUAGE_WORDS,)
    """Words that are not indexed; `_language_` stands for the language's list (English has one)."""

    k1: float = 0.9
    """BM25's saturation of repeated words; with b, Anserini's values, on which BEIR's published figures rest."""

    b: float = 0.4
    """BM25's normalisation by length: 0 for none, 1 for a full one."""

    alpha: float | None = None
    """What a BM25 score counts beside a learned one; 0 leaves the learned score alone. null: 2 beside learned terms,
    4 with the words of a dense model, and 1 in an index of BM25 alone, whose scores are then BM25's."""

    neighbours: int = 0
    """Documents nearest to a document whose words it gets as well; 0 for none."""

    neighbour_weight: float = 0.25
    """What a word counts that all its neighbours have as much as it could, against one of its own; 0 to 1."""

    neighbour_words: int = 128
    """Most words a document gets that are not its own: those that would count most."""

    expansion_model: str | None = None
    """A dense model (folder, hub id or packaged name) whose likeness documents get as words; null for none. It runs when
    documents are indexed, never on queries."""

    expansion_weight: float = 2.0
    """What the likeness counts beside a word's own factor; 1 to 3 rank alike."""

    expansion_words: int = 64
    """Most words a document gets of the dense model that are not its own."""

    expansion_length: int = 256
    """Tokens of a document that the dense model reads."""

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of the settings that do nothing."""
        without_neighbours = () if self.neighbours else NEIGHBOUR_SETTINGS
        return (*without_neighbours, *(() if self.expansion_model else EXPANSION_SETTINGS))

    @property
    def expands(self) -> bool:
        """Whether documents get words that are not their own."""
        return bool(self.neighbours or self.expansion_model)

    @property
    def plain(self) -> LexicalConfig:
        """BM25 of documents' own words."""
        return replace(self, neighbours=0, expansion_model=None)

    @property
    def weight(self) -> float:
        """alpha, where it was chosen: in the settings of a channel that stands."""
        if self.alpha is None:
            raise ValueError("no index has given this channel its alpha")
        return self.alpha

    def chosen(self, *, beside_learned: bool) -> LexicalConfig:
        """With an alpha."""
        if self.alpha is not None:
            return self
        beside = ALPHA_EXPANDED if self.expansion_model else ALPHA_BESIDE_LEARNED
        return replace(self, alpha=beside if beside_learned else 1.0)

    def __post_init__(self) -> None:
        faults = []
        if not (math.isfinite(self.k1) and self.k1 >= 0):
            faults.append(f"k1: expected a number of at least 0, found {self.k1}")
        if not 0 <= self.b <= 1:
            faults.append(f"b: expected a number from 0 to 1, found {self.b}")
        if self.alpha is not None and not (math.isfinite(self.alpha) and self.alpha >= 0):
            faults.append(f"alpha: expected a number of at least 0, found {self.alpha}")
        if not 0 <= self.neighbours <= MOST_NEIGHBOURS:
            faults.append(f"neighbours: expected 0 to {MOST_NEIGHBOURS}, found {self.neighbours}")
        if not 0 <= self.neighbour_weight <= 1:
            faults.append(f"neighbour_weight: expected a number from 0 to 1, found {self.neighbour_weight}")
        if self.neighbour_words < 0:
            faults.append(f"neighbour_words: expected at least 0, found {self.neighbour_words}")
        if self.expansion_model is not None and not self.expansion_model:
            faults.append("expansion_model: expected a folder, a hub id or a packaged name, or null; found ''")
        if not (math.isfinite(self.expansion_weight) and self.expansion_weight >= 0):
            faults.append(f"expansion_weight: expected a number of at least 0, found {self.expansion_weight}")
        if self.expansion_words < 0:
            faults.append(f"expansion_words: expected at least 0, found {self.expansion_words}")
        if self.expansion_length < 1:
            faults.append(f"expansion_length: expected at least 1, found {self.expansion_length}")
        if faults:
            raise ConfigError("\n".join(faults))
