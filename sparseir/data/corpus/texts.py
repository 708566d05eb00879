"""A folder of plain, Markdown and HTML files: one document each, named by its path."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

from indexer.interchange.input import LARGEST_LINE
from sparseir.data.compression import bare_name
from sparseir.data.corpus.places import Place, Row, SourceFile
from sparseir.errors import DataError

PLAIN, MARKDOWN, HTML = (".txt", ".text"), (".md", ".markdown"), (".html", ".htm", ".xhtml")
ENDINGS = (*PLAIN, *MARKDOWN, *HTML)

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{2,40})""", re.IGNORECASE)
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_TITLE = re.compile(r"""^title:[ \t]*(["']?)(\S.*?)\1[ \t]*$""", re.MULTILINE)
_FENCE = re.compile(r" {0,3}(```|~~~)")
_ATX = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")


@dataclass(frozen=True, slots=True)
class TextFile(SourceFile):
    """One file as one document.

    Parameters
    ----------
    name : the document's: its path in the folder.
    """

    name: str

    def rows(self) -> Iterator[Row]:
        with self.source.open() as stream:
            content = stream.read(LARGEST_LINE + 1)
        if len(content) > LARGEST_LINE:
            raise DataError(
                f"more than {LARGEST_LINE >> 20} MB in one text; cut it into several files", path=self.label
            )
        ending = PurePosixPath(bare_name(self.name)).suffix.lower()
        text = _decoded(content, self.label, html=ending in HTML)
        title = ""
        if ending in MARKDOWN:
            title, text = split_markdown(text)
        elif ending in HTML:
            title, text = split_html(text)
        yield Place(self.label, 0), {"id": self.name, "title": title, "text": text.strip()}


def _decoded(content: bytes, label: Path, *, html: bool) -> str:
    """The text of a file: UTF-8, or what a page of HTML says of itself."""
    charset = "utf-8-sig"
    said = _CHARSET.search(content[:4096]) if html else None
    if said is not None:
        try:
            charset = codecs.lookup(said[1].decode("ascii")).name
        except LookupError:
            raise DataError(f"charset {said[1].decode('ascii')} is unknown; write it in UTF-8", path=label) from None
        if charset == "utf-8":
            charset = "utf-8-sig"
    try:
        return content.decode(charset)
    except (UnicodeDecodeError, LookupError) as error:
        raise DataError(f"not UTF-8 ({error}); convert it, for example with iconv -t UTF-8", path=label) from None


def split_markdown(text: str) -> tuple[str, str]:
    """Title and rest: what the front matter says, or the first heading outside blocks of code, which leaves the text.

    Front matter (between lines of ---) is no text. Without either the title is "".
    """
    front = _FRONT_MATTER.match(text)
    if front is not None:
        said = _TITLE.search(front[1])
        text = text[front.end() :]
        if said is not None:
            return said[2].strip(), text
    lines = text.splitlines()
    fence = ""
    for at, line in enumerate(lines):
        opening = _FENCE.match(line)
        if opening and (not fence or fence == opening[1]):
            fence = "" if fence else opening[1]
        if fence or opening:
            continue
        heading = _ATX.match(line)
        if heading:
            return heading[1].strip(), "\n".join(lines[:at] + lines[at + 1 :])
        below = lines[at + 1] if at + 1 < len(lines) else ""
        if (
            line.strip()
            and _UNDERLINE.match(below)
            and not _UNDERLINE.match(line)
            and (at == 0 or not lines[at - 1].strip())
        ):
            return line.strip(), "\n".join(lines[:at] + lines[at + 2 :])
    return "", text


def split_html(text: str) -> tuple[str, str]:
    """Title and visible text of a page: <title>, or the first <h1> where that is missing or empty."""
    parser = _Page()
    parser.feed(text)
    parser.close()
    title, heading = (" ".join("".join(part).split()) for part in (parser.title, parser.heading))
    return title or heading, _lines(parser.body)


@dataclass(frozen=True, slots=True)
class HtmlSection:
    """What stands under one heading, up to the next of any level.

    Parameters
    ----------
    anchor : the heading's id, "" for what comes before the first heading that has one. heading, text : as a reader sees them.
    """

    anchor: str
    heading: str
    text: str


def html_sections(text: str) -> list[HtmlSection]:
    """A page in parts, each of which an address reaches: they begin at headings that have an id. Empty ones are left out."""
    parser = _Sections()
    parser.feed(text)
    parser.close()
    found = [
        HtmlSection(anchor, " ".join("".join(heading).split()), _lines(body))
        for anchor, heading, body in parser.sections
    ]
    return [section for section in found if section.heading or section.text]


def _lines(body: list[str]) -> str:
    return "\n".join(line for line in (" ".join(part.split()) for part in "".join(body).split("\n")) if line)


class _Page(HTMLParser):
    """Collects what a reader sees."""

    _UNSEEN = frozenset({"script", "style", "template", "noscript", "svg"})
    _INLINE = frozenset(
        [
            "a",
            "abbr",
            "b",
            "bdi",
            "bdo",
            "cite",
            "code",
            "data",
            "dfn",
            "em",
            "font",
            "i",
            "kbd",
            "mark",
            "q",
            "s",
            "samp",
            "small",
            "span",
            "strong",
            "sub",
            "sup",
            "time",
            "u",
            "var",
            "wbr",
        ]
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.heading: list[str] = []
        self.body: list[str] = []
        self._open: list[str] = []
        self._headings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._UNSEEN or tag in ("title", "h1"):
            self._open.append(tag)
            self._headings += tag == "h1"
        if tag not in self._INLINE:
            self.body.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]
        if tag not in self._INLINE:
            self.body.append("\n")

    def handle_data(self, data: str) -> None:
        if self._UNSEEN.intersection(self._open):
            return
        if "title" in self._open:
            self.title.append(data)
            return
        if "h1" in self._open and self._headings == 1:
            self.heading.append(data)
        # Ends of lines in the source are spaces; those of elements are kept.
        self.body.append(data.replace("\n", " "))


class _Sections(_Page):
    """Begins a new body at each heading with an id. The mark beside a heading that links to it is no text."""

    _LINK_CLASS = "headerlink"  # of Python-Markdown and of Sphinx

    def __init__(self) -> None:
        super().__init__()
        self.sections: list[tuple[str, list[str], list[str]]] = [("", [], self.body)]
        self._level = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        anchor = given.get("id")
        if re.fullmatch("h[1-6]", tag) and anchor:
            self._level, self.body = tag, []
            self.sections.append((anchor, [], self.body))
        if tag == "a" and self._LINK_CLASS in (given.get("class") or "").split():
            self._open.append(tag)
        super().handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        super().handle_endtag(tag)
        if tag == self._level:
            self._level = ""

    def handle_data(self, data: str) -> None:
        if "a" in self._open:
            return
        if self._level and not self._UNSEEN.intersection(self._open):
            self.sections[-1][1].append(data)
        else:
            super().handle_data(data)
