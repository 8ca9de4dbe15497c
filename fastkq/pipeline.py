"""Images in memory: fit a palette to one, and label its pixels with the palette's entries."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from fastkq import kernels
from fastkq.colors.alpha_image import AlphaImage
from fastkq.colors.histogram import SORT_LIMIT, ColorHistogram, histogram_of_array
from fastkq.colors.pixels import OPAQUE, check_array, has_alpha
from fastkq.colors.protect import LEAST_SHARE, find_lost_color, solid_counts
from fastkq.colors.sampling import sample_pixels, sample_step
from fastkq.colors.weights import check_weights, weigh_colors
from fastkq.engine import seeding
from fastkq.engine.alpha import TRANSPARENT, AlphaColors, AlphaLabels, fit_alpha
from fastkq.engine.cells import ColorCells
from fastkq.engine.fit import RELAXATION, Fit, apply_to_cells, fit_cells, fit_histogram
from fastkq.engine.locked import own_palette
from fastkq.engine.model import INITS, FitOptions
from fastkq.files import rows as blocks
from fastkq.options import Options
from fastkq.paint.dither import Dithering
from fastkq.paint.labels import (
    CUBE_BITS,
    apply_alpha_labels,
    apply_cubes,
    apply_labels,
    dither_opaque,
    label_cubes,
)
from fastkq.types import Array, UInt8Array

# A sample with fewer colors is of a drawing or a screen: its rare colors matter, and all of it is
# counted and labeled in little time.
FEW_COLORS = 4096
# At most one entry in so many, of those that are not locked, goes to protected colors.
PROTECTED_SHARE = 4


class OpaqueFitter:
    """An image (H, W) or (H, W, 3) uint8, by its histogram."""

    def __init__(self, array: UInt8Array) -> None:
        self._array = array
        self._histogram = histogram_of_array(array)
        self.n_pixels, self.n_distinct = self._histogram.n_pixels, len(self._histogram)

    def fit(self, options: Options) -> Fit:
        """Find the palette of so many colors."""
        if options.needs_places:
            return _fit_pixels(self._array, self._histogram, options)
        return fit_histogram(self._histogram, options.fit)

    def apply(self, palette: UInt8Array) -> Fit:
        """Label the colors with the nearest entries of a palette (K, 3)."""
        return apply_to_cells(ColorCells(self._histogram), palette)

    def label(self, fit: Fit, dithering: Dithering) -> tuple[UInt8Array, float]:
        """Return the labels (H, W) of the pixels, and the squared error with them."""
        of_colors = cast("UInt8Array", fit.labels)
        labels = apply_labels(self._array, self._histogram.codes, of_colors)
        if not dithering:
            return labels, fit.inertia
        return labels, dithering.apply(self._array, fit.palette, labels)


class AlphaFitter:
    """An image with transparent pixels, by its opaque, translucent and transparent ones."""

    def __init__(self, array: UInt8Array) -> None:
        self._image = AlphaImage(array)
        self.n_pixels, self.n_distinct = array.shape[0] * array.shape[1], len(self._image)

    def fit(self, options: Options) -> Fit:
        """Find the palette (K, 4) of so many colors."""
        if options.needs_places or len(options.fit.locked):
            raise ValueError(
                "the image has transparent pixels; weights, locked and protect are for opaque ones"
            )
        return _fit_alpha(self._image, options.fit)

    def apply(self, palette: UInt8Array) -> Fit:
        """Label the colors with the nearest entries of a palette (K, 4)."""
        nearest = AlphaColors(self._image, with_transparent=True).assign(palette)
        return Fit(palette, nearest, nearest.inertia, 0)

    def label(self, fit: Fit, dithering: Dithering) -> tuple[UInt8Array, float]:
        """Return the labels (H, W) of the pixels, and the squared error with them."""
        labels = apply_alpha_labels(self._image, cast("AlphaLabels", fit.labels))
        if not dithering:
            return labels, fit.inertia
        return labels, dither_opaque(self._image, fit.palette, labels, dithering)


class SampleFitter:
    """A large image (H, W, 3) uint8, by the histogram of a sample of its pixels."""

    def __init__(self, array: UInt8Array, sample: ColorHistogram) -> None:
        self._array, self._sample = array, sample

    def fit(self, options: Options) -> Fit:
        """Find a palette; its labels are those of the cubes of colors."""
        cells = ColorCells(self._sample)
        fit = fit_cells(cells, options.fit)
        table = label_cubes(fit.palette)
        of_sample = table[self._sample.codes >> np.uint32(CUBE_BITS)]
        error = cells.squared_error(fit.palette, of_sample)
        inertia = error * (self._array.size // 3) / self._sample.n_pixels
        return Fit(fit.palette, table, inertia, fit.n_iter)

    def label(self, fit: Fit, dithering: Dithering) -> tuple[UInt8Array, float]:
        """Return the labels (H, W) of the pixels, and the squared error, or an estimate of it."""
        labels = apply_cubes(self._array, cast("UInt8Array", fit.labels))
        if not dithering:
            return labels, fit.inertia
        return labels, dithering.apply(self._array, fit.palette, labels)


def make_fitter(array: UInt8Array) -> OpaqueFitter | AlphaFitter:
    """Return what fits palettes to all of an image of any allowed kind."""
    return AlphaFitter(array) if has_alpha(array) else OpaqueFitter(array)


def sample_colors(array: UInt8Array, options: Options) -> ColorHistogram | None:
    """Return the histogram of a sample of an image, or None if it should be taken whole."""
    if options.fit.effort != "fast" or options.needs_places or has_alpha(array):
        return None
    # The cubes that get a label each lie close together in sRGB only; a target needs the error.
    if options.fit.color_space != "srgb" or options.target is not None:
        return None
    n_pixels = array.size // 3
    # Of large images, which come by blocks, writing takes most of the time: no sample.
    if array.ndim == 2 or sample_step(n_pixels) == 1 or n_pixels > blocks.LARGE_PIXELS:
        return None
    histogram = histogram_of_array(sample_pixels(array))
    return histogram if len(histogram) > FEW_COLORS else None


def _fit_pixels(array: UInt8Array, histogram: ColorHistogram, every: Options) -> Fit:
    """Find the palette of an image whose pixels count by their weights, or by their neighbors."""
    weights, options = every.weights, every.fit
    scaled = None if weights is None else check_weights(weights, array.shape)
    own = own_palette(histogram, options.n_colors, options.locked)
    if own is not None:
        return Fit(*own, inertia=0.0, n_iter=0)
    counted = histogram if scaled is None else weigh_colors(histogram, array, scaled)
    if options.protect:
        counts = solid_counts(array, histogram.codes, scaled)
        options = _lock_lost_colors(histogram, counted, counts, options)
    fit = fit_histogram(counted, options)
    if counted is histogram:
        return fit
    return apply_to_cells(ColorCells(histogram, options.color_space), fit.palette, fit.n_iter)


def _lock_lost_colors(
    histogram: ColorHistogram, counted: ColorHistogram, counts: Array, options: FitOptions
) -> FitOptions:
    """Return options that lock the colors of patches which the palette has no entry near to."""
    cells = ColorCells(histogram)
    trial = replace(options, effort="balanced")
    fit = fit_histogram(counted, trial)
    mse = fit.inertia / counted.n_pixels
    for _ in range((options.n_colors - len(options.locked)) // PROTECTED_SHARE):
        labels, _ = cells.assign(fit.palette)
        color = find_lost_color(
            histogram.codes,
            counts,
            fit.palette,
            labels,
            mse=mse,
            least_count=LEAST_SHARE * histogram.n_pixels,
        )
        if color is None:
            break
        trial = replace(trial, locked=np.concatenate([trial.locked, color[None]]))
        fit = fit_histogram(counted, trial)
    return replace(options, locked=trial.locked)


def _fit_alpha(image: AlphaImage, options: FitOptions) -> Fit:
    n_transparent = int(image.n_transparent > 0)
    is_lossless = len(image) <= options.n_colors
    if not is_lossless and not isinstance(options.init, str):
        raise ValueError(
            f"init is an array of centers; for an image with transparent pixels, one of {INITS} is "
            "allowed"
        )
    if is_lossless or (len(image.translucent) == 0 and options.n_colors > 1):
        # The opaque colors as of any photo, beside the entries that are exact.
        n_exact = n_transparent + len(image.translucent)
        fit = fit_histogram(image.opaque, replace(options, n_colors=options.n_colors - n_exact))
        opaque = np.pad(fit.palette, ((0, 0), (0, 1)), constant_values=OPAQUE)
        palette = np.concatenate([TRANSPARENT[:n_transparent], image.translucent, opaque])
        translucent = np.arange(n_transparent, n_exact, dtype=np.uint8)
        of_opaque = cast("UInt8Array", fit.labels) + np.uint8(n_exact)
        labels = AlphaLabels(of_opaque, translucent, 0, fit.inertia)
        return Fit(palette, labels, fit.inertia, fit.n_iter)
    palette, labels, n_iter = fit_alpha(
        image,
        options.n_colors,
        init=cast("str", options.init),
        max_iter=options.max_iter,
        tol=options.final_tol,
        relaxation=RELAXATION,
        random_state=options.random_state,
        is_best=options.effort == "best",
    )
    return Fit(palette, labels, labels.inertia, n_iter)


def load_kernels() -> None:
    """Load, or compile, the kernels that quantizing an image needs."""
    # Noise of so many pixels goes the way of large images.
    shape = (SORT_LIMIT // 256, 256, 3)
    noise = check_array(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    histogram = histogram_of_array(noise)
    apply_labels(noise, histogram.codes, np.zeros(len(histogram), np.uint8))
    seeding.wu_centers(np.array([[0, 0, 0], [1, 1, 1]]), np.ones((2, 5)), 2)
    kernels.events.wait_for_helpers()
    compile_kmeans()


def compile_kmeans() -> None:
    """Load, or compile, the kernels that `ColorCells` has for `quantize`."""
    few = ColorHistogram(np.arange(4, dtype=np.uint32), np.ones(4, np.int64))
    ColorCells(few).assign(np.zeros((2, 3)))
