"""`sparseir data prepare`: texts to stores, files of pairs to tables, one stage after the other; what is done is not done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.format.lock import write_lock
from indexer.progress import Progress, silent
from sparseir.data.corpus.places import Place
from sparseir.data.dataset import open_dataset
from sparseir.data.expansions import Expansions
from sparseir.data.lines import LineSource
from sparseir.data.prepared.embeddings import store_embeddings
from sparseir.data.prepared.folder import DESCRIPTION, EXPANSIONS, FORM, VERSION, Prepared
from sparseir.data.prepared.formats import BY_ID, BY_TEXT, PairFile, pair_file, split_given
from sparseir.data.prepared.rows import PairRow
from sparseir.data.prepared.spool import PairSpool
from sparseir.data.prepared.unique import unique_texts
from sparseir.data.readers import query_rows
from sparseir.data.stores.files import read_description, room_on_disk, write_description
from sparseir.data.stores.texts import TextStore
from sparseir.data.stores.write_texts import NamedText, write_store
from sparseir.errors import ConfigError, DataError, SparseIRError


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """What a folder is prepared of, and how.

    documents : a corpus, as `open_dataset` takes it. queries : a file, as `read_queries` takes it.
    pairs : files, each as FILE or [NAME][:FORMAT]=FILE. Without documents and queries, both are the texts of these.
    resume : go on with a folder that is there: what was stopped, and pairs that are new. overwrite : make it anew.
    skip_unknown : leave out pairs and expansions whose ids the stores do not hold.
    expansions : file of text that a model wrote for the documents, as `Expansions` takes it; None for what the corpus has.
    embeddings, query_embeddings : X.npy, and X.ids with the names of its rows, of the documents and of the queries.
    """

    documents: str | None = None
    queries: str | None = None
    pairs: Sequence[str] = ()
    resume: bool = False
    overwrite: bool = False
    skip_unknown: bool = False
    expansions: str | None = None
    embeddings: str | None = None
    query_embeddings: str | None = None

    def check(self) -> None:
        """Refuse what is wrong whatever the files hold.

        Raises
        ------
        ConfigError
        """
        if (self.documents is None) != (self.queries is None):
            raise ConfigError(
                "give --documents and --queries, or neither: then both are made of the texts of the pairs"
            )
        if self.documents is None and not self.pairs:
            raise ConfigError("nothing to prepare: give --documents and --queries, or --pairs with texts")
        if self.expansions is not None and self.documents is None:
            raise ConfigError("--expansions names documents by their ids: give --documents and --queries as well")
        for given in self.pairs:
            split_given(given)


def prepare(
    folder: str | Path,
    options: PrepareOptions,
    *,
    progress: Progress = silent,
    note: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Make a folder of training data, or go on with one.

    Parameters
    ----------
    note : takes a line on what was left out.

    Raises
    ------
    ConfigError : nothing to prepare, a folder that is in use.
    DataError : faults of the files, with file and line; files that changed since the run that is resumed.
    SparseIRError : a full disk, a folder that another process writes.
    """
    target = Path(folder)
    options.check()
    _begin(target, options)
    with write_lock(target):
        stages = _Stages(target)
        _store(stages, options, progress)
        prepared = Prepared(target)
        _expansions(stages, prepared, options, progress, note)
        _embeddings(stages, prepared, options, progress)
        known = None if _of_texts(stages) else _known(prepared.documents)
        files = [pair_file(given, known) for given in options.pairs]
        _check_names(files)
        for file in files:
            _tables(stages, prepared, file, options, progress, note)
    return Prepared(target)  # with what its stages are now


def _begin(target: Path, options: PrepareOptions) -> None:
    """A folder to work in: new, or the one that is there."""
    there = target.exists() and any(target.iterdir()) if target.is_dir() else target.exists()
    if there and not (options.resume or options.overwrite):
        raise ConfigError(
            f"{target} is there already; --resume goes on with it and adds new pairs, --overwrite makes it anew"
        )
    if there and not (target / DESCRIPTION).is_file():
        raise ConfigError(f"{target} is no folder that sparseir prepared, and is left alone; name another")
    if there and options.overwrite and not options.resume:
        shutil.rmtree(target)
    with room_on_disk(target.parent, "a folder"):
        target.mkdir(parents=True, exist_ok=True)
        if not (target / DESCRIPTION).exists():
            write_description(target / DESCRIPTION, {"format": FORM, "version": VERSION, "stages": {}})


