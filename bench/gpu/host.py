"""What a batch costs the host: the emulated driver with launches that do nothing, so that no device is needed.

    python -m bench.gpu.host --batches 1 32 --k 10

Quantising, looking terms up, packing, submitting, decoding: the part of a query's time that a faster device leaves.
"""

from __future__ import annotations

import argparse
import ctypes
import time

import numpy as np

from indexer import SparseVectors
from sparseir.search.gpu import GpuConfig, GpuEngine
from tests.gpu_cases import make_case
from tests.gpu_emulation import emulated_backend, emulated_library

_TERMS, _QUERY_TERMS = 300, 45


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 32, 256))
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=1000)
    arguments = parser.parse_args()
    case = make_case(1, 20_000, num_terms=_TERMS, density=0.02)  # three windows: a sample, two waves, ten launches
    engine = GpuEngine(case.segments(), GpuConfig(), open_backend=emulated_backend(threads=512))
    ctypes.CDLL(emulated_library()).sir_emulation_skip_launches(1)
    rng = np.random.default_rng(0)
    for size in arguments.batches:
        rows = [
            dict(
                zip(
                    np.sort(rng.choice(_TERMS, _QUERY_TERMS, replace=False)).tolist(),
                    rng.random(_QUERY_TERMS) + 0.01,
                    strict=True,
                )
            )
            for _ in range(size)
        ]
        queries = SparseVectors.from_rows(rows, _TERMS)
        times = []
        for _ in range(arguments.repeats):
            begin = time.perf_counter()
            engine.search_vectors(queries, arguments.k)
            times.append(time.perf_counter() - begin)
        fastest, median = 1e6 * min(times), 1e6 * float(np.median(times))
        print(f"batch {size:5}: {fastest:8.0f} µs at least, median {median:8.0f} µs, {fastest / size:.1f} µs a query")


if __name__ == "__main__":
    main()
