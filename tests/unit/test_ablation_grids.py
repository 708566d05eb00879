"""Grids of recipes: which cells they have, and what is refused with file and line before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparseir.config.ablation import load_ablation
from sparseir.errors import ConfigError, DataError
from sparseir.evaluate.significance import compare

GRID = """\
recipe: demo
set:
  train.steps: 7
variants:
  flops: {regulariser.kind: flops}
  l1:
    regulariser.kind: l1
grid:
  regulariser.target_active_dims: [32, 64]
seeds: [0, 1]
datasets: [one, two]
"""


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.yaml"
    path.write_text(GRID)
    return path


def test_cells_are_variants_by_points_by_seeds(grid: Path) -> None:
    """A seed is whole before the next begins, so that what is done of a long grid compares all variants."""
    ablation = load_ablation(grid)
    assert [(c.seed, c.point["regulariser.target_active_dims"], c.variant) for c in ablation.cells] == [
        (seed, dims, variant) for seed in (0, 1) for dims in (32, 64) for variant in ("flops", "l1")
    ]
    for cell in ablation.cells:
        recipe = cell.recipe
        assert (recipe.regulariser.kind, recipe.train.seed, recipe.train.steps) == (cell.variant, cell.seed, 7)
        assert recipe.regulariser.target_active_dims == cell.point["regulariser.target_active_dims"]
    assert len({cell.name for cell in ablation.cells}) == 8
    assert ablation.against == "flops"


def test_a_system_is_named_as_tables_name_it(grid: Path) -> None:
    grid.write_text(GRID + "baselines: [bm25]\nagainst: BM25\nfit: null\n")
    assert (load_ablation(grid).against, load_ablation(grid).fit) == ("bm25", None)


def test_a_name_tells_recipes_apart_and_not_where_they_run(grid: Path) -> None:
    plain = load_ablation(grid).cells[0].name
    assert load_ablation(grid, ["train.device=cpu", "train.save_minutes=1"]).cells[0].name == plain
    assert load_ablation(grid, ["train.steps=8"]).cells[0].name != plain


def test_overrides_narrow_the_grid_and_reach_every_cell(grid: Path) -> None:
    ablation = load_ablation(
        grid,
        ["regulariser.target_active_dims=16", "train.batch_size=3"],
        seeds=[5],
        datasets=["three"],
        variants=["l1"],
    )
    (cell,) = ablation.cells
    assert (cell.point, cell.seed, cell.recipe.train.batch_size) == ({"regulariser.target_active_dims": 16}, 5, 3)
    assert (ablation.datasets, ablation.against) == (("three",), "l1")
    several = load_ablation(grid, ["regulariser.target_active_dims=[1, 2, 3]"])
    assert len(several.cells) == 12


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("train.steps", "train.stepz", 3, "did you mean 'train.steps'?"),
        ("[32, 64]", "[]", 9, "expected a list of one value or more, found []"),
        ("[32, 64]", "64", 9, "expected a list"),
        ("[32, 64]", "[64, 64]", 9, "a value is given twice"),
        ("[32, 64]", "[32, many]", 9, "expected"),
        ("[32, 64]", "[32, -1]", 9, "needs a target"),
        ("seeds: [0, 1]", "seeds: [0, a]", 10, "expected whole numbers"),
        ("seeds: [0, 1]", "seeds: []", 10, "expected a list"),
        ("datasets: [one, two]", "datasets: one", 11, "expected a list"),
        ("    regulariser.kind: l1", "    regulariser.kind: l2", 7, "is not one of"),
        ("    regulariser.kind: l1", "    regulariser.target_active_dims: 3", 7, "the grid has it too"),
        ("    regulariser.kind: l1", "    regulariser.kind: flops", 6, "the same recipe as"),
        ("  l1:", "  a, b:", 6, "without a comma"),
        ("recipe: demo", "recipe: demon", 1, "no recipe 'demon'"),
        ("recipe: demo", "recipes: demo", 1, "unknown key"),
        ("  train.steps: 7", "  train.seed: 7", 3, "seeds has the seeds"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nagainst: l3", 11, "no variant 'l3'"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nidf: none", 11, "neither corpus nor model"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nagainst: bm25", 11, "no variant 'bm25'; there are flops, l1, model"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nbaselines: bm25", 11, "expected a list"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nfeedback: 0", 11, "1 or more, found 0"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nfeedback: true", 11, "1 or more, found True"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nmax_active_dims: many", 11, "1 or more, found 'many'"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nbaselines: 3\nagainst: l3", 11, "expected a list"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nbaselines: [bm26]", 11, "no 'bm26'; there are bm25, dense"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nbaselines: [dense]\nfeedback: 2", 12, "no index here has any"),
        ("  l1:", "  Model:", 6, "the name of a system"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nfit: 3", 11, "expected text, found 3"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nlexical: yes please", 11, "expected true, false or settings"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nlexical: {alfa: 2}", 11, "alfa"),
        ("seeds: [0, 1]", "seeds: [0, 1]\nlexical: {alpha: -1}", 11, "alpha: expected a number of at least 0"),
    ],
)
def test_faults_name_file_and_line(grid: Path, old: str, new: str, line: int, text: str) -> None:
    assert old in GRID
    grid.write_text(GRID.replace(old, new, 1))
    with pytest.raises(ConfigError) as raised:
        load_ablation(grid)
    (first, *_) = [one for one in str(raised.value).splitlines() if text in one] or [str(raised.value)]
    assert first.startswith(f"{grid}:{line}: "), first
    assert text in first


def test_variants_or_points_alone(grid: Path) -> None:
    lines = GRID.splitlines(keepends=True)
    grid.write_text("".join(lines[:7] + lines[9:]))
    assert [c.label for c in load_ablation(grid).cells] == [
        "flops, seed 0",
        "l1, seed 0",
        "flops, seed 1",
        "l1, seed 1",
    ]
    grid.write_text("".join(lines[:3] + lines[7:]))
    assert [c.variant for c in load_ablation(grid).cells] == [""] * 4
    grid.write_text("".join(lines[:3] + lines[9:]))
    assert [(c.label, c.variant, c.point) for c in load_ablation(grid).cells] == [
        ("seed 0", "", {}),
        ("seed 1", "", {}),
    ]


def test_what_cannot_be_overridden(grid: Path) -> None:
    with pytest.raises(ConfigError, match=r"variant 'flops' of .* sets it"):
        load_ablation(grid, ["regulariser.kind=l1"])
    with pytest.raises(ConfigError, match="--variants l3"):
        load_ablation(grid, variants=["l3"])
    with pytest.raises(ConfigError, match="did you mean"):
        load_ablation(grid, ["train.stepz=3"])
    with pytest.raises(ConfigError, match="no grid of recipes 'matchd'"):
        load_ablation("matchd")


def test_the_grid_that_ships_is_whole() -> None:
    """Every regulariser and both forms of IDF-FLOPS, at equal targets."""
    ablation = load_ablation("matched_sparsity")
    recipes = [cell.recipe for cell in ablation.cells]
    assert {r.regulariser.kind for r in recipes} == {"flops", "idf_flops", "l1", "df_flops"}
    assert any(r.regulariser.l0_threshold for r in recipes)
    assert {r.model.activation for r in recipes} == {"log1p", "double_log1p"}
    assert all(r.regulariser.target_active_dims for r in recipes)
    points = len(ablation.grid["regulariser.target_active_dims"])
    assert len(recipes) == len(ablation.variants) * points * len(ablation.seeds)


def test_the_seeds_of_the_general_encoder_are_its_recipe(grid: Path) -> None:
    """What is reported is the recipe as it ships, not one of its own."""
    from sparseir.config.loader import to_mapping
    from sparseir.config.recipe import differences, load_recipe

    ablation = load_ablation("general_seeds")
    general = to_mapping(load_recipe("general"))
    for cell in ablation.cells:
        assert set(differences(general, to_mapping(cell.recipe))) <= {"train.seed"}
    assert (ablation.seeds, ablation.against, ablation.max_active_dims) == ((0, 1, 2), "bm25", 64)


def test_seeds_are_averaged_and_variants_compared_at_equal_points(grid: Path) -> None:
    """Deviations are those of a sample; the paired test sees each query's mean over seeds."""
    pytest.importorskip("scipy", reason="the extra 'evaluate' is not installed")
    from sparseir.ablate.summary import Finished, ablation_table, summarise

    ablation = load_ablation(grid, datasets=["one"])
    values = {("flops", 0): [0.0, 0.4], ("flops", 1): [0.2, 0.6], ("l1", 0): [1.0, 0.5]}

    def row(measured: list[float], terms: float) -> dict[str, object]:
        mean = float(np.mean(measured))
        names = ablation.measures
        costs = dict.fromkeys(("query_terms", "flops", "bytes_per_document", "p50_ms", "p95_ms", "encode_seconds"))
        return {
            **{
                "dataset": "one",
                "system": "model",
                "split": "test",
                "group": "",
                "num_documents": 3,
                "num_queries": 2,
                "document_terms": terms,
            },
            **costs,
            "measures": dict.fromkeys(names, mean),
            "per_query": {name: dict(zip("ab", measured, strict=True)) for name in names},
        }

    point = {"regulariser.target_active_dims": 32}
    finished = [Finished(v, point, seed, [row(of, 30.0 + seed)]) for (v, seed), of in values.items()]
    first, second = summarise(ablation, finished)
    assert first.measures["nDCG@10"] == pytest.approx((0.3, 0.2 / np.sqrt(2)))
    assert first.costs == {"document_terms": pytest.approx((30.5, np.sqrt(0.5)))}
    assert second.measures["nDCG@10"] == pytest.approx((0.75, None), nan_ok=True)
    assert first.comparison is None
    by_hand = compare({"flops": np.array([0.1, 0.5]), "l1": np.array([1.0, 0.5])}, "flops")
    assert second.comparison == by_hand["l1"]
    header, rows = ablation_table([first, second], ["nDCG@10"])
    assert header == ["variant", "target_active_dims", "nDCG@10", "doc terms", "seeds", "difference", "p (Holm)"]
    assert rows[0] == ["flops", "32", "0.3000 ± 0.1414", "30.5 ± 0.7", "2", "–", "–"]
    assert rows[1][:5] == ["l1", "32", "0.7500", "30.0", "1"]


