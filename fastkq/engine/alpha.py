"""K-means over colors with alpha: the metric, and what keeps opaque opaque.

**The metric.** An image with alpha is seen over a background that is not known. The distance of two
colors is their squared difference over black plus that over white, halved; summed over R, G and B.
With A the alpha, p = A / 255 * color the premultiplied color, and d the differences, it is

    mean of dp^2 and (dp - dA)^2, summed  =  |dp - dA / 2|^2 + 3/4 dA^2.

So it is Euclidean, in four coordinates: the color as it is seen over middle gray, and the share of
the background that is seen, 255 - A, times sqrt(3) / 2. Opaque colors have R, G, B and 0: among
them it is the plain distance, and the error of opaque pixels means what it means without alpha. The
color under an alpha of 0 does not matter. (libimagequant takes, of black and white, the larger
difference channel by channel, which is no Euclidean distance and so has no means.)

**What is kept.** Opaque pixels take opaque entries only: a photo must not shine through here and
there. Among them the cells of `ColorCells` find the nearest; the other colors, few in most images,
are compared with all entries. Fully transparent pixels have an entry of their own, exactly
(0, 0, 0, 0), which colors near to it may use as well: a faint rim then ends instead of growing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastkq.colors.alpha_image import AlphaImage
from fastkq.colors.metrics import inertia_from_sums
from fastkq.colors.pixels import OPAQUE
from fastkq.engine import seeding
from fastkq.engine.cells import ColorCells, squared_distances
from fastkq.engine.dense import DensePoints
from fastkq.engine.escape import Clusters, escape
from fastkq.engine.lloyd import complete_centers, farthest_points, lloyd
from fastkq.types import Array, UInt8Array

TRANSPARENT = np.zeros((1, 4), np.uint8)
MIDDLE = 127.5
# sqrt(3) / 2: of a difference of alpha, that is what is seen beyond a shift over middle gray.
ALPHA_WEIGHT = math.sqrt(3) / 2
# Of more translucent colors, K-means takes the means of cells of 4 levels a side: their errors of
# up to 2 levels are small beside what 256 colors leave, and all are labeled exactly in the end.
MAX_DENSE = 1 << 18
FINE_BITS = 2
# Seeds are chosen among the colors; of more than these, among the means of cells, translucent ones
# of 16 levels a side. Drawings have few colors, and at 256 each of them matters.
MAX_SEED_COLORS = 1 << 14
SEED_BITS = 4
# Where `ColorCells.moments` has the products of channels 00 01 02 10 11 12 20 21 22.
SQUARES = [4, 7, 8, 7, 5, 9, 8, 9, 6]
# While seeds are chosen, opaque colors are so far from the others: these cannot serve them.
APART = 255


def to_points(colors: UInt8Array) -> Array:
    """Return the points (N, 4) float32 of colors (N, 4), between which distances are Euclidean."""
    shining = OPAQUE - colors[:, 3:].astype(np.float64)
    points = np.empty((len(colors), 4), np.float32)
    points[:, :3] = colors[:, :3] * (1 - shining / OPAQUE) + MIDDLE / OPAQUE * shining
    points[:, 3:] = ALPHA_WEIGHT * shining
    return points


def to_colors(points: Array) -> UInt8Array:
    """Return the nearest colors (N, 4) uint8 of points (N, 4); none is fully transparent."""
    points = points.astype(np.float64)
    alphas = np.clip(np.rint(OPAQUE - points[:, 3:] / ALPHA_WEIGHT), 1, OPAQUE)
    over_black = points[:, :3] - MIDDLE / OPAQUE / ALPHA_WEIGHT * points[:, 3:]
    colors = np.clip(np.rint(OPAQUE / alphas * over_black), 0, OPAQUE)
    return np.concatenate([colors, alphas], axis=1).astype(np.uint8)


def merge_points(points: Array, weights: Array, bits: int) -> tuple[Array, Array]:
    """Return the means (n, 4) float32 and weights (n,) of the cells that points lie in."""
    cells = points.astype(np.uint32) >> np.uint32(bits)  # coordinates are 0 to 255
    codes = cells[:, 0] << 24 | cells[:, 1] << 16 | cells[:, 2] << 8 | cells[:, 3]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=np.uint32(0xFFFFFFFF)))
    if len(starts) == 0:
        return points, weights
    sums = np.add.reduceat(points[order] * weights[order, None], starts, axis=0)
    totals = np.add.reduceat(weights[order], starts)
    return (sums / totals[:, None]).astype(np.float32), totals


@dataclass(frozen=True, eq=False)
class AlphaLabels:
    """The nearest palette entries of the colors of an image with alpha.

    Attributes
    ----------
    opaque : (U,) uint8
    translucent : (T,) uint8
    transparent : int, without meaning where there is no such pixel
    inertia : float
        The squared error over all pixels.
    """

    opaque: UInt8Array
    translucent: UInt8Array
    transparent: int
    inertia: float


class AlphaColors:
    """The colors of an image with alpha, for `kmeans.lloyd`: opaque ones by cells, others densely.

    A center whose last coordinate is 0 is opaque, and stays so. There must be one if there are
    opaque colors.

    Parameters
    ----------
    image : AlphaImage
    with_transparent : bool
        Whether a center at full transparency, which is not among those given, takes part, and is
        kept where it is.
    """

    def __init__(self, image: AlphaImage, *, with_transparent: bool) -> None:
        self._image = image
        self._cells = ColorCells(image.opaque) if len(image.opaque) else None
        self._locked = to_points(TRANSPARENT)[: int(with_transparent)]
        colors, counts = image.translucent, image.counts.astype(np.float64)
        if image.n_transparent and not with_transparent:
            colors = np.concatenate([TRANSPARENT, colors])
            counts = np.concatenate([[float(image.n_transparent)], counts])
        self._dense = self._merged = DensePoints(to_points(colors), counts)
        if len(colors) > MAX_DENSE:
            self._merged = DensePoints(*merge_points(self._dense.points, counts, FINE_BITS))

    @property
    def variance(self) -> float:
        """The variance of the colors, as a mean of three channels."""
        points, weights = self._merged.points.astype(np.float64), self._merged.weights
        weight, sums = weights.sum(), weights @ points
        squares = float(np.sum(weights @ points**2))
        if self._cells is not None:
            totals = self._cells.grid_totals.sum(axis=0)
            weight += totals[0]
            sums[:3] += totals[1:4]
            squares += totals[4]
        return float(squares / weight - np.sum((sums / weight) ** 2)) / 3

    def accumulate(self, centers: Array) -> Array:
        """Assign; return each cluster's sums of weight and weight * point, (K, 5)."""
        sums = np.zeros((len(centers), 5))
        is_opaque = centers[:, 3] == 0
        if len(self._merged.points):
            n_locked = len(self._locked)
            sums += self._merged.accumulate(np.concatenate([self._locked, centers]))[n_locked:]
            sums[is_opaque, 4] = 0  # the best center among the opaque ones: of the means over gray
        if self._cells is not None:
            sums[is_opaque, :4] += self._cells.accumulate(centers[is_opaque, :3])
        return sums

    def measure(self, centers: Array) -> Clusters:
        """Assign; return the clusters, those of opaque centers flat."""
        n_locked, n_channels = len(self._locked), centers.shape[1]
        moments = np.zeros((n_locked + len(centers), 1 + n_channels + n_channels**2))
        if len(self._merged.points):
            labels, _ = self._merged.assign(np.concatenate([self._locked, centers]))
            points = self._merged.points.astype(np.float64)
            products = (points[:, :, None] * points[:, None]).reshape(len(points), -1)
            columns = np.concatenate([np.ones((len(points), 1)), points, products], axis=1)
            for i, column in enumerate(columns.T):
                weighted = self._merged.weights * column
                moments[:, i] = np.bincount(labels, weighted, minlength=len(moments))
        own, is_opaque = moments[n_locked:], centers[:, 3] == 0
        if self._cells is not None:
            plane = self._cells.moments(centers[is_opaque, :3])
            squares = plane[:, SQUARES].reshape(-1, 3, 3)
            own[is_opaque, :4] += plane[:, :4]
            own[is_opaque, 5:] += np.pad(squares, ((0, 0), (0, 1), (0, 1))).reshape(-1, 16)
        weights, divisors = own[:, 0], np.maximum(own[:, 0], 1)[:, None]
        means = np.where(weights[:, None] > 0, own[:, 1:5] / divisors, centers)
        means[is_opaque, 3] = 0
        covariances = (own[:, 5:] / divisors).reshape(-1, 4, 4)
        covariances -= means[:, :, None] * means[:, None]
        covariances[weights == 0] = 0
        # Around the locked entry, whose colors are no other's.
        away = 0.0
        for totals, entry in zip(moments[:n_locked], self._locked.astype(np.float64), strict=True):
            squares = np.trace(totals[5:].reshape(4, 4))
            away += float(squares - 2 * totals[1:5] @ entry + totals[0] * (entry @ entry))
        return Clusters(weights, means, covariances, is_flat=is_opaque, other_error=away)

    def farthest(self, centers: Array, n_points: int) -> Array:
        """Return the colors, as points (n_points, 4), that are farthest from their centers."""
        points, distances = self._dense.points, np.empty(0, np.float32)
        if len(points):
            _, distances = self._dense.assign(np.concatenate([self._locked, centers]))
        if self._cells is not None:
            own = centers[centers[:, 3] == 0, :3]
            labels, _ = self._cells.assign(own)
            points = np.concatenate([self._opaque_points, points])
            of_opaque = squared_distances(self._cells.points, own, labels)
            distances = np.concatenate([of_opaque, distances])
        return farthest_points(points, distances, n_points)

    def assign(self, palette: UInt8Array) -> AlphaLabels:
        """Find the nearest entries (K, 4), ties to the lowest index, of all colors of the image.

        Of opaque colors, among the opaque entries; where there are none, among all.
        """
        entries = to_points(palette)
        own = np.flatnonzero(palette[:, 3] == OPAQUE).astype(np.uint8)
        opaque, inertia = np.empty(0, np.uint8), 0.0
        if self._cells is not None and len(own):
            labels, sums = self._cells.assign(palette[own, :3])
            opaque = own[labels]
            inertia = inertia_from_sums(sums, self._cells.squared_norm, palette[own, :3])
        elif self._cells is not None:
            opaque, inertia = _assign(self._opaque_points, self._cells.weights, entries)
        image = self._image
        translucent, error = _assign(to_points(image.translucent), image.counts, entries)
        transparent, last = _assign(
            to_points(TRANSPARENT), np.array([image.n_transparent]), entries
        )
        return AlphaLabels(opaque, translucent, int(transparent[0]), inertia + error + last)

    @property
    def _opaque_points(self) -> Array:
        return _on_opaque_plane(self._image.opaque.colors)

    def seed(self, n_colors: int, init: str, rng: np.random.Generator) -> Array:
        """Return initial centers (n_colors, 4) float32, at least one of them opaque if it must be.

        By greedy k-means++ over the colors or the means of cells, or, for "random", random colors.
        """
        is_random = init == "random"
        points, weights = self._merged.points, self._merged.weights
        by_cell = not is_random and len(self._image) > MAX_SEED_COLORS
        if by_cell:
            points, weights = merge_points(points, weights, SEED_BITS)
        if self._cells is not None:
            opaque, counts = self._opaque_points, self._cells.weights
            if by_cell:
                counts = self._cells.grid_totals[:, 0]
                opaque = _on_opaque_plane(self._cells.grid_totals[:, 1:4] / counts[:, None])
            points = np.concatenate([opaque - [[0, 0, 0, np.float32(APART)]], points])
            points = np.ascontiguousarray(points, np.float32)
            weights = np.concatenate([counts, weights])
        choose = seeding.random_points if is_random else seeding.kmeans_plus_plus
        centers = choose(points, weights, n_colors, rng)
        centers[centers[:, 3] < 0, 3] = 0
        if self._cells is not None and not np.any(centers[:, 3] == 0):
            centers[-1] = counts @ opaque / counts.sum()
        return complete_centers(self, centers, n_colors)


