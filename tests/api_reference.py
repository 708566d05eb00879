"""The API reference: pages made of docstrings by pdoc, with the parameters of this house's docstrings as lists.

    python -m tests.api_reference build/docs        # `make docs`

numpydoc has one name a line with its type; here types are in the signature, and several names may share a line:

    path : the folder. k : most hits.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MODULES = [
    "sparseir", "sparseir.config.recipe", "sparseir.data", "sparseir.data.corpus.fields", "sparseir.errors",
    "sparseir.evaluate.adapters", "sparseir.models", "sparseir.search.approximate", "sparseir.search.engines",
    "sparseir.search.gpu", "sparseir.search.query_encoder", "sparseir.search.results", "sparseir.terrier",
    "indexer", "indexer.errors", "indexer.interchange", "indexer.interchange.export", "indexer.interchange.stores",
]  # fmt: skip
"""What programs import, and what the pages of docs/ name."""

_RULE = re.compile(r"-{3,}")
_ENTRY = re.compile(r"(?:^|(?<=[.;] ))([a-zA-Z_]\w*(?:, [a-zA-Z_]\w*)*) : ")


def markdown(docstring: str) -> str:
    """A docstring with its sections as headings, and the entries of these as lists."""
    lines = docstring.splitlines()
    out: list[str] = []
    place = 0
    while place < len(lines):
        if place + 1 < len(lines) and lines[place].strip() and _RULE.fullmatch(lines[place + 1].strip()):
            end = _end_of_section(lines, place + 2)
            out += ["", f"###### {lines[place].strip()}", "", *entries(lines[place + 2 : end]), ""]
            place = end
        else:
            out.append(lines[place])
            place += 1
    return "\n".join(out)


def _end_of_section(lines: list[str], start: int) -> int:
    """Where the next section begins, or a paragraph that begins like none of its entries."""
    for place in range(start, len(lines)):
        if place + 1 < len(lines) and _RULE.fullmatch(lines[place + 1].strip()):
            return place
    return len(lines)


def entries(lines: list[str]) -> list[str]:
    """The lines of a section as a list, one item a name or names; text before the first name stays as it is."""
    out: list[str] = []
    for paragraph in "\n".join(lines).strip().split("\n\n"):
        texts = [" ".join(part.split()) for part in re.split(r"\n(?=\S)", paragraph)]
        joined: list[str] = []
        for text in texts:  # lines that go on without an entry of their own belong to the one before
            if joined and not _ENTRY.match(text):
                joined[-1] = f"{joined[-1]} {text}"
            else:
                joined.append(text)
        for text in joined:
            pieces = _ENTRY.split(text)
            out += [pieces[0].strip()] if pieces[0].strip() else []
            out += [f"- **{name}**: {said.strip()}" for name, said in zip(pieces[1::2], pieces[2::2], strict=True)]
        out.append("")
    return out[:-1]


def main() -> None:
    """Write the pages into the folder that is named."""
    import pdoc
    from pdoc import docstrings, render

    docstrings.numpy = markdown
    render.configure(docformat="numpy", include_undocumented=False)
    folder = Path(sys.argv[1])
    pdoc.pdoc(*MODULES, output_directory=folder)
    print(folder / "index.html")


if __name__ == "__main__":
    main()
