"""A hit on one line of a terminal, with the words of the query in bold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WORD = re.compile(r"\w+")
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_BEFORE = 30
"""Characters shown before the first word of the query, where the beginning holds none."""


def highlighted(stored: Mapping[str, Any], query: str, width: int) -> str:
    """Title and the part of the text around the first word of the query; what control characters it has are taken out.

    Parameters
    ----------
    width : characters shown. Words match by their English stems, in any case.
    """
    title, text = (_plain(stored.get(name)) for name in ("title", "text"))
    wanted = _stems(query)
    room = max(20, width - (len(title) + 3 if title else 0))
    first = next((m.start() for m in _WORD.finditer(text) if _stems(m[0]) & wanted), 0)
    start = 0 if first < room // 2 else max(0, first - _BEFORE)
    part = ("…" if start else "") + text[start:]
    line = " · ".join(p for p in (title, part) if p)
    line = line if len(line) <= width else line[: width - 1] + "…"
    return _WORD.sub(lambda m: f"{_BOLD}{m[0]}{_PLAIN}" if _stems(m[0]) & wanted else m[0], line)


def _plain(value: Any) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in str(value or "")).split())


def _stems(text: str) -> set[str]:
    import Stemmer

    return set(Stemmer.Stemmer("english").stemWords(_WORD.findall(text.casefold())))
