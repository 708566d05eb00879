"""`--format` and `--fields`: a corpus as the command line names it, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments

if TYPE_CHECKING:
    from sparseir.data import CorpusReader
    from sparseir.data.corpus.fields import FieldMap

CORPUS = (
    "BEIR folder, zip or name; .jsonl, .json, .csv, .tsv or .parquet, or a folder of them; a folder of .txt, .md and "
    ".html; - for standard input; .gz and .zst of all (docs/inputs.md)"
)
"""What a corpus may be, for help texts."""

Format = Annotated[
    str | None,
    arguments.Option(
        "--format",
        help="Format of the corpus, where endings do not say: jsonl, json, csv, tsv, parquet, text, or msmarco.",
    ),
]
Fields = Annotated[
    str | None,
    arguments.Option(
        "--fields", metavar="id=KEY,text=KEY,title=KEY", help="Keys or columns of a corpus that has others."
    ),
]


def checked_corpus(
    given: str,
    data_dir: Path | None,
    form: str | None,
    fields: str | None,
    metadata: Sequence[str] = (),
    *,
    elsewhere: bool = False,
) -> CorpusReader:
    """The documents of a corpus, read through once for its faults unless it is a stream.

    Parameters
    ----------
    metadata : fields that searches shall filter by. elsewhere : they may also come from what stands beside the corpus.

    Raises
    ------
    DataError, ConfigError
    """
    from sparseir.cli.output.console import counted, note, progress_bars
    from sparseir.data import read_corpus

    keys = checked_fields(form, fields)
    reader = read_corpus(given, data_dir, form=form, fields=keys)
    with progress_bars() as progress:
        survey = reader.check(metadata, elsewhere=elsewhere, progress=progress)
    for line in reader.notes:
        note(line)
    if survey is not None and survey.num_empty:
        verbs = "has no text and matches" if survey.num_empty == 1 else "have no text and match"
        note(f"{given}: {counted(survey.num_empty, 'document')} of {survey.num_documents:,} {verbs} nothing")
    return reader


def checked_fields(form: str | None, fields: str | None) -> FieldMap | None:
    """The keys that --fields names, with --format checked beside them.

    Raises
    ------
    arguments.BadParameter
    """
    from sparseir.data.corpus.fields import FieldMap
    from sparseir.data.corpus.formats import check_format

    with arguments.usage():
        check_format(form)
        return None if fields is None else FieldMap.parse(fields)
