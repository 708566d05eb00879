"""An index loaded into a collection of Milvus, and the hits of both compared.

    python -m bench.stores.milvus INDEX QUERIES.npz [--rows 5000] [--num-queries 1000]

Milvus is milvus-lite 2.5.1 in a process of its own (`pip install "sparseir[milvus-lite]"`), its file in a temporary folder.
Printed are documents a second of `sparseir index build milvus://…` from a staged index: of wall time, of this process's CPU,
and of Milvus's CPU; and the same of requests that were made before the clock started, which is what Milvus itself takes.
Then the share of places among the 10 best that hold the same document as the index folder's answer, of those places whose
score no other hit and no document beyond the last place has; and queries whose scores are equal to the bit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.vectors import load as load_vectors
from indexer import Index, SparseVectors, open_index
from indexer.progress import silent
from sparseir.encode import collection_load
from sparseir.encode.options import IndexingOptions
from sparseir.search.searcher import Searcher
from sparseir.search.stores.client import StoreClient
from sparseir.search.stores.places import StorePlace
from sparseir.search.stores.rows import StoreRows, send

K = 10


def children_cpu() -> float:
    """CPU seconds of the processes that this one started and that still run: milvus-lite's server."""
    spent = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == os.getpid():
            spent += int(words[11]) + int(words[12])
    return spent / os.sysconf("SC_CLK_TCK")


def timed(what: str, documents: int, work: Callable[[], object]) -> float:
    """Wall seconds of some work, printed as documents a second."""
    wall, own, theirs = time.perf_counter(), time.process_time(), children_cpu()
    work()
    spent = time.perf_counter() - wall, time.process_time() - own, children_cpu() - theirs
    rates = " ".join(
        f"{name} {seconds:.1f} s ({documents / max(seconds, 1e-9):,.0f}/s)"
        for name, seconds in zip(("wall", "client CPU", "Milvus CPU"), spent, strict=True)
    )
    print(f"{what:22} {documents:,} documents: {rates}; load of the machine {os.getloadavg()[0]:.1f}", flush=True)
    return spent[0]


def premade(index: Index, client: StoreClient, folder: Path) -> list[object]:
    """The requests of a load."""
    made: list[object] = []

    class Kept(StoreClient):
        def upsert(self, rows: StoreRows) -> None:
            made.append(rows.request(self.name))

    kept = Kept(client.place, client.raw)
    collection_load.send_documents(kept, index, folder, silent)
    return made


def compare(ours: Searcher, theirs: Searcher, queries: SparseVectors) -> None:
    """Print how often both have the same hits."""
    same = places = aside = equal = 0
    expected, found = ours.search_vectors(queries, K + 1), theirs.search_vectors(queries, K)
    for row in range(len(queries)):
        scores = expected.scores[row]
        single = np.array([np.count_nonzero(scores == score) == 1 for score in scores[:K]]) & np.isfinite(scores[:K])
        places += int(single.sum())
        aside += int((np.isfinite(scores[:K]) & ~single).sum())
        same += int((expected.ordinals[row, :K] == found.ordinals[row])[single].sum())
        equal += np.array_equal(scores[:K], found.scores[row])
    print(
        f"same document in {same:,} of {places:,} places ({100 * same / max(1, places):.3f}%), {aside:,} in ties aside"
    )
    print(f"scores equal to the bit for {equal:,} of {len(queries):,} queries", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--rows", type=int, default=collection_load.ROWS, help="of a request")
    parser.add_argument("--num-queries", type=int, default=1000)
    options = parser.parse_args()
    collection_load.ROWS = options.rows
    index, queries = open_index(options.index), load_vectors(options.queries)
    queries = queries.slice(0, min(options.num_queries, len(queries)))
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = temporary
        place = StorePlace(f"{temporary}/bench.db", "documents", timeout=300)
        client = StoreClient(place)

        def fill(path: Path, _: IndexingOptions) -> Index:
            shutil.copytree(options.index, path)
            return open_index(path)

        size = index.num_docs
        took = timed("loaded", size, lambda: collection_load.build(place, IndexingOptions(), fill, silent, client))
        compare(Searcher.open(options.index), Searcher.open(place), queries)
        client.drop()
        client.create()
        requests = premade(index, client, Path(temporary))
        best = timed("requests made before", size, lambda: [send(client.raw, r, place.timeout) for r in requests])
        print(f"loading takes {took / best:.2f} times what Milvus itself takes")


if __name__ == "__main__":
    main()
