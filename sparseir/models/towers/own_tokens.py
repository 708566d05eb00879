"""Encoders that weigh a text's own terms: uniCOIL, BGE-M3's lexical weights, DeepCT, DeepImpact. No expansion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor, nn

from sparseir.errors import ConfigError
from sparseir.models.networks.context import ContextEncoder
from sparseir.models.panics import Tokenizing
from sparseir.models.stemmed import UNKNOWN, StemmedTokenizer, WordStems
from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers.lookup import StaticQueryTower
from sparseir.models.towers.tower import Tower, keep_largest, scatter_max, scatter_sum


class OwnTokenTower(Tower):
    """w[v] = max over tokens t with id v of relu(u · h[t] + c): one number a token, scattered to its term.

    Of uniCOIL's queries the sum: each occurrence of a term asks once.

    uniCOIL (arXiv:2106.14807, section 3), the sparse head of BGE-M3 (arXiv:2402.03216, section 3.2) and DeepCT's
    regression (arXiv:1910.10687, eq. 1) are this formula; they differ in training and in the query side.

    Parameters
    ----------
    context : the network, shared between towers or not.
    special_ids : terms that never weigh anything.
    top_k : keep the k largest weights; None: all.
    summed : sum over a term's occurrences, not their maximum.
    """

    counts: Tensor

    def __init__(
        self, context: ContextEncoder, special_ids: Sequence[int], *, top_k: int | None = None, summed: bool = False
    ) -> None:
        super().__init__()
        self.summed = summed
        self.context = context
        self.num_terms = context.num_terms
        self.top_k = top_k
        self.importance = nn.Linear(context.hidden_size, 1)
        nn.init.normal_(self.importance.weight, std=0.02)
        # Above zero at the start: a token whose weight is 0 would get no gradient to recover by.
        nn.init.ones_(self.importance.bias)
        counts = torch.ones(self.num_terms, dtype=torch.bool)
        counts[list(special_ids)] = False
        self.register_buffer("counts", counts, persistent=False)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        values = torch.relu(self.importance(self.context(features)).squeeze(-1).float())
        scatter = scatter_sum if self.summed else scatter_max
        return keep_largest(scatter(values, features, self.num_terms, self.counts), self.top_k)

    def summing(self, top_k: int | None) -> OwnTokenTower:
        """The tower of queries that shares the network and its head with this one."""
        tower = OwnTokenTower(self.context, (), top_k=top_k, summed=True)
        tower.importance, tower.counts = self.importance, self.counts
        return tower


class WordTokenizer(TextTokenizer):
    """A tokenizer whose features also say which whole word each token starts.

    The vocabulary of the vectors is a list of words, or of their stems, not of word pieces; its last entry, [UNK], never
    weighs anything. Features hold, int64 (B, L) each,

    - `word_ids`: the number of the word, or of its stem, at its first piece; [UNK]'s at every other token and for words outside
      the list;
    - `same_word`: at a word's first piece the place where the word stands first, elsewhere the token's own place.

    Parameters
    ----------
    base : the tokenizer of the network.
    words : the vocabulary, without duplicates; None: the whole words of the base vocabulary, or their stems.
    stemmer : of `WordStems`; "none": words are counted as they are.
    """

    def __init__(self, base: TextTokenizer, words: Sequence[str] | None = None, *, stemmer: str = "none") -> None:
        super().__init__(base.tokenizer, base.num_terms)
        self._stems = None if stemmer == "none" else WordStems(stemmer)
        listed = [w for w in (words if words is not None else self._whole_words()) if w != UNKNOWN]
        if len(set(listed)) != len(listed) or not listed:
            raise ConfigError("the word vocabulary must hold at least one word, and none twice")
        self.words = [*listed, UNKNOWN]
        self._numbers = {word: i for i, word in enumerate(listed)}
        added = sorted(self.tokenizer.get_added_vocab(), key=len, reverse=True)
        self._added = re.compile("(" + "|".join(map(re.escape, added)) + ")") if added else None

    def _whole_words(self) -> list[str]:
        special = set(self.tokenizer.all_special_tokens)
        vocabulary = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        words = [t for t, _ in vocabulary if t not in special and not t.startswith(("##", "[unused"))]
        return list(dict.fromkeys(term for word in words if (term := self.term_of(word)) is not None))

    def term_of(self, word: str) -> str | None:
        """What a word is counted as; None for one that never weighs anything."""
        return word if self._stems is None else self._stems(word)

    @property
    def silent_terms(self) -> tuple[int, ...]:
        return (len(self.words) - 1,)

    def terms(self) -> list[str]:
        return list(self.words)

    def words_of(self, text: str) -> list[str]:
        """The normalised whole words of a text, in order; a special token in it is one of them."""
        backend = self.tokenizer.backend_tokenizer
        words: list[str] = []
        for place, piece in enumerate(self._added.split(text) if self._added is not None else [text]):
            if place % 2:  # what the pattern matched: the network's tokenizer takes it out before it looks for words
                words.append(piece)
                continue
            with Tokenizing([piece]):
                normal = backend.normalizer.normalize_str(piece) if backend.normalizer is not None else piece
                words += [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]
        return words

    def rows(self, texts: Sequence[str], max_length: int) -> list[list[Any]]:
        """Per text, for each token its id, the number of `word_ids` and the place of `same_word`."""
        if not texts:
            return []
        tokens, unknown = super().rows(texts, max_length), len(self.words) - 1
        out: list[list[Any]] = []
        for row, firsts in zip(tokens, self.first_words(texts, max_length), strict=True):
            numbers, same = [unknown] * len(row), list(range(len(row)))
            seen: dict[str, int] = {}
            for place, word in firsts:
                term = self.term_of(word)
                numbers[place] = unknown if term is None else self._numbers.get(term, unknown)
                same[place] = seen.setdefault(word, place)
            out.append(list(zip(row, numbers, same, strict=True)))
        return out

    def first_words(self, texts: Sequence[str], max_length: int) -> list[list[tuple[int, str]]]:
        """Per text, (place of its first token, word) of every word, in the vocabulary or not, cut at max_length tokens."""
        with Tokenizing(texts):
            encoded = self.tokenizer(list(texts), truncation=True, max_length=max_length, padding=False)
        out = []
        for i, text in enumerate(texts):
            words, before, row = self.words_of(text), None, []
            for place, word in enumerate(encoded.word_ids(i)):
                if word is not None and word != before:
                    row.append((place, words[word]))
                before = word
            out.append(row)
        return out

    def pad(self, rows: Sequence[Sequence[Any]], length: int = 0) -> dict[str, Tensor]:
        features = super().pad([[token for token, *_ in row] for row in rows], length)
        word_ids = torch.full_like(features["input_ids"], len(self.words) - 1)
        same_word = torch.arange(word_ids.shape[1]).repeat(len(rows), 1)
        for i, row in enumerate(rows):
            word_ids[i, : len(row)] = torch.tensor([word for _, word, _ in row], dtype=torch.int64)
            same_word[i, : len(row)] = torch.tensor([place for *_, place in row], dtype=torch.int64)
        return features | {"word_ids": word_ids, "same_word": same_word}

    def uncut(self) -> Tokenizer | StemmedTokenizer:
        """A tokenizer from text to the numbers of words or stems, with the normalisation of the network's."""
        numbers = {word: i for i, word in enumerate(self.words)}
        whole = Tokenizer(WordLevel(numbers, unk_token=UNKNOWN))
        below = self.word_pieces()
        if below.normalizer is not None:
            whole.normalizer = below.normalizer
        whole.pre_tokenizer = below.pre_tokenizer
        whole.add_special_tokens([UNKNOWN])
        return whole if self._stems is None else StemmedTokenizer(whole, self._stems)


