"""The pages of a documentation site as a static search beside them: what the plugins of site builders share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from indexer import open_index
from sparseir.errors import ConfigError
from sparseir.static.writer import SiteReport, check_site, write_site
from sparseir.text_index import Index

_OURS = frozenset({"site.json", "vocabulary.json", "index.html", "page", "postings", "documents"})
"""All that a folder of a search holds."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page that has an address.

    Parameters
    ----------
    address : from the root of the site, with the fragment of the part where it has one. page, heading : their titles.
    text : as a reader sees it.
    """

    address: str
    page: str
    heading: str
    text: str


def write_search(
    site: Path, folder: str, sections: Iterable[Section], *, name: str, language: str = "english"
) -> SiteReport:
    """Index the parts of all pages with BM25, and write the search of them into a folder of the site.

    Parameters
    ----------
    site : folder of the built site. folder : relative to it; an earlier search there is replaced.
    name : of the site, for the page. language : of the stemmer, or "none".

    Raises
    ------
    ConfigError : a folder outside the site or with other files; a language that the page does not stem; no pages.
    """
    place = PurePosixPath(folder)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise ConfigError(f"the folder of the search is {folder!r}; expected one inside the site, such as 'search'")
    target, above = site / place, "../" * len(place.parts)
    if target.is_dir() and not {path.name for path in target.iterdir()} <= _OURS:
        raise ConfigError(
            f"the folder {folder!r} of the site holds files of another search; name another folder, or turn that search off"
        )
    documents = [
        {
            "_id": section.address or "index.html",
            "title": section.page if section.heading in ("", section.page) else f"{section.page} › {section.heading}",
            "text": section.text,
            "url": above + section.address,
        }
        for section in _joined(sections)
    ]
    if not documents:
        raise ConfigError("the site has no pages with text; there is nothing to search")
    with tempfile.TemporaryDirectory(prefix="sparseir-site-") as kept:
        Index.build(Path(kept) / "index", documents, language=language).close()
        index = open_index(Path(kept) / "index")
        check_site(index)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        return write_site(index, target, name=name, home=f"{above}index.html")


def _joined(sections: Iterable[Section]) -> list[Section]:
    """One part for each address: where a page uses an id twice, a browser finds the first only."""
    found: dict[str, Section] = {}
    for section in sections:
        before = found.get(section.address)
        found[section.address] = section if before is None else replace(before, text=f"{before.text}\n{section.text}")
    return list(found.values())
