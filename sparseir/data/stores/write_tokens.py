"""Writing a store of token vectors: batches are kept one by one, joined, and published after the commit they belong to."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sparseir.data.stores import tokens as form
from sparseir.data.stores.files import described, read_description, room_on_disk, write_description
from sparseir.errors import DataError, SparseIRError


class TokenWriter:
    """Collects the token vectors of a build or an addition, a file a batch, and makes one part of a store of them.

    Parameters
    ----------
    folder : where batches are kept, made where it is not there; the caller's to remove.
    num_terms, token_dim, cls_dim : sizes V, D and C.
    """

    def __init__(self, folder: Path, *, num_terms: int, token_dim: int, cls_dim: int) -> None:
        self._folder = folder
        self.sizes = {"num_terms": num_terms, "token_dim": token_dim, "cls_dim": cls_dim}
        self._files: list[Path] = []

    def file(self, name: str) -> Path:
        """The place of the next batch, under a name that tells it from others."""
        self._files.append(self._folder / f"tokens-{name}.npz")
        return self._files[-1]

    def keep(self, file: Path, batch: form.TokenVectors) -> None:
        """Write a batch, whole or not at all.

        Raises
        ------
        SparseIRError : it cannot be written.
        """
        part = file.with_name(f".{file.name}")
        with room_on_disk(self._folder, "token vectors"):
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as stream:
                np.savez(
                    stream,
                    starts=batch.starts,
                    terms=batch.terms,
                    vectors=batch.vectors.astype(np.float16),
                    whole=batch.whole.astype(np.float16),
                )
            part.replace(file)

    def join(self, target: Path, batches: Iterable[form.TokenVectors] | None = None) -> dict[str, Any]:
        """The part of all batches in their order, in the folder `target`; what store.json says of it, but for its place.

        Parameters
        ----------
        batches : in the place of those that were kept.

        Raises
        ------
        SparseIRError : it cannot be written. DataError : a batch that is missing or damaged.
        """
        largest, longest = np.zeros(self.sizes["num_terms"], np.float32), 0.0
        rows = tokens = 0
        with room_on_disk(target, "token vectors"):
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            files: dict[str, BinaryIO] = {name: (target / name).open("wb") for name in form.FILES}
            try:
                files[form.STARTS].write(np.zeros(1, "<i8").tobytes())
                for batch in self._batches() if batches is None else batches:
                    files[form.STARTS].write((batch.starts[1:] + tokens).astype("<i8").tobytes())
                    files[form.TERMS].write(batch.terms.astype("<u4").tobytes())
                    files[form.VECTORS].write(batch.vectors.astype("<f2").tobytes())
                    files[form.WHOLE].write(batch.whole.astype("<f2").tobytes())
                    norms = np.linalg.norm(batch.vectors.astype(np.float32), axis=1)
                    np.maximum.at(largest, batch.terms, norms)
                    own = np.linalg.norm(batch.whole.astype(np.float32), axis=1)
                    longest = max(longest, float(own.max(initial=0)))
                    rows, tokens = rows + len(batch), tokens + len(batch.terms)
                files[form.LARGEST].write(largest.astype("<f4").tobytes())
            finally:
                for file in files.values():
                    file.close()
            stated = described(target, dict.fromkeys(form.FILES))
        return {"documents": rows, "tokens": tokens, "longest": longest, "files": stated}

    def _batches(self) -> Iterator[form.TokenVectors]:
        for path in self._files:
            try:
                with np.load(path, allow_pickle=False) as kept:
                    yield form.TokenVectors(*(kept[name] for name in ("starts", "terms", "vectors", "whole")))
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                raise DataError(
                    f"token vectors that were kept cannot be read ({error}); start again without --resume", path=path
                ) from error


def publish(index: Path, made: Path, part: dict[str, Any], *, first: int, state: dict[str, Any], added: bool) -> None:
    """Put a joined part in its place, for the index that has just been committed.

    Parameters
    ----------
    made : the folder that `TokenWriter.join` wrote. part : what it returned. first : the ordinal of its first document.
    state : encoder, created, and the sizes. added : to the parts that are there; else it replaces whatever stands there.

    Raises
    ------
    SparseIRError : it cannot be written.
    """
    folder, before = form.tokens_folder(index), list[Any]()
    with room_on_disk(folder, "token vectors"):
        if added:
            before = read_description(folder / form.DESCRIPTION, form.FORM, form.VERSION)["parts"]
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        name = f"{max((int(old['folder']) for old in before), default=0) + 1:06d}"
        shutil.rmtree(folder / name, ignore_errors=True)  # of an addition that was killed before it was named
        made.replace(folder / name)
        parts = [*before, {"folder": name, "first": first, **part}]
        write_description(
            folder / form.DESCRIPTION, {"format": form.FORM, "version": form.VERSION, **state, "parts": parts}
        )


def remove(index: Path) -> None:
    """Remove the store beside an index, whose token vectors are those of another one by now.

    Raises
    ------
    SparseIRError : the system refuses.
    """
    folder = form.tokens_folder(index)
    if (folder / form.DESCRIPTION).is_file():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise SparseIRError(
                f"{folder}: cannot be removed ({error.strerror or error}); remove it by hand"
            ) from error
