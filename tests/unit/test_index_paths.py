"""What somebody else put into an index folder: links, pipes, devices and names that lead out of it."""

from __future__ import annotations

import json
import os

import pytest

from indexer import SparseVectors, add_documents, build_index, compact_index, delete_documents, open_index, verify_index
from indexer.errors import IndexFormatError, SparseIRError
from indexer.format import files
from indexer.format.folder import copy_query_side, writing
from indexer.interchange.export import export_index
from tests.fuzz.index_mutations import sealed

VECTORS = SparseVectors.from_rows([{0: 1.0, 2: 0.5}, {1: 2.0}], 3)


@pytest.fixture
def index(tmp_path):
    build_index(tmp_path / "i", VECTORS, docnos=["a", "b"])
    return tmp_path / "i"


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim"
    path.write_bytes(b"precious")
    return path


def writes(path):
    """Every way to write to an index."""
    return [
        lambda: add_documents(path, VECTORS, docnos=["c", "d"], replace_existing=True),
        lambda: delete_documents(path, ["a"]),
        lambda: compact_index(path, layout="packed"),
        lambda: build_index(path, VECTORS, overwrite=True),
    ]


@pytest.mark.parametrize("turn", range(4))
def test_a_lock_that_is_a_link_is_refused(index, victim, turn):
    (index / "write.lock").unlink()
    (index / "write.lock").symlink_to(victim)
    with pytest.raises(IndexFormatError, match=r"write\.lock' is not a regular file"):
        writes(index)[turn]()
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_lock_that_is_no_file_is_refused(index, plant):
    (index / "write.lock").unlink()
    plant(index / "write.lock")
    with pytest.raises(IndexFormatError, match="not a regular file"):
        delete_documents(index, ["a"])


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize(
    "name", ["manifest.json.new", "000002.seg", "000001.del-000002", "query-000002", "000002.run-TERM"]
)
def test_links_in_the_place_of_new_files_are_not_followed(index, victim, name, turn):
    (index / name).symlink_to(victim)
    writes(index)[turn]()
    assert victim.read_bytes() == b"precious"
    assert not (index / name).is_symlink()
    verify_index(index)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("name", ["manifest.json.new", "000002.seg", "000001.del-000002", "query-000002"])
def test_pipes_in_the_place_of_new_files_are_not_waited_for(index, name, turn):
    os.mkfifo(index / name)
    writes(index)[turn]()
    assert not (index / name).is_fifo()
    verify_index(index)


def test_a_link_to_a_folder_is_removed_and_not_what_it_leads_to(index, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"precious")
    (index / "query-000009").symlink_to(tmp_path / "folder")
    delete_documents(index, ["a"])
    assert not (index / "query-000009").is_symlink()
    assert (tmp_path / "folder" / "file").read_bytes() == b"precious"


def test_a_link_planted_while_a_writer_works_is_refused(index, victim, tmp_path):
    """What comes after the leftovers were removed finds names that only new files may have."""
    (tmp_path / "side").mkdir()
    with writing(index):
        (index / "000007.seg").symlink_to(victim)
        with pytest.raises(SparseIRError, match="File exists"):
            files.create(index / "000007.seg")
        (index / "query-000008").symlink_to(tmp_path)
        with pytest.raises(SparseIRError, match="File exists"):
            copy_query_side(index, tmp_path / "side", 8)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["manifest.json", "000001.seg", "000001.del-000002"])
@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_read(index, name, plant):
    delete_documents(index, ["a"])
    (index / name).unlink()
    plant(index / name)
    with pytest.raises(IndexFormatError, match="not a regular file"):
        open_index(index)


def change_manifest(index, change):
    manifest = json.loads((index / "manifest.json").read_bytes())
    change(manifest)
    (index / "manifest.json").write_bytes(sealed(manifest))


NAMES = [
    "",
    ".",
    "..",
    "../000001.seg",
    "/etc/passwd",
    "a/b.seg",
    "a\0b",
    ".hidden",
    "000001.seg\n",
    "x y",
    "००००००.seg",
]


@pytest.mark.parametrize("name", [*NAMES, "x.seg", "000001.del-000002"])
def test_segments_have_plain_names(index, name):
    change_manifest(index, lambda manifest: manifest["segments"][0].update(file=name))
    with pytest.raises(IndexFormatError) as caught:
        open_index(index)
    assert caught.value.invariant == "manifest-fields"


@pytest.mark.parametrize("name", NAMES)
def test_deletions_and_query_sides_have_plain_names(index, name):
    delete_documents(index, ["a"])
    whole = (index / "manifest.json").read_bytes()
    change_manifest(index, lambda manifest: manifest["segments"][0]["deletes"].update(file=name))
    with pytest.raises(IndexFormatError, match="lacks or mistypes a field"):
        open_index(index)
    (index / "manifest.json").write_bytes(whole)
    change_manifest(index, lambda manifest: manifest.update(query_side=name))
    with pytest.raises(IndexFormatError, match="lacks or mistypes a field"):
        open_index(index)


def test_a_manifest_that_could_not_be_read_again_is_not_committed(index):
    change_manifest(index, lambda manifest: manifest.update(generation=2**62))
    before = (index / "manifest.json").read_bytes()
    with pytest.raises(IndexFormatError, match="generation is"):
        delete_documents(index, ["a"])
    assert (index / "manifest.json").read_bytes() == before


def test_a_deletion_file_longer_than_its_segment_is_not_read_whole(index):
    delete_documents(index, ["a"])
    with (index / "000001.del-000002").open("r+b") as file:
        file.truncate(1 << 40)  # sparse: a terabyte that takes no room
    with pytest.raises(IndexFormatError, match="damaged"):
        open_index(index)


def test_pipes_beside_an_export_are_not_waited_for(index, tmp_path):
    os.mkfifo(tmp_path / ".out.jsonl.1.partial")
    assert export_index(open_index(index), tmp_path / "out.jsonl").num_rows == 2


def test_the_query_side_in_force_is_never_written_into(tmp_path):
    """An index without documents has no segment whose number keeps the next query side apart from it."""
    side = tmp_path / "side"
    side.mkdir()
    (side / "config.json").write_bytes(b"{}")
    empty = SparseVectors.from_rows([], 3)
    first = build_index(tmp_path / "i", empty, query_side=side).manifest.query_side
    second = build_index(tmp_path / "i", empty, query_side=side, overwrite=True).manifest.query_side
    assert first != second
