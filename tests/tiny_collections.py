"""A judged collection of a few documents, the teachers and files that recipes name, all small enough for a unit test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCUMENTS = [
    "the cats and dogs running in the park",
    "weather now in the park",
    "heat flow of a wing and pressure",
    "shock and boundary layer of a wing",
    "vaccine dose and blood protein",
    "blood cell and protein cell",
    "dogs and cats",
    "what is heat",
]
QUERIES = [("q0", "cats running", 0), ("q1", "weather", 1), ("q2", "heat of a wing", 2), ("q3", "boundary layer", 3)]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_collection(folder: Path, splits: tuple[str, ...] = ("train", "dev")) -> Path:
    """A BEIR folder: 8 documents with titles, 4 queries with one positive each."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    documents = [{"_id": f"d{i}", "title": text.split()[0], "text": text} for i, text in enumerate(DOCUMENTS)]
    write_jsonl(folder / "corpus.jsonl", documents)
    write_jsonl(folder / "queries.jsonl", [{"_id": q, "text": text} for q, text, _ in QUERIES])
    judged = "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\td{d}\t2\n" for q, _, d in QUERIES)
    for split in splits:
        (folder / "qrels" / f"{split}.tsv").write_text(judged)
    return folder


def write_scores(path: Path) -> Path:
    """A score for every query and document, by id."""
    return write_jsonl(
        path,
        [
            {"query": q, "document": f"d{i}", "score": float(i == d) + 0.1 * i}
            for q, _, d in QUERIES
            for i in range(len(DOCUMENTS))
        ],
    )


def write_triples(path: Path) -> Path:
    """Each query with its positive, one negative and the scores of both."""
    return write_jsonl(
        path,
        [
            {"query": text, "positive": DOCUMENTS[d], "negatives": [DOCUMENTS[d - 1]], "scores": [2.0, 0.5]}
            for _, text, d in QUERIES
        ],
    )


def write_vectors(path: Path) -> Path:
    """A teacher's sparse vector for each document."""
    return write_jsonl(
        path, [{"_id": str(i), "text": text, "vector": {"cats": 100, "park": 30}} for i, text in enumerate(DOCUMENTS)]
    )
