"""`sparseir demo`: the whole chain on real text, in minutes."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.config import Recipe
from sparseir.cli.options.flags import Quiet

if TYPE_CHECKING:
    from sparseir.config.recipe import Recipe as LoadedRecipe
    from sparseir.data import Dataset
    from sparseir.evaluate.evaluation import Judged
    from sparseir.evaluate.report.rows import SystemResult
    from sparseir.query_weights.options import HoldOut

_SHOWN_QUERIES = 3
_SHOWN_HITS = 3
_SHOWN_TERMS = 6


def demo_command(
    config: Recipe = "demo",
    output: Annotated[Path, arguments.Option(help="Folder for everything the demo writes.")] = Path("runs/demo"),
    data: Annotated[
        str | None,
        arguments.Option(help="BEIR folder, zip or name; without it, the docstrings of this machine's Python."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        arguments.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one value of the recipe; repeatable."),
    ] = None,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace what an earlier demo wrote.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train an encoder, build an index, search it and evaluate it, on text this machine has.

    examples:
      sparseir demo
      sparseir demo --data scifact.zip --output runs/scifact
    """
    from sparseir.cli.options.recipes import chosen_recipe
    from sparseir.cli.output.console import note, progress_bars
    from sparseir.cli.output.places import clear_folder
    from sparseir.config.recipe import load_recipe
    from sparseir.data import open_dataset
    from sparseir.train import train

    start = time.perf_counter()
    chosen_recipe(config, overrides)  # its faults come before the work
    clear_folder(output, overwrite=overwrite)
    dataset = open_dataset(data) if data is not None else _docstrings(output / "collection")
    path = data if data is not None else str(output / "collection")
    split = "train" if "train" in dataset.splits else ""
    recipe = load_recipe(config, [*(overrides or ()), f"data.dataset={path}", f"data.split={split!r}"])
    note(f"1. training on {dataset.name} ({config})")
    with progress_bars(quiet=quiet) as progress:
        trained = train(recipe, output / "model", progress=progress)
    note(f"   {trained.seconds:.0f} s → {output / 'model'}")
    note("2. encoding, indexing and evaluating beside BM25 and the dense model it learnt from")
    # Docstrings that are judged are of other modules than those trained on.
    hold_out: HoldOut = "topics" if data is None else "queries"
    judged = _evaluate(output, path, recipe, fit=_to_fit(dataset), hold_out=hold_out, quiet=quiet)
    note("3. searching with both channels")
    _show_hits(output / "index", dataset)
    print()
    _print_results(judged.results)
    figures = [r.as_json() for r in judged.results]
    (output / "results.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    pictures = ", pictures" if (output / "plots").is_dir() else ""
    print(
        f"\neverything is in {output} (model, index, run files, results.json{pictures}); "
        f"{time.perf_counter() - start:.0f} s in all"
    )
    print(f'try: sparseir search {output / "index"} "your own words"')
    print(f"     sparseir serve {output / 'index'}     # a page that shows why a hit is a hit (extra serve)")


def _docstrings(folder: Path) -> Dataset:
    from sparseir.cli.output.console import note
    from sparseir.data import open_dataset, write_docstring_collection

    note("0. collecting docstrings of the standard library and the installed packages")
    write_docstring_collection(folder)
    return open_dataset(folder)


def _to_fit(dataset: Dataset) -> str | None:
    """The split whose judgements query weights are fitted to as well, where there are enough."""
    from sparseir.query_weights.options import FEWEST

    if "train" not in dataset.splits:
        return None
    fitted = dataset.qrels("train").keys()
    return "train" if len(fitted) >= 2 * FEWEST and not fitted & dataset.qrels("test").keys() else None


def _evaluate(
    output: Path, path: str, recipe: LoadedRecipe, *, fit: str | None, hold_out: HoldOut, quiet: bool
) -> Judged:
    """BM25 without and with the dense model's words, that model, the encoder alone and beside them, from one encoding;
    each index also with query weights fitted to the queries that trained the encoder.

    The index of both channels is kept, fitted where that was done.
    """
    from importlib.util import find_spec

    from sparseir.cli.output.console import note, progress_bars
    from sparseir.config.lexical import LexicalConfig
    from sparseir.evaluate.evaluation import Evaluation
    from sparseir.evaluate.options import EvaluationOptions
    from sparseir.evaluate.systems.fitted import FITTED
    from sparseir.evaluate.systems.sparse import LEXICAL

    options = EvaluationOptions(
        baselines=("bm25", "dense"),
        dense_model=recipe.model.base,
        dense_length=recipe.model.max_document_length,
        lexical=True,
        channel=LexicalConfig(expansion_model=recipe.model.base, expansion_length=recipe.model.max_document_length),
        corpus_idf=True,
        against="BM25",
        fit=fit,
        fit_hold_out=hold_out,
        runs=output / "runs",
        indexes=output / "indexes",
        plots=output / "plots" if find_spec("matplotlib") else None,
    )
    with progress_bars(quiet=quiet) as progress:
        evaluation = Evaluation([str(output / "model")], [path], options, progress=progress)
        judged = next(iter(evaluation))
    for fault in evaluation.faults:
        note(f"error: {fault}")
    both = {path.name.endswith(FITTED): path for path in (output / "indexes").glob(f"*{LEXICAL}*")}
    both.get(True, both[False]).rename(output / "index")
    shutil.rmtree(output / "indexes")
    return judged


def _print_results(results: list[SystemResult]) -> None:
    from sparseir.cli.output.console import print_table
    from sparseir.evaluate.report.rows import comparison_table, table

    first = results[0]
    title = f"{first.dataset} ({first.split}): {first.num_documents:,} documents, {first.num_queries:,} queries"
    print_table(title, *table(results))
    header, compared = comparison_table(results, "nDCG@10")
    if compared:
        print_table("nDCG@10, compared with BM25", header, compared)


def _show_hits(index: Path, dataset: Dataset) -> None:
    from sparseir.search.results import snippet
    from sparseir.search.searcher import Searcher

    searcher, split = Searcher.open(index), "test"
    qrels, queries = dataset.qrels(split), dataset.queries(split)
    step = max(1, len(queries) // _SHOWN_QUERIES)
    for query in queries[::step][:_SHOWN_QUERIES]:
        judged = qrels[query.qid]
        print(f"\nquery: {query.text}")
        for rank, hit in enumerate(searcher.search(query.text, _SHOWN_HITS), 1):
            terms = searcher.explain(query.text, hit.docno).terms[:_SHOWN_TERMS]
            mark = "relevant" if judged.get(hit.docno, 0) > 0 else ""
            print(f"  {rank}. {hit.score:7.3f}  {hit.docno}  {mark}\n     {snippet(hit.fields)}")
            shown = (f"{'stem:' if t.channel == 'lexical' else ''}{t.token} {t.share:.0%}" for t in terms)
            print("     matched: " + ", ".join(shown))
