"""Mutated index files against all that reads an index: a named error or a right answer, never a crash.

    python -m tests.fuzz.mutate_index --count 20000 --seed 1

Half of the mutations are blind (bit flips, truncations, splices); the other half edit a field or a section and repair
every checksum above it, so that they reach the code after the checksums. Each mutated index is searched, verified,
inspected and exported, a view of it is made, and it is compacted and added to, in either order. A blind mutation may cost
an error, but then the writers leave every file as it is; where a writer goes through, the index holds what it held before.
A compaction that goes through leaves an index that `verify` passes, whatever was mutated, as does a salvage of a copy.

Segments are searched from heap copies of exactly their length, so that AddressSanitizer sees a read past the end; set
NUMBA_BOUNDSCHECK=1 for the compiled loops of document ordering.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexer import (
    Index,
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from indexer.errors import NativeError, SparseIRError
from indexer.inspect import inspect_index
from indexer.interchange.export import index_batches
from indexer.merge.subset import subset_segment
from indexer.native.engine import ENGINES, NativeIndex, Scratch

EXTREMES = (0, 1, 2, 31, 32, 63, 64, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass
class Sample:
    """An index as bytes by file name, what it answers and holds, and what it holds compacted, as it is and after an addition."""

    files: dict[str, bytes]
    answers: list
    content: list
    compacted: list
    extended: list


def make_samples(folder: Path, seed: int) -> list[Sample]:
    """Small indexes that hold every section between them."""
    rng = np.random.default_rng(seed)
    samples = []
    for number, (sizes, stored, layout, order) in enumerate(
        (
            ((2300,), "none", "standard", "input"),
            ((40, 9), "f32", "standard", "clusters"),
            ((1,), "f16", "standard", "input"),
            ((300, 0, 20), "none", "standard", "clusters"),
            ((2300,), "none", "compact", "input"),
            ((2300, 20), "f32", "packed", "input"),
            ((200, 30), "f16", "packed", "bisection"),
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
            docnos = [next(names) for _ in range(rows)] if number % 2 else None
            fields = [{"title": f"t{i}", "year": i % 3} for i in range(rows)] if number % 2 else None
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


def repaired(files: dict[str, bytes], name: str, data: bytearray) -> dict[str, bytes]:
    """The files with `data` as segment `name`, every checksum that covers it made right."""
    count = struct.unpack_from("<I", data, 12)[0]
    for i in range(min(count, 64)):
        entry = 64 + 32 * i
        if entry + 32 > len(data):
            break
        offset, size = struct.unpack_from("<QQ", data, entry + 8)
        if offset + size <= len(data):
            struct.pack_into("<I", data, entry + 24, zlib.crc32(data[offset : offset + size]))
    struct.pack_into("<I", data, 60, zlib.crc32(data[64 : 64 + 32 * count], zlib.crc32(data[:60])))
    manifest = json.loads(files["manifest.json"])
    for segment in manifest["segments"]:
        if segment["file"] == name:
            segment["header_crc32"] = struct.unpack_from("<I", data, 60)[0]
            segment["bytes"] = len(data)
            segment["num_docs"] = struct.unpack_from("<I", data, 24)[0]
            segment["num_postings"] = struct.unpack_from("<Q", data, 32)[0]
    return {**files, name: bytes(data), "manifest.json": sealed(manifest)}


def sealed(manifest: dict) -> bytes:
    body = {k: v for k, v in manifest.items() if k != "crc32"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return json.dumps({**body, "crc32": zlib.crc32(text)}, ensure_ascii=False).encode()


def resealed_deletes(files: dict[str, bytes], name: str, data: bytes) -> bytes:
    """The manifest with the checksum of a changed deletion file; its count is left as it is."""
    manifest = json.loads(files["manifest.json"])
    for segment in manifest["segments"]:
        if segment["deletes"] and segment["deletes"]["file"] == name:
            segment["deletes"]["crc32"] = zlib.crc32(data)
    return sealed(manifest)


def edit_segment(rng: np.random.Generator, data: bytearray) -> None:
    """One edit of a header field, a table field or a value inside a section."""
    where = rng.integers(0, 3)
    value = int(rng.choice(EXTREMES)) if rng.random() < 0.7 else int(rng.integers(0, 2**32))
    if where == 0:
        struct.pack_into("<I", data, int(rng.integers(2, 15)) * 4, value)
    elif where == 1:
        count = min(16, struct.unpack_from("<I", data, 12)[0]) or 1
        struct.pack_into("<I", data, 64 + 32 * int(rng.integers(0, count)) + 4 * int(rng.integers(0, 6)), value)
    else:
        count = min(16, struct.unpack_from("<I", data, 12)[0]) or 1
        offset, size = struct.unpack_from("<QQ", data, 64 + 32 * int(rng.integers(0, count)) + 8)
        if size >= 4 and offset + size <= len(data):
            at = offset + 4 * int(rng.integers(0, size // 4))
            old = struct.unpack_from("<I", data, at)[0]
            other = struct.unpack_from("<I", data, offset + 4 * int(rng.integers(0, size // 4)))[0]
            near = (old + int(rng.integers(-3, 4))) % 2**32
            struct.pack_into("<I", data, at, (value, near, other)[int(rng.integers(0, 3))])


def edit_manifest(rng: np.random.Generator, data: bytes) -> bytes:
    """One value of the manifest replaced, checksum repaired."""
    manifest = json.loads(data)
    odd = [None, 0, -1, 1.5, 2**70, "x", "../x", [], {}, True, float("inf")]
    target = manifest
    if manifest["segments"] and rng.random() < 0.5:
        target = manifest["segments"][int(rng.integers(0, len(manifest["segments"])))]
        if target["deletes"] and rng.random() < 0.5:
            target = target["deletes"]
    key = str(rng.choice(sorted(target)))
    if rng.random() < 0.2:
        del target[key]
    else:
        target[key] = odd[int(rng.integers(0, len(odd)))]
    return sealed(manifest)


def mutate(rng: np.random.Generator, files: dict[str, bytes]) -> tuple[dict[str, bytes], bool]:
    """(mutated files, whether checksums were repaired)."""
    name = str(rng.choice(sorted(files)))
    data = bytearray(files[name])
    kind = rng.integers(0, 8)
    if kind >= 4 and name.endswith(".seg"):
        for _ in range(int(rng.integers(1, 3))):
            edit_segment(rng, data)
        return repaired(files, name, data), True
    if kind >= 4 and ".del-" in name:
        data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
        return {**files, name: bytes(data), "manifest.json": resealed_deletes(files, name, bytes(data))}, True
    if kind >= 4 and name == "manifest.json":
        return {**files, name: edit_manifest(rng, files[name])}, True
    if kind == 0 and len(data):
        del data[int(rng.integers(0, len(data))) :]
    elif kind == 1:
        at = int(rng.integers(0, len(data) + 1))
        data[at:at] = rng.bytes(int(rng.integers(1, 40)))
    elif kind == 2 and len(data):
        at = int(rng.integers(0, len(data)))
        data[at : at + 8] = rng.bytes(min(8, len(data) - at))
    elif len(data):
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
    return {**files, name: bytes(data)}, False


def attempt(name: str, call: Callable[[], Any], outcomes: list[str]) -> Any:
    """What `call` returns, or None where it refuses. Anything but a SparseIRError is the caller's to see."""
    try:
        found = call()
    except SparseIRError as error:
        outcomes.append(f"{name}:{type(error).__name__}")
        return None
    outcomes.append(name)
    return found


