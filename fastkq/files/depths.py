"""Pictures of more than 8 bits a channel, rounded to 8.

Pillow has no mode for most of them: it cuts the low bytes off, which makes a picture darker by half
a level. Its decoders can give either byte, so such a picture is decoded once for each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fastkq.files.checksums import GRAY_ALPHA, RGB, PngFacts
from fastkq.files.errors import PixelsNotAllowedError
from fastkq.types import Array, UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

MAX_16_BIT = 65535
BLOCK_BYTES = 1 << 20
# Tags of TIFF.
BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT = 258, 262, 284, 339
WHITE_IS_ZERO, SEPARATE_PLANES = 0, 2
UNSIGNED, SIGNED, FLOAT, UNDEFINED = 1, 2, 3, 4
SAMPLE_FORMATS = {SIGNED: "signed integer", FLOAT: "floating-point"}
ORIENTATION_TAG = 0x0112
# The order of bytes in which Pillow's decoders give the other one of two.
OTHER_ORDER = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def round_levels(levels: Array, max_level: int = MAX_16_BIT) -> UInt8Array:
    """Return levels from 0 to `max_level` as those from 0 to 255 that are nearest.

    Examples
    --------
    >>> round_levels(np.array([0, 128, 129, 65535])).tolist()
    [0, 0, 1, 255]
    """
    wide = levels.astype(np.uint32)
    return ((wide * 510 + max_level) // (2 * max_level)).astype(np.uint8)


def join_bytes(high: UInt8Array, low: UInt8Array) -> UInt8Array:
    """Return 16-bit levels, given by their bytes, rounded to 8 bits.

    A level is 257 * high + (low - high), so that only a difference of over 128 changes the byte.
    """
    result = high.copy()
    for rows in _blocks(high):  # temporary arrays of some MB
        difference = low[rows].astype(np.int16) - high[rows]
        result[rows] += difference > 128
        result[rows] -= difference < -128
    return result


def _blocks(array: UInt8Array) -> Iterator[slice]:
    """Cut an array into blocks of rows of about a megabyte."""
    n_rows = max(1, BLOCK_BYTES // array[0].size)
    return (slice(start, start + n_rows) for start in range(0, len(array), n_rows))


def check_samples(image: PillowImage) -> int:
    """Return the bits of a TIFF's channels.

    Raises
    ------
    PixelsNotAllowedError
        Its pixels are no unsigned integers of at most 16 bits in one plane.
    """
    tags = _tags(image)
    bits = max(tags.get(BITS_PER_SAMPLE, (1,)))
    others = [kind for kind in tags.get(SAMPLE_FORMAT, ()) if kind not in (UNSIGNED, UNDEFINED)]
    if others or bits > 16:
        kind = SAMPLE_FORMATS.get(others[0], "complex") if others else "unsigned integer"
        raise PixelsNotAllowedError(
            f"has {kind} pixels of {bits} bits a channel; unsigned integers of up to 16 bits are "
            "allowed"
        )
    if bits > 8 and tags.get(PLANAR) == SEPARATE_PLANES and len(tags[BITS_PER_SAMPLE]) > 1:
        raise PixelsNotAllowedError(
            f"has {bits} bits a channel in separate planes; channels in one plane are allowed"
        )
    return int(bits)


def is_inverted(image: PillowImage) -> bool:
    """Return whether 0 is white in a TIFF, and Pillow leaves that as it is."""
    return image.mode.startswith("I;16") and _tags(image).get(PHOTOMETRIC) == WHITE_IS_ZERO


def _tags(image: PillowImage) -> Any:
    return image.tag_v2  # type: ignore[attr-defined]


def read_deep_png(file: BinaryIO, facts: PngFacts) -> PillowImage:
    """Return a PNG of 16-bit gray + alpha, RGB or RGBA in 8 bits, turned upright."""
    from PIL import Image

    if facts.color_type == GRAY_ALPHA:
        # As four bytes a pixel: the decoder has no order for the low ones of two channels.
        pixels, orientation = _decode(file, "PNG", "RGBA")
        rounded = join_bytes(pixels[..., ::2], pixels[..., 1::2])
    else:
        kind = "RGB" if facts.color_type == RGB else "RGBA"
        high, orientation = _decode(file, "PNG", f"{kind};16B")
        low, _ = _decode(file, "PNG", f"{kind};16L")
        rounded = join_bytes(high, low)
        if facts.key is not None:
            key_bytes = np.array(facts.key, ">u2").view(np.uint8).reshape(-1, 2)
            is_key = np.ones(high.shape[:2], np.bool_)
            for channel, (key_high, key_low) in enumerate(key_bytes):
                is_key &= (high[..., channel] == key_high) & (low[..., channel] == key_low)
            rounded = add_key(rounded, is_key)
    return _turn(Image.fromarray(rounded), orientation)


def read_deep_tiff(file: BinaryIO, image: PillowImage, index: int = 0) -> PillowImage:
    """Return a TIFF of several channels of 16 bits in 8, turned upright."""
    from PIL import Image

    tiles: list[Any] = image.tile  # type: ignore[attr-defined]
    raw = tiles[0][3][0]
    kind, _, order = raw.partition(";")
    if order not in OTHER_ORDER:
        raise PixelsNotAllowedError(
            f"has channels of 16 bits in the order {raw}, which is not known"
        )
    is_premultiplied, mode = kind == "RGBa", image.mode
    kind = "RGBA" if is_premultiplied else kind
    high, orientation = _decode(file, "TIFF", f"{kind};{order}", index)
    low, _ = _decode(file, "TIFF", f"{kind};{OTHER_ORDER[order]}", index)
    rounded = _divide_alpha(high, low) if is_premultiplied else join_bytes(high, low)
    size = (rounded.shape[1], rounded.shape[0])
    return _turn(Image.frombytes(mode, size, np.ascontiguousarray(rounded).tobytes()), orientation)


def add_key(array: UInt8Array, is_key: Array) -> UInt8Array:
    """Return gray or RGB with alpha if a pixel has the color that is transparent."""
    if not is_key.any():
        return array
    return np.dstack([array, np.where(is_key, np.uint8(0), np.uint8(255))])


def _divide_alpha(high: UInt8Array, low: UInt8Array) -> UInt8Array:
    """Return premultiplied RGBA of 16 bits as straight RGBA of 8."""
    result = join_bytes(high, low)
    for rows in _blocks(high):
        levels = high[rows].astype(np.uint32) << 8 | low[rows]
        alpha = np.maximum(levels[..., 3:], 1)
        result[rows, :, :3] = np.minimum((levels[..., :3] * 510 + alpha) // (2 * alpha), 255)
    return result


def _decode(file: BinaryIO, kind: str, raw: str, index: int = 0) -> tuple[UInt8Array, int]:
    """Decode a file of pixels that lie as `raw` says; return the pixels and the orientation."""
    from PIL import Image

    file.seek(0)
    with Image.open(file, formats=(kind,)) as image:
        opened: Any = image
        if index:
            image.seek(index)
        tiles = []
        for tile in opened.tile:
            arguments = tile[3]
            rest = () if isinstance(arguments, str) else arguments[1:]
            changed = (*tile[:3], (raw, *rest))
            # Named since Pillow 11.
            tiles.append(type(tile)._make(changed) if hasattr(tile, "_make") else changed)
        opened.tile = tiles
        image.load()
        # Asked for now: a TIFF was turned upright just before, and says so no more.
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        return np.asarray(image), orientation


def _turn(image: PillowImage, orientation: int) -> PillowImage:
    from PIL import ImageOps

    image.getexif()[ORIENTATION_TAG] = orientation
    return ImageOps.exif_transpose(image)
