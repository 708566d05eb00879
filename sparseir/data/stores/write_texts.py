"""Writing a text store: texts pass once, a stopped run goes on, and memory does not grow with the texts."""

from __future__ import annotations

import itertools
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.data.corpus.places import Place
from sparseir.data.stores.files import described, mapped, read_description, room_on_disk, write_description
from sparseir.data.stores.texts import DESCRIPTION, FORM, MOST_ROWS, VERSION, TextStore, hashes_of
from sparseir.errors import DataError

_STATE, _STATE_FORM = "writing.json", "a store being written"
_STEP = 50_000
"""Rows between two states that a stopped run goes on from."""

_ROW_BITS = 36


class NamedText(NamedTuple):
    """A text on its way into a store.

    place : where it is from. file : the number of its file among those of the corpus.
    """

    place: Place
    file: int
    name: str
    text: str


def write_store(
    folder: str | Path,
    texts: Iterable[NamedText],
    *,
    resume: bool = False,
    what: str = "texts",
    total: int | None = None,
    progress: Progress = silent,
) -> TextStore:
    """Make a store of a stream of texts. Sorting the names at the end takes 16 bytes a text, all else a few megabytes.

    Parameters
    ----------
    folder : made where it is not there; what a finished store left in it is replaced.
    resume : go on with a run that was stopped, over the same stream; what it had written is compared and kept.
    what : of the progress. total : texts in the stream, where that is known.

    Raises
    ------
    DataError : a name twice, with both places; a stream that differs from that of the run that is resumed; no text.
    SparseIRError : a disk that takes no more.
    """
    folder = Path(folder)
    with room_on_disk(folder, what):
        writer = _Writer(folder, resume=resume)
        try:
            for named in _after(texts, writer, folder):
                writer.add(named)
                if writer.waiting == _STEP:
                    writer.flush()
                    progress(f"storing {what}", writer.rows, total)
            writer.flush()
        finally:
            writer.close()
        progress(f"storing {what}", writer.rows, writer.rows)
        return _finished(folder, writer)


def _after(texts: Iterable[NamedText], writer: _Writer, folder: Path) -> Iterator[NamedText]:
    """What follows the rows that are written; these are read again, and must be the same."""
    skipped, expected, crc = writer.rows, writer.crc, 0
    stream = iter(texts)
    for named in itertools.islice(stream, skipped):
        crc = zlib.crc32(named.text.encode(), zlib.crc32(named.name.encode(), crc))
    if crc != expected:
        raise DataError(
            f"the first {skipped:,} texts differ from those of the run that was stopped; start again with --overwrite",
            path=folder,
        )
    yield from stream


class _Writer:
    """The growing files of a store. `crc` is that of all names and texts in turn."""

    _FILES = ("texts.bin", "texts.off", "names.bin", "names.off", "places.tmp")

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self._folder = folder
        self.rows, self.crc, self.waiting = 0, 0, 0
        self._crcs = {"texts.bin": 0, "names.bin": 0}
        self._sizes = dict.fromkeys(self._FILES, 0)
        self.by_row = True
        self.labels: dict[str, str] = {}
        going_on = resume and (folder / _STATE).is_file()
        if going_on:
            self._take_up()
        else:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
        self._texts: list[bytes] = []
        self._names: list[bytes] = []
        self._places: list[int] = []
        self._open: dict[str, BinaryIO] = {}
        try:
            self._open_files("r+b" if going_on else "w+b")
        except BaseException:
            self.close()
            raise

    def _open_files(self, mode: Literal["r+b", "w+b"]) -> None:
        """Each file from where its last state ends: what was written after it is written again."""
        for name in self._FILES:
            file = self._open[name] = (self._folder / name).open(mode)
            file.truncate(self._sizes[name])
            file.seek(self._sizes[name])
        if not self.rows:
            self._ends(np.zeros(1, np.int64), np.zeros(1, np.int64))

    def _take_up(self) -> None:
        state = read_description(self._folder / _STATE, _STATE_FORM, VERSION)
        self.rows, self.crc, self.by_row = state["rows"], state["crc"], state["by_row"]
        self._crcs, self._sizes, self.labels = state["crcs"], state["sizes"], state["labels"]

    def add(self, named: NamedText) -> None:
        name, text = named.name.encode(), named.text.encode()
        self.by_row = self.by_row and named.name == str(self.rows + self.waiting)
        self.crc = zlib.crc32(text, zlib.crc32(name, self.crc))
        self._texts.append(text)
        self._names.append(name)
        self._places.append(named.file << _ROW_BITS | named.place.number)
        self.labels.setdefault(str(named.file), str(named.place.path))
        self.waiting += 1
        if self.rows + self.waiting > MOST_ROWS:
            raise DataError(f"more than {MOST_ROWS:,} texts, which a store cannot hold", path=self._folder)

    def flush(self) -> None:
        """Write what waits, make it durable, and note how far it goes."""
        if self.waiting:
            self._ends(_grown(self._sizes["texts.bin"], self._texts), _grown(self._sizes["names.bin"], self._names))
            for name, parts in (("texts.bin", self._texts), ("names.bin", self._names)):
                block = b"".join(parts)
                self._crcs[name] = zlib.crc32(block, self._crcs[name])
                self._write(name, block)
            self._write("places.tmp", np.array(self._places, np.int64).tobytes())
            self.rows += self.waiting
            self._texts, self._names, self._places, self.waiting = [], [], [], 0
        for file in self._open.values():
            file.flush()
            os.fsync(file.fileno())
        state = {"rows": self.rows, "crc": self.crc, "by_row": self.by_row, "crcs": self._crcs, "sizes": self._sizes}
        body = {"format": _STATE_FORM, "version": VERSION, **state, "labels": self.labels}
        write_description(self._folder / _STATE, body)

    @property
    def crcs(self) -> dict[str, int]:
        """Checksums of the blobs."""
        return self._crcs

    def close(self) -> None:
        for file in self._open.values():
            file.close()

    def place(self, packed: int) -> Place:
        """Where a text is from, by its entry in places.tmp."""
        return Place(Path(self.labels[str(packed >> _ROW_BITS)]), packed & ((1 << _ROW_BITS) - 1))

    def _ends(self, texts: NDArray[np.int64], names: NDArray[np.int64]) -> None:
        self._write("texts.off", texts.tobytes())
        self._write("names.off", names.tobytes())

    def _write(self, name: str, block: bytes) -> None:
        self._open[name].write(block)
        self._sizes[name] += len(block)