def try_index(path: Path, sample: Sample, repaired_sums: bool, rng: np.random.Generator) -> list[str]:
    """Read and write a mutated index in every way; the names of the outcomes."""
    outcomes: list[str] = []
    answers = attempt("search", lambda: answers_of(path), outcomes)
    report = attempt("verify", lambda: verify_index(path), outcomes)
    if report is not None and not repaired_sums:
        assert answers == sample.answers, "verified, yet other answers"
    if attempt("open", lambda: open_index(path), []) is not None and documents_in(path) > 1_000_000:
        return [*outcomes, "too many documents claimed"]
    attempt("inspect", lambda: inspect_index(path), outcomes)
    content = attempt("export", lambda: content_of(path), outcomes)
    assert content is None or repaired_sums or content == sample.content, "exported, yet other content"
    layout = (None, "standard", "packed", "compact")[int(rng.integers(0, 4))]
    attempt("salvage", lambda: try_salvage(path, sample, repaired_sums), outcomes)
    writers = [("compact", lambda: compact_index(path, layout=layout)), ("add", lambda: extend(path))]
    expected = sample.compacted
    for name, write in writers if rng.random() < 0.5 else writers[::-1]:
        before = files_of(path)
        done: list[str] = []
        attempt(name, lambda call=write: call() or True, done)
        outcomes += done
        if done != [name]:
            assert repaired_sums or files_of(path) == before, f"{name} failed, yet changed files"
            continue
        expected = sample.extended if name == "add" else expected
        if name == "compact" and files_of(path) != before:
            check_compacted(path, None if repaired_sums else expected)
    return outcomes


