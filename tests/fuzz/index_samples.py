"""Small indexes that hold every section between them, and all that such an index answers and holds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from indexer import (
    Index,
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
)
from indexer.errors import NativeError
from indexer.format.segment import SegmentFile
from indexer.interchange.export import index_batches
from indexer.merge.subset import subset_segment
from indexer.native.engine import ENGINES, NativeIndex, Scratch


@dataclass
class Sample:
    """An index as bytes by file name, what it answers and holds, and what it holds compacted, as it is and after an addition."""

    files: dict[str, bytes]
    answers: list
    content: list
    compacted: list
    extended: list


NOON = 1_700_000_000
_CLOCK = SimpleNamespace(time=lambda: NOON, gmtime=lambda: time.gmtime(NOON), strftime=time.strftime)


@mock.patch("indexer.build.time", _CLOCK)
def make_samples(folder: Path, seed: int) -> list[Sample]:
    """Small indexes that hold every section between them, the same bytes for a seed on any day."""
    rng = np.random.default_rng(seed)
    samples = []
    for number, (sizes, stored, layout, order) in enumerate(
        (
            ((2300,), "none", "standard", "input"),
            ((40, 9), "f32", "standard", "clusters"),
            ((1,), "f16", "standard", "input"),
            ((100, 0, 20), "none", "standard", "clusters"),
            ((2300,), "none", "compact", "input"),
            ((2300, 20), "f32", "packed", "input"),
            ((90, 30), "f16", "packed", "bisection"),
            ((70, 5), "none", "compact", "clusters"),
        )
    ):
        path = folder / f"sample{number}"
        names = iter(f"név{i}" for i in range(10_000))
        for turn, rows in enumerate(sizes):
            vectors = SparseVectors.from_rows(
                [
                    {int(t): float(rng.gamma(1.0)) + 0.01 for t in rng.choice(24, rng.integers(0, 6), replace=False)}
                    for _ in range(rows)
                ],
                24,
            )
            named = number in (
                1,
                3,
                6,
                7,
            )  # reading the names and fields of thousands again and again takes the most time
            docnos = [next(names) for _ in range(rows)] if named else None
            fields = [{"title": f"t{i}", "year": i % 3} for i in range(rows)] if named else None
            if turn == 0:
                config = IndexConfig(order=order, stored_weights=stored, metadata=("title", "year"), layout=layout)
                build_index(path, vectors, docnos=docnos, fields=fields, config=config)
            else:
                add_documents(path, vectors, docnos=docnos, fields=fields)
        if number % 2 == 0 and sizes[0] > 1:
            delete_documents(path, ordinals=[3, 7])
        if number == 1:
            delete_documents(path, ordinals=[0])
        files = {p.name: p.read_bytes() for p in path.iterdir() if p.name != "write.lock"}
        answers, content = answers_of(path), content_of(path)
        # Compaction chooses the scale again where weights are stored, so what it leaves is told by an index that is whole.
        compacted = path.with_name(f"{path.name}-compacted")
        shutil.copytree(path, compacted)
        compact_index(compacted)
        extend(path)
        compact_index(path)
        samples.append(Sample(files, answers, content, content_of(compacted), content_of(path)))
    return samples


def extend(path: Path) -> None:
    """Add two documents and replace one that is there where documents have names."""
    vectors = SparseVectors.from_rows([{1: 0.5, 23: 0.25}, {}, {7: 1.0}], 24)
    add_documents(path, vectors, docnos=["név2", "neu1", "neu2"], replace_existing=True)


def content_of(path: Path) -> list:
    """All that an index holds of its live documents, by ordinal: names, impacts, fields."""
    index = open_index(path)
    ordinals = np.sort(np.concatenate([np.zeros(0, np.int64), *(s.ordinals[s.live] for s in index.segments)]))
    rows = []
    for batch in index_batches(index):
        vectors = batch.vectors
        spans = zip(vectors.indptr[:-1].tolist(), vectors.indptr[1:].tolist(), strict=True)
        rows += [(vectors.term_ids[a:b].tolist(), vectors.weights[a:b].tolist()) for a, b in spans]
    return list(zip(ordinals.tolist(), index.docnos(ordinals), rows, index.fields(ordinals), strict=True))


def answers_of(path: Path) -> list:
    """What an index answers: hits of every engine, names and fields of some."""
    index = open_index(path)
    segments = [np.array(s.data) for s in index.segments]  # heap copies
    deleted = [None if s.deleted is None else np.array(s.deleted) for s in index.segments]
    out: list = []
    if segments:
        native = NativeIndex(segments, doc_scale=index.doc_scale, deleted=deleted)
        scratch = Scratch(native, 12, 8)
        for name in native.engines:
            scratch.request.k, scratch.request.engine = 12, ENGINES[name]
            scratch.term_ids[:] = [0, 3, 5, 8, 13, 17, 22, 23]
            scratch.weights[:] = [1.0, 0.5, 2.0, 0.1, 0.7, 3.0, 1.5, 0.3]
            try:
                scratch.search(8)
            except NativeError as error:
                if "no engine" in str(error):
                    continue
                raise
            out.append((name, scratch.ordinals.tolist(), scratch.scores.tolist()))
        if sum(native.segment_docs) < 1_000_000:  # a damaged header may tell of billions of empty documents
            out.append(view_of_every_other(index, native))
        native.close()
        found = [o for o in out[0][1] if o >= 0]
        out.append(index.docnos(found))
        out.append(index.fields(found[:3]))
        out.append(index.ordinals(["név1", "név5", "4"]).tolist())
    return out


def view_of_every_other(index: Index, native: NativeIndex) -> list:
    """Hits among the documents of even doc_id, in a view of them."""
    bitmaps = []
    for segment in index.segments:
        even = np.zeros(-(-segment.num_docs // 64) * 64, bool)
        even[: segment.num_docs : 2] = True
        bitmaps.append(np.packbits(even, bitorder="little").view(np.uint64))
    view = NativeIndex([subset_segment(index, native, bitmaps)], doc_scale=index.doc_scale)
    scratch = Scratch(view, 12, 8)
    scratch.term_ids[:], scratch.weights[:] = [0, 3, 5, 8, 13, 17, 22, 23], 1.0
    scratch.request.k = 12
    scratch.search(8)
    return [scratch.ordinals.tolist(), scratch.scores.tolist()]


def files_of(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.is_file() and p.name != "write.lock"}


@contextmanager
def heap_sections() -> Iterator[None]:
    """Within it, a section of a segment is a copy that ends where its allocation ends, so that AddressSanitizer sees any read
    past it; mapped, what follows a section is the next one."""
    mapped = SegmentFile.section

    def copied(segment: SegmentFile, name: str) -> NDArray[Any]:
        copies = segment.__dict__.setdefault("copies", {})
        if name not in copies:
            copies[name] = exact_copy(mapped(segment, name))
        return copies[name]

    with mock.patch.object(SegmentFile, "section", copied):
        yield


def exact_copy(values: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy at the end of an allocation, aligned as sections are where the allocator allows it."""
    for room in (48, 32, 16, 0):
        raw = np.empty(values.nbytes + room, np.uint8)
        if (raw.ctypes.data + room) % 64 == 0:
            break
    copy = raw[room:].view(values.dtype)
    copy[:] = values
    copy.setflags(write=False)
    return copy
