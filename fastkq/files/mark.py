"""How a batch tells its own output from a photo: a mark that each format has a place for."""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import BinaryIO

SOFTWARE = b"fastkq"
# Right behind the header, so that one short read tells.
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_HEADER_BYTES = len(PNG_SIGNATURE) + 25  # and the IHDR chunk
PNG_TEXT = b"Software\0" + SOFTWARE
GIF_SIGNATURES = (b"GIF87a", b"GIF89a")
GIF_HEADER_BYTES, GIF_FLAGS = 13, 10
GIF_COMMENT = b"!\xfe" + bytes([len(SOFTWARE)]) + SOFTWARE + b"\0"
WEBP_HEADER_BYTES = 16
WEBP_CHUNK_BYTES = 8  # its kind and its length
# EXIF with one tag, "Software": a header of 8 bytes, one entry of 12, no further directory, and the
# text at byte 26.
EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x31\0\x02\0\0\0\x07\0\0\0\x1a\0\0\0\0" + SOFTWARE + b"\0\0"
MAX_EXIF_BYTES = 1 << 20
SOFTWARE_TAG, TEXT_TYPE = 0x0131, 2


def is_own_output(path: str | os.PathLike[str]) -> bool:
    """Return whether a file was written by fastkq; False where it cannot be read.

    Only its start is looked at, and the EXIF data of a WebP. What is no regular file, such as a
    pipe, is not opened: that might wait for ever.
    """
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return _is_own(file)
    except OSError:
        return False


def is_own_data(data: bytes) -> bool:
    """Return whether the bytes of a file were written by fastkq."""
    return _is_own(io.BytesIO(data))


def _is_own(file: BinaryIO) -> bool:
    return _is_own_png(file) or _is_own_gif(file) or _is_own_webp(file)


def _is_own_gif(file: BinaryIO) -> bool:
    """Return whether a file is a GIF with the comment right behind its palette."""
    file.seek(0)
    header = file.read(GIF_HEADER_BYTES)
    if not header.startswith(GIF_SIGNATURES) or len(header) < GIF_HEADER_BYTES:
        return False
    file.seek(3 << (1 + (header[GIF_FLAGS] & 7)), os.SEEK_CUR)
    return file.read(len(GIF_COMMENT)) == GIF_COMMENT


def _is_own_webp(file: BinaryIO) -> bool:
    """Return whether a file is a WebP whose EXIF data names fastkq as its software."""
    file.seek(0)
    header = file.read(WEBP_HEADER_BYTES)
    if not (header.startswith(b"RIFF") and header[8:] == b"WEBPVP8X"):
        return False
    file.seek(len(b"RIFF....WEBP"))
    while len(head := file.read(WEBP_CHUNK_BYTES)) == WEBP_CHUNK_BYTES:
        length = int.from_bytes(head[4:], "little")
        if head.startswith(b"EXIF"):
            data = file.read(min(length, MAX_EXIF_BYTES))
            return len(data) == length and _software_of(data) == SOFTWARE
        file.seek(length + length % 2, os.SEEK_CUR)
    return False


def _software_of(exif: bytes) -> bytes | None:
    """Return the software that EXIF data names, if any."""
    order = {b"MM": ">", b"II": "<"}.get(exif[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (n_entries,) = struct.unpack_from(f"{order}H", exif, start)
        for place in range(start + 2, start + 2 + 12 * n_entries, 12):
            tag, kind, count, value = struct.unpack_from(f"{order}HHII", exif, place)
            if tag == SOFTWARE_TAG and kind == TEXT_TYPE and count > 4:  # fewer lie in the entry
                return exif[value : value + count].rstrip(b"\0")
    except struct.error:  # it is damaged
        pass
    return None


def _is_own_png(file: BinaryIO) -> bool:
    """Return whether a file is a PNG with the mark right behind its header."""
    mark = b"tEXt" + PNG_TEXT
    mark = struct.pack(">I", len(PNG_TEXT)) + mark + struct.pack(">I", zlib.crc32(mark))
    file.seek(0)
    start = file.read(PNG_HEADER_BYTES + len(mark))
    return start.startswith(PNG_SIGNATURE) and start[PNG_HEADER_BYTES:] == mark
