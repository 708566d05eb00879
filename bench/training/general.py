"""The general encoder, trained and judged: the tables of its stages and collections in docs/results.md, from one command.

    python -m bench.training.general --data DIR [--work runs] [--only '*/cranfield'] [--output bench/results/general.json]

DIR holds the zips or folders the recipes name. Stages: untrained (the recipe's model section, nothing learnt), masked_lm
(two and a half minutes of configs/masked_lm_warmup.yaml on the general collections; a branch of its own, nothing starts from it),
vectors (configs/general.yaml, the model itself), short (the same with 450 steps), ranked (configs/general_ranked.yaml). Models and rows that are there are
not made again. `--table` prints the Markdown without running anything.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLLECTIONS = ("arxiv-title-abstract", "medquad", "medical-forum-qa", "multihop-mini")
SAME_MODEL = {"model.lexical_residual": "true", "model.top_k_document": 240, "model.max_document_length": 512}

LABELS = {
    "BM25": "BM25",
    "untrained": "untrained",
    "masked_lm": "masked-LM warm-up",
    "short": "vectors of SPLADE, 450 steps",
    "vectors": "vectors of SPLADE (general)",
    "ranked": "+ ranking",
}

JUDGED = (
    ("vectors", "scifact", "test"),
    ("vectors", "nfcorpus", "test"),
    ("vectors", "cranfield", "test"),
    ("vectors", "msmarco-dl1920-pool", "dl19"),
    ("vectors", "medquad", "test"),
    ("untrained", "cranfield", "test"),
    ("masked_lm", "cranfield", "test"),
    ("ranked", "cranfield", "test"),
    ("ranked", "nfcorpus", "test"),
    ("ranked", "scifact", "test"),
    ("untrained", "nfcorpus", "test"),
    ("untrained", "scifact", "test"),
    ("short", "cranfield", "test"),
    ("short", "nfcorpus", "test"),
    ("short", "scifact", "test"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the collections")
    parser.add_argument("--vectors", type=Path, help="folder with the teacher vectors; default: DIR/../vectors")
    parser.add_argument("--work", type=Path, default=Path("runs"))
    parser.add_argument("--only", default="*", help="pattern over STAGE/COLLECTION")
    parser.add_argument("--output", type=Path, default=Path("bench/results/general.json"))
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = json.loads(chosen.output.read_text()) if chosen.output.exists() else []
    if not chosen.table:
        if chosen.data is None:
            parser.error("--data: where are the collections?")
        for stage, collection, split in JUDGED:
            known = any((row["stage"], row["dataset"]) == (stage, collection) for row in rows)
            if known or not fnmatch.fnmatch(f"{stage}/{collection}", chosen.only):
                continue
            rows += judge(stage, collection, split, chosen)
            chosen.output.parent.mkdir(parents=True, exist_ok=True)
            chosen.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(tables(rows))


def judge(stage: str, collection: str, split: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """One model on one collection; beside the finished one, BM25."""
    model = train(stage, chosen)
    baselines = "bm25" if stage == "vectors" else ""
    record = chosen.work / "judged.json"
    sparseir(
        "evaluate", model, collection, "--split", split, "--data-dir", chosen.data, "--idf", "corpus",
        "--baselines", baselines, "--output", record, "--overwrite",
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(record.read_text())
    return [{"stage": stage if row["system"] != "BM25" else "BM25", **row} for row in found]


def train(stage: str, chosen: argparse.Namespace) -> Path:
    """The model folder of a stage, made with what it starts from unless it is there."""
    folder = Path(chosen.work) / ("general" if stage == "vectors" else f"general_{stage}")
    if (folder / "sparseir.json").exists():
        return folder
    vectors = chosen.vectors or chosen.data.parent / "vectors"
    files = [str(vectors / f"splade-{name}-texts.jsonl.gz") for name in ("v3", "pp-ed")]
    datasets = {"data.dataset": [str(chosen.data / f"{name}.zip") for name in COLLECTIONS]}
    recipes: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
        "untrained": (
            "general",
            lambda: {"data.vectors": files, "train.steps": 1, "train.learning_rate": 1e-12, "train.head_learning_rate": 1e-12},
        ),
        "masked_lm": (
            "masked_lm_warmup",
            lambda: {**datasets, **SAME_MODEL, "data.max_documents": 8000, "train.dropout": "false", "train.max_minutes": 2.5},
        ),
        "vectors": ("general", lambda: {"data.vectors": files}),
        "short": ("general", lambda: {"data.vectors": files, "train.steps": 450}),
        "ranked": ("general_ranked", lambda: {**datasets, "train.start_from": train("vectors", chosen)}),
    }  # fmt: skip
    recipe, settings = recipes[stage]
    overrides = [part for key, value in settings().items() for part in ("--set", f"{key}={value}")]
    sparseir("train", recipe, "--output", folder, *overrides)
    return folder


def sparseir(*arguments: object) -> None:
    """Run a command of the project."""
    subprocess.run([sys.executable, "-m", "sparseir.cli", *map(str, arguments)], check=True, stdout=sys.stderr)


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: the model beside BM25 on every collection, then the stages on those where they were judged."""
    names = list(dict.fromkeys(collection for _, collection, _ in JUDGED))
    order = ("BM25", "untrained", "masked_lm", "short", "vectors", "ranked")
    rows = sorted(rows, key=lambda row: (names.index(row["dataset"]), order.index(row["stage"])))
    staged = {row["dataset"] for row in rows if row["stage"] not in ("BM25", "vectors")}
    final = [row for row in rows if row["stage"] in ("BM25", "vectors")]
    return "\n\n".join(_table(part) for part in (final, [row for row in rows if row["dataset"] in staged]))


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| collection | system | nDCG@10 | RR@10 | R@100 | document terms | query terms | FLOPS |",
        "|---|---|---|---|---|---|---|---|",
    ]
    costs = (("document_terms", ".0f"), ("query_terms", ".1f"), ("flops", ".2f"))
    for row in rows:
        quality = " | ".join(f"{row['measures'][m]:.4f}"[1:] for m in ("nDCG@10", "RR@10", "R@100"))
        cost = " | ".join(_number(row[key], form) for key, form in costs)
        lines.append(f"| {row['dataset']} ({row['split']}) | {LABELS[row['stage']]} | {quality} | {cost} |")
    return "\n".join(lines)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    main()
