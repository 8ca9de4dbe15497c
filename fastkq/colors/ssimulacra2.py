"""SSIMULACRA 2: how alike two images look, by their structure and edges at six scales.

Jon Sneyers, Cloudinary 2023, https://github.com/cloudinary/ssimulacra2, version 2.1. At each scale,
halved in light, both images become three components of the XYB of JPEG XL. Each has three maps:
structure that differs, new edges and lost edges. Of a map count the mean and the 4-norm, which
large errors decide. Their weighted sum makes the score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE, as_rows, has_alpha
from fastkq.colors.spaces import EVERY_LEVEL, linear_levels
from fastkq.types import MAX_COLORS, MAX_LEVEL, UInt8Array

MIN_SIDE = 8
N_SCALES = 6
BAND_ROWS = 512  # whose light is in memory at a time at full size; whole strips of the kernels
# Grays behind transparent pixels, from 0 to 1: the worse of both counts where the original has
# alpha, and the last where only the distorted image has.
BACKGROUNDS, MIDDLE_GRAY = (0.1, 0.9), 0.5
PERFECT = 100.0
# By component (X, Y, B), scale, norm (mean, fourth root) and map (structure, artifacts, lost
# detail). An image of fewer scales takes the first ones, as the reference does.
# fmt: off
WEIGHTS = np.array([
    0.0, 0.0007376606707406586, 0.0, 0.0, 0.0007793481682867309, 0.0, 0.0, 0.0004371155730107379,
    0.0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752, 0.0,
    0.0016406437456599754, 0.0, 1.8422455520539298, 11.441172603757666, 0.0, 0.0007989109436015163,
    0.000176816438078653, 0.0, 1.8787594979546387, 10.94906990605142, 0.0, 0.0007289346991508072,
    0.9677937080626833, 0.0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053,
    0.0004550992113792063, 0.0, 0.0, 0.0013648766163243398, 0.0, 0.0, 0.0, 0.0, 0.0,
    7.466890328078848, 0.0, 17.445833984131262, 0.0006235601634041466, 0.0, 0.0, 6.683678146179332,
    0.00037724407979611296, 1.027889937768264, 225.20515300849274, 0.0, 0.0, 19.213238186143016,
    0.0011401524586618361, 0.001237755635509985, 176.39317598450694, 0.0, 0.0, 24.43300999870476,
    0.28520802612117757, 0.0004485436923833408, 0.0, 0.0, 0.0, 34.77906344483772,
    44.835625328877896, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0008680556573291698, 0.0, 0.0,
    0.0, 0.0, 0.0, 0.0005313191874358747, 0.0, 0.00016533814161379112, 0.0, 0.0, 0.0, 0.0, 0.0,
    0.0004179171803251336, 0.0017290828234722833, 0.0, 0.0020827005846636437, 0.0, 0.0,
    8.826982764996862, 23.19243343998926, 0.0, 95.1080498811086, 0.9863978034400682,
    0.9834382792465353, 0.0012286405048278493, 171.2667255897307, 0.9807858872435379, 0.0, 0.0,
    0.0, 0.0005130064588990679, 0.0, 0.00010854057858411537,
])
# fmt: on
FACTOR, EXPONENT = 0.9562382616834844, 0.6276336467831387
LINEAR, SQUARE, CUBE = 2.326765642916932, -0.020884521182843837, 6.248496625763138e-05


@dataclass(frozen=True, eq=False)
class Picture:
    """An image to be scored.

    Attributes
    ----------
    array : (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8, in C order
        Gray or RGB, with or without alpha; or labels.
    palette : (K, 3) or (K, 4) uint8, or None
        The colors of the labels.
    """

    array: UInt8Array
    palette: UInt8Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.array.shape[0], self.array.shape[1]

    @property
    def has_alpha(self) -> bool:
        """Whether there are transparent pixels."""
        if self.palette is not None:
            return self.palette.shape[1] == 4 and bool((self.palette[:, 3] < OPAQUE).any())
        return has_alpha(self.array)

    def light(self, background: float) -> NDArray[np.float32]:
        """Return a table of the light of what `fill_light` looks up, over a gray from 0 to 1.

        Alpha is blended in encoded values.
        """
        if self.palette is not None:
            table = np.zeros((3, MAX_COLORS))
            table[:, : len(self.palette)] = _light_of_palette(self.palette, background)
        elif self.has_alpha:
            shares = EVERY_LEVEL[:, None] / MAX_LEVEL
            levels = shares * EVERY_LEVEL + (1 - shares) * (background * MAX_LEVEL)
            table = linear_levels(levels).reshape(1, -1)
        else:
            table = linear_levels()[None]
        return table.astype(np.float32)


def _light_of_palette(palette: UInt8Array, background: float) -> NDArray[np.float64]:
    colors = palette[:, :3].T.astype(np.float64)
    if palette.shape[1] == 4:
        shares = palette[:, 3] / MAX_LEVEL
        colors = shares * colors + (1 - shares) * (background * MAX_LEVEL)
    return linear_levels(colors)


def score_pictures(original: Picture, distorted: Picture) -> float:
    """Return the SSIMULACRA 2 score of two pictures.

    Parameters
    ----------
    original, distorted : Picture
        Of one size, with sides of 8 or more pixels; gray counts as R = G = B. If the original has
        alpha, both are blended over dark and over bright gray, and the lower score counts; if only
        the distorted one has, over middle gray.

    Returns
    -------
    float
        100 for equal pictures; 90 can hardly be told from the original, 70 is high, 50 medium and
        30 low quality; there is no lower end. The same on any number of threads.

    Raises
    ------
    ValueError
        The sizes differ, or a side is under 8 pixels.
    """
    check_sizes(original.size, distorted.size)
    grays = BACKGROUNDS if original.has_alpha else (MIDDLE_GRAY,)
    return min(_score(_sum_scales(original, distorted, gray)) for gray in grays)


def check_sizes(original: tuple[int, int], distorted: tuple[int, int]) -> None:
    """Raise ValueError for sizes (H, W) that have no score."""
    if original != distorted or min(original) < MIN_SIDE:
        (height, width), (rows, columns) = original, distorted
        raise ValueError(
            f"the original is {width}x{height} pixels and the distorted image {columns}x{rows}; a "
            f"score needs two of one size, of {MIN_SIDE}x{MIN_SIDE} or more"
        )


def _score(norms: NDArray[np.float64]) -> float:
    """Return the score of the norms (n_scales, 3, 2, 3) by component, norm and map."""
    terms = norms.swapaxes(0, 1).ravel()
    error = FACTOR * float(np.dot(WEIGHTS[: len(terms)], terms))
    error = LINEAR * error + SQUARE * error**2 + CUBE * error**3
    return PERFECT - 10 * math.pow(error, EXPONENT) if error > 0 else PERFECT


def _sum_scales(original: Picture, distorted: Picture, background: float) -> NDArray[np.float64]:
    """Return the norms (n_scales, 3, 2, 3) of two pictures over a gray."""
    sums, first, second = _sum_full_size(original, distorted, background)
    norms, (height, width) = [_norms(sums, original.size)], original.size
    while len(norms) < N_SCALES and min(height, width) >= MIN_SIDE:
        if len(norms) > 1:
            first, second = _halve(first), _halve(second)
        height, width = first.shape[1:]
        norms.append(_norms(_sum_rows(first, second, 0, height), (height, width)))
    return np.array(norms)


def _sum_full_size(
    original: Picture, distorted: Picture, background: float
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]:
    """Return the sums (3, 6) of the errors at full size, and the light of both pictures halved.

    By bands: the light of all rows would take 24 bytes a pixel.
    """
    height, width = original.size
    halo = kernels.ssimulacra2.RADIUS
    pictures = original, distorted
    tables = [picture.light(background) for picture in pictures]
    rows = [as_rows(picture.array.reshape(height, -1)) for picture in pictures]
    buffers = np.empty((2, 3 * min(height, BAND_ROWS + 2 * halo) * width), np.float32)
    smaller = [np.empty((3, (height + 1) // 2, (width + 1) // 2), np.float32) for _ in pictures]
    sums = np.zeros((3, kernels.ssimulacra2.N_NORMS))
    for start in range(0, height, BAND_ROWS):
        stop = min(start + BAND_ROWS, height)
        low, high = max(start - halo, 0), min(stop + halo, height)
        lights = [buffer[: 3 * (high - low) * width].reshape(3, -1, width) for buffer in buffers]
        for light, levels, table, half in zip(lights, rows, tables, smaller, strict=True):
            kernels.ssimulacra2.fill_light(levels[low:high], table, light)
            n_rows = (stop - start + 1) // 2
            kernels.ssimulacra2.halve(light, start - low, stop - low, half, start // 2, n_rows)
        sums += _sum_rows(lights[0], lights[1], start - low, stop - low)
    return sums, smaller[0], smaller[1]


def _sum_rows(
    first: NDArray[np.float32], second: NDArray[np.float32], top: int, bottom: int
) -> NDArray[np.float64]:
    """Return the sums (3, 6) of the errors of some rows of light (3, h, W)."""
    strip, tile = kernels.ssimulacra2.STRIP, kernels.ssimulacra2.TILE
    n_strips, n_tiles = -(-(bottom - top) // strip), -(-first.shape[2] // tile)
    sums = np.empty((n_strips * n_tiles, 3, kernels.ssimulacra2.N_NORMS))
    kernels.ssimulacra2.sum_errors(first, second, top, bottom, sums)
    total: NDArray[np.float64] = sums.sum(axis=0)
    return total


def _halve(light: NDArray[np.float32]) -> NDArray[np.float32]:
    _, height, width = light.shape
    smaller = np.empty((3, (height + 1) // 2, (width + 1) // 2), np.float32)
    kernels.ssimulacra2.halve(light, 0, height, smaller, 0, smaller.shape[1])
    return smaller


def _norms(sums: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the norms (3, 2, 3) of sums (3, 6): means, and fourth roots of means."""
    means = (sums / (size[0] * size[1])).reshape(3, 3, 2).swapaxes(1, 2)
    return np.stack([means[:, 0], np.sqrt(np.sqrt(means[:, 1]))], axis=1)
