"""The cells of a grid on disk: each is trained, evaluated and kept, and what is kept is not done again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from indexer.errors import LockedError
from indexer.format.lock import write_lock
from indexer.progress import Progress, silent
from sparseir.ablate.checks import check_grid
from sparseir.ablate.kept import read_rows, settings_of, write_rows
from sparseir.ablate.summary import Finished
from sparseir.config.ablation import MODEL, Ablation, Cell
from sparseir.config.lexical import LexicalConfig
from sparseir.config.recipes import RECIPE_FILE
from sparseir.errors import ConfigError, SparseIRError
from sparseir.evaluate.evaluation import Evaluation
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.systems.embeddings import SharedEmbeddings
from sparseir.evaluate.systems.fitted import FITTED
from sparseir.search.feedback.options import Feedback

RESULTS_FILE = "results.json"
BASELINES_FILE = "baselines.json"
BASELINES = "baselines"
"""What `AblationRun.faults` calls them; no cell has that name."""

State = Literal["finished", "begun", "new"]

logger = logging.getLogger(__name__)


class AblationRun:
    """A grid and the folder its cells are kept in: cells/<name>/model, cells/<name>/results.json and baselines.json.

    What can be known to fail is found when one is made; see `checks`.

    Parameters
    ----------
    ablation : the grid. folder : made when the first cell runs.
    data_dir : where names of collections to evaluate on are looked for.

    Attributes
    ----------
    faults : cell name, or `BASELINES`, → why it failed. The others go on.

    Raises
    ------
    SparseIRError : measures that cannot be computed, a collection that is not there or has no such judgements, a
        training collection that cannot be opened, a file where the folder should be.
    """

    def __init__(self, ablation: Ablation, folder: Path, *, data_dir: Path | None = None) -> None:
        self.ablation, self.folder, self.faults = ablation, folder, dict[str, str]()
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; name a folder for the cells")
        feedback = None if ablation.feedback is None else Feedback(documents=ablation.feedback)
        channel = ablation.lexical or LexicalConfig()
        judged = EvaluationOptions(
            split=ablation.split,
            measures=ablation.measures,
            baselines=(),
            lexical=ablation.lexical is not None,
            channel=channel,
            fit=ablation.fit,
            corpus_idf=ablation.idf == "corpus",
            max_active_dims=ablation.max_active_dims,
            data_dir=data_dir,
        )
        # An index without words takes no feedback, so it is asked for where there are some.
        self._of_models = replace(judged, feedback=feedback if ablation.lexical else None)
        with_words = "bm25" in ablation.baselines
        self._of_baselines = replace(
            judged, baselines=ablation.baselines, feedback=feedback if with_words else None, max_active_dims=None
        )
        self._embeddings: SharedEmbeddings = {}
        check_grid(ablation, self._of_baselines)

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
        return read_rows(self.cell_folder(cell) / RESULTS_FILE, settings_of(self.ablation))

    def baselines(self) -> list[dict[str, Any]]:
        """The rows of the baselines on the grid's collections, as far as they are there.

        Raises
        ------
        DataError : they cannot be read.
        """
        if not self.ablation.baselines:
            return []
        kept = read_rows(self.folder / BASELINES_FILE, settings_of(self.ablation, baselines=True))
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

        def both() -> None:
            self._train(cell, progress)
            self._evaluate(cell, progress)

        return self._tried(cell.name, both)

    def baselines_state(self) -> State:
        """Whether all results of the baselines are there; a grid without any is finished with them.

        Raises
        ------
        DataError : they cannot be read.
        """
        if not self.ablation.baselines:
            return "finished"
        kept = read_rows(self.folder / BASELINES_FILE, settings_of(self.ablation, baselines=True))
        if set(self.ablation.datasets) <= set(kept):
            return "finished"
        return "begun" if kept else "new"

    def run_baselines(self, progress: Progress = silent) -> bool:
        """Judge what of the baselines is not judged yet; False where one failed, which `faults` says under `BASELINES`."""
        path, settings = self.folder / BASELINES_FILE, settings_of(self.ablation, baselines=True)
        return self._tried(BASELINES, lambda: self._judge([], self._of_baselines, path, settings, {}, progress))

    def _tried(self, name: str, work: Callable[[], None]) -> bool:
        """Whether it was done; `faults` keeps why not."""
        self.faults.pop(name, None)
        try:
            work()
        except Exception as error:  # whatever a library raises over one cell, hours of the others are not lost to it
            logger.debug("%s", name, exc_info=True)
            kind = "" if isinstance(error, SparseIRError) else f"{type(error).__name__}: "
            self.faults[name] = kind + " ".join(str(error).split())
            return False
        return True

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
        options = replace(self._of_models, device=cell.recipe.train.device)
        self._judge([str(model)], options, model.with_name(RESULTS_FILE), settings_of(self.ablation), about, progress)

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
        known = read_rows(path, settings)
        for given in self.ablation.datasets:
            if given in known:
                continue
            evaluation = Evaluation(models, [given], options, shared=self._embeddings, progress=progress)
            rows = []
            for judged in evaluation:
                for result in judged.results:
                    values = {m: dict(zip(judged.qids, v.tolist(), strict=True)) for m, v in result.per_query.items()}
                    rows.append({**result.as_json(), "per_query": values})
            for embeddings in self._embeddings.values():
                for one in embeddings.values():
                    one.release()
            self._check_whole(evaluation, rows)
            known = {**known, given: rows}
            write_rows(path, settings, known, about)

    def _check_whole(self, evaluation: Evaluation, rows: Sequence[Mapping[str, Any]]) -> None:
        """A system that failed is a fault; a fit that could not be made is only said, and the others stand.

        Raises
        ------
        SparseIRError : the faults.
        """
        needed = {name for name in evaluation.systems if FITTED not in name}
        if missing := needed - {row["system"] for row in rows}:
            raise SparseIRError("; ".join(evaluation.faults) or f"no figures of {', '.join(sorted(missing))}")
        for fault in evaluation.faults:
            logger.warning("%s", fault)


def _of_model(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a cell under names that all kinds of encoders share; the model alone is judged first, by its kind."""
    kind = rows[0]["system"]
    return [{**row, "system": MODEL + row["system"].removeprefix(kind)} for row in rows]