def test_systems_beside_the_model_are_compared_with_a_baseline_or_the_model(grid: Path) -> None:
    """Baselines stand at no point and have no seeds; what is compared with one of them shares one correction."""
    pytest.importorskip("scipy", reason="the extra 'evaluate' is not installed")
    from sparseir.ablate.summary import Finished, ablation_table, labels, summarise
    from sparseir.evaluate.significance import holm

    lines = GRID.splitlines(keepends=True)
    grid.write_text("".join(lines[:3] + lines[9:]) + "baselines: [bm25]\nlexical: {alpha: 3}\nmeasures: [nDCG@10]\n")
    ablation = load_ablation(grid)
    assert ablation.lexical is not None
    assert (ablation.lexical.alpha, ablation.lexical.k1, ablation.against) == (3.0, 0.9, "bm25")
    generator = np.random.default_rng(0)

    def row(dataset: str, system: str) -> dict[str, object]:
        values = generator.random(20)
        names = ("document_terms", "query_terms", "flops", "bytes_per_document", "p50_ms", "p95_ms", "encode_seconds")
        return {
            **dict.fromkeys(names),
            **{"dataset": dataset, "system": system, "split": "test", "group": ""},
            **{"num_documents": 3, "num_queries": 20, "measures": {"nDCG@10": float(values.mean())}},
            "per_query": {"nDCG@10": dict(zip("abcdefghijklmnopqrst", values.tolist(), strict=True))},
        }

    baselines = [row(dataset, "BM25") for dataset in ("one", "two")]
    finished = [
        Finished("", {}, seed, [row(d, s) for d in ("one", "two") for s in ("model", "model+lexical")])
        for seed in (0, 1)
    ]
    rows = summarise(ablation, finished, baselines)
    assert [(r.dataset, r.system, r.seeds) for r in rows] == [
        (dataset, system, seeds)
        for dataset in ("one", "two", "mean")
        for system, seeds in (("BM25", ()), ("model", (0, 1)), ("model+lexical", (0, 1)))
    ]

    def values(dataset: str, system: str) -> np.ndarray:
        found = [r for f in finished for r in f.rows if (r["dataset"], r["system"]) == (dataset, system)]
        return np.mean([list(r["per_query"]["nDCG@10"].values()) for r in found or baselines[:1]], axis=0)

    by_hand = compare({s: values("one", s) for s in ("BM25", "model", "model+lexical")}, "BM25")
    first = rows[:3]
    assert first[0].comparison is None
    for one in first[1:]:
        assert one.comparison is not None
        assert one.comparison.p_holm == by_hand[one.system].p_holm
        assert one.comparison.difference == by_hand[one.system].difference
        assert one.comparison.against == "bm25"
    assert holm([r.comparison.p for r in first if r.comparison]) == [r.comparison.p_holm for r in first if r.comparison]
    mean_of_seeds = np.mean([f.rows[2]["measures"]["nDCG@10"] for f in finished])
    assert rows[4].measures["nDCG@10"].mean == pytest.approx(mean_of_seeds)
    header, cells = ablation_table(first, ["nDCG@10"])
    assert header == ["system", "nDCG@10", "seeds", "difference", "p (Holm)"]
    assert [c[0] for c in cells] == labels(first) == ["BM25", "model", "model+lexical"]
    assert cells[0][2:] == ["–", "–", "–"]

    shuffled = dict(reversed(baselines[0]["per_query"]["nDCG@10"].items()))  # type: ignore[index]
    again = summarise(ablation, finished, [{**baselines[0], "per_query": {"nDCG@10": shuffled}}, baselines[1]])
    for one, other in zip(again[:3], first, strict=True):
        assert one.measures == other.measures
        if one.comparison is not None and other.comparison is not None:  # resampling takes the queries in another order
            assert one.comparison.difference == pytest.approx(other.comparison.difference)
            assert (one.comparison.wins, one.comparison.losses) == (other.comparison.wins, other.comparison.losses)
    shuffled["z"] = shuffled.pop("a")
    with pytest.raises(DataError, match=r"one: .* was judged on 20 queries that are not the 20 of another system"):
        summarise(ablation, finished, [{**baselines[0], "per_query": {"nDCG@10": shuffled}}])

    alone = summarise(load_ablation(_against(grid, "model")), finished, baselines)
    assert [r.comparison is None for r in alone[:3]] == [True, True, False]


def _against(grid: Path, system: str) -> Path:
    path = grid.with_name("other.yaml")
    path.write_text(grid.read_text() + f"against: {system}\n")
    return path
