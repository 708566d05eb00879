"""`sparseir demo`: the whole chain on real text, in minutes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments as typer
from sparseir.cli.config import Recipe
from sparseir.cli.options import Quiet

if TYPE_CHECKING:
    from sparseir.data import Dataset
    from sparseir.evaluate.judged import JudgedCollection
    from sparseir.evaluate.report import SystemResult

_SHOWN_QUERIES = 3
_SHOWN_HITS = 3
_SHOWN_TERMS = 6


def demo_command(
    config: Recipe = "demo",
    output: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path("runs/demo"),
    data: Annotated[
        str | None, typer.Option(help="BEIR folder, zip or name; without it, the docstrings of this machine's Python.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one value of the recipe; repeatable."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier demo wrote.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train an encoder, build an index, search it and evaluate it, on text this machine has.

    examples:
      sparseir demo
      sparseir demo --data scifact.zip --output runs/scifact
    """
    from sparseir.cli.console import note, print_table, progress_bars
    from sparseir.cli.outputs import clear_folder
    from sparseir.config.recipe import load_recipe
    from sparseir.data import open_dataset
    from sparseir.evaluate.report import table
    from sparseir.train import train

    start = time.perf_counter()
    load_recipe(config, overrides or ())  # its faults come before the work
    clear_folder(output, overwrite=overwrite)
    dataset = open_dataset(data) if data is not None else _docstrings(output / "collection")
    path = data if data is not None else str(output / "collection")
    split = "train" if "train" in dataset.splits else ""
    recipe = load_recipe(config, [*(overrides or ()), f"data.dataset={path}", f"data.split={split!r}"])
    note(f"1. training on {dataset.name} ({config})")
    with progress_bars(quiet=quiet) as progress:
        trained = train(recipe, output / "model", progress=progress)
    note(f"   {trained.seconds:.0f} s → {output / 'model'}")
    note("2. encoding, indexing and evaluating beside BM25")
    results, collection = _evaluate(output, dataset, quiet=quiet)
    note("3. searching")
    _show_hits(output, collection)
    print()
    sparse = results[-1]
    title = f"{sparse.dataset} ({sparse.split}): {sparse.num_documents:,} documents, {sparse.num_queries:,} queries"
    print_table(title, *table(results))
    figures = [r.as_json() for r in results]
    (output / "results.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(
        f"\neverything is in {output} (model, index, run files, results.json); {time.perf_counter() - start:.0f} s in all"
    )
    print(f'try: sparseir search {output / "index"} "your own words"')


def _docstrings(folder: Path) -> Dataset:
    from sparseir.cli.console import note
    from sparseir.data import open_dataset, write_docstring_collection

    note("0. collecting docstrings of the standard library and the installed packages")
    write_docstring_collection(folder)
    return open_dataset(folder)


def _evaluate(output: Path, dataset: Dataset, *, quiet: bool) -> tuple[list[SystemResult], JudgedCollection]:
    from sparseir.cli.console import progress_bars
    from sparseir.evaluate.judged import JudgedCollection
    from sparseir.evaluate.options import EvaluationOptions
    from sparseir.evaluate.sparse import evaluate_bm25, evaluate_encoder
    from sparseir.models.encoder import SparseEncoder

    options = EvaluationOptions(corpus_idf=True)
    collection = JudgedCollection.read(dataset, options.split)
    encoder = SparseEncoder.load(output / "model")
    with progress_bars(quiet=quiet) as progress:
        sparse = evaluate_encoder(encoder, collection, output / "index", options, progress=progress)
    bm25 = evaluate_bm25(collection, options)
    return [bm25, sparse], collection


def _show_hits(output: Path, collection: JudgedCollection) -> None:
    from sparseir.search.results import snippet
    from sparseir.search.searcher import Searcher

    searcher = Searcher.open(output / "index")
    step = max(1, len(collection.queries) // _SHOWN_QUERIES)
    for query in collection.queries[::step][:_SHOWN_QUERIES]:
        judged = collection.qrels[query.qid]
        print(f"\nquery: {query.text}")
        hits = searcher.search(query.text, _SHOWN_HITS)
        for rank, hit in enumerate(hits, 1):
            terms = searcher.explain(query.text, hit.docno).terms[:_SHOWN_TERMS]
            mark = "relevant" if judged.get(hit.docno, 0) > 0 else ""
            print(f"  {rank}. {hit.score:7.3f}  {hit.docno}  {mark}\n     {snippet(hit.fields)}")
            print("     matched: " + ", ".join(f"{t.token} {t.share:.0%}" for t in terms))
