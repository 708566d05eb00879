"""`--format` and `--fields`: a corpus as the command line names it, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments

if TYPE_CHECKING:
    from sparseir.data import CorpusReader
    from sparseir.data.corpus.fields import FieldMap
    from sparseir.models.parts import EncoderParts

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
Expansions = Annotated[
    Path | None,
    arguments.Option(
        "--expansions",
        metavar="FILE",
        help="Text a model wrote for the documents (doc2query), by name; uniCOIL and DeepImpact read it.",
    ),
]


def check_expansions(encoder: EncoderParts | None, expansions: Path | None) -> None:
    """Refuse expansions that nothing would read.

    Raises
    ------
    ConfigError
    """
    from sparseir.errors import ConfigError

    if expansions is not None and (encoder is None or not encoder.reads_expansions):
        kind = "an index of words alone" if encoder is None else f"a {encoder.kind} encoder"
        raise ConfigError(
            f"--expansions {expansions}: {kind} reads no expansions; unicoil and deepimpact do, which give a text no other "
            "terms than those they read"
        )


def checked_corpus(
    given: str,
    data_dir: Path | None,
    form: str | None,
    fields: str | None,
    metadata: Sequence[str] = (),
    *,
    elsewhere: bool = False,
    expansions: Path | None = None,
) -> CorpusReader:
    """The documents of a corpus, read through once for its faults unless it is a stream.

    Parameters
    ----------
    metadata : fields that searches shall filter by. elsewhere : they may also come from what stands beside the corpus.
    expansions : a file of these, by document name.

    Raises
    ------
    DataError, ConfigError
    """
    from sparseir.cli.output.console import counted, note, progress_bars
    from sparseir.data import read_corpus

    keys = checked_fields(form, fields)
    reader = read_corpus(given, data_dir, form=form, fields=keys, expansions=expansions)
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
