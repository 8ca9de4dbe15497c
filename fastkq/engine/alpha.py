"""K-means over colors with alpha, and what keeps opaque opaque.

Distances are those of `colors.spaces`, in four coordinates; opaque colors have a fourth of 0.

**What is kept.** Opaque pixels take opaque entries only: a photo must not shine through here and
there. Among them the cells of `ColorCells` find the nearest; the other colors, few in most images,
are compared with all entries. Fully transparent pixels have an entry of their own, exactly
(0, 0, 0, 0), which colors near to it may use as well: a faint rim then ends instead of growing.

**How many entries are opaque** is decided by the seeds: opaque and translucent colors are cut in
turn, whichever gains more by it, and a center stays what it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.pixels import OPAQUE, TRANSPARENT
from fastkq.colors.spaces import to_alpha_colors, to_alpha_points
from fastkq.colors.translucent import NO_TRANSLUCENT
from fastkq.engine import seeding
from fastkq.engine.cells import ColorCells, squared_distances
from fastkq.engine.dense import DensePoints
from fastkq.engine.escape import Clusters, escape, improve
from fastkq.engine.lloyd import complete_centers, farthest_points, lloyd
from fastkq.engine.locked import drop_nearest
from fastkq.engine.model import Fit, FitOptions
from fastkq.engine.opaque import RELAXATION, fit_opaque, label_cells
from fastkq.types import Array, UInt8Array

# Of more translucent colors, K-means takes the means of cells that are at most so many: all are
# labeled exactly in the end.
MAX_DENSE = 1 << 13
# Seeds are chosen among the opaque colors; of more than these, among the means of cells. Drawings
# have few colors, and at 256 each of them matters.
MAX_SEED_COLORS = 1 << 14
# Of few and exact colors, seeds may be far off, and rounds of `escape` are cheap. With 8 of them
# the cut-outs of the picture collection have 5 % less error than with seeds of k-means++ and no
# rounds, and none has more; without rounds the mean is 1 % less, and single ones have 12 % more.
MAX_ROUND_COLORS = 1 << 16
N_ROUNDS = 8
# Where `ColorCells.moments` has the products of channels 00 01 02 10 11 12 20 21 22.
SQUARES = [4, 7, 8, 7, 5, 9, 8, 9, 6]


class AlphaColors:
    """The visible colors of a histogram, for `lloyd`: opaque ones by cells, others densely.

    A center whose last coordinate is 0 is opaque, and stays so. There must be one if there are
    opaque colors.

    Parameters
    ----------
    histogram : ColorHistogram
    space : str
    n_locked : int
        So many centers, the first of those given to the methods, are locked.

    Attributes
    ----------
    cells : ColorCells or None, of the opaque colors
    """

    def __init__(self, histogram: ColorHistogram, space: str, n_locked: int) -> None:
        self._n_locked = n_locked
        self.cells = ColorCells(histogram, space) if len(histogram.codes) else None
        translucent = histogram.translucent
        self._dense, self._merged = (
            DensePoints(*colors.points(space))
            for colors in (translucent, translucent.coarsened(MAX_DENSE))
        )
        self._entries: Array = np.empty((0, 4), np.float32)  # of `_labels`
        self._labels = np.empty(0, np.int32)

    @property
    def variance(self) -> float:
        """The variance of the colors, as a mean of three channels."""
        points, weights = self._merged.points.astype(np.float64), self._merged.weights
        weight, sums = weights.sum(), weights @ points
        squares = float(np.sum(weights @ points**2))
        if self.cells is not None:
            totals = self.cells.grid_totals.sum(axis=0)
            weight += totals[0]
            sums[:3] += totals[1:4]
            squares += totals[4]
        return float(squares / weight - np.sum((sums / weight) ** 2)) / 3

    def accumulate(self, centers: Array) -> Array:
        """Assign; return each cluster's sums of weight and weight * point, (K, 5)."""
        sums = np.zeros((len(centers), 5))
        is_opaque = centers[:, 3] == 0
        if len(self._merged.points):
            sums += self._merged.accumulate(centers)
            sums[is_opaque, 4] = 0  # the best center among the opaque ones: of the means over gray
        if self.cells is not None:
            sums[is_opaque, :4] += self.cells.accumulate(centers[is_opaque, :3])
        return sums

    def measure(self, centers: Array) -> Clusters:
        """Assign; return the clusters, those of opaque centers flat."""
        moments = np.zeros((len(centers), 21))
        if len(self._merged.points):
            labels, _ = self._merged.assign(centers)
            points = self._merged.points.astype(np.float64)
            products = (points[:, :, None] * points[:, None]).reshape(len(points), -1)
            columns = np.concatenate([np.ones((len(points), 1)), points, products], axis=1)
            for i, column in enumerate(columns.T):
                weighted = self._merged.weights * column
                moments[:, i] = np.bincount(labels, weighted, minlength=len(moments))
        is_opaque = centers[:, 3] == 0
        if self.cells is not None:
            plane = self.cells.moments(centers[is_opaque, :3])
            squares = plane[:, SQUARES].reshape(-1, 3, 3)
            moments[is_opaque, :4] += plane[:, :4]
            moments[is_opaque, 5:] += np.pad(squares, ((0, 0), (0, 1), (0, 1))).reshape(-1, 16)
        weights, divisors = moments[:, 0], np.maximum(moments[:, 0], 1)[:, None]
        own = moments[:, 1:5] / divisors
        means = np.where(weights[:, None] > 0, own, centers)
        means[is_opaque, 3] = 0
        means[: self._n_locked] = centers[: self._n_locked]
        # Around another point than the mean, by the square of the way there.
        covariances = (moments[:, 5:] / divisors).reshape(-1, 4, 4)
        covariances -= own[:, :, None] * means[:, None]
        covariances -= means[:, :, None] * own[:, None]
        covariances += means[:, :, None] * means[:, None]
        covariances[weights == 0] = 0
        return Clusters(weights, means, covariances, self._n_locked, is_flat=is_opaque)

    def farthest(self, centers: Array, n_points: int) -> Array:
        """Return the colors, as points (n_points, 4), that are farthest from their centers."""
        points, distances = self._dense.points, np.empty(0, np.float32)
        if len(points):
            _, distances = self._dense.assign(centers)
        if self.cells is not None:
            own = centers[centers[:, 3] == 0, :3]
            labels, _ = self.cells.assign(own)
            of_opaque = squared_distances(self.cells.points, own, labels)
            distances = np.concatenate([of_opaque, distances])
            points = np.concatenate([_on_opaque_plane(self.cells.points.T), points])
        return farthest_points(points, distances, n_points)

    def label_translucent(self, entries: Array) -> NDArray[np.int32]:
        """Return the nearest entries (T,) of the translucent colors; the last ones are kept."""
        if not np.array_equal(self._entries, entries):
            self._entries, (self._labels, _) = entries, self._dense.assign(entries)
        return self._labels

    def count_uses(self, entries: Array) -> Array:
        """Return the weight (K,) of the colors that each entry is nearest to."""
        used = np.zeros(len(entries))
        if len(self._dense.points):
            labels = self.label_translucent(entries)
            used += np.bincount(labels, self._dense.weights, minlength=len(entries))
        is_opaque = entries[:, 3] == 0
        if self.cells is not None and is_opaque.any():
            used[is_opaque] += self.cells.accumulate(entries[is_opaque, :3])[:, 0]
        return used

    def seed(self, n_colors: int, init: str, random_state: Any, *, needs_opaque: bool) -> Array:
        """Return initial centers (n_colors, 4) float32, at least one opaque if it must be.

        By cutting the colors, or the means of cells, in turn; by greedy k-means++ over these; or,
        for "random", random colors.
        """
        points: Array = self._merged.points
        weights, n_opaque = self._merged.weights, 0
        if self.cells is not None:
            opaque: Array = self.cells.points.T
            counts = self.cells.weights
            if init != "random" and len(counts) > MAX_SEED_COLORS:
                counts = np.ascontiguousarray(self.cells.grid_totals[:, 0])
                opaque = self.cells.grid_totals[:, 1:4] / counts[:, None]
            n_opaque = len(counts)
            points = np.concatenate([_on_opaque_plane(opaque), points])
            weights = np.concatenate([counts, weights])
        if init == "wu":
            centers = _cut(points, weights, n_opaque, n_colors)
        else:
            choose = seeding.random_points if init == "random" else seeding.kmeans_plus_plus
            rng = np.random.default_rng(random_state)
            points = np.ascontiguousarray(points)
            centers = choose(points, weights, n_colors, rng)
        if needs_opaque and not np.any(centers[:, 3] == 0):
            centers[-1] = weights[:n_opaque] @ points[:n_opaque] / weights[:n_opaque].sum()
        return centers


