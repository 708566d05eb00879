"""Snapshots of an index together with the token vectors beside it."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import indexer
from indexer import Index
from indexer.progress import Progress, silent
from indexer.snapshots.contents import BesideFile
from indexer.snapshots.take import SnapshotReport
from sparseir.data.stores import tokens as form
from sparseir.data.stores.files import read_description, room_on_disk, write_description
from sparseir.data.stores.write_tokens import remove
from sparseir.errors import DataError


def take_snapshot(path: str | Path, target: str | Path, *, progress: Progress = silent) -> SnapshotReport:
    """`indexer.take_snapshot`, of path to target, told of by progress, with the token vectors beside the index, where there are any.

    Raises
    ------
    DataError : damaged token vectors; the rest as there.
    """
    return indexer.take_snapshot(path, target, beside=_stored, progress=progress)


def restore_index(
    snapshot: str | Path, path: str | Path, *, overwrite: bool = False, progress: Progress = silent
) -> Index:
    """`indexer.restore_index`, with snapshot, path, overwrite and progress, and the token vectors of the snapshot beside the index; those
    that were beside the index that stood there go.

    Raises
    ------
    DataError : token vectors that no store is made of; the rest as there. SparseIRError : they cannot be written.
    """
    kept = list[bool]()

    def restore(files: Path, index: Index) -> None:
        _restore(files, index)
        kept.append(True)

    restored = indexer.restore_index(snapshot, path, overwrite=overwrite, beside=restore, progress=progress)
    if not kept:
        remove(Path(path))
    return restored


def _stored(index: Index) -> Iterator[BesideFile]:
    """The parts that belong to this commit: ordinals of later ones are given again in an index that is restored."""
    folder = form.tokens_folder(index.path)
    if not (folder / form.DESCRIPTION).is_file():
        return
    store = form.TokenStore(folder)
    form.check_belongs(store, index)
    body = read_description(folder / form.DESCRIPTION, form.FORM, form.VERSION)
    parts = [part for part in body["parts"] if part["first"] < index.manifest.next_ordinal]
    raw = json.dumps({**body, "parts": parts}).encode()
    yield BesideFile(form.DESCRIPTION, raw, zlib.crc32(raw))
    for part in parts:
        for name, stated in part["files"].items():
            source = folder / part["folder"] / name
            data: Any = np.memmap(source, np.uint8, "r") if stated["bytes"] else b""
            yield BesideFile(f"{part['folder']}.{name}", data, stated["crc32"], source)


def _restore(files: Path, index: Index) -> None:
    """Put the parts beside the index, as those of the index that was made of the snapshot just now."""
    try:
        body = json.loads((files / form.DESCRIPTION).read_text(encoding="utf-8"))
        wanted = {form.DESCRIPTION, *(f"{part['folder']}.{name}" for part in body["parts"] for name in part["files"])}
        if {path.name for path in files.iterdir()} != wanted or not all(
            part["folder"].isdigit() for part in body["parts"]
        ):
            raise ValueError("files that it does not name")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"the snapshot holds no token vectors that can be used ({error}); '{index.path}' stands without them"
        ) from error
    folder = form.tokens_folder(index.path)
    with room_on_disk(folder, "token vectors"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for part in body["parts"]:
            (folder / part["folder"]).mkdir()
            for name in part["files"]:
                (files / f"{part['folder']}.{name}").replace(folder / part["folder"] / name)
        write_description(folder / form.DESCRIPTION, {**body, "created": index.manifest.created})
    form.TokenStore(folder)  # what it states is what is there
