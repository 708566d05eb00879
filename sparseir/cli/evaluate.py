"""`sparseir evaluate`."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from sparseir.cli import arguments
from sparseir.cli.options.channel import Expand, channel_settings
from sparseir.cli.options.corpus import Expansions, Fields, Format, checked_fields
from sparseir.cli.options.feedback import chosen_feedback
from sparseir.cli.options.flags import Device, MaxActiveDims, Quiet

if TYPE_CHECKING:
    from sparseir.evaluate.arguments import Arguments as Words
    from sparseir.evaluate.evaluation import Evaluation
    from sparseir.evaluate.report.means import MeanResult
    from sparseir.evaluate.report.rows import SystemResult


def evaluate_command(
    given: Annotated[
        list[str] | None,
        arguments.Argument(
            metavar="[MODEL|INDEX...] [DATASET...]",
            help="Model folders or hub ids, or indexes, then BEIR folders, zips or names; or a run file and its judgements.",
        ),
    ] = None,
    run: Annotated[
        list[Path] | None, arguments.Option("--run", help="Judge this run file (TREC format) too; repeatable.")
    ] = None,
    qrels: Annotated[
        Path | None, arguments.Option(help="Judgements of the run files, in place of a collection; needs no model.")
    ] = None,
    split: Annotated[
        str, arguments.Option(help="Which judgements: qrels/<split>.tsv; a collection's own: DATASET#SPLIT.")
    ] = "test",
    baselines: Annotated[str, arguments.Option(help="Comma-separated: bm25, dense; empty for none.")] = "bm25",
    lexical: Annotated[
        bool,
        arguments.Option(
            "--lexical",
            help="Judge each model with a BM25 channel of stemmed words beside it, too: done unless queries need a model.",
        ),
    ] = False,
    no_lexical: Annotated[bool, arguments.Option("--no-lexical", help="Judge the models alone.")] = False,
    settings: Annotated[
        list[str] | None,
        arguments.Option(
            "--set", metavar="KEY=VALUE", help="A setting of that channel, e.g. lexical.alpha=2; repeatable."
        ),
    ] = None,
    expand: Expand = None,
    fuse: Annotated[
        str, arguments.Option(help="Comma-separated: rrf, convex. Each model with each baseline and run file.")
    ] = "",
    fuse_weight: Annotated[float, arguments.Option(help="Of the model in a convex fusion, 0 to 1.")] = 0.5,
    tune: Annotated[
        str | None, arguments.Option(metavar="SPLIT", help="Choose that weight on this development split.")
    ] = None,
    fit: Annotated[
        str | None,
        arguments.Option(
            metavar="SPLIT", help="Each index once more, with query weights fitted to these judgements, e.g. train."
        ),
    ] = None,
    feedback: Annotated[
        int | None,
        arguments.Option(
            min=1,
            metavar="N",
            help="Each index with words once more, with words of the first N hits added to queries, say 2.",
        ),
    ] = None,
    fit_hold_out: Annotated[
        str,
        arguments.Option(
            metavar="WHAT", help="What chooses how far --fit goes: 'queries' like those judged, or 'topics'."
        ),
    ] = "queries",
    measures: Annotated[
        str, arguments.Option(help="Comma-separated names of ir-measures; the first is what is compared and drawn.")
    ] = "nDCG@10,RR@10,R@100",
    k: Annotated[int, arguments.Option("-k", min=1, help="Depth of the runs.")] = 1000,
    idf: Annotated[
        str,
        arguments.Option(
            help="Query weights of inference-free models: 'model', or 'corpus' to count them on each collection."
        ),
    ] = "model",
    windows: Annotated[
        str | None,
        arguments.Option(metavar="SIZE/STEP", help="Index passages, e.g. 128/64; a document's best one counts."),
    ] = None,
    max_active_dims: MaxActiveDims = None,
    same_id: Annotated[
        str,
        arguments.Option(
            help="A document named as the query: left out if its 'text' is the query's, 'drop' or 'keep'."
        ),
    ] = "text",
    against: Annotated[
        str | None, arguments.Option(metavar="SYSTEM", help="Compare the others with this system; else with the first.")
    ] = None,
    test: Annotated[str, arguments.Option(help="Paired test: randomisation or t-test.")] = "randomisation",
    resamples: Annotated[int, arguments.Option(min=1, help="Of the test and of the intervals.")] = 10_000,
    seed: Annotated[int, arguments.Option(min=0, help="Of the same.")] = 0,
    data_dir: Annotated[
        Path | None, arguments.Option(help="Where BEIR names are looked for and downloaded to.")
    ] = None,
    form: Format = None,
    fields: Fields = None,
    expansions: Expansions = None,
    output: Annotated[Path | None, arguments.Option(help="Write the figures as JSON.")] = None,
    per_query: Annotated[Path | None, arguments.Option(help="Write the values of single queries as TSV.")] = None,
    plot: Annotated[Path | None, arguments.Option(metavar="FOLDER", help="Draw quality against cost, as PNG.")] = None,
    runs: Annotated[Path | None, arguments.Option(help="Folder to write the run files to.")] = None,
    tag: Annotated[str | None, arguments.Option(help="Last column of the run files; else the system's name.")] = None,
    ir_metadata: Annotated[
        bool,
        arguments.Option("--ir-metadata", help="Head run files with how they were made, which trec_eval cannot read."),
    ] = False,
    indexes: Annotated[Path | None, arguments.Option(help="Folder to keep the indexes in.")] = None,
    dense_model: Annotated[str, arguments.Option(help="Embedder of the dense baseline.")] = "all-MiniLM-L6-v2",
    dense_length: Annotated[int, arguments.Option(min=8, help="Tokens of a text it reads.")] = 256,
    device: Device = "auto",
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace existing results.")] = False,
    quiet: Quiet = False,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object a system and collection.")] = False,
) -> None:
    """Judge models, indexes, baselines and run files on collections: quality beside cost, with significance.

    examples:
      sparseir evaluate model path/to/beir-folder --baselines bm25,dense --lexical
      sparseir evaluate my-index path/to/beir-folder
      sparseir evaluate milvus://localhost:19530/words path/to/beir-folder
      sparseir evaluate model path/to/beir-folder --expand all-MiniLM-L6-v2
      sparseir evaluate model path/to/beir-folder --fit train
      sparseir evaluate model folder --fields id=key,text=body --baselines bm25
      sparseir evaluate --run run.trec --qrels qrels.tsv
    """
    from sparseir.cli.index.settings import lexical_settings
    from sparseir.cli.output.console import progress_bars
    from sparseir.cli.output.places import check_output
    from sparseir.data.passages import Windows
    from sparseir.evaluate.arguments import sort_arguments
    from sparseir.evaluate.evaluation import Evaluation
    from sparseir.evaluate.lineup import check_given
    from sparseir.evaluate.measures import check_measures
    from sparseir.evaluate.options import EvaluationOptions
    from sparseir.search.runs import checked_tag

    if lexical and no_lexical:
        raise arguments.BadParameter("--lexical and --no-lexical contradict each other")
    if idf not in ("model", "corpus"):
        raise arguments.BadParameter(f"--idf is {idf!r}; expected model or corpus")
    for path in (output, per_query):
        if path is not None:
            check_output(path, overwrite=overwrite)
    wanted, fusions = _with_hybrid(_names(baselines), _names(fuse))
    with arguments.usage():
        options = EvaluationOptions(
            split=split,
            k=k,
            measures=_names(measures),
            baselines=wanted,
            fusions=fusions,
            fuse_weight=fuse_weight,
            tune=tune,
            fit=fit,
            feedback=chosen_feedback(feedback, None),
            fit_hold_out=fit_hold_out,  # type: ignore[arg-type]
            same_id=same_id,  # type: ignore[arg-type]  # checked where it is made
            against=against,
            test=test,  # type: ignore[arg-type]
            resamples=resamples,
            seed=seed,
            corpus_idf=idf == "corpus",
            lexical=True if lexical else False if no_lexical else None,
            channel=lexical_settings(channel_settings(settings, expand=expand)),
            max_active_dims=max_active_dims,
            windows=None if windows is None else Windows.parse(windows),
            data_dir=data_dir,
            form=form,
            fields=checked_fields(form, fields),
            expansions=expansions,
            runs=runs,
            indexes=indexes,
            plots=plot,
            tag=None if tag is None else checked_tag(tag),
            ir_metadata=ir_metadata,
            dense_model=dense_model,
            dense_length=dense_length,
            device=device,
            overwrite=overwrite,
        )
        words = sort_arguments(given or (), data_dir, judged=qrels is not None)
        _check_models(words, lexical=lexical, indexes=indexes)
        check_measures(options.measures)
        files, judged_by = _judged(words, run, qrels)
        check_given(words.models, words.collections, files, judged_by, words.indexes)
    with progress_bars(quiet=quiet) as progress:
        evaluation = Evaluation(
            words.models,
            words.collections,
            options,
            indexes=words.indexes,
            runs=files,
            qrels=judged_by,
            progress=progress,
        )
        results = _evaluated(evaluation, per_query, json=json)
    _give(results, options.measures[0], output, json=json)
    _say_faults(evaluation.faults)


def _check_models(words: Words, *, lexical: bool, indexes: Path | None) -> None:
    """Refuse what is asked of models where none is named."""
    for option, asked in (("--lexical", lexical), ("--indexes", indexes is not None)):
        if asked and not words.models:
            raise arguments.BadParameter(
                f"{option} is for models, and none is named; an index that stands is judged with what it has"
            )


def _with_hybrid(baselines: tuple[str, ...], fusions: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Baselines and fusions; a baseline "hybrid" is the model and BM25 by reciprocal ranks."""
    if "hybrid" not in baselines:
        return baselines, fusions
    wanted = tuple(dict.fromkeys("bm25" if name == "hybrid" else name for name in baselines))
    return wanted, tuple(dict.fromkeys((*fusions, "rrf")))


