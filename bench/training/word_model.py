"""A synthetic MS MARCO: passages of a word model, queries of their words, negatives with scores.

Words of two to four syllables follow Zipf's law; a passage has as many of them as one of MS MARCO's (56 on average,
log-normal). A query is three to six words of its positive passage, of the rarer ones. Its 20 negatives are drawn at random, and
their scores from a normal distribution below the positive's: files of the size and form of the real ones, with nothing to learn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOCABULARY = 300_000
MEAN_WORDS = 56
NEGATIVES = 20
_BLOCK = 20_000


class WordModel:
    """Words by Zipf's law (exponent 1.07), passages of log-normal length.

    Parameters
    ----------
    seed : of everything; block i of passages is a function of it and of i.
    """

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        syllables = [a + b + c for a in "bcdfghklmnprstvw" for b in "aeiou" for c in ("", "n", "r", "s")]
        parts = rng.integers(len(syllables), size=(VOCABULARY, 4))
        lengths = rng.integers(2, 5, size=VOCABULARY)
        self.words = ["".join(syllables[p] for p in row[:n]) for row, n in zip(parts.tolist(), lengths, strict=True)]
        weights = 1.0 / np.arange(1, VOCABULARY + 1) ** 1.07
        self._ends = np.cumsum(weights / weights.sum())
        self._seed = seed

    def block(self, number: int, size: int) -> list[NDArray[np.int64]]:
        """Word numbers of the passages of a block; smaller numbers are commoner words."""
        rng = np.random.default_rng([self._seed, 1, number])
        lengths = np.clip(rng.lognormal(np.log(MEAN_WORDS) - 0.08, 0.4, size), 8, 250).astype(np.int64)
        drawn = np.minimum(np.searchsorted(self._ends, rng.random(int(lengths.sum()))), VOCABULARY - 1)
        return np.split(drawn, np.cumsum(lengths)[:-1])

    def passages(self, count: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """(number, word numbers) of so many passages."""
        for first in range(0, count, _BLOCK):
            block = self.block(first // _BLOCK, min(_BLOCK, count - first))
            yield from zip(range(first, first + len(block)), block, strict=True)


def generate(folder: Path, passages: int, queries: int, seed: int = 0) -> None:
    """Write collection.tsv, queries.tsv and hard.jsonl in MS MARCO's and sentence-transformers' formats."""
    model, rng = WordModel(seed), np.random.default_rng([seed, 2])
    asked = set(rng.choice(passages, queries, replace=False).tolist())
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "collection.tsv").open("w") as collection,
        (folder / "queries.tsv").open("w") as texts,
        (folder / "hard.jsonl").open("w") as pairs,
    ):
        qid = 0
        for number, words in model.passages(passages):
            collection.write(f"{number}\t{' '.join([model.words[w] for w in words.tolist()])}\n")
            if number in asked:
                rare = np.sort(words)[-12:]  # with their repeats: a word that is said twice is likelier asked for
                chosen = rng.choice(rare, int(rng.integers(3, 7)), replace=False)
                texts.write(f"{qid}\t{' '.join([model.words[w] for w in chosen.tolist()])}\n")
                pairs.write(json.dumps(_hard(qid, number, passages, rng)) + "\n")
                qid += 1


def _hard(qid: int, positive: int, passages: int, rng: np.random.Generator) -> dict[str, Any]:
    drawn = dict.fromkeys(((positive + 1 + rng.integers(passages - 1, size=2 * NEGATIVES)) % passages).tolist())
    negatives = [d for d in drawn if d != positive][:NEGATIVES]
    scores = rng.normal(-2.0, 3.0, len(negatives)).round(4).tolist()
    found = [{"pid": d, "ce-score": s} for d, s in zip(negatives, scores, strict=True)]
    return {
        "qid": qid,
        "pos": [{"pid": positive, "ce-score": round(float(rng.normal(8, 1)), 4)}],
        "neg": {"synthetic": found},
    }
