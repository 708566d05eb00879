"""The recipes that ship: complete, valid, and the reference lists every key at its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sparseir.config.recipe import Recipe, load_recipe
from sparseir.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_complete_and_says_what_it_is(path: Path) -> None:
    load_recipe(path)
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_the_reference_holds_every_key_at_its_default() -> None:
    assert load_recipe(CONFIGS / "reference.yaml") == Recipe()


NAVER = {
    "train.steps": 150_000, "train.batch_size": 128, "train.learning_rate": 2e-5, "train.warmup_steps": 6000,
    "data.max_document_length": 256, "data.num_negatives": 1, "regulariser.ramp_steps": 50_000,
    "regulariser.grouping": "mean_of_groups", "train.weight_decay": 0.01,
}  # naver/splade, conf/  # fmt: skip
OPENSEARCH = {
    "train.steps": 2000, "train.learning_rate": 2e-5, "train.warmup_steps": 200, "train.weight_decay": 0.01,
    "train.max_grad_norm": None, "model.max_document_length": 512, "data.max_document_length": 512, "data.num_negatives": 2,
    "regulariser.ramp_steps": 200, "regulariser.grouping": "sum_of_positions",
    "model.base": "opensearch-project/opensearch-neural-sparse-encoding-doc-v2-mini",
}  # opensearch-sparse-model-tuning-sample, configs/config_kd.yaml and config_infonce.yaml  # fmt: skip
TEVATRON = {
    "train.learning_rate": 5e-6, "train.batch_size": 8, "data.num_negatives": 7, "model.max_query_length": 16,
    "model.base": "google-bert/bert-base-uncased",
}  # luyug/COIL: 8 queries with groups of 8 passages  # fmt: skip

PUBLISHED = {
    "splade_sum": NAVER | {"model.pooling": "sum", "loss.in_batch": "positives"},
    "splade_max": NAVER | {
        "regulariser.lambda_query": 3e-4, "regulariser.lambda_document": 1e-4, "loss.in_batch": "positives",
    },
    "splade_doc": NAVER | {"regulariser.lambda_document": 1e-4, "loss.in_batch": "positives"},
    "splade_pp": NAVER | {"loss.margin_mse": 1.0, "regulariser.lambda_query": 0.5, "regulariser.lambda_document": 0.4},
    "splade_v3": {
        "loss.kl": 0.99, "loss.margin_mse": 0.05, "loss.margin_mse_all_pairs": True, "data.num_negatives": 8,
    },  # arXiv:2403.06789
    "opensearch_doc_pretrain": {
        "loss.teacher_scale": 10.0, "loss.teacher_normalise": True, "loss.kl": 1.0, "loss.in_batch": True,
        "regulariser.grouping": "sum_of_positions",
    },  # arXiv:2411.04403, section 4.2
    "opensearch_doc_kd": OPENSEARCH | {
        "loss.teacher_scale": 30.0, "loss.teacher_normalise": True, "loss.in_batch": True, "loss.kl": 1.0,
        "regulariser.lambda_document": 0.002, "train.batch_size": 12, "loss.teachers": (
            "dense:Alibaba-NLP/gte-large-en-v1.5", "sparse:opensearch-project/opensearch-neural-sparse-encoding-v1",
        ),
    },
    "inference_free_infonce": OPENSEARCH | {
        "loss.info_nce": 1.0, "loss.in_batch": "negatives", "regulariser.lambda_document": 0.05, "train.batch_size": 15,
    },
    "l0": {
        "train.steps": 100_000, "train.batch_size": 160, "train.learning_rate": 2e-5, "train.warmup_steps": 6000,
        "train.max_grad_norm": None, "train.weight_decay": 0.01, "model.base": "Luyu/co-condenser-marco",
        "data.max_document_length": 256, "loss.kl": 1.0, "loss.in_batch": False, "data.num_negatives": 1,
        "regulariser.l0_threshold": 150, "regulariser.lambda_document": 0.08, "regulariser.ramp_steps": 40_000,
        "regulariser.grouping": "sum_of_positions", "model.activation": "double_log1p",
    },  # opensearch-sparse-model-tuning-sample, configs/config_l0.yaml, on 8 devices
    "idf_flops": {"regulariser.kind": "idf_flops", "model.kind": "splade_doc"},  # arXiv:2411.04403, eq. 7
    "trainable_idf": {"model.trainable_idf": True, "train.idf_learning_rate": 1e-3},
    "csr": {
        "loss.reconstruction": 1.0, "loss.info_nce": 0.1, "loss.temperature": 0.2, "model.csr_k": 32,
        "model.csr_expansion": 4, "model.csr_dead_after": 30, "model.csr_normalise": True, "data.num_negatives": 0,
        "train.learning_rate": 4e-5, "train.weight_decay": 0.0, "train.adam_epsilon": 6.25e-10,
        "train.max_grad_norm": None,
    },  # CSR_Adaptive_Rep, main.py and Text/Text_Retrieval/train_CSR_models.py
    "df_flops": {"regulariser.kind": "df_flops", "regulariser.df_every": 100},
    "unicoil": TEVATRON | {
        "model.max_document_length": 192, "data.max_document_length": 192, "model.expansion_separator": True,
    },  # luyug/COIL, uniCOIL/README.md; castorini/pyserini, encode/_unicoil.py
    "coil_tok": TEVATRON | {"model.max_document_length": 128, "data.max_document_length": 128, "model.token_dim": 32},
    "coil_full": TEVATRON
    | {
        "model.max_document_length": 128, "data.max_document_length": 128, "model.token_dim": 32, "model.cls_dim": 768,
        "model.kind": "coil_full",
    },  # luyug/COIL, README: --cls_dim 768 --token_dim 32
    "deepct": {
        "loss.objective": "recall", "model.deepct_stemmer": "porter", "model.deepct_k1": 10.0, "model.deepct_b": 0.9,
        "train.batch_size": 16, "train.learning_rate": 2e-5, "train.steps": 65_816,
        "train.warmup_steps": 6582, "model.max_document_length": 128, "data.max_document_length": 128,
        "train.weight_decay": 0.01, "train.adam_epsilon": 1e-6, "train.max_grad_norm": 1.0,
        "model.base": "google-bert/bert-base-uncased",
    },  # AdeDZY/DeepCT: README (model.ckpt-65816), run_deepct.py, optimization.py of BERT
    "deepimpact": {
        "model.word_vocabulary": 65536, "data.num_negatives": 1, "loss.in_batch": False, "loss.info_nce": 1.0,
        "model.expansion_separator": True,
    },  # arXiv:2104.12016: pairs
}  # fmt: skip
"""What the papers, model cards and toolkits state of each recipe, with where it is stated."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_hold_the_published_values(name: str) -> None:
    recipe = load_recipe(CONFIGS / f"{name}.yaml")
    found = {}
    for path in PUBLISHED[name]:
        section, _, key = path.partition(".")
        found[path] = getattr(getattr(recipe, section), key)
    assert found == PUBLISHED[name]


