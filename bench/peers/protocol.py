"""What every system under test answers to. One adapter per file; the runner knows nothing else about a peer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Settings = Mapping[str, Any]


class Adapter(ABC):
    """One index of one peer. Made twice: once in the process that builds, once in the process that answers.

    Only `search` is timed. Turning a query into what the peer takes and its answer into row numbers is this
    benchmark's business, so `prepare` and `ids` are not timed.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings

    @abstractmethod
    def build(self, docs: Any) -> None:
        """Write the index of `docs` (scipy CSR, float32, sorted rows) under `folder`."""

    @abstractmethod
    def load(self) -> None:
        """Open what `build` wrote, ready to answer."""

    def tune(self, queries: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]]) -> None:  # noqa: B027
        """Take note of queries (term ids, weights) that are not measured; a peer that tunes itself may use them."""

    @abstractmethod
    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        """The query in the peer's own form."""

    @abstractmethod
    def search(self, query: Any, k: int, settings: Settings) -> Any:
        """Answer one prepared query; the only timed call."""

    @abstractmethod
    def ids(self, answer: Any) -> NDArray[np.int64]:
        """Row numbers of the hits, best first, without padding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """One way to search an index: a row of the table."""

    label: str
    exact: bool
    """Exact over the weights as the peer stores them (quantised or not)."""
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """One way to build, and the ways to search what was built."""

    key: str
    modes: tuple[Mode, ...]
    settings: Settings = field(default_factory=dict)
    max_documents: int | None = None
    """Above this the build takes hours on one core; the runner says so and goes on."""
    peak_bytes_per_posting: float = 0.0
    """Build memory beyond the input; the runner does not start a build that cannot fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A system under test: `modules` must be importable, `package` names the distribution whose version is shown."""

    name: str
    package: str
    modules: tuple[str, ...]
    adapter: type[Adapter]
    indexes: tuple[Index, ...]


def inverted(docs: Any) -> Any:
    """Posting lists of a CSR: scipy CSC, rows ascending in each column."""
    out = docs.tocsc()
    out.sort_indices()
    return out


def impacts(docs: Any, levels: int = 255) -> NDArray[np.uint32]:
    """Weights on one scale of 1..levels, for peers that store integers; the largest weight becomes `levels`."""
    scale = levels / float(docs.data.max())
    return np.maximum(np.rint(docs.data * scale), 1).astype(np.uint32)
