"""`sparseir inspect`: what an encoder makes of a text, as bars."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments
from sparseir.cli.options.flags import Device, Untrained

if TYPE_CHECKING:
    from sparseir.encode.expansion import ExpandedTerm, Expansion

_WIDTH = 40
_COLOURS = {True: "\x1b[33m", False: "\x1b[36m", None: "\x1b[36m"}
_PLAIN = "\x1b[0m"
_BLOCKS, _FALLBACK = ("█", "░"), ("#", "-")


def inspect_command(
    model: Annotated[str, arguments.Argument(help="Model folder or hub id.")],
    text: Annotated[str, arguments.Argument(help="A text; - reads it from standard input.")],
    query: Annotated[bool, arguments.Option("--query", help="Encode it as a query, not as a document.")] = False,
    top: Annotated[int, arguments.Option(min=0, help="Terms shown, the heaviest first; 0 for all.")] = 40,
    html: Annotated[Path | None, arguments.Option(help="Write a page to this file, with everything in it.")] = None,
    device: Device = "auto",
    untrained: Untrained = False,
    overwrite: Annotated[bool, arguments.Option("--overwrite", help="Replace a page that stands there.")] = False,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object, with every term.")] = False,
) -> None:
    """Show the terms that an encoder gives a text: its own words, and (marked +) those it added.

    examples:
      sparseir inspect model "side effects of vaccines"
      sparseir inspect model "side effects of vaccines" --query --json
    """
    from sparseir.cli.options.encoders import load_encoder
    from sparseir.cli.output.console import emit_json, note
    from sparseir.cli.output.places import check_output
    from sparseir.encode.expansion import expand

    if html is not None:
        check_output(html, overwrite=overwrite)
    given = sys.stdin.read() if text == "-" else text
    if not given.strip():
        raise arguments.BadParameter("TEXT is empty; expected a text to encode")
    expansion = expand(load_encoder(model, device, untrained=untrained), given, query=query)
    if html is not None:
        html.write_text(_page(model, expansion), encoding="utf-8")
        note(f"{html}: {_summary(expansion)}")
    if json:
        emit_json({"model": model, **expansion.as_json()})
    elif html is None:
        print(f"{model}: {_summary(expansion)}")
        for line in _lines(expansion, top or len(expansion.terms)):
            print(line)


def _summary(expansion: Expansion) -> str:
    from sparseir.cli.output.console import counted

    terms = expansion.terms
    said = f"{expansion.side} of {counted(expansion.pieces, 'word piece')} → {counted(len(terms), 'term')}"
    if terms and terms[0].in_text is not None:
        said += f", {expansion.own} its own, {len(terms) - expansion.own} added (+)"
    return said + (f"; weights {terms[0].weight:.3g} to {terms[-1].weight:.3g}" if terms else "")


def _lines(expansion: Expansion, top: int) -> list[str]:
    """One line a term: mark, term, weight, bar."""
    shown = expansion.terms[:top]
    blocks = _BLOCKS if (sys.stdout.encoding or "").lower().startswith("utf") else _FALLBACK
    wide = max((len(_printable(term.term)) for term in shown), default=0)
    lines = [_line(term, shown[0].weight, wide, blocks) for term in shown]
    if len(expansion.terms) > top:
        lines.append(f"… {len(expansion.terms) - top:,} more terms; --top 0 shows all")
    if expansion.unweighted:
        lines.append(f"without a weight: {', '.join(map(_printable, expansion.unweighted))}")
    return lines


def _line(term: ExpandedTerm, heaviest: float, wide: int, blocks: tuple[str, str]) -> str:
    bar = blocks[0 if term.in_text else 1] * max(1, round(_WIDTH * term.weight / heaviest))
    if sys.stdout.isatty():
        bar = f"{_COLOURS[term.in_text]}{bar}{_PLAIN}"
    mark = "+" if term.in_text is False else " "
    return f"{mark} {_printable(term.term):{wide}}  {term.weight:7.3f}  {bar}"


def _printable(term: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in term)


def _page(model: str, expansion: Expansion) -> str:
    from sparseir.cli.output.html import Bar, bars, page, paragraph

    rows = [Bar(t.term, f"{t.weight:.3f}", t.weight, "own" if t.in_text else "added") for t in expansion.terms]
    body = [
        paragraph(expansion.text, "blockquote"),
        paragraph(_summary(expansion)),
        '<p class="note"><span class="key own"></span>in the text<span class="key added"></span>added by the encoder</p>',
        bars("weights of the terms, heaviest first", rows),
    ]
    if expansion.unweighted:
        body.append(paragraph(f"Words of the text without a weight: {', '.join(expansion.unweighted)}"))
    return page(f"{Path(model).name}: a {expansion.side}", body)
