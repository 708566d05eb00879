"""Documents a second, ours beside sentence-transformers, same texts, same model, interleaved rounds, one thread.

    python -m bench.training.encode [--rounds 5] [--documents 64] [--tokens 128] [--threads 1] [--model FOLDER] [--output encode.json]

The model is MiniLM-L6 with a fresh identity head whose bias leaves about 200 active terms, as trained models have, or one that
was saved. "screened head" is ours with the head of processors that multiply no tiles of bfloat16.
Times are CPU seconds of the process divided by the threads, since other work on the machine disturbs the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sparseir.config.model import ModelConfig
from sparseir.models import SparseEncoder
from sparseir.models.head.screen import VocabularyScreen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bias", type=float, default=-7.5)
    parser.add_argument("--model", help="a saved model instead")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(chosen, folder)
    text = json.dumps(result, indent=1)
    if chosen.output:
        chosen.output.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure(chosen: argparse.Namespace, folder: str) -> dict[str, Any]:
    from sentence_transformers import SparseEncoder as Reference

    config = ModelConfig(kind="splade", fresh_head_bias=chosen.bias, max_document_length=chosen.tokens)
    ours = SparseEncoder.load(chosen.model) if chosen.model else SparseEncoder.from_config(config)
    ours.save(folder)
    screened = SparseEncoder.load(folder)
    tower = screened._copies.of(screened.document_tower, torch.bfloat16)
    tower.frozen_head = VocabularyScreen(tower.backbone.decoder.weight, tower.backbone.decoder.bias)
    reference = {
        "sentence-transformers float32": Reference(folder, device="cpu"),
        "sentence-transformers bfloat16": Reference(folder, device="cpu", model_kwargs={"dtype": torch.bfloat16}),
    }
    texts = make_texts(ours, chosen.documents, chosen.tokens)
    runs: dict[str, Callable[[], Any]] = {
        "sparseir native": lambda: ours.encode_documents(texts, dtype="native"),
        "sparseir native, screened head": lambda: screened.encode_documents(texts, dtype="native"),
        "sparseir float32": lambda: ours.encode_documents(texts, dtype="float32"),
    }
    for name, model in reference.items():
        for size in (32, 8):
            runs[f"{name}, batches of {size}"] = lambda model=model, size=size: model.encode_document(
                texts, batch_size=size, show_progress_bar=False
            )
    autocast = reference["sentence-transformers float32"]

    def with_autocast() -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return autocast.encode_document(texts, batch_size=32, show_progress_bar=False)

    runs["sentence-transformers autocast"] = with_autocast
    backbone = ours._copies.of(ours.document_tower, torch.bfloat16).backbone
    features = [ours.tokenize_documents(texts[i : i + 8]) for i in range(0, len(texts), 8)]

    def without_head() -> None:
        with torch.inference_mode():
            for batch in features:
                backbone(batch)

    runs["bound: bfloat16 network without head"] = without_head
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(chosen.rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            seconds[name].append((time.process_time() - start) / chosen.threads)
    vectors = ours.encode_documents(texts, dtype="native")
    rates = {name: round(len(texts) / statistics.median(s), 1) for name, s in seconds.items()}
    best = max(rate for name, rate in rates.items() if name.startswith("sentence-transformers"))
    return {
        "documents": len(texts),
        "tokens": chosen.tokens,
        "threads": chosen.threads,
        "active_dims": round(vectors.nnz / len(texts), 1),
        "documents_per_second": rates,
        "times_best_sentence_transformers": round(rates["sparseir native"] / best, 2),
        "torch": torch.__version__,
    }


def make_texts(encoder: SparseEncoder, count: int, tokens: int) -> list[str]:
    """Texts of whole words that fill the length."""
    words = [w for w in encoder.terms()[2000:12000] if w.isalpha()]
    generator = torch.Generator().manual_seed(7)
    picks = torch.randint(len(words), (count, tokens), generator=generator).tolist()
    return [" ".join(words[i] for i in row) for row in picks]


if __name__ == "__main__":
    main()
