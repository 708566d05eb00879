"""An extension for Sphinx: the built site gets a search of its own pages, which needs no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparseir import __version__
from sparseir.errors import MissingExtraError, SparseIRError
from sparseir.static.documentation import Section, write_search

try:
    from docutils import nodes
    from sphinx.errors import ExtensionError
    from sphinx.util import logging
except ModuleNotFoundError as error:
    raise MissingExtraError("sphinx", "sphinx", __name__) from error

_UNSEEN = (nodes.comment, nodes.raw, nodes.substitution_definition)
_FORWARD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Search</title>'
    '<script>location.replace("{address}" + location.search)</script>'
    '<body><a href="{address}">Search</a></body></html>\n'
)


def setup(app: Any) -> dict[str, Any]:
    """What Sphinx calls for `extensions = ["sparseir.integrations.sphinx"]` in conf.py.

    Settings there: `sparseir_folder`, the folder of the search in the built site ("search"); `sparseir_language`, of the
    stemmer ("english"). The search fields of all themes lead to it.

    Parameters
    ----------
    app : the Sphinx application.
    """
    app.add_config_value("sparseir_folder", "search", "html", [str])
    app.add_config_value("sparseir_language", "english", "html", [str])
    app.connect("build-finished", _write)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}


def _write(app: Any, failure: Exception | None) -> None:
    if failure is not None or app.builder.name not in ("html", "dirhtml"):
        return
    site, folder = Path(app.outdir), app.config.sparseir_folder
    sections = [part for docname in sorted(app.env.found_docs) for part in _sections(app, docname)]
    try:
        done = write_search(site, folder, sections, name=app.config.html_title, language=app.config.sparseir_language)
    except SparseIRError as error:
        raise ExtensionError(f"sparseir: {error}") from None
    # Every theme's search field asks the page called search, which dirhtml has where our folder may be.
    searched = site / (
        f"search/index{app.builder.out_suffix}" if app.builder.name == "dirhtml" else f"search{app.builder.out_suffix}"
    )
    ours = site / folder / "index.html"
    if searched != ours and searched.exists():
        above = "../" * (len(searched.relative_to(site).parts) - 1)
        searched.write_text(_FORWARD.format(address=f"{above}{folder}/index.html"), encoding="utf-8")
    sizes = f"{done.documents} parts of pages, {done.bytes / 1e3:,.0f} kB"
    logging.getLogger(__name__).info(f"search of the site in {folder}/: {sizes}")


def _sections(app: Any, docname: str) -> Iterator[Section]:
    """The sections of a page, of the source as it was read: pages that did not change are not written again."""
    document = app.env.get_doctree(docname)
    for unseen in [node for node in document.findall() if isinstance(node, _UNSEEN)]:
        unseen.parent.remove(unseen)
    address = app.builder.get_target_uri(docname)
    page = app.env.titles[docname].astext()
    for section in [document, *document.findall(nodes.section)]:
        inner = [node for node in section.children if not isinstance(node, nodes.section | nodes.title)]
        text = "\n".join(filter(None, (node.astext().strip() for node in inner)))
        heading = next((node.astext() for node in section.children if isinstance(node, nodes.title)), "")
        if text or heading:
            anchor = f"#{section['ids'][0]}" if isinstance(section, nodes.section) and section["ids"] else ""
            yield Section(f"{address}{anchor}", page, heading, text)
