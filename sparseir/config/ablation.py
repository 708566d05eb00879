"""A grid of recipes: what `sparseir ablate` trains and compares."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparseir.config.lexical import LexicalConfig
from sparseir.config.loader import build, key_lines, parse_override, read_yaml, to_mapping
from sparseir.config.recipe import Recipe, load_recipe
from sparseir.config.recipes import ablation_path
from sparseir.errors import ConfigError

_KEYS = (
    "recipe", "set", "variants", "grid", "seeds", "datasets", "split", "measures", "idf", "max_active_dims", "baselines",
    "lexical", "feedback", "fit", "against",
)  # fmt: skip
_NEEDED = ("recipe", "seeds", "datasets")
BASELINES = ("bm25", "dense")
"""What an evaluation may run beside models."""

MODEL = "model"
"""The system of a cell that is its model alone, in `against` and in tables."""

NEUTRAL = (
    "data.data_dir", "data.terms_of_use", "data.workers", "loss.teacher_cache", "train.chunk_size", "train.device",
    "train.keep_checkpoints", "train.log_every", "train.save_every", "train.save_minutes",
)  # fmt: skip
"""Keys that a cell may change without being another cell: where it runs and what it writes when."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run of a grid.

    Parameters
    ----------
    variant : name of its encoder and regulariser; "" where the grid has none. point : grid key → value.
    seed : of training. recipe : in full. name : of its folder, which tells its recipe from every other.
    """

    variant: str
    point: Mapping[str, Any]
    seed: int
    recipe: Recipe = field(repr=False)

    @property
    def label(self) -> str:
        """For a person: variant, point and seed."""
        values = [f"{key.rpartition('.')[2]} {plain(value)}" for key, value in self.point.items()]
        return ", ".join(filter(None, (self.variant, *values, f"seed {self.seed}")))

    @property
    def name(self) -> str:
        sections = to_mapping(self.recipe)
        for key in NEUTRAL:
            section, _, name = key.partition(".")
            del sections[section][name]
        digest = hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()[:8]
        return f"{re.sub(r'[^a-z0-9]+', '-', self.label.lower()).strip('-')[:80]}-{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """A grid, whole: every recipe of it was made and found without fault.

    Parameters
    ----------
    name : of the file. cells : one training run each: all variants at a point beside each other, all of a seed before the next.
    grid : recipe key → its values. variants : name → the keys it sets; one with the name "" where none are given.
    seeds, datasets : as given. split, measures : for the evaluation. idf : "corpus" or "model", as in `evaluate`.
    max_active_dims : terms of a model that each document keeps, the heaviest; None for all.
    baselines : systems that no cell trains, judged once: of bm25 and dense.
    lexical : each model is also judged with this channel of words beside it; None for none.
    feedback : documents that a second search takes words from, in indexes with words; None for none.
    fit : split that query weights are fitted to, for a further row of each index; None for none.
    against : variant that the others are compared with at equal points; or a baseline, or `MODEL` for each model alone,
        that all systems are. Where the file does not say, its first variant, else the first baseline, else the model.
    """

    name: str
    cells: tuple[Cell, ...] = field(repr=False)
    grid: Mapping[str, Sequence[Any]]
    variants: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    datasets: tuple[str, ...]
    split: str
    measures: tuple[str, ...]
    idf: str
    max_active_dims: int | None = None
    baselines: tuple[str, ...] = ()
    lexical: LexicalConfig | None = None
    feedback: int | None = None
    fit: str | None = None
    against: str = MODEL


def load_ablation(
    given: str | Path,
    overrides: Sequence[str] = (),
    *,
    seeds: Sequence[int] | None = None,
    datasets: Sequence[str] | None = None,
    variants: Sequence[str] | None = None,
) -> Ablation:
    """The grid of a shipped name or a YAML file, its recipes built.

    Parameters
    ----------
    given : a name of configs/ablations, or a file.
    overrides : `section.key=value`. A key of the grid keeps this value alone, or those of a list; any other is set in all
        cells.
    seeds, datasets, variants : in place of those of the file; of the variants some, by name.

    Raises
    ------
    ConfigError
        Every fault of the file, one a line with its place: unknown keys, empty lists, values that no recipe takes.
    """
    path = ablation_path(given)
    found = _Faults(path, key_lines(path))
    values = read_yaml(path)
    _check_shape(values, found)
    if isinstance(values.get("recipe"), str):
        _check_recipe(values["recipe"], found)
    found.raise_any()
    grid = {key: list(points) for key, points in (values.get("grid") or {}).items()}
    everywhere, known = dict(values.get("set") or {}), values.get("variants") or {"": {}}
    for key, value in map(parse_override, overrides):
        if key in grid:
            grid[key] = value if isinstance(value, list) else [value]
        elif taken := [name for name, keys in known.items() if key in keys]:
            raise ConfigError(f"--set {key}: variant {taken[0]!r} of {path} sets it; leave it out with --variants")
        elif key == "train.seed":
            raise ConfigError("--set train.seed: --seeds has the seeds")
        elif key not in (keys := recipe_keys()):
            raise ConfigError(f"--set {key}: no key of a recipe{_nearest(key, keys)}")
        else:
            everywhere[key] = value
    chosen = known if variants is None else _chosen(known, variants, path)
    seeds = tuple(values["seeds"] if seeds is None else seeds)
    cells = _cells(values["recipe"], everywhere, chosen, grid, seeds, found)
    found.raise_any()
    against = values.get("against")
    if against is not None and against not in known:
        against = against.casefold()  # a system's, as tables write it
    if against is None or (against in known and against not in chosen):
        against = next(iter(chosen)) or next(iter(values.get("baselines") or ()), MODEL)
    return Ablation(
        name=path.stem,
        cells=tuple(cells),
        grid=grid,
        variants=chosen,
        seeds=seeds,
        datasets=tuple(values["datasets"] if datasets is None else datasets),
        split=values.get("split", "test"),
        measures=tuple(values.get("measures", ("nDCG@10", "RR@10", "R@100"))),
        idf=values.get("idf", "corpus"),
        max_active_dims=values.get("max_active_dims"),
        baselines=tuple(values.get("baselines") or ()),
        lexical=_channel(values.get("lexical")),
        feedback=values.get("feedback"),
        fit=values.get("fit"),
        against=against,
    )


class _Faults:
    """What is wrong with a file, line by line."""

    def __init__(self, path: Path, lines: Mapping[tuple[str, ...], int]) -> None:
        self._path, self._lines, self._found = path, lines, dict[str, None]()

    def add(self, place: Sequence[str], text: str) -> None:
        """A fault at a key of the file, or at the nearest one above that is in it."""
        keys = tuple(map(str, place))
        line = next((self._lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self._lines), 1)
        self._found[f"{self._path}:{line}: {text}"] = None

    def raise_any(self) -> None:
        if self._found:
            raise ConfigError("\n".join(self._found))


def _check_shape(values: Mapping[str, Any], found: _Faults) -> None:
    """Sections that are there, of the right kind, over keys that recipes have."""
    for key in values:
        if key not in _KEYS:
            found.add((str(key),), f"{key}: unknown key; there are {', '.join(_KEYS)}")
    for key in _NEEDED:
        if key not in values:
            found.add((), f"{key}: missing; a grid has {', '.join(_NEEDED)}")
    for key in ("recipe", "split", "idf", "fit", "against"):
        optional = key in ("fit", "against") and values.get(key) is None
        if key in values and not optional and not isinstance(values[key], str):
            found.add((key,), f"{key}: expected text, found {values[key]!r}")
    if values.get("idf", "corpus") not in ("corpus", "model"):
        found.add(("idf",), f"idf: {values['idf']!r} is neither corpus nor model")
    for key, kind in (("seeds", int), ("datasets", str), ("measures", str)):
        _check_list((key,), values.get(key, [kind()]), kind, found)
    _check_systems(values, found)
    _check_keys(("set",), values.get("set") or {}, found)
    grid, variants = values.get("grid") or {}, values.get("variants") or {}
    if _check_keys(("grid",), grid, found):
        for key, points in grid.items():
            _check_list(("grid", key), points, object, found)
    if not isinstance(variants, Mapping):
        found.add(("variants",), f"variants: expected names over keys of recipes, found {variants!r}")
        return
    for name, keys in variants.items():
        if not isinstance(name, str) or "," in name:
            found.add(("variants", str(name)), f"{name}: the name of a variant is a text without a comma")
        if _check_keys(("variants", str(name)), keys if keys is not None else {}, found):
            for key in set(keys or ()) & set(grid if isinstance(grid, Mapping) else ()):
                found.add(("variants", str(name), key), f"{key}: the grid has it too; one of the two decides")


def _check_systems(values: Mapping[str, Any], found: _Faults) -> None:
    """What is judged beside the models, and what is compared with."""
    baselines, variants = values.get("baselines"), values.get("variants")
    if baselines is not None and baselines != []:
        _check_list(("baselines",), baselines, str, found)
    named = [name for name in baselines if isinstance(name, str)] if isinstance(baselines, list) else []
    for name in named:
        if name not in BASELINES:
            found.add(("baselines",), f"baselines: no {name!r}; there are {', '.join(BASELINES)}")
    for key, of in (("feedback", "hits are read"), ("max_active_dims", "terms a document keeps")):
        number = values.get(key)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            found.add((key,), f"{key}: expected how many {of}, 1 or more, found {number!r}")
    lexical = values.get("lexical")
    try:
        _channel(lexical)
    except ConfigError as error:
        found.add(("lexical",), " ".join(str(error).split()))
    if values.get("feedback") is not None and lexical in (None, False) and "bm25" not in named:
        found.add(("feedback",), "feedback: adds words, and no index here has any; name lexical, or bm25 in baselines")
    variants = list(map(str, variants)) if isinstance(variants, Mapping) else []
    for name in variants:
        if name.casefold() in (*BASELINES, MODEL):
            found.add(("variants", name), f"{name}: the name of a system, which against could not tell from a variant")
    against = values.get("against")
    if isinstance(against, str) and against not in variants and against.casefold() not in (*named, MODEL):
        there = ", ".join([*variants, *named, MODEL])
        found.add(("against",), f"against: no variant {against!r}; there are {there}")


def _channel(given: Any) -> LexicalConfig | None:
    """The settings of the channel: true for its defaults, or those that differ."""
    if given is None or given is False:
        return None
    if given is not True and not isinstance(given, Mapping):
        raise ConfigError(f"lexical: expected true, false or settings of the channel, found {given!r}")
    settings = {} if given is True else dict(given)
    return build(LexicalConfig, to_mapping(LexicalConfig()) | settings, source="lexical")


def _check_recipe(recipe: str, found: _Faults) -> None:
    try:
        load_recipe(recipe)
    except ConfigError as error:
        found.add(("recipe",), " ".join(str(error).split()))


def _check_list(place: tuple[str, ...], values: Any, kind: type, found: _Faults) -> None:
    name = ".".join(place)
    if not isinstance(values, list) or not values:
        found.add(place, f"{name}: expected a list of one value or more, found {values!r}")
        return
    words = {int: "whole numbers", str: "texts", object: "values"}[kind]
    if any(not isinstance(v, kind) or (kind is int and isinstance(v, bool)) for v in values):
        found.add(place, f"{name}: expected {words}, found {values!r}")
    elif len({json.dumps(v, sort_keys=True, default=str) for v in values}) < len(values):
        found.add(place, f"{name}: a value is given twice: {values!r}")


def _check_keys(place: tuple[str, ...], keys: Any, found: _Faults) -> bool:
    """Whether it is a mapping; its keys are section.key of a recipe."""
    if not isinstance(keys, Mapping):
        found.add(place, f"{'.'.join(place)}: expected section.key: value lines, found {keys!r}")
        return False
    known = recipe_keys()
    for key in keys:
        if key == "train.seed":
            found.add((*place, key), "train.seed: seeds has the seeds")
        elif key not in known:
            found.add((*place, str(key)), f"{key}: no key of a recipe{_nearest(str(key), known)}")
    return True


def recipe_keys() -> list[str]:
    """Every `section.key`."""
    return [f"{section}.{key}" for section, body in to_mapping(Recipe()).items() for key in body]


def _nearest(name: str, known: Sequence[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "; `sparseir config show demo` prints them"


def _chosen(known: Mapping[str, Any], names: Sequence[str], path: Path) -> dict[str, Any]:
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        there = ", ".join(map(repr, filter(None, known))) or "none"
        raise ConfigError(f"--variants {', '.join(unknown)}: {path} has {there}")
    return {name: known[name] for name in names}


def _cells(
    recipe: str,
    everywhere: Mapping[str, Any],
    variants: Mapping[str, Any],
    grid: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    found: _Faults,
) -> list[Cell]:
    """All cells whose recipes can be made; the faults of the others are noted."""
    out: dict[str, Cell] = {}
    for seed, *values, (variant, keys) in itertools.product(seeds, *grid.values(), variants.items()):
        point = dict(zip(grid, values, strict=True))
        changed = {**everywhere, **point, **(keys or {}), "train.seed": seed}
        try:
            recipe_of_cell = load_recipe(recipe, [_override(item) for item in changed.items()])
        except ConfigError as error:
            text = " ".join(str(error).split())
            given_keys = (*point, *(keys or ()), *everywhere)
            named = next((k for k in given_keys if k in text or k.replace(".", ": ", 1) in text), None)
            found.add(_place(named, variant, point, keys or ()), f"{variant or recipe}: {text}")
            continue
        cell = Cell(variant, point, seed, recipe_of_cell)
        if (other := out.setdefault(cell.name.rpartition("-")[2], cell)) is not cell:
            found.add(("variants", variant), f"{cell.label}: the same recipe as {other.label}")
    return list(out.values())


def _place(named: str | None, variant: str, point: Mapping[str, Any], keys: Collection[str]) -> tuple[str, ...]:
    """Where a file sets the key that an error names."""
    if named is None:
        return ("variants", variant) if variant else ("recipe",)
    return ("grid", named) if named in point else ("variants", variant, named) if named in keys else ("set", named)


def _override(item: tuple[str, Any]) -> str:
    return f"{item[0]}={json.dumps(item[1], ensure_ascii=False)}"


def plain(value: Any) -> str:
    """A value of the grid, short: numbers without an empty fraction, lists without brackets."""
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(plain, value)) if isinstance(value, list) else str(value)
