"""Which places are collections of another engine: milvus://HOST:PORT/COLLECTION, or milvus://FILE.db/COLLECTION."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sparseir.errors import ConfigError

SECONDS = 60.0
"""A request may take unless the address says otherwise."""
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,199})(?:\?timeout=(\d+(?:\.\d+)?))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A collection.

    Parameters
    ----------
    uri : of the server, or the file of milvus-lite. collection : its name. timeout : seconds a request may take.
    """

    uri: str
    collection: str
    timeout: float = SECONDS

    def __str__(self) -> str:
        return f"milvus://{self.uri.removeprefix('http://')}/{self.collection}"


def is_store(place: object) -> bool:
    """Whether a place is a collection of another engine."""
    return isinstance(place, StorePlace) or (isinstance(place, str) and place.startswith("milvus:"))


def store_place(place: str | StorePlace) -> StorePlace:
    """What an address names; ?timeout=SECONDS after it says how long a request may take.

    Raises
    ------
    ConfigError : neither a server and a collection, nor a file that ends in .db and a collection.
    """
    if isinstance(place, StorePlace):
        return place
    where, _, name = place.removeprefix("milvus://").rpartition("/")
    local, named = where.endswith(".db"), _NAME.fullmatch(name)
    if (
        not place.startswith("milvus://")
        or named is None
        or float(named[2] or 1) <= 0
        or not (local or re.fullmatch(r"[^/]+:\d+", where))
    ):
        raise ConfigError(
            f"{place!r} is no collection; expected milvus://HOST:PORT/COLLECTION or milvus://FILE.db/COLLECTION, "
            "and after it ?timeout=SECONDS if you like"
        )
    uri = str(Path(where).absolute()) if local else f"http://{where}"
    return StorePlace(uri, named[1], float(named[2] or SECONDS))


def target(index: str) -> Path | StorePlace:
    """What an INDEX that is written to names: a folder, or a collection."""
    return store_place(index) if is_store(index) else Path(index)
