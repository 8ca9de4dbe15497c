"""K-means over the colors of a histogram: from the initial centers to a palette of 8-bit colors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from fastkq.colors.histogram import ColorHistogram, decode_colors
from fastkq.colors.metrics import inertia_from_sums
from fastkq.colors.spaces import to_colors, to_points
from fastkq.engine import seeding
from fastkq.engine.alpha import AlphaLabels
from fastkq.engine.cells import ColorCells
from fastkq.engine.escape import escape, measure_clusters
from fastkq.engine.lloyd import complete_centers, lloyd
from fastkq.engine.locked import drop_nearest, own_palette
from fastkq.engine.model import FitOptions
from fastkq.engine.search import Target, choose_n_colors
from fastkq.types import Array, UInt8Array

# Half the iterations of plain Lloyd (1) for the same error.
RELAXATION = 1.8


@dataclass(frozen=True, eq=False)
class Fit:
    """A palette, and which of its entries the colors of an image are nearest to.

    Attributes
    ----------
    palette : (K, 3) uint8, or (K, 4)
    labels : (U,) uint8, of the colors of the histogram; or AlphaLabels
    inertia : float, over all pixels
    n_iter : int
    """

    palette: UInt8Array
    labels: UInt8Array | AlphaLabels
    inertia: float
    n_iter: int


def fit_histogram(histogram: ColorHistogram, options: FitOptions) -> Fit:
    """Find the palette of a histogram: its own colors where they are few enough."""
    own = own_palette(histogram, options.n_colors, options.locked)
    if own is not None:
        return Fit(*own, inertia=0.0, n_iter=0)
    return fit_cells(ColorCells(histogram, options.color_space), options)


def search_palette(
    fit: Callable[[FitOptions], Fit],
    options: FitOptions,
    target: Target,
    *,
    n_distinct: int,
    n_pixels: int,
    count_bytes: Callable[[Fit], int],
) -> Fit:
    """Find the palette of as many colors as a target asks for, by trials.

    Parameters
    ----------
    fit : callable
        Fits a palette to an image.
    options, target
        What is wanted; `options.n_colors` is the most that is allowed.
    n_distinct, n_pixels : int, of the image
    count_bytes : callable
        Tells the size of the file that a fit leads to.

    Raises
    ------
    TargetNotReachedError
    """
    n_locked = len(options.locked)

    @cache
    def fit_to(n_colors: int) -> Fit:
        return fit(replace(options, n_colors=max(n_colors, n_locked)))

    chosen = choose_n_colors(
        target,
        most=min(options.n_colors, n_distinct + n_locked),
        mse=lambda n_colors: fit_to(n_colors).inertia / n_pixels,
        n_bytes=cache(lambda n_colors: count_bytes(fit_to(n_colors))),
    )
    return fit_to(chosen)


def apply_to_cells(cells: ColorCells, palette: UInt8Array, n_iter: int = 0) -> Fit:
    """Label the colors of an image with the nearest entries of a palette."""
    labels, sums = cells.assign_palette(palette)
    return Fit(palette, labels, _squared_error(cells, palette, labels, sums), n_iter)


def _squared_error(
    cells: ColorCells, palette: UInt8Array, labels: UInt8Array, sums: Array
) -> float:
    """Return the squared error of a palette in sRGB, without a look at the colors if possible."""
    if cells.space == "srgb":
        return inertia_from_sums(sums, cells.squared_norm, palette)
    return cells.squared_error(palette, labels)


def fit_cells(cells: ColorCells, options: FitOptions) -> Fit:
    """Run K-means over more colors than are wanted and round its centers to a palette."""
    centers, n_iter = find_centers(cells, options)
    palette, labels, sums = round_centers(cells, centers, len(options.locked))
    return Fit(palette, labels, _squared_error(cells, palette, labels, sums), n_iter)


def find_centers(cells: ColorCells, options: FitOptions) -> tuple[Array, int]:
    """Return the centers (K, 3) float32 of K-means, and its iterations."""
    locked = to_points(options.locked, cells.space)
    n_free = options.n_colors - len(locked)
    if n_free == 0:
        return locked, 0
    if isinstance(options.init, str):
        start = seed_centers(cells, n_free, options.init, options.random_state)
    else:
        start = options.init
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
    rng = np.random.default_rng(random_state)
    if init == "wu":
        positions = decode_colors(cells.grid_ids)
        centers = seeding.wu_centers(positions, cells.grid_totals, n_colors)
    elif init == "k-means++":  # over the cells: the colors would take 50 times as long
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
