"""`sparseir evaluate`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments as typer

BASELINES = ("bm25", "dense", "hybrid")


def evaluate_command(
    model: Annotated[str, typer.Argument(help="Model folder or hub id.")],
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET...", help="BEIR folders, zips or names.")],
    split: Annotated[str, typer.Option(help="Which judgements: qrels/<split>.tsv.")] = "test",
    baselines: Annotated[str, typer.Option(help="Comma-separated: bm25, dense, hybrid; empty for none.")] = "bm25",
    measures: Annotated[str, typer.Option(help="Comma-separated names of ir-measures.")] = "nDCG@10,RR@10,R@100",
    k: Annotated[int, typer.Option("-k", min=1, help="Depth of the runs.")] = 1000,
    idf: Annotated[
        str,
        typer.Option(
            help="Query weights of inference-free models: 'model', or 'corpus' to count them on each collection."
        ),
    ] = "model",
    lexical: Annotated[
        bool, typer.Option("--lexical", help="Index a BM25 channel of stemmed words beside the model's terms.")
    ] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Where BEIR names are looked for and downloaded to.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder for the run files.")] = None,
    indexes: Annotated[Path | None, typer.Option(help="Folder to keep the indexes in.")] = None,
    dense_model: Annotated[str, typer.Option(help="Embedder of the dense baseline.")] = "all-MiniLM-L6-v2",
    dense_length: Annotated[int, typer.Option(min=8, help="Tokens of a text it reads.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a system and collection.")] = False,
) -> None:
    """Judge a model on collections: quality beside cost, beside baselines.

    examples:
      sparseir evaluate model path/to/beir-folder --baselines bm25
    """
    from sparseir.cli.console import emit_json, print_table, progress_bars
    from sparseir.cli.outputs import check_output
    from sparseir.evaluate.evaluation import evaluate
    from sparseir.evaluate.options import EvaluationOptions
    from sparseir.evaluate.report import table

    wanted = _names(baselines, BASELINES, "--baselines")
    if idf not in ("model", "corpus"):
        raise typer.BadParameter(f"--idf is {idf!r}; expected model or corpus")
    if output is not None:
        check_output(output, overwrite=overwrite)
    options = EvaluationOptions(
        split=split,
        k=k,
        measures=tuple(m.strip() for m in measures.split(",") if m.strip()),
        baselines=wanted,
        corpus_idf=idf == "corpus",
        lexical=lexical,
        data_dir=data_dir,
        runs=runs,
        indexes=indexes,
        dense_model=dense_model,
        dense_length=dense_length,
        device=device,
        overwrite=overwrite,
    )
    results = []
    with progress_bars() as progress:
        for result in evaluate(model, datasets, options, progress=progress):
            results.append(result)
            if json:
                emit_json(result.as_json())
    if output is not None:
        text = json_module.dumps([r.as_json() for r in results], indent=1, ensure_ascii=False)
        output.write_text(text + "\n", encoding="utf-8")
    if not json:
        for name in dict.fromkeys(r.dataset for r in results):
            rows = [r for r in results if r.dataset == name]
            title = f"{name} ({rows[0].split}): {rows[0].num_documents:,} documents, {rows[0].num_queries:,} queries"
            print_table(title, *table(rows))


def _names(text: str, allowed: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(n.strip() for n in text.split(",") if n.strip())
    unknown = [n for n in names if n not in allowed]
    if unknown:
        raise typer.BadParameter(f"{option}: unknown {', '.join(unknown)}; there are {', '.join(allowed)}")
    return names