def _on_opaque_plane(colors: Array) -> Array:
    """Return the points (N, 4) float32 of points (N, 3) of opaque colors."""
    return np.pad(colors.astype(np.float32), ((0, 0), (0, 1)))


def _cut(points: Array, weights: Array, n_opaque: int, n_colors: int) -> Array:
    """Cut points, of which the first are opaque, into clusters; return their means."""
    ends = [n for n in (n_opaque, len(points)) if n > 0]
    given = np.array(ends[-1:] if n_opaque == len(points) else ends)[:n_colors]
    if n_colors == 1:
        given = np.array([n_opaque or len(points)])
    bounds = np.zeros((n_colors, 2), np.int64)
    bounds[: len(given), 1] = given
    bounds[1 : len(given), 0] = given[:-1]
    centers = np.empty((n_colors, 4))
    moved, own = points.astype(np.float64), weights.astype(np.float64)
    n_clusters = kernels.bisect.cut_clusters(moved, own, bounds, len(given), centers)
    return centers[:n_clusters].astype(np.float32)


def fit_alpha(histogram: ColorHistogram, options: FitOptions) -> Fit:
    """Find the palette (K, 4) of a histogram that is not opaque, or has such locked entries.

    Locked entries come first, in their order, used or not; then the others in the order of their
    alpha, so that a PNG has few alphas to store. Fully transparent pixels have an entry of their
    own, (0, 0, 0, 0), unless one with an alpha of 0 is locked. It gives way where there is one
    entry alone: a palette of one color shows the image's visible color, and cannot be transparent
    as well. Transparent pixels have no part in the other entries.
    """
    own = _own_palette(histogram, options)
    if own is not None:
        return label_palette(histogram, own, options.color_space)
    locked, space = options.locked, options.color_space
    exact = _exact_entries(histogram, options)
    fixed = np.concatenate([locked, exact])
    n_free = options.n_colors - len(fixed)
    if n_free == 0:
        return label_palette(histogram, _join(locked, exact), space)
    if len(histogram.translucent) == 0 and isinstance(options.init, str):
        return _fit_beside(histogram, options, fixed)
    needs_opaque = len(histogram.codes) > 0 and not np.any(fixed[:, 3] == OPAQUE)
    colors = AlphaColors(histogram, space, len(fixed))
    start = _start(colors, options, fixed, n_free, needs_opaque=needs_opaque)
    stop: dict[str, Any] = {
        "max_iter": options.max_iter,
        "tol": options.final_tol,
        "relaxation": RELAXATION,
        "n_locked": len(fixed),
    }
    centers, n_iter = lloyd(colors, start, **stop)
    is_small = histogram.translucent.is_exact and len(histogram) <= MAX_ROUND_COLORS
    if options.effort != "best" and is_small and n_iter < options.max_iter:
        centers, n_more = improve(colors, centers, colors.measure, n_rounds=N_ROUNDS, **stop)
        n_iter += n_more
    if options.effort == "best":
        centers, n_more = escape(colors, centers, colors.measure, **stop)
        n_iter += n_more
    palette = to_alpha_colors(centers[len(fixed) :], space)
    palette = _use_all_entries(colors, fixed, palette, space)
    palette = _join(locked, np.concatenate([exact, palette]))
    return replace(label_palette(histogram, palette, space, colors), n_iter=n_iter)