def try_salvage(path: Path, sample: Sample, repaired_sums: bool) -> None:
    """What is salvaged of a copy passes `verify`, and after a blind mutation holds nothing that the index did not."""
    copy = path.with_name("salvaged")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    before = files_of(copy)
    try:
        report = compact_index(copy, salvage=True)
    except SparseIRError:
        assert repaired_sums or files_of(copy) == before, "salvage refused, yet changed files"
        raise
    if report.kept_in is None:
        return  # without damage it is a compaction, which is tried below
    check_compacted(copy, None)
    if repaired_sums:
        return
    known = {ordinal: rest for ordinal, *rest in sample.content}
    found = content_of(copy)
    bare = sum(part.documents for part in report.left if part.what == "fields")
    for ordinal, name, vector, fields in found:
        assert [name, vector] == known[ordinal][:2], "salvaged, yet other content"
        bare -= fields != known[ordinal][2]
    lost = sum(part.documents for part in report.left if part.what == "documents")
    assert bare >= 0, "salvaged, yet more fields lost than said"
    assert len(found) + lost == len(known), "salvaged, yet more documents lost than said"


def check_compacted(path: Path, expected: list | None) -> None:
    """An index that was compacted passes `verify` and holds what it held."""
    try:
        verify_index(path)
    except SparseIRError as error:
        raise AssertionError(f"compacted, yet refused by verify: {error}") from error
    assert expected is None or content_of(path) == expected, "compacted, yet other content"


def documents_in(path: Path) -> int:
    """Documents that the segments claim to hold: a damaged header may tell of billions of empty ones."""
    return sum(s.num_docs for s in open_index(path).segments)


def files_of(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir() if p.is_file() and p.name != "write.lock"}


def run(count: int, seed: int) -> Counter:
    """Try `count` mutations; how often each combination of outcomes came."""
    outcomes: Counter = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        samples = make_samples(Path(scratch), seed)
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            sample = samples[int(rng.integers(0, len(samples)))]
            files, repaired_sums = mutate(rng, sample.files)
            path = Path(scratch) / "mutated"
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            for name, data in files.items():
                (path / name).write_bytes(data)
            try:
                outcomes[tuple(try_index(path, sample, repaired_sums, rng))] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}, mutation {number}: {type(error).__name__}: {error}") from error
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    single: Counter = Counter({"mutations": chosen.count})
    for outcomes, times in run(chosen.count, chosen.seed).items():
        for outcome in outcomes:
            single[outcome] += times
    print(json.dumps(dict(single.most_common()), indent=1))


if __name__ == "__main__":
    main()
