"""What the words after `sparseir evaluate` are: models, indexes, run files, judgements, collections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparseir.data.beir import BEIR_NAMES
from sparseir.data.irds import PREFIX
from sparseir.data.lines import LineSource
from sparseir.errors import ConfigError, DataError
from sparseir.evaluate.collections import named_split
from sparseir.evaluate.systems.indexes import is_index
from sparseir.search.stores.places import StorePlace, target

_MODEL_FILES = ("sparseir.json", "modules.json", "config.json", "sparse_linear.pt")


@dataclass(slots=True)
class Arguments:
    """Words sorted by what they are, each in the order given."""

    models: list[str] = field(default_factory=list)
    indexes: list[Path | StorePlace] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)
    runs: list[Path] = field(default_factory=list)
    qrels: list[Path] = field(default_factory=list)


def sort_arguments(words: Sequence[str], data_dir: Path | None = None, *, judged: bool = False) -> Arguments:
    """Models come first, then collections; files of runs and of judgements are known by their columns, indexes by their
    manifest or address.

    A word that is neither a file nor a collection here is taken for a model on a hub. The last word is a collection
    unless there are judgements.

    Parameters
    ----------
    judged : judgements are given apart from the words.

    Raises
    ------
    ConfigError : a model after a collection; nothing to evaluate.
    """
    out, rest = Arguments(), []
    for word in words:
        if is_index(word):
            out.indexes.append(target(word))
            continue
        kind = _file_kind(Path(word))
        {"run": out.runs, "qrels": out.qrels}[kind].append(Path(word)) if kind else rest.append(word)
    needs_collection = not (judged or out.qrels)
    for place, word in enumerate(rest):
        last = place == len(rest) - 1
        if _is_collection(word, data_dir) or (last and needs_collection and not out.collections):
            out.collections.append(word)
        elif out.collections:
            if _is_model(Path(word)):
                raise ConfigError(f"{word} is a model and comes after a collection; models come first")
            out.collections.append(word)
        else:
            out.models.append(word)
    return out


def _is_model(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in _MODEL_FILES)


def _is_collection(word: str, data_dir: Path | None) -> bool:
    word, _ = named_split(word)
    path = Path(word)
    if word.startswith(PREFIX):
        return True
    if path.exists():
        return not _is_model(path) and (path.is_file() or any(path.iterdir()))
    here = data_dir is not None and any((data_dir / name).exists() for name in (word, f"{word}.zip"))
    return here or word in BEIR_NAMES


def _file_kind(path: Path) -> str | None:
    """ "run" or "qrels" by the first line that is no comment, or an empty file's by its name; None for anything else."""
    if not path.is_file() or path.suffix in (".zip", ".jsonl", ".json"):
        return None
    try:
        line = next((line for _, line in LineSource(path).lines() if not line.startswith("#")), "")
    except DataError:  # whoever reads it as a collection says what is wrong with it
        return None
    words = line.split()
    if not words and path.suffix in (".trec", ".run"):  # a search that found nothing wrote it
        return "run"
    if len(words) == 6 and _is_number(words[3]) and _is_number(words[4]):
        return "run"
    columns = line.split("\t") if "\t" in line else words
    graded = len(columns) in (3, 4) and (columns[-1] == "score" or _is_number(columns[-1]))
    graded = graded or (len(columns) == 4 and columns[1] in ("0", "Q0"))  # TREC's, and the grade is at fault
    return "qrels" if graded else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
