"""Indexes of passages: windows over long texts, each a row of its own, named DOCUMENT#NUMBER.

What an index of passages is, is in its query side (windows.json). Searches group the rows by document: the best passage
of each counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.interchange.jsonl.text import json_value
from sparseir.errors import ConfigError, DataError

WINDOWS_FILE = "windows.json"


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows over a text.

    size : word pieces of the model a passage holds, or words where there is no model. step : from one to the next.
    """

    size: int
    step: int

    def __post_init__(self) -> None:
        if not 1 <= self.step <= self.size:
            raise ConfigError(f"windows {self.size}/{self.step}: expected SIZE/STEP with 1 ≤ STEP ≤ SIZE, e.g. 128/64")

    def __str__(self) -> str:
        return f"{self.size}/{self.step}"

    @classmethod
    def parse(cls, text: str) -> Windows:
        """`SIZE/STEP`.

        Raises
        ------
        ConfigError : anything else.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if match is None:
            raise ConfigError(f"windows {text!r}: expected SIZE/STEP with 1 ≤ STEP ≤ SIZE, e.g. 128/64")
        return cls(int(match[1]), int(match[2]))

    def save(self, folder: str | Path) -> None:
        """Write windows.json into a query side."""
        (Path(folder) / WINDOWS_FILE).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def windows_of(index: Index) -> Windows | None:
    """The windows of an index of passages; None for one of documents.

    Raises
    ------
    DataError : its windows.json is damaged.
    """
    if index.query_files is None or WINDOWS_FILE not in index.query_files:
        return None
    try:
        content = json_value(index.query_files.read(WINDOWS_FILE, 1 << 20).decode())
        return Windows(int(content["size"]), int(content["step"]))
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise DataError(f"the windows are damaged: {error!r}", path=index.query_files.path / WINDOWS_FILE) from error


def passage_name(docno: str, number: int) -> str:
    """Name of a passage, counted from 0."""
    return f"{docno}#{number}"


def document_of(passage: str) -> str:
    """Name of the document of a passage."""
    return passage.rpartition("#")[0]


def passages_of(index: Index, docnos: Sequence[str]) -> list[list[str]]:
    """Names of the live passages of each document; of a name that no document has, none."""
    found: list[list[str]] = [[] for _ in docnos]
    open_ones = list(range(len(docnos)))
    number = 0
    while open_ones:  # a document is added and deleted whole, so its passages count up without gaps
        names = [passage_name(docnos[i], number) for i in open_ones]
        there = index.ordinals(names) >= 0
        for i, name, is_there in zip(open_ones, names, there.tolist(), strict=True):
            if is_there:
                found[i].append(name)
        open_ones = [i for i, is_there in zip(open_ones, there.tolist(), strict=True) if is_there]
        number += 1
    return found


def rows_of(index: Index, docnos: Sequence[str]) -> NDArray[np.int64]:
    """Ordinals of documents by name; of their passages, in an index of these. Unknown names give none, or -1."""
    if windows_of(index) is None:
        return index.ordinals(docnos)
    return index.ordinals([name for names in passages_of(index, docnos) for name in names])
