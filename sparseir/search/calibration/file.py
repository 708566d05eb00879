"""Calibrations kept in a file beside the index, for as long as the index does not change."""

from __future__ import annotations

import contextlib
import json
import math
import os
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from indexer import Index
from indexer.errors import IndexFormatError, SparseIRError
from indexer.format import files
from sparseir.search.calibration.calibration import FACTORS, Calibration
from sparseir.search.cpu import Knobs

VERSION = 1
_LARGEST = 16 << 20


class CalibrationFile:
    """The file `NAME.calibrations.json` beside an index folder NAME.

    It holds calibrations of one committed state of the index: after an add, a delete or a compaction they are void. A file
    that cannot be read counts as empty, and one that cannot be written is left as it is: the next process calibrates again.
    """

    def __init__(self, index: Index, *, write: bool = True) -> None:
        folder = index.path.resolve()
        self.path: Path = folder.with_name(folder.name + ".calibrations.json")
        self._state = f"{index.generation}-{zlib.crc32(index.manifest.to_bytes()):08x}"
        self._write = write

    def get(self, target: float, k: int, max_blocks: int, source: str) -> Calibration | None:
        """The calibration kept for this target, k, limit and source, or None."""
        raw = self._entries().get(_key(target, k, max_blocks, source))
        if raw is None:
            return None
        try:
            knobs = None if raw["knobs"] is None else Knobs(**raw["knobs"])
            kept = Calibration(**{**raw, "knobs": knobs})
        except (TypeError, KeyError):
            return None
        return kept if _usable(kept) and (kept.target, kept.k, kept.source) == (target, k, source) else None

    def put(self, calibration: Calibration, max_blocks: int) -> None:
        """Keep a calibration in the place of the one for the same target, k and limit."""
        if not self._write:
            return
        key = _key(calibration.target, calibration.k, max_blocks, calibration.source)
        entries = self._entries() | {key: asdict(calibration)}
        body = {"version": VERSION, "state": self._state, "calibrations": entries}
        scratch = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with contextlib.suppress(OSError, SparseIRError):
            scratch.unlink(missing_ok=True)
            with files.created(scratch) as descriptor:
                files.write(descriptor, json.dumps(body, indent=1).encode() + b"\n", 0)
            scratch.replace(self.path)

    def _entries(self) -> dict[str, Any]:
        try:
            body = json.loads(files.read_regular(self.path, _LARGEST))
        except (OSError, IndexFormatError, ValueError, RecursionError):
            return {}
        if not isinstance(body, dict) or (body.get("version"), body.get("state")) != (VERSION, self._state):
            return {}
        entries = body.get("calibrations")
        return entries if isinstance(entries, dict) else {}


def _usable(kept: Calibration) -> bool:
    """Whether every number is one that a calibration can come to: the file is beside the index, and anybody's to change."""
    shares = (kept.target, kept.recall, kept.recall_bound, kept.time_ratio)
    counts = (kept.num_queries, kept.num_tuned)
    if not all(type(x) in (int, float) and 0 <= x < math.inf for x in shares):
        return False
    if not all(type(n) is int and 0 <= n < 1 << 32 for n in counts):
        return False
    knobs = kept.knobs
    return knobs is None or (
        all(type(x) in (int, float) for x in (knobs.bound_factor, knobs.bound_mass))
        and 1 <= knobs.bound_factor <= FACTORS[-1]
        and 0 < knobs.bound_mass <= 1
        and type(knobs.max_blocks) is int
        and 0 <= knobs.max_blocks < 1 << 31
    )


def _key(target: float, k: int, max_blocks: int, source: str) -> str:
    return f"recall {target!r}, k {k}, blocks {max_blocks}, {source}"
