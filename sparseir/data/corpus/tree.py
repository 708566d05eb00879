"""The files of a collection: of a folder, or in a zip archive, under the same names."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexer.interchange.input import ARCHIVE_FAULTS
from sparseir.data.compression import ENDINGS as PACKED
from sparseir.data.compression import bare_name
from sparseir.data.corpus.formats import ROW_ENDINGS, TEXT, format_of
from sparseir.data.lines import LineSource
from sparseir.errors import DataError

_CORPORA = [f"corpus{ending}{packing}" for ending in ROW_ENDINGS for packing in ("", *PACKED)]
"""What a corpus is called beside queries and judgements; of several in one folder, the first of these."""


@dataclass(frozen=True)
class Tree:
    """Files by their names, in the order of these; hidden ones are left out.

    path : the folder or archive. names : relative, parted by "/".
    """

    path: Path
    names: tuple[str, ...]

    def source(self, name: str) -> LineSource:
        """One of the files."""
        return LineSource(self.path, name) if self.path.is_file() else LineSource(self.path / name)

    def first(self, *names: str) -> LineSource | None:
        """The first of some names that there is."""
        return next((self.source(name) for name in names if name in self.names), None)

    def corpora(self) -> list[str]:
        """Names of the files called corpus, one a folder, of those nearest to the top."""
        depths: dict[int, dict[str, str]] = {}
        for name in self.names:
            place = PurePosixPath(name)
            if place.name not in _CORPORA:
                continue
            best = depths.setdefault(len(place.parts), {})
            other = best.get(str(place.parent))
            if other is None or _CORPORA.index(place.name) < _CORPORA.index(PurePosixPath(other).name):
                best[str(place.parent)] = name
        return sorted(depths[min(depths)].values()) if depths else []

    def corpus_files(self, form: str | None) -> tuple[list[str], list[str]]:
        """Names of all files of documents where nothing is called corpus, and sentences about what is left out.

        Parameters
        ----------
        form : only files of this format.

        Raises
        ------
        DataError : none, or texts beside tables, where only one of the two can be meant.
        """
        forms = {name: format_of(name) for name in self.names if not _is_beside(name)}
        if form is not None:
            wanted = "tsv" if form == "msmarco" else form
            chosen = [name for name, found in forms.items() if found == wanted]
        else:
            chosen = [name for name, found in forms.items() if found is not None]
            texts = [name for name in chosen if forms[name] == TEXT]
            if texts and len(texts) < len(chosen):
                rows = [name for name in chosen if forms[name] != TEXT]
                raise DataError(
                    f"holds {len(texts)} text files ({texts[0]} …) and {len(rows)} with rows ({rows[0]} …); say "
                    f"--format text, or --format {forms[rows[0]]}",
                    path=self.path,
                )
        if not chosen:
            found = ", ".join(self.names[:8]) or "nothing"
            raise DataError(
                f"holds no corpus{f' of --format {form}' if form else ''} (found: {found}); expected corpus.jsonl, "
                "files of JSON lines, CSV, TSV or Parquet, or texts (.txt, .md, .html)",
                path=self.path,
            )
        taken = set(chosen)
        endings = Counter(_ending(name) for name in forms if name not in taken)
        if not endings:
            return chosen, []
        kinds = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5))
        return chosen, [f"{self.path}: {len(chosen)} files read; left out: {kinds}"]


def tree_of(path: Path) -> Tree:
    """Everything in a folder, or in a zip archive; links to folders are not followed.

    Raises
    ------
    DataError : no archive, or a damaged one.
    """
    if path.is_dir():
        found = []
        for folder, inner, files in os.walk(path):
            inner[:] = [name for name in inner if not name.startswith(".")]
            place = Path(folder).relative_to(path)
            found += [(place / name).as_posix() for name in files if not name.startswith(".")]
        return Tree(path, tuple(sorted(found)))
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except ARCHIVE_FAULTS as error:
        raise DataError(f"not a zip archive ({error}); fetch it again", path=path) from error
    return Tree(path, tuple(sorted(n for n in members if not n.endswith("/") and not _is_hidden(n))))


def tree_beside(path: Path) -> Tree:
    """What may lie beside a file of documents: queries, and a folder of judgements."""
    names = [f"queries{ending}{packing}" for ending in (".jsonl", ".tsv") for packing in ("", *PACKED)]
    found = [name for name in names if (path.parent / name).is_file()]
    found += [f"qrels/{file.name}" for file in sorted((path.parent / "qrels").glob("*")) if file.is_file()]
    return Tree(path.parent, tuple(found))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _is_beside(name: str) -> bool:
    """Queries and judgements, which are no documents."""
    place = PurePosixPath(name)
    return "qrels" in place.parts[:-1] or place.name.split(".")[0] in ("queries", "qrels")


def _ending(name: str) -> str:
    return PurePosixPath(bare_name(name)).suffix.lower() or "without an ending"
