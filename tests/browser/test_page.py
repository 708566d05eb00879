"""The page in a headless Chromium: what a reader does with it."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")
pytest.importorskip("httpx", reason="needs httpx")

from sparseir.serve.settings import ServeSettings
from tests.browser.webdriver import Browser, missing
from tests.served import build, running

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

HITS = "return [...document.querySelectorAll('#column-0 .hit')].map((hit) => hit.dataset.docno)"
SHOWN = "return document.querySelector(arguments[0]) !== null && !document.querySelector(arguments[0]).hidden"
FOCUS = "return document.activeElement.closest('.hit')?.dataset.docno ?? document.activeElement.id"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    index = build(tmp_path_factory.mktemp("page"))
    with running(ServeSettings(indexes={"docs": index, "same": index})) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


@pytest.fixture
def page(browser, server):
    browser.open(server.url)
    browser.wait("return document.querySelectorAll('#index-0 option').length === 2")
    yield browser
    assert browser.complaints() == []


def test_a_reader_types_asks_why_and_takes_a_term_out(page):
    page.type("#query", "what weathers")
    page.wait("return document.querySelectorAll('#column-0 .hit').length === 4")
    ranked = page.run(HITS)
    assert ranked[0] == "d"  # weather + ##s
    page.press("Down")
    assert page.run(FOCUS) == "d"
    page.press("Enter")
    page.wait(SHOWN, "#panel")
    products = page.run(
        "return [...document.querySelectorAll('#panel tbody tr')].map((row) => Number(row.cells[5].textContent.replace(/,/g, '')))"
    )
    total = page.run("return Number(document.querySelector('#sum').textContent.replace(/,/g, ''))")
    assert len(products) == 2
    assert sum(products) == total > 0
    page.press("Escape")
    page.wait("return document.querySelector('#panel').hidden")
    assert page.run(FOCUS) == "d"
    page.click(".chip[data-term='##s'] input[type=checkbox]")
    page.wait("return arguments[0] !== document.querySelector('#column-0 .hit').dataset.docno", "d")
    assert page.run(HITS)[0] != "d"
    assert page.run("return document.querySelector(\"[data-docno='d'] .moved\").textContent").startswith("▼")
    page.click("#reset")
    page.wait("return arguments[0] === document.querySelector('#column-0 .hit').dataset.docno", "d")
    assert page.run(HITS) == ranked


def test_a_weight_is_moved_with_the_keyboard(page):
    page.type("#query", "what weathers")
    page.wait("return document.querySelector(\".chip[data-term='what'] input[type=range]\") !== null")
    page.run("document.querySelector(\".chip[data-term='weather'] input[type=range]\").focus()")
    for _ in range(25):
        page.press("\ue012")  # arrow left
    page.wait("return document.querySelector(\".chip[data-term='weather']\").classList.contains('off')")
    page.wait('return document.querySelectorAll("#column-0 .hit mark[title]").length > 0')
    assert page.run("return document.activeElement.type") == "range"


def test_a_documents_whole_vector_is_shown(page):
    page.type("#query", "weathers")
    page.wait("return document.querySelector('.hit') !== null")
    page.press("Enter")
    page.wait(SHOWN, "#panel")
    page.click("#panel .plain")
    page.wait("return document.querySelectorAll('.bars li').length === 2")


def test_two_engines_side_by_side(page):
    page.type("#query", "what is the weather")
    page.click("#compare")
    page.wait("return document.querySelectorAll('#column-1 .hit').length > 0")
    labels = page.run("return [...document.querySelectorAll('.elsewhere')].map((label) => label.textContent)")
    assert set(labels) == {"same rank"}


def test_keys_reach_the_query_and_the_address_keeps_it(page, server):
    page.run("document.activeElement.blur()")
    page.press("/")
    assert page.run(FOCUS) == "query"
    page.type("#query", "weather")
    page.wait("return location.search === '?q=weather'")
    page.open(f"{server.url}/?q=weather&filter=lang%3Den")
    page.wait("return document.querySelectorAll('#column-0 .hit').length === 2")


def test_what_a_document_holds_is_never_read_as_html(page):
    """The document named <b> is shown under its name."""
    page.type("#query", "weather what")
    page.wait("return document.querySelector(\"[data-docno='<b>']\") !== null")
    assert page.run("return document.querySelector(\"[data-docno='<b>'] .docno\").textContent") == "<b>"


def test_a_wrong_filter_is_named_and_every_control_has_a_name(page):
    page.type("#query", "weather")
    page.type("#filter", "size=1")
    page.wait("return document.querySelector('[role=alert]')?.textContent.includes(\"cannot filter by 'size'\")")
    unnamed = page.run(
        "return [...document.querySelectorAll('input, select, button')].filter((control) => !control.hidden "
        "&& !(control.labels?.length || control.ariaLabel || control.textContent.trim())).map((control) => control.outerHTML)"
    )
    assert unnamed == []
    assert page.complaints() != []  # the refused request, which the browser notes


def test_a_service_with_keys_asks_for_one(browser, tmp_path):
    key = "0123456789abcdef"
    with running(ServeSettings(indexes={"docs": build(tmp_path)}, keys=(key,))) as server:
        browser.open(server.url)
        browser.wait("return document.querySelector('#key-dialog').open")
        browser.type("#key", key)
        browser.press("Enter")
        browser.wait("return document.querySelectorAll('#index-0 option').length === 1")
        browser.type("#query", "weather")
        browser.wait("return document.querySelector('.hit') !== null")
    browser.complaints()
