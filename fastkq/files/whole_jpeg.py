"""Whether a JPEG has the pixels that its header says, where its decoder fills what is missing.

libjpeg tells of data that ends before a marker only as a warning, which Pillow does not pass on,
and leaves the blocks that are missing at a coefficient of 0: middle gray. Scans that are missing
from a progressive file it does not tell of at all.
Specification: https://www.w3.org/Graphics/JPEG/itu-t81.pdf
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from fastkq.types import Array

FILL = 128  # of each channel, in gray and in RGB
END = b"\xff\xd9"
BLOCK = 8
N_COEFFICIENTS = BLOCK * BLOCK
PROGRESSIVE = (0xC2, 0xCA)  # frames, coded by Huffman's codes or arithmetically
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
# In the data of a scan, 0 follows each byte of 255, or the number of a restart.
# (Of several bytes of 255 the last one counts; to search for all of them, \xff+, takes 20 times as
# long: 24 ms of 3 MB.)
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
NO_LENGTH = {0x01, 0xD8, *range(0xD0, 0xD8)}
# What is decoded instead of missing data: any bits but those of a marker.
NOISE = hashlib.shake_128().digest(4096).replace(b"\xff", b"\x00")


def check_jpeg(file: BinaryIO, array: Array, *, is_progressive: bool) -> None:
    """Raise ValueError if the last pixels of a decoded JPEG, or their last bits, are not in it.

    In the last scan of a progressive file, missing data is found only where it leaves gray blocks.
    """
    is_suspect = any(_is_filled(corner) for corner in _corners(array))
    if not is_suspect and not is_progressive:
        return
    file.seek(0)
    data = file.read()
    if is_progressive:
        _check_scans(data)
    if is_suspect:
        _check_blocks(data)


def _check_blocks(data: bytes) -> None:
    """Raise ValueError if the decoder of a file needs more data than there is.

    It is decoded twice: as it is, and with noise before its end, which a decoder that has all its
    blocks never looks at. So this is for files with a middle gray corner, as nearly no photo has.
    """
    from PIL import Image

    end = data.rfind(END)
    if end < 0:
        return
    decoded = []
    for noise in (b"", NOISE):
        padded = io.BytesIO(data[:end] + noise + data[end:])
        with Image.open(padded, formats=("JPEG",)) as image:
            decoded.append(np.asarray(image))
    plain, noisy = decoded
    if not np.array_equal(plain, noisy):
        raise ValueError("the data of the pixels ends early: the last ones are missing")


def _check_scans(data: bytes) -> None:
    """Raise ValueError if the scans of a progressive file do not come to its last bits."""
    n_left: dict[int, Array] = {}
    for kind, body in _read_segments(data):
        if kind in PROGRESSIVE and len(body) > 5:
            components = body[6 : 6 + 3 * body[5] : 3]
            n_left = {name: np.ones(N_COEFFICIENTS, np.bool_) for name in components}
        elif kind == START_OF_SCAN and len(body) >= 4:
            first, last, bits = body[-3:]
            for name in body[1 : 1 + 2 * body[0] : 2]:
                if name in n_left and bits & 15 == 0:  # to the last bit
                    n_left[name][first : last + 1] = False
    n_missing = sum(int(left.any()) for left in n_left.values())
    if n_missing:
        raise ValueError(
            f"the file ends early: the last scans of {n_missing} of its {len(n_left)} channels are "
            "missing"
        )


def _read_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers of a file, and what their segments hold, up to the end of the image."""
    position = 0
    while match := MARKER.search(data, position):
        kind, position = data[match.end() - 1], match.end()
        if kind == END_OF_IMAGE:
            return
        if kind not in NO_LENGTH:
            length = int.from_bytes(data[position : position + 2], "big")
            yield kind, data[position + 2 : position + length]
            position += max(2, length)


def _corners(array: Array) -> list[Array]:
    """Return the corners, of which the last block may be any: the image may have been turned."""
    ends = (slice(None, BLOCK), slice(-BLOCK, None))
    return [array[rows, columns] for rows in ends for columns in ends]


def _is_filled(block: Array) -> bool:
    return bool((block == FILL).all())
