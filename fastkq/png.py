"""Exact indexed PNG: 1, 2, 4 or 8 bits an index, the palette in its order.

Why not Pillow or imageio: `imageio.imwrite` cannot write indices at all, and Pillow deflates with
zlib; libdeflate takes a third of the time for the same size (24 MP: 0.3 s against 0.8 s).
Specification: https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import os
import struct
import zlib

import deflate
import numpy as np

from fastkq.types import UInt8Array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPE_INDEXED = 3
MAX_COLORS = 256
# libdeflate 1 to 12. 6 gives zlib's default size.
DEFLATE_LEVEL = 6
MAX_CHUNK_BYTES = (1 << 31) - 1
HEADER_BYTES = len(SIGNATURE) + 25  # and the IHDR chunk
# Right behind the header, so that a batch tells its own output from a photo by one short read.
MARK = b"Software\0fastkq"


def bits_per_index(n_colors: int) -> int:
    """Return the fewest bits, 1, 2, 4 or 8, that number a palette."""
    return next(bits for bits in (1, 2, 4, 8) if n_colors <= 1 << bits)


def encode_indexed_png(
    labels: UInt8Array, palette: UInt8Array, *, icc_profile: bytes | None = None
) -> bytes:
    """Return an indexed PNG file.

    Parameters
    ----------
    labels : (H, W) uint8
        Rows of the palette.
    palette : (K, 3) uint8
        1 to 256 colors.
    icc_profile : bytes, optional
        The profile that the palette's values refer to.
    """
    height, width = labels.shape
    bits = bits_per_index(len(palette))
    header = struct.pack(">IIBBBBB", width, height, bits, COLOR_TYPE_INDEXED, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), _chunk(b"tEXt", MARK)]
    if icc_profile is not None:
        # Keyword, compression method 0, zlib stream.
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile, 9)))
    chunks.append(_chunk(b"PLTE", palette.tobytes()))
    data = memoryview(deflate.zlib_compress(_pack_rows(labels, bits), DEFLATE_LEVEL))
    chunks.extend(
        _chunk(b"IDAT", data[start : start + MAX_CHUNK_BYTES])
        for start in range(0, len(data), MAX_CHUNK_BYTES)
    )
    chunks.append(_chunk(b"IEND", b""))
    return SIGNATURE + b"".join(chunks)


def is_own_output(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a PNG that fastkq wrote; False where it cannot be read.

    Only the start of the file is looked at.
    """
    mark = _chunk(b"tEXt", MARK)
    try:
        with open(path, "rb") as file:
            start = file.read(HEADER_BYTES + len(mark))
    except OSError:
        return False
    return start.startswith(SIGNATURE) and start[HEADER_BYTES:] == mark


def _pack_rows(labels: UInt8Array, bits: int) -> UInt8Array:
    """Pack indices, the first in the high bits, behind a zero (no filter) in each row."""
    height, width = labels.shape
    per_byte = 8 // bits
    row_bytes = -(-width // per_byte)
    rows = np.zeros((height, 1 + row_bytes), np.uint8)
    packed = rows[:, 1:]
    for position in range(per_byte):
        part = labels[:, position::per_byte]
        packed[:, : part.shape[1]] |= part << np.uint8(8 - bits * (position + 1))
    return rows


def _chunk(kind: bytes, data: bytes | memoryview) -> bytes:
    crc = deflate.crc32(data, deflate.crc32(kind))
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", crc)])
