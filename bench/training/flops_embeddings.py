"""Dense embeddings made sparse by FLOPS (Paria et al. 2020): speed against recall on our engine, over a grid of λ.

    python -m bench.training.flops_embeddings --data FOLDER [--embeddings docs.npy --query-embeddings queries.npy] [--output FILE]

A row is one run of the recipe `flops_embeddings`, indexed and searched one query after another on one thread; the first is
the dense embeddings themselves, which no training has seen, searched by one product with the matrix. R_sub is of the
documents; "dense hits" is the share of the ten nearest documents by the dense embeddings that are among the ten found; "speedup"
is what the overlap predicts, d / FLOPS, the dimensions of the embeddings over the mean number of products a document.
Embeddings are read from files where they are given (docs/training.md), and else made once a run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

LAMBDAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_DEPTH = 10
_COLUMNS = (
    "lambda",
    "document_terms",
    "query_terms",
    "flops",
    "speedup",
    "r_sub",
    "ndcg_10",
    "recall_100",
    "dense_hits",
    "p50_ms",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="BEIR folder, zip or name, with train and test judgements")
    parser.add_argument("--embeddings", help="X.npy of its documents")
    parser.add_argument("--query-embeddings", help="X.npy of its queries")
    parser.add_argument("--work", type=Path, default=Path("runs/flops_embeddings"))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--lambdas", default=",".join(map(str, LAMBDAS)))
    parser.add_argument("--set", action="append", default=[], help="a key of the recipe; repeatable")
    parser.add_argument("--output", type=Path, help="the rows, as JSON")
    options = parser.parse_args()
    rows = measure(options)
    print(table(rows))
    if options.output is not None:
        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The row of the dense embeddings, and a row a λ."""
    from sparseir.config.recipe import load_recipe
    from sparseir.data import open_dataset
    from sparseir.evaluate.judged import JudgedCollection
    from sparseir.models import SparseEncoder
    from sparseir.train import train

    collection = JudgedCollection.read(open_dataset(options.data), "test")
    rows: list[dict[str, Any]] = []
    for weight in map(float, options.lambdas.split(",")):
        kind = "flops" if weight else "none"
        values = {
            "data.dataset": options.data, "data.embeddings": options.embeddings,
            "data.query_embeddings": options.query_embeddings, "regulariser.kind": kind,
            "regulariser.lambda_document": weight or 0.1, "regulariser.lambda_query": weight,
            "regulariser.ramp_steps": options.steps // 2, "train.steps": options.steps,
        }  # fmt: skip
        overrides = [f"{key}={json.dumps(value)}" for key, value in values.items()]
        folder = options.work / f"lambda-{weight:g}"
        shutil.rmtree(folder, ignore_errors=True)
        train(load_recipe("flops_embeddings", [*overrides, *options.set]), folder)
        encoder = SparseEncoder.load(folder, device="cpu")
        if not rows:
            dense = embeddings(encoder, collection, options)  # the frozen network's: of every λ the same
            rows.append({"lambda": None, **searched_dense(dense, collection)})
        rows.append({"lambda": weight, **searched(encoder, dense, collection, options)})
        print(f"λ {weight:g} done", file=sys.stderr)
    return rows


def embeddings(encoder: Any, collection: Any, options: argparse.Namespace) -> tuple[Any, Any]:
    """Those of the documents and of the queries, (N, d) each."""
    from sparseir.models.codes import DenseCodes

    codes = DenseCodes(encoder)
    documents, queries = collection.documents, collection.queries
    return (
        _rows(options.embeddings, [d.docno for d in documents], lambda: codes.embed([d.content for d in documents])),
        _rows(
            options.query_embeddings, [q.qid for q in queries],
            lambda: codes.embed([q.text for q in queries], query=True),
        ),
    )  # fmt: skip


def searched_dense(dense: tuple[Any, Any], collection: Any) -> dict[str, Any]:
    """What the embeddings themselves cost, by one product a query, and what they find."""
    import numpy as np

    from sparseir.evaluate.systems.costs import query_costs

    documents, queries = dense

    def nearest(query: Any, k: int) -> tuple[Any, Any]:
        scores = documents @ query
        best = np.argpartition(-scores, k - 1)[:k] if k < len(scores) else np.arange(len(scores))
        order = best[np.argsort(-scores[best], kind="stable")]
        return order, scores[order]

    names = [d.docno for d in collection.documents]
    rows = [nearest(query, min(100, len(names))) for query in queries]
    found, scores = [[names[i] for i in order] for order, _ in rows], [given.tolist() for _, given in rows]
    costs = query_costs(lambda query: nearest(query, min(_DEPTH, len(names))), list(queries))
    size = documents.shape[1]
    return {
        "document_terms": size, "query_terms": size, "flops": size, "speedup": 1.0, "r_sub": 1.0,
        **_quality(collection, found, scores), "dense_hits": 1.0, "p50_ms": costs.p50_ms,
    }  # fmt: skip


def searched(encoder: Any, dense: tuple[Any, Any], collection: Any, options: argparse.Namespace) -> dict[str, Any]:
    """What the vectors cost, and what they find."""
    import numpy as np

    from indexer import Documents, build_index
    from sparseir.encode.activity import Activity
    from sparseir.evaluate.systems.costs import query_costs
    from sparseir.models.codes import DenseCodes
    from sparseir.search.searcher import Searcher

    names = [d.docno for d in collection.documents]
    documents, queries = (DenseCodes(encoder).encode(matrix) for matrix in dense)
    asked, given = Activity(), Activity()
    asked.add(queries)
    given.add(documents)
    path = options.work / "index"
    build_index(path, [Documents(documents, names)], overwrite=True)
    searcher = Searcher.open(path)
    found, scores = searcher.named(searcher.search_vectors(queries, 100))
    nearest = np.argsort(-(dense[1] @ dense[0].T), axis=1, kind="stable")[:, :_DEPTH]
    hits = [
        len({names[i] for i in row} & set(mine[:_DEPTH])) / _DEPTH for row, mine in zip(nearest, found, strict=True)
    ]
    single = [queries.slice(i, i + 1) for i in range(len(queries))]
    costs = query_costs(lambda row: searcher.search_vectors(row, _DEPTH), single)
    flops = asked.flops(given)
    return {
        "document_terms": given.mean_terms, "query_terms": asked.mean_terms, "flops": flops,
        "speedup": dense[0].shape[1] / flops if flops else float("inf"), "r_sub": given.sub_uniformity,
        **_quality(collection, found, scores), "dense_hits": float(np.mean(hits)), "p50_ms": costs.p50_ms,
    }  # fmt: skip


def _quality(collection: Any, found: list[list[str]], scores: list[list[float]]) -> dict[str, float]:
    from sparseir.evaluate.measures import measure as measured
    from sparseir.search.runs import run_of

    run = run_of([q.qid for q in collection.queries], found, scores)
    values = measured(collection.qrels, run, ["nDCG@10", "R@100"])
    return {"ndcg_10": values["nDCG@10"], "recall_100": values["R@100"]}


def _rows(path: str | None, names: list[str], embed: Any) -> Any:
    """Embeddings by name from a file, or made here."""
    from sparseir.data.embeddings import Embeddings

    if path is None:
        return embed()
    given = Embeddings.open(path)
    return given.of(names, given.dimensions)


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---" * len(_COLUMNS) + "|"]
    lines += [
        "| " + " | ".join("dense" if row[name] is None else f"{row[name]:.4g}" for name in _COLUMNS) + " |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
