"""Dense embeddings made sparse by FLOPS (Paria et al. 2020): speed against recall on our engine, over a grid of λ.

    python -m bench.training.flops_embeddings --data FOLDER [--embeddings docs.npy --query-embeddings queries.npy] [--output FILE]

A row is one run of the recipe `flops_embeddings`, indexed and searched one query after another on one thread. R_sub is of the
documents; "dense hits" is the share of the ten nearest documents by the dense embeddings that are among the ten found.
Embeddings are read from files where they are given (docs/training.md), and else made once a run.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

LAMBDAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
_DEPTH = 10
_COLUMNS = (
    "lambda",
    "document_terms",
    "query_terms",
    "flops",
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
    """A row a λ."""
    from sparseir.config.recipe import load_recipe
    from sparseir.data import open_dataset
    from sparseir.evaluate.judged import JudgedCollection
    from sparseir.models import SparseEncoder
    from sparseir.train import train

    collection = JudgedCollection.read(open_dataset(options.data), "test")
    rows = []
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
        rows.append({"lambda": weight, **searched(SparseEncoder.load(folder, device="cpu"), collection, options)})
    return rows


def searched(encoder: Any, collection: Any, options: argparse.Namespace) -> dict[str, Any]:
    """What the vectors cost, and what they find."""
    import numpy as np

    from indexer import Documents, build_index
    from sparseir.encode.activity import Activity
    from sparseir.evaluate.measures import measure as measured
    from sparseir.evaluate.systems.costs import query_costs
    from sparseir.models.codes import DenseCodes
    from sparseir.search.runs import run_of
    from sparseir.search.searcher import Searcher

    codes = DenseCodes(encoder)
    names = [d.docno for d in collection.documents]
    dense = [
        _rows(options.embeddings, names, lambda: codes.embed([d.content for d in collection.documents])),
        _rows(
            options.query_embeddings, [q.qid for q in collection.queries],
            lambda: codes.embed([q.text for q in collection.queries], query=True),
        ),
    ]  # fmt: skip
    documents, queries = (codes.encode(matrix) for matrix in dense)
    asked, given = Activity(), Activity()
    asked.add(queries)
    given.add(documents)
    path = options.work / "index"
    build_index(path, [Documents(documents, names)], overwrite=True)
    searcher = Searcher.open(path)
    found, scores = searcher.named(searcher.search_vectors(queries, 100))
    run = run_of([q.qid for q in collection.queries], found, scores)
    values = measured(collection.qrels, run, ["nDCG@10", "R@100"])
    nearest = np.argsort(-(dense[1] @ dense[0].T), axis=1, kind="stable")[:, :_DEPTH]
    hits = [
        len({names[i] for i in row} & set(mine[:_DEPTH])) / _DEPTH for row, mine in zip(nearest, found, strict=True)
    ]
    single = [queries.slice(i, i + 1) for i in range(len(queries))]
    costs = query_costs(lambda row: searcher.search_vectors(row, _DEPTH), single)
    return {
        "document_terms": given.mean_terms, "query_terms": asked.mean_terms, "flops": asked.flops(given),
        "r_sub": given.sub_uniformity, "ndcg_10": values["nDCG@10"], "recall_100": values["R@100"],
        "dense_hits": float(np.mean(hits)), "p50_ms": costs.p50_ms,
    }  # fmt: skip


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
    lines += ["| " + " | ".join(f"{row[name]:.4g}" for name in _COLUMNS) + " |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
