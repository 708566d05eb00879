"""A plugin for MkDocs: the built site gets a search of its own pages, which needs no server."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from sparseir.data.corpus.texts import html_sections
from sparseir.errors import MissingExtraError, SparseIRError
from sparseir.static.documentation import Section, write_search

try:
    from mkdocs.config import base, config_options
    from mkdocs.exceptions import PluginError
    from mkdocs.plugins import BasePlugin, get_plugin_logger
    from mkdocs.utils import get_relative_url
except ModuleNotFoundError as error:
    raise MissingExtraError("mkdocs", "mkdocs", __name__) from error

_BOX = (
    '<form action="{address}" role="search" style="position:fixed;right:16px;bottom:16px;z-index:1000">'
    '<input type="search" name="q" placeholder="Search {name}" aria-label="Search {name}" style="padding:6px 12px;'
    'border:1px solid #8a94a0;border-radius:8px;background:#fff;color:#1b1f24;box-shadow:0 2px 8px rgb(0 0 0/20%)"></form>'
)


class PluginConfig(base.Config):
    """What mkdocs.yml may say of the plugin.

    Attributes
    ----------
    folder : of the search in the built site. box : put a field for a query on every page. language : of the stemmer.
    """

    folder = config_options.Type(str, default="search")
    box = config_options.Type(bool, default=True)
    language = config_options.Type(str, default="english")


class SparseIRPlugin(BasePlugin[PluginConfig]):
    """Indexes the headings and texts of all pages when a site is built.

    plugins:
      - sparseir
    """

    def on_pre_build(self, **_: Any) -> None:
        """Begin anew: `mkdocs serve` builds many times."""
        self._sections: list[Section] = []

    def on_page_content(self, content: str, /, *, page: Any, **_: Any) -> None:
        """Take the parts of a page, as the theme will frame them."""
        for part in html_sections(content):
            address = f"{page.url}#{part.anchor}" if part.anchor else page.url
            self._sections.append(Section(address, page.title or page.url, part.heading, part.text))

    def on_post_page(self, output: str, /, *, page: Any, config: Any) -> str:
        """Put the field for a query on the page."""
        before, body, after = output.rpartition("</body>")
        if not self.config.box or not body:
            return output
        address = get_relative_url(f"{self.config.folder}/index.html", page.url)
        box = _BOX.format(address=html.escape(address), name=html.escape(config.site_name))
        return f"{before}{box}{body}{after}"

    def on_post_build(self, *, config: Any) -> None:
        """Write the search beside the pages."""
        try:
            done = write_search(
                Path(config.site_dir),
                self.config.folder,
                self._sections,
                name=config.site_name,
                language=self.config.language,
            )
        except SparseIRError as error:
            raise PluginError(f"sparseir: {error}") from None
        sizes = f"{done.documents} parts of pages, {done.bytes / 1e3:,.0f} kB"
        get_plugin_logger(__name__).info(f"Search of the site in {self.config.folder}/: {sizes}")
