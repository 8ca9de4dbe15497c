"""What colors of an image are mixed of, for ordered dithering: found once for each small cube."""

from __future__ import annotations

import numpy as np

from fastkq import kernels
from fastkq.paint.tables import PaletteTables, squared_distances, to_steps
from fastkq.types import Array, UInt8Array

# An error in a and b counts so much beside one of lightness where mixtures are found: 0.7 scored
# 0.4 to 1.2 SSIMULACRA2 more than 1 with as many colors, 1.4 less than 1; 0.5 wrote more bytes.
CHROMA = 0.7
AXES = np.array([1, CHROMA, CHROMA])


class Mixtures:
    """The mixtures of the opaque entries of a palette, for the cubes that images have colors in.

    They depend on the palette and on the cube alone, so that it does not matter which were found
    before.
    """

    def __init__(self, tables: PaletteTables) -> None:
        kernel = kernels.mixed_cubes
        own = tables.own
        self._own = own
        self._points = np.ascontiguousarray(AXES[:, None] * tables.points[:3, own])
        distances = squared_distances(self._points)
        np.fill_diagonal(distances, -1)  # an entry is its own nearest, before its equals
        order = np.argsort(distances, axis=1, kind="stable")
        self._near = np.ascontiguousarray(order[:, : kernel.N_NEAR], np.uint8)
        self._found = (
            np.full(kernel.N_CUBES, -1, np.int32),
            np.empty((0, kernel.N_MIXED), np.uint8),
            np.empty((0, kernel.N_MIXED - 1, 4), np.float32),
        )

    def find(self, pixels: UInt8Array, n_channels: int) -> tuple[Array, UInt8Array, Array]:
        """Return the mixtures of the colors of the opaque pixels of rows (n, W * C), and others.

        Returns
        -------
        cubes, numbers, planes
            See `kernels.ordered.mix`.
        """
        is_used = np.zeros(kernels.mixed_cubes.N_CUBES, np.uint8)
        kernels.mixed_cubes.mark_cubes(pixels, n_channels, is_used)
        cubes, numbers, planes = self._found
        wanted = np.flatnonzero((is_used > 0) & (cubes < 0))
        if len(wanted) > 0:
            new_numbers = np.empty((len(wanted), *numbers.shape[1:]), np.uint8)
            new_planes = np.empty((len(wanted), *planes.shape[1:]), np.float32)
            steps = to_steps(middles(wanted), is_coarse=False)[:3]
            kernels.mixed_cubes.find_mixtures(
                np.ascontiguousarray(AXES[:, None] * steps),
                self._points,
                self._near,
                new_numbers,
                new_planes,
            )
            new_planes[..., 1:] *= AXES.astype(np.float32)
            cubes = cubes.copy()  # another thread may look at those that were found before
            cubes[wanted] = len(numbers) + np.arange(len(wanted))
            numbers = np.concatenate([numbers, self._own[new_numbers]])
            planes = np.concatenate([planes, new_planes])
            self._found = cubes, numbers, planes
        return cubes, numbers, planes


def middles(cubes: Array) -> UInt8Array:
    """Return the colors (n, 4) in the middle of cubes (n,), opaque."""
    kernel = kernels.mixed_cubes
    shifts = np.array([kernel.RED_SHIFT, kernel.GREEN_SHIFT, 0])
    colors = np.full((len(cubes), 4), 255, np.uint8)
    side = 1 << int(kernel.CUBE_SHIFT)
    levels = (cubes[:, None] >> shifts) % (256 // side)
    colors[:, :3] = side * levels + side // 2
    return colors
