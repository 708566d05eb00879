"""`sparseir ablate`: cells that are trained, evaluated and kept; what is left of a grid that was stopped; what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir.train.loop.stopping import TrainingStopped
from tests.integration.test_text_chain import sparseir
from tests.tiny_collections import write_collection
from tests.tiny_models import save_masked_lm

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base and collection, and a grid of two regularisers, one point and two seeds over them."""
    folder = tmp_path_factory.mktemp("ablation")
    base, collection = save_masked_lm(folder / "base"), write_collection(folder / "tiny", ("train", "test"))
    (folder / "grid.yaml").write_text(
        f"""\
recipe: reference
set:
  model.base: {base}
  model.max_document_length: 32
  data.dataset: {collection}
  data.max_document_length: 32
  data.negatives: []
  train.steps: 4
  train.batch_size: 3
  train.bf16: false
  train.device: cpu
  train.save_every: 2
variants:
  FLOPS: {{regulariser.kind: flops}}
  L1: {{regulariser.kind: l1}}
grid:
  regulariser.lambda_document: [0.001]
seeds: [0, 1]
datasets: [{collection}]
measures: [nDCG@10]
"""
    )
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file() and "model" in p.parts}


def weights(model: Path) -> dict[str, bytes]:
    paths = [p for p in model.rglob("*.safetensors") if "checkpoints" not in p.parts]
    return {str(p.relative_to(model)): p.read_bytes() for p in paths}


