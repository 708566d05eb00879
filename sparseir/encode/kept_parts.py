"""Encoded and embedded batches beside an index that is being built, for a build that was stopped to go on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Documents, SparseVectors
from indexer.interchange import open_vectors, write_vectors
from indexer.interchange.jsonl.text import json_value
from sparseir.encode.collection_parts import texts_digest
from sparseir.encode.words.projected import PROBE, Embedder, is_same_model
from sparseir.errors import ConfigError, DataError, SparseIRError

_DESCRIPTION = "encoding.json"
_PROBE = "probe.npy"


def parts_folder(index: Path) -> Path:
    """Where the parts of an index are kept: hidden, beside it, so that nothing takes them for an index."""
    path = index.absolute()
    return path.with_name(f".{path.name}.parts")


class KeptParts:
    """Vectors and embeddings of the batches of one build, a file each, named by number and by a digest of names and texts.

    Parameters
    ----------
    index : the folder to be built. settings : what vectors depend on besides the texts, as JSON has it.
    resume : take what a stopped build left; else that is removed.
    """

    def __init__(self, index: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = self._folder = parts_folder(index)
        self._numbers = {"part": 0, "embedded": 0}
        self._settings, self._resume = settings, resume
        self._taken = {"part": 0, "embedded": 0}
        self._opened = False

    @property
    def taken(self) -> int:
        """Documents of which something had been kept."""
        return max(self._taken.values())

    def _open(self) -> None:
        """*subtle:* with the first batch, which is asked for under the lock of the index: never while another builds it."""
        self._opened = True
        if self._resume and self._folder.is_dir():
            self._check()
            return
        if self._folder.exists():
            shutil.rmtree(self._folder)
        try:
            self._folder.mkdir(parents=True)
            (self._folder / _DESCRIPTION).write_text(json.dumps(self._settings) + "\n", encoding="utf-8")
        except OSError as error:
            raise self._unwritten(error) from error

    def vectors(
        self, docnos: list[str], texts: list[str], num_terms: int, encode: Callable[[], SparseVectors]
    ) -> SparseVectors:
        """The vectors of the next batch: those kept, or encoded and kept now.

        Raises
        ------
        ConfigError : parts of another model or other settings, or that nothing says anything of.
        DataError : the batch that was kept is of other documents.
        SparseIRError : the part cannot be written.
        """
        file = self._next("part", docnos, texts, ".npz", docnos[0])
        if file.is_file():
            self._taken["part"] += len(docnos)
            return SparseVectors.concatenate([batch.vectors for batch in open_vectors(file, num_terms=num_terms)])
        vectors = encode()
        try:
            write_vectors(file, Documents(vectors, docnos))
        except OSError as error:
            raise self._unwritten(error) from error
        return vectors

    def embeddings(
        self, texts: Sequence[str], embed: Callable[[], NDArray[np.float32]], *, documents: bool
    ) -> NDArray[np.float32]:
        """The embeddings of the next texts: those kept, or computed and kept now.

        Parameters
        ----------
        documents : the texts are documents, not sentences of some.

        Raises
        ------
        ConfigError, DataError, SparseIRError : as `vectors`.
        """
        file = self._next("embedded", [f"documents {documents}"], texts, ".npy", texts[0][:40] if texts else "")
        if file.is_file():
            self._taken["embedded"] += len(texts) if documents else 0
            return np.load(file, allow_pickle=False)
        found = embed()
        self._keep(file, found)
        return found

    def check_embedder(self, embedder: Embedder) -> None:
        """Refuse a dense model that embeds otherwise than the one whose embeddings are kept.

        Raises
        ------
        ConfigError
        """
        if not self._opened:
            self._open()
        file = self._folder / _PROBE
        if not file.is_file():
            self._keep(file, embedder.embed([PROBE]))
        elif not is_same_model(embedder, np.load(file, allow_pickle=False)[0]):
            raise self._others("dense model")

    def _next(self, kind: str, names: Sequence[str], texts: Sequence[str], ending: str, first: str) -> Path:
        """The file of the next batch of a kind, which may be there."""
        if not self._opened:
            self._open()
        name = f"{kind}-{self._numbers[kind]:06d}"
        self._numbers[kind] += 1
        file = self._folder / f"{name}-{texts_digest(list(names), list(texts))}{ending}"
        if not file.is_file() and any(self._folder.glob(f"{name}-*{ending}")):
            raise DataError(
                f"documents differ in name or text from those of the build that is resumed (part {self._numbers[kind]}, which "
                f"begins with {first!r}); give the same texts, or start again without --resume",
                path=self._folder,
            )
        return file

    def _keep(self, file: Path, array: NDArray[np.float32]) -> None:
        """Write an array whole or not at all."""
        unfinished = file.with_name(f".{file.name}")
        try:
            with unfinished.open("wb") as stream:
                np.save(stream, array, allow_pickle=False)
            unfinished.replace(file)
        except OSError as error:
            raise self._unwritten(error) from error

    def remove(self) -> None:
        """The index stands; its parts are not needed any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _check(self) -> None:
        try:
            found = json_value((self._folder / _DESCRIPTION).read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("no object")
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self._folder}: cannot tell what its parts are ({error}); start again without --resume"
            ) from None
        differing = [key for key, value in self._settings.items() if found.get(key) != value]
        if differing:
            raise self._others(", ".join(differing))

    def _others(self, what: str) -> ConfigError:
        return ConfigError(
            f"{self._folder}: its parts were made with another {what}; resume with the same model and settings, or start "
            "again without --resume"
        )

    def _unwritten(self, error: OSError) -> SparseIRError:
        return SparseIRError(
            f"{self._folder}: cannot keep encoded documents ({error.strerror or error}); make room or choose another place, "
            "and go on with --resume"
        )


class KeptEmbedder:
    """A dense model whose embeddings of one build are kept, in the order in which they are asked for.

    Parameters
    ----------
    embedder : the model. parts : where they are kept.
    """

    def __init__(self, embedder: Embedder, parts: KeptParts) -> None:
        self._embedder, self._parts = embedder, parts
        self._checked = False

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    def embed(
        self, texts: Sequence[str], *, query: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float32]:
        """As `DenseEmbedder.embed`.

        Raises
        ------
        ConfigError, DataError, SparseIRError : as `KeptParts`.
        """
        if not self._checked:
            self._parts.check_embedder(self._embedder)
            self._checked = True
        if list(texts) == [PROBE]:  # of the build, not of the documents
            return self._embedder.embed(texts, query=query, progress=progress)
        return self._parts.embeddings(
            texts, lambda: self._embedder.embed(texts, query=query, progress=progress), documents=not query
        )
