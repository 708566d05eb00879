"""Encoded batches beside an index that is being built, for a build that was stopped to go on from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from indexer import Documents, SparseVectors
from indexer.interchange import open_vectors, write_vectors
from indexer.interchange.json_text import json_value
from sparseir.encode.collection import texts_digest
from sparseir.errors import ConfigError, DataError, SparseIRError

_DESCRIPTION = "encoding.json"


def parts_folder(index: Path) -> Path:
    """Where the parts of an index are kept: hidden, beside it, so that nothing takes them for an index."""
    path = index.absolute()
    return path.with_name(f".{path.name}.parts")


class KeptParts:
    """Vectors of the batches of one build, a file each, named by number and by a digest of names and texts.

    Parameters
    ----------
    index : the folder to be built. settings : what vectors depend on besides the texts, as JSON has it.
    resume : take what a stopped build left; else that is removed.
    """

    def __init__(self, index: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self._folder, self._number = parts_folder(index), 0
        self._settings, self._resume = settings, resume
        self.taken = 0

    def _open(self) -> None:
        """*subtle:* with the first batch, which is asked for under the lock of the index: never while another builds it."""
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
        if self._number == 0:
            self._open()
        name = f"part-{self._number:06d}"
        self._number += 1
        file = self._folder / f"{name}-{texts_digest(docnos, texts)}.npz"
        if file.is_file():
            self.taken += len(docnos)
            return SparseVectors.concatenate([batch.vectors for batch in open_vectors(file, num_terms=num_terms)])
        if any(self._folder.glob(f"{name}-*.npz")):
            raise DataError(
                f"documents differ in name or text from those of the build that is resumed (part {self._number}, which "
                f"begins with {docnos[0]!r}); give the same texts, or start again without --resume",
                path=self._folder,
            )
        vectors = encode()
        try:
            write_vectors(file, Documents(vectors, docnos))
        except OSError as error:
            raise self._unwritten(error) from error
        return vectors

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
            raise ConfigError(
                f"{self._folder}: its parts were made with another {', '.join(differing)}; resume with the same model and "
                "settings, or start again without --resume"
            )

    def _unwritten(self, error: OSError) -> SparseIRError:
        return SparseIRError(
            f"{self._folder}: cannot keep encoded documents ({error.strerror or error}); make room or choose another place, "
            "and go on with --resume"
        )
