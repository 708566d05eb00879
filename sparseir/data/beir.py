"""The collections of the BEIR server: their names, where they are here, and their download."""

from __future__ import annotations

import difflib
import re
import zipfile
from pathlib import Path

from sparseir.errors import DataError

BEIR_NAMES = (
    "arguana", "climate-fever", "cqadupstack", "dbpedia-entity", "fever", "fiqa", "germanquad", "hotpotqa", "mmarco",
    "mrtydi", "msmarco", "msmarco-v2", "nfcorpus", "nq", "nq-train", "quora", "scidocs", "scifact", "trec-covid-beir",
    "trec-covid-v2", "trec-covid", "vihealthqa", "webis-touche2020",
)  # fmt: skip
"""What the BEIR server offers (beir 2.2)."""

_BEIR_URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"


def locate(name_or_path: str | Path, data_dir: str | Path | None) -> Path:
    """Where a collection is, downloaded if need be.

    Raises
    ------
    DataError : nothing of the kind, or no download; the message says where to put the zip.
    """
    path = Path(name_or_path)
    if path.exists():
        return path
    name = str(name_or_path)
    if data_dir is not None and re.fullmatch(r"[\w-]+", name):
        for candidate in (Path(data_dir) / name, Path(data_dir) / f"{name}.zip"):
            if candidate.exists():
                return candidate
    if name not in BEIR_NAMES:
        near = difflib.get_close_matches(name, BEIR_NAMES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        where = "" if data_dir is None else f"; {data_dir} holds neither {name}/ nor {name}.zip"
        raise DataError(
            f"'{name}' does not exist; expected a file or folder, - for standard input, a BEIR name such as scifact, or "
            f"irds:ID of ir_datasets{where}{hint}"
        )
    return _download(name, Path("data") if data_dir is None else Path(data_dir))


def _download(name: str, folder: Path) -> Path:
    """Fetch a BEIR zip through `beir` and give its folder."""
    place = f"download {_BEIR_URL.format(name=name)} and put it at {folder / name}.zip"
    try:
        from beir import util
    except ImportError as error:
        raise DataError(
            f"'{name}' is not under {folder}, and downloading needs beir: pip install 'sparseir[beir]'; or {place}"
        ) from error
    try:
        return Path(util.download_and_unzip(_BEIR_URL.format(name=name), str(folder)))
    except (OSError, zipfile.BadZipFile) as error:  # requests' errors are OSErrors
        for part in (folder / f"{name}.zip",):
            if part.exists() and not zipfile.is_zipfile(part):
                part.unlink()
        raise DataError(f"cannot download '{name}' ({type(error).__name__}); {place}") from error
