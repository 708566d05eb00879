"""How much the first hits tell a query."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from sparseir.errors import ConfigError

MOST_DOCUMENTS = 100
"""That feedback reads: far more than help, and few enough that a request cannot ask for seconds of work."""

MOST_TERMS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Search twice: words of the best documents of the first search are added to the query of the second.

    documents : how many hits are read. terms : most words that are added. weight : length of the vector of added words,
    as a share of that of the query.

    Raises
    ------
    ConfigError : a number out of range.
    """

    documents: int = 2
    terms: int = 30
    weight: float = 0.3

    def __post_init__(self) -> None:
        for name, value, most in (("documents", self.documents, MOST_DOCUMENTS), ("terms", self.terms, MOST_TERMS)):
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(f"feedback of {value!r} {name}; expected a whole number from 1 to {most}")
        weighs = isinstance(self.weight, int | float) and not isinstance(self.weight, bool)
        if not (weighs and isfinite(self.weight) and 0 < self.weight <= 100):
            raise ConfigError(f"feedback with a weight of {self.weight!r}; expected a number above 0 and at most 100")
