"""`sparseir score`."""

from __future__ import annotations

from typing import Annotated

from sparseir.cli import arguments
from sparseir.cli.mine import (
    Expanded,
    Folder,
    Json,
    MaxQueries,
    Name,
    Overwrite,
    Part,
    Resume,
    Shard,
    show_tables,
    table_name,
)
from sparseir.cli.options.flags import Device, Quiet


def score_command(
    folder: Folder,
    cross_encoder: Annotated[
        str | None, arguments.Option(metavar="MODEL", help="A cross-encoder: one logit a pair.")
    ] = None,
    dense: Annotated[str | None, arguments.Option(metavar="MODEL", help="A dense embedder.")] = None,
    sparse: Annotated[str | None, arguments.Option(metavar="MODEL", help="A sparse encoder.")] = None,
    negatives: Annotated[
        list[str] | None, arguments.Option(metavar="NAME", help="Negatives to score, by default all; repeatable.")
    ] = None,
    max_length: Annotated[int, arguments.Option(min=8, help="Tokens of a text, or of a pair, that are read.")] = 256,
    batch_size: Annotated[int, arguments.Option(min=1, help="Texts or pairs the model sees at a time.")] = 32,
    expanded: Expanded = False,
    name: Name = None,
    part: Part = 200,
    shard: Shard = None,
    max_queries: MaxQueries = None,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Score the positives and negatives of a prepared folder by a teacher.

    examples:
      sparseir score marco --cross-encoder cross-encoder/ms-marco-MiniLM-L-6-v2 --name ce
      sparseir score marco --dense sentence-transformers/all-MiniLM-L6-v2 --negatives bm25 --shard 2/4
      sparseir score marco --cross-encoder cross-encoder/ms-marco-MiniLM-L-6-v2 --expanded
    """
    from sparseir.cli.encode import parse_shard
    from sparseir.cli.output.console import progress_bars
    from sparseir.data.prepared.folder import Prepared
    from sparseir.mining.parts import PartOptions

    given = {"cross_encoder": cross_encoder, "dense": dense, "sparse": sparse}
    teachers = [(kind, model) for kind, model in given.items() if model is not None]
    if len(teachers) != 1:
        raise arguments.BadParameter("say one of --cross-encoder MODEL, --dense MODEL and --sparse MODEL")
    options = PartOptions(
        size=part, shard=parse_shard(shard), max_queries=max_queries, resume=resume, overwrite=overwrite
    )
    prepared = Prepared(folder)
    from sparseir.mining.score import score
    from sparseir.mining.scorers import open_scorer
    from sparseir.models.encoder import pick_device

    kind, model = teachers[0]
    scorer = open_scorer(kind, model, max_length=max_length, batch_size=batch_size, device=str(pick_device(device)))
    chosen, what = (
        name or table_name(model, expanded=expanded),
        f"{kind} {model}" + ("" if kind == "sparse" else f" {max_length}"),
    )
    with progress_bars(quiet=quiet) as progress:
        pairs = score(
            prepared,
            scorer,
            chosen,
            what=what,
            parts=options,
            negatives=tuple(negatives or ()),
            expanded=expanded,
            progress=progress,
        )
    show_tables(folder, chosen, pairs, as_json=json)
