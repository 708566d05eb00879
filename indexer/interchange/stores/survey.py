"""One look through an index before it is exported: what the limits of a target are held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.index import Index
from indexer.interchange.live import LiveDocuments, live_postings
from indexer.interchange.stores.store import Layout, Store
from indexer.progress import Progress, silent


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Facts:
    """What an export of an index would hold.

    Parameters
    ----------
    lengths : int32 (documents,), terms of each document.
    docno_bytes : int64 (documents,), UTF-8 bytes of each name.
    used : uint32, ascending ids of the terms that documents hold.
    smallest, largest : weights; 0 where there are none.
    rounding : (mean, largest) of |held − w| / w over the weights, held as the target holds w; under the ceiling, if any.
    clipped : weights above the ceiling. lost : weights that the target would hold as 0.
    """

    lengths: NDArray[np.int32]
    docno_bytes: NDArray[np.int64]
    used: NDArray[np.uint32]
    smallest: float
    largest: float
    rounding: tuple[float, float]
    clipped: int
    lost: int

    @property
    def postings(self) -> int:
        """Weights in all documents."""
        return int(self.lengths.sum(dtype=np.int64))


def survey(
    index: Index, documents: LiveDocuments, store: Store, layout: Layout, *, progress: Progress = silent
) -> Facts:
    """Look at every live posting and name once. Memory: 12 bytes a document, a piece of the postings.

    Raises
    ------
    IndexFormatError : damage in the lists.
    """
    lengths = np.zeros(documents.count, np.int32)
    used: list[NDArray[np.uint32]] = [np.zeros(0, np.uint32)]
    smallest, largest, total, worst = np.inf, 0.0, 0.0, 0.0
    clipped = lost = count = 0
    for number, segment in enumerate(index.segments):
        for terms, rows, values in live_postings(segment, documents.rows[number], layout.weights, index.doc_scale):
            if not len(terms):
                continue
            if layout.weights == "impact":  # each of 255 numbers is looked at once
                times = np.bincount(values, minlength=256)
                weights = np.flatnonzero(times).astype(np.float32)
                times = times[times > 0]
            else:
                weights = values.view(np.float32)
                times = np.ones(len(weights), np.int64)
                present = weights > 0  # a stored half float may be 0
                terms, rows = terms[present], rows[present]
            held = store.held(weights, layout)
            inside = np.minimum(weights, np.float32(store.largest_weight(layout)))
            with np.errstate(divide="ignore", invalid="ignore"):
                errors = np.abs(store.as_weights(held, layout).astype(np.float64) - inside) / inside
            errors[~np.isfinite(errors)] = 0
            clipped += int(times[inside < weights].sum())
            lost += int(times[held <= 0].sum())
            total, count = total + float((errors * times).sum()), count + int(times.sum())
            worst = max(worst, float(errors.max(initial=0.0)))
            smallest, largest = min(smallest, float(weights.min())), max(largest, float(weights.max()))
            used.append(terms[np.diff(terms, prepend=terms[:1] + np.uint32(1)) != 0])
            lengths += np.bincount(rows, minlength=documents.count).astype(np.int32)
        progress("looking through", number + 1, len(index.segments))
    return Facts(
        lengths=lengths,
        docno_bytes=documents.docno_bytes(),
        used=np.unique(np.concatenate(used)),
        smallest=smallest if count else 0.0,
        largest=largest,
        rounding=(total / max(1, count), worst),
        clipped=clipped,
        lost=lost,
    )
