"""Exact indexed PNG: 1, 2, 4 or 8 bits an index, the palette in its order.

Why not Pillow or imageio: `imageio.imwrite` cannot write indices at all, and Pillow deflates with
zlib; libdeflate takes a third of the time for the same size (24 MP: 0.3 s against 0.8 s).
Large images, and those larger than memory, are deflated in strips, on all cores (`zlib_streams`).
Specification: https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TypeAlias

import deflate
import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE
from fastkq.files import zlib_streams
from fastkq.files.attached import DENSITY, NOTHING, SRGB, Attached
from fastkq.files.mark import PNG_SIGNATURE, PNG_TEXT
from fastkq.files.palette_order import find_orders, relabel
from fastkq.types import MAX_COLORS, UInt8Array

COLOR_TYPE_GRAY, COLOR_TYPE_INDEXED = 0, 3
MAX_BITS = 8
# libdeflate 1 to 12. 7 gives no more than Pillow's default size, or 0.1 % more, and 12 on icons.
DEFLATE_LEVEL, MOST_LEVEL = 7, 12
SMALL_PIXELS = 1 << 14  # of icons
LARGE_PIXELS = 1 << 22  # of images that are deflated in strips
# What shrinks to a tenth, as drawings do, gains 1 to 10 % by 9 in little time, 3 to 15 % by 10 and
# up to 20 % by 11: these levels serve up to so many pixels, and take 0.1 s or less.
DRAWING_RATIO = 10
DRAWING_LEVELS = ((11, 1 << 19), (10, 1 << 22))
FRAME_LEVEL = 9  # of larger drawings, and of the many frames of an animation
# For `optimize`: 10 is the first level that looks for the best way to write a block. 11 takes off
# another 1 to 2 % where the rows are written as they are, as those of drawings, but hardly
# anything, for twice the time, from filtered ones.
PLAIN_LEVEL, FILTERED_LEVEL = 11, 10
# 12 takes off another 1 to 5 % of rows as they are, in twice the time: up to so many pixels.
MOST_PIXELS = 1 << 20
# Which of the ways is tried on bands of rows, by as high a level: the lower ones are often wrong.
TRIAL_LEVEL = 10
TRIAL_BYTES, TRIAL_BANDS = 1 << 18, 4
OXIPNG_LEVEL = 4  # of 6; 2 would hardly find anything more
MAX_CHUNK_BYTES = (1 << 31) - 1

Chunks: TypeAlias = "list[tuple[bytes, bytes]]"  # each with its kind


def bits_per_index(n_colors: int) -> int:
    """Return the fewest bits, 1, 2, 4 or 8, that number a palette."""
    return next(bits for bits in (1, 2, 4, 8) if n_colors <= 1 << bits)


def encode_indexed_png(
    labels: UInt8Array,
    palette: UInt8Array,
    *,
    attached: Attached = NOTHING,
    optimize: bool = False,
    n_kept: int | None = None,
    bit_depth: int | None = None,
) -> bytes:
    """Return an indexed PNG file.

    Parameters
    ----------
    labels : (H, W) uint8
        Rows of the palette.
    palette : (K, 3) or (K, 4) uint8
        1 to 256 colors, with their alpha. The fewer entries up to the last transparent one, the
        shorter the file.
    attached : Attached
        What comes with the image: how its colors are meant, its density, metadata.
    optimize : bool
        Whether to take several times as long for a smaller file: with the palette in an order that
        makes neighbours similar and the rows filtered, or as they are, whichever is smaller.
    n_kept : int, optional
        How many entries keep their place then, beside those with transparency; all by default.
    bit_depth : int, optional
        Of an index; as few as number the palette by default.
    """
    bits = bit_depth or bits_per_index(len(palette))
    if optimize:
        deflated, palette = _deflate_best(labels, palette, n_kept, bits)
    else:
        deflated = deflate_fast(labels, bits)
    chunks = attached_chunks(attached) + palette_chunks(palette)
    return assemble(labels.shape, bits, COLOR_TYPE_INDEXED, chunks, deflated)


def assemble(
    shape: tuple[int, ...], bits: int, color_type: int, chunks: Chunks, deflated: bytes
) -> bytes:
    """Return a PNG file of an image (H, W, ...), with chunks before its pixels."""
    data = memoryview(deflated)
    parts = [png_head(shape, bits, color_type, chunks)]
    parts.extend(
        _chunk(b"IDAT", data[start : start + MAX_CHUNK_BYTES])
        for start in range(0, len(data), MAX_CHUNK_BYTES)
    )
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)


def deflate_fast(labels: UInt8Array, bits: int, *, is_frame: bool = False) -> bytes:
    """Return deflated rows of about the size that Pillow's have or less, in little time.

    Parameters
    ----------
    labels : (H, W) uint8
    bits : int, of an index
    is_frame : bool
        Whether there are many such images, so that drawings may take less time.
    """
    if labels.size >= LARGE_PIXELS:
        deflated = _deflate_large(labels, bits)
    else:
        level = MOST_LEVEL if labels.size < SMALL_PIXELS else DEFLATE_LEVEL
        deflated = deflate.zlib_compress(_pack_rows(labels, bits), level)
    if DRAWING_RATIO * len(deflated) < len(labels) * _row_bytes(labels.shape[1], bits):
        level = FRAME_LEVEL if is_frame else _drawing_level(labels.size)
        drawing = deflate.zlib_compress(_pack_rows(labels, bits), level)
        deflated = min(deflated, drawing, key=len)
    return deflated


def _drawing_level(n_pixels: int) -> int:
    for level, most in DRAWING_LEVELS:
        if n_pixels < most:
            return level
    return FRAME_LEVEL


def _deflate_large(labels: UInt8Array, bits: int) -> bytes:
    """Return deflated rows, by strips on all threads; how many does not change a byte."""
    height, width = labels.shape
    n_rows = zlib_streams.count_strip_rows(height, _row_bytes(width, bits))
    strips = (_pack_rows(labels[i : i + n_rows], bits) for i in range(0, height, n_rows))
    with ThreadPoolExecutor(kernels.threads.n_threads()) as pool:
        return b"".join(zlib_streams.deflate_strips(strips, pool, height))


def _deflate_best(
    labels: UInt8Array, palette: UInt8Array, n_kept: int | None, bits: int
) -> tuple[bytes, UInt8Array]:
    """Return the smallest deflated rows that trials find, and the palette in their order."""
    n_colors = len(palette)
    n_kept = n_colors if n_kept is None else n_kept
    if palette.shape[1] == 4:
        n_kept = max(n_kept, int(np.count_nonzero(palette[:, 3] < OPAQUE)))
    as_it_is = np.arange(n_colors)
    orders = [as_it_is, *(find_orders(labels, n_colors, n_kept) or [as_it_is])]
    bands = _cut_bands(labels, bits)
    trials = [_pack_bands(bands, order, bits, filtered=i > 0) for i, order in enumerate(orders)]
    best = int(np.argmin(_deflated_sizes(trials)))
    order = orders[best]
    return deflate_rows(relabel(labels, order), bits, filtered=best > 0), palette[order]


def deflate_rows(values: UInt8Array, bits: int, *, filtered: bool) -> bytes:
    """Return thoroughly deflated rows of indices or grays (H, W) of 1 to 8 bits."""
    rows = _pack_rows(values, bits)
    if filtered:
        rows = filter_rows(rows[:, 1:])
    level = FILTERED_LEVEL if filtered else PLAIN_LEVEL
    if values.size < (SMALL_PIXELS if filtered else MOST_PIXELS):
        level = MOST_LEVEL
    deflated: bytes = deflate.zlib_compress(rows, level)
    return deflated


def pays_filtering(values: UInt8Array, bits: int) -> bool:
    """Return whether a trial says that filtered rows of indices or grays become smaller."""
    bands, same = _cut_bands(values, bits), np.arange(MAX_COLORS)
    plain, filtered = (_pack_bands(bands, same, bits, filtered=flag) for flag in (False, True))
    sizes = _deflated_sizes([plain, filtered])
    return sizes[1] < sizes[0]


def _cut_bands(values: UInt8Array, bits: int) -> list[tuple[UInt8Array, int]]:
    """Return bands of rows for a trial, the first at the top, the last below.

    Each has the row above it as well, if there is one, since filters look at it, and beside it
    stands how many such rows it has.
    """
    height, width = values.shape
    n_rows = max(1, TRIAL_BYTES // (TRIAL_BANDS * (1 + -(-width * bits // MAX_BITS))))
    if TRIAL_BANDS * n_rows >= height:
        return [(values, 0)]
    starts = np.linspace(0, height - n_rows, TRIAL_BANDS).astype(np.intp)
    return [(values[max(0, s - 1) : s + n_rows], min(int(s), 1)) for s in starts]


def _pack_bands(
    bands: list[tuple[UInt8Array, int]], order: NDArray[np.intp], bits: int, *, filtered: bool
) -> UInt8Array:
    """Return the rows of bands, whose palette gets an order, as they would be deflated."""
    parts = []
    for values, n_above in bands:
        rows = _pack_rows(relabel(values, order), bits)
        parts.append((filter_rows(rows[:, 1:]) if filtered else rows)[n_above:])
    return np.concatenate(parts)


def _deflated_sizes(trials: list[UInt8Array]) -> list[int]:
    """Return what becomes of rows; libdeflate lets threads run."""
    with ThreadPoolExecutor(kernels.threads.n_threads()) as pool:
        return list(pool.map(lambda rows: len(deflate.zlib_compress(rows, TRIAL_LEVEL)), trials))


def filter_rows(rows: UInt8Array) -> UInt8Array:
    """Filter packed rows (H, B), each so that its bytes have the least entropy.

    Returns
    -------
    (H, 1 + B) uint8
        Each row behind the number of its filter.
    """
    counts = np.arange(rows.shape[1] + 1, dtype=np.float64)
    logs = counts * np.log2(np.maximum(counts, 1))
    filtered = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    kernels.png.filter_rows(np.ascontiguousarray(rows), logs, filtered)
    return filtered


def squeeze(data: bytes, *, may_reorder: bool) -> bytes:
    """Return a PNG file rewritten by oxipng, which tries more filters; or as it is, if smaller.

    Parameters
    ----------
    data : bytes
        Of an indexed PNG, which it stays.
    may_reorder : bool
        Whether the palette may get another order.
    """
    import oxipng

    smaller: bytes = oxipng.optimize_from_memory(
        data,
        level=OXIPNG_LEVEL,
        palette_reduction=may_reorder,
        bit_depth_reduction=False,
        color_type_reduction=False,
        grayscale_reduction=False,
    )
    return smaller


def write_indexed_png(
    file: BinaryIO,
    shape: tuple[int, int],
    blocks: Iterable[UInt8Array],
    palette: UInt8Array,
    *,
    attached: Attached = NOTHING,
    bit_depth: int | None = None,
    n_threads: int = 1,
) -> int:
    """Write an indexed PNG file as its rows come; return its size in bytes.

    Parameters
    ----------
    file : binary file object
    shape : (H, W)
    blocks : iterable of (h, W) uint8
        The rows, in order. How they are cut and the threads do not change the file.
    palette, attached, bit_depth
        As in `encode_indexed_png`.
    n_threads : int
        To deflate on.
    """
    bits = bit_depth or bits_per_index(len(palette))
    n_rows = zlib_streams.count_strip_rows(shape[0], _row_bytes(shape[1], bits))
    strips = (_pack_rows(rows, bits) for rows in _cut_rows(blocks, n_rows))
    chunks = attached_chunks(attached) + palette_chunks(palette)
    n_bytes = file.write(png_head(shape, bits, COLOR_TYPE_INDEXED, chunks))
    with ThreadPoolExecutor(n_threads) as pool:
        n_ahead = zlib_streams.STRIPS_AHEAD * n_threads
        for data in zlib_streams.deflate_strips(strips, pool, n_ahead):
            n_bytes += file.write(_chunk(b"IDAT", data))
    return n_bytes + file.write(_chunk(b"IEND", b""))


def _cut_rows(blocks: Iterable[UInt8Array], n_rows: int) -> Iterator[UInt8Array]:
    """Cut an image into strips of so many rows, the last of what is left."""
    rest: list[UInt8Array] = []
    for block in blocks:
        rows = np.concatenate([*rest, block])
        whole = len(rows) // n_rows * n_rows
        yield from (rows[start : start + n_rows] for start in range(0, whole, n_rows))
        rest = [rows[whole:]]
    yield from (rows for rows in rest if len(rows))


def png_head(shape: tuple[int, ...], bits: int, color_type: int, chunks: Chunks) -> bytes:
    """Return all that comes before the pixels."""
    height, width = shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    named = [(b"IHDR", header), (b"tEXt", PNG_TEXT), *chunks]
    return PNG_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in named)


def attached_chunks(attached: Attached) -> Chunks:
    """Return what comes with an image as chunks, all of which may stand before a palette."""
    chunks = list(attached.color_chunks)
    if attached.icc_profile is not None:
        # Beside a profile there is to be no sRGB. Keyword, compression method 0, zlib stream.
        chunks = [(kind, data) for kind, data in chunks if kind != SRGB]
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(attached.icc_profile, 9)))
    if attached.density is not None:
        chunks.append((DENSITY, struct.pack(">IIB", *attached.density)))
    if attached.exif is not None:
        chunks.append((b"eXIf", attached.exif))
    if attached.xmp is not None:
        # Keyword, not compressed, method 0, no language, no other keyword.
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + attached.xmp))
    return chunks


def palette_chunks(palette: UInt8Array) -> Chunks:
    """Return the colors and their alphas."""
    chunks = [(b"PLTE", palette[:, :3].tobytes())]
    if palette.shape[1] == 4:  # entries beyond the chunk are opaque
        alphas = palette[:, 3].tobytes().rstrip(b"\xff")
        if alphas:
            chunks.append((b"tRNS", alphas))
    return chunks


def _row_bytes(width: int, bits: int) -> int:
    """Return how many bytes a row of indices has, with the number of its filter."""
    return 1 + -(-width * bits // MAX_BITS)


def _pack_rows(labels: UInt8Array, bits: int) -> UInt8Array:
    """Pack indices, the first in the high bits, behind a zero (no filter) in each row."""
    height, width = labels.shape
    rows = np.zeros((height, _row_bytes(width, bits)), np.uint8)
    packed, per_byte = rows[:, 1:], MAX_BITS // bits
    if per_byte == 1:
        packed[...] = labels
        return rows
    for position in range(per_byte):
        part = labels[:, position::per_byte]
        packed[:, : part.shape[1]] |= part << np.uint8(MAX_BITS - bits * (position + 1))
    return rows


def _chunk(kind: bytes, data: bytes | memoryview) -> bytes:
    crc = deflate.crc32(data, deflate.crc32(kind))
    return b"".join([struct.pack(">I", len(data)), kind, data, struct.pack(">I", crc)])