class DeepImpactTower(Tower):
    """w[word] = relu(MLP(h[first piece])) at the word's first occurrence, MLP = Linear(h, h), ReLU, Linear(h, 1).

    Source: Mallia et al. 2021 (arXiv:2104.12016), section 3.

    Parameters
    ----------
    context : the network.
    num_words : size of the word vocabulary, [UNK] last; features carry `word_ids` (see `WordTokenizer`).
    """

    counts: Tensor

    def __init__(self, context: ContextEncoder, num_words: int, *, top_k: int | None = None) -> None:
        super().__init__()
        self.context = context
        self.num_terms = num_words
        self.top_k = top_k
        size = context.hidden_size
        last = nn.Linear(size, 1)
        nn.init.normal_(last.weight, std=0.02)
        nn.init.ones_(last.bias)
        self.impact = nn.Sequential(nn.Linear(size, size), nn.ReLU(), last)
        counts = torch.ones(num_words, dtype=torch.bool)
        counts[-1] = False
        self.register_buffer("counts", counts, persistent=False)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        values = torch.relu(self.impact(self.context(features)).squeeze(-1).float())
        words = {"input_ids": features["word_ids"], "attention_mask": features["attention_mask"]}
        values = values * _first_occurrences(features["word_ids"])
        return keep_largest(scatter_max(values, words, self.num_terms, self.counts), self.top_k)


def _first_occurrences(ids: Tensor) -> Tensor:
    """1 where an id stands for the first time in its row, else 0; (B, L) of (B, L)."""
    order = torch.sort(ids, dim=1, stable=True)
    again = torch.zeros_like(ids)
    again[:, 1:] = (order.values[:, 1:] == order.values[:, :-1]).long()
    return 1 - torch.zeros_like(ids).scatter(1, order.indices, again)


class WordQueryTower(StaticQueryTower):
    """w[word] = weight[word] if the query holds the word, else 0: the query side of DeepImpact, 1 a word."""

    def __init__(self, num_words: int) -> None:
        super().__init__(torch.ones(num_words), [num_words - 1])

    def forward(self, features: Mapping[str, Tensor], terms: Tensor | None = None) -> Tensor:
        words = {"input_ids": features["word_ids"], "attention_mask": features["attention_mask"]}
        return super().forward(words, terms)
