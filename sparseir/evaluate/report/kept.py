"""Where an evaluation keeps run files, indexes and values of single queries; places are checked before the work."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sparseir.errors import SparseIRError
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report.metadata import run_metadata
from sparseir.evaluate.report.plots import PLOTS, plot_path
from sparseir.evaluate.report.rows import SystemResult
from sparseir.search.runs import RunWriter


def run_path(folder: Path, dataset: str, system: str) -> Path:
    """File of a run."""
    return folder / f"{_file_name(dataset)}.{_file_name(system.lower())}.trec"


def index_path(folder: Path, dataset: str, system: str, *, several: bool) -> Path:
    """Folder of a model's index; the collection's name alone where there is one."""
    return folder / (f"{_file_name(dataset)}.{_file_name(system)}" if several else _file_name(dataset))


def check_places(
    options: EvaluationOptions, datasets: Sequence[str], written: Sequence[str], models: Sequence[str]
) -> None:
    """Before the work: every run file, index and picture can be kept.

    Parameters
    ----------
    written, models : names of the systems whose runs, and whose indexes, are kept.

    Raises
    ------
    SparseIRError : a file where a folder is named, something that may not be replaced.
    """
    if options.runs is not None and options.runs.is_file():
        raise SparseIRError(
            f"--runs {options.runs} is a file; --runs names a folder to write run files to, and --run FILE judges one"
        )
    for option, folder in (("indexes", options.indexes), ("plot", options.plots)):
        if folder is not None and folder.is_file():
            raise SparseIRError(f"--{option} {folder} is a file; name a folder")
    places: list[tuple[str, Path]] = []
    for dataset in datasets:
        if options.runs is not None:
            places += [("runs", run_path(options.runs, dataset, system)) for system in written]
        if options.indexes is not None:
            several = len(models) > 1
            paths = [index_path(options.indexes, dataset, system, several=several) for system in models]
            places += [("indexes", path) for path in paths]
        if options.plots is not None:
            places += [("plot", plot_path(options.plots, dataset, name)) for name, _, _ in PLOTS]
    for option, path in places:
        if path.exists() and not options.overwrite:
            raise SparseIRError(f"{path} exists already; name another folder with --{option} or say --overwrite")


@contextmanager
def index_place(options: EvaluationOptions, dataset: str, system: str, *, several: bool) -> Iterator[Path]:
    """Where to build an index: where it is kept, or in a folder that goes with the block."""
    if options.indexes is not None:
        options.indexes.mkdir(parents=True, exist_ok=True)
        yield index_path(options.indexes, dataset, system, several=several)
        return
    with tempfile.TemporaryDirectory(prefix="sparseir-evaluate-") as folder:
        yield Path(folder) / "index"


def keep_run(result: SystemResult, options: EvaluationOptions) -> None:
    """Write the run where one is asked for."""
    if options.runs is None or result.run is None:
        return
    options.runs.mkdir(parents=True, exist_ok=True)
    tag = options.tag or re.sub(r"\s+", "-", result.system)
    metadata = run_metadata(result, tag) if options.ir_metadata else None
    with RunWriter(run_path(options.runs, result.dataset, result.system), tag=tag, metadata=metadata) as writer:
        for qid, hits in result.run.items():
            writer.write(qid, list(hits), list(hits.values()))


def per_query_lines(result: SystemResult, qids: Sequence[str]) -> Iterator[str]:
    """collection, system, measure, qid and value, between tabs; a query in the order of the qids."""
    for measure, values in result.per_query.items():
        for qid, value in zip(qids, values.tolist(), strict=True):
            yield f"{result.dataset}\t{result.system}\t{measure}\t{qid}\t{value:.6f}\n"


PER_QUERY_HEADER = "collection\tsystem\tmeasure\tquery\tvalue\n"


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name)
