"""A palette fitted to a sample of the pixels, whose labels are those of cubes of colors."""

from __future__ import annotations

import numpy as np

from fastkq import kernels
from fastkq.colors.histogram import CODE_BITS, ColorHistogram, decode_colors
from fastkq.engine.cells import CELL_BITS, PARENT_BITS, ROOT_BITS, ColorCells, pad_centers
from fastkq.engine.model import CUBE_BITS, Fit, FitOptions
from fastkq.engine.opaque import fit_cells
from fastkq.types import Array, UInt8Array

CUBE_MIDDLE = 0.5


def fit_sample(sample: ColorHistogram, n_pixels: int, options: FitOptions) -> Fit:
    """Find the palette (K, 3) of a sample of an opaque image of so many pixels.

    The error of all pixels is estimated from the sample's.
    """
    cells = ColorCells(sample)
    fit = fit_cells(cells, options)
    table = label_cubes(fit.palette)
    of_sample = table[sample.codes >> np.uint32(CUBE_BITS)]
    error = cells.squared_error(fit.palette, of_sample)
    inertia = error * n_pixels / sample.n_pixels
    return Fit(fit.palette, table, None, inertia, inertia, fit.n_iter)


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
        1 << (CODE_BITS - ROOT_BITS),
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
