"""Every encoder and regulariser trained for half a minute on a small piece of a collection, through the command line's own calls.

    python -m bench.training.short_runs --data scifact.zip [--work runs/short] [--only 'splade*'] [--output bench/results/short_runs.json]

It shows that each of them trains, what its vectors cost and how sparsity answers λ. It does not show which is best: that
takes thousands of times the steps. Each row is written when it is ready and rows that are there are not run again, so the
table can be made in pieces; `--table` prints it as Markdown without running anything.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import io
import json
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAMBDA = 0.03
COMMON = {
    "model.fresh_head_bias": -4.0,
    "model.lexical_residual": False,
    "model.max_document_length": 64,
    "data.max_document_length": 64,
    "loss.info_nce": 1.0,
    "loss.kl": 0.0,
    "loss.teachers": "[]",
    "regulariser.lambda_document": LAMBDA,
    "regulariser.ramp_steps": 6,
    "train.steps": 24,
    "train.max_minutes": "null",
    "train.batch_size": 8,
    "train.sampled_terms": "null",
    "train.warmup_steps": 3,
    "train.save_every": 0,
}
PLAIN = {"regulariser.kind": "none"}
"""For encoders that weigh a text's own tokens or latents alone: there is nothing to make sparse."""


@dataclass(frozen=True, slots=True)
class Run:
    """One row: what differs from `COMMON`."""

    group: str
    name: str
    settings: dict[str, Any]


def _kind(kind: str, **more: Any) -> dict[str, Any]:
    return {"model.kind": kind, **{key.replace("__", "."): value for key, value in more.items()}}


def _flops(**more: Any) -> dict[str, Any]:
    return {"model.kind": "inference_free", **{f"regulariser.{key}": value for key, value in more.items()}}


RUNS = (
    Run("encoder", "untrained inference-free", {**_kind("inference_free"), "train.steps": 1, "train.learning_rate": 1e-12, "train.head_learning_rate": 1e-12}),
    Run("encoder", "SPLADE, max", {**_kind("splade"), "regulariser.lambda_query": LAMBDA}),
    Run("encoder", "SPLADE, sum", {**_kind("splade", model__pooling="sum"), "regulariser.lambda_query": LAMBDA}),
    Run("encoder", "SPLADE-doc", _kind("splade_doc")),
    Run("encoder", "inference-free, frozen idf", _kind("inference_free")),
    Run("encoder", "inference-free, trainable idf", _kind("inference_free", model__trainable_idf=True)),
    Run("encoder", "inference-free, ℓ0 activation", _kind("inference_free", model__activation="double_log1p")),
    Run("encoder", "inference-free, 64 largest", _kind("inference_free", model__top_k_document=64)),
    Run("encoder", "inference-free, lexical residual", _kind("inference_free", model__lexical_residual=True)),
    Run("encoder", "uniCOIL", _kind("unicoil") | PLAIN),
    Run("encoder", "DeepImpact", _kind("deepimpact") | PLAIN),
    Run("encoder", "DeepCT", _kind("deepct", loss__objective="recall") | PLAIN),
    Run("encoder", "COIL-tok", _kind("coil_tok") | PLAIN),
    Run("encoder", "COIL-full", _kind("coil_full") | PLAIN),
    Run("encoder", "BGE-M3 lexical", _kind("bge_m3") | PLAIN),
    Run("encoder", "CSR", _kind("csr", loss__info_nce=0.1, loss__reconstruction=1.0, loss__temperature=0.2, train__learning_rate=1e-3, train__steps=200) | PLAIN),
    Run("regulariser", "none", _flops(kind="none")),
    Run("regulariser", "FLOPS, all documents", _flops()),
    Run("regulariser", "FLOPS, mean of groups", _flops(grouping="mean_of_groups")),
    Run("regulariser", "FLOPS, sum of positions", _flops(grouping="sum_of_positions")),
    Run("regulariser", "L1", _flops(kind="l1", lambda_document=0.003)),
    Run("regulariser", "IDF-FLOPS, 1st form", _flops(kind="idf_flops", lambda_document=1.0) | {"model.kind": "splade_doc"}),
    Run("regulariser", "IDF-FLOPS, 2nd form (idf in the score)", _flops()),
    Run("regulariser", "ℓ0 mask at 150", _flops(l0_threshold=150)),
    Run("regulariser", "DF-FLOPS", _flops(kind="df_flops")),
    Run("regulariser", "FLOPS + anti-zero", _flops(anti_zero=1.0)),
    Run("λ", "0.003", _flops(lambda_document=0.003)),
    Run("λ", "0.03", _flops(lambda_document=0.03)),
    Run("λ", "0.3", _flops(lambda_document=0.3)),
    Run("target", "200 dims, terms revived", {**_flops(target_active_dims=200.0, lambda_document=0.003), "train.steps": 200, "train.sampled_terms": 2000, "train.revive_terms": True}),
    Run("target", "100 dims, terms revived", {**_flops(target_active_dims=100.0, lambda_document=0.003), "train.steps": 200, "train.sampled_terms": 2000, "train.revive_terms": True}),
    Run("target", "150 dims, terms revived, KL to BM25", {**_flops(target_active_dims=150.0, lambda_document=0.003), "loss.kl": 1.0, "loss.teachers": ["bm25"], "train.steps": 200, "train.sampled_terms": 2000, "train.revive_terms": True}),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", help="SciFact, or another collection with train and test judgements, as a BEIR folder or zip"
    )
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="folder or hub id of the starting weights")
    parser.add_argument("--work", type=Path, default=Path("runs/short"))
    parser.add_argument("--only", default="*", help="pattern over GROUP/NAME")
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--steps", type=int, help="instead of each row's own number, for a trial")
    parser.add_argument("--output", type=Path, default=Path("bench/results/short_runs.json"))
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    done: list[dict[str, Any]] = json.loads(chosen.output.read_text()) if chosen.output.exists() else []
    if not chosen.table:
        if chosen.data is None:
            parser.error("--data: where is the collection?")
        collection = chosen.work / "collection"
        write_subset(chosen.data, collection, chosen.documents)
        for run in RUNS:
            known = any((row["group"], row["name"]) == (run.group, run.name) for row in done)
            if known or not fnmatch.fnmatch(f"{run.group}/{run.name}", chosen.only):
                continue
            twin = next((row for row in done if row["settings"] == run.settings), None)
            figures = execute(run, collection, chosen) if twin is None else twin
            done.append({**figures, "group": run.group, "name": run.name})
            chosen.output.parent.mkdir(parents=True, exist_ok=True)
            chosen.output.write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(done))


