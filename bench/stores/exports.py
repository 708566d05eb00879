"""What exports to other engines cost, and whether they rank as the index: the table in docs/exports.md.

    python -m bench.stores.exports INDEX QUERIES.npz [--formats opensearch,vespa] [--rounds 3]

CPU seconds of this process. An export is written so many times, the fastest counts, as others share the caches of the machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from bench.vectors import load
from indexer import open_index
from indexer.interchange.stores import STORES, Layout, open_store
from indexer.interchange.stores.write import export_store
from sparseir.search.store_check import check_export


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--formats", default=",".join(STORES))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    index, queries = open_index(options.index), load(options.queries)
    print(
        "| `--format` | documents a CPU second | MB | check, CPU s | overlap@10 | bit-equal |\n|---|---|---|---|---|---|"
    )
    for form in options.formats.split(","):
        store, spent = open_store(form), []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(options.rounds):
                start = time.process_time()
                written = export_store(index, Path(folder) / "out", store, Layout(name="docs"), overwrite=True)
                spent.append(time.process_time() - start)
            start = time.process_time()
            found = check_export(index, Path(folder) / "out", store, queries)
            checked = time.process_time() - start
        print(
            f"| `{form}` | {written.documents / min(spent):,.0f} | {written.bytes / 1e6:.0f} | {checked:.1f} | {found.overlap:.4f} | "
            f"{found.equal:,} of {found.queries:,} |",
            flush=True,
        )
    print(f"load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
