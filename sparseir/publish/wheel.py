"""A wheel of plain files: equal files give equal bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that a ZIP can name; every member has it."""
_STORED = (".safetensors",)
"""Endings of files that are not compressed: weights shrink by a tenth and would be inflated at every installation."""


def write_wheel(path: Path, files: Mapping[str, bytes | Path], metadata: Mapping[str, str]) -> None:
    """Write a pure wheel; it appears whole or not at all.

    Members are sorted and have one time and mode, so that the bytes depend on the contents alone.

    Source: the binary distribution format, https://packaging.python.org/specifications/binary-distribution-format.

    Parameters
    ----------
    path : NAME-VERSION-py3-none-any.whl. files : place in site-packages → contents, or the file that has them.
    metadata : name of a file of NAME-VERSION.dist-info → text; RECORD is made.
    """
    info = "-".join(path.name.split("-")[:2]) + ".dist-info"
    members = {**files, **{f"{info}/{name}": text.encode() for name, text in metadata.items()}}
    ordered = sorted(members.items(), key=lambda item: (item[0].startswith(info), item[0]))
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(partial, "w", compresslevel=9) as archive:
            record = ""
            for name, content in ordered:
                data = content.read_bytes() if isinstance(content, Path) else content
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                record += f"{name},sha256={digest},{len(data)}\n"
                _add(archive, name, data)
            _add(archive, f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.create_system = 3  # modes are those of Unix
    member.external_attr = 0o100644 << 16
    member.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
    archive.writestr(member, data)
