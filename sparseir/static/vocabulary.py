"""The vocabulary of a static site in few bytes: what every visit fetches before the first query.

Terms are sorted, so each says only how much it shares with the one before it and what follows (front coding). How many
documents hold a term and what it weighs come in few combinations, each of which is written once, the most frequent first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import ConfigError

_END = "\x7f"
_MOST_SHARED = 35
"""Characters; their number is one digit of base 36."""


def site_numbers(terms: Sequence[str], first_stem: int) -> NDArray[np.int64]:
    """int64: the number on the site of each term of the index: sorted, learned terms before stems.

    Parameters
    ----------
    first_stem : learned terms are those before it, here and there.
    """
    order = sorted(range(first_stem), key=terms.__getitem__)
    order += sorted(range(first_stem, len(terms)), key=terms.__getitem__)
    numbers = np.empty(len(terms), np.int64)
    numbers[order] = np.arange(len(terms))
    return numbers


def packed(terms: Sequence[str], df: NDArray[np.int64], weights: NDArray[np.float64]) -> dict[str, Any]:
    """The content of vocabulary.json, for terms by their numbers on the site.

    Raises
    ------
    ConfigError : a term with the control character that ends terms in the file.
    """
    pairs = list(zip(df.tolist(), weights.tolist(), strict=True))
    kinds = {pair: code for code, (pair, _) in enumerate(Counter(pairs).most_common())}
    return {
        "terms": _END.join(_front_coded(terms)),
        "pairs": {"df": [d for d, _ in kinds], "weights": [w for _, w in kinds]},
        "codes": [kinds[pair] for pair in pairs],
    }


def _front_coded(terms: Sequence[str]) -> list[str]:
    coded, before = [], ""
    for term in terms:
        if _END in term:
            raise ConfigError(f"the term {term!r} holds the control character DEL, which a static site cannot")
        shared = _shared(before, term)
        coded.append(np.base_repr(shared, 36) + term[shared:])
        before = term
    return coded


def _shared(one: str, other: str) -> int:
    """Characters that two terms begin with. JavaScript counts those beyond the first plane twice, so they end the count."""
    same = takewhile(lambda pair: pair[0] == pair[1] <= "\uffff", zip(one, other, strict=False))
    return min(_MOST_SHARED, sum(1 for _ in same))
