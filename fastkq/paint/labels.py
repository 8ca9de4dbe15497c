"""Replace pixels by the labels of their nearest palette entries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.alpha_image import AlphaImage
from fastkq.colors.histogram import CODE_BITS, SPREAD, decode_colors
from fastkq.colors.pixels import OPAQUE, check_array, drop_alpha
from fastkq.engine.alpha import AlphaLabels, to_points
from fastkq.engine.cells import CELL_BITS, PARENT_BITS, ROOT_BITS, pad_centers
from fastkq.paint.dither import Dithering
from fastkq.types import Array, UInt8Array

OPAQUE_ONLY = "for a palette (K, 3); use one with alpha, (K, 4)"
CUBE_BITS = 3  # cubes of 2x2x2 colors
CUBE_MIDDLE = 0.5


def apply_labels(array: UInt8Array, codes: NDArray[np.uint32], labels: UInt8Array) -> UInt8Array:
    """Replace each pixel by the label of its color.

    Parameters
    ----------
    array : (H, W) or (H, W, 3) uint8
    codes : (U,) uint32
        The Morton codes of at least the colors of the image.
    labels : (U,) uint8

    Returns
    -------
    (H, W) uint8
    """
    return apply_table(array, label_table(codes, labels))


def apply_alpha_labels(image: AlphaImage, nearest: AlphaLabels) -> UInt8Array:
    """Replace each pixel of an image with alpha by the label (H, W) of its color."""
    if len(image.opaque):
        # All pixels as if they were opaque, then the others anew: one pass without a branch.
        labels = apply_labels(drop_alpha(image.pixels), image.opaque.codes, nearest.opaque)
    else:
        labels = np.empty(image.pixels.shape[:2], np.uint8)
    image.put_labels(labels, nearest.translucent, nearest.transparent)
    return labels


def dither_opaque(
    image: AlphaImage, palette: UInt8Array, labels: UInt8Array, dithering: Dithering
) -> float:
    """Dither the opaque pixels of an image with the opaque entries of a palette.

    The others keep their labels: mixing alphas would make soft edges rough.

    Parameters
    ----------
    image : AlphaImage
    palette : (K, 4) uint8
    labels : (H, W) uint8
        The nearest entries; those of opaque pixels are replaced.
    dithering : Dithering

    Returns
    -------
    float
        The squared error of the whole image, the mean of that over black and over white.
    """
    own = np.flatnonzero(palette[:, 3] == OPAQUE).astype(np.uint8)
    is_opaque = image.pixels[..., 3] == OPAQUE
    if len(own) and is_opaque.any():
        # Others are exact: errors end there, and none begins.
        colors = np.where(is_opaque[..., None], image.pixels[..., :3], palette[own[0], :3])
        colors = check_array(colors)
        ranks = np.zeros(len(palette), np.uint8)
        ranks[own] = np.arange(len(own), dtype=np.uint8)
        dithered = ranks[labels]
        dithering.apply(colors, np.ascontiguousarray(palette[own, :3]), dithered)
        labels[is_opaque] = own[dithered[is_opaque]]
    # Row by row: points are large.
    entries = to_points(palette).astype(np.float64)
    differences = (
        to_points(row) - entries[of_row] for row, of_row in zip(image.pixels, labels, strict=True)
    )
    return float(sum(np.sum(difference**2) for difference in differences))


def label_table(codes: NDArray[np.uint32], labels: UInt8Array) -> UInt8Array:
    """Return a table (2^24,) of the labels (U,) of colors by their Morton codes (U,)."""
    # 16 MB, of which only the pages that hold a color of the image are ever touched.
    table = np.zeros(1 << CODE_BITS, np.uint8)
    kernels.remap.fill_table(codes, labels, table)
    return table


def apply_table(array: UInt8Array, table: UInt8Array) -> UInt8Array:
    """Replace each pixel of (H, W) or (H, W, 3) by its label (H, W), from `label_table`."""
    if array.ndim == 2:
        gray_codes = SPREAD.sum(axis=0, dtype=np.uint32)
        return np.take(table[gray_codes], array)
    return _look_up(array, SPREAD, table)


def apply_cubes(array: UInt8Array, table: UInt8Array) -> UInt8Array:
    """Replace each pixel by the label of the cube of 2x2x2 colors that its color lies in.

    Parameters
    ----------
    array : (H, W, 3) uint8
    table : (2^21,) uint8
        From `label_cubes`.

    Returns
    -------
    (H, W) uint8
    """
    return _look_up(array, SPREAD >> np.uint32(CUBE_BITS), table)


def _look_up(array: UInt8Array, spread: NDArray[np.uint32], table: UInt8Array) -> UInt8Array:
    pixels = array.reshape(-1, 3)
    result = np.empty(len(pixels), np.uint8)
    kernels.remap.remap_pixels(pixels, spread, table, result)
    return result.reshape(array.shape[:2])


def label_cubes(palette: UInt8Array) -> UInt8Array:
    """Return the entry nearest to the middle of every cube of 2x2x2 colors.

    The table of 2 MB stays near the core and needs no list of an image's colors. Near the border
    between two entries, a color may get the farther of them.

    Parameters
    ----------
    palette : (K, 3) uint8

    Returns
    -------
    (2^21,) uint8
        By the cube's Morton code.
    """
    centers, names = pad_centers(palette)
    cubes = np.arange(1 << (CELL_BITS - CUBE_BITS), dtype=np.uint32) << np.uint32(CUBE_BITS)
    offsets = np.ascontiguousarray(decode_colors(cubes).T, np.float32) + np.float32(CUBE_MIDDLE)
    table = np.empty(1 << (CODE_BITS - CUBE_BITS), np.uint8)
    kernels.cubes.label_cubes(
        centers,
        names,
        np.uint64(len(palette)),
        np.concatenate([_boxes_of_cubes(bits) for bits in (ROOT_BITS, PARENT_BITS, CELL_BITS)]),
        offsets,
        table,
    )
    return table


def _boxes_of_cubes(bits: int) -> Array:
    """Return the low and high corners of the cubes that share all but some low bits of a code."""
    codes = np.arange(1 << (CODE_BITS - bits), dtype=np.uint32) << np.uint32(bits)
    low = decode_colors(codes).astype(np.float32)
    side = 1 << (bits // 3)
    return np.concatenate([low, low + np.float32(side - 1)], axis=1)