def write_subset(source: str, folder: Path, size: int) -> None:
    """A BEIR folder of 200 train and 100 test queries, all their judged documents and random others up to `size`."""
    from sparseir.data import open_dataset

    dataset = open_dataset(source)
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    kept, queries = set(), []
    for split, count in (("train", 200), ("test", 100)):
        qrels, lines = dataset.qrels(split), ["query-id\tcorpus-id\tscore"]
        for query in dataset.queries(split)[:count]:
            queries.append({"_id": query.qid, "text": query.text})
            lines += [f"{query.qid}\t{docno}\t{grade}" for docno, grade in qrels[query.qid].items()]
            kept |= set(qrels[query.qid])
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    documents = list(dataset.corpus())
    others = [d.docno for d in documents if d.docno not in kept]
    kept |= set(random.Random(0).sample(others, max(0, min(len(others), size - len(kept)))))
    rows = [{"_id": d.docno, "title": d.title, "text": d.text} for d in documents if d.docno in kept]
    for name, objects in (("corpus", rows), ("queries", queries)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def execute(run: Run, collection: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Train and evaluate one row."""
    model = chosen.work / "model"
    shutil.rmtree(model, ignore_errors=True)
    settings = {**COMMON, "model.base": chosen.base, **run.settings, "data.dataset": str(collection)}
    if chosen.steps is not None:
        settings["train.steps"] = chosen.steps
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={_text(value)}")]
    start = time.process_time()
    trained = _command(["train", "scifact", "--output", str(model), "--json", *overrides])
    train_seconds = time.process_time() - start
    idf = (
        "corpus" if settings["model.kind"] == "inference_free" and not settings.get("model.trainable_idf") else "model"
    )
    judged = _command(
        ["evaluate", str(model), str(collection), "--idf", idf, "--baselines", "", "--no-lexical", "--json"]
    )
    row = {
        "group": run.group,
        "name": run.name,
        "settings": run.settings,
        "steps": trained["steps"],
        "ndcg_10": judged["measures"]["nDCG@10"],
        **{key: judged[key] for key in ("document_terms", "query_terms", "flops", "num_documents", "num_queries")},
        "last_lambda": trained.get("lambda_document"),
        **{key: trained[key] for key in ("document_terms_before_fit", "bias_shift") if key in trained},
        "train_cpu_seconds": round(train_seconds, 1),
    }
    print(json.dumps(row, ensure_ascii=False), flush=True)
    return row


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _command(arguments: list[str]) -> dict[str, Any]:
    """The last JSON object a command of `sparseir` prints."""
    from sparseir.cli import run

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run(arguments)
    if code:
        raise SystemExit(f"sparseir {' '.join(arguments)} ended with {code}")
    result: dict[str, Any] = json.loads(out.getvalue().strip().splitlines()[-1])
    return result


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, in the order of `RUNS`."""
    lines = [
        "| | | nDCG@10 | document terms | query terms | FLOPS | last λ | steps | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    by_name = {(row["group"], row["name"]): row for row in rows}
    for run in RUNS:
        row = by_name.get((run.group, run.name))
        if row is None:
            continue
        strength = row["last_lambda"] if row["settings"].get("regulariser.kind") != "none" else None
        lines.append(
            f"| {run.group} | {run.name} | {row['ndcg_10']:.3f} | {row['document_terms']:.0f} | {row['query_terms']:.1f} "
            f"| {row['flops']:.2f} | {'–' if strength is None else f'{strength:.3g}'} | {row['steps']} "
            f"| {row['train_cpu_seconds']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