def test_a_grid_is_run_once_and_added_to(places: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
    output = places / "whole"
    listed = sparseir("ablate", places / "grid.yaml", "--output", output, "--dry-run", "--json", "--seeds", 0)
    assert not output.exists()
    cells = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [(c["variant"], c["seed"], c["state"]) for c in cells] == [("FLOPS", 0, "new"), ("L1", 0, "new")]

    done = sparseir("ablate", places / "grid.yaml", "--output", output, "--seeds", 0, "--json")
    summary = json.loads(done.stdout)
    assert (summary["cells"], summary["finished"], summary["failed"]) == (2, 2, [])
    assert [row["seeds"] for row in summary["rows"]] == [[0], [0]]
    assert all(set(row["costs"]) >= {"document_terms", "flops", "p50_ms"} for row in summary["rows"])
    assert summary["rows"][1]["comparison"]["against"] == "FLOPS"
    assert json.loads((output / "ablation.json").read_text()) == summary
    assert (output / "ablation.png").read_bytes().startswith(b"\x89PNG")

    before = contents(output)
    more = sparseir("ablate", places / "grid.yaml", "--output", output)
    assert {path: content for path, content in contents(output).items() if path in before} == before
    assert len(contents(output)) > len(before)
    assert "2 cells of 4 finished before" in more.stderr
    assert " ± " in more.stdout
    again = sparseir("ablate", places / "grid.yaml", "--output", output, "--dry-run")
    assert "0 to do" in again.stderr


def test_a_stopped_cell_goes_on_from_its_checkpoint(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after step 2 of 4, it ends with the weights of one that was not."""
    from sparseir.train.loop import stopping

    grid, words = places / "grid.yaml", ("--seeds", 1, "--variants", "L1", "--no-plot")
    tick = stopping.RunClock.tick
    ticks = []

    def stop_at_two(clock: Any) -> None:
        ticks.append(1)
        clock.asked = len(ticks) == 2
        tick(clock)

    monkeypatch.setattr(stopping.RunClock, "tick", stop_at_two)
    stopped = sparseir("ablate", grid, "--output", places / "stopped", *words, code=1)
    assert "go on with the same command" in stopped.stderr
    monkeypatch.setattr(stopping.RunClock, "tick", tick)
    (model,) = (places / "stopped" / "cells").glob("*/model")
    assert [path.name for path in (model / "checkpoints").glob("checkpoint-*")] == ["checkpoint-2"]
    listed = sparseir("ablate", grid, "--output", places / "stopped", *words, "--dry-run")
    assert " begun " in listed.stdout
    sparseir("ablate", grid, "--output", places / "stopped", *words)
    sparseir("ablate", grid, "--output", places / "straight", *words)
    (other,) = (places / "straight" / "cells").glob("*/model")
    assert weights(model) == weights(other) != {}


def test_a_cell_that_fails_does_not_lose_the_rest(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sparseir.train.run as training

    train = training.train

    def failing(recipe: Any, *given: Any, **named: Any) -> Any:
        if recipe.regulariser.kind == "flops":
            raise RuntimeError("no such device")
        return train(recipe, *given, **named)

    monkeypatch.setattr("sparseir.train.train", failing, raising=False)
    words = ("ablate", places / "grid.yaml", "--output", places / "failed", "--seeds", 0, "--no-plot")
    done = sparseir(*words, code=1)
    assert "failed: FLOPS, lambda_document 0.001, seed 0: RuntimeError: no such device" in done.stderr
    assert "1 of 2 cells failed" in done.stderr
    summary = json.loads((places / "failed" / "ablation.json").read_text())
    assert [row["variant"] for row in summary["rows"]] == ["L1"]
    assert [one["error"] for one in summary["failed"]] == ["RuntimeError: no such device"]
    monkeypatch.undo()
    sparseir(*words)
    assert json.loads((places / "failed" / "ablation.json").read_text())["failed"] == []


def test_seeds_of_one_recipe_beside_baselines(places: Path) -> None:
    """Each model alone, beside words and with feedback, against BM25, which is judged once."""
    beside = "max_active_dims: 3\nbaselines: [bm25]\nlexical: true\nfeedback: 2\n"
    grid = seeds_alone(places, "seeds.yaml", beside)
    grid.write_text(grid.read_text().replace("seeds: [0]", "seeds: [0, 1]").replace("]\nmeasures", "#train]\nmeasures"))
    words = ("ablate", grid, "--output", places / "seeds", "--no-plot")
    done = sparseir(*words, "--json")
    summary = json.loads(done.stdout)
    systems = ["BM25", "BM25+feedback", "model", "model+lexical", "model+lexical+feedback"]
    assert [(row["system"], row["seeds"]) for row in summary["rows"]] == [
        (system, [] if system.startswith("BM25") else [0, 1]) for system in systems
    ]
    assert {row["dataset"] for row in summary["rows"]} == {"tiny#train"}
    assert [row["comparison"] is None for row in summary["rows"]] == [True, False, False, False, False]
    assert summary["against"] == "bm25"
    assert summary["rows"][2]["costs"]["document_terms"]["mean"] == 3

    from sparseir.evaluate.evaluation import Evaluation
    from sparseir.evaluate.options import EvaluationOptions
    from sparseir.search.feedback.options import Feedback

    (model, _) = sorted((places / "seeds" / "cells").glob("*/model"))
    options = EvaluationOptions(
        split="train",
        measures=("nDCG@10",),
        corpus_idf=True,
        max_active_dims=3,
        lexical=True,
        feedback=Feedback(),
    )
    (judged,) = Evaluation([str(model)], [str(places / "tiny")], options)
    by_hand = {r.system.replace("inference_free", "model"): r.per_query["nDCG@10"].tolist() for r in judged.results}
    assert by_hand.keys() == set(systems)
    for path in (model.parent / "results.json", places / "seeds" / "baselines.json"):
        (rows,) = json.loads(path.read_text())["datasets"].values()
        assert rows
        for row in rows:
            name = row["system"].replace("inference_free", "model")
            assert list(row["per_query"]["nDCG@10"].values()) == by_hand[name], name
    before = (places / "seeds" / "baselines.json").read_bytes()
    assert "2 cells of 2 finished before" in sparseir(*words).stderr
    assert (places / "seeds" / "baselines.json").read_bytes() == before


def seeds_alone(places: Path, name: str, beside: str) -> Path:
    """The grid without variants and points, with more to judge; one seed."""
    source = (places / "grid.yaml").read_text()
    start, end = source.index("variants:"), source.index("seeds:")
    path = places / name
    path.write_text(source[:start] + source[end:].replace("seeds: [0, 1]", "seeds: [0]") + beside)
    return path


def test_a_fit_or_a_baseline_that_fails_costs_nothing_else(
    places: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Too few judged queries for a fit leave the other figures, and cells go on after a baseline that cannot be judged."""
    from sparseir.evaluate.evaluation import Evaluation

    split = places / "tiny" / "qrels" / "few.tsv"
    (places / "tiny" / "qrels" / "three.tsv").write_text(
        "".join((split.with_name("train.tsv").read_text().splitlines(True))[:4])
    )
    split.write_text("query-id\tcorpus-id\tscore\n" + split.with_name("train.tsv").read_text().splitlines(True)[4])
    grid = seeds_alone(places, "few.yaml", "split: three\nfit: few\nbaselines: [bm25]\n")
    words = ("ablate", grid, "--output", places / "few", "--no-plot")

    def failing(*given: object, **named: object) -> object:
        raise RuntimeError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr(Evaluation, "_baseline", failing)
        done = sparseir(*words, code=1)
    assert "failed: baselines: RuntimeError: no memory" in done.stderr
    assert "baselines failed; the others stand" in done.stderr
    listed = [json.loads(line) for line in sparseir(*words, "--dry-run", "--json").stdout.splitlines()]
    assert [row["state"] for row in listed] == ["new", "finished"]
    done = sparseir(*words, "--json")
    assert "tiny, BM25+fitted: 1 of 1 queries have relevant documents" in caplog.text
    assert [row["system"] for row in json.loads(done.stdout)["rows"]] == ["BM25", "model"]


@pytest.mark.parametrize(
    ("beside", "text"),
    [
        ("fit: train\n", "queries of the split 'train' that should fit query weights"),
        ("lexical: {expansion_model: ./nosuchmodel}\n", "no model folder at ./nosuchmodel"),
        ("lexical: {language: klingon}\n", "klingon"),
        ("lexical: true\nfeedback: 101\n", "from 1 to 100"),
        ("measures: [nDCG@x]\n", "nDCG@x"),
        ("fit: train\nsplit: dev\n", "no judgements for split 'dev'"),
    ],
)
def test_what_would_fail_after_training_is_refused_before(places: Path, beside: str, text: str) -> None:
    grid = seeds_alone(places, "refused.yaml", beside)
    if "measures" in beside:
        grid.write_text(grid.read_text().replace("measures: [nDCG@10]\n", ""))
    done = sparseir("ablate", grid, "--output", places / "refused-too", "--no-plot", code=1)
    assert text in done.stderr
    assert not (places / "refused-too").exists()


def test_kinds_that_cannot_do_what_is_asked(places: Path) -> None:
    for beside, kind, text in (
        ("split: test\nfit: train\n", "splade", "whose queries run a network"),
        ("max_active_dims: 3\n", "coil_tok", "whose exact scores need all terms"),
    ):
        grid = seeds_alone(places, "kinds.yaml", beside)
        words = ("--output", places / "kinds", "--no-plot", "--set", f"model.kind={kind}", "--dry-run")
        if kind == "splade":
            (places / "tiny" / "qrels" / "train.tsv").rename(places / "train.tsv")
            own = (places / "train.tsv").read_text().replace("\nq", "\nx")
            (places / "tiny" / "qrels" / "train.tsv").write_text(own)
        try:
            assert text in sparseir("ablate", grid, *words, "--set", "model.lexical_residual=false", code=1).stderr
        finally:
            if kind == "splade":
                (places / "train.tsv").replace(places / "tiny" / "qrels" / "train.tsv")


def test_collections_of_one_name_are_refused(places: Path) -> None:
    write_collection(places / "elsewhere" / "tiny", ("test",))
    both = f"{places / 'tiny'},{places / 'elsewhere' / 'tiny'}"
    done = sparseir(
        "ablate", places / "grid.yaml", "--output", places / "same", "--datasets", both, "--no-plot", code=1
    )
    assert "are both named tiny" in done.stderr


@pytest.mark.parametrize("body", ["{", '{"format": "sparseir-cell-1", "datasets": null}', "[]"])
def test_figures_of_baselines_that_cannot_be_read_are_said(places: Path, body: str) -> None:
    from sparseir.ablate.kept import settings_of
    from sparseir.config.ablation import load_ablation

    grid = seeds_alone(places, "damaged.yaml", "baselines: [bm25]\n")
    folder = places / "damaged-baselines"
    folder.mkdir(exist_ok=True)
    settings = settings_of(load_ablation(grid), baselines=True)
    (folder / "baselines.json").write_text(
        body.replace('"datasets"', f'"settings": {json.dumps(settings)}, "datasets"')
    )
    done = sparseir("ablate", grid, "--output", folder, "--no-plot", "--dry-run", code=1)
    assert f"{folder / 'baselines.json'}: not the results of a cell" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--set", "steps=3"], 2, "--set takes section.key=value"),
        (["--set", "train.stepz=3"], 1, "did you mean 'train.steps'?"),
        (["--seeds", "a"], 2, "--seeds is 'a'"),
        (["--seeds", ","], 2, "--seeds is ','"),
        (["--variants", "L3"], 1, "--variants L3"),
        (["--datasets", "./nothing"], 1, "nothing"),
        (["--datasets", "{tiny}#dev"], 1, "no judgements for split 'dev'"),
        (["--datasets", "{tiny}#"], 1, "no split behind #"),
        (["--set", "data.dataset=./nothing"], 1, "nothing"),
        (["--set", "data.split=dev"], 1, "no judgements for split 'dev'"),
    ],
)
def test_refused_before_the_work(places: Path, words: list[str], code: int, text: str) -> None:
    words = [word.format(tiny=places / "tiny") for word in words]
    done = sparseir("ablate", places / "grid.yaml", "--output", places / "refused", "--no-plot", *words, code=code)
    assert text in done.stderr
    assert not (places / "refused").exists()


def test_results_that_cannot_be_read_are_said(places: Path) -> None:
    words = (
        "ablate",
        places / "grid.yaml",
        "--output",
        places / "damaged",
        "--seeds",
        0,
        "--variants",
        "L1",
        "--no-plot",
    )
    listed = sparseir(*words, "--dry-run", "--json")
    folder = places / "damaged" / "cells" / json.loads(listed.stdout)["cell"]
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{")
    assert f"{folder / 'results.json'}: not the results of a cell" in sparseir(*words, code=1).stderr


def test_a_stop_is_no_fault_of_a_cell() -> None:
    """What `run` catches must let a stop through."""
    assert not issubclass(TrainingStopped, Exception)
