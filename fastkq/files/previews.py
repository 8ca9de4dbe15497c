"""Small pictures for a page: smaller copies, as WebP, and thumbnails of files."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

import numpy as np

from fastkq.colors.pixels import with_alpha
from fastkq.files.decode import decode_file, open_file, open_image
from fastkq.files.display import as_image
from fastkq.files.reading import DEFAULT, pillow_reads
from fastkq.files.signatures import JPEG, check_format
from fastkq.types import UInt8Array

PREVIEW_QUALITY = 90
THUMBNAIL_QUALITY = 70


def shrink(array: UInt8Array, longest: int) -> UInt8Array:
    """Return an image (H, W), (H, W, 3) or (H, W, 4) whose longer side is at most so many pixels.

    Pixels are means of those that they stand for; what is transparent has no part in them.
    """
    height, width = array.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return array
    from PIL import Image

    size = max(1, round(width * scale)), max(1, round(height * scale))
    smaller = as_image(array).resize(size, Image.Resampling.BOX)
    return np.asarray(smaller)


def to_webp(array: UInt8Array, quality: int | None = None) -> bytes:
    """Return an image (H, W), (H, W, 3) or (H, W, 4) as a WebP: lossless, or of some quality."""
    buffer = io.BytesIO()
    if quality is None:
        as_image(array).save(buffer, "WEBP", lossless=True)
    else:
        as_image(array).save(buffer, "WEBP", quality=quality, alpha_quality=quality)
    return buffer.getvalue()


def thumbnail(path: str | os.PathLike[str], longest: int) -> bytes | None:
    """Return a small picture of an image file, as a WebP; None for what cannot be read.

    A JPEG is decoded at an eighth of its size where that is enough, which takes half the time.
    """
    name = os.fspath(path)
    try:
        with open_file(name) as file:
            small = None
            if check_format(file, name) == JPEG:
                small = _draft(file, name, longest)
                file.seek(0)
            if small is None:
                small = decode_file(file, name).array
        if small.ndim == 3 and small.shape[2] == 2:
            small = with_alpha(small)
        return to_webp(shrink(small, longest), THUMBNAIL_QUALITY)
    except Exception:
        # A damaged file makes its decoder raise anything.
        return None


def _draft(file: BinaryIO, name: str, longest: int) -> UInt8Array | None:
    """Return a JPEG of gray or RGB at the least size that its decoder gives for so many pixels."""
    from PIL import ImageOps

    with open_image(file, JPEG) as image:
        if image.mode not in ("L", "RGB"):
            return None
        DEFAULT.check_size(name, *image.size)
        with pillow_reads(image.width * image.height, DEFAULT):
            image.draft(image.mode, (longest, longest))
            return np.asarray(ImageOps.exif_transpose(image))