def _exact_entries(histogram: ColorHistogram, options: FitOptions) -> UInt8Array:
    """Return the entry (1, 4) of fully transparent pixels, or none (0, 4)."""
    alphas = options.locked[:, 3]
    n_free = options.n_colors - len(alphas)
    if histogram.n_transparent == 0 or np.any(alphas == 0):
        return TRANSPARENT[:0]
    if len(histogram.codes) and not np.any(alphas == OPAQUE):
        n_free -= 1  # for opaque pixels
    elif len(histogram.translucent) and len(alphas) == 0:
        n_free -= 1  # for translucent ones
    return TRANSPARENT[: int(n_free > 0)]


def _start(
    colors: AlphaColors,
    options: FitOptions,
    fixed: UInt8Array,
    n_free: int,
    *,
    needs_opaque: bool,
) -> Array:
    """Return the fixed entries' points and the initial centers, (K, 4) float32."""
    space = options.color_space
    points = to_alpha_points(fixed, space)
    if isinstance(options.init, str):
        start = colors.seed(n_free, options.init, options.random_state, needs_opaque=needs_opaque)
    else:
        given = np.full((len(options.init), 4), OPAQUE, np.uint8)
        given[:, : options.init.shape[1]] = np.rint(options.init)
        start = drop_nearest(to_alpha_points(given, space), points)
        if needs_opaque and not np.any(start[:, 3] == 0):
            start[-1] = colors.seed(1, "wu", 0, needs_opaque=True)
    centers = np.concatenate([points, start])
    return complete_centers(colors, centers, len(fixed) + n_free)


