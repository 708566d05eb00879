"""What every reader is: a source of documents in batches of bounded size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.documents import Documents
from indexer.errors import ConfigError
from indexer.interchange.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """How large a batch may grow.

    Parameters
    ----------
    rows : most rows of one batch.
    postings : most weights of one batch (8 bytes each when handed over); a longer row is a batch of its own.

    Raises
    ------
    ConfigError : a limit below 1.
    """

    rows: int = 1 << 16
    postings: int = 1 << 21

    def __post_init__(self) -> None:
        if self.rows < 1 or self.postings < 1:
            raise ConfigError(f"batch limits are {self.rows} rows and {self.postings} postings; expected 1 or more")


class VectorSource(ABC):
    """Sparse vectors on disk, read in batches of bounded size, as often as asked for.

    Each `iter()` reads from the start. Faults of the data raise DataError with the place; those that can only be seen
    at the end of a file (a checksum, a count) come with the last batch, so commit nothing before the iteration ends.

    Attributes
    ----------
    path : the file or folder.
    format : "jsonl", "npz", "bigann" or "ciff".
    """

    path: Path
    format: str

    @property
    @abstractmethod
    def num_terms(self) -> int:
        """Vocabulary size. With a growing vocabulary: what has been seen so far, final after one whole pass."""

    @property
    @abstractmethod
    def num_rows(self) -> int | None:
        """Rows the file declares; None where only reading it through tells."""

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Strings of the terms; None where terms are numbers only."""
        return None

    @abstractmethod
    def __iter__(self) -> Iterator[Documents]: ...
