"""Approximate search with a recall target: discounted bounds, calibrated against the exact ranking of the same index."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.native.engine import NativeIndex
from sparseir.errors import ConfigError
from sparseir.search.calibration.calibration import Calibration, Calibrator, Sample, lower_bound
from sparseir.search.calibration.file import CalibrationFile
from sparseir.search.calibration.pseudo_queries import LONG_FROM, SEED, pseudo_queries, shape_of
from sparseir.search.cpu import CpuEngine, Knobs, needs_blocks
from sparseir.search.engines import Allowed, Bitmaps, Engine, EngineConfig
from sparseir.search.results import Ranking

MAX_FACTOR = 1000.0
GIVEN, PSEUDO = "given queries", "pseudo-queries"
_NUM_PSEUDO = 384
_TUNING_SHARE = 3
"""Of three queries one tunes and two check."""
_MOST_GIVEN = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ApproximateConfig:
    """Approximate search.

    Parameters
    ----------
    recall_target : mean recall at k to calibrate for, in (0, 1].
    bound_factor : a knob given instead of a target, at least 1 (exact); 0 calibrates.
    bound_mass : with a given bound_factor: only the query's heaviest terms, which hold this share of what all may
        score, are in the bounds; in (0, 1].
    max_blocks : blocks of 32 documents scored at most a segment, best bounds first; 0 for no limit. A calibration
        measures with this limit, and searches are exact if the target cannot be reached with it.
    keep : keep calibrations in a file beside the index, and use those kept there.

    Raises
    ------
    ConfigError : values out of range, together.
    """

    engine: ClassVar[str] = "approximate"

    recall_target: float = 0.95
    bound_factor: float = 0.0
    bound_mass: float = 1.0
    max_blocks: int = 0
    keep: bool = True

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.recall_target <= 1:
            faults.append(f"recall_target is {self.recall_target}; it must lie in (0, 1]")
        if self.bound_factor != 0 and not 1 <= self.bound_factor <= MAX_FACTOR:
            faults.append(f"bound_factor is {self.bound_factor}; it must be 0 or 1..{MAX_FACTOR:g}")
        if not 0 < self.bound_mass <= 1:
            faults.append(f"bound_mass is {self.bound_mass}; it must lie in (0, 1]")
        if not 0 <= self.max_blocks < 2**32:
            faults.append(f"max_blocks is {self.max_blocks}; it must be 0 (no limit) or more")
        if faults:
            raise ConfigError("approximate: " + "; ".join(faults))


def open_engine(choice: str | EngineConfig, index: Index, native: NativeIndex, num_threads: int) -> ApproximateEngine:
    """As `engines.open_engine`."""
    config = choice if isinstance(choice, ApproximateConfig) else ApproximateConfig()
    return ApproximateEngine(index, CpuEngine(native, num_threads=num_threads), config)


class ApproximateEngine(Engine):
    """The block filter with knobs, which the first search with each k calibrates.

    Restricted searches, searches with a k at which nothing faster keeps the promise, and searches of an index without
    maxima of blocks are exact.

    Attributes
    ----------
    calibrations : what was found, an entry for each k searched with so far (two where queries of an unknown encoder were
        both long and short); empty where the knobs were given.
    """

    name = "approximate"
    takes_views = True

    def __init__(self, index: Index, cpu: CpuEngine, config: ApproximateConfig) -> None:
        self._index, self._config, self._cpu = index, config, cpu
        self._file = CalibrationFile(index, write=config.keep)
        self._found: dict[tuple[int, str], Calibration] = {}
        self._ready: dict[tuple[int, bool], Knobs | None] = {}  # by k and whether a query is short
        self._tuning = threading.Lock()  # calibrations measure time, so they run one after another
        self._given = Knobs(
            bound_factor=config.bound_factor, bound_mass=config.bound_mass, max_blocks=config.max_blocks
        )
        if config.bound_factor and "block_filter" not in cpu.native.engines:
            raise needs_blocks(self.name, cpu.native)

    @property
    def calibrations(self) -> list[Calibration]:
        return list(self._found.values())

    def search_terms(
        self, term_ids: NDArray[np.uint32], weights: NDArray[np.float32], k: int, allowed: Allowed
    ) -> Ranking:
        """As `Engine.search_terms`; the scores of what is found are exact."""
        return self._cpu.search_terms(term_ids, weights, k, allowed, self._knobs(k, len(term_ids), allowed))

    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed) -> Ranking:
        """As `Engine.search_vectors`; one choice of knobs, for the mean length, serves the batch."""
        mean_terms = len(vectors.term_ids) / max(1, len(vectors))
        return self._cpu.search_vectors(vectors, k, allowed, self._knobs(k, mean_terms, allowed))

    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        """As `Engine.impacts`."""
        return self._cpu.impacts(term_ids, document)

    def stats(self) -> dict[str, int]:
        """As `CpuEngine.stats`."""
        return self._cpu.stats()

    def calibrate(self, queries: SparseVectors, k: int) -> Calibration:
        """Calibrate for k on real queries, at most 1,024 of them; takes the place of a calibration on pseudo-queries.

        Raises
        ------
        ConfigError : the knobs were given, so that there is nothing to calibrate.
        """
        if self._config.bound_factor:
            raise ConfigError(
                f"approximate: bound_factor is given ({self._config.bound_factor}); there is nothing to tune"
            )
        order = np.random.default_rng(SEED).permutation(len(queries))[:_MOST_GIVEN]
        chosen = SparseVectors.concatenate([queries.slice(i, i + 1) for i in order.tolist()] or [queries])
        with self._tuning:
            found = self._calibrate(chosen, k, GIVEN)
            self._found[k, GIVEN] = found
            for key in (k, False), (k, True):
                self._ready[key] = found.knobs
            self._file.put(found, self._config.max_blocks)
        return found

    def _knobs(self, k: int, num_terms: float, allowed: Allowed) -> Knobs | None:
        """Under a restriction None, that is exact search, because the knobs were measured on all documents."""
        if allowed is not None:
            return None
        if self._config.bound_factor:
            return self._given
        key = (k, num_terms < LONG_FROM)
        if key not in self._ready:
            with self._tuning:
                if key not in self._ready:
                    self._ready[key] = self._calibrated(k, num_terms).knobs
        return self._ready[key]

    def _calibrated(self, k: int, num_terms: float) -> Calibration:
        source = f"{shape_of(self._index, num_terms)} {PSEUDO}"
        return self._found.get((k, GIVEN)) or self._found.get((k, source)) or self._first(k, source)

    def _first(self, k: int, source: str) -> Calibration:
        """What is kept beside the index, for given queries if there are any, or a calibration on pseudo-queries."""
        target, limit = self._config.recall_target, self._config.max_blocks
        for kept_source in (GIVEN, source) if self._config.keep else ():
            kept = self._file.get(target, k, limit, kept_source)
            if kept is not None:
                self._found[k, kept_source] = kept
                return kept
        shape = source.removesuffix(" " + PSEUDO)
        found = self._calibrate(pseudo_queries(self._index, self._cpu.native, shape, _NUM_PSEUDO), k, source)
        self._found[k, source] = found
        self._file.put(found, limit)
        return found

    def _calibrate(self, queries: SparseVectors, k: int, source: str) -> Calibration:
        native, config, middle, found = self._cpu.native, self._config, len(queries) // _TUNING_SHARE, None
        if "block_filter" in native.engines and middle:
            parts = queries.slice(0, middle), queries.slice(middle, len(queries))
            samples = [Sample(CpuEngine(native), part, k) for part in parts]
            found = Calibrator(*samples, target=config.recall_target, max_blocks=config.max_blocks).run()
        knobs, values, ratio = found or (None, np.ones(1), 1.0)
        return Calibration(
            target=config.recall_target,
            k=k,
            knobs=knobs,
            recall=float(values.mean()),
            recall_bound=1.0 if knobs is None else lower_bound(values),
            num_queries=len(queries) - middle,
            num_tuned=middle,
            source=source,
            time_ratio=ratio,
        )
