"""Files that keep the figures of a cell, or of the baselines, from one run of a grid to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexer.interchange.jsonl.text import json_value
from sparseir.ablate.summary import COSTS
from sparseir.config.ablation import Ablation
from sparseir.config.loader import to_mapping
from sparseir.errors import DataError

_FORMAT = "sparseir-cell-1"
_NEEDED = frozenset(
    {"system", "dataset", "split", "group", "measures", "per_query", "num_documents", "num_queries", *COSTS}
)
"""What summaries read of a row."""

Rows = list[dict[str, Any]]


def read_rows(path: Path, settings: Mapping[str, Any]) -> dict[str, Rows]:
    """Collection as given → a row for each of its parts and systems: `SystemResult.as_json` and "per_query"; empty where
    there is no file, or one of other settings.

    Raises
    ------
    DataError : the file cannot be read.
    """
    if not path.exists():
        return {}
    try:
        found = json_value(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise ValueError(f"expected an object of format {_FORMAT}")
        datasets = found.get("datasets") if found.get("settings") == settings else {}
        if not isinstance(datasets, dict) or not all(map(_are_rows, datasets.values())):
            raise ValueError("its figures are not whole")
    except (OSError, ValueError) as error:
        raise DataError(f"not the results of a cell ({error}); remove it to evaluate again", path=path) from error
    return datasets


def write_rows(path: Path, settings: Mapping[str, Any], datasets: Mapping[str, Rows], about: Mapping[str, Any]) -> None:
    """Replace the file.

    Parameters
    ----------
    about : further keys, for a person: which cell it is, and how its training ended.
    """
    body = {"format": _FORMAT, "settings": settings, **about, "datasets": datasets}
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def settings_of(ablation: Ablation, *, baselines: bool = False) -> dict[str, Any]:
    """What figures depend on beside the model and the collection."""
    beside: dict[str, Any] = {
        "lexical": None if ablation.lexical is None else to_mapping(ablation.lexical),
        "feedback": ablation.feedback,
        "fit": ablation.fit,
    }
    if baselines:
        beside["baselines"] = sorted(ablation.baselines)
    else:
        beside |= {"idf": ablation.idf, "max_active_dims": ablation.max_active_dims}
    asked = {name: value for name, value in beside.items() if value is not None}
    return {"split": ablation.split, "measures": list(ablation.measures), **asked}


def _are_rows(rows: Any) -> bool:
    return isinstance(rows, list) and bool(rows) and all(isinstance(r, dict) and r.keys() >= _NEEDED for r in rows)
