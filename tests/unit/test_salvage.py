"""`compact --salvage`: what is sound is kept, what is not is named and left behind, nothing is taken for sound that is not."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from indexer import add_documents, compact_index, open_index, verify_index
from indexer.errors import IndexFormatError, SparseIRError
from indexer.format import files
from indexer.format.folder import writing
from sparseir.cli import run
from tests.fuzz.index_samples import content_of, files_of
from tests.property.test_crash import Killed, Shim
from tests.unit.test_soundness import make_index, seal

MADE_ANEW = {"LADD", "SMAX", "BMAX", "BLEV", "BORD", "NAMH", "NAMI", "META"}
"""Sections whose damage costs nothing; BITS too, where it is beside the lists."""
LOST = 2399
"""Live documents of the first segment."""


@pytest.fixture(scope="module", params=["standard", "packed", "compact"])
def sound(request, tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("sound") / "i", request.param, "clusters")


@pytest.fixture(scope="module")
def content(sound):
    return {name: (vector, fields) for _, name, vector, fields in content_of(sound)}


def damage(sound, path, *sections, at=0.5):
    """A copy with one bit flipped in some sections of its first segment."""
    shutil.copytree(sound, path)
    segment = open_index(path).segments[0]
    data = bytearray(segment.path.read_bytes())
    for name in sections:
        entry = segment.sections[name]
        data[entry.offset + int(at * (entry.bytes - 1))] ^= 16
    segment.path.write_bytes(data)
    return path


def check(path, content, report, damaged):
    """The index is sound and holds what it held but for what the report names; the damaged bytes are kept."""
    verify_index(path)
    found = {name: (vector, fields) for _, name, vector, fields in content_of(path)}
    gone = [part for part in report.left if part.what == "documents"]
    assert len(content) - len(found) == sum(part.documents for part in gone)
    for part in gone:
        assert not set(part.names) & set(found)
    bare = {name for part in report.left if part.what == "fields" for name in part.names}
    for name, (vector, fields) in found.items():
        assert vector == content[name][0]
        assert fields == ({} if name in bare else content[name][1])
    kept = path / report.kept_in
    for name, data in damaged.items():
        assert (kept / name).read_bytes() == data
    with writing(path):
        assert (kept / "manifest.json").exists()
    return found


def test_every_section_damaged_in_turn(sound, content, tmp_path):
    for name, entry in open_index(sound).segments[0].sections.items():
        if not entry.bytes:
            continue
        path = damage(sound, tmp_path / name, name)
        segment, manifest = (path / "000001.seg").read_bytes(), (path / "manifest.json").read_bytes()
        before = files_of(path)
        with pytest.raises(IndexFormatError):
            compact_index(path, layout="standard")
        assert files_of(path) == before
        report = compact_index(path, salvage=True)
        found = check(path, content, report, {"000001.seg": segment, "manifest.json": manifest})
        assert all(part.segment == "000001.seg" and part.section == name for part in report.left)
        packed = open_index(sound).manifest.config["layout"] != "standard"
        if name in MADE_ANEW or (name == "BITS" and not packed):
            assert report.left == ()
            assert len(found) == len(content)
        elif name in ("NAMO", "NAMB"):
            assert 1 <= sum(part.documents for part in report.left) <= 2
        elif name in ("FLDO", "FLDB"):
            (part,) = report.left
            assert part.what == "fields"
            assert 1 <= part.documents == len(part.names) <= 32
        else:
            (part,) = report.left
            assert (part.what, part.documents, len(part.names)) == ("documents", LOST, 0 if name == "ORDN" else LOST)
            assert len(found) == 19
        shutil.rmtree(path)


def test_metadata_is_made_again_and_filters_find_by_it(sound, content, tmp_path):
    path = damage(sound, tmp_path / "i", "META")
    assert compact_index(path, salvage=True, layout="packed").left == ()
    column = open_index(path).segments[0].column("year")
    names = open_index(path).docnos(open_index(path).segments[0].ordinals)
    assert column.values.tolist() == [content[name][1]["year"] for name in names]
    both = damage(sound, tmp_path / "both", "META", "FLDB")
    left = compact_index(both, salvage=True).left
    assert [(part.what, part.section) for part in left] == [("fields", "FLDB"), ("metadata", "META")]
    assert left[0].names == left[1].names
    verify_index(both)


def test_names_without_their_hashes_are_not_believed(sound, tmp_path):
    path = damage(sound, tmp_path / "i", "NAMB", "NAMH")
    (part,) = compact_index(path, salvage=True).left
    assert (part.what, part.section, part.documents, part.names) == ("documents", "NAMB", LOST, ())
    verify_index(path)


@pytest.mark.parametrize("what", ["cut", "header", "missing", "deletions"])
def test_a_segment_that_cannot_be_opened_is_left_whole(sound, content, tmp_path, what):
    path = tmp_path / "i"
    shutil.copytree(sound, path)
    entry = open_index(path).segments[0].entry
    file = path / (entry.deletes.file if what == "deletions" else entry.file)
    data = bytearray(file.read_bytes())
    if what == "missing":
        file.unlink()
    else:
        data[20] ^= 1
        file.write_bytes(data[: len(data) // 2] if what == "cut" else data)
    there = {name: raw for name, raw in files_of(path).items() if name.startswith("000001")}
    report = compact_index(path, salvage=True)
    (part,) = report.left
    assert (part.section, part.documents, part.names) == (None, LOST, ())
    check(path, content, report, there)
    assert open_index(path).num_docs == 19


def test_damage_under_right_checksums_is_left_behind_too(sound, tmp_path):
    def zero_an_impact(data, segment):
        data[segment.sections["IMPA"].offset + 5] = 0

    path = seal(sound, tmp_path / "i", zero_an_impact)
    (part,) = compact_index(path, salvage=True).left
    assert "does not ascend, or holds an impact of 0" in part.reason
    verify_index(path)


def test_an_index_without_damage_is_compacted_as_ever(sound, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(sound, tmp_path / name)
    report = compact_index(tmp_path / "a", salvage=True)
    assert (report, report.left, report.kept_in) == (compact_index(tmp_path / "b"), (), None)
    (a,), (b,) = (open_index(tmp_path / name).segments for name in ("a", "b"))
    assert a.data.tobytes() == b.data.tobytes()


def test_an_index_of_which_nothing_is_sound_is_left_as_it_is(sound, tmp_path):
    path = damage(sound, tmp_path / "i", "IMPA")
    second = open_index(path).segments[1]
    data = bytearray(second.path.read_bytes())
    data[second.sections["DOCB" if "DOCB" in second.sections else "DOCS"].offset] ^= 1
    second.path.write_bytes(data)
    before = files_of(path)
    with pytest.raises(IndexFormatError, match="in none of its 2 segments"):
        compact_index(path, salvage=True)
    assert files_of(path) == before
    assert not list(path.glob("damaged-*"))


def test_a_stopped_salvage_keeps_the_damaged_segments_where_they_were(sound, tmp_path, monkeypatch):
    start = damage(sound, tmp_path / "start", "NAMB")
    with monkeypatch.context() as patch:
        shim = Shim(patch, -1, "kill")
        shutil.copytree(start, tmp_path / "count")
        compact_index(tmp_path / "count", salvage=True)
    damaged, generation = (start / "000001.seg").read_bytes(), open_index(start).generation
    for point in range(0, shim.step, max(1, shim.step // 12)):
        path = tmp_path / f"{point}"
        shutil.copytree(start, path)
        with monkeypatch.context() as patch:
            Shim(patch, point, "kill")
            with pytest.raises((Killed, SparseIRError)):
                compact_index(path, salvage=True)
        with writing(path):
            pass
        committed = open_index(path).generation > generation
        assert [p.name for p in path.glob("damaged-*")] == ([f"damaged-{generation + 1:06d}"] if committed else [])
        place = path / f"damaged-{generation + 1:06d}" if committed else path
        assert (place / "000001.seg").read_bytes() == damaged
        if not committed:
            assert compact_index(path, salvage=True).kept_in
        verify_index(path)
        shutil.rmtree(path)


def test_where_no_links_can_be_made_the_damaged_segments_are_copied(sound, tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise OSError(1, "Operation not permitted")

    path = damage(sound, tmp_path / "i", "NAMB")
    damaged = (path / "000001.seg").read_bytes()
    monkeypatch.setattr(files.os, "link", refused)
    report = compact_index(path, salvage=True)
    assert (path / report.kept_in / "000001.seg").read_bytes() == damaged


def test_the_command_says_what_it_leaves_and_exits_with_1(sound, tmp_path, capsys):
    path = damage(sound, tmp_path / "i", "FLDB")
    assert run(["index", "compact", str(path), "--salvage", "--json", "--quiet"]) == 1
    out, err = capsys.readouterr()
    (part,) = json.loads(out)["left"]
    assert (part["segment"], part["section"], part["what"]) == ("000001.seg", "FLDB", "fields")
    assert len(part["names"]) == part["documents"]
    assert "left behind: fields of" in err
    assert "damaged-" in err
    assert run(["index", "compact", str(path), "--salvage", "--quiet"]) == 0
    add_documents(path, open_vectors(), docnos=["neu"])
    assert open_index(path).num_docs == len(content_of(path))


def open_vectors():
    from indexer import SparseVectors

    return SparseVectors.from_rows([{1: float(np.float32(0.5))}], 24)


def test_a_header_that_claims_billions_of_documents_costs_no_memory(tmp_path):
    from indexer import SparseVectors, build_index

    rows = SparseVectors.from_rows([{0: 1.0}], 1)
    build_index(tmp_path / "start", rows)
    add_documents(tmp_path / "start", rows)

    def claim(data, segment):
        data[24:28] = (2**31 - 1).to_bytes(4, "little")

    path = seal(tmp_path / "start", tmp_path / "i", claim)
    (part,) = compact_index(path, salvage=True).left
    assert (part.documents, part.names) == (2**31 - 1, ())
    verify_index(path)
