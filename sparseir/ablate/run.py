"""The cells of a grid on disk: each is trained, evaluated and kept, and what is kept is not done again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from indexer.errors import LockedError
from indexer.format.lock import write_lock
from indexer.interchange.jsonl.text import json_value
from indexer.progress import Progress, silent
from sparseir.ablate.summary import COSTS, Finished
from sparseir.config.ablation import MODEL, Ablation, Cell
from sparseir.config.lexical import LexicalConfig
from sparseir.config.loader import to_mapping
from sparseir.config.model import LOOKED_UP_KINDS
from sparseir.config.recipes import RECIPE_FILE
from sparseir.data import open_dataset
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.evaluate.collections import open_judged
from sparseir.evaluate.evaluation import Evaluation
from sparseir.evaluate.measures import check_measures
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.systems.embeddings import SharedEmbeddings
from sparseir.evaluate.systems.fitted import FITTED
from sparseir.lexical.analysis import check_language
from sparseir.search.feedback.options import Feedback

RESULTS_FILE = "results.json"
BASELINES_FILE = "baselines.json"
BASELINES = "baselines"
"""What `AblationRun.faults` calls them; no cell has that name."""

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
        check_language(channel.language)
        check_measures(ablation.measures)
        self._check_judged()
        self._check_kinds()
        for model in (channel.expansion_model, judged.dense_model if "dense" in ablation.baselines else None):
            if model is not None:
                _check_there(model)
        self._check_training()

    def _check_judged(self) -> None:
        """Collections to judge on are there, with their judgements, under names of their own."""
        given = self.ablation.datasets
        # What evaluations refuse shows with the cheapest of them.
        Evaluation([], given, replace(self._of_baselines, baselines=("bm25",), feedback=None))
        named: dict[str, str] = {}
        for name in given:
            for dataset, _ in open_judged(name, self.ablation.split, data_dir=self._of_models.data_dir):
                if (other := named.setdefault(dataset.name, name)) != name:
                    raise ConfigError(
                        f"{other} and {name} are both named {dataset.name}, and tables would mix them; give one of the "
                        "files another name"
                    )

    def _check_kinds(self) -> None:
        """What is asked of all models can be done with each."""
        for cell in self.ablation.cells:
            kind = cell.recipe.model.kind
            if self.ablation.fit is not None and kind not in LOOKED_UP_KINDS:
                raise ConfigError(
                    f"fit: {cell.label} is a {kind} encoder, whose queries run a network and cannot be fitted; leave it out"
                )
            if self.ablation.max_active_dims is not None and kind in ("coil_tok", "coil_full"):
                raise ConfigError(
                    f"max_active_dims: {cell.label} is a {kind} encoder, whose exact scores need all terms; leave it out"
                )

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
        """The rows of the baselines on the grid's collections, as far as they are there.

        Raises
        ------
        DataError : they cannot be read.
        """
        if not self.ablation.baselines:
            return []
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
        kept = self._kept(self.folder / BASELINES_FILE, self._settings(baselines=True))
        if set(self.ablation.datasets) <= set(kept):
            return "finished"
        return "begun" if kept else "new"

    def run_baselines(self, progress: Progress = silent) -> bool:
        """Judge what of the baselines is not judged yet; False where one failed, which `faults` says under `BASELINES`."""
        path, settings = self.folder / BASELINES_FILE, self._settings(baselines=True)
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
            for embeddings in self._embeddings.values():
                for one in embeddings.values():
                    one.release()
            self._check_whole(evaluation, rows)
            known = {**known, given: rows}
            body = {"format": _FORMAT, "settings": settings, **about, "datasets": known}
            partial = path.with_name(f".{path.name}")
            partial.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            partial.replace(path)

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

    def _kept(self, path: Path, settings: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """What a file has that was judged with these settings."""
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

    def _settings(self, *, baselines: bool = False) -> dict[str, Any]:
        """What rows of an evaluation depend on beside the model and the collection."""
        ablation = self.ablation
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


def _check_there(model: str) -> None:
    """A dense model can be found, on the hub where it is not here.

    Raises
    ------
    ConfigError : it cannot.
    """
    from sparseir.models.sources import resolve_source

    resolve_source(model)


def _are_rows(rows: Any) -> bool:
    """Whether they have what summaries read: `SystemResult.as_json` and the values of queries."""
    needed = {"system", "dataset", "split", "group", "measures", "per_query", "num_documents", "num_queries", *COSTS}
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) and needed <= row.keys() for row in rows)


def _of_model(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a cell under names that all kinds of encoders share; the model alone is judged first, by its kind."""
    kind = rows[0]["system"]
    return [{**row, "system": MODEL + row["system"].removeprefix(kind)} for row in rows]
