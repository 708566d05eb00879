"""Writers believe nothing they read: damage is refused before it is copied, and nothing on disk changes."""

from __future__ import annotations

import json
import resource
import shutil
import struct
import zlib

import numpy as np
import pytest

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from indexer.config import WriteOptions
from indexer.errors import DataError, IndexFormatError
from indexer.format.segment import SegmentFile
from indexer.format.term_lists import read_lists
from indexer.interchange.export import export_index
from indexer.inversion.reorder import ForwardRows, offer_lists
from indexer.merge.documents import MergedDocuments
from indexer.merge.postings import MergeShape, MergeSource, PostingMerge
from tests.fuzz.index_mutations import repaired, sealed
from tests.fuzz.index_samples import content_of, extend, files_of
from tests.unit.test_build import random_vectors

FLIPS = 6
"""Of each section of each layout; the slow test tries forty."""


def make_index(path, layout, order="input"):
    """An index whose first segment has every section of its layout, and a second one."""
    rng = np.random.default_rng(4)
    names = [f"név{i}" for i in range(2420)]
    fields = [{"year": i, "lang": "de"} for i in range(2420)]
    config = IndexConfig(order=order, stored_weights="f32", metadata=("year", "lang"), layout=layout)
    vectors = [random_vectors(rng, count, 24, 4) for count in (2400, 20)]
    build_index(path, vectors[0], docnos=names[:2400], fields=fields[:2400], config=config)
    add_documents(path, vectors[1], docnos=names[2400:], fields=fields[2400:])
    delete_documents(path, ["név7", "név2410"])
    return path


@pytest.fixture(scope="module", params=["standard", "packed", "compact"])
def sound(request, tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("sound") / "i", request.param, "clusters")


def refused(call):
    """The error of a call that must not go through; None where it went through."""
    try:
        call()
    except IndexFormatError as error:
        return error
    return None


def try_writers(path, before, expected, section):
    """Compaction and export refuse a damaged section; an addition refuses it or leaves the segment as it is."""
    error = refused(lambda: verify_index(path))
    assert error is not None, "verify passes a flipped bit"
    for write in (
        lambda: compact_index(path, layout="standard"),
        lambda: compact_index(path),
        lambda: export_index(open_index(path), path.parent / "out.jsonl"),
        lambda: export_index(open_index(path), path.parent / "out.ciff"),
    ):
        error = refused(write)
        assert error is not None, section
        assert error.section == section, str(error)
        assert "segment '" in str(error)
        assert files_of(path) == before
        assert not any(path.parent.glob("*out.*"))
    if refused(lambda: extend(path)) is not None:
        assert files_of(path) == before
        return
    after = files_of(path)
    assert all(after[name] == data for name, data in before.items() if name.endswith(".seg"))
    index = open_index(path)
    assert index.num_docs == len(expected) + 2
    assert index.docnos([0, 2399]) == ["név0", "név2399"]