def _judged(words: Words, run: list[Path] | None, qrels: Path | None) -> tuple[list[Path], Path | None]:
    """All run files, and what judges them; both may be given by option or among the words."""
    judgements = [*words.qrels, *([] if qrels is None else [qrels])]
    if len(judgements) > 1:
        raise arguments.BadParameter(f"judgements are given twice: {judgements[0]} and {judgements[1]}")
    return [*words.runs, *(run or ())], judgements[0] if judgements else None


def _evaluated(evaluation: Evaluation, per_query: Path | None, *, json: bool) -> list[SystemResult]:
    """The rows of all collections: as JSON, each is printed when it is there; values of single queries go to their file."""
    from sparseir.cli.output.console import emit_json
    from sparseir.evaluate.report.kept import PER_QUERY_HEADER, per_query_lines

    results: list[SystemResult] = []
    lines = [PER_QUERY_HEADER]
    for judged in evaluation:
        results += judged.results
        for result in judged.results:
            if json:
                emit_json(result.as_json())
            if per_query is not None:
                lines += per_query_lines(result, judged.qids)
    if per_query is not None:
        per_query.write_text("".join(lines), encoding="utf-8")
    return results


def _give(results: list[SystemResult], measure: str, output: Path | None, *, json: bool) -> None:
    """Print the means as JSON, or all as tables; write all to a file where one is wanted."""
    from sparseir.cli.output.console import emit_json
    from sparseir.evaluate.report.means import means

    averages = means(results)
    if json:
        for average in averages:
            emit_json(average.as_json())
    else:
        _print(results, averages, measure)
    if output is not None:
        everything: list[dict[str, Any]] = [*(r.as_json() for r in results), *(a.as_json() for a in averages)]
        output.write_text(json_module.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _say_faults(faults: Sequence[str]) -> None:
    from sparseir.cli.output.console import note
    from sparseir.errors import SparseIRError

    for fault in faults:
        note(f"error: {fault}")
    if faults:
        raise SparseIRError("not all could be evaluated; the figures that are shown stand")


def _print(results: Sequence[SystemResult], averages: Sequence[MeanResult], measure: str) -> None:
    from sparseir.cli.output.console import counted, print_table
    from sparseir.evaluate.collections import title
    from sparseir.evaluate.report.means import mean_table
    from sparseir.evaluate.report.rows import comparison_table, table

    for name in dict.fromkeys(r.dataset for r in results):
        rows = [r for r in results if r.dataset == name]
        documents = f"{counted(rows[0].num_documents, 'document')}, " if rows[0].num_documents else ""
        print_table(
            f"{title(name, rows[0].split)}: {documents}{counted(rows[0].num_queries, 'query', 'queries')}", *table(rows)
        )
        for r in rows:
            if r.fuse_weight is not None:
                print(f"{r.system}: weight of the first {r.fuse_weight:g}")
            if r.reference is not None:
                one = r.reference
                verdict = "as expected" if one.passed else "NOT as expected"
                print(f"{r.system}: {one.measure} {one.found:.4f} is {verdict} ({one.expected:.4f}, {one.source})")
        header, compared = comparison_table(rows, measure)
        if compared:
            against = next(r.comparisons[measure].against for r in rows if measure in r.comparisons)
            print_table(f"{name}: {measure}, compared with {against}", header, compared)
    for dataset in dict.fromkeys(r.dataset for r in averages):
        mean = [r for r in averages if r.dataset == dataset]
        print_table(f"{dataset} over {len(mean[0].collections)}: {', '.join(mean[0].collections)}", *mean_table(mean))


def _names(text: str) -> tuple[str, ...]:
    """Names between commas; a comma within brackets is a measure's own."""
    names, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth <= 0:
            names.append("")
        else:
            names[-1] += character
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
