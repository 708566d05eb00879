"""COIL's exact search by bounds against scoring every document by its stored token vectors.

    python -m bench.search.coil INDEX COLLECTION --model MODEL [--split test] [--queries 300] [--k 10] [--rounds 3] [--json out.json]

INDEX was built with --token-vectors; COLLECTION is a BEIR folder or zip, whose queries are asked. Three ways in turns, query by
query, one thread:

- `bounds`: `search --rerank exact`, reading documents by falling bound from the files until it may stop;
- `all`: the formula that training and reranking use (`coil_scores`) over the tokens of all documents at once;
- `lists`: every document too, by lists of the token vectors of each term, as luyug/COIL's retriever scores them: the lists of
  the query's terms alone are read.

The two that score everything hold all vectors in memory as float32, which `bounds` does not. Encoding the query, the same for all,
is left out. Figures are CPU milliseconds a query, medians over rounds of the mean over queries, and quantiles of each query's
best round; scored: documents whose token vectors were compared. The scores of the k best are compared, place by place, within 1e-4.

The models of docs/training.md are made by `sparseir train coil_full` (and coil_tok) with `--set model.base=all-MiniLM-L6-v2
data.dataset=scifact.zip model.max_query_length=64 train.steps=24 train.warmup_steps=3 train.learning_rate=2e-5
train.head_learning_rate=1e-3 data.num_negatives=1 loss.in_batch=true train.device=cpu`, one --set each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.data import open_dataset
from sparseir.data.stores.tokens import TokenStore, TokenVectors
from sparseir.search.exact_top import search_exactly
from sparseir.search.rerank import CoilReranker
from sparseir.search.searcher import Searcher

Best = tuple[NDArray[np.int64], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Everything:
    """All stored vectors in memory: text, terms (T,), vectors (T, D) float32, whole (N, C) float32."""

    text: NDArray[np.int64]
    terms: NDArray[np.int64]
    vectors: NDArray[np.float32]
    whole: NDArray[np.float32]

    @classmethod
    def of(cls, store: TokenStore) -> Everything:
        joined = TokenVectors.concatenate(store.parts)
        text = np.repeat(np.arange(len(joined)), np.diff(joined.starts))
        return cls(
            text, joined.terms.astype(np.int64), joined.vectors.astype(np.float32), joined.whole.astype(np.float32)
        )


def all_at_once(held: Everything) -> Callable[[TokenVectors], NDArray[np.float32]]:
    """Scores of every document by `coil_scores`."""
    import torch

    from sparseir.models.towers.coil import TokenBatch, coil_scores

    text, terms, vectors = (torch.from_numpy(part) for part in (held.text, held.terms, held.vectors))
    documents = TokenBatch(text, terms, vectors, len(held.whole), torch.from_numpy(held.whole))

    def scores(query: TokenVectors) -> NDArray[np.float32]:
        asked = TokenBatch(
            torch.zeros(len(query.terms), dtype=torch.int64),
            torch.from_numpy(query.terms.astype(np.int64)),
            torch.from_numpy(query.vectors),
            1,
            torch.from_numpy(query.whole),
        )
        found: NDArray[np.float32] = coil_scores(asked, documents)[0].numpy()
        return found

    return scores


def by_lists(held: Everything) -> Callable[[TokenVectors], NDArray[np.float32]]:
    """Scores of every document from the lists of the query's terms."""
    order = np.lexsort((held.text, held.terms))
    terms, text, vectors = held.terms[order], held.text[order], held.vectors[order]

    def scores(query: TokenVectors) -> NDArray[np.float32]:
        out = (held.whole @ query.whole[0]).astype(np.float32)
        begins, ends = (np.searchsorted(terms, query.terms, side) for side in ("left", "right"))
        for begin, end, vector in zip(begins, ends, query.vectors, strict=True):
            if begin == end:
                continue
            documents = text[begin:end]
            first = np.flatnonzero(np.diff(documents, prepend=-1))
            best = np.maximum.reduceat(vectors[begin:end] @ vector, first)
            out[documents[first]] += np.maximum(best, 0)
        return out

    return scores


