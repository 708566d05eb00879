"""A site that MkDocs built with the plugin, in a headless Chromium: from the field on a page to the part that is found."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser.webdriver import Browser, missing
from tests.integration.test_site_plugins import MKDOCS, mkdocs_site, run

pytestmark = [pytest.mark.skipif(missing() is not None, reason=missing() or ""), MKDOCS]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = mkdocs_site(tmp_path_factory.mktemp("pages"))
    run("mkdocs", folder, "build")
    handler = functools.partial(Quiet, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


def test_a_reader_asks_on_a_page_and_lands_at_the_part(browser: Browser, url: str) -> None:
    browser.open(f"{url}/guide/")
    browser.type("form[role=search] input", "stretched cables")
    browser.press("Enter")
    browser.wait("return location.pathname === '/search/index.html' && document.querySelector('.hit') !== null")
    assert browser.run("return document.title") == "Bikes & more · search"
    assert browser.run("return document.querySelector('.brand a').href") == f"{url}/index.html"
    assert browser.run("return document.querySelector('#options').hidden")
    browser.click(".hit .why")
    browser.wait("return !document.querySelector('#panel').hidden")
    assert browser.run("return document.querySelectorAll('#panel tbody tr').length") == 2
    assert browser.run("return document.querySelector('#panel .vector')") is None  # a site has no whole vectors
    browser.press("Escape")
    browser.wait("return document.activeElement.className === 'why'")
    browser.run("document.querySelector('#query').focus()")
    browser.press("Enter")  # to the first hit, not away
    assert browser.run("return document.activeElement.href") == f"{url}/guide/#brakes-cables"
    browser.press("Enter")
    browser.wait("return location.pathname + location.hash === '/guide/#brakes-cables'")


@pytest.mark.parametrize(
    ("given", "link"),
    [
        ("../guide/", "/guide/"),
        ("https://example.org/x", "https://example.org/x"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("http://[", None),
        (7, None),
    ],
)
def test_only_addresses_of_the_web_are_links(browser: Browser, url: str, given: object, link: str | None) -> None:
    browser.open(f"{url}/search/index.html")
    script = "const given = arguments[0]; return import('/search/page/hits.js').then(({ address }) => address({ fields: { url: given } }))"
    wanted = url + link if link is not None and link.startswith("/") else link
    assert browser.run(script, given) == wanted
