from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from sparseir.config.loader import apply_overrides, build, read_yaml, to_yaml
from sparseir.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    rate: float
    steps: int
    mode: Literal["max", "sum"]
    names: tuple[str, ...]
    limit: int | None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps: expected at least 1, found {self.steps}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    train: Inner


GOOD = {"train": {"rate": 1, "steps": 3, "mode": "max", "names": ["a"], "limit": None}}


def test_types_are_kept_and_whole_numbers_serve_as_numbers():
    config = build(Outer, GOOD, source="x.yaml")
    assert config.train == Inner(rate=1.0, steps=3, mode="max", names=("a",), limit=None)
    assert isinstance(config.train.rate, float)


def test_yaml_round_trip(tmp_path):
    config = build(Outer, GOOD, source="x.yaml")
    path = tmp_path / "x.yaml"
    path.write_text(to_yaml(config))
    assert build(Outer, read_yaml(path), source="x") == config


def test_a_number_without_a_point_is_a_number(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("train: {rate: 1e-4, steps: 3, mode: max, names: [], limit: 5}")
    assert build(Outer, read_yaml(path), source="x").train.rate == 1e-4


def test_every_fault_is_reported_with_the_nearest_name():
    bad = {"train": {"rate": "fast", "stepz": 3, "mode": "mx", "names": "a", "limit": True}, "trian": {}}
    with pytest.raises(ConfigError) as caught:
        build(Outer, bad, source="x.yaml")
    text = str(caught.value)
    assert "x.yaml: 7 faults" in text
    for part in (
        "trian: unknown key; did you mean 'train'?",
        "train.stepz: unknown key; did you mean 'steps'?",
        "train.steps: missing",
        "train.rate: expected a number, found 'fast'",
        "train.mode: 'mx' is not one of max, sum; did you mean 'max'?",
        "train.names: expected a list, found 'a'",
        "train.limit: expected a whole number or null, found True",
    ):
        assert part in text


def test_a_sections_own_rule_names_the_section():
    bad = {"train": {**GOOD["train"], "steps": 0}}
    with pytest.raises(ConfigError, match="train: steps: expected at least 1, found 0"):
        build(Outer, bad, source="x.yaml")


def test_overrides_parse_as_yaml_and_go_through_the_same_checks():
    merged = apply_overrides(GOOD, ["train.rate=2e-5", "train.limit=7", "train.names=[b, c]"])
    config = build(Outer, merged, source="x.yaml")
    assert (config.train.rate, config.train.limit, config.train.names) == (2e-5, 7, ("b", "c"))
    assert GOOD["train"]["limit"] is None
    with pytest.raises(ConfigError, match=r"train\.limt: unknown key; did you mean 'limit'"):
        build(Outer, apply_overrides(GOOD, ["train.limt=7"]), source="x.yaml")


@pytest.mark.parametrize("text", ["train.rate", "rate=3", "=3", "train.=1"])
def test_a_malformed_override_is_named(text):
    with pytest.raises(ConfigError, match=r"--set takes section\.key=value"):
        apply_overrides(GOOD, [text])


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: 1\na: 2\n", ":2: .*given twice"), ("- 1\n", "expected sections"), ("a: [1\n", "not valid YAML")],
)
def test_files_that_are_not_sections(tmp_path, content, message):
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_yaml(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no config file at"):
        read_yaml(tmp_path / "none.yaml")
