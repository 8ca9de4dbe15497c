"""A palette fitted to a sample of the pixels, whose labels are those of cubes of colors."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.histogram import CODE_BITS, ColorHistogram, decode_colors
from fastkq.engine.cells import CELL_BITS, PARENT_BITS, ROOT_BITS, ColorCells, pad_centers
from fastkq.engine.model import CUBE_BITS, Fit, FitOptions
from fastkq.engine.opaque import fit_cells
from fastkq.types import Array, UInt8Array

CUBE_MIDDLE = 0.5
# Where K-means of a sample stops, unless told: after half the iterations, at 0 to 1 % more error,
# which is less than what the sample errs by.
TOL_FACTOR = 5


def fit_sample(sample: ColorHistogram, n_pixels: int, options: FitOptions) -> Fit:
    """Find the palette (K, 3) of a sample of an opaque image of so many pixels.

    The error of all pixels is estimated from the sample's.
    """
    cells = ColorCells(sample)
    if options.tol is None:
        options = replace(options, tol=TOL_FACTOR * options.final_tol)
    fit = fit_cells(cells, options)
    is_used = np.zeros(1 << (CODE_BITS - CELL_BITS), np.bool_)
    is_used[sample.codes >> np.uint32(CELL_BITS)] = True
    table = label_cubes(fit.palette, is_used)
    of_sample = table[sample.codes >> np.uint32(CUBE_BITS)]
    error = cells.squared_error(fit.palette, of_sample)
    inertia = error * n_pixels / sample.n_pixels
    return Fit(fit.palette, table, None, inertia, inertia, fit.n_iter)


def label_cubes(palette: UInt8Array, is_used: NDArray[np.bool_] | None = None) -> UInt8Array:
    """Return the entry nearest to the middle of every cube of 2x2x2 colors.

    The table of 2 MB stays near the core and needs no list of an image's colors. Near the border
    between two entries, a color may get the farther of them.

    Parameters
    ----------
    palette : (K, 3) uint8
    is_used : (4096,) bool, optional
        Whether a cell of 16x16x16 colors has any of the image, by its Morton code. The cubes of
        another get the entry nearest to its middle, in a tenth of the time. Default: all have.

    Returns
    -------
    (2^21,) uint8
        By the cube's Morton code.
    """
    centers, names = pad_centers(palette)
    boxes, offsets = _cube()
    if is_used is None:
        is_used = np.ones(1 << (CODE_BITS - CELL_BITS), np.bool_)
    table = np.empty(1 << (CODE_BITS - CUBE_BITS), np.uint8)
    kernels.cubes.label_cubes(
        centers,
        names,
        np.uint64(len(palette)),
        1 << (CODE_BITS - ROOT_BITS),
        boxes,
        offsets,
        is_used,
        table,
    )
    return table


@cache
def _cube() -> tuple[Array, Array]:
    """Return the boxes (4680, 6) of the color cube's roots, parents and cells.

    And (3, 512) the middles of the cubes of 2x2x2 colors in a cell, from its low corner.
    """
    cubes = np.arange(1 << (CELL_BITS - CUBE_BITS), dtype=np.uint32) << np.uint32(CUBE_BITS)
    offsets = np.ascontiguousarray(decode_colors(cubes).T, np.float32) + np.float32(CUBE_MIDDLE)
    boxes = [_boxes_of_cubes(bits) for bits in (ROOT_BITS, PARENT_BITS, CELL_BITS)]
    return np.concatenate(boxes), offsets


def _boxes_of_cubes(bits: int) -> Array:
    """Return the low and high corners of the cubes that share all but some low bits of a code."""
    codes = np.arange(1 << (CODE_BITS - bits), dtype=np.uint32) << np.uint32(bits)
    low = decode_colors(codes).astype(np.float32)
    side = 1 << (bits // 3)
    return np.concatenate([low, low + np.float32(side - 1)], axis=1)