def _grown(start: int, parts: Sequence[bytes]) -> NDArray[np.int64]:
    return start + np.cumsum([len(part) for part in parts], dtype=np.int64)


def _finished(folder: Path, writer: _Writer) -> TextStore:
    """Sort the names, describe the files, and drop what only the writing needed."""
    if not writer.rows:
        raise DataError("no text to store", path=folder)
    names: dict[str, int | None] = {"texts.bin": writer.crcs["texts.bin"], "texts.off": None}
    if not writer.by_row:
        _sort_names(folder, writer)
        names |= {"names.bin": writer.crcs["names.bin"], "names.off": None, "names.hash": None, "names.row": None}
    body: dict[str, Any] = {"format": FORM, "version": VERSION, "rows": writer.rows, "named_by_row": writer.by_row}
    write_description(folder / DESCRIPTION, body | {"files": described(folder, names)})
    # The state first: without it a later run takes the store as finished, with it as one to be finished again.
    for name in (_STATE, "places.tmp", *(("names.bin", "names.off") if writer.by_row else ())):
        (folder / name).unlink()
    return TextStore(folder)


def _sort_names(folder: Path, writer: _Writer) -> None:
    digests = np.empty(writer.rows, np.uint64)
    for first, names in _names(folder, writer.rows):
        digests[first : first + len(names)] = hashes_of(names)
    order = np.argsort(digests, kind="stable").astype(np.uint32)
    digests = digests[order]
    _refuse_twice(folder, writer, digests, order)
    for name, array in (("names.hash", digests), ("names.row", order)):
        with (folder / name).open("wb") as file:
            array.tofile(file)
            file.flush()
            os.fsync(file.fileno())


def _names(folder: Path, rows: int, size: int = 65_536) -> Iterator[tuple[int, list[str]]]:
    offsets = mapped(folder / "names.off", np.int64, rows + 1)
    with (folder / "names.bin").open("rb") as file:
        for first in range(0, rows, size):
            ends = np.array(offsets[first : first + size + 1])
            block = file.read(int(ends[-1] - ends[0]))
            cuts = (ends - ends[0]).tolist()
            yield first, [block[a:b].decode() for a, b in itertools.pairwise(cuts)]


def _refuse_twice(folder: Path, writer: _Writer, digests: NDArray[np.uint64], order: NDArray[np.uint32]) -> None:
    """Equal digests are nearly always equal names; of these the later place is refused."""
    same = np.flatnonzero(digests[1:] == digests[:-1])
    if not len(same):
        return
    offsets = mapped(folder / "names.off", np.int64, writer.rows + 1)
    places = mapped(folder / "places.tmp", np.int64, writer.rows)
    with (folder / "names.bin").open("rb") as file:

        def name(row: int) -> str:
            start, end = int(offsets[row]), int(offsets[row + 1])
            return os.pread(file.fileno(), end - start, start).decode()

        pairs = sorted((int(order[i + 1]), int(order[i])) for i in same)
        for later, earlier in pairs:
            if name(later) == name(earlier):
                first, here = writer.place(int(places[earlier])), writer.place(int(places[later]))
                where = f"on line {first.number}" if first.path == here.path else f"in {first}"
                raise here.fault(f"duplicate id '{name(later)}', first seen {where}; ids must be unique")
