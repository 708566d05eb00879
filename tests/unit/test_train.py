"""Training on a model of a few thousand weights: every objective, resume to the bit, GradCache, and what stops a run."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import Recipe  # noqa: E402
from sparseir.config.regulariser import RegulariserKind  # noqa: E402
from sparseir.errors import ConfigError, DataError, SparseIRError  # noqa: E402
from sparseir.losses.regularisers import PENALTIES  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.train import train  # noqa: E402
from tests.tiny_collections import DOCUMENTS, QUERIES, write_collection, write_vectors  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

# transformers' and torch's own, about what CPUs lack
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("tiny"))


def recipe_of(base: Path, collection: Path, **changes: Any) -> Recipe:
    """A recipe of few steps; changes are section__key=value."""
    sections: dict[str, dict[str, Any]] = {
        "model": {"base": str(base), "max_document_length": 32},
        "data": {"dataset": str(collection), "max_document_length": 32, "negatives": (), "num_negatives": 1},
        "loss": {},
        "regulariser": {"ramp_steps": 2},
        "train": {"steps": 4, "batch_size": 3, "bf16": False, "device": "cpu", "log_every": 1},
    }
    for name, value in changes.items():
        section, _, key = name.partition("__")
        sections[section][key] = value
    return dataclasses.replace(
        Recipe(), **{name: dataclasses.replace(getattr(Recipe(), name), **body) for name, body in sections.items()}
    )


def weights_of(folder: Path) -> dict[str, Any]:
    return {k: v.clone() for k, v in SparseEncoder.load(folder, device="cpu").module.state_dict().items()}


def assert_equal_weights(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_leaves_a_model_its_recipe_log_and_card(base: Path, collection: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    recipe = recipe_of(
        base,
        collection,
        train__evaluate_every=2,
        data__dev_dataset=str(collection),
        data__terms_of_use="Research only.",
    )
    result = train(recipe, tmp_path / "m", progress=lambda stage, done, total: stages.append(stage))
    assert result.steps == 4
    assert "training" in stages
    lines = [json.loads(line) for line in (tmp_path / "m" / "train.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "info_nce" in line]
    assert [line["step"] for line in steps] == [1, 2, 3, 4]
    assert all(math.isfinite(line["penalty"]) for line in steps)
    assert sum("dev/ndcg_10" in line for line in lines) == 2
    assert 0 <= result.figures["dev/ndcg_10"] <= 1
    card = (tmp_path / "m" / "README.md").read_text()
    assert "inference_free" in card
    assert "Research only." in card
    vectors = SparseEncoder.load(tmp_path / "m", device="cpu").encode_documents(DOCUMENTS)
    assert len(vectors) == len(DOCUMENTS)
    assert result.summary()["steps"] == 4


def test_dropout_is_off_where_the_recipe_says_so(base: Path, collection: Path, tmp_path: Path) -> None:
    """Without dropout nothing but the order of the data is random, so one batch of everything repeats its loss."""
    first = [
        train(
            recipe_of(base, collection, train__steps=1, train__batch_size=4, train__dropout=dropout, train__seed=seed,
                      data__num_negatives=0),
            tmp_path / f"{dropout}{seed}",
        ).figures["info_nce"]
        for dropout in (False, True)
        for seed in (1, 2)
    ]  # fmt: skip
    assert first[0] == pytest.approx(first[1], rel=1e-5)
    assert first[2] != pytest.approx(first[3], rel=1e-5)


def test_equal_seeds_give_equal_models_and_others_differ(base: Path, collection: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(recipe_of(base, collection, train__seed=seed), tmp_path / name)
    assert_equal_weights(weights_of(tmp_path / "a"), weights_of(tmp_path / "b"))
    with pytest.raises(AssertionError):
        assert_equal_weights(weights_of(tmp_path / "a"), weights_of(tmp_path / "c"))


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(base: Path, collection: Path, tmp_path: Path) -> None:
    recipe = recipe_of(
        base, collection, train__steps=6, train__save_every=2, regulariser__target_active_dims=10.0, train__accumulate=2
    )
    train(recipe, tmp_path / "whole")

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "training" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts", progress=stop)
    assert not (tmp_path / "parts" / "modules.json").exists()
    assert train(recipe, tmp_path / "parts", resume=True).steps == 6
    assert_equal_weights(weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts"))


def test_a_run_that_failed_on_its_data_leaves_no_folder_in_the_way(
    base: Path, collection: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError):
        train(recipe_of(base, tmp_path / "nowhere"), tmp_path / "m")
    assert train(recipe_of(base, collection), tmp_path / "m").steps > 0


def test_another_recipe_does_not_resume_and_a_used_folder_is_kept(base: Path, collection: Path, tmp_path: Path) -> None:
    train(recipe_of(base, collection), tmp_path / "m")
    with pytest.raises(ConfigError, match="not empty"):
        train(recipe_of(base, collection), tmp_path / "m")
    with pytest.raises(ConfigError, match=r"train\.learning_rate: 2e-05 → 0\.5"):
        train(recipe_of(base, collection, train__learning_rate=0.5), tmp_path / "m", resume=True)
    with pytest.raises(ConfigError, match="nothing to resume"):
        train(recipe_of(base, collection), tmp_path / "other", resume=True)
    saved = tmp_path / "m" / "recipe.yaml"  # of a version that had no fit_bias
    saved.write_text(saved.read_text().replace("  fit_bias: true\n", ""))
    assert train(recipe_of(base, collection, train__steps=4), tmp_path / "m", resume=True).steps == 4
    # of a version whose recipes held mask_probability, which now is a constant
    saved.write_text(saved.read_text().replace("loss:\n", "loss:\n  mask_probability: 0.15\n"))
    assert train(recipe_of(base, collection, train__steps=4), tmp_path / "m", resume=True).steps == 4
    saved.write_text(saved.read_text().replace("mask_probability: 0.15", "mask_probability: 0.5"))
    with pytest.raises(ConfigError, match=r"loss\.mask_probability"):
        train(recipe_of(base, collection, train__steps=4), tmp_path / "m", resume=True)


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("kind", ["splade", "unicoil"])
def test_gradcache_equals_kept_activations(
    base: Path, kind: str, dropout: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks without dropout give the whole batch's gradients; with it, the replay draws what the forward pass drew."""
    from sparseir.config.model import ModelConfig
    from sparseir.models.towers import tower
    from sparseir.train import encoding

    encoder = SparseEncoder.from_config(ModelConfig(base=str(base), kind=kind, max_document_length=32))
    encoder.module.train(dropout)

    def gradients(chunk_size: int | None) -> list[Any]:
        torch.manual_seed(3)
        encoder.module.zero_grad()
        encode = encoding.BatchEncoder(encoder.tokenizer, chunk_size=chunk_size, bf16=False)
        encode(encoder.document_tower, DOCUMENTS, 32).square().sum().backward()
        return [p.grad.clone() for p in encoder.module.parameters() if p.grad is not None]

    monkeypatch.setattr(encoding, "_CPU_TOKENS", 20)
    replayed = gradients(3)
    if dropout:
        monkeypatch.setattr(tower, "checkpoint", lambda run, features, use_reentrant: run(features))
        assert all(torch.equal(a, b) for a, b in zip(replayed, gradients(3), strict=True))
    else:
        for other in (gradients(0), gradients(None)):
            assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(replayed, other, strict=True))


