"""Tar files, one member after the other: headers in, members out. Nothing is ever extracted."""

from __future__ import annotations

import copy
import errno
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastkq.files.errors import ImageReadError, os_error

ENCODING, ERRORS = "utf-8", "surrogateescape"
# Long names take a header of their own; one of more bytes than that is no name, and would be read
# into memory.
MAX_HEADER_BYTES = 1 << 20
COPIED_AT_ONCE = 1 << 20
# What such a header may say instead of the plain one: written anew, since it may have changed.
WRITTEN_ANEW = {"path", "linkpath", "size"}


class _Headers:
    """A file of which only headers are read.

    Attributes
    ----------
    left : int
        How many bytes may still be read of those of one member, in however many pieces.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.left = MAX_HEADER_BYTES

    def read(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= self.left:
            raise tarfile.ReadError(f"has headers of a member over {MAX_HEADER_BYTES} bytes")
        data = self._file.read(n_bytes)
        self.left -= len(data)
        return data


def read_headers(file: BinaryIO, name: str) -> Iterator[tarfile.TarInfo]:
    """Yield the headers of an uncompressed tar file, in their order; their data is not read.

    Raises
    ------
    ImageReadError
        It is no tar file, it is damaged, or it ends before its last member does.
    """
    file.seek(0)
    headers = _Headers(file)
    try:
        with tarfile.TarFile(
            fileobj=headers,  # type: ignore[arg-type]  # which needs no more of a file
            encoding=ENCODING,
            errors=ERRORS,
        ) as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all
                if info.size < 0:  # from where it would go back, for ever
                    raise tarfile.ReadError(f"has a member of {info.size} bytes")
                if info.issparse():
                    raise tarfile.ReadError("has a sparse member, which takes GNU tar")
                yield info
                headers.left = MAX_HEADER_BYTES
            end = tar.offset
    except tarfile.TarError as error:
        raise ImageReadError(f"{name}: is no tar file that can be read: {error}") from error
    # Python's reader takes a damaged header for the end, and the members behind it would be lost.
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE).strip(tarfile.NUL):
        raise ImageReadError(f"{name}: is damaged: there is no header at byte {end}")


def data_bytes(info: tarfile.TarInfo) -> int:
    """Return how many bytes of data a member has: a link has none, whatever its header says."""
    has_data = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    return info.size if has_data else 0


class TarWriter:
    """Members written one by one into a file that is open to write.

    Owner, permissions, time and whatever else a header says stay as they are in its source, so that
    equal sources make equal files.

    Attributes
    ----------
    checksum : int
        The CRC-32 of all that is written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.checksum = 0
        self._n_bytes = 0

    def write(self, info: tarfile.TarInfo, data: bytes) -> None:
        """Write a member with other data than its header says."""
        self._begin(info, len(data))
        self._put(data)
        self._fill(tarfile.BLOCKSIZE)

    def copy(self, info: tarfile.TarInfo, source: BinaryIO) -> None:
        """Write a member with the data that it has in its source."""
        left = data_bytes(info)
        self._begin(info, left)
        source.seek(info.offset_data)
        while left:
            data = source.read(min(left, COPIED_AT_ONCE))
            if not data:
                raise ImageReadError(f"{info.name}: ends early: it has changed meanwhile")
            self._put(data)
            left -= len(data)
        self._fill(tarfile.BLOCKSIZE)

    def finish(self) -> None:
        """Write what a tar file ends with."""
        self._put(tarfile.NUL * (2 * tarfile.BLOCKSIZE))
        self._fill(tarfile.RECORDSIZE)

    def check(self, path: Path) -> None:
        """Raise OSError if a file is not what was written."""
        checksum = 0
        with open(path, "rb") as file:
            while data := file.read(COPIED_AT_ONCE):
                checksum = zlib.crc32(data, checksum)
        if checksum != self.checksum:
            raise os_error(errno.EIO, "what was written is not what is read again")

    def _begin(self, info: tarfile.TarInfo, n_bytes: int) -> None:
        header = copy.copy(info)
        header.size = n_bytes
        header.pax_headers = {
            key: value for key, value in info.pax_headers.items() if key not in WRITTEN_ANEW
        }
        self._put(header.tobuf(tarfile.PAX_FORMAT, ENCODING, ERRORS))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._n_bytes += len(data)
        self.checksum = zlib.crc32(data, self.checksum)

    def _fill(self, unit: int) -> None:
        self._put(tarfile.NUL * (-self._n_bytes % unit))
