"""Collections: a BEIR folder or zip, a corpus file, or a BEIR name."""

from __future__ import annotations

import difflib
import logging
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from indexer.interchange.input import ARCHIVE_FAULTS
from sparseir.data.judgements import note_absent, qrels_rows, read_qrels
from sparseir.data.lines import LineSource
from sparseir.data.readers import CorpusReader, read_queries
from sparseir.data.records import Qrels, Query
from sparseir.errors import DataError

BEIR_NAMES = (
    "arguana", "climate-fever", "cqadupstack", "dbpedia-entity", "fever", "fiqa", "germanquad", "hotpotqa", "mmarco",
    "mrtydi", "msmarco", "msmarco-v2", "nfcorpus", "nq", "nq-train", "quora", "scidocs", "scifact", "trec-covid-beir",
    "trec-covid-v2", "trec-covid", "vihealthqa", "webis-touche2020",
)  # fmt: skip
"""What the BEIR server offers (beir 2.2)."""

logger = logging.getLogger(__name__)

_BEIR_URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A collection whose files are found, and read only when asked for.

    Parameters
    ----------
    name : for tables; the folder's or archive's name.
    corpus_source, queries_source : where the lines are; a lone corpus file has no queries.
    qrels_sources : split → file.
    group : the collection this is a part of, as CQADupStack has twelve; "" for one that stands alone.
    """

    name: str
    corpus_source: LineSource
    queries_source: LineSource | None
    qrels_sources: Mapping[str, LineSource]
    group: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have judgements, sorted."""
        return tuple(sorted(self.qrels_sources))

    def corpus(self) -> CorpusReader:
        """The documents, streaming."""
        return CorpusReader(self.corpus_source)

    def queries(self, split: str | None = None, *, note: Callable[[str], None] = logger.warning) -> list[Query]:
        """All queries in file order, or those with a judgement in a split.

        Parameters
        ----------
        note : takes one line on judged queries that have no text, which are left out.

        Raises
        ------
        DataError : no queries file, unknown split, most of the judged queries have no text.
        """
        queries = read_queries(self._queries())
        if split is None:
            return queries
        source = self._split(split)
        judged = dict.fromkeys(qid for _, qid, _, _ in qrels_rows(source))
        known = {query.qid for query in queries}
        absent = [qid for qid in judged if qid not in known]
        where = self._queries().label
        note_absent(absent, len(judged), source.label, where, "query", "it is left out", note=note)
        return [query for query in queries if query.qid in judged]

    def qrels(
        self, split: str, *, docnos: Collection[str] | None = None, note: Callable[[str], None] = logger.warning
    ) -> Qrels:
        """Judgements of a split.

        Parameters
        ----------
        docnos : the corpus' names (a set, or a mapping). When given, judged documents that are not among them are noted;
            as in trec_eval they stay in the judgements, relevant documents that nothing can find.
        note : takes one line on what was noted.

        Raises
        ------
        DataError : unknown split, malformed lines, most of the judged documents are not in the corpus.
        """
        source = self._split(split)
        qrels = read_qrels(source)
        if docnos is not None:
            judged = dict.fromkeys(docno for row in qrels.values() for docno in row)
            absent = [docno for docno in judged if docno not in docnos]
            where = self.corpus_source.label
            note_absent(absent, len(judged), source.label, where, "document", "it cannot be found", note=note)
        return qrels

    def check_judged(self, split: str) -> None:
        """Before the work: there are queries, and judgements of the split.

        Raises
        ------
        DataError
        """
        self._queries()
        self._split(split)

    def _queries(self) -> LineSource:
        if self.queries_source is None:
            raise DataError("has no queries.jsonl; a BEIR folder or zip has one", path=self.corpus_source.label)
        return self.queries_source

    def _split(self, split: str) -> LineSource:
        if split not in self.qrels_sources:
            have = ", ".join(self.splits) or "none"
            raise DataError(f"has no judgements for split '{split}' (found: {have})", path=self.corpus_source.path)
        return self.qrels_sources[split]


def open_dataset(name_or_path: str | Path, data_dir: str | Path | None = None) -> Dataset:
    """Find a collection by path or by BEIR name.

    A path is a BEIR folder, a zip that holds one (read in place), or a `corpus.jsonl[.gz]`, beside which queries and
    qrels are picked up. A name is looked for under `data_dir` as folder and as zip, then downloaded there.

    Raises
    ------
    DataError : nothing of the kind, or no download; the message says where to put the zip.
    """
    return _open_path(_locate(name_or_path, data_dir))


def open_datasets(name_or_path: str | Path, data_dir: str | Path | None = None) -> list[Dataset]:
    """As `open_dataset`, and the parts of a collection that is several: a folder of BEIR folders, a zip of such a folder.

    Raises
    ------
    DataError : as `open_dataset`.
    """
    path = _locate(name_or_path, data_dir)
    if path.is_dir() and not _corpora(path):
        inner = path / path.name
        folders = [f for f in sorted((inner if inner.is_dir() else path).iterdir()) if f.is_dir() and _corpora(f)]
        if len(folders) > 1:
            return [replace(_open_folder(f), name=f"{path.name}/{f.name}", group=path.name) for f in folders]
    if path.suffix == ".zip" and path.is_file():
        members = _members(path)
        corpora = _corpus_members(members)
        if len(corpora) > 1:
            parts = [_zip_dataset(path, members, corpus) for corpus in corpora]
            named = [f"{path.stem}/{PurePosixPath(corpus).parent.name}" for corpus in corpora]
            return [replace(part, name=name, group=path.stem) for part, name in zip(parts, named, strict=True)]
    return [_open_path(path)]