class _Stages:
    """Which stages of a folder are done, and of what files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: dict[str, dict[str, Any]] = read_description(folder / DESCRIPTION, FORM, VERSION)["stages"]

    def is_done(self, stage: str, of: list[dict[str, Any]]) -> bool:
        """Whether a stage is done of these files.

        Raises
        ------
        DataError : it is done of others, or of the same before they changed.
        """
        if stage not in self.done:
            return False
        before = self.done[stage]["of"]
        if before != of:
            names = ", ".join(str(file["path"]) for file in before)
            raise DataError(
                f"its {stage} were made of {names} as it was then, and other files are given now; name another folder, or "
                "--overwrite",
                path=self.folder,
            )
        return True

    def finish(self, stage: str, of: list[dict[str, Any]], **more: Any) -> None:
        self.done[stage] = {"of": of, **more}
        with room_on_disk(self.folder, DESCRIPTION):
            write_description(self.folder / DESCRIPTION, {"format": FORM, "version": VERSION, "stages": self.done})


def _store(stages: _Stages, options: PrepareOptions, progress: Progress) -> None:
    """The stores of documents and of queries."""
    if options.documents is None or options.queries is None:
        if "documents" not in stages.done or "queries" not in stages.done:
            _store_texts_of_pairs(stages, options, progress)
        return
    of = [_stated(Path(options.documents))]
    if not stages.is_done("documents", of):
        documents = _Documents(options.documents)
        write_store(stages.folder / "documents", documents, resume=True, what="documents", progress=progress)
        stages.finish("documents", of, expanded=documents.expanded)
    of = [_stated(Path(options.queries))]
    if not stages.is_done("queries", of):
        queries = _queries(options.queries)
        write_store(stages.folder / "queries", queries, resume=True, what="queries", progress=progress)
        stages.finish("queries", of)


def _expansions(
    stages: _Stages,
    prepared: Prepared,
    options: PrepareOptions,
    progress: Progress,
    note: Callable[[str], None],
) -> None:
    """The store of expansions: of the file that is given, of the one beside the corpus, or of the documents themselves."""
    if options.documents is None:
        return
    own = open_dataset(options.documents).expansions
    source = own if options.expansions is None else LineSource(Path(options.expansions))
    if source is None and not stages.done["documents"].get("expanded"):
        return
    given = options.expansions or (options.documents if source is None else source.label)
    of = [_stated(Path(given))]
    if (EXPANSIONS in stages.done and options.expansions is None) or stages.is_done(EXPANSIONS, of):
        return
    unknown = 0

    def known() -> Iterator[NamedText]:
        nonlocal unknown
        for row in _own_expansions(str(options.documents)) if source is None else Expansions(source).rows():
            if prepared.documents.rows([row.name])[0] >= 0:
                yield row
            elif options.skip_unknown:
                unknown += 1
            else:
                raise row.place.fault(
                    f"'{row.name}' is none of the documents; --skip-unknown leaves such expansions out"
                )

    write_store(stages.folder / EXPANSIONS, known(), resume=True, what=EXPANSIONS, progress=progress)
    stages.finish(EXPANSIONS, of)
    if unknown:
        note(f"{given}: {unknown:,} expansions name documents that are not in this folder; they are left out")


def _embeddings(stages: _Stages, prepared: Prepared, options: PrepareOptions, progress: Progress) -> None:
    """The embeddings that are given, in the order of the stores."""
    for side, given, texts in (
        ("documents", options.embeddings, prepared.documents),
        ("queries", options.query_embeddings, prepared.queries),
    ):
        stage = f"embeddings.{side}"
        if given is None or stages.is_done(
            stage, of := [_stated(Path(given)), _stated(Path(given).with_suffix(".ids"))]
        ):
            continue
        store_embeddings(stages.folder / stage, Path(given), texts, prepared.stores, what=side, progress=progress)
        stages.finish(stage, of)


def _store_texts_of_pairs(stages: _Stages, options: PrepareOptions, progress: Progress) -> None:
    files = [pair_file(given, None) for given in options.pairs]
    of = [_stated(file.source.path) for file in files]
    for stage in ("documents", "queries"):
        if not stages.is_done(stage, of):
            with _temporary(stages.folder / "spool" / stage) as folder:
                texts = unique_texts(files, stage, folder, progress)
                write_store(stages.folder / stage, texts, resume=True, what=stage, progress=progress)
            stages.finish(stage, of, texts=True)


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _of_texts(stages: _Stages) -> bool:
    return bool(stages.done["documents"].get("texts"))


def _tables(
    stages: _Stages,
    prepared: Prepared,
    file: PairFile,
    options: PrepareOptions,
    progress: Progress,
    note: Callable[[str], None],
) -> None:
    stage, of = f"pairs.{file.name}", [_stated(file.source.path) | {"format": file.form}]
    if stages.is_done(stage, of):
        return
    spool = PairSpool(prepared, file, of, skip_unknown=options.skip_unknown)
    spool.read(_rows(file, spool.line), progress)
    tables = spool.merge(progress)
    stages.finish(stage, of, tables=tables, unknown=spool.unknown)
    spool.remove()
    if spool.unknown:
        note(f"{file.source.label}: {spool.unknown:,} pairs name ids that are not in this folder; they are left out")


def _rows(file: PairFile, after: int) -> Iterator[PairRow]:
    if not file.by_text:
        return BY_ID[file.form](file.source, after)
    return (pair for row in BY_TEXT[file.form](file.source) if row.line > after for pair in row.pairs)


class _Documents:
    """The texts of a corpus.

    Attributes
    ----------
    expanded : whether one of those read so far has an expansion of its own.
    """

    def __init__(self, given: str) -> None:
        self._given, self.expanded = given, False

    def __iter__(self) -> Iterator[NamedText]:
        for at, place, document in open_dataset(self._given).corpus().placed():
            self.expanded |= bool(document.expansion)
            yield NamedText(place, at, document.docno, document.content)


def _own_expansions(given: str) -> Iterator[NamedText]:
    for at, place, document in open_dataset(given).corpus().placed():
        if document.expansion:
            yield NamedText(place, at, document.docno, document.expansion)


def _queries(given: str) -> Iterator[NamedText]:
    source = LineSource(Path(given))
    for number, qid, text in query_rows(source):
        yield NamedText(Place(source.label, number), 0, qid, text)


def _known(documents: TextStore) -> Callable[[str], bool]:
    return lambda name: bool(documents.rows([name])[0] >= 0)


def _check_names(files: Sequence[PairFile]) -> None:
    names = [file.name for file in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SparseIRError(
            f"two files of pairs are called '{twice}'; give one of them another name: --pairs NAME=FILE"
        )


def _stated(path: Path) -> dict[str, Any]:
    """What tells a file from what it was before: its path, and of a file its size and time of change."""
    if not path.is_file():
        return {"path": str(path.resolve())}
    found = path.stat()
    return {"path": str(path.resolve()), "bytes": found.st_size, "changed": found.st_mtime_ns}
