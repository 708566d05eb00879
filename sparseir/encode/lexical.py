"""The lexical channel on the way into an index: documents pass, their words are counted, terms are added."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from indexer import Documents, IndexConfig, open_index
from indexer.inversion.invert import MAX_IMPACT
from indexer.inversion.weights import WeightTally
from sparseir.config.lexical import LexicalConfig
from sparseir.errors import ConfigError, SparseIRError
from sparseir.lexical.channel import BM25_KIND, LexicalChannel, has_channel
from sparseir.lexical.stems import WordCounts

BM25_SCALE = 1 / MAX_IMPACT
"""doc_scale of a BM25 index: factors reach up to 1, so no document added later can be cut."""

Opened = Callable[[], LexicalChannel]


def content(fields: Mapping[str, Any]) -> str:
    """The text of a document by its stored fields, as `Document.content` gives it."""
    title, text = fields.get("title", ""), fields.get("text", "")
    return f"{title} {text}".strip() if title else text


class LexicalStream:
    """Batches with the terms of the channel added.

    The factors of a document need the average length of all, and the weight of a factor of 1 needs the largest learned
    weight. So batches of a first build wait in a temporary file until all have passed; documents that are added to an
    index take both from it and pass straight through.

    Parameters
    ----------
    batches : with the learned terms alone, and all stored fields.
    open_channel : called when the first batch is asked for. *subtle:* an index asks while it holds its write lock, so the
        vocabulary read here is the one that this commit replaces, whatever other writers did before.
    spool : folder for the temporary file.
    doc_scale : of the index where it is fixed beforehand, else 0.
    """

    def __init__(
        self, batches: Iterable[Documents], open_channel: Opened, *, spool: Path, doc_scale: float = 0.0
    ) -> None:
        self._batches = batches
        self._open_channel = open_channel
        self._spool = spool
        self._doc_scale = doc_scale
        self.channel: LexicalChannel | None = None

    def __iter__(self) -> Iterator[Documents]:
        channel = self.channel = self._open_channel()
        if channel.lengths.average:
            for documents in self._batches:
                yield _joined(channel, documents, channel.count(_contents(documents)))
            return
        with tempfile.TemporaryFile(dir=self._spool, prefix=".sparseir-") as file:
            full_weight = self._fill(file, channel)
            channel.lengths = channel.lengths.fixed()
            if channel.learned_terms:
                channel.full_weight = MAX_IMPACT * self._doc_scale or full_weight or 1.0
            file.seek(0)
            while (waiting := _next(file)) is not None:
                yield _joined(channel, *waiting)

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

    def _fill(self, file: IO[bytes], channel: LexicalChannel) -> float:
        """Count all documents; the full weight of the learned terms, which no outlier moves far."""
        tally = WeightTally()
        for documents in self._batches:
            words = channel.count(_contents(documents))
            tally.add(documents.vectors)
            pickle.dump((documents, words), file, pickle.HIGHEST_PROTOCOL)
        return tally.full_weight


def _next(file: IO[bytes]) -> tuple[Documents, WordCounts] | None:
    try:
        return pickle.load(file)
    except EOFError:
        return None


def _contents(documents: Documents) -> list[str]:
    return [content(fields) for fields in documents.fields or ()]


def _joined(channel: LexicalChannel, documents: Documents, words: WordCounts) -> Documents:
    return replace(documents, vectors=channel.add_to(documents.vectors, words))


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
    return LexicalChannel.load(side)


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