def _locate(name_or_path: str | Path, data_dir: str | Path | None) -> Path:
    """Where a collection is, downloaded if need be."""
    path = Path(name_or_path)
    if path.exists():
        return path
    name = str(name_or_path)
    if data_dir is not None and re.fullmatch(r"[\w-]+", name):
        for candidate in (Path(data_dir) / name, Path(data_dir) / f"{name}.zip"):
            if candidate.exists():
                return candidate
    if name not in BEIR_NAMES:
        near = difflib.get_close_matches(name, BEIR_NAMES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        where = "" if data_dir is None else f", and {data_dir} holds neither {name}/ nor {name}.zip"
        raise DataError(f"'{name}' is no file or folder, and no BEIR name{where}{hint}")
    return _download(name, Path("data") if data_dir is None else Path(data_dir))


def read_corpus(path: str | Path, data_dir: str | Path | None = None) -> CorpusReader:
    """Documents of anything `open_dataset` takes, streaming."""
    return open_dataset(path, data_dir).corpus()


def _open_path(path: Path) -> Dataset:
    if path.is_dir():
        return _open_folder(path)
    if path.suffix == ".zip":
        return _open_zip(path)
    if path.name.endswith((".jsonl", ".jsonl.gz", ".json", ".json.gz")):
        return Dataset(path.name.split(".")[0], LineSource(path), *_beside(path.parent))
    raise DataError("expected a BEIR folder, a .zip of one, or a corpus.jsonl[.gz]", path=path)


def _beside(folder: Path) -> tuple[LineSource | None, dict[str, LineSource]]:
    """queries.jsonl[.gz] and qrels/*.tsv of a folder."""
    queries = next((folder / n for n in ("queries.jsonl", "queries.jsonl.gz") if (folder / n).is_file()), None)
    qrels = {file.stem: LineSource(file) for file in sorted((folder / "qrels").glob("*.tsv"))}
    return (None if queries is None else LineSource(queries)), qrels


def _corpora(folder: Path) -> list[Path]:
    return [folder / name for name in ("corpus.jsonl", "corpus.jsonl.gz") if (folder / name).is_file()]


def _open_folder(folder: Path) -> Dataset:
    if corpora := _corpora(folder):
        return Dataset(folder.resolve().name, LineSource(corpora[0]), *_beside(folder))
    inner = folder / folder.name
    if inner.is_dir():  # unpacking a BEIR zip gives name/name/
        return _open_folder(inner)
    found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
    raise DataError(f"holds no corpus.jsonl or corpus.jsonl.gz (found: {found})", path=folder)


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except ARCHIVE_FAULTS as error:
        raise DataError(f"not a zip archive ({error}); fetch it again", path=path) from error


def _corpus_members(members: list[str]) -> list[str]:
    return sorted(m for m in members if PurePosixPath(m).name == "corpus.jsonl")


def _open_zip(path: Path) -> Dataset:
    members = _members(path)
    corpora = _corpus_members(members)
    if len(corpora) != 1:
        found = ", ".join(corpora) or "none"
        raise DataError(f"expected one corpus.jsonl in the archive (found: {found})", path=path)
    return _zip_dataset(path, members, corpora[0])


def _zip_dataset(path: Path, members: list[str], corpus: str) -> Dataset:
    """The collection beside one corpus of an archive."""
    root = PurePosixPath(corpus).parent
    queries = str(root / "queries.jsonl")
    return Dataset(
        path.stem,
        LineSource(path, corpus),
        LineSource(path, queries) if queries in members else None,
        {
            PurePosixPath(m).stem: LineSource(path, m)
            for m in sorted(members)
            if PurePosixPath(m).parent == root / "qrels" and m.endswith(".tsv")
        },
    )


def _download(name: str, folder: Path) -> Path:
    """Fetch a BEIR zip through `beir` and give its folder."""
    place = f"download {_BEIR_URL.format(name=name)} and put it at {folder / name}.zip"
    try:
        from beir import util
    except ImportError as error:
        raise DataError(
            f"'{name}' is not under {folder}, and downloading needs beir: pip install 'sparseir[beir]'; or {place}"
        ) from error
    try:
        return Path(util.download_and_unzip(_BEIR_URL.format(name=name), str(folder)))
    except (OSError, zipfile.BadZipFile) as error:  # requests' errors are OSErrors
        for part in (folder / f"{name}.zip",):
            if part.exists() and not zipfile.is_zipfile(part):
                part.unlink()
        raise DataError(f"cannot download '{name}' ({type(error).__name__}); {place}") from error
