"""A static site in a headless Chromium: the ranking of the index, from one host and below one path of it."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sparseir import Index, Searcher, cli
from tests.browser.webdriver import Browser, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

DOCS = Path(__file__).parents[2] / "docs"
PLACE = "/some/where/search/"
QUERIES = [
    "block maxima bound",
    "what a killed writer leaves",
    "filters of metadata",
    "training a doc encoder with BM25",
    "the",
]
HITS = """return [...document.querySelectorAll('#column-0 .hit')].map(
    (hit) => [hit.dataset.docno, hit.querySelector('.score').textContent])"""
FETCHED = "return performance.getEntriesByType('resource').map((entry) => entry.name)"


class Host(SimpleHTTPRequestHandler):
    """Serves a folder and keeps the paths that were asked for."""

    asked: list[str]

    def log_request(self, *given: object) -> None:
        self.asked.append(self.path)

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paragraphs of this project's own pages."""
    folder = tmp_path_factory.mktemp("site") / "pages"
    parts = [(page.stem, p) for page in sorted(DOCS.glob("*.md")) for p in page.read_text().split("\n\n")]
    documents = [
        {"_id": f"{stem}-{i}", "title": stem, "text": re.sub(r"\s+", " ", p)} for i, (stem, p) in enumerate(parts)
    ]
    Index.build(folder, documents).close()
    return folder


@pytest.fixture(scope="module")
def host(index: Path) -> Iterator[tuple[str, list[str]]]:
    root = index.parent / "host"
    (root / PLACE.strip("/")).parent.mkdir(parents=True)
    site = str(root / PLACE.strip("/"))
    assert cli.run(["index", "export", str(index), "--format", "web", "--output", site, "--quiet"]) == 0
    asked: list[str] = []
    handler = type("Handler", (Host,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture
def page(browser: Browser, host: tuple[str, list[str]]) -> Iterator[Browser]:
    browser.open(host[0] + PLACE)
    browser.wait("return document.querySelectorAll('#index-0 option').length === 1")
    yield browser
    assert browser.complaints() == []


def test_typing_shows_the_ranking_of_the_index(page: Browser, index: Path) -> None:
    with Searcher.open(index) as searcher:
        for query in QUERIES:
            wanted = [(hit.docno, hit.score) for hit in searcher.search(query, 10)]
            page.run("document.querySelector('#query').value = ''")
            page.type("#query", query)
            page.wait(
                "return JSON.stringify([...document.querySelectorAll('#column-0 .hit')].map((hit) => hit.dataset.docno)) "
                "=== arguments[0]",
                "[" + ",".join(f'"{docno}"' for docno, _ in wanted) + "]",
            )
            shown = page.run(HITS)
            assert [float(score.replace(",", "")) for _, score in shown] == pytest.approx(
                [s for _, s in wanted], rel=1e-3
            )


def test_nothing_is_asked_of_another_host_or_outside_the_path(page: Browser, host: tuple[str, list[str]]) -> None:
    url, asked = host
    page.type("#query", "posting lists")
    page.wait("return document.querySelectorAll('#column-0 .hit').length > 0")
    fetched = page.run(FETCHED)
    assert any("/postings/" in name for name in fetched)
    assert [name for name in fetched if not name.startswith(url + PLACE)] == []
    assert [path for path in asked if not path.startswith(PLACE) and path != "/favicon.ico"] == []


def test_an_explanation_adds_up_and_a_term_is_taken_out(page: Browser) -> None:
    page.type("#query", "block maxima bound")
    page.wait("return document.querySelectorAll('#column-0 .hit').length > 0")
    first = page.run(HITS)[0][0]
    page.press("Down")
    page.press("Enter")
    page.wait("return !document.querySelector('#panel').hidden")
    products = page.run(
        "return [...document.querySelectorAll('#panel tbody tr')].map((row) => Number(row.cells[5].textContent.replace(/,/g, '')))"
    )
    assert sum(products) == page.run("return Number(document.querySelector('#sum').textContent.replace(/,/g, ''))") > 0
    page.press("Escape")
    page.click(".chip[data-term='maxima'] input[type=checkbox]")
    page.wait("return document.querySelector(\".chip[data-term='maxima']\").classList.contains('off')")
    page.wait(
        "return document.querySelector('.moved') !== null || document.querySelector('.hit').dataset.docno !== arguments[0]",
        first,
    )


def test_on_a_narrow_screen_nothing_is_cut_off(page: Browser) -> None:
    page.cdp("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    try:
        page.type("#query", "UndefinedBehaviorSanitizer checksums")
        page.wait("return document.querySelectorAll('#column-0 .hit').length > 0")
        page.press("Down")
        page.press("Enter")
        page.wait("return !document.querySelector('#panel').hidden")
        assert page.run("return document.documentElement.scrollWidth") <= 390
        assert (
            page.run("const panel = document.querySelector('#panel'); return panel.scrollWidth - panel.clientWidth")
            <= 0
        )
    finally:
        page.cdp("Emulation.clearDeviceMetricsOverride")
