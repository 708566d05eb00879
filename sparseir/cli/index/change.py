"""`sparseir index add | delete | compact`: changing an index that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments
from sparseir.cli.index.source import (
    Corpus,
    DataDir,
    IndexPath,
    Json,
    Model,
    Source,
    Target,
    Threads,
    Vectors,
    summary,
)
from sparseir.cli.options.corpus import Expansions, Fields, Format
from sparseir.cli.options.flags import Device, MaxActiveDims, Quiet, Untrained


def add_command(
    index: Target,
    vectors: Vectors = None,
    model: Model = None,
    corpus: Corpus = None,
    form: Format = None,
    fields: Fields = None,
    expansions: Expansions = None,
    replace: Annotated[
        bool, arguments.Option("--replace", help="Replace documents whose name the index has already.")
    ] = False,
    merge: Annotated[
        str,
        arguments.Option(
            help="tiered: small segments are merged in the same commit, so that few are left; none: compact merges them."
        ),
    ] = "tiered",
    max_active_dims: MaxActiveDims = None,
    threads: Threads = 2,
    data_dir: DataDir = None,
    device: Device = "auto",
    untrained: Untrained = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Add documents to an index, as one atomic commit.

    examples:
      sparseir index add words --corpus more.jsonl --replace
    """
    from indexer.config import AddOptions
    from sparseir.cli.output.console import counted, emit_json, note
    from sparseir.encode.options import IndexingOptions
    from sparseir.lexical.channel import BM25_KIND, ChannelState, has_channel
    from sparseir.search.opening import open_place
    from sparseir.search.stores.places import target

    with arguments.usage():
        AddOptions(merge=merge)  # refuses what is no way of merging
    place = target(index)
    opened = open_place(place, partial=False)
    before, of_words = opened.num_docs, opened.encoder is not None and opened.encoder.kind == BM25_KIND
    source = Source(
        vectors, model, corpus, data_dir, device, quiet, untrained, form=form, fields=fields, expansions=expansions
    )
    source.check(max_active_dims, bm25=of_words)
    options = IndexingOptions(
        max_active_dims=max_active_dims, num_threads=threads, mode="replace" if replace else "add", merge=merge
    )
    if has_channel(opened.query_side) and corpus is not None:
        model_of_words = ChannelState.load(Path(str(opened.query_side))).config.expansion_model
        if model_of_words is not None:
            note(f"{model_of_words} is loaded for this addition; add many files at once by giving their folder")
    built = source.fill(place, options)
    if json:
        emit_json(summary(built))
    else:
        where = f"in {counted(len(built.segments), 'segment')}" if isinstance(place, Path) else "in the collection"
        print(f"{index}: {before:,} → {built.num_docs:,} documents {where}")


def delete_command(
    index: Target,
    ids: Annotated[Path | None, arguments.Option(help="File with one document name a line.")] = None,
    names: Annotated[
        list[str] | None, arguments.Option("--id", metavar="DOCNO", help="Name of a document; repeatable.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        arguments.Option(
            "--filter", metavar="EXPR", help="Documents with e.g. year<2000 (docs/filters.md); repeatable."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Delete documents by name or by a filter; their space comes back with `compact`.

    examples:
      sparseir index delete my-index --id d17 --id d18
      sparseir index delete my-index --ids gone.txt
      sparseir index delete my-index --filter "year<2000"
    """
    from indexer import delete_documents, open_index
    from sparseir.cli.options.filters import joined
    from sparseir.cli.output.console import counted, emit_json, note
    from sparseir.data.lines import LineSource
    from sparseir.data.passages import document_of, windows_of
    from sparseir.encode import collection_load as load
    from sparseir.encode.windows import delete_texts
    from sparseir.search.filters.expressions import matching
    from sparseir.search.stores.places import target

    if (ids is None and not names) == (not filters):
        raise arguments.BadParameter("give names (--id NAME, --ids FILE) or a filter (--filter EXPR)")
    condition = joined(filters or [])
    listed = [] if ids is None else [name for _, name in LineSource(ids).lines()]
    place = target(index)
    if not isinstance(place, Path):
        with arguments.usage():
            report = load.delete(place, [*(names or []), *listed], condition)
    elif condition is not None:
        opened = open_index(place)
        ordinals = matching(opened, condition)
        if windows_of(opened) is None:
            report = delete_documents(place, ordinals=ordinals.tolist())
        else:
            report = delete_texts(place, sorted({document_of(str(name)) for name in opened.docnos(ordinals)}))
    else:
        report = delete_texts(place, [*(names or []), *listed])
    if report.missing:
        shown = ", ".join(map(str, report.missing[:5]))
        note(
            f"not in the index: {counted(len(report.missing), 'name')} ({shown}{' …' if len(report.missing) > 5 else ''})"
        )
    if json:
        emit_json({"deleted": report.deleted, "missing": list(report.missing)})
    else:
        print(f"{index}: {counted(report.deleted, 'document')} deleted")


def compact_command(
    index: IndexPath,
    layout: Annotated[
        str | None, arguments.Option(help="standard, packed or compact, from now on; without it the layout stays.")
    ] = None,
    salvage: Annotated[
        bool,
        arguments.Option(
            "--salvage", help="Merge what is sound of damaged segments, say what is left behind, and keep them aside."
        ),
    ] = False,
    threads: Annotated[int, arguments.Option(min=1, help="Threads of the merge.")] = 2,
    memory_budget: Annotated[str | None, arguments.Option(help="Working memory, e.g. 2GB.")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Merge all segments into one and give the space of deleted documents back.

    examples:
      sparseir index compact my-index --layout packed
      sparseir index compact my-index --salvage --json
    """
    from dataclasses import asdict

    from indexer import IndexConfig, compact_index
    from sparseir.cli.output.console import counted, emit_json, note, progress_bars
    from sparseir.cli.output.places import parse_bytes

    with arguments.usage():
        if layout is not None:
            IndexConfig(layout=layout)  # refuses a layout there is not
    with progress_bars(quiet=quiet) as progress:
        report = compact_index(
            index,
            layout=layout,
            salvage=salvage,
            num_threads=threads,
            memory_budget=parse_bytes(memory_budget) or 0,
            progress=progress,
        )
    for line in report.notes:
        note(line)
    if json:
        emit_json(asdict(report))
    else:
        print(
            f"{index}: {counted(report.segments_before, 'segment')} → 1, "
            f"{counted(report.documents_dropped, 'deleted document')} dropped, "
            f"{report.bytes_before / 1e6:.1f} → {report.bytes_after / 1e6:.1f} MB"
        )
    if report.kept_in is not None:
        note(
            f"the damaged segments are kept as they were in {Path(index) / report.kept_in}; remove it when it is of no use"
        )
    if report.left:
        for part in report.left:
            shown = ", ".join(part.names[:5]) + (" …" if len(part.names) > 5 else "")
            of_documents = "" if part.what == "documents" else f"{part.what} of "
            note(
                f"left behind: {of_documents}{counted(part.documents, 'document')} of {part.segment}"
                f"{f' ({shown})' if shown else ', whose names cannot be read'}: {part.reason}"
            )
        raise SystemExit(1)
