"""The API reference is made of docstrings: every public name has one, which names its parameters and its errors."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

MODULES = ("sparseir", "indexer")


def names() -> Iterator[tuple[str, Any]]:
    """(module.name, object) of everything public, constants aside."""
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            value = getattr(importlib.import_module(module), name)
            if not isinstance(value, str):
                yield f"{module}.{name}", value


def callables() -> Iterator[tuple[str, Callable[..., Any], bool]]:
    """(name, function, whether it is a function of its own) of public functions, methods and properties."""
    for name, value in names():
        if not inspect.isclass(value):
            yield name, value, True
            continue
        for kind in (k for k in reversed(value.__mro__) if k.__module__.partition(".")[0] in MODULES):
            for attribute, held in vars(kind).items():
                function = held.fget if isinstance(held, property) else getattr(held, "__func__", held)
                if not attribute.startswith("_") and inspect.isfunction(function):
                    yield f"{name}.{attribute}", function, False


NAMES, CALLABLES = list(names()), list(callables())


@pytest.mark.parametrize(("name", "value"), [pytest.param(n, v, id=n) for n, v in NAMES])
def test_a_public_name_has_a_docstring_with_its_parameters(name: str, value: Any) -> None:
    assert "\n" in (inspect.getdoc(value) or "") or issubclass(value, Exception), name
    if inspect.isclass(value) and not issubclass(value, Exception) and name != "indexer.Index":  # made by open_index
        assert not unnamed(value.__init__, inspect.getdoc(value) or "")


@pytest.mark.parametrize(("name", "function", "alone"), [pytest.param(*c, id=c[0]) for c in CALLABLES])
def test_a_function_names_its_parameters_and_errors(name: str, function: Any, alone: bool) -> None:
    text = inspect.getdoc(function) or ""
    assert text, f"{name} has no docstring"
    assert not unnamed(function, text), f"{name} does not say what these are"
    if alone or raises(function):
        assert "Raises" in text or "refused" in text, f"{name} does not say what it raises"


def unnamed(function: Any, text: str) -> list[str]:
    """Parameters that a docstring does not name."""
    wanted = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
    return [p for p in wanted if not re.search(rf"(?<!\w){p}(?!\w)", text)]


def raises(function: Any) -> bool:
    """Whether its own body raises an error of ours."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    raised = (n.exc for n in ast.walk(tree) if isinstance(n, ast.Raise))
    called = (e.func.id for e in raised if isinstance(e, ast.Call) and isinstance(e.func, ast.Name))
    return any(name.endswith("Error") and name not in ("StopIteration", "AttributeError") for name in called)
