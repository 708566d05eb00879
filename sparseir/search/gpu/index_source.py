"""Device layouts of an index: read from its segment files, kept beside it for the next start."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.format.term_lists import read_lists
from indexer.index import Index
from indexer.interchange.matrices.npz import load_array
from indexer.segment import Segment
from sparseir.search.gpu.layout import DeviceLayout, build_layout
from sparseir.search.gpu.postings import SegmentPostings

_ARRAYS = ("window_entry", "window_posting", "entry_row", "entry_start", "local", "impact")


def segment_postings(segment: Segment) -> SegmentPostings:
    """The posting lists of a segment. Docs and impacts are views of the mapped file; packed docs are unpacked.

    Raises
    ------
    IndexFormatError : impossible records, directories or lists.
    """
    records, ordinals = segment.section("TREC"), segment.section("ORDN")
    lists = read_lists(segment, 0, segment.header.num_terms)
    ladder = segment.section("LADD").reshape(-1, 16)
    return replace(
        SegmentPostings.from_lists(lists, segment.num_docs, np.ascontiguousarray(records["list_max"]), ladder),
        ordinals=ordinals if len(ordinals) else None,
        ordinal_base=segment.header.ordinal_base,
        deleted=None if segment.deleted is None else np.flatnonzero(~segment.live).astype(np.uint32),
    )


def layout_folder(index: Index) -> Path:
    """Where the layouts of an index are kept: a sibling, because an index removes what its manifest does not name."""
    return index.path.with_name(index.path.name + ".gpu")


def cached_layout(index: Index, segment: Segment, postings: SegmentPostings, window_shift: int) -> DeviceLayout:
    """The layout of a segment: mapped where an earlier start kept it, else built and kept.

    A segment never changes, and the name holds its header checksum. If the folder cannot be written, the layout is
    built at every start; nothing else changes.
    """
    folder = layout_folder(index)
    place = folder / f"{segment.entry.file}-{segment.header_crc32:08x}-w{window_shift}"
    kept = _read(place, segment.num_docs, window_shift)
    if kept is not None:
        return kept
    layout = build_layout(postings, window_shift=window_shift)
    try:
        _write(folder, place, layout)
    except OSError:
        return layout
    return layout


def _write(folder: Path, place: Path, layout: DeviceLayout) -> None:
    """Whole or not at all: written aside, then renamed."""
    folder.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        for name in _ARRAYS:
            np.save(scratch / f"{name}.npy", getattr(layout, name))
        np.save(scratch / "group.npy", np.array(layout.group))
        scratch.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _read(place: Path, num_docs: int, window_shift: int) -> DeviceLayout | None:
    """A kept layout, or None where there is none or its arrays do not fit together."""
    try:
        arrays = {name: load_array(place / f"{name}.npy", "r") for name in _ARRAYS}
        group = int(load_array(place / "group.npy"))
    except (OSError, ValueError, TypeError):
        return None
    entry, posting, start = arrays["window_entry"], arrays["window_posting"], arrays["entry_start"]
    fits = (
        len(entry) == len(posting) == ((num_docs + (1 << window_shift) - 1) >> window_shift) + 1
        and int(entry[-1]) == len(arrays["entry_row"]) == len(start) - len(entry) + 1
        and int(posting[-1]) == len(arrays["local"]) == len(arrays["impact"])
        and bool((entry[1:] >= entry[:-1]).all() and (posting[1:] >= posting[:-1]).all())
    )
    if not fits:
        shutil.rmtree(place, ignore_errors=True)
        return None
    return DeviceLayout(num_docs=num_docs, window_shift=window_shift, group=group, **arrays)


def remove_stale_layouts(index: Index) -> None:
    """Delete the layouts of segments the index no longer has; processes that map them keep what they have mapped."""
    current = tuple(f"{s.entry.file}-{s.header_crc32:08x}-" for s in index.segments)
    folder = layout_folder(index)
    for place in folder.iterdir() if folder.is_dir() else ():
        if not place.name.startswith((*current, ".writing-")):
            shutil.rmtree(place, ignore_errors=True)
