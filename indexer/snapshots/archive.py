"""A snapshot as one file: an uncompressed tar of plain files in a fixed order, alone or in Zstandard.

Reading believes nothing: the first file is the description, every other must be the next one it names, of the size it
names. So no path of the archive is ever used as one, and links, devices, folders and extended headers end the reading.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from indexer.errors import ConfigError, DataError
from indexer.format import files
from indexer.format.folder import SNAPSHOT_FILE
from indexer.format.zstandard import Unpacked, zstandard
from indexer.interchange.input import ARCHIVE_FAULTS
from indexer.snapshots.check import PIECE
from indexer.snapshots.description import LARGEST_DESCRIPTION

ENDINGS = (".tar", ".tar.zst")
"""Of snapshots that are one file; any other name is that of a folder."""
_UNSUPPORTED = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip", ".zst", ".gz")


def is_archive(path: Path) -> bool:
    """Whether a snapshot of this name is one file.

    Raises
    ------
    ConfigError : the name is that of an archive of another kind.
    """
    if path.name.endswith(ENDINGS):
        return True
    if path.name.endswith(_UNSUPPORTED):
        raise ConfigError(f"'{path}': a snapshot is a folder, or a file whose name ends in {' or '.join(ENDINGS)}")
    return False


class ArchiveWriter:
    """Writes an archive into a stream.

    Parameters
    ----------
    stream : takes the bytes. packed : in Zstandard.
    """

    def __init__(self, stream: IO[bytes], *, packed: bool) -> None:
        self._packed = zstandard("writing .zst").ZstdFile(stream, "w") if packed else None
        self._tar = tarfile.open(fileobj=self._packed or stream, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed by close

    def add(self, path: str, size: int, pieces: Iterator[Any]) -> None:
        """One file; `pieces` must be of `size` bytes together."""
        member = tarfile.TarInfo(path)
        member.size, member.mode = size, 0o644
        self._tar.addfile(member, io.BufferedReader(_Pieces(pieces), PIECE))
        for _ in pieces:  # the error of a check comes with the end
            raise AssertionError(path)

    def close(self) -> None:
        """Write the end."""
        self._tar.close()
        if self._packed is not None:
            self._packed.close()


class _Pieces(io.RawIOBase):
    """Pieces read as a file."""

    def __init__(self, pieces: Iterator[Any]) -> None:
        self._pieces, self._left = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


class _PlainMember(tarfile.TarInfo):
    """A member that is a plain file; the header of anything else is refused before what follows it is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _PlainMember:
        member = super().frombuf(buf, encoding, errors)
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.name.endswith("/"):
            raise DataError(f"holds {member.name[:100]!r}, which is no plain file; a snapshot holds nothing else")
        return member


class ArchiveReader:
    """Reads an archive from its start to its end.

    Parameters
    ----------
    path : the file.
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        with self._named_faults():
            self._tar = tarfile.open(fileobj=stream, mode="r|", tarinfo=_PlainMember)  # noqa: SIM115 - it holds nothing

    def description(self) -> bytes:
        """The content of snapshot.json."""
        member = self._next(SNAPSHOT_FILE)
        if not 0 <= member.size <= LARGEST_DESCRIPTION:
            raise DataError(f"its {SNAPSHOT_FILE} is larger than any can be", path=self._path)
        return b"".join(self._read(member))

    def pieces(self, path: str, size: int) -> Iterator[bytes]:
        """The bytes of the next file.

        Raises
        ------
        DataError : another file comes, or it ends early.
        """
        member = self._next(path)
        if member.size != size:
            raise DataError(
                f"{path} is of {member.size} bytes, {size} expected; the snapshot is damaged", path=self._path
            )
        return self._read(member)

    def _next(self, wanted: str) -> tarfile.TarInfo:
        with self._named_faults():
            member = self._tar.next()
        if member is None or member.name != wanted:
            found = "nothing" if member is None else repr(member.name[:100])
            raise DataError(
                f"holds {found} where {wanted!r} should be; a snapshot is what 'sparseir index snapshot' makes",
                path=self._path,
            )
        return member

    def _read(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        with self._named_faults():
            file = self._tar.extractfile(member)
        assert file is not None
        left = member.size
        while left:
            with self._named_faults():
                piece = file.read(min(PIECE, left))
            if not piece:
                raise DataError(f"ends inside {member.name}; copy the snapshot again", path=self._path)
            left -= len(piece)
            yield piece

    @contextmanager
    def _named_faults(self) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            raise DataError(str(error), path=self._path) from None
        except (tarfile.TarError, *ARCHIVE_FAULTS) as error:
            raise DataError(f"is damaged or no snapshot ({error}); copy it again", path=self._path) from error


@contextmanager
def opened_archive(path: Path) -> Iterator[ArchiveReader]:
    """An archive to read.

    Raises
    ------
    IndexFormatError : no regular file. FileNotFoundError. DataError : no archive.
    """
    with contextlib.ExitStack() as stack:
        stream: Any = stack.enter_context(open(files.open_regular(path), "rb"))  # noqa: PTH123 - a descriptor
        if path.name.endswith(".zst"):
            stream = Unpacked(stream)
        yield ArchiveReader(path, stream)
