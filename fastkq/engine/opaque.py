"""K-means over opaque colors: from the seeds to a palette of 8-bit colors."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fastkq.colors.histogram import ColorHistogram, decode_colors
from fastkq.colors.metrics import inertia_from_sums
from fastkq.colors.spaces import to_colors, to_points
from fastkq.engine import seeding
from fastkq.engine.cells import ColorCells
from fastkq.engine.escape import escape, measure_clusters
from fastkq.engine.lloyd import complete_centers, lloyd
from fastkq.engine.locked import drop_nearest, own_palette
from fastkq.engine.model import Fit, FitOptions
from fastkq.types import Array, UInt8Array

# Half the iterations of plain Lloyd (1) for the same error.
RELAXATION = 1.8


def fit_opaque(histogram: ColorHistogram, options: FitOptions) -> Fit:
    """Find the palette (K, 3) of the opaque colors of a histogram: themselves, where they are few.

    Locked entries are opaque here.
    """
    own = own_palette(histogram, options.n_colors, options.locked[:, :3])
    if own is not None:
        palette, labels = own
        return Fit(palette, labels, histogram.codes, 0.0, 0.0, 0, options.color_space)
    return fit_cells(ColorCells(histogram, options.color_space), options)


def label_cells(cells: ColorCells, palette: UInt8Array, n_iter: int = 0) -> Fit:
    """Label the colors of an image with the nearest entries of a palette (K, 3)."""
    return _make_fit(cells, palette, *cells.assign_palette(palette), n_iter)


def fit_cells(cells: ColorCells, options: FitOptions) -> Fit:
    """Run K-means over more colors than are wanted and round its centers to a palette."""
    centers, n_iter = find_centers(cells, options)
    return _make_fit(cells, *round_centers(cells, centers, len(options.locked)), n_iter)


def _make_fit(
    cells: ColorCells, palette: UInt8Array, labels: UInt8Array, sums: Array, n_iter: int
) -> Fit:
    inertia = _squared_error(cells, palette, labels, sums)
    return Fit(palette, labels, cells.codes, inertia, inertia, n_iter, cells.space)


def _squared_error(
    cells: ColorCells, palette: UInt8Array, labels: UInt8Array, sums: Array
) -> float:
    """Return the squared error of a palette in sRGB, without a look at the colors if possible."""
    if cells.space == "srgb":
        return inertia_from_sums(sums, cells.squared_norm, palette)
    return cells.squared_error(palette, labels)


def find_centers(cells: ColorCells, options: FitOptions) -> tuple[Array, int]:
    """Return the centers (K, 3) float32 of K-means, and its iterations."""
    locked = to_points(options.locked[:, :3], cells.space)
    n_free = options.n_colors - len(locked)
    if n_free == 0:
        return locked, 0
    if isinstance(options.init, str):
        start = seed_centers(cells, n_free, options.init, options.random_state)
    else:
        start = options.init[:, :3]
        if cells.space != "srgb":
            start = to_points(np.rint(start).astype(np.uint8), cells.space)
        start = drop_nearest(start, locked)
    start = np.concatenate([locked, start])
    stop: dict[str, Any] = {
        "max_iter": options.max_iter,
        "tol": options.final_tol,
        "relaxation": RELAXATION,
        "n_locked": len(locked),
    }
    centers, n_iter = lloyd(cells, start, **stop)
    if options.effort == "best":
        measure = partial(measure_clusters, cells, n_locked=len(locked))
        centers, n_more = escape(cells, centers, measure, **stop)
        n_iter += n_more
    return centers, n_iter


def seed_centers(
    cells: ColorCells,
    n_colors: int,
    init: str,
    random_state: int | np.random.Generator | None,
) -> Array:
    """Return the initial centers (n_colors, 3) float32."""
    if init == "wu":
        positions = decode_colors(cells.grid_ids)
        centers = seeding.wu_centers(positions, cells.grid_totals, n_colors)
        return complete_centers(cells, centers, n_colors)
    rng = np.random.default_rng(random_state)
    if init == "k-means++":  # over the cells: the colors would take 50 times as long
        weights = np.ascontiguousarray(cells.grid_totals[:, 0])
        means = (cells.grid_totals[:, 1:4] / weights[:, None]).astype(np.float32)
        centers = seeding.kmeans_plus_plus(means, weights, n_colors, rng)
    else:
        points = np.ascontiguousarray(cells.points.T)
        centers = seeding.random_points(points, cells.weights, n_colors, rng)
    return complete_centers(cells, centers, n_colors)


def round_centers(
    cells: ColorCells, centers: Array, n_locked: int
) -> tuple[UInt8Array, UInt8Array, Array]:
    """Round centers to a palette whose every entry is used, but for the first, locked ones.

    Centers that round to the same color, or that have no pixel after rounding, give way to the
    colors that the others serve worst. It ends: an entry on a color of the image stays used.
    """
    palette = to_colors(centers, cells.space)
    while True:
        labels, sums = cells.assign_palette(palette)
        unused = sums[:, 0] == 0
        unused[:n_locked] = False
        if not unused.any():
            return palette, labels, sums
        palette[unused] = cells.farthest_colors(palette[~unused], int(unused.sum()))
