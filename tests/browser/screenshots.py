"""Takes the pictures of docs/images anew: python -m tests.browser.screenshots LEARNED WORDS SITE FOLDER.

LEARNED and WORDS are indexes of the parts of the pages of docs/, by an inference-free encoder and by BM25 (docs/serve.md has
the commands); SITE is the folder that MkDocs built of these pages with the plugin.
"""

from __future__ import annotations

import functools
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sparseir.serve.settings import ServeSettings
from tests.browser.webdriver import Browser
from tests.served import running

QUERY = "how fast is a query"
EXPLAINED = """const hits = [...document.querySelectorAll('#column-0 .hit')];
(hits.find((hit) => hit.querySelector('.composition .expansion')) ?? hits[0]).querySelector('button').click()"""
DRAWN = "return document.querySelectorAll('#column-0 .hit').length > 0"


def ask(browser: Browser, address: str) -> None:
    """Open the page at a search, and wait for its hits; nothing has the focus."""
    browser.open(address)
    browser.wait(DRAWN)
    browser.run("document.activeElement.blur()")


def screen(browser: Browser, width: int, height: int, *, scheme: str = "light") -> None:
    """A window of this size."""
    browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    browser.cdp("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in features.items()])
    browser.cdp("Emulation.setScrollbarsHidden", hidden=True)


def of_the_service(browser: Browser, url: str, folder: Path) -> None:
    """The page of `sparseir serve`."""
    search = f"{url}/?q={QUERY.replace(' ', '+')}"
    screen(browser, 1400, 860)
    ask(browser, search)
    browser.run(EXPLAINED)
    browser.wait("return !document.querySelector('#panel').hidden")
    browser.click("#panel .plain")
    browser.wait("return document.querySelectorAll('.bars li').length > 5")
    browser.screenshot(folder / "serve-panel.png")
    screen(browser, 1000, 760, scheme="dark")
    ask(browser, search)
    first = browser.run("return document.querySelector('.chip').dataset.term")
    browser.click(f".chip[data-term='{first}'] input[type=checkbox]")
    browser.wait("return document.querySelector('.moved') !== null")
    browser.run("document.activeElement.blur()")
    browser.screenshot(folder / "serve-dark.png")
    screen(browser, 1280, 860)
    ask(browser, f"{search}&beside=words:auto")
    browser.wait("return document.querySelectorAll('#column-1 .hit').length > 0")
    browser.screenshot(folder / "serve-compare.png")
    screen(browser, 390, 844)
    ask(browser, search)
    browser.run(EXPLAINED)
    browser.wait("return !document.querySelector('#panel').hidden")
    browser.screenshot(folder / "serve-narrow.png")


def of_the_site(browser: Browser, url: str, folder: Path) -> None:
    """The search that the plugin of MkDocs made, and a page that leads to it."""
    screen(browser, 1000, 640)
    ask(browser, f"{url}/search/index.html?q=what+a+killed+writer+leaves")
    browser.screenshot(folder / "static-site.png")
    browser.open(f"{url}/static/")
    browser.run("document.querySelector('form[role=search]').scrollIntoView()")
    browser.screenshot(folder / "mkdocs-page.png")


def main(learned: str, words: str, site: str, folder: str) -> None:
    """Take all."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=site)
    indexes = {"documentation": Path(learned), "words": Path(words)}
    with Browser() as browser, ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        with running(ServeSettings(indexes=indexes)) as server:
            of_the_service(browser, server.url, Path(folder))
        of_the_site(browser, f"http://127.0.0.1:{host.server_port}", Path(folder))
        host.shutdown()
        print(browser.complaints())


if __name__ == "__main__":
    main(*sys.argv[1:])
