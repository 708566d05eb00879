"""What an engine is, and the engines there are.

An engine answers queries over one committed state of an index. It gets that state's scale and segments when it is made,
so that a call passes only the query. Everything else (checking arguments, encoding texts, evaluating filters, naming
hits) is done by the searcher (`checks.py`) and is the same for all engines.

To add one: a module with a subclass of `Engine` and a function `open_engine` (see `open_engine` here), and its line in
`_MODULES`. The module is imported when somebody asks for the engine, so that it may need packages that searching
otherwise does not.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.native.engine import ENGINES, NativeIndex
from indexer.vectors import MAX_TERM_ID
from sparseir.errors import ConfigError, SparseIRError
from sparseir.search.results import Ranking

if TYPE_CHECKING:
    from sparseir.search.calibration.calibration import Calibration

Bitmaps = list[NDArray[np.uint64]]
"""Which documents may be hits, one array a segment: bit d mod 64 of word d // 64 is doc_id d."""
Allowed = Bitmaps | NativeIndex | None
"""The restriction of a search: bitmaps, a view (an index in memory of the allowed documents alone), or None for all."""

_MODULES = {
    **dict.fromkeys(ENGINES, "sparseir.search.cpu"),
    "approximate": "sparseir.search.approximate",
    "exact_float": "sparseir.search.exact_float",
    "gpu": "sparseir.search.gpu.engine",
}
"""The module of each engine, by the name users give."""


ENGINE_NAMES = tuple(_MODULES)


class Engine(ABC):
    """Finds the k best documents of queries.

    What every engine promises:

    - Hits come by (score descending, ordinal ascending); only documents that score above 0 are hits, and the places
      that are left are padded with ordinal -1 and score -inf. Exact engines agree with `tests/oracle.py` to the bit.
    - Deleted documents are never hits, and nothing outside `allowed` is.
    - Terms that the index does not hold match nothing.
    - Searches may run in several threads at once.

    What it may rely on: k is an int in 1..MAX_K (`checks.py`), and `allowed` belongs to the same state of the index.

    Attributes
    ----------
    name : what users call it.
    takes_views : it searches views as well as bitmaps; see `filters.views`.
    """

    name: str
    takes_views: ClassVar[bool] = False

    @abstractmethod
    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed) -> Ranking:
        """Rankings of a batch: ordinals and scores (Q, k)."""

    def search_terms(
        self, term_ids: NDArray[np.uint32], weights: NDArray[np.float32], k: int, allowed: Allowed
    ) -> Ranking:
        """The ranking of one query, whose terms come in any order: a batch of one unless the engine has a shorter way.

        Raises
        ------
        DataError : a weight that is negative, infinite or not a number; a term given twice.
        """
        row = SparseVectors.from_arrays([0, len(term_ids)], term_ids, weights, MAX_TERM_ID + 1, source="query")
        ordinals, scores = self.search_vectors(row, k, allowed)
        return Ranking(ordinals[0], scores[0])

    @abstractmethod
    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        """Stored impact of each term in the one document that the bitmaps allow; 0 where it lacks the term."""

    def stats(self) -> dict[str, int]:
        """Counters of the work of all searches so far, by name; empty if the engine counts nothing."""
        return {}

    @property
    def calibrations(self) -> list[Calibration]:
        """What was tuned so far, one entry for each k."""
        return []

    def calibrate(self, queries: SparseVectors, k: int) -> Calibration:
        """Tune for k on queries like those to come.

        Raises
        ------
        ConfigError : the engine has nothing to tune.
        """
        raise ConfigError(
            f"engine {self.name!r} has nothing to calibrate; open the searcher with an ApproximateConfig to search approximately"
        )


class ClosedEngine(Engine):
    """Of a searcher that was closed: refuses."""

    name = "closed"

    def __init__(self, index: Index) -> None:
        self._path = index.path

    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed) -> Ranking:
        raise self._refusal()

    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        raise self._refusal()

    def _refusal(self) -> SparseIRError:
        return SparseIRError(f"the searcher of index '{self._path}' was closed; open another")


class EngineConfig(Protocol):
    """Options of an engine: a frozen dataclass that names it."""

    engine: ClassVar[str]


def open_engine(choice: str | EngineConfig, index: Index, native: NativeIndex, num_threads: int = 1) -> Engine:
    """The engine of a name, or of options for it.

    The module of the engine makes it in a function of the same name and parameters.

    Parameters
    ----------
    choice : one of the names in `_MODULES`, or e.g. a GpuConfig.
    index : what is searched. native : its segments, opened.
    num_threads : threads of a batch, for engines that run on the CPU.

    Raises
    ------
    ConfigError : no such engine, or the index or the machine lacks what it needs.
    """
    name = choice if isinstance(choice, str) else choice.engine
    if name not in _MODULES:
        raise no_such_engine(name)
    module: Any = importlib.import_module(_MODULES[name])
    engine: Engine = module.open_engine(choice, index, native, num_threads)
    return engine


def no_such_engine(name: str) -> ConfigError:
    return ConfigError(f"engine {name!r} does not exist; there are: {', '.join(_MODULES)}")
