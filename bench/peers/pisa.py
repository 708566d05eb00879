"""PISA (pyterrier-pisa): document-at-a-time over compressed lists, exact over 8-bit impacts.

The inverted index is written in PISA's uncompressed format directly, since the package's own indexer walks Python
dictionaries. The bindings repeat a query term as often as its integer weight says.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.protocol import Adapter, Index, Mode, Peer, Settings, impacts, inverted

QUERY_SCALE = 100.0


def _lines(names: list[str]) -> str:
    return "\n".join(names) + "\n"


class Pisa(Adapter):
    def build(self, docs: Any) -> None:
        from pyterrier_pisa import _pisathon

        quantised = docs.copy()
        quantised.data = impacts(docs)
        lists = inverted(quantised)
        present = np.flatnonzero(np.diff(lists.indptr))
        with (self.folder / "inv.docs").open("wb") as ids, (self.folder / "inv.freqs").open("wb") as weights:
            np.array([1, docs.shape[0]], np.uint32).tofile(ids)
            for term in present:
                rows = slice(lists.indptr[term], lists.indptr[term + 1])
                length = np.array([rows.stop - rows.start], np.uint32)
                for file, values in ((ids, lists.indices[rows]), (weights, lists.data[rows])):
                    length.tofile(file)
                    values.astype(np.uint32).tofile(file)
        sums = np.add.reduceat(np.append(quantised.data, 0), docs.indptr[:-1])
        np.concatenate([[docs.shape[0]], sums]).astype(np.uint32).tofile(self.folder / "inv.sizes")
        # Terms are looked up by binary search, so that names must sort as their numbers do.
        (self.folder / "fwd.terms").write_text(_lines([f"{t:010d}" for t in present]), encoding="ascii")
        names = _lines([str(d) for d in range(docs.shape[0])])
        (self.folder / "fwd.documents").write_text(names, encoding="ascii")
        for kind, lexicon in (("documents", "doclex"), ("terms", "termlex")):
            _pisathon.build_binlex(str(self.folder / f"fwd.{kind}"), str(self.folder / f"fwd.{lexicon}"))
        self._prepare()
        for spare in ("inv.docs", "inv.freqs", "fwd.documents", "fwd.terms"):
            (self.folder / spare).unlink()
        (self.folder / "pt_meta.json").write_text(json.dumps({"stemmer": "none"}), encoding="utf-8")

    def _prepare(self) -> None:
        """Bounds and compressed lists on the first call, mapped files on later ones."""
        from pyterrier_pisa import _pisathon

        self._context = _pisathon.RetrievalContext()
        _pisathon.prepare_index(self._context, str(self.folder), "block_simdbp", "quantized", "", block_size=64)

    def load(self) -> None:
        from pyterrier_pisa import _pisathon

        self._prepare()
        self._retrieve = _pisathon.retrieve
        self._buffers: dict[int, dict[str, Any]] = {}

    def prepare(self, term_ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Any:
        return [(0, {f"{t:010d}": float(round(w * QUERY_SCALE)) for t, w in zip(term_ids, weights, strict=True)})]

    def search(self, query: Any, k: int, settings: Settings) -> Any:
        out = self._buffers.setdefault(k, self._allocate(k))
        found = self._retrieve(
            self._context, settings["algorithm"], query, k=k, threads=1, pretokenised=True, query_weighted=1, **out
        )
        return out["result_docnos"][:found]

    @staticmethod
    def _allocate(k: int) -> dict[str, Any]:
        return {
            "result_qidxs": np.empty(k, np.int32),
            "result_docnos": np.empty(k, object),
            "result_ranks": np.empty(k, np.int32),
            "result_scores": np.empty(k, np.float32),
        }

    def ids(self, answer: Any) -> NDArray[np.int64]:
        return answer.astype(np.int64)


PEER = Peer(
    name="pisa",
    package="pyterrier-pisa",
    modules=("pyterrier_pisa",),
    adapter=Pisa,
    indexes=(
        Index(
            key="simdbp",
            modes=tuple(
                Mode(label=label, exact=True, settings={"algorithm": algorithm})
                for label, algorithm in (
                    ("MaxScore", "maxscore"),
                    ("BM-MaxScore", "block_max_maxscore"),
                    ("WAND", "wand"),
                    ("BMW", "block_max_wand"),
                )
            ),
        ),
    ),
)
