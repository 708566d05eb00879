"""Runs that stop, end early or are done, and what going on with them does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from sparseir import cli  # noqa: E402
from sparseir.config.loader import to_yaml  # noqa: E402
from sparseir.config.recipe import Recipe, load_recipe  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.train import train  # noqa: E402
from sparseir.train.loop.stopping import RunClock, TrainingStopped, signals_ask  # noqa: E402
from tests.tiny_collections import write_collection  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _interrupts_as_in_a_terminal() -> Iterator[None]:
    """A shell starts what it runs in the background with SIGINT ignored, and a run leaves ignored signals alone."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Four steps that write a checkpoint at their end alone."""
    base = save_masked_lm(tmp_path_factory.mktemp("base"))
    collection = write_collection(tmp_path_factory.mktemp("tiny"))
    return load_recipe(
        "reference",
        [
            f"model.base={base}", "model.max_document_length=32", f"data.dataset={collection}",
            "data.max_document_length=32", "data.negatives=[]", "train.steps=4", "train.batch_size=3", "train.bf16=false",
            "train.device=cpu", "train.log_every=1",
        ],
    )  # fmt: skip


def with_train(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, train=replace(recipe.train, **changes))


def weights_of(folder: Path) -> dict[str, Any]:
    return SparseEncoder.load(folder, device="cpu").module.state_dict()


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def checkpoints(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def finished(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "m"
    train(recipe, folder)
    return folder


def test_a_finished_run_is_left_as_it_is(recipe: Recipe, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(finished)
    result = train(None, finished, resume=True)
    assert result.steps == 4
    assert result.figures["info_nce"] > 0
    assert "is finished: all 4 steps are taken" in result.note
    assert cli.run(["train", "--resume", "--output", str(finished), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["steps"] == 4
    assert json.loads(out)["note"] == result.note
    assert "is finished: all 4 steps are taken; to train on resume it with more train.steps" in err
    assert contents(finished) == before
    assert checkpoints(finished) == ["checkpoint-4"]


def test_a_finished_run_of_an_earlier_version_is_left_as_it_is(finished: Path, tmp_path: Path) -> None:
    """It has no record of its end, and its recipe lacks keys that came since."""
    folder = tmp_path / "m"
    folder.mkdir()
    for name, body in contents(finished).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    (folder / "training.json").unlink()
    old = (folder / "recipe.yaml").read_text().replace("  save_minutes: 5.0\n", "")
    (folder / "recipe.yaml").write_text(old)
    before = contents(folder)
    assert "is finished" in train(None, folder, resume=True).note
    assert contents(folder) == before
    assert load_recipe(folder).train.save_minutes == 5.0


def test_steps_can_be_raised(recipe: Recipe, tmp_path: Path) -> None:
    """The model goes on from the end of the first run, by the schedule of all steps, and the folder says so."""
    folder = tmp_path / "m"
    train(recipe, folder)
    first = weights_of(folder)
    result = train(with_train(recipe, steps=6), folder, resume=True)
    assert (result.steps, result.note) == (6, "")
    assert not same(first, weights_of(folder))
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    rates = {line["step"]: line["learning_rate"] for line in lines if "learning_rate" in line}
    assert sorted(rates) == [1, 2, 3, 4, 5, 6]
    assert rates[4] == 0
    assert rates[5] == pytest.approx(recipe.train.learning_rate / 6)
    assert load_recipe(folder).train.steps == 6
    assert checkpoints(folder) == ["checkpoint-4", "checkpoint-6"]
    with pytest.raises(ConfigError, match=r"train.steps: 5, and the run in .* has taken 6 already"):
        train(with_train(recipe, steps=5), _unfinished(folder), resume=True)


def _unfinished(folder: Path) -> Path:
    (folder / "training.json").write_text('{"format": "sparseir-run-1", "finished": false}')
    return folder


def test_what_may_not_change_is_refused_by_name(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(finished)
    arguments = [
        "train",
        "--resume",
        "--output",
        str(finished),
        "--set",
        "train.learning_rate=0.1",
        "--set",
        "train.steps=9",
    ]
    assert cli.run(arguments) == 1
    err = capsys.readouterr().err
    assert "may change" in err
    assert "Changed: train.learning_rate: 2e-05 → 0.1" in err
    assert "train.steps: 4" not in err
    assert contents(finished) == before


def test_nothing_to_resume_and_nothing_to_begin_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", "--resume", "--output", str(tmp_path / "m")]) == 1
    assert "nothing to resume" in capsys.readouterr().err
    assert cli.run(["train", "--output", str(tmp_path / "m")]) == 2
    assert "name a recipe" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="a run that begins needs one"):
        train(None, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_to_the_bit(
    recipe: Recipe, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], signum: signal.Signals
) -> None:
    """Without any checkpoint asked for: the one that is left is that of the step under way."""
    folder, saved = tmp_path / "m", tmp_path / "mine.yaml"
    saved.write_text(to_yaml(with_train(recipe, save_minutes=0)))

    def kill(stage: str, done: int, total: int | None) -> None:
        if stage == "training" and done == 1:
            os.kill(os.getpid(), signum)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(TrainingStopped, match=r"stopped after step 2 of 4; a checkpoint in .* holds all of it"):
        train(load_recipe(saved), folder, progress=kill)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert checkpoints(folder) == ["checkpoint-2"]
    assert not (folder / "sparseir.json").exists()
    assert cli.run(["train", "--resume", "--output", str(folder)]) == 0
    assert same(weights_of(folder), weights_of(finished))


def test_the_command_says_how_to_go_on(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sparseir.train

    def stopped(*arguments: Any, **options: Any) -> None:
        raise TrainingStopped(tmp_path / "m", 2, 4)

    monkeypatch.setattr(sparseir.train, "train", stopped)
    (tmp_path / "mine.yaml").write_text(to_yaml(recipe))
    assert cli.run(["train", str(tmp_path / "mine.yaml"), "--output", str(tmp_path / "m")]) == 1
    assert capsys.readouterr().err == (
        f"stopped after step 2 of 4; a checkpoint in {tmp_path / 'm'} holds all of it; "
        f"go on with: sparseir train --resume --output {tmp_path / 'm'}\n"
    )


def test_a_second_signal_interrupts_at_once() -> None:
    clock = RunClock()
    with signals_ask(clock):
        os.kill(os.getpid(), signal.SIGINT)
        assert clock.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_time_limit_says_what_it_cut(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "m"
    cut = with_train(recipe, steps=100000, max_minutes=1e-6)
    result = train(cut, folder)
    assert result.steps == 1
    assert "train.max_minutes ended it after step 1 of 100000" in result.note
    assert "resume it with a larger train.max_minutes, or null" in result.note
    assert cli.run(["train", "--resume", "--output", str(folder)]) == 0
    assert "is finished: train.max_minutes ended it after step 1 of 100000" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="which the run has used up; raise it too"):
        train(with_train(cut, steps=200000), folder, resume=True)
    again = train(with_train(recipe, steps=3, max_minutes=None), folder, resume=True)
    assert (again.steps, again.note) == (3, "")


def test_time_is_kept_over_a_resume(recipe: Recipe, tmp_path: Path) -> None:
    clock = RunClock()
    clock.start(before=7.0)
    clock.start()
    clock.tick()
    assert 7.0 <= clock.minutes < 8.0


def test_a_stop_between_the_last_step_and_the_model_loses_nothing(
    recipe: Recipe, finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "m"

    def stop(stage: str, done: int, total: int | None) -> None:
        if (folder / "checkpoints" / "checkpoint-4" / "trainer_state.json").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder, progress=stop)
    assert not (folder / "sparseir.json").exists()
    result = train(None, folder, resume=True)
    assert result.steps == 4
    assert result.figures["info_nce"] > 0
    assert same(weights_of(folder), weights_of(finished))


@pytest.mark.parametrize(("minutes", "written"), [(1e-9, ["checkpoint-3", "checkpoint-4"]), (0.0, [])])
def test_checkpoints_by_time(recipe: Recipe, tmp_path: Path, minutes: float, written: list[str]) -> None:
    train(with_train(recipe, save_minutes=minutes), tmp_path / "m")
    assert checkpoints(tmp_path / "m") == written
    if not written:
        with pytest.raises(ConfigError, match="no checkpoint to train it on from"):
            train(with_train(recipe, save_minutes=minutes, steps=9), tmp_path / "m", resume=True)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "sparseir-run-1", "finished": true, "ended": "x"}'])
def test_a_damaged_record_is_named(finished: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "recipe.yaml").write_bytes((finished / "recipe.yaml").read_bytes())
    (tmp_path / "training.json").write_text(content)
    with pytest.raises(DataError, match=r"training\.json: not the record of a run"):
        train(None, tmp_path, resume=True)
