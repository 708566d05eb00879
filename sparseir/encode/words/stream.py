"""The lexical channel on the way into an index: documents pass, their words are counted, terms are added."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from indexer import Documents, IndexConfig, open_index
from indexer.format.partial import spool_folder
from indexer.inversion.invert import MAX_IMPACT
from indexer.inversion.weights import WeightTally
from indexer.progress import Progress, silent
from sparseir.config.lexical import LexicalConfig
from sparseir.data.passages import windows_of
from sparseir.encode.stored import content
from sparseir.encode.words.neighbours import CorpusNeighbours, IndexNeighbours
from sparseir.encode.words.projected import CorpusProjection, Embedder, IndexProjection
from sparseir.encode.words.spread import CorpusSpread, Spread
from sparseir.errors import ConfigError, SparseIRError
from sparseir.lexical.channel import BM25_KIND, LexicalChannel, has_channel
from sparseir.lexical.frequencies import WordFrequencies
from sparseir.lexical.projection import Projection
from sparseir.lexical.stems import StemFactors
from sparseir.models.query_table import DESCRIPTION_FILE, QueryTable

BM25_SCALE = 1 / MAX_IMPACT
"""doc_scale of a BM25 index: factors reach up to 1, so no document added later can be cut."""

Opened = Callable[[], LexicalChannel]


class LexicalStream:
    """Batches with the terms of the channel added.

    The factors of a document need the average length of all, and the weight of a factor of 1 needs the largest learned
    weight. So batches of a first build wait in a temporary file until all have passed; documents that are added to an
    index take both from it and pass straight through. Where documents get words of their neighbours or of a dense model, those
    of a build look among all of its documents, and those that are added in the index and by the words it keeps.

    Parameters
    ----------
    batches : with the learned terms alone, and all stored fields.
    open_channel : called when the first batch is asked for. *subtle:* an index asks while it holds its write lock, so the
        vocabulary read here is the one that this commit replaces, whatever other writers did before.
    path : the index; the temporary file lies beside it, in a folder that the next write removes after a kill.
    doc_scale : of the index where it is fixed beforehand, else 0.
    added_to : the index documents are added to, where there is one.
    num_threads : of searches for neighbours. embed : the channel's dense model, where somebody has it loaded.
    progress : told of documents that were embedded, and whose neighbours were found.
    """

    def __init__(
        self,
        batches: Iterable[Documents],
        open_channel: Opened,
        *,
        path: Path,
        doc_scale: float = 0.0,
        added_to: Path | None = None,
        num_threads: int = 1,
        embed: Embedder | None = None,
        progress: Progress = silent,
    ) -> None:
        self._batches = batches
        self._embed = embed
        self._open_channel = open_channel
        self._path = path
        self._doc_scale = doc_scale
        self._added_to = added_to
        self._threads = num_threads
        self._progress = progress
        self.channel: LexicalChannel | None = None
        self.projection: Projection | None = None

    def __iter__(self) -> Iterator[Documents]:
        channel = self.channel = self._open_channel()
        if channel.lengths.average:
            yield from self._added(channel)
            return
        with spool_folder(self._path) as folder, ExitStack() as files:
            channel.frequencies = WordFrequencies() if channel.config.expands else None
            near = words = None
            if channel.config.neighbours:
                near = CorpusNeighbours(channel, folder, num_threads=self._threads)
            if channel.config.expansion_model:
                words = CorpusProjection(channel, folder, embed=self._embed, progress=self._progress)
            spreads: list[CorpusSpread] = [part for part in (near, words) if part is not None]
            for part in spreads:
                files.callback(part.close)
            file = files.enter_context((folder / "batches").open("w+b"))
            learned, total = self._fill(file, channel, spreads)
            channel.lengths = channel.lengths.fixed()
            channel.full_weight = self._full_weight(channel, learned)
            with self._room(total):
                if near is not None:
                    near.index(_waiting(file, channel))
                if words is not None:
                    self.projection = words.fit()
            done = 0
            for documents, factors in _waiting(file, channel):
                yield _joined(channel, documents, factors, spreads)
                done += len(documents)
                if near is not None:
                    self._progress("finding neighbours", done, total)

    def _added(self, channel: LexicalChannel) -> Iterator[Documents]:
        spreads: list[Spread] = []
        if channel.config.neighbours and self._added_to is not None:
            spreads.append(IndexNeighbours(open_index(self._added_to), channel, num_threads=self._threads))
        side = None if self._added_to is None else open_index(self._added_to).query_side
        if channel.config.expansion_model and side is not None:
            spreads.append(IndexProjection(side, channel, embed=self._embed))
        for documents in self._batches:
            factors = channel.factors(channel.count(_contents(documents)))
            yield _joined(channel, documents, factors, spreads)

    def _full_weight(self, channel: LexicalChannel, learned: float) -> float:
        """Weight of a factor of 1, such that no factor exceeds the largest impact."""
        scale = MAX_IMPACT * self._doc_scale or learned or 1.0 if channel.learned_terms else 1.0
        return scale / channel.highest_factor

    def save(self, folder: str | Path, *, carried: Path | None) -> None:
        """Write the channel into a query side, after all documents have passed.

        Parameters
        ----------
        carried : the index whose query side the rest is copied from; None where the folder has the rest already.
        """
        assert self.channel is not None
        side = None if carried is None else open_index(carried).query_side
        if side is not None:
            shutil.copytree(side, folder, dirs_exist_ok=True)
        self.channel.save(folder)
        if self.projection is not None:
            self.projection.save(Path(folder))

    def _fill(self, file: IO[bytes], channel: LexicalChannel, spreads: Sequence[CorpusSpread]) -> tuple[float, int]:
        """Count all documents; the full weight of the learned terms, which no outlier moves far, and the number of documents."""
        tally, total = WeightTally(), 0
        for documents in self._batches:
            words = channel.count(_contents(documents))
            tally.add(documents.vectors)
            total += len(documents)
            with self._room(total):
                for part in spreads:
                    part.note(documents, words)
                pickle.dump((documents, words), file, pickle.HIGHEST_PROTOCOL)
                file.flush()
        return tally.full_weight, total

    @contextmanager
    def _room(self, total: int) -> Iterator[None]:
        """What writes temporary files says where, when the disk is full."""
        try:
            yield
        except OSError as error:
            raise SparseIRError(
                f"{self._path.absolute().parent}: cannot hold {total:,} documents until the words of all are counted "
                f"({error.strerror or error}); make room there"
            ) from error


def _waiting(file: IO[bytes], channel: LexicalChannel) -> Iterator[tuple[Documents, StemFactors]]:
    """The batches in a file that this process wrote, from its start."""
    file.seek(0)
    while True:
        try:
            documents, words = pickle.load(file)
        except EOFError:
            return
        yield documents, channel.factors(words)


def _contents(documents: Documents) -> list[str]:
    return [content(fields) for fields in documents.fields or ()]


def _joined(
    channel: LexicalChannel, documents: Documents, factors: StemFactors, spreads: Sequence[Spread]
) -> Documents:
    own = factors
    for part in spreads:
        factors = part.spread(documents, factors)
    if channel.frequencies is not None:
        channel.frequencies.add(own, factors)
    return replace(documents, vectors=channel.add_to(documents.vectors, factors))


def new_channel(config: LexicalConfig, learned_terms: list[str], num_learned: int) -> LexicalChannel:
    """The channel of an index to be built.

    Parameters
    ----------
    learned_terms : strings of the encoder's terms. num_learned : size of its vocabulary, no smaller.
    """
    padding = [f"[{i}]" for i in range(len(learned_terms), num_learned)]
    return LexicalChannel(config, learned_terms=[*learned_terms, *padding])


def stored_channel(path: Path) -> LexicalChannel:
    """The channel of an index as it is committed now."""
    side = open_index(path).query_side
    if side is None:
        raise SparseIRError(f"index {path.name!r} has no lexical channel any more; another process built it again")
    channel = LexicalChannel.load(side)
    if channel.first_term:
        _ = channel.learned_terms  # a tokenizer that is gone is named before documents are encoded, not after
    return channel


def check_query_side(path: Path) -> None:
    """Read what the query side of an index holds: its table of query weights, and its lexical channel.

    Raises
    ------
    DataError : a file is missing or damaged, or does not belong to the others.
    """
    index = open_index(path)
    side = index.query_side
    if index.query_files is not None and DESCRIPTION_FILE in index.query_files:
        QueryTable.load(index.query_files)
    if side is None or not has_channel(side):
        return
    channel = LexicalChannel.load(side)
    num_stems = len(channel.table.stems)  # reads all of them; a search looks its own up
    if channel.first_term:
        _ = channel.learned_terms  # those of the tokenizer, which writers and exports need
    if channel.config.expansion_model:
        Projection.load(side, num_stems=num_stems)


def has_channel_at(path: Path) -> bool:
    """Whether the index has a channel."""
    return has_channel(open_index(path).query_side)


def checked_config(config: IndexConfig, *, learned: bool) -> IndexConfig:
    """The settings of an index that gets a channel.

    Raises
    ------
    ConfigError : pruning, which would take words for the lightest terms, and postings from which idf is counted.
    """
    pruned = [name for name in ("prune_mass", "prune_terms", "prune_postings") if _differs(config, name)]
    if pruned:
        raise ConfigError(
            f"{' and '.join(pruned)}: an index with a lexical channel keeps all its postings, since it counts document "
            "frequencies in them; the learned terms are limited by --max-active-dims"
        )
    return config if learned or config.doc_scale else replace(config, doc_scale=BM25_SCALE)


def _differs(config: IndexConfig, name: str) -> bool:
    return bool(getattr(config, name) != getattr(IndexConfig(), name))


def check_no_channel(path: Path, what: str) -> None:
    """Refuse to add documents without words to an index that has the channel.

    Raises
    ------
    SparseIRError
    """
    if windows_of(open_index(path)) is not None:
        raise SparseIRError(f"index {path.name!r} holds passages, which {what} cannot name; add documents as text")
    if has_channel_at(path):
        raise SparseIRError(
            f"index {path.name!r} has a lexical channel, which {what} cannot fill; add documents as text"
        )


def check_model_given(path: Path, given: bool) -> None:
    """Refuse to add text without a model to an index of learned terms.

    Raises
    ------
    SparseIRError
    """
    encoder = open_index(path).encoder
    if not given and (encoder is None or encoder.kind != BM25_KIND):
        raise SparseIRError(
            f"index {path.name!r} holds learned vectors; to add texts, name the model it was built with (--model)"
        )