def _own_palette(histogram: ColorHistogram, options: FitOptions) -> UInt8Array | None:
    """Return the locked entries and all colors of an image; None where they are too many."""
    translucent = histogram.translucent
    if len(histogram) > options.n_colors or not translucent.is_exact:
        return None
    opaque = np.pad(histogram.colors, ((0, 0), (0, 1)), constant_values=OPAQUE)
    transparent = TRANSPARENT[: int(histogram.n_transparent > 0)]
    if np.any(options.locked[:, 3] == 0):
        transparent = TRANSPARENT[:0]
    others = np.concatenate([transparent, translucent.colors, opaque])
    is_locked = (others[:, None] == options.locked).all(axis=2).any(axis=1)
    palette = _join(options.locked, others[~is_locked])
    return palette if len(palette) <= options.n_colors else None


def _fit_beside(histogram: ColorHistogram, options: FitOptions, fixed: UInt8Array) -> Fit:
    """Fit the opaque colors as those of any photo, beside entries that are not for them."""
    is_opaque = fixed[:, 3] == OPAQUE
    n_opaque = options.n_colors - int(np.count_nonzero(~is_opaque))
    alone = replace(histogram, translucent=NO_TRANSLUCENT, n_transparent=0)
    own = replace(options, n_colors=n_opaque, locked=fixed[is_opaque])
    fit = fit_opaque(alone, own)
    n_locked = int(np.count_nonzero(is_opaque))
    others = np.pad(fit.palette[n_locked:], ((0, 0), (0, 1)), constant_values=OPAQUE)
    palette = np.concatenate([fixed, others])
    labeled = label_palette(histogram, palette, options.color_space)
    return replace(labeled, n_iter=fit.n_iter)


