"""A model folder as a wheel of its own, which any installer takes and `--model NAME` finds."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparseir.config.recipe import Recipe, load_recipe
from sparseir.config.recipes import RECIPE_FILE
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.models.encoder import SparseEncoder
from sparseir.models.sources import ENTRY_POINTS, PACKAGED
from sparseir.publish.card import model_card
from sparseir.publish.wheel import write_wheel
from sparseir.train.loop.record import read_finished

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VERSION = re.compile(r"\d+(?:\.\d+){0,3}(?:(?:a|b|rc)\d+)?(?:\.post\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOptions:
    """What a wheel says of its model.

    Parameters
    ----------
    name : by which it is found: lower-case letters, digits and single hyphens between them.
    license : an SPDX expression, e.g. "CC-BY-4.0". license_file : its text, carried in the wheel.
    version : of the wheel, e.g. "1.0".
    description : one line. data : one line on each source of training texts and its terms of use.
    figures : rows of `sparseir evaluate --output`, for the card.
    """

    name: str
    license: str
    license_file: Path | None = None
    version: str = "1.0"
    description: str = ""
    data: Sequence[str] = ()
    figures: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in PACKAGED:
            raise ConfigError(
                f"name is {self.name!r}; expected lower-case letters and digits with single hyphens between, as in my-encoder"
            )
        if not _VERSION.fullmatch(self.version):
            raise ConfigError(f"version is {self.version!r}; expected numbers between dots, as in 1.0 or 1.2rc1")
        if "\n" in self.description:
            raise ConfigError("description: expected one line")
        _check_license(self.license)
        if self.license_file is not None and not self.license_file.is_file():
            raise DataError("no such file; name the text of the licence", path=self.license_file)

    @property
    def package(self) -> str:
        """Name of the package to import, and, with hyphens, of the distribution."""
        return f"sparseir_model_{self.name.replace('-', '_')}"

    @property
    def file_name(self) -> str:
        return f"{self.package}-{self.version}-py3-none-any.whl"


def pack_model(model: Path, wheel: Path, options: PackOptions) -> Path:
    """Write the wheel of a model folder: its files as `SparseEncoder.save` lays them out, card, licence and entry point.

    Equal models and options give equal bytes.

    Parameters
    ----------
    model : folder of a finished model. wheel : file to write, of any folder; its name is `PackOptions.file_name`.

    Raises
    ------
    ConfigError : no model, one whose training has not ended, or one without a trained head.
    SparseIRError : a file stands there.
    """
    check_finished(model)
    if wheel.exists():
        raise SparseIRError(f"{wheel} exists already; name another folder or version, or say --overwrite")
    encoder = SparseEncoder.load(model, device="cpu")
    if encoder.untrained:
        raise ConfigError(
            f"{model} has no trained head; train it before it is packed: sparseir train RECIPE --output MODEL"
        )
    recipe = load_recipe(model) if (model / RECIPE_FILE).exists() else None
    card = model_card(
        encoder, recipe, name=options.name, license=options.license, description=options.description,
        data=options.data, figures=options.figures, training=_training_figures(model),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="sparseir-pack-") as made:
        folder = Path(made) / options.name
        encoder.save(folder)
        files: dict[str, bytes | Path] = {
            f"{options.package}/model/{path.relative_to(folder).as_posix()}": path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "README.md"
        }
        files[f"{options.package}/model/README.md"] = card.encode()
        files[f"{options.package}/__init__.py"] = f'"""The model {options.name}: files in model/."""\n'.encode()
        wheel.parent.mkdir(parents=True, exist_ok=True)
        write_wheel(wheel, files, _metadata(options, recipe, card))
    return wheel


def check_finished(model: Path) -> None:
    """Refuse a folder that is no model, or one of a run that has not ended.

    Raises
    ------
    ConfigError
    """
    if not model.is_dir():
        raise ConfigError(f"no model folder at {model}")
    if (model / RECIPE_FILE).exists() and read_finished(model) is None:
        raise ConfigError(
            f"{model} is not finished: its training has not come to its end; go on with: sparseir train --resume "
            f"--output {model}"
        )


def _training_figures(model: Path) -> Mapping[str, float]:
    record = read_finished(model) if (model / RECIPE_FILE).exists() else None
    return {} if record is None else record.figures


def _check_license(given: str) -> None:
    """Refuse what is no SPDX expression.

    Raises
    ------
    ConfigError
    """
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        found = str(canonicalize_license_expression(given))
    except InvalidLicenseExpression:
        found = ""
    if found != given:
        hint = f"; write {found}" if found else ", as in CC-BY-4.0, Apache-2.0 or LicenseRef-Mine"
        raise ConfigError(f"license is {given!r}; expected an SPDX expression{hint}")


def _metadata(options: PackOptions, recipe: Recipe | None, card: str) -> dict[str, str]:
    summary = options.description or "A sparse encoder for sparseir" + (f": {recipe.model.kind}" if recipe else "")
    header = {
        "Metadata-Version": "2.4",
        "Name": options.package.replace("_", "-"),
        "Version": options.version,
        "Summary": summary,
        "License-Expression": options.license,
        **({"License-File": options.license_file.name} if options.license_file is not None else {}),
        "Requires-Python": ">=3.11",
        "Description-Content-Type": "text/markdown",
    }
    out = {
        "METADATA": "".join(f"{key}: {value}\n" for key, value in header.items()) + f"\n{card}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: sparseir\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[{ENTRY_POINTS}]\n{options.name} = {options.package}\n",
    }
    if options.license_file is not None:
        out[f"licenses/{options.license_file.name}"] = options.license_file.read_text(encoding="utf-8")
    return out
