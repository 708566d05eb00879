"""Seconds and memory of one training step, ours beside sentence-transformers' SpladeLoss, same model and inputs.

    python -m bench.training.train_step [--rounds 3] [--triples 16] [--tokens 128] [--threads 1] [--output train_step.json]

A step is forward and backward of 16 (query, positive, negative) triples of 128 tokens each under bfloat16 autocast,
dropout on: in-batch negatives plus FLOPS on queries and documents. Each setting runs in its own process, in turns.
Seconds: CPU time of the process by threads, median of three steps after a first one. Memory: the largest resident set
during the steps (VmHWM, reset before them) minus the resident set with the model loaded; gradients are in it, an optimiser's
state, the same for both, is not. Settings of ours are train.chunk_size: null (the default: 1024 tokens, here 8 texts),
0 (keep all activations), 4.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.memory import memory, reset_peak

PIECES = "sparseir, head by pieces"
SYSTEMS = {
    "sparseir": None,
    PIECES: None,
    "sparseir chunk_size 0": 0,
    "sparseir chunk_size 4": 4,
    "sentence-transformers": None,
}
"""Name and train.chunk_size; by pieces is the head of processors that multiply no tiles of bfloat16."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--triples", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bias", type=float, default=-7.5)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--system", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.system:
        print(json.dumps(one_step(chosen)))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = compare(chosen, folder)
    text = json.dumps(result, indent=1)
    if chosen.output:
        chosen.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def compare(chosen: argparse.Namespace, folder: str) -> dict[str, Any]:
    from sparseir.config.model import ModelConfig
    from sparseir.models import SparseEncoder

    config = ModelConfig(
        kind="splade",
        fresh_head_bias=chosen.bias,
        max_document_length=chosen.tokens,
        max_query_length=chosen.tokens,
    )
    SparseEncoder.from_config(config).save(folder)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SYSTEMS}
    for _ in range(chosen.rounds):
        for name in SYSTEMS:
            command = [sys.executable, "-m", "bench.training.train_step", "--system", name, "--folder", folder]
            for option in ("triples", "tokens", "threads"):
                command += [f"--{option}", str(getattr(chosen, option))]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[name].append(json.loads(done.stdout.strip().splitlines()[-1]))
    summary = {
        name: {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
        for name, runs in found.items()
    }
    theirs = summary["sentence-transformers"]
    return {
        "triples": chosen.triples,
        "tokens": chosen.tokens,
        "threads": chosen.threads,
        "systems": summary,
        "times_faster": {n: round(theirs["seconds"] / own["seconds"], 2) for n, own in summary.items()},
        "share_of_memory": {n: round(own["peak_mib"] / theirs["peak_mib"], 3) for n, own in summary.items()},
    }


def one_step(chosen: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(chosen.threads)
    torch.manual_seed(7)
    step, parameters = their_step(chosen) if chosen.system == "sentence-transformers" else our_step(chosen)
    reset_peak()
    before = memory("VmRSS")
    seconds, loss = [], 0.0
    for _ in range(4):
        for parameter in parameters:
            parameter.grad = None
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            value = step()
        value.backward()
        seconds.append((time.process_time() - start) / chosen.threads)
        loss = float(value.detach())
    return {"seconds": statistics.median(seconds[1:]), "peak_mib": (memory("VmHWM") - before) / 2**20, "loss": loss}


def our_step(chosen: argparse.Namespace) -> tuple[Callable[[], Any], list[Any]]:
    from sparseir.losses.ranking import info_nce
    from sparseir.losses.regularisers import flops
    from sparseir.models import SparseEncoder
    from sparseir.models.head import fused
    from sparseir.train.encoding import BatchEncoder
    from sparseir.train.run import prepare_for_training

    if chosen.system == PIECES:
        fused.multiplies_tiles = lambda *_: False
    encoder = SparseEncoder.load(chosen.folder, device="cpu")
    prepare_for_training(encoder)
    tower = encoder.document_tower.train()
    encode = BatchEncoder(encoder.tokenizer, chunk_size=SYSTEMS[chosen.system], bf16=True)
    queries, documents = (ids.tolist() for ids in token_ids(chosen))

    def step() -> Any:
        q, d = encode.encode_rows(tower, queries), encode.encode_rows(tower, documents)
        return info_nce(q @ d.t()) + 3e-5 * flops(q) + 5e-5 * flops(d)

    return step, list(tower.parameters())


def their_step(chosen: argparse.Namespace) -> tuple[Callable[[], Any], list[Any]]:
    import torch
    from sentence_transformers import SparseEncoder as Reference
    from sentence_transformers.sparse_encoder.losses import SparseMultipleNegativesRankingLoss, SpladeLoss

    model = Reference(chosen.folder, device="cpu").train()
    ranking = SparseMultipleNegativesRankingLoss(model)
    loss = SpladeLoss(model, loss=ranking, document_regularizer_weight=5e-5, query_regularizer_weight=3e-5)
    queries, documents = token_ids(chosen)
    columns = [queries, documents[: chosen.triples], documents[chosen.triples :]]

    def step() -> Any:
        found = loss([{"input_ids": ids, "attention_mask": torch.ones_like(ids)} for ids in columns])
        return sum(found.values()) if isinstance(found, dict) else found

    return step, list(model.parameters())


def token_ids(chosen: argparse.Namespace) -> tuple[Any, Any]:
    """Queries (N, L) and documents (2N, L): the positives, then the negatives."""
    import torch

    generator = torch.Generator().manual_seed(7)
    shape = (chosen.triples, chosen.tokens)
    queries = torch.randint(2000, 20000, shape, generator=generator)
    documents = torch.randint(2000, 20000, (2 * shape[0], shape[1]), generator=generator)
    for ids in (queries, documents):
        ids[:, 0], ids[:, -1] = 101, 102
    return queries, documents


if __name__ == "__main__":
    main()