def _use_all_entries(
    colors: AlphaColors, fixed: UInt8Array, palette: UInt8Array, space: str
) -> UInt8Array:
    """Sort entries by alpha, and replace those that no color takes by the colors served worst.

    It ends: an entry on a color of the image stays used.
    """
    while True:
        palette = sort_by_alpha(palette)
        entries = to_alpha_points(np.concatenate([fixed, palette]), space)
        is_used = colors.count_uses(entries) > 0
        is_used[: len(fixed)] = True
        if is_used.all():
            return palette
        n_unused = int(np.count_nonzero(~is_used))
        farthest = to_alpha_colors(colors.farthest(entries[is_used], n_unused), space)
        palette = np.concatenate([palette[is_used[len(fixed) :]], farthest])


def _join(locked: UInt8Array, others: UInt8Array) -> UInt8Array:
    return np.concatenate([locked, sort_by_alpha(others)])


def sort_by_alpha(palette: UInt8Array) -> UInt8Array:
    """Return a palette (K, 4), transparent entries first: a PNG stores fewer alphas then."""
    return palette[np.argsort(palette[:, 3], kind="stable")]


def label_palette(
    histogram: ColorHistogram,
    palette: UInt8Array,
    space: str = "srgb",
    colors: AlphaColors | None = None,
) -> Fit:
    """Label the opaque colors of a histogram with the nearest entries of a palette (K, 4).

    These are the opaque entries, or all where none is opaque. Ties go to the lowest index. The
    inertia is that of all pixels: of cells of translucent colors, that of their means and about
    what lies within them. `colors` are those of the histogram, where they are at hand.
    """
    own = np.flatnonzero(palette[:, 3] == OPAQUE).astype(np.uint8)
    labels, inertia = np.empty(0, np.uint8), 0.0
    if len(histogram.codes) and len(own):
        cells = (colors and colors.cells) or ColorCells(histogram, space)
        fit = label_cells(cells, np.ascontiguousarray(palette[own, :3]))
        labels, inertia = own[fit.labels], fit.opaque_inertia
    elif len(histogram.codes):
        opaque = np.pad(histogram.colors, ((0, 0), (0, 1)), constant_values=OPAQUE)
        nearest = _assign(to_alpha_points(opaque, space), palette, space)
        inertia = _sum_errors(to_alpha_points(opaque, "srgb"), histogram.counts, palette, nearest)
        labels = nearest.astype(np.uint8)
    error, translucent = 0.0, histogram.translucent
    if len(translucent):
        if colors is not None:
            nearest = colors.label_translucent(to_alpha_points(palette, space))
        else:
            nearest = _assign(translucent.points(space)[0], palette, space)
        in_srgb = translucent.points("srgb")[0]
        error += _sum_errors(in_srgb, translucent.counts, palette, nearest)
    if histogram.n_transparent:
        nearest = _assign(to_alpha_points(TRANSPARENT, space), palette, space)
        n_pixels = np.array([histogram.n_transparent])
        error += _sum_errors(to_alpha_points(TRANSPARENT, "srgb"), n_pixels, palette, nearest)
    error += translucent.spread
    return Fit(palette, labels, histogram.codes, inertia + error, inertia, 0, space)


def _assign(points: Array, palette: UInt8Array, space: str) -> NDArray[np.int32]:
    """Return the nearest entries (N,) of points (N, 4)."""
    return DensePoints(points, np.ones(len(points))).assign(to_alpha_points(palette, space))[0]


def _sum_errors(
    in_srgb: Array, weights: NDArray[np.int64], palette: UInt8Array, labels: NDArray[np.int32]
) -> float:
    """Return the inertia of points (N, 4) in sRGB that have these entries."""
    entries = to_alpha_points(palette, "srgb").astype(np.float64)
    distances = np.sum((in_srgb - entries[labels]) ** 2, axis=1)
    return float(np.sum(weights * distances))
