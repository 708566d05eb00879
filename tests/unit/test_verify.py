"""Verification: a sound index passes, a broken one is refused with the section and the name of the rule."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, add_documents, build_index, delete_documents, open_index, verify_index
from indexer.errors import IndexFormatError
from tests.fuzz.index_mutations import repaired, sealed
from tests.fuzz.index_samples import make_samples
from tests.fuzz.mutate_index import try_mutation
from tests.unit.test_build import random_vectors


def make_index(path, layout, num_terms):
    """An index of two segments with every section of its layout but ORDN."""
    rng = np.random.default_rng(4)
    names = [f"d{i}" for i in range(2420)]
    fields = [{"year": i} for i in range(2420)]
    config = IndexConfig(order="input", stored_weights="f32", metadata=("year",), layout=layout)
    build_index(path, random_vectors(rng, 2400, num_terms, 6), docnos=names[:2400], fields=fields[:2400], config=config)
    add_documents(path, random_vectors(rng, 20, num_terms, 6), docnos=names[2400:], fields=fields[2400:])
    delete_documents(path, ["d7", "d2410"])
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("verify") / "i", "standard", 30)


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("verify") / "i", "compact", 90)


def test_a_sound_index_passes(sound):
    report = verify_index(sound)
    assert (report.segments, report.documents) == (2, 2418)
    assert "section-crc" in report.checks


def break_segment(sound, tmp_path, section, position, value, size):
    """Copy the index with one value of its first segment replaced and the checksums repaired."""
    segment = open_index(sound).segments[0]
    data = bytearray(segment.path.read_bytes())
    struct.pack_into(
        {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}[size], data, segment.sections[section].offset + size * position, value
    )
    files = {p.name: p.read_bytes() for p in sound.iterdir()}
    for name, content in repaired(files, segment.path.name, data).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    ("section", "position", "value", "size", "invariant"),
    [
        ("TERM", 0, 99, 4, "terms-ascend"),
        ("TREC", 2, 0, 4, "lists-adjoin"),
        ("DOCS", 1, 0, 2, "postings-ascend"),
        ("IMPA", 5, 0, 1, "postings-ascend"),
        ("LADD", 0, 254, 1, "derived"),
        ("CELL", 1, 10**6, 4, "derived"),
        ("BMAX", 3, 0, 1, "derived"),
        ("SMAX", 0, 1, 1, "derived"),
        ("BITS", 0, 2**63, 8, "derived"),
        ("NAMO", 1, 2**40, 8, "names-whole"),
        ("NAMI", 0, 1, 4, "name-hashes"),
        ("NAMH", 0, 0, 8, "name-hashes"),
        ("FLDB", 2, 0, 1, "fields-group"),
        ("FWGT", 0, 0x7FC00000, 4, "weights-finite"),
    ],
)
def test_each_broken_rule_is_named(sound, tmp_path, section, position, value, size, invariant):
    with pytest.raises(IndexFormatError) as caught:
        verify_index(break_segment(sound, tmp_path, section, position, value, size))
    assert caught.value.invariant == invariant


@pytest.mark.parametrize(
    ("section", "position", "value", "size", "invariant"),
    [
        ("DOCO", 6, 2**40, 8, "docs-inside"),
        ("DOCO", 80, 0, 8, "docs-packed"),
        ("DOCB", 0, 2**64 - 1, 8, "docs-packed"),
        ("DOCB", 1, 0, 8, "docs-packed"),
        ("IMPA", 5, 0, 1, "postings-ascend"),
        ("CELL", 1, 10**6, 4, "derived"),
        ("SMAX", 0, 1, 1, "derived"),
        ("BITS", 0, 2**63, 8, "docs-packed"),
        ("TREC", 6, 5, 1, "lists-adjoin"),
    ],
)
def test_each_broken_rule_of_packed_doc_ids_is_named(compact, tmp_path, section, position, value, size, invariant):
    assert verify_index(compact).documents == 2418
    with pytest.raises(IndexFormatError) as caught:
        verify_index(break_segment(compact, tmp_path, section, position, value, size))
    assert caught.value.invariant == invariant


def test_a_flipped_bit_is_found_by_the_checksum(sound, tmp_path):
    for path in sound.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    segment = open_index(tmp_path).segments[0]
    data = bytearray(segment.path.read_bytes())
    data[segment.sections["IMPA"].offset + 9] ^= 4
    segment.path.write_bytes(data)
    with pytest.raises(IndexFormatError) as caught:
        verify_index(tmp_path)
    assert (caught.value.section, caught.value.invariant) == ("IMPA", "section-crc")


def test_a_name_alive_twice_is_found(tmp_path):
    vectors = SparseVectors.from_rows([{0: 1.0}], 1)
    build_index(tmp_path / "i", vectors, docnos=["x"])
    add_documents(tmp_path / "i", vectors, docnos=["x"], replace_existing=True)
    verify_index(tmp_path / "i")
    path = tmp_path / "i" / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["segments"][0]["deletes"] = None
    path.write_bytes(sealed(manifest))
    with pytest.raises(IndexFormatError, match="two live documents are called 'x'"):
        verify_index(tmp_path / "i")


def test_mutated_files_give_errors_or_right_answers(tmp_path):
    """A few of the mutations that `make fuzz` tries by the ten thousand."""
    made = make_samples(tmp_path, 2)
    assert all(try_mutation(number, seed=2, samples=made, scratch=tmp_path)[1:] for number in range(150))