def top(scores: NDArray[np.float32], k: int) -> Best:
    """The k best, ties by the smaller number."""
    kept = np.argpartition(-scores, min(k, len(scores) - 1))[: k + 1] if k < len(scores) else np.arange(len(scores))
    order = kept[np.lexsort((kept, -scores[kept]))][:k]
    return order, scores[order]


def differences(found: Best, expected: Best) -> int:
    """Places where two rankings differ by more than rounding; a search finds no document that shares no term, which scores 0."""
    scores = np.zeros(len(expected[1]), np.float32)
    scores[: len(found[1])] = found[1]
    return int((np.abs(scores - expected[1]) > 1e-4).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("collection")
    parser.add_argument("--model", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    searcher = Searcher.open(chosen.index, model=chosen.model, num_threads=1)
    reranker = CoilReranker.of(searcher)
    if reranker.store is None:
        parser.error(f"{chosen.index} has no token vectors; build it with --token-vectors")
    held = Everything.of(reranker.store)
    texts = [query.text for query in open_dataset(chosen.collection).queries(chosen.split)[: chosen.queries]]
    result = measure(searcher, reranker, held, texts, k=chosen.k, rounds=chosen.rounds)
    print(table(result))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure(
    searcher: Searcher, reranker: CoilReranker, held: Everything, texts: list[str], *, k: int, rounds: int
) -> dict[str, Any]:
    """Every way over every query, in turns."""
    asked = [reranker.query(text) for text in texts]
    current: list[TokenVectors] = []
    reranker.query = lambda text: current[0]  # type: ignore[method-assign]  # not timed
    ways = {"all": all_at_once(held), "lists": by_lists(held)}
    seconds: dict[str, list[list[float]]] = {name: [] for name in ("bounds", *ways)}
    scored, different = [], dict.fromkeys(ways, 0)
    for _ in range(rounds):
        for name in seconds:
            seconds[name].append([])
        for text, query in zip(texts, asked, strict=True):
            current[:] = [query]
            start = time.process_time()
            found = search_exactly(reranker, searcher, text, k)
            seconds["bounds"][-1].append(time.process_time() - start)
            scored.append(found.scored)
            for name, scores in ways.items():
                start = time.process_time()
                expected = top(scores(query), k)
                seconds[name][-1].append(time.process_time() - start)
                different[name] += differences((found.hits.ordinals, found.hits.scores), expected)
    return {
        "documents": len(held.whole),
        "tokens": len(held.terms),
        "token_dim": held.vectors.shape[1],
        "cls_dim": held.whole.shape[1],
        "queries": len(texts),
        "query_tokens": float(np.mean([len(query.terms) for query in asked])),
        "k": k,
        "rounds": rounds,
        "scored": {"mean": float(np.mean(scored)), "p50": float(np.median(scored)), "most": int(np.max(scored))},
        "different": different,
        "cpu_ms": {name: _figures(rows) for name, rows in seconds.items()},
    }


def _figures(rows: list[list[float]]) -> dict[str, float]:
    every = 1000 * np.array(rows)
    best = every.min(axis=0)
    return {
        "mean": float(np.median(every.mean(axis=1))),
        "p50": float(np.median(best)),
        "p99": float(np.quantile(best, 0.99)),
    }


def table(result: dict[str, Any]) -> str:
    """As Markdown."""
    lines = [
        f"{result['documents']:,} documents, {result['tokens']:,} tokens of {result['token_dim']} dimensions, texts of "
        f"{result['cls_dim']}; {result['queries']} queries of {result['query_tokens']:.1f} tokens, k = {result['k']}; places that "
        f"differ: {result['different']}",
        "",
        "| | documents scored | CPU ms | p50 | p99 |",
        "|---|---|---|---|---|",
    ]
    for name, figures in result["cpu_ms"].items():
        count = f"{result['scored']['mean']:.0f}, at most {result['scored']['most']}" if name == "bounds" else "all"
        lines.append(f"| {name} | {count} | {figures['mean']:.2f} | {figures['p50']:.2f} | {figures['p99']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