def test_the_list_of_what_ran_names_every_recipe_once() -> None:
    page = (CONFIGS.parent / "docs" / "training.md").read_text(encoding="utf-8")
    section = page.partition("## Recipes, and what of them ran")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (full|shortened|two steps)\b.*\|$", section, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted({p.stem for p in CONFIGS.glob("*.yaml")} - {"reference"})


def test_general_learns_from_nothing_it_is_judged_on() -> None:
    for name in ("general", "general_ranked"):
        data = load_recipe(CONFIGS / f"{name}.yaml").data
        sources = " ".join((*data.datasets, *data.vectors))
        assert not any(judged in sources for judged in ("scifact", "nfcorpus", "msmarco", "cranfield"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.kl=1.0", "kl and margin_mse learn from teachers"),
        ("loss.teachers=[elephant]", "'elephant' is not bm25"),
        ("loss.info_nce=0.0", "all ranking losses have weight 0"),
        ("regulariser.kind=flop", "did you mean 'flops'"),
        ("regulariser.df_alpha=1.0", "strictly between 0 and 1"),
        ("regulariser.target_active_dims=-1.0", "needs a target"),
        ("data.title_queries=2.0", "a share from 0 to 1"),
        ("data.max_queries=0", "max_queries: expected at least 1 or null"),
        ("train.steps=0", "steps: expected at least 1"),
        ("train.early_stop=2", "needs evaluate_every"),
        ("train.learning_rate=0.0", "learning_rate: expected a positive number"),
        ("train.step=3", "did you mean 'steps'"),
        ("train.save_minutes=-1", "save_minutes: expected a number of at least 0"),
        ("train.weight_decay=-1", "weight_decay: expected a number of at least 0"),
        ("train.max_grad_norm=0", "max_grad_norm: expected a positive number or null"),
        ("loss.in_batch=some", "in_batch: expected true or false or"),
        ("regulariser.kind=idf_flops", "take model.kind splade_doc, or flops"),
    ],
)
def test_wrong_values_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(CONFIGS / "reference.yaml", [override])
