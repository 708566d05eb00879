"""Collections: any corpus that can be read, with the queries and judgements beside it; or a BEIR name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from sparseir.data.beir import locate
from sparseir.data.compression import bare_name
from sparseir.data.corpus.fields import FieldMap
from sparseir.data.corpus.formats import FORMATS, TEXT, check_format, format_of, open_rows
from sparseir.data.corpus.places import RowFile
from sparseir.data.corpus.reader import CorpusReader
from sparseir.data.corpus.tree import Tree, tree_beside, tree_of
from sparseir.data.expansions import Expansions
from sparseir.data.irds import PREFIX, open_irds
from sparseir.data.judgements import note_absent, qrels_rows, read_qrels
from sparseir.data.lines import STANDARD_INPUT, LineSource
from sparseir.data.readers import read_queries
from sparseir.data.records import Qrels, Query
from sparseir.errors import DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Corpus:
    """The files of a corpus, found and not yet read.

    label : the corpus, in errors. files : read one after the other. fields : keys of names, texts, titles.
    notes : sentences for a person about what was found.
    """

    label: Path
    files: Sequence[RowFile]
    fields: FieldMap
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """A collection whose files are found, and read only when asked for.

    Parameters
    ----------
    name : for tables; the folder's or archive's name.
    corpus_source : the files of the corpus. queries_source : where queries are; None where there are none.
    qrels_sources : split → file.
    group : the collection this is a part of, as CQADupStack has twelve; "" for one that stands alone.
    expansions : file of text that a model wrote for the documents; None where there is none beside the corpus.
    """

    name: str
    corpus_source: Corpus
    queries_source: LineSource | None
    qrels_sources: Mapping[str, LineSource]
    group: str = ""
    expansions: LineSource | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have judgements, sorted."""
        return tuple(sorted(self.qrels_sources))

    def corpus(self) -> CorpusReader:
        """The documents, streaming."""
        source = self.corpus_source
        expansions = None if self.expansions is None else Expansions(self.expansions).added
        return CorpusReader(source.files, source.fields, source.label, source.notes, expansions)

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
            raise DataError(f"has no judgements for split '{split}' (found: {have})", path=self.corpus_source.label)
        return self.qrels_sources[split]


def open_dataset(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    *,
    form: str | None = None,
    fields: FieldMap | None = None,
    expansions: str | Path | None = None,
) -> Dataset:
    """Find a collection by path or by BEIR name.

    A path is a folder, a zip that holds one (read in place), or a file, beside which queries and qrels are picked up; `-`
    is standard input. In a folder, `corpus.jsonl` (or .csv, .tsv, .parquet …) is the corpus, as in BEIR's; without one, all
    files with rows are, or all texts (docs/inputs.md). A name is looked for under `data_dir` as folder and as zip, then
    downloaded there. A name that begins with irds: is one of ir_datasets.

    Parameters
    ----------
    form : the format, where endings do not say (`sparseir.data.corpus.formats.FORMATS`).
    fields : keys of name, text and title; None for those that are known.
    expansions : file for `Expansions`; None for expansions.jsonl beside the corpus, where there is one.

    Raises
    ------
    DataError : nothing of the kind, or no download; the message says where to put the zip.
    ConfigError : a format that there is not.
    """
    if expansions is not None:
        found = open_dataset(name_or_path, data_dir, form=form, fields=fields)
        return replace(found, expansions=LineSource(Path(expansions)))
    check_format(form)
    chosen = _Reading(form, fields or FieldMap())
    if str(name_or_path).startswith(PREFIX):
        return chosen.of_irds(str(name_or_path))
    if str(name_or_path) == str(STANDARD_INPUT):
        return chosen.of_file(STANDARD_INPUT)
    return chosen.of_path(locate(name_or_path, data_dir))


