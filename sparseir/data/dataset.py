"""Collections: a BEIR folder or zip, a corpus file, or a BEIR name."""

from __future__ import annotations

import difflib
import re
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexer.interchange.input import ARCHIVE_FAULTS
from sparseir.data.lines import LineSource
from sparseir.data.readers import CorpusReader, qrels_rows, read_qrels, read_queries
from sparseir.data.records import Qrels, Query
from sparseir.errors import DataError

BEIR_NAMES = (
    "arguana", "climate-fever", "cqadupstack", "dbpedia-entity", "fever", "fiqa", "germanquad", "hotpotqa", "mmarco",
    "mrtydi", "msmarco", "msmarco-v2", "nfcorpus", "nq", "nq-train", "quora", "scidocs", "scifact", "trec-covid-beir",
    "trec-covid-v2", "trec-covid", "vihealthqa", "webis-touche2020",
)  # fmt: skip
"""What the BEIR server offers (beir 2.2)."""

_BEIR_URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A collection whose files are found, and read only when asked for.

    Parameters
    ----------
    name : for tables; the folder's or archive's name.
    corpus_source, queries_source : where the lines are; a lone corpus file has no queries.
    qrels_sources : split → file.
    """

    name: str
    corpus_source: LineSource
    queries_source: LineSource | None
    qrels_sources: Mapping[str, LineSource]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have judgements, sorted."""
        return tuple(sorted(self.qrels_sources))

    def corpus(self) -> CorpusReader:
        """The documents, streaming."""
        return CorpusReader(self.corpus_source)

    def queries(self, split: str | None = None) -> list[Query]:
        """All queries in file order, or those with a judgement in a split.

        Raises
        ------
        DataError : no queries file, unknown split, qrels that name an unknown query.
        """
        if self.queries_source is None:
            raise DataError("has no queries.jsonl; a BEIR folder or zip has one", path=self.corpus_source.label)
        queries = read_queries(self.queries_source)
        if split is None:
            return queries
        source = self._split(split)
        known = {query.qid for query in queries}
        judged = set()
        for number, qid, _, _ in qrels_rows(source):
            if qid not in known:
                raise DataError(
                    f"unknown query '{qid}'; {self.queries_source.label} has no such _id",
                    path=source.label,
                    line=number,
                )
            judged.add(qid)
        return [query for query in queries if query.qid in judged]

    def qrels(self, split: str, *, docnos: Collection[str] | None = None) -> Qrels:
        """Judgements of a split.

        Parameters
        ----------
        docnos : the corpus' names (a set, or a mapping); when given, every judged document must be among them.

        Raises
        ------
        DataError : unknown split, malformed lines, an unknown document (file and line named).
        """
        source = self._split(split)
        if docnos is not None:
            for number, qid, docno, _ in qrels_rows(source):
                if docno not in docnos:
                    raise DataError(
                        f"query '{qid}' names document '{docno}', which is not in {self.corpus_source.label}; "
                        "use the corpus these judgements were made for",
                        path=source.label,
                        line=number,
                    )
        return read_qrels(source)

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
    path = Path(name_or_path)
    if path.exists():
        return _open_path(path)
    name = str(name_or_path)
    if data_dir is not None and re.fullmatch(r"[\w-]+", name):
        for candidate in (Path(data_dir) / name, Path(data_dir) / f"{name}.zip"):
            if candidate.exists():
                return _open_path(candidate)
    if name not in BEIR_NAMES:
        near = difflib.get_close_matches(name, BEIR_NAMES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        where = "" if data_dir is None else f", and {data_dir} holds neither {name}/ nor {name}.zip"
        raise DataError(f"'{name}' is no file or folder, and no BEIR name{where}{hint}")
    return _open_path(_download(name, Path("data") if data_dir is None else Path(data_dir)))


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


def _open_folder(folder: Path) -> Dataset:
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        if (folder / name).is_file():
            return Dataset(folder.resolve().name, LineSource(folder / name), *_beside(folder))
    inner = folder / folder.name
    if inner.is_dir():  # unpacking a BEIR zip gives name/name/
        return _open_folder(inner)
    found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
    raise DataError(f"holds no corpus.jsonl or corpus.jsonl.gz (found: {found})", path=folder)


def _open_zip(path: Path) -> Dataset:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except ARCHIVE_FAULTS as error:
        raise DataError(f"not a zip archive ({error}); fetch it again", path=path) from error
    corpora = sorted(m for m in members if PurePosixPath(m).name == "corpus.jsonl")
    if len(corpora) != 1:
        found = ", ".join(corpora) or "none"
        raise DataError(f"expected one corpus.jsonl in the archive (found: {found})", path=path)
    root = PurePosixPath(corpora[0]).parent
    queries = str(root / "queries.jsonl")
    return Dataset(
        path.stem,
        LineSource(path, corpora[0]),
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
