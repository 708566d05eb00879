"""`sparseir index snapshot | restore`: a copy of a commit, and an index made of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments
from sparseir.cli.index.source import IndexPath, Json
from sparseir.cli.options.flags import Quiet


def snapshot_command(
    index: IndexPath,
    snapshot: Annotated[Path, arguments.Argument(help="Folder to make, or file: NAME.tar or NAME.tar.zst.")],
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Copy the last commit of an index, checked, while writers and services go on.

    A folder on the same device takes next to no room: its segments are hard links. Copies for another machine, or
    against a failing disk, are files, or folders elsewhere.

    examples:
      sparseir index snapshot my-index backups/my-index-monday
      sparseir index snapshot my-index my-index.tar.zst
    """
    from dataclasses import asdict

    from sparseir.cli.output.console import counted, emit_json, progress_bars
    from sparseir.data.snapshots import take_snapshot

    with progress_bars(quiet=quiet) as progress:
        report = take_snapshot(index, snapshot, progress=progress)
    if json:
        emit_json({**asdict(report), "path": str(report.path)})
    else:
        linked = f" ({counted(report.linked, 'hard link')})" if report.linked else ""
        print(
            f"{report.path}: commit {report.generation}, {counted(report.documents, 'document')}, "
            f"{counted(report.files, 'file')}{linked}, {report.bytes / 1e6:.1f} MB"
        )


def restore_command(
    snapshot: Annotated[Path, arguments.Argument(help="Folder or file that 'sparseir index snapshot' made.")],
    index: Annotated[Path, arguments.Argument(help="Folder of the index to make.")],
    overwrite: Annotated[
        bool, arguments.Option("--overwrite", help="Replace an index that stands there; it answers until then.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make an index of a snapshot, checked while it is copied.

    examples:
      sparseir index restore backups/my-index-monday my-index --overwrite
      sparseir index restore my-index.tar.zst other-index
    """
    from sparseir.cli.index.source import summary
    from sparseir.cli.output.console import counted, emit_json, progress_bars
    from sparseir.data.snapshots import restore_index

    with progress_bars(quiet=quiet) as progress:
        restored = restore_index(snapshot, index, overwrite=overwrite, progress=progress)
    if json:
        emit_json(summary(restored))
    else:
        print(f"{index}: commit {restored.generation}, {counted(restored.num_docs, 'document')} from {snapshot}")
