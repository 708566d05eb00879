"""Resident memory and processor time of encoding many documents of all lengths on a CPU.

    OMP_NUM_THREADS=1 python -m bench.training.encode_memory MODEL scifact.zip [--documents 1500]

oneDNN generates code for every shape of a bfloat16 product and keeps it, so memory grows with the shapes that were met.
"""

from __future__ import annotations

import argparse
import resource
import time
from itertools import islice

from bench.memory import memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("collection", help="BEIR folder or zip")
    parser.add_argument("--documents", type=int, default=1500)
    parser.add_argument("--part", type=int, default=1024, help="documents given to the encoder at a time")
    chosen = parser.parse_args()

    from sparseir import SparseEncoder
    from sparseir.data import open_dataset

    encoder = SparseEncoder.load(chosen.model, device="cpu")
    texts = [d.content for d in islice(open_dataset(chosen.collection).corpus(), chosen.documents)]
    print(f"model loaded: {memory('VmRSS') / 1e6:.0f} MB, texts cut at {encoder.document_length()} tokens")
    start, nnz = time.process_time(), 0
    for first in range(0, len(texts), chosen.part):
        nnz += encoder.encode_documents(texts[first : first + chosen.part], dtype="native").nnz
        done, seconds = min(first + chosen.part, len(texts)), time.process_time() - start
        print(
            f"{done} documents: {memory('VmRSS') / 1e6:.0f} MB, {seconds:.1f} CPU s, {done / seconds:.1f} a CPU second"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak {peak:.0f} MB; {nnz / len(texts):.1f} terms a document")


if __name__ == "__main__":
    main()
