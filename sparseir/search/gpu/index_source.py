"""Device layouts of an index: read from its segment files, kept beside it for the next start."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.index import Index, Segment
from sparseir.errors import IndexFormatError
from sparseir.search.gpu.layout import DeviceLayout, build_layout
from sparseir.search.gpu.postings import WIDE_WINDOW, SegmentPostings

_SPARSE = 255
_ARRAYS = ("window_entry", "window_posting", "entry_row", "entry_start", "local", "impact")


def segment_postings(segment: Segment) -> SegmentPostings:
    """The posting lists of a segment; docs and impacts stay views of the mapped file.

    Raises
    ------
    IndexFormatError : directories that do not describe the postings.
    """
    records = segment.section("TREC")
    row, base, start = _runs(segment, records)
    num_postings = len(segment.section("DOCS"))
    bounds = np.append(start, num_postings).astype(np.int64)
    if len(bounds) and (bounds[0] != 0 or bool((bounds[1:] < bounds[:-1]).any())):
        raise IndexFormatError(
            f"segment '{segment.path}': position directories do not follow the postings; run 'sparseir index verify'",
            section="TREC",
            invariant="directory-order",
        )
    ordinals = segment.section("ORDN")
    return SegmentPostings(
        num_docs=segment.num_docs,
        term_ids=segment.section("TERM"),
        docs=segment.section("DOCS"),
        impacts=segment.section("IMPA"),
        run_row=row.astype(np.uint32),
        run_base=base.astype(np.uint32),
        run_start=bounds[:-1].astype(np.uint64),
        run_end=bounds[1:].astype(np.uint64),
        list_max=np.ascontiguousarray(records["list_max"]),
        ladder=segment.section("LADD").reshape(-1, 16),
        ordinals=ordinals if len(ordinals) else None,
        ordinal_base=segment.header.ordinal_base,
        deleted=None if segment.deleted is None else np.flatnonzero(~segment.live).astype(np.uint32),
    )


def _runs(segment: Segment, records: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(term row, first document, first posting) of every run of 65,536 documents, from the position directories.

    A dense directory has a cell border at each multiple of 65,536, because cells are powers of two no larger.
    """
    num_windows = -(-segment.num_docs // WIDE_WINDOW)
    sparse = records["cell_shift"] == _SPARSE
    count = np.where(sparse, records["num_windows"].astype(np.int64), num_windows)
    ends = np.cumsum(count)
    row = np.repeat(np.arange(len(records)), count)
    inside = np.arange(len(row)) - np.repeat(ends - count, count)
    at = records["directory_start"].astype(np.int64)[row] + inside
    base, start = inside * WIDE_WINDOW, records["postings_start"].astype(np.int64)[row]
    is_sparse = sparse[row]
    cells_per_window = np.where(sparse, 0, WIDE_WINDOW >> np.minimum(records["cell_shift"], 16).astype(np.int64))[row]
    at = np.where(is_sparse, at, records["directory_start"].astype(np.int64)[row] + inside * cells_per_window)
    start[~is_sparse] += _taken(segment, "CELL", at[~is_sparse])
    start[is_sparse] += _taken(segment, "WNST", at[is_sparse])
    base[is_sparse] = _taken(segment, "WNID", at[is_sparse]) * WIDE_WINDOW
    return row, base, start


def _taken(segment: Segment, name: str, at: NDArray[np.int64]) -> NDArray[np.int64]:
    section = segment.section(name)
    if len(at) and (int(at.min()) < 0 or int(at.max()) >= len(section)):
        raise IndexFormatError(
            f"segment '{segment.path}': a term's directory lies outside {name}; run 'sparseir index verify'",
            section=name,
            invariant="directory-range",
        )
    return section[at].astype(np.int64)


def layout_folder(index: Index) -> Path:
    """Where the layouts of an index are kept: a sibling, because an index removes what its manifest does not name."""
    return index.path.with_name(index.path.name + ".gpu")


def cached_layout(index: Index, segment: Segment, postings: SegmentPostings, window_shift: int) -> DeviceLayout:
    """The layout of a segment: mapped where an earlier start kept it, else built and kept.

    A segment never changes, and its header checksum stands in the name. A folder that cannot be written costs the
    build at every start and nothing else.
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
        arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        group = int(np.load(place / "group.npy"))
    except (OSError, ValueError, EOFError):
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
