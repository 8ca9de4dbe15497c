"""Whether a JPEG has the pixels that its header says, where its decoder fills what is missing.

libjpeg tells of data that ends before a marker only as a warning, which Pillow does not pass on,
and leaves the blocks that are missing at a coefficient of 0: middle gray.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from fastkq.types import Array

FILL = 128  # of each channel, in gray and in RGB
END = b"\xff\xd9"
BLOCK = 8
# What is decoded instead of missing data: any bits but those of a marker.
NOISE = np.random.default_rng(0).integers(0, 255, 4096, np.uint8).tobytes()


def check_blocks(file: BinaryIO, array: Array) -> None:
    """Raise ValueError if the last blocks of a decoded JPEG were filled by its decoder.

    Only where a corner is middle gray, so that nearly no photo is decoded again: then as it is, and
    with noise before the end of the file, which a decoder that has all its blocks never looks at.
    """
    if not any(_is_filled(corner) for corner in _corners(array)):
        return
    file.seek(0)
    data = file.read()
    end = data.rfind(END)
    if end < 0:
        return
    from PIL import Image

    decoded = []
    for noise in (b"", NOISE):
        padded = io.BytesIO(data[:end] + noise + data[end:])
        with Image.open(padded, formats=("JPEG",)) as image:
            decoded.append(np.asarray(image))
    plain, noisy = decoded
    if not np.array_equal(plain, noisy):
        raise ValueError("the data of the pixels ends early: the last ones are missing")


def _corners(array: Array) -> list[Array]:
    """Return the corners, of which the last block may be any: the image may have been turned."""
    ends = (slice(None, BLOCK), slice(-BLOCK, None))
    return [array[rows, columns] for rows in ends for columns in ends]


def _is_filled(block: Array) -> bool:
    return bool((block == FILL).all())
