"""Writes the folder of a static site: postings by term, stored fields by chunk, the query side, and the page.

site.json          what the page reads first: sizes, scales, where the parts begin
vocabulary.json    terms in their order, how many documents hold each, what each weighs in a query (`vocabulary`)
postings/N.bin     of consecutive terms: for each its documents, as differences in LEB128, then as many impacts as bytes
documents/N.json   of consecutive documents: [docno, stored fields] each
index.html, page/  the page of `sparseir serve`, with what answers it in place of the service
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.interchange.live import DROPPED, LiveDocuments, live_postings
from indexer.progress import Progress, silent
from sparseir.errors import ConfigError
from sparseir.static.query_side import SiteQueries, query_side_of
from sparseir.static.vocabulary import packed, site_numbers

_PART = 32 << 10
"""Bytes of a file of postings or documents, about: what is fetched for one rare term or one hit."""
_READ_DOCUMENTS = 1024
_PAGE = Path(__file__).parent / "page"
_SERVED_PAGE = Path(__file__).parents[1] / "serve" / "page"


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What was written: counts, and bytes of all files and of what every visit fetches before a query."""

    path: Path
    documents: int
    postings: int
    files: int
    bytes: int
    first_bytes: int


def write_site(
    index: Index, folder: Path, *, name: str | None = None, home: str | None = None, progress: Progress = silent
) -> SiteReport:
    """Write the site into an empty folder that exists. Its rankings and scores equal the index's.

    Parameters
    ----------
    name : the page calls the index so; left out, the name of its folder.
    home : address, relative to the folder, of the site that it searches; the page then has its name, and links to it.

    Raises
    ------
    ConfigError : an index whose queries the page cannot encode, or one of passages.
    """
    side = query_side_of(index)
    live = LiveDocuments(index)
    numbers = site_numbers(side.terms, side.settings["first_stem"])
    lists = _lists(index, live, numbers)
    progress("writing a site", 0, live.count)
    df = np.bincount(lists[0], minlength=index.num_terms)
    shards = _write_postings(folder / "postings", lists, df)
    chunks = _write_documents(index, live, folder / "documents", progress)
    site = {
        "format": "sparseir-site",
        "version": 1,
        "name": name or index.path.resolve().name,
        "home": home,
        "documents": live.count,
        "doc_scale": index.doc_scale,
        "shards": shards,
        "chunks": chunks,
        **side.settings,
        "added": _added(side, numbers),
    }
    _dump(folder / "site.json", site)
    order = np.argsort(numbers)
    terms = [side.terms[number] for number in order.tolist()]
    _dump(folder / "vocabulary.json", packed(terms, df, side.weights[order]))
    _copy_page(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return SiteReport(
        path=folder,
        documents=live.count,
        postings=len(lists[0]),
        files=len(files),
        bytes=sum(path.stat().st_size for path in files),
        first_bytes=sum((folder / n).stat().st_size for n in ("site.json", "vocabulary.json")),
    )


def _added(side: SiteQueries, numbers: NDArray[np.int64]) -> dict[str, Any]:
    """Words that words of queries add: [said, added, share, added, share …] of each, and what the added ones weigh as built."""
    by_word: dict[int, list[Any]] = {}
    for said, other, share in side.added:
        by_word.setdefault(said, [int(numbers[said])]).extend([int(numbers[other]), float(str(share))])
    others = sorted({other for _, other, _ in side.added})
    return {"words": list(by_word.values()), "weights": [[int(numbers[o]), side.as_built[o]] for o in others]}


def _lists(
    index: Index, live: LiveDocuments, numbers: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """(number of the term on the site, row, impact) of all live postings, by term, then by row."""
    parts = [
        triples
        for segment, rows in zip(index.segments, live.rows, strict=True)
        for triples in live_postings(segment, rows, "impact", index.doc_scale)
    ]
    if not parts:
        return np.zeros(0, np.uint32), np.zeros(0, np.uint32), np.zeros(0, np.uint32)
    terms, rows, impacts = (np.concatenate(column) for column in zip(*parts, strict=True))
    assert not (rows == DROPPED).any()
    terms = numbers[terms]
    order = np.lexsort((rows, terms))
    return terms[order], rows[order], impacts[order]


def _write_postings(folder: Path, lists: tuple[NDArray[Any], ...], df: NDArray[np.int64]) -> list[int]:
    """Files of whole lists; the first term of each."""
    folder.mkdir()
    _, rows, impacts = lists
    ends = np.cumsum(df)
    firsts, part = [0], bytearray()
    for term in np.flatnonzero(df).tolist():
        begin, end = int(ends[term] - df[term]), int(ends[term])
        if len(part) >= _PART:
            (folder / f"{len(firsts) - 1}.bin").write_bytes(part)
            firsts.append(term)
            part = bytearray()
        part += _leb128(np.diff(rows[begin:end], prepend=np.zeros(1, rows.dtype)).astype(np.int64))
        part += impacts[begin:end].astype(np.uint8).tobytes()
    (folder / f"{len(firsts) - 1}.bin").write_bytes(part)
    return firsts


def _leb128(values: NDArray[np.int64]) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    if values.max(initial=0) < 128:
        return values.astype(np.uint8).tobytes()
    out = bytearray()
    for value in values.tolist():
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
    return bytes(out)


def _write_documents(index: Index, live: LiveDocuments, folder: Path, progress: Progress) -> list[int]:
    """Files of documents; the first row of each."""
    folder.mkdir()
    firsts: list[int] = [0]
    part: list[str] = []
    size = 0
    for first in range(0, live.count, _READ_DOCUMENTS):
        last = min(live.count, first + _READ_DOCUMENTS)
        stored = index.fields(live.ordinals[first:last])
        for row, docno, fields in zip(range(first, last), live.docnos(first, last), stored, strict=True):
            if size >= _PART:
                (folder / f"{len(firsts) - 1}.json").write_text(f"[{','.join(part)}]", encoding="utf-8")
                firsts.append(row)
                part, size = [], 0
            part.append(json.dumps([docno, fields], ensure_ascii=False))
            size += len(part[-1])
        progress("writing a site", last, live.count)
    (folder / f"{len(firsts) - 1}.json").write_text(f"[{','.join(part)}]", encoding="utf-8")
    return firsts


def _copy_page(folder: Path) -> None:
    """The page, whose calls of the service the site's own api.js answers."""
    target = folder / "page"
    target.mkdir()
    for source in (_SERVED_PAGE, _PAGE):
        for path in sorted(source.iterdir()):
            if path.suffix in (".js", ".css", ".svg"):
                shutil.copyfile(path, target / path.name)
    shutil.copyfile(_SERVED_PAGE / "index.html", folder / "index.html")


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def check_site(index: Index) -> None:
    """Refuse, before any work, an index that no site can be made of.

    Raises
    ------
    ConfigError
    """
    if not len(index):
        raise ConfigError(f"index {index.path.name!r} holds no documents; there is nothing to search")
    query_side_of(index)
