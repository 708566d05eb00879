"""`sparseir data …`: training data of any size, prepared on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments
from sparseir.cli.options.flags import Quiet

app = arguments.Group(help="Prepare training data on disk, for collections of any size.")

Folder = Annotated[Path, arguments.Argument(help="The prepared folder.")]
Json = Annotated[bool, arguments.Option("--json", help="Print the summary as one JSON object.")]


@app.command("prepare")
def prepare_command(
    folder: Folder,
    documents: Annotated[
        str | None, arguments.Option(help="The corpus: collection.tsv, a BEIR folder or zip, JSONL … (docs/inputs.md).")
    ] = None,
    queries: Annotated[
        str | None, arguments.Option(help="The queries: queries.tsv, or JSON lines with _id and text.")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        arguments.Option(
            metavar="[NAME][:FORMAT]=FILE",
            help="Judgements, triples, hard negatives or scores, or FILE alone (docs/big-data.md); repeatable.",
        ),
    ] = None,
    expansions: Annotated[
        str | None,
        arguments.Option(
            metavar="FILE",
            help="Text a model wrote for the documents (doc2query), for kinds that read it (docs/inputs.md).",
        ),
    ] = None,
    embeddings: Annotated[
        str | None,
        arguments.Option(metavar="X.npy", help="Dense embeddings of the documents, named by X.ids; for csr."),
    ] = None,
    query_embeddings: Annotated[
        str | None, arguments.Option(metavar="X.npy", help="Those of the queries, named by X.ids.")
    ] = None,
    skip_unknown: Annotated[
        bool, arguments.Option("--skip-unknown", help="Leave out pairs whose ids are not among the texts.")
    ] = False,
    resume: Annotated[
        bool, arguments.Option("--resume", help="Go on with the folder: what was stopped, and pairs that are new.")
    ] = False,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace the folder.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Put texts, positives, negatives and teacher scores into a folder that training reads from disk.

    examples:
      sparseir data prepare marco --documents collection.tsv --queries queries.train.tsv --pairs qrels.train.tsv
      sparseir data prepare marco --pairs hard=msmarco-hard-negatives.jsonl.gz --pairs ce=scores.pkl.gz --resume
      sparseir data prepare pairs --pairs triples.jsonl
      sparseir data prepare marco --documents collection.tsv --queries queries.train.tsv --expansions doc2query.tsv --resume
    """
    from sparseir.cli.output.console import note, progress_bars
    from sparseir.data.prepared.prepare import PrepareOptions, prepare

    if resume and overwrite:
        raise arguments.BadParameter("--resume and --overwrite contradict each other")
    options = PrepareOptions(
        documents=documents,
        queries=queries,
        pairs=tuple(pairs or ()),
        resume=resume,
        overwrite=overwrite,
        skip_unknown=skip_unknown,
        expansions=expansions,
        embeddings=embeddings,
        query_embeddings=query_embeddings,
    )
    with arguments.usage():
        options.check()
    with progress_bars(quiet=quiet) as progress:
        prepared = prepare(folder, options, progress=progress, note=note)
    show_summary(prepared.summary(), as_json=json)


@app.command("inspect")
def inspect_command(folder: Folder, json: Json = False) -> None:
    """Show what a prepared folder holds.

    examples:
      sparseir data inspect marco
    """
    from sparseir.data.prepared.folder import Prepared

    show_summary(Prepared(folder).summary(), as_json=json)


@app.command("verify")
def verify_command(folder: Folder, quiet: Quiet = False, json: Json = False) -> None:
    """Read a prepared folder through: checksums, order, names, rows.

    examples:
      sparseir data verify marco
    """
    from sparseir.cli.output.console import emit_json, progress_bars
    from sparseir.data.prepared.folder import Prepared

    with progress_bars(quiet=quiet) as progress:
        Prepared(folder).verify(progress)
    if json:
        emit_json({"folder": str(folder), "sound": True})
    else:
        print(f"{folder}: sound")


def show_summary(summary: dict[str, object], *, as_json: bool) -> None:
    """A folder's summary on stdout."""
    from sparseir.cli.output.console import emit_json, print_table

    if as_json:
        emit_json(summary)
        return
    print(
        f"{summary['folder']}: {summary['documents']:,} documents, {summary['queries']:,} queries, "
        f"{int(str(summary['bytes'])) / 1e6:,.1f} MB"
    )
    if summary["expansions"]:
        print(f"expansions of {summary['expansions']:,} documents")
    if summary["embeddings"]:
        print(f"embeddings of {' and '.join(map(str, summary['embeddings']))}")  # type: ignore[call-overload]
    tables = summary["tables"]
    assert isinstance(tables, dict)
    rows = [[name, f"{t['pairs']:,}", f"{t['queries']:,}", t["made_of"]] for name, t in tables.items()]
    if rows:
        print_table("", ["table", "pairs", "queries", "made of"], rows)
