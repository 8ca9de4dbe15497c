"""Whether a written file, decoded again, has the pixels that it was made of."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from fastkq.colors.pixels import OPAQUE
from fastkq.files.checksums import check_png
from fastkq.files.decode import decode_file, open_image
from fastkq.files.errors import os_error
from fastkq.files.reading import ReadOptions, pillow_reads
from fastkq.files.signatures import PNG, check_format
from fastkq.types import Array, UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

BLOCK_PIXELS = 1 << 22  # 16 MB of RGBA
# What this package has made has as many pixels as it has.
ANY_SIZE = ReadOptions(max_pixels=1 << 62)
GIF = "GIF"


def check_file(path: str | os.PathLike[str], labels: UInt8Array, palette: UInt8Array) -> None:
    """Raise OSError unless a file has the pixels of labels (H, W) and a palette (K, 3 or 4)."""
    with Path(path).open("rb") as file:
        check_picture(file, labels, palette)


def checker_of(labels: UInt8Array | None, palette: UInt8Array) -> Callable[[Path], None] | None:
    """Return what checks the file of a path for these pixels; None without labels."""
    return None if labels is None else partial(check_file, labels=labels, palette=palette)


def check_bytes(data: bytes, labels: UInt8Array, palette: UInt8Array) -> None:
    """Raise OSError unless the bytes of a file have these pixels."""
    check_picture(io.BytesIO(data), labels, palette)


def check_picture(file: BinaryIO, labels: UInt8Array, palette: UInt8Array) -> None:
    """Raise OSError unless an open file has these pixels; the checksums of a PNG are looked at.

    Indexed files are compared by blocks of rows, so that a large one needs a byte a pixel. In a
    GIF, only the colors that can be seen count, since its transparent entry has none.
    """
    kind = check_format(file, "the output")
    if kind == PNG:
        check_png(file.read())
        file.seek(0)
    expected = _with_alpha(palette)
    with open_image(file, kind) as image:
        if image.size != labels.shape[::-1]:
            raise _other(f"{image.width} x {image.height} pixels")
        if image.mode == "P":
            with pillow_reads(labels.size, ANY_SIZE):
                indices, colors = np.asarray(image), _palette_of(image)

            def decoded(rows: slice) -> UInt8Array:
                return np.take(colors, indices[rows], axis=0)
        else:
            file.seek(0)
            array = decode_file(file, "the output", ANY_SIZE).array

            def decoded(rows: slice) -> UInt8Array:
                return _spread(array[rows])

        _compare(decoded, labels, expected, ignores_hidden=kind == GIF)


def _compare(
    decoded: Callable[[slice], UInt8Array],
    labels: UInt8Array,
    expected: UInt8Array,
    *,
    ignores_hidden: bool,
) -> None:
    n_rows = max(1, BLOCK_PIXELS // labels.shape[1])
    for first in range(0, len(labels), n_rows):
        rows = slice(first, first + n_rows)
        wanted, found = expected[labels[rows]], decoded(rows)
        differs = (wanted != found).any(axis=2)
        if ignores_hidden:
            differs &= (wanted[..., 3] > 0) | (found[..., 3] > 0)
        if differs.any():
            raise _other(f"{np.count_nonzero(differs)} other pixels from row {first} on")


def _other(what: str) -> OSError:
    return os_error(errno.EIO, f"the output, decoded again, has {what}")


def _palette_of(image: PillowImage) -> UInt8Array:
    """Return the palette (256, 4) of an indexed image, with its transparency."""
    levels, transparency = image.getpalette("RGB"), image.info.get("transparency")
    given = np.array(levels, np.uint8).reshape(-1, 3)
    colors = np.zeros((256, 4), np.uint8)
    colors[: len(given), :3], colors[:, 3] = given, OPAQUE
    if isinstance(transparency, bytes):
        colors[: len(transparency), 3] = np.frombuffer(transparency, np.uint8)
    elif transparency is not None:
        colors[transparency, 3] = 0
    return colors


def _with_alpha(colors: Array) -> UInt8Array:
    if colors.shape[-1] == 4:
        return colors
    alphas = np.full((*colors.shape[:-1], 1), OPAQUE, np.uint8)
    return np.concatenate([colors, alphas], axis=-1)


def _spread(array: UInt8Array) -> UInt8Array:
    """Return gray or RGB (h, W, ...), with or without alpha, as RGBA."""
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] < 3:
        array = array[..., [0, 0, 0, *range(1, array.shape[2])]]
    return _with_alpha(array)