def test_bfloat16_only_where_the_device_has_it(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated products cost several times float32's: without hardware, asking for bfloat16 changes no bit."""
    from sparseir.config.model import ModelConfig
    from sparseir.train import encoding

    encoder = SparseEncoder.from_config(ModelConfig(base=str(base), kind="splade", max_document_length=32))
    encoder.module.eval()

    def vectors(bf16: bool, hardware: bool) -> torch.Tensor:
        monkeypatch.setattr(encoding, "multiplies_bfloat16", lambda device: hardware)
        encode = encoding.BatchEncoder(encoder.tokenizer, chunk_size=0, bf16=bf16)
        with torch.no_grad():
            return encode(encoder.document_tower, DOCUMENTS, 32)

    exact = vectors(False, True)
    assert torch.equal(vectors(True, False), exact)
    assert not torch.equal(vectors(True, True), exact)


def test_what_a_recipe_may_name_is_what_there_is() -> None:
    """The names are listed once more in the config, which is checked without torch."""
    from sparseir.config import loss, model
    from sparseir.models.kinds import BUILDERS
    from sparseir.train.tasks import TASKS
    from sparseir.train.tasks.ranking import LOSSES

    assert set(PENALTIES) == set(get_args(RegulariserKind))
    assert set(TASKS) == set(get_args(loss.TaskName))
    assert tuple(LOSSES) == loss.RANKING_LOSSES
    assert set(BUILDERS) == set(get_args(model.EncoderKind))


@pytest.mark.parametrize("kind", get_args(RegulariserKind))
def test_every_regulariser_runs(base: Path, collection: Path, tmp_path: Path, kind: str) -> None:
    model = "splade_doc" if kind == "idf_flops" else "inference_free"
    recipe = recipe_of(base, collection, model__kind=model, regulariser__kind=kind, train__steps=2)
    result = train(recipe, tmp_path / "m")
    assert math.isfinite(result.figures["penalty"])


@pytest.mark.parametrize("in_batch", [True, False])
def test_distillation_from_an_ensemble(base: Path, collection: Path, tmp_path: Path, in_batch: bool) -> None:
    recipe = recipe_of(
        base,
        collection,
        train__steps=2,
        data__negatives=("bm25", "dense"),
        data__neighbour_batches=True,
        data__title_queries=0.5,
        loss__teachers=("bm25", f"dense:{base}"),
        loss__kl=1.0,
        loss__margin_mse=0.05,
        loss__triplet=0.1,
        loss__in_batch=in_batch,
        regulariser__grouping="mean_of_groups",
        regulariser__l0_threshold=5,
    )
    figures = train(recipe, tmp_path / "m").figures
    assert {"info_nce", "kl", "margin_mse", "triplet"} <= set(figures)
    assert all(math.isfinite(value) for value in figures.values())


def test_sampled_terms_leave_the_ranking_loss_exact(base: Path, collection: Path, tmp_path: Path) -> None:
    """Query terms are all there, so InfoNCE is what the whole vocabulary gives; the penalty is an estimate."""
    whole = train(recipe_of(base, collection, train__steps=1, train__dropout=False), tmp_path / "a").figures
    part = train(
        recipe_of(base, collection, train__steps=1, train__dropout=False, train__sampled_terms=10), tmp_path / "b"
    ).figures
    assert part["info_nce"] == pytest.approx(whole["info_nce"], rel=1e-5)
    assert part["penalty"] != whole["penalty"]


def test_masked_lm_then_vectors_then_ranking(base: Path, collection: Path, tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.jsonl")
    warm = train(recipe_of(base, collection, loss__objective="masked_lm"), tmp_path / "1")
    assert "masked_lm" in warm.figures
    vectors = recipe_of(
        base,
        collection,
        loss__objective="vectors",
        data__vectors=(str(tmp_path / "v.jsonl"),),
        train__start_from=str(tmp_path / "1"),
        train__steps=30,
        train__learning_rate=1e-2,
        train__head_learning_rate=1e-2,
        train__idf="keep",
        regulariser__kind="none",
    )
    train(vectors, tmp_path / "2")
    lines = [json.loads(line)["vectors"] for line in (tmp_path / "2" / "train.jsonl").read_text().splitlines()]
    assert lines[-1] < 0.5 * lines[0]
    train(recipe_of(base, collection, train__start_from=str(tmp_path / "2"), train__steps=1), tmp_path / "3")
    with pytest.raises(ConfigError, match="another model"):
        train(recipe_of(base, collection, train__start_from=str(tmp_path / "2"), model__pooling="sum"), tmp_path / "4")


def test_masked_lm_in_chunks_equals_the_whole_batch(base: Path, collection: Path) -> None:
    from sparseir.train.material.batches import TextBatch
    from sparseir.train.tasks.masked_lm import MaskedLM

    def loss_and_gradients(chunk_size: int) -> tuple[float, list[Any]]:
        recipe = recipe_of(base, collection, loss__objective="masked_lm", train__chunk_size=chunk_size)
        torch.manual_seed(0)
        objective = MaskedLM(SparseEncoder.from_config(recipe.model), recipe, None)
        objective.eval()
        loss = objective(TextBatch(0, DOCUMENTS))
        loss.backward()
        return loss.item(), [p.grad for p in objective.parameters() if p.grad is not None]

    (whole, gradients), (pieces, others) = loss_and_gradients(0), loss_and_gradients(3)
    assert pieces == pytest.approx(whole, rel=1e-5)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(gradients, others, strict=True))


def test_terms_that_are_off_everywhere_learn_where_they_are_revived(
    base: Path, collection: Path, tmp_path: Path
) -> None:
    """A head whose biases start far below zero gives empty vectors; relu alone leaves it there."""
    encoder = SparseEncoder.from_config(ModelConfig(base=str(base), max_document_length=32))
    with torch.no_grad():
        encoder.document_tower.backbone.decoder.bias -= 3.0  # type: ignore[union-attr]
    encoder.save(tmp_path / "off")
    rows = [{"_id": str(i), "text": t, "vector": {"cats": 100, "park": 30}} for i, t in enumerate(DOCUMENTS)]
    (tmp_path / "v.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dims = {}
    for revive in (False, True):
        recipe = recipe_of(
            base,
            collection,
            loss__objective="vectors",
            data__vectors=(str(tmp_path / "v.jsonl"),),
            regulariser__kind="none",
            train__start_from=str(tmp_path / "off"),
            train__steps=40,
            train__learning_rate=1e-2,
            train__head_learning_rate=1e-2,
            train__sampled_terms=5,
            train__revive_terms=revive,
        )
        dims[revive] = train(recipe, tmp_path / f"{revive}").figures["active_dims"]
    assert dims[False] == 0
    assert 1 <= dims[True] <= 6


def test_stored_scores_must_be_complete(base: Path, collection: Path, tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"query": "q0", "document": "d0", "score": 1}\n')
    recipe = recipe_of(base, collection, loss__kl=1.0, loss__teachers=(f"scores:{tmp_path / 's.jsonl'}",))
    with pytest.raises(DataError, match=r"no teacher score for query 'q\d' and document 'd\d'"):
        train(recipe, tmp_path / "m")


def test_triples_with_scores(base: Path, collection: Path, tmp_path: Path) -> None:
    rows = [
        {"query": t, "positive": DOCUMENTS[d], "negatives": ["dogs", "a dose"], "scores": [3, 1, 0]}
        for _, t, d in QUERIES
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = recipe_of(
        base,
        collection,
        data__dataset=(),
        data__triples=str(tmp_path / "t.jsonl"),
        data__num_negatives=2,
        loss__in_batch=False,
        loss__margin_mse=1.0,
        loss__info_nce=0.0,
        loss__teachers=(f"scores:{tmp_path / 't.jsonl'}",),
        loss__teacher_normalise=False,
    )
    assert math.isfinite(train(recipe, tmp_path / "m").figures["margin_mse"])


def test_a_loss_that_is_not_finite_stops_with_its_batch(
    base: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sparseir.train.tasks import ranking

    monkeypatch.setattr(ranking, "info_nce", lambda scores, target, temperature: scores.sum() * float("nan"))
    with pytest.raises(SparseIRError, match=r"loss of step 1 is not finite; the batch is in .*failed_batch\.json"):
        train(recipe_of(base, collection), tmp_path / "m")
    assert len(json.loads((tmp_path / "m" / "failed_batch.json").read_text())["queries"]) == 3


class _Full(torch.autograd.Function):
    """Runs out of memory in the backward pass."""

    @staticmethod
    def forward(ctx: Any, scores: Any) -> Any:
        return scores.sum()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_no_memory_left_gives_advice(
    base: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    from sparseir.train.tasks import ranking

    def full(scores: Any, target: Any, temperature: float) -> Any:
        if direction == "backward":
            return _Full.apply(scores)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ranking, "info_nce", full)
    with pytest.raises(SparseIRError, match=r"train\.chunk_size"):
        train(recipe_of(base, collection), tmp_path / "m")


def test_no_memory_left_in_encoding_gives_advice(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseir.models import encoder as module

    def full(*args: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    encoder = SparseEncoder.load(base, device="cpu")
    monkeypatch.setattr(module, "run_tower", full)
    with pytest.raises(SparseIRError, match="batches smaller than 7 texts"):
        encoder.encode_documents(DOCUMENTS, batch_size=7)


def test_lambda_rises_by_optimiser_steps_not_by_forward_passes(base: Path, collection: Path, tmp_path: Path) -> None:
    """Three passes a step, ramp of 4 steps: λ·(1/16, 4/16, 9/16, 1, 1)."""
    recipe = recipe_of(
        base,
        collection,
        train__steps=5,
        train__accumulate=3,
        regulariser__ramp_steps=4,
        regulariser__lambda_document=0.16,
    )
    train(recipe, tmp_path / "m")
    lines = [json.loads(line) for line in (tmp_path / "m" / "train.jsonl").read_text().splitlines()]
    assert [line["lambda_document"] for line in lines] == pytest.approx([0.01, 0.04, 0.09, 0.16, 0.16])


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_controller_moves_once_an_optimiser_step(
    base: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    """λ of a step is that of all its passes; the controller then sees their mean, whatever their number."""
    from sparseir.losses.schedule import TargetSparsity
    from sparseir.train.sparsity import Sparsity

    passes: list[tuple[int, float, float]] = []  # step, λ and active dims of each forward pass
    moves: list[tuple[float, float]] = []
    documents, update = Sparsity.documents, TargetSparsity.update

    def record_pass(self: Sparsity, weights: Any, step: int, columns: Any) -> Any:
        penalty = documents(self, weights, step, columns)
        passes.append((step, self.lambda_document(step), self.active_dims))
        return penalty

    def record_move(self: TargetSparsity, active_dims: float, progress: float) -> float:
        moves.append((active_dims, progress))
        return update(self, active_dims, progress)

    monkeypatch.setattr(Sparsity, "documents", record_pass)
    monkeypatch.setattr(TargetSparsity, "update", record_move)
    recipe = recipe_of(
        base, collection, train__steps=5, train__accumulate=accumulate, regulariser__target_active_dims=10.0,
        regulariser__ramp_steps=0,
    )  # fmt: skip
    train(recipe, tmp_path / "m")
    assert [step for step, _, _ in passes] == [s for s in range(1, 6) for _ in range(accumulate)]
    assert [progress for _, progress in moves] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    for step, (seen, _) in enumerate(moves, 1):
        own = [(strength, dims) for s, strength, dims in passes if s == step]
        assert len({strength for strength, _ in own}) == 1
        assert seen == pytest.approx(sum(dims for _, dims in own) / accumulate)


def test_a_run_that_collapses_says_so(
    base: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from sparseir.train.material.columns import Columns

    monkeypatch.setattr(Columns, "active_dims", lambda self, weights: 0.2)
    train(recipe_of(base, collection, train__steps=20), tmp_path / "m")
    assert "document vectors have vanished (mean 0.20 terms)" in caplog.text


def test_document_frequencies_are_estimated_anew_every_so_many_steps() -> None:
    """Every 2 steps, two passes each: the first batch, then the mean since the last estimate; a sample counts for itself."""
    from sparseir.train.material.columns import Columns
    from sparseir.train.sparsity import DocumentFrequency

    frequency = DocumentFrequency(3)
    whole = Columns(None, 3, 3)

    def estimate(step: int, *rows: list[float], columns: Columns = whole) -> list[float]:
        penalised = frequency.of(torch.tensor(rows), columns, step, every=2)
        assert penalised.tolist() == columns.of(frequency._frequency).tolist()
        return frequency._frequency.tolist()

    assert estimate(1, [1.0, 0.0, 0.0], [2.0, 3.0, 0.0]) == [1.0, 0.5, 0.0]
    assert estimate(1, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]) == [1.0, 0.5, 0.0]
    assert estimate(2, [0.0, 0.0, 4.0], [0.0, 0.0, 4.0]) == [1.0, 0.5, 0.0]
    assert estimate(3, [0.0, 0.0, 4.0], [0.0, 0.0, 4.0]) == [0.25, 0.125, 0.5]
    again = DocumentFrequency(3)
    again.load_state_dict(frequency.state_dict())
    sampled = Columns(torch.tensor([1, 2]), 1, 3)  # term 1 exact, term 2 stands for the others
    for state in (frequency, again):
        frequency = state
        assert estimate(4, [5.0], columns=sampled) == [0.25, 0.125, 0.5]
        assert estimate(5, [0.0], columns=sampled) == [0.25, 0.125, 0.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__kind": "unicoil", "loss__objective": "masked_lm"}, "which a unicoil encoder has not"),
        ({"model__kind": "unicoil", "train__sampled_terms": 10}, "train.sampled_terms: needs queries"),
        ({"model__kind": "deepct"}, "ranking cannot train; take recall"),
        ({"model__kind": "csr", "regulariser__kind": "idf_flops"}, "idf_flops weighs words"),
        ({"loss__reconstruction": 1.0}, "loss.reconstruction: belongs to csr"),
    ],
)
def test_what_does_not_fit_together_is_named(
    base: Path, collection: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(recipe_of(base, collection, **changes), tmp_path / "m")


def test_the_time_limit_ends_a_run(base: Path, collection: Path, tmp_path: Path) -> None:
    result = train(recipe_of(base, collection, train__steps=100000, train__max_minutes=0.02), tmp_path / "m")
    assert 0 < result.steps < 100000


def test_early_stop_keeps_the_best(base: Path, collection: Path, tmp_path: Path) -> None:
    recipe = recipe_of(
        base,
        collection,
        train__steps=40,
        train__evaluate_every=1,
        train__early_stop=2,
        train__learning_rate=1e-9,
        train__head_learning_rate=1e-9,
        data__dev_dataset=str(collection),
        data__dev_documents=2,
    )
    assert train(recipe, tmp_path / "m").steps == 3


def test_collapse_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    from sparseir.train.sparsity import CollapseWatch

    watch = CollapseWatch(1000, patience=3)
    for dims in (0, 0, 5, 0, 0, 0, 0, 0):
        watch.look(dims)
    for _ in range(5):
        watch.look(900)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "vanished" in messages[0]
    assert "900 of 1000" in messages[1]


def test_a_sample_of_terms_estimates_the_whole() -> None:
    """4 exact columns and 2 of the 8 others: each sampled one stands for 4. 1·2 + 1·4 = 6 active dims."""
    from sparseir.train.material.columns import Columns

    columns = Columns(torch.tensor([0, 1, 2, 3, 7, 9]), 4, 12)
    weights = torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0, 0.0]])
    assert columns.factor == 4
    assert columns.active_dims(weights) == 6
    assert torch.equal(columns.penalised(weights), weights[:, 4:])
    assert Columns(None, 12, 12).active_dims(torch.ones(2, 12)) == 12
