"""The card of a model that is given away: what it is, what it learnt from, what it reaches, under which licence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparseir.config.loader import to_yaml
from sparseir.config.recipe import Recipe
from sparseir.errors import DataError
from sparseir.models.encoder import SparseEncoder


def model_card(
    encoder: SparseEncoder,
    recipe: Recipe | None,
    *,
    name: str,
    license: str,
    description: str = "",
    data: Sequence[str] = (),
    figures: Sequence[Mapping[str, Any]] = (),
    training: Mapping[str, float] | None = None,
) -> str:
    """Markdown with the head that model hubs read.

    Paths of the machine it was trained on are cut to the names of files.

    Parameters
    ----------
    encoder : the model. recipe : it was trained with; None where it came from elsewhere.
    name, license : of the wheel. description : a line in the place of the kind's.
    data : a line on each source of texts, in place of the recipe's names of collections.
    figures : rows of an evaluation. training : what the run said at its end.
    """
    base = Path(encoder.config.base if recipe is None else recipe.model.base).name
    about = description or f"Maps a text to weights over {encoder.num_terms:,} terms ({encoder.kind})."
    queries = (
        "Queries are looked up in a table: no model runs at query time."
        if encoder.query_table is not None
        else "Queries are read by the network."
    )
    sections = [
        f"---\nlicense: {license.lower()}\nlibrary_name: sparseir\npipeline_tag: feature-extraction\n"
        f"tags: [sparse-encoder, learned-sparse-retrieval, {encoder.kind}]\nbase_model: {base}\n---",
        f"# {name}\n\n{about} The score of a document for a query is the inner product of their vectors. {queries}",
        f"## Licence\n\n{license}",
        f"## Training data\n\n{_training_data(recipe, data)}",
        f"## Measures\n\n{_measures(figures, training or {})}",
        f"## Use\n\n    sparseir index build my-index --model {name} --corpus corpus.jsonl\n"
        f'    sparseir search my-index "what you are looking for"'
        f"{'' if encoder.query_table is not None else f' --model {name}'}",
    ]
    if recipe is not None:
        sections.append(f"## Recipe\n\n```yaml\n{_without_folders(to_yaml(recipe)).strip()}\n```")
    return "\n\n".join(sections) + "\n"


def _training_data(recipe: Recipe | None, data: Sequence[str]) -> str:
    lines = list(data)
    if recipe is None:
        return "\n".join(f"- {line}" for line in lines) or "Not stated by whoever packed it."
    if not lines:
        sources = [*recipe.data.datasets, *recipe.data.vectors, recipe.data.triples, recipe.data.prepared]
        lines = [Path(source).name for source in sources if source]
    lines.append(f"starting weights: {Path(recipe.model.base).name}")
    if recipe.train.start_from is not None:
        lines.append(f"a model trained before: {Path(recipe.train.start_from).name}")
    lines += [f"teacher: {teacher.rpartition('/')[2]}" for teacher in recipe.loss.teachers]
    terms = recipe.data.terms_of_use or "The terms of use of base, texts and teachers hold for these weights as well."
    return "\n".join(f"- {line}" for line in lines) + f"\n\n{terms}"


def _measures(figures: Sequence[Mapping[str, Any]], training: Mapping[str, float]) -> str:
    parts = []
    if figures:
        names = list(dict.fromkeys(name for row in figures for name in row["measures"]))
        head = f"| collection | system | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}\n"
        rows = [
            f"| {_cell(row['dataset'])} | {_cell(row['system'])} | "
            + " | ".join(f"{row['measures'][n]:.4f}" if n in row["measures"] else "–" for n in names)
            for row in figures
        ]
        parts.append(head + "\n".join(f"{row} |" for row in rows))
    if training:
        rows = [f"| {name} | {value:.4g} |" for name, value in training.items()]
        parts.append("At the end of training:\n\n| figure | value |\n|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts) or "None were given."


def check_figures(rows: Any, path: Path) -> list[Mapping[str, Any]]:
    """The rows of a file of `sparseir evaluate --output`.

    Raises
    ------
    DataError : no rows, or other ones.
    """
    right = isinstance(rows, list) and all(
        isinstance(row, dict)
        and isinstance(row.get("dataset"), str)
        and isinstance(row.get("system"), str)
        and isinstance(row.get("measures"), dict)
        and all(isinstance(v, int | float) for v in row["measures"].values())
        for row in rows
    )
    if not right or not rows:
        raise DataError(
            "not the figures of an evaluation; sparseir evaluate MODEL DATASET --output FILE writes them", path=path
        )
    found: list[Mapping[str, Any]] = rows
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _without_folders(recipe: str) -> str:
    """Paths as their last part: where the files were says nothing to others, and something about the machine."""
    return re.sub(r"(?<![\w:])(?:\.{1,2}|~)?/(?:[^\s/'\"]+/)*([^\s/'\"]+)", r"\1", recipe)
