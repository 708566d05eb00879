"""Pages in one file: styles and plots are inside, nothing is loaded, so that a page can be mailed or kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

_STYLE = """
:root { --ground: #fbfbfa; --text: #1b1f24; --quiet: #5a6370; --line: #dfe3e8; --own: #f0a020; --added: #4a9fdc; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --text: #e6e9ed; --quiet: #a0a9b5; --line: #323943; --own: #c98008; --added: #2f7fba; } }
body { margin: 2rem auto; max-width: 860px; padding: 0 20px; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.note { color: var(--quiet); } blockquote { margin: 1rem 0; padding-left: 1rem; border-left: 3px solid var(--line); white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; } th, td { padding: 2px 14px 2px 0; text-align: right; font-variant-numeric: tabular-nums; } th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; } svg text { fill: var(--text); font: 12px system-ui, sans-serif; } svg .quiet { fill: var(--quiet); }
.own { fill: var(--own); background: var(--own); } .added { fill: var(--added); background: var(--added); }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em; border-radius: 2px; }
"""
_WIDTH, _ROW, _PLOT_HEIGHT = 820, 20, 220


class Bar(NamedTuple):
    """label, what stands at its end, length 0 or more, class of its colour ("own" or "added")."""

    label: str
    value: str
    length: float
    kind: str = "added"


def page(title: str, body: Iterable[str]) -> str:
    """A whole HTML page.

    Parameters
    ----------
    title : as text. body : pieces of HTML.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def paragraph(text: str, tag: str = "p") -> str:
    """A text in an element."""
    return f"<{tag}>{escape(text)}</{tag}>"


def bars(title: str, rows: Sequence[Bar]) -> str:
    """One horizontal bar a row, as SVG."""
    longest = max((row.length for row in rows), default=0.0) or 1.0
    left, room = 190, _WIDTH - 190 - 90
    drawn = []
    for place, row in enumerate(rows):
        top, width = place * _ROW, max(1.0, room * row.length / longest)
        drawn.append(
            f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{escape(_short(row.label))}</text>'
            f'<rect class="{row.kind}" x="{left}" y="{top + 3}" width="{width:.1f}" height="14" rx="2"/>'
            f'<text class="quiet" x="{left + width + 6:.1f}" y="{top + 14}">{escape(row.value)}</text>'
        )
    return _svg(title, max(1, len(rows)) * _ROW, drawn)


def columns(title: str, rows: Sequence[tuple[int, int]], unit: str) -> str:
    """A histogram as SVG: (lower bound, count) a column.

    Parameters
    ----------
    unit : what the axis counts from left to right.
    """
    most = max((count for _, count in rows), default=0) or 1
    step = (_WIDTH - 20) / max(1, len(rows))
    drawn = []
    for place, (low, count) in enumerate(rows):
        height = _PLOT_HEIGHT * count / most
        left, middle = 10 + place * step, 10 + (place + 0.5) * step
        drawn.append(
            f'<rect class="added" x="{left + 2:.1f}" y="{20 + _PLOT_HEIGHT - height:.1f}" width="{step - 4:.1f}" '
            f'height="{height:.1f}"><title>at least {low}: {count:,}</title></rect>'
            f'<text class="quiet" x="{middle:.1f}" y="{14 + _PLOT_HEIGHT - height:.1f}" text-anchor="middle">{_count(count)}</text>'
            f'<text x="{middle:.1f}" y="{_PLOT_HEIGHT + 36}" text-anchor="middle">{_count(low)}</text>'
        )
    drawn.append(f'<text class="quiet" x="10" y="{_PLOT_HEIGHT + 54}">{escape(unit)}, at least</text>')
    return _svg(title, _PLOT_HEIGHT + 60, drawn)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text."""
    head = "".join(paragraph(name, "th") for name in header)
    lines = "\n".join("<tr>" + "".join(paragraph(cell, "td") for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{lines}\n</table>"


def _svg(title: str, height: int, drawn: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return head + "\n" + "\n".join(drawn) + "\n</svg>"


def _short(text: str) -> str:
    return text if len(text) <= 24 else text[:23] + "…"


def _count(number: int) -> str:
    """12, 3.4k, 56k, 7.8M: room for seven characters."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)
