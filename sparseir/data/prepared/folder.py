"""A prepared folder, opened: two stores of texts and the tables of pairs between them.

prepared.json    which stages are done, and of which files
documents/ queries/    stores of texts
expansions/          texts that a model wrote for documents, where there are some
embeddings.documents/ embeddings.queries/    dense embeddings, where they were given
tables/ROLE.NAME/    tables of pairs; ROLE is positives, negatives or scores
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.data.prepared.embeddings import StoredEmbeddings
from sparseir.data.stores.files import read_description
from sparseir.data.stores.pairs import PairTable
from sparseir.data.stores.texts import TextStore
from sparseir.data.stores.write_pairs import Table
from sparseir.errors import DataError

FORM, VERSION = "sparseir prepared", 1
DESCRIPTION = "prepared.json"
TABLES = "tables"
EXPANSIONS = "expansions"
Role = Literal["positives", "negatives", "scores"]
ROLES: tuple[Role, ...] = ("positives", "negatives", "scores")


class Prepared:
    """Training data on disk. Nothing of the size of the data is held in memory; any number of processes may open it.

    Parameters
    ----------
    path : a folder that `sparseir data prepare` made.

    Raises
    ------
    DataError : no such folder, or one whose making was stopped; damage.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise DataError("no such folder; `sparseir data prepare` makes one", path=self.path)
        self.described = read_description(self.path / DESCRIPTION, FORM, VERSION)
        stages = self.described.get("stages")
        missing = [name for name in ("documents", "queries") if not isinstance(stages, dict) or name not in stages]
        if missing:
            raise DataError(
                f"its {' and '.join(missing)} are not stored yet; go on with: sparseir data prepare {self.path} --resume",
                path=self.path,
            )
        self.documents = TextStore(self.path / "documents")
        self.queries = TextStore(self.path / "queries")

    @cached_property
    def stores(self) -> str:
        """What tells these stores from others: a checksum of those of their files."""
        files = [self.documents.described["files"], self.queries.described["files"]]
        return f"{zlib.crc32(repr([sorted((k, v['crc32']) for k, v in f.items()) for f in files]).encode()):08x}"

    @cached_property
    def expansions(self) -> TextStore | None:
        """Expansions by the names of documents; None where the folder has none."""
        return TextStore(self.path / EXPANSIONS) if EXPANSIONS in self.described["stages"] else None

    def embeddings(self, side: Literal["documents", "queries"]) -> StoredEmbeddings | None:
        """Dense embeddings of the documents or of the queries, by row; None where the folder has none.

        Raises
        ------
        DataError : damaged ones, or those of other texts.
        """
        stage = f"embeddings.{side}"
        if stage not in self.described["stages"]:
            return None
        found, texts = StoredEmbeddings(self.path / stage, self.stores), getattr(self, side)
        if len(found) != len(texts):
            raise DataError(f"holds {len(found):,} rows for {len(texts):,} {side}; prepare them again", path=found.path)
        return found

    def names(self, role: Role) -> list[str]:
        """Names of the tables of a role, sorted."""
        found = (self.path / TABLES).glob(f"{role}.*/")
        return sorted(p.name.removeprefix(f"{role}.") for p in found if not p.name.endswith(".part"))

    def has(self, role: Role, name: str) -> bool:
        """Whether there is such a table."""
        return self.place(role, name).is_dir()

    def place(self, role: Role, name: str) -> Path:
        """The folder of a table, which need not be there."""
        return self.path / TABLES / f"{role}.{name}"

    def table(self, role: Role, name: str) -> PairTable:
        """A table.

        Raises
        ------
        DataError : there is none of that name (those that are there are named); it is of other stores, or damaged.
        """
        if not self.has(role, name):
            have = ", ".join(self.names(role)) or "none"
            raise DataError(f"has no {role} '{name}' (found: {have}){_advice(role)}", path=self.path)
        table = PairTable(self.place(role, name))
        sizes = (table.num_queries, table.num_documents)
        if sizes != (len(self.queries), len(self.documents)) or table.described.get("stores") != self.stores:
            raise DataError(
                f"{role} '{name}' belongs to other texts ({sizes[0]:,} queries, {sizes[1]:,} documents) than this folder holds "
                f"({len(self.queries):,}, {len(self.documents):,}); make it again",
                path=table.path,
            )
        return table

    def new_table(self, role: Role, made_of: str) -> Table:
        """How `write_table` is to describe a table of this folder."""
        return Table(len(self.queries), len(self.documents), self.stores, role != "negatives", made_of)

    def verify(self, progress: Progress = silent) -> None:
        """Read everything through.

        Raises
        ------
        DataError : the first fault.
        """
        tables = [self.table(role, name) for role in ROLES for name in self.names(role)]
        beside = [self.expansions, self.embeddings("documents"), self.embeddings("queries")]
        parts: list[TextStore | PairTable | StoredEmbeddings] = [self.documents, self.queries, *tables]
        parts += [part for part in beside if part is not None]
        for done, part in enumerate(parts):
            progress("verifying", done, len(parts))
            part.verify()
        progress("verifying", len(parts), len(parts))

    def summary(self) -> dict[str, Any]:
        """Flat, for printing and JSON."""
        tables = {
            f"{role}.{name}": {
                "pairs": table.num_pairs,
                "queries": int((table.counts() > 0).sum()),
                "made_of": table.described["made_of"],
            }
            for role in ROLES
            for name in self.names(role)
            for table in [self.table(role, name)]
        }
        return {
            "folder": str(self.path),
            "documents": len(self.documents),
            "queries": len(self.queries),
            "expansions": 0 if self.expansions is None else len(self.expansions),
            "embeddings": [
                side for side in ("documents", "queries") if f"embeddings.{side}" in self.described["stages"]
            ],
            "bytes": sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file()),
            "tables": tables,
        }


class Union:
    """The pairs of several tables of one folder together.

    Parameters
    ----------
    least : pairs of a table with numbers count from this number on.
    """

    def __init__(self, tables: Iterable[PairTable], least: float | None = None) -> None:
        self.tables = tuple(tables)
        self._least = least

    def documents(self, query: int) -> NDArray[np.int64]:
        """Rows of a query's documents, ascending, each once."""
        if len(self.tables) == 1:
            return self._of(self.tables[0], query)
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(self._of(table, query) for table in self.tables)]))

    def _of(self, table: PairTable, query: int) -> NDArray[np.int64]:
        documents = table.documents(query)
        return documents if self._least is None else documents[table.values(query) >= self._least]

    def keys(self, first: int, end: int) -> NDArray[np.uint64]:
        """query · 2³² + document of all pairs of queries first..end, ascending, each once."""
        parts = [self._keys_of(table, first, end) for table in self.tables]
        if len(parts) == 1:
            return parts[0]
        return np.unique(np.concatenate([np.zeros(0, np.uint64), *parts]))

    def _keys_of(self, table: PairTable, first: int, end: int) -> NDArray[np.uint64]:
        keys = table.keys(first, end)
        return keys if self._least is None else keys[table.values_of(first, end) >= self._least]


def _advice(role: Role) -> str:
    if role == "negatives":
        return "; `sparseir mine` finds some, `sparseir data prepare --pairs FILE --resume` reads some"
    if role == "scores":
        return "; `sparseir score` computes some, `sparseir data prepare --pairs FILE --resume` reads some"
    return "; read judgements with: sparseir data prepare --pairs QRELS --resume"