def flip_bits(sound, scratch, flips):
    path = scratch / "i"
    expected = content_of(sound)
    segment = open_index(sound).segments[0]
    rng = np.random.default_rng(11)
    tried = 0
    for name, entry in segment.sections.items():
        count = flips(8 * entry.bytes)
        for bit in np.unique(rng.integers(0, max(1, 8 * entry.bytes), count if entry.bytes else 0)).tolist():
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(sound, path)
            data = bytearray((path / segment.path.name).read_bytes())
            data[entry.offset + bit // 8] ^= 1 << bit % 8
            (path / segment.path.name).write_bytes(data)
            try_writers(path, files_of(path), expected, name)
            tried += 1
    return tried


def test_a_flipped_bit_of_any_section_is_not_copied(sound, tmp_path):
    assert flip_bits(sound, tmp_path, lambda bits: FLIPS) > 80


@pytest.mark.slow
def test_many_flipped_bits_are_not_copied(sound, tmp_path):
    tried = flip_bits(sound, tmp_path, lambda bits: 40)
    print(f"{tried} flips")
    assert tried > 600


def test_bits_between_sections_are_not_copied(sound, tmp_path):
    path = tmp_path / "i"
    shutil.copytree(sound, path)
    segment = open_index(path).segments[0]
    data = bytearray(segment.path.read_bytes())
    entry = segment.sections["TREC"]
    data[entry.offset + entry.bytes] ^= 1
    segment.path.write_bytes(data)
    assert refused(lambda: verify_index(path)).invariant == "padding-zero"
    compact_index(path)
    assert content_of(path) == content_of(sound)
    verify_index(path)


def seal(source, target, edit):
    """A copy whose first segment was edited, with every checksum made right."""
    shutil.copytree(source, target)
    segment = open_index(target).segments[0]
    data = bytearray(segment.path.read_bytes())
    edit(data, segment)
    for name, content in repaired(files_of(target), segment.path.name, data).items():
        (target / name).write_bytes(content)
    return target


def repeat_last_term(data, segment):
    entry = segment.sections["TERM"]
    end = entry.offset + entry.bytes
    data[entry.offset : entry.offset + 4] = data[end - 4 : end]


def test_term_ids_that_do_not_ascend_are_refused_under_right_checksums(sound, tmp_path):
    path = seal(sound, tmp_path / "i", repeat_last_term)
    before = files_of(path)
    for write in (lambda: compact_index(path), lambda: export_index(open_index(path), tmp_path / "out.ciff")):
        error = refused(write)
        assert (error.section, error.invariant) == ("TERM", "terms-ascend")
    assert files_of(path) == before


def test_the_merge_itself_refuses_term_ids_that_do_not_ascend(sound, tmp_path):
    path = seal(sound, tmp_path / "i", repeat_last_term)
    segment = SegmentFile(path / "000001.seg")
    source = MergeSource(segment, np.arange(2400, dtype=np.uint32))
    with pytest.raises(IndexFormatError, match="term ids do not ascend"):
        PostingMerge([source], MergeShape(num_docs=2400, options=WriteOptions()))
    with pytest.raises(IndexFormatError, match="term ids do not ascend"):
        read_lists(segment, 0, 5)


def test_weights_that_the_config_stores_and_a_segment_lacks_are_refused(sound, tmp_path):
    def hide(data, segment):
        number = list(segment.sections).index("FWGT")
        assert bytes(data[64 + 32 * number :][:4]) == b"FWGT"
        data[64 + 32 * number : 68 + 32 * number] = b"GONE"

    path = seal(sound, tmp_path / "i", hide)
    assert refused(lambda: compact_index(path)).invariant == "weights-stored"


def test_fewer_weights_than_postings_are_refused(sound, tmp_path):
    def shorten(data, segment):
        number = list(segment.sections).index("FWGT")
        struct.pack_into("<Q", data, 64 + 32 * number + 16, segment.sections["FWGT"].bytes - 64)

    path = seal(sound, tmp_path / "i", shorten)
    error = refused(lambda: compact_index(path))
    assert (error.section, error.invariant) == ("FWGT", "section-size")


@pytest.mark.parametrize("count", [0, 2, 2399])
@pytest.mark.parametrize("segment", [0, 1])
def test_the_bitmap_counts_deletions_not_the_manifest(sound, tmp_path, count, segment):
    path = tmp_path / "i"
    shutil.copytree(sound, path)
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["segments"][segment]["deletes"]["count"] = count
    (path / "manifest.json").write_bytes(sealed(manifest))
    before = files_of(path)
    for read in (open_index, verify_index, compact_index, lambda p: delete_documents(p, ["név9"])):
        assert refused(lambda read=read: read(path)).invariant == "deletes-count"
    assert files_of(path) == before


def test_a_merge_counts_its_documents(sound):
    segment = open_index(sound).segments[0]
    with pytest.raises(ValueError, match="2400 documents were to be merged into a segment of 2399"):
        MergedDocuments([MergeSource(segment, np.arange(2400, dtype=np.uint32))], 2399)


def test_ordering_checks_rows_and_slots_before_its_compiled_loops(sound):
    segment = open_index(sound).segments[0]
    lists = read_lists(segment, 0, segment.header.num_terms)
    idf, doc_ids = np.ones(24, np.float32), np.arange(2400)
    with pytest.raises(ValueError, match="beyond the 2399 rows"):
        offer_lists(ForwardRows.allocate(2399, 24), lists, doc_ids, idf, np.zeros(2399, np.int64))
    with pytest.raises(ValueError, match="not one of 20 slots"):
        offer_lists(ForwardRows.allocate(2400, 20), lists, doc_ids, idf, np.zeros(2400, np.int64))


def test_weights_near_the_largest_float_are_ordered(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{int(t): float(3e38 * rng.random()) + 1.0 for t in rng.choice(200, 60, replace=False)} for _ in range(300)]
    build_index(tmp_path / "i", SparseVectors.from_rows(rows, 200), config=IndexConfig(order="clusters"))
    assert verify_index(tmp_path / "i").documents == 300


def test_fields_that_cannot_be_written_again_are_refused(tmp_path):
    """JSON that Python reads and the format does not hold: an infinity, half a character."""
    for number, text in enumerate(('[{"a":1e999}]', '[{"a":"\\ud800"}]', '[{"a":NaN}]')):
        path = tmp_path / str(number)
        build_index(path, SparseVectors.from_rows([{0: 1.0}], 1), fields=[{"a": "x" * 40}])

        def edit(data, segment, text=text):
            entry, ends = segment.sections["FLDB"], segment.sections["FLDO"]
            packed = zlib.compress(text.encode())
            packed = packed[: entry.bytes].ljust(entry.bytes, b"\0")
            data[entry.offset : entry.offset + entry.bytes] = packed
            assert ends.bytes == 16

        path = seal(path, tmp_path / f"sealed{number}", edit)
        for read in (verify_index, lambda p: compact_index(p, layout="packed")):
            assert refused(lambda read=read, path=path: read(path)).invariant == "fields-group"


def test_packed_fields_that_take_gigabytes_to_read_are_refused(tmp_path):
    """Half a megabyte of zlib that holds millions of empty lists, or more text than a group may take."""
    for number, text in enumerate(
        (b'[{"a":[' + b"[]," * (20 << 20) + b"0]}]", b'[{"a":"' + b" " * (70 << 20) + b'"}]')
    ):
        packed = zlib.compress(text, 9)
        path = tmp_path / str(number)
        room = "".join(map(chr, np.random.default_rng(0).integers(0x4E00, 0x9F00, len(packed)).tolist()))
        build_index(path, SparseVectors.from_rows([{0: 1.0}], 1), fields=[{"a": room}])

        def edit(data, segment, packed=packed):
            entry = segment.sections["FLDB"]
            data[entry.offset : entry.offset + entry.bytes] = packed.ljust(entry.bytes, b"\0")

        path = seal(path, tmp_path / f"sealed{number}", edit)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for read in (verify_index, lambda p: compact_index(p, layout="packed")):
            error = refused(lambda read=read, path=path: read(path))
            assert error.invariant == "fields-group"
            assert "documents together" in str(error)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # kilobytes


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    rows = [{"a": "x" * (5 << 20)}] * 16
    with pytest.raises(DataError, match="16 documents together take more than 64 MB; cut the texts"):
        build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}] * 16, 1), fields=rows)
