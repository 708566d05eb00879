"""Training data of MS MARCO's size: a synthetic collection through prepare, a slice of mine, a slice of score, and training.

    python -m bench.training.big_data --folder runs/big --passages 8800000 --queries 500000

The collection is that of `bench.training.word_model`. Each stage is a process of its own, whose peak of resident memory is measured,
file pages that it maps included. JSON to stdout and, with --output, to a file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.memory import memory
from bench.training.word_model import NEGATIVES, generate


def measured(command: list[str], log: Path) -> dict[str, Any]:
    """Run a command; its seconds, and the largest resident memory of it and of each of its children, sampled ten times a second.

    Raises
    ------
    SystemExit : the command failed.
    """
    start = time.perf_counter()
    peaks: dict[int, tuple[int, int]] = {}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        watch = threading.Thread(target=_watch, args=(process, peaks))
        watch.start()
        process.wait()
        watch.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed: {log.read_text()[-2000:]}")
    largest = sorted(peaks.values(), reverse=True)
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "peak_resident_mb": round(largest[0][0] / 1e6),
        "peak_anonymous_mb": round(max(anonymous for _, anonymous in largest) / 1e6),
        "processes": len(peaks),
    }


def _watch(process: subprocess.Popen[bytes], peaks: dict[int, tuple[int, int]]) -> None:
    while process.poll() is None:
        for pid in _family(process.pid):
            try:
                place = Path(f"/proc/{pid}")
                now = memory("VmRSS", place), memory("RssAnon", place)
            except (OSError, KeyError):  # it ended meanwhile
                continue
            before = peaks.get(pid, (0, 0))
            peaks[pid] = max(now[0], before[0]), max(now[1], before[1])
        time.sleep(0.1)


def _family(pid: int) -> list[int]:
    out = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            out += [member for child in task.read_text().split() for member in _family(int(child))]
        except OSError:
            continue
    return out


def sparseir(*words: str) -> list[str]:
    """The command line of this checkout."""
    return [sys.executable, "-m", "sparseir.cli", *words]


def loader(options: argparse.Namespace, workers: int, negatives: str) -> dict[str, Any]:
    """Batches a second of the loader alone, teacher scores included, and the resident memory of the process."""
    import logging

    from torch.utils.data import DataLoader

    from sparseir.train.material.prepared import PreparedScores, PreparedTraining
    from sparseir.train.tasks.ranking_batches import RankingBatches

    logging.basicConfig(level=logging.ERROR)
    recipe = training_recipe(options, 10**6, workers, negatives)
    began = time.perf_counter()
    training = PreparedTraining(recipe.data, ["hard"])
    opened = time.perf_counter() - began
    batches = RankingBatches(training, recipe, teachers=[PreparedScores(training.prepared, "hard")])
    before = memory("VmRSS"), memory("RssAnon")
    stream = iter(
        DataLoader(batches, batch_size=1, shuffle=False, collate_fn=lambda rows: rows[0], num_workers=workers)
    )
    next(stream)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < options.seconds:
        next(stream)
        count += 1
    return {
        "learnable_queries": len(training.queries),
        "seconds_to_read_pairs": round(opened, 2),
        "batches_per_second": round(count / (time.perf_counter() - start), 1),
        "texts_per_batch": options.batch_size * 3,
        "resident_mb": [round(before[0] / 1e6), round(memory("VmRSS") / 1e6)],
        "anonymous_mb": [round(before[1] / 1e6), round(memory("RssAnon") / 1e6)],
    }


def training_recipe(options: argparse.Namespace, steps: int, workers: int, negatives: str) -> Any:
    """A document encoder on stored scores, as short a step as a real model has."""
    from sparseir.config.recipe import load_recipe

    return load_recipe("reference", training_overrides(options, steps, workers, negatives))


def training_overrides(options: argparse.Namespace, steps: int, workers: int, negatives: str) -> list[str]:
    """What the recipe of these runs changes."""
    return [
        f"model.base={options.base}", "model.kind=splade_doc", f"data.prepared={options.folder / 'prepared'}", f"data.negatives=[{negatives}]",
        f"data.workers={workers}", "data.num_negatives=2", "data.max_document_length=64", "loss.teachers=['scores:hard']",
        "loss.margin_mse=1.0", "loss.info_nce=0.0", "loss.in_batch=false", "loss.teacher_normalise=false",
        f"train.batch_size={options.batch_size}", f"train.steps={steps}", "train.sampled_terms=2048", "train.device=cpu",
        "train.save_minutes=0", "regulariser.ramp_steps=100",
    ]  # fmt: skip


def opening(folder: Path, times: int = 20) -> float:
    """Median milliseconds in which a store opens and gives a text."""
    from sparseir.data.stores.texts import TextStore

    taken = []
    for i in range(times):
        start = time.perf_counter()
        store = TextStore(folder / "documents")
        assert store[i * (len(store) // times)]
        taken.append(time.perf_counter() - start)
    return round(1000 * float(np.median(taken)), 2)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All stages; each is said on stderr as it ends."""
    source, prepared = options.folder / "source", options.folder / "prepared"
    options.folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "passages": options.passages, "queries": options.queries, "negatives_each": NEGATIVES, "cores": os.cpu_count(),
        "load_average_at_start": os.getloadavg()[0],
    }  # fmt: skip

    def stage(name: str, command: list[str], **more: Any) -> None:
        log = options.folder / f"{name}.log"
        result[name] = {**measured(command, log), **more}
        print(f"{name}: {result[name]}", file=sys.stderr, flush=True)

    own = [sys.executable, "-m", "bench.training.big_data", "--folder", str(options.folder), "--base", options.base]
    own += ["--batch-size", str(options.batch_size), "--seconds", str(options.seconds)]
    if not (source / "done").exists():
        sizes = ["--passages", str(options.passages), "--queries", str(options.queries)]
        stage("generate", [*own, *sizes, "--only", "generate"])
        (source / "done").touch()
    result["collection_bytes"] = (source / "collection.tsv").stat().st_size
    given = [
        "--documents",
        f"{source}/collection.tsv",
        "--queries",
        f"{source}/queries.tsv",
        "--pairs",
        f"{source}/hard.jsonl",
    ]
    stage(
        "prepare",
        sparseir("data", "prepare", str(prepared), *given, "--overwrite" if prepared.exists() else "--resume"),
    )
    result["prepare"]["passages_per_second"] = round(options.passages / result["prepare"]["seconds"])
    result["verify"] = measured(sparseir("data", "verify", str(prepared)), options.folder / "verify.log")
    result["open_ms"] = opening(prepared)
    if options.mined:
        mine(options, prepared, result, stage)
    for workers in (0, 1):
        stage(f"loader_{workers}", [*own, "--only", f"loader{workers}"])
        result[f"loader_{workers}"] |= json.loads(
            (options.folder / f"loader_{workers}.log").read_text().splitlines()[-1]
        )
    overrides = training_overrides(options, options.steps, 1, "synthetic")
    words = [part for override in overrides for part in ("--set", override)]
    output = options.folder / f"model-{int(time.time())}"
    stage("train", sparseir("train", "reference", "--output", str(output), *words, "--json"))
    lines = [json.loads(line) for line in (output / "train.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "margin_mse" in line]
    result["train"] |= {"last": steps[-1], "steps": options.steps, "steps_per_second": _rate(steps)}
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "sparseir.cli",
    ]
    few = [word.replace(f"train.steps={options.steps}", "train.steps=10") for word in words]
    stage("two_ranks", [*torchrun, "train", "reference", "--output", f"{output}-two", *few])
    if result["train"]["steps_per_second"]:
        result["loader_over_step"] = round(
            result["loader_0"]["batches_per_second"] / result["train"]["steps_per_second"], 1
        )
    return result


def mine(options: argparse.Namespace, prepared: Path, result: dict[str, Any], stage: Callable[..., None]) -> None:
    """A slice of mining, twice, the first time with the index to build; and a slice of scoring."""
    slice_ = ["--max-queries", str(options.mined), "--depth", "100", "--threads", "2", "--overwrite"]
    stage("mine_first", sparseir("mine", str(prepared), "--bm25", *slice_, "--name", "first"))
    stage("mine_again", sparseir("mine", str(prepared), "--bm25", *slice_, "--name", "again"))
    result["mine_again"]["ms_per_query"] = round(1000 * result["mine_again"]["seconds"] / options.mined, 2)
    built = result["mine_first"]["seconds"] - result["mine_again"]["seconds"]
    result["mine_first"]["index_build_seconds"] = round(built, 1)
    scored = ["--dense", options.base, "--max-length", "64", "--max-queries", "10", "--part", "5", "--overwrite"]
    stage("score", sparseir("score", str(prepared), *scored, "--negatives", "again", "--name", "dense"))


def _rate(steps: list[dict[str, Any]]) -> float | None:
    """Steps a second between two lines of the log, the first of which stands after the warm-up."""
    if len(steps) < 3:
        return None
    first, last = steps[1], steps[-1]
    return round((last["step"] - first["step"]) / max(1e-9, 60 * (last["minutes"] - first["minutes"])), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for everything; some 13 GB at full size")
    parser.add_argument("--passages", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=12_000)
    parser.add_argument("--mined", type=int, default=10_000, help="queries of the slice that is mined; 0: none")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument(
        "--base", default="all-MiniLM-L6-v2", help="folder or hub id of the model that trains and scores"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="that the loader is watched")
    parser.add_argument("--only", help="one stage: generate, loader0, loader1")
    parser.add_argument("--output", type=Path, help="the figures, as JSON")
    options = parser.parse_args()
    if options.only == "generate":
        generate(options.folder / "source", options.passages, options.queries)
        return
    if options.only:
        workers = int(options.only.removeprefix("loader"))
        print(json.dumps(loader(options, workers, "synthetic")))
        return
    text = json.dumps(run(options), indent=1)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
