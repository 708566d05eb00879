"""The cells of a grid on disk: each is trained, evaluated and kept, and what is kept is not done again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from indexer.errors import LockedError
from indexer.format.lock import write_lock
from indexer.interchange.jsonl.text import json_value
from indexer.progress import Progress, silent
from sparseir.ablate.summary import Finished
from sparseir.config.ablation import MODEL, Ablation, Cell
from sparseir.config.lexical import LexicalConfig
from sparseir.config.loader import to_mapping
from sparseir.config.recipes import RECIPE_FILE
from sparseir.data import open_dataset
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.evaluate.evaluation import Evaluation
from sparseir.evaluate.measures import check_measures
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.systems.embeddings import SharedEmbeddings
from sparseir.lexical.analysis import check_language
from sparseir.search.feedback.options import Feedback

RESULTS_FILE = "results.json"
BASELINES_FILE = "baselines.json"
_FORMAT = "sparseir-cell-1"

State = Literal["finished", "begun", "new"]

logger = logging.getLogger(__name__)


class AblationRun:
    """A grid and the folder its cells are kept in: cells/<name>/model, cells/<name>/results.json and baselines.json.

    Everything that can be wrong with the grid and its collections is found when one is made.

    Parameters
    ----------
    ablation : the grid. folder : made when the first cell runs.
    data_dir : where names of collections to evaluate on are looked for.

    Attributes
    ----------
    faults : cell name → why it failed. The others go on.

    Raises
    ------
    SparseIRError : measures that cannot be computed, a collection that is not there or has no such judgements, a
        training collection that cannot be opened, a file where the folder should be.
    """

    def __init__(self, ablation: Ablation, folder: Path, *, data_dir: Path | None = None) -> None:
        self.ablation, self.folder, self.faults = ablation, folder, dict[str, str]()
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; name a folder for the cells")
        channel = ablation.lexical
        self._options = EvaluationOptions(
            split=ablation.split,
            measures=ablation.measures,
            baselines=(),
            lexical=channel is not None,
            channel=channel or LexicalConfig(),
            feedback=None if ablation.feedback is None else Feedback(documents=ablation.feedback),
            fit=ablation.fit,
            corpus_idf=ablation.idf == "corpus",
            max_active_dims=ablation.max_active_dims,
            data_dir=data_dir,
        )
        check_measures(ablation.measures)
        check_language(self._options.channel.language)
        # What is wrong with collections and options shows without a model, beside BM25 where the grid has no baseline.
        named = ablation.baselines or ("bm25",)
        Evaluation([], ablation.datasets, replace(self._options, baselines=named))
        self._embeddings: SharedEmbeddings = {}
        self._check_training()

    def _check_training(self) -> None:
        """What the recipes learn from can be opened, and has the split."""
        needed = {(name, c.recipe.data) for c in self.ablation.cells for name in c.recipe.data.datasets}
        for name, data in sorted(needed, key=lambda pair: pair[0]):
            dataset = open_dataset(name, data.data_dir)
            if data.split:
                dataset.check_judged(data.split)

    def cell_folder(self, cell: Cell) -> Path:
        """Where all of a cell is."""
        return self.folder / "cells" / cell.name

    def state(self, cell: Cell) -> State:
        """Whether all results of a cell are there, or something of it is.

        Raises
        ------
        DataError : its results cannot be read.
        """
        if set(self.ablation.datasets) <= set(self.results(cell)):
            return "finished"
        return "begun" if (self.cell_folder(cell) / "model" / RECIPE_FILE).exists() else "new"

    def results(self, cell: Cell) -> dict[str, list[dict[str, Any]]]:
        """Collection as given → a row for each of its parts and systems: `SystemResult.as_json` and "per_query".

        Raises
        ------
        DataError : they cannot be read.
        """
        return self._kept(self.cell_folder(cell) / RESULTS_FILE, self._settings())

    def baselines(self) -> list[dict[str, Any]]:
        """The rows of the baselines on the grid's collections, as far as they are there."""
        kept = self._kept(self.folder / BASELINES_FILE, self._settings(baselines=True))
        return [row for given in self.ablation.datasets for row in kept.get(given, ())]

    def finished(self) -> list[Finished]:
        """The results of the cells that are, in the grid's order."""
        found = [(cell, self.results(cell)) for cell in self.ablation.cells if self.state(cell) == "finished"]
        return [
            Finished(
                cell.variant,
                cell.point,
                cell.seed,
                [row for given in self.ablation.datasets for row in _of_model(rows[given])],
            )
            for cell, rows in found
        ]

    def run(self, cell: Cell, progress: Progress = silent) -> bool:
        """Train and evaluate what of a cell is not done yet; False where it failed, which `faults` then says.

        Raises
        ------
        TrainingStopped, KeyboardInterrupt : asked to stop; a checkpoint holds what was trained.
        """
        self.faults.pop(cell.name, None)
        try:
            self._train(cell, progress)
            self._evaluate(cell, progress)
        except Exception as error:  # whatever a library raises over one cell, hours of the others are not lost to it
            logger.debug("%s", cell.name, exc_info=True)
            kind = "" if isinstance(error, SparseIRError) else f"{type(error).__name__}: "
            self.faults[cell.name] = kind + " ".join(str(error).split())
            return False
        return True

    def run_baselines(self, progress: Progress = silent) -> None:
        """Judge what of the baselines is not judged yet.

        Raises
        ------
        SparseIRError : one of them failed; the collections before it are kept.
        """
        if not self.ablation.baselines:
            return
        options = replace(self._options, baselines=self.ablation.baselines)
        self._judge([], options, self.folder / BASELINES_FILE, self._settings(baselines=True), {}, progress)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within the block no other process runs cells of this folder.

        Raises
        ------
        SparseIRError : one does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with write_lock(self.folder):
                yield
        except LockedError as error:
            raise SparseIRError(f"{self.folder}: another ablation runs there; wait for its end ({error})") from None

    def _train(self, cell: Cell, progress: Progress) -> None:
        from sparseir.train import train

        model = self.cell_folder(cell) / "model"
        train(cell.recipe, model, resume=(model / RECIPE_FILE).exists(), progress=progress)

    def _evaluate(self, cell: Cell, progress: Progress) -> None:
        from sparseir.train.loop.record import read_finished

        model = self.cell_folder(cell) / "model"
        trained = read_finished(model)
        assert trained is not None, "training ended"
        about = {
            "cell": {"variant": cell.variant, "point": dict(cell.point), "seed": cell.seed},
            "training": {"steps": trained.steps, "minutes": trained.minutes, "figures": dict(trained.figures)},
        }
        options = replace(self._options, device=cell.recipe.train.device)
        self._judge([str(model)], options, model.with_name(RESULTS_FILE), self._settings(), about, progress)

    def _judge(
        self,
        models: list[str],
        options: EvaluationOptions,
        path: Path,
        settings: dict[str, Any],
        about: dict[str, Any],
        progress: Progress,
    ) -> None:
        """Judge on the collections that the file does not have yet, and write it after each."""
        known = self._kept(path, settings)
        for given in self.ablation.datasets:
            if given in known:
                continue
            evaluation = Evaluation(models, [given], options, shared=self._embeddings, progress=progress)
            rows = []
            for judged in evaluation:
                for result in judged.results:
                    values = {m: dict(zip(judged.qids, v.tolist(), strict=True)) for m, v in result.per_query.items()}
                    rows.append({**result.as_json(), "per_query": values})
            if evaluation.faults:
                raise SparseIRError("; ".join(evaluation.faults))
            known = {**known, given: rows}
            body = {"format": _FORMAT, "settings": settings, **about, "datasets": known}
            partial = path.with_name(f".{path.name}")
            partial.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            partial.replace(path)

    def _kept(self, path: Path, settings: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """What a file has that was judged with these settings."""
        if not path.exists():
            return {}
        try:
            found = json_value(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or found.get("format") != _FORMAT:
                raise ValueError(f"expected an object of format {_FORMAT}")
        except (OSError, ValueError) as error:
            raise DataError(f"not the results of a cell ({error}); remove it to evaluate again", path=path) from error
        rows: dict[str, list[dict[str, Any]]] = found.get("datasets", {}) if found.get("settings") == settings else {}
        return rows

    def _settings(self, *, baselines: bool = False) -> dict[str, Any]:
        """What rows of an evaluation depend on beside the model and the collection."""
        ablation = self.ablation
        beside = {
            "max_active_dims": ablation.max_active_dims,
            "baselines": list(ablation.baselines) if baselines else None,
            "lexical": None if ablation.lexical is None else to_mapping(ablation.lexical),
            "feedback": ablation.feedback,
            "fit": ablation.fit,
        }
        asked = {name: value for name, value in beside.items() if value is not None}
        return {"split": ablation.split, "measures": list(ablation.measures), "idf": ablation.idf, **asked}


def _of_model(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a cell under names that all kinds of encoders share; the model alone is judged first, by its kind."""
    kind = rows[0]["system"]
    return [{**row, "system": MODEL + row["system"].removeprefix(kind)} for row in rows]
