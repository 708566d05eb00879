"""YAML in, frozen dataclasses out; every fault is reported, with the nearest valid name.

A section is one dataclass; files are complete: a missing key is a fault like an unknown one. No includes, no
interpolation, no environment, no class paths.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from indexer.interchange.whole import read_whole
from sparseir.errors import ConfigError, DataError

T = TypeVar("T")

_LARGEST = 1 << 16
"""Characters of the longest file read: five times the longest recipe, and what the parser takes seconds for at worst."""

_SHOWN = 120
"""Characters of a value that errors show."""

_LISTED = 10
"""Most names that an error lists when none is near; more would hide the error."""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping a YAML file holds.

    Raises
    ------
    ConfigError
        No such file, not YAML (with line and column), a key given twice, or not a mapping.
    """
    path = Path(path)
    try:
        text = read_whole(path, 4 * _LARGEST).decode().replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise ConfigError(f"no config file at {path}; `sparseir config list` names the recipes that ship") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config file {path}: {error}") from error
    except DataError as error:
        raise ConfigError(f"{error}: a config file has at most {_LARGEST} characters") from error
    if len(text) > _LARGEST:
        raise ConfigError(f"{path}: {len(text)} characters; a config file has at most {_LARGEST}")
    try:
        value = yaml.load(text, Loader=_StrictLoader)
    except Exception as error:  # of numbers and dates the parser raises what comes first
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise ConfigError(f"{place}: not valid YAML: {_yaml_fault(error)}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected sections (a mapping), found {type(value).__name__}")
    return value


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set `section.key=value` texts over a read file; the values are parsed as YAML.

    Raises
    ------
    ConfigError
        An override without `=` or without a section; unknown names are left to `build`.
    """
    merged = {name: dict(body) if isinstance(body, Mapping) else body for name, body in values.items()}
    for text in overrides:
        name, value = parse_override(text)
        section, _, key = name.partition(".")
        body = merged.setdefault(section, {})
        if not isinstance(body, dict):
            raise ConfigError(f"--set {text!r}: {section!r} is not a section")
        body[key] = value
    return merged


def parse_override(text: str) -> tuple[str, Any]:
    """`section.key=value` as ("section.key", value), the value parsed as YAML.

    Raises
    ------
    ConfigError
        No `=`, no section, or a value that is not YAML.
    """
    name, equals, raw = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not equals or not dot or not section or not key:
        raise ConfigError(f"--set takes section.key=value, not {text!r}")
    try:
        return name.strip(), yaml.load(raw, Loader=_StrictLoader)
    except Exception as error:
        raise ConfigError(f"--set {text[:80]!r}: the value is not valid YAML: {_yaml_fault(error)}") from error


def key_lines(path: str | Path) -> dict[tuple[str, ...], int]:
    """The line, from 1, of every key of a YAML file that `read_yaml` reads, by the keys that lead to it."""
    lines: dict[tuple[str, ...], int] = {}

    def walk(node: Any, where: tuple[str, ...]) -> None:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            place = (*where, str(key.value))
            lines[place] = key.start_mark.line + 1
            walk(value, place)

    read_yaml(path)  # its faults come first
    walk(yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=_StrictLoader), ())
    return lines


def build(cls: type[T], values: Mapping[str, Any], *, source: str) -> T:
    """An instance of the dataclass of sections `cls` from nested mappings.

    Raises
    ------
    ConfigError
        All faults together, one a line: unknown and missing keys, wrong types, values a section refuses.
    """
    faults: list[str] = []
    instance = _build(cls, values, (), faults)
    if faults:
        lines = "\n  ".join(faults)
        raise ConfigError(f"{source}: {len(faults)} fault{'s' if len(faults) > 1 else ''}\n  {lines}")
    assert instance is not None
    return instance


def to_mapping(config: Any) -> dict[str, Any]:
    """The plain nested mapping of a config, ready for YAML or JSON."""
    return {
        f.name: to_mapping(value)
        if dataclasses.is_dataclass(value)
        else list(value)
        if isinstance(value, tuple)
        else value
        for f in dataclasses.fields(config)
        for value in (getattr(config, f.name),)
    }


def to_yaml(config: Any) -> str:
    """A complete YAML file that builds an equal config."""
    return yaml.safe_dump(to_mapping(config), sort_keys=False, allow_unicode=True)


def _yaml_fault(error: Exception) -> str:
    """The reason, without the place that messages of PyYAML go on with for lines."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(getattr(error, "problem", None) or error).splitlines()[0][:200]


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice (YAML keeps the last in silence), aliases, and half characters.

    A recipe has no use for aliases, and ten lines of them make a value of gigabytes.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "aliases are not read; write the value out", mark)
        return super().compose_node(parent, index)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise yaml.constructor.ConstructorError(
                None, None, "half a character, which no text holds", node.start_mark
            )
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key that is a list or a mapping", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _build(cls: type[T], values: Any, where: tuple[str, ...], faults: list[str]) -> T | None:
    if not isinstance(values, Mapping):
        faults.append(f"{'.'.join(where)}: expected a section (key: value lines), found {_describe(values)}")
        return None
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    before = len(faults)
    unknown = [name for name in values if name not in fields]
    faults.extend(f"{_path(where, name)}: unknown key{_nearest(str(name), list(fields))}" for name in unknown)
    arguments: dict[str, Any] = {}
    for name in fields:
        if name not in values:
            faults.append(f"{_path(where, name)}: missing; a config file lists every key (see configs/reference.yaml)")
            continue
        if dataclasses.is_dataclass(hints[name]):
            arguments[name] = _build(hints[name], values[name], (*where, name), faults)
        else:
            arguments[name] = _convert(values[name], hints[name], _path(where, name), faults)
    if len(faults) > before:
        return None
    try:
        return cls(**arguments)
    except (ConfigError, ValueError, OverflowError) as error:  # a section's own rules, checked in __post_init__
        faults.extend(f"{'.'.join(where)}: {line}" if where else line for line in str(error).splitlines())
        return None


