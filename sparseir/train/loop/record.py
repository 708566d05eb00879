"""`training.json`: how far the run in a folder got, and what ended it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from indexer.interchange.jsonl.text import json_value
from sparseir.errors import DataError
from sparseir.models.folder import CONFIG_FILE

_FILE, _FORMAT = "training.json", "sparseir-run-1"

Ended = Literal["steps", "time", "early_stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A finished run.

    Parameters
    ----------
    ended : what ended it: the last of its steps, train.max_minutes, or train.early_stop.
    steps, minutes : optimiser steps and minutes it took, over all parts.
    figures : of its last batch and best evaluation.
    """

    ended: Ended
    steps: int
    minutes: float
    figures: Mapping[str, float] = field(default_factory=dict)


def write_running(folder: Path) -> None:
    """Say that a run is under way; a finished model that stands there is one to go on from."""
    _write(folder, {"finished": False})


def write_finished(folder: Path, record: RunRecord) -> None:
    """Say that the model in the folder is finished; the last file a run writes."""
    _write(folder, {"finished": True, **asdict(record)})


def read_finished(folder: Path) -> RunRecord | None:
    """The run that made the model in a folder; None where it has not come to its end.

    Raises
    ------
    DataError : a record that cannot be read.
    """
    path = folder / _FILE
    if not path.exists():  # a run of a version without the record: it wrote the model's description last but one
        finished = (folder / CONFIG_FILE).exists()
        return RunRecord(ended="steps", steps=_newest_step(folder), minutes=0.0) if finished else None
    try:
        found = json_value(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("format") != _FORMAT or type(found.get("finished")) is not bool:
            raise ValueError(f"expected an object of format {_FORMAT}")
        if not found["finished"]:
            return None
        if found["ended"] not in get_args(Ended):
            raise ValueError(f"ended by {str(found['ended'])[:40]!r}")
        figures = {str(name): float(value) for name, value in dict(found["figures"]).items()}
        return RunRecord(
            ended=found["ended"], steps=int(found["steps"]), minutes=float(found["minutes"]), figures=figures
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(
            f"not the record of a run ({error}); remove it to go on from the newest checkpoint", path=path
        ) from error


def _newest_step(folder: Path) -> int:
    numbers = [path.name.rpartition("-")[2] for path in (folder / "checkpoints").glob("checkpoint-*")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _write(folder: Path, content: dict[str, Any]) -> None:
    partial = folder / f".{_FILE}.{os.getpid()}"
    partial.write_text(json.dumps({"format": _FORMAT, **content}, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / _FILE)