def open_datasets(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    *,
    form: str | None = None,
    fields: FieldMap | None = None,
) -> list[Dataset]:
    """As `open_dataset`, and the parts of a collection that is several: a folder of BEIR folders, a zip of such a folder.

    Raises
    ------
    DataError, ConfigError : as `open_dataset`.
    """
    is_path = str(name_or_path) != str(STANDARD_INPUT) and not str(name_or_path).startswith(PREFIX)
    path = locate(name_or_path, data_dir) if is_path else None
    if path is not None and (path.is_dir() or path.suffix == ".zip"):
        chosen, tree = _Reading(form, fields or FieldMap()), tree_of(path)
        corpora = [] if form == TEXT else tree.corpora()
        if len(corpora) > 1:
            name = path.resolve().name if path.is_dir() else path.stem
            named = [f"{name}/{PurePosixPath(corpus).parent.name}" for corpus in corpora]
            parts = [chosen.of_corpus(tree, corpus) for corpus in corpora]
            return [replace(part, name=n, group=name) for part, n in zip(parts, named, strict=True)]
    return [open_dataset(name_or_path, data_dir, form=form, fields=fields)]


def read_corpus(
    path: str | Path,
    data_dir: str | Path | None = None,
    *,
    form: str | None = None,
    fields: FieldMap | None = None,
    expansions: str | Path | None = None,
) -> CorpusReader:
    """Documents of anything `open_dataset` takes, streaming."""
    return open_dataset(path, data_dir, form=form, fields=fields, expansions=expansions).corpus()


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the files of a collection are read: what was said of their format and of their keys."""

    form: str | None
    fields: FieldMap

    def of_path(self, path: Path) -> Dataset:
        if not path.is_dir() and path.suffix != ".zip":
            return self.of_file(path)
        tree = tree_of(path)
        corpora = [] if self.form == TEXT else tree.corpora()
        if len(corpora) > 1:
            raise DataError(f"holds several collections ({', '.join(corpora[:5])}); name one of them", path=path)
        if corpora:
            return self.of_corpus(tree, corpora[0])
        names, notes = tree.corpus_files(self.form)
        files = [open_rows(tree.source(name), self.form, self.fields, name) for name in names]
        return self._dataset(tree, "", Corpus(path, files, self.fields, notes))

    def of_irds(self, name: str) -> Dataset:
        found = open_irds(name, self.form)
        rows = open_rows(found.documents, "jsonl", self.fields)
        corpus = Corpus(found.documents.label, (rows,), self.fields)
        return Dataset(name.removeprefix(PREFIX), corpus, found.queries, found.qrels)

    def of_corpus(self, tree: Tree, corpus: str) -> Dataset:
        """The collection in whose folder lies this corpus."""
        source = tree.source(corpus)
        files = (open_rows(source, self.form, self.fields),)
        return self._dataset(tree, str(PurePosixPath(corpus).parent), Corpus(source.label, files, self.fields))

    def of_file(self, path: Path) -> Dataset:
        source = LineSource(path)
        stated = self.form or format_of(path.name)
        if source.is_stream or stated not in (None, TEXT):
            rows = open_rows(source, self.form, self.fields)
            corpus = Corpus(source.label, (rows,), self.fields)
            if source.is_stream:
                return Dataset("stdin", corpus, None, {})
            name = path.name.split(".")[0]
            return replace(self._dataset(tree_beside(path), "", corpus), name=name)
        if stated == TEXT:
            raise DataError("is one text; give the folder it is in, whose texts are a document each", path=path)
        raise DataError(
            f"cannot tell its format by its ending; say one of --format {', '.join(FORMATS)}; or give a BEIR folder or a .zip "
            "of one",
            path=path,
        )

    def _dataset(self, tree: Tree, folder: str, corpus: Corpus) -> Dataset:
        """With the queries and judgements that lie beside a corpus."""
        root = "" if folder in ("", ".") else f"{folder}/"
        name = tree.path.stem if tree.path.is_file() else tree.path.resolve().name
        queries = tree.first(
            *(f"{root}queries{end}{packed}" for end in (".jsonl", ".tsv") for packed in ("", ".gz", ".zst"))
        )
        qrels = {
            PurePosixPath(bare_name(member)).stem: tree.source(member)
            for member in tree.names
            if str(PurePosixPath(member).parent) == f"{root}qrels" and bare_name(member).endswith(".tsv")
        }
        expansions = tree.first(*(f"{root}expansions.jsonl{packed}" for packed in ("", ".gz", ".zst")))
        return Dataset(name, corpus, queries, qrels, expansions=expansions)