def _convert(value: Any, hint: Any, path: str, faults: list[str]) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            if type(None) not in arguments:
                faults.append(f"{path}: null is not a value here; expected {_name(hint)}")
            return None
        rest = [a for a in arguments if a is not type(None)]
        for option in rest:
            trial: list[str] = []
            converted = _convert(value, option, path, trial)
            if not trial:
                return converted
        faults.append(f"{path}: expected {_name(hint)}, found {_describe(value)}")
        return None
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool) != isinstance(arguments[0], bool):
            options = ", ".join(str(a) for a in arguments)
            close = _closest(str(value), arguments)
            faults.append(f"{path}: {_describe(value)} is not one of {options}{close}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            faults.append(f"{path}: expected a list, found {_describe(value)}")
            return None
        return tuple(_convert(v, arguments[0], f"{path}[{i}]", faults) for i, v in enumerate(value))
    return _convert_scalar(value, hint, path, faults)


def _convert_scalar(value: Any, hint: Any, path: str, faults: list[str]) -> Any:
    if hint is float and type(value) in (int, float, str):  # YAML 1.1 reads 1e-4, without a point, as a string
        with contextlib.suppress(ValueError, OverflowError):
            if math.isfinite(number := float(value)):
                return number
    if hint is int and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    faults.append(f"{path}: expected {_name(hint)}, found {_describe(value)}")
    return None


def _path(where: tuple[str, ...], name: Any) -> str:
    return ".".join((*where, str(name)))


def _nearest(name: str, options: Sequence[Any]) -> str:
    close = _closest(name, options)
    return close or (f"; there are {', '.join(map(str, options))}" if len(options) <= _LISTED else "")


def _closest(name: str, options: Sequence[Any]) -> str:
    close = difflib.get_close_matches(name, [str(o) for o in options], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _name(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join("null" if a is type(None) else _name(a) for a in typing.get_args(hint))
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return words.get(hint, str(hint))


def _describe(value: Any) -> str:
    if value is None:
        return "null"
    shown = f"{value!r}"
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