def _on_opaque_plane(colors: Array) -> Array:
    """Return the points (N, 4) float32 of opaque colors (N, 3)."""
    return np.pad(colors.astype(np.float32), ((0, 0), (0, 1)))


def _assign(points: Array, weights: Array, entries: Array) -> tuple[UInt8Array, float]:
    """Return the nearest entries (N,) of points (N, 4), and the inertia."""
    if len(points) == 0:
        return np.empty(0, np.uint8), 0.0
    labels, distances = DensePoints(points, weights).assign(entries)
    return labels.astype(np.uint8), float(np.sum(weights * distances.astype(np.float64)))


def fit_alpha(
    image: AlphaImage,
    n_colors: int,
    *,
    init: str,
    max_iter: int,
    tol: float,
    relaxation: float,
    random_state: int | np.random.Generator | None,
    is_best: bool = False,
) -> tuple[UInt8Array, AlphaLabels, int]:
    """Run K-means over more colors than are wanted, and on from its local minimum if `is_best`.

    Returns
    -------
    palette : (n_colors, 4) uint8
        Every entry used; in the order of their alpha, so that the transparent ones come first.
    labels : AlphaLabels
    n_iter : int
    """
    with_transparent = image.n_transparent > 0 and n_colors > 1
    colors = AlphaColors(image, with_transparent=with_transparent)
    n_visible = n_colors - int(with_transparent)
    start = colors.seed(n_visible, init, np.random.default_rng(random_state))
    stop: dict[str, Any] = {"max_iter": max_iter, "tol": tol, "relaxation": relaxation}
    centers, n_iter = lloyd(colors, start, **stop)
    if is_best:
        centers, n_more = escape(colors, centers, colors.measure, **stop)
        n_iter += n_more
    palette = to_colors(centers)
    if with_transparent:
        palette = np.concatenate([TRANSPARENT, palette])
    return *use_all_entries(colors, palette), n_iter


def use_all_entries(colors: AlphaColors, palette: UInt8Array) -> tuple[UInt8Array, AlphaLabels]:
    """Sort entries by alpha, and replace those that no color takes by the colors served worst.

    It ends: an entry on a color of the image stays used.
    """
    while True:
        palette = sort_by_alpha(palette)
        labels = colors.assign(palette)
        is_used = np.zeros(len(palette), np.bool_)
        for some in (labels.opaque, labels.translucent):
            is_used[some] = True
        is_used[palette[:, 3] == 0] = True
        if is_used.all():
            return palette, labels
        kept = palette[is_used]
        points = to_points(kept[kept[:, 3] > 0])
        farthest = colors.farthest(points, int(np.count_nonzero(~is_used)))
        palette = np.concatenate([kept, to_colors(farthest)])


def sort_by_alpha(palette: UInt8Array) -> UInt8Array:
    """Return a palette (K, 4), transparent entries first: a PNG stores fewer alphas then."""
    return palette[np.argsort(palette[:, 3], kind="stable")]
