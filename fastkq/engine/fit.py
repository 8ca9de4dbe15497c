"""A palette for a histogram: fitted, protected, searched for, or given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.pixels import OPAQUE
from fastkq.colors.protect import LEAST_SHARE, find_lost_color
from fastkq.engine.alpha import fit_alpha, label_palette
from fastkq.engine.cells import ColorCells
from fastkq.engine.model import Fit, FitOptions
from fastkq.engine.opaque import fit_opaque, label_cells
from fastkq.engine.search import Target, choose_n_colors
from fastkq.types import UInt8Array

# At most one entry in so many, of those that are not locked, goes to protected colors.
PROTECTED_SHARE = 4


def fit_histogram(histogram: ColorHistogram, options: FitOptions) -> Fit:
    """Find the palette that represents a histogram best.

    It is (K, 3) where the histogram and the locked colors are opaque, and (K, 4) elsewhere.
    """
    if histogram.is_opaque and (options.locked[:, 3] == OPAQUE).all():
        return fit_opaque(histogram, options)
    return fit_alpha(histogram, options)


def apply_palette(
    histogram: ColorHistogram, palette: UInt8Array, space: str = "srgb", n_iter: int = 0
) -> Fit:
    """Label the colors of a histogram with the nearest entries of a palette.

    Raises
    ------
    ValueError
        The histogram is not opaque, and the palette (K, 3) has no alpha.
    """
    if palette.shape[1] == 4:
        return replace(label_palette(histogram, palette, space), n_iter=n_iter)
    if not histogram.is_opaque:
        raise ValueError(
            f"the image has transparent pixels, and the palette has shape {palette.shape}; "
            "one with alpha, (K, 4), is allowed, or a background for the image"
        )
    return label_cells(ColorCells(histogram, space), palette, n_iter)


def lock_lost_colors(
    histogram: ColorHistogram,
    weighted: ColorHistogram,
    solid: NDArray[np.int64],
    options: FitOptions,
) -> FitOptions:
    """Return options that lock the colors of patches which the palette has no entry near to.

    Parameters
    ----------
    histogram : ColorHistogram, of the image
    weighted : ColorHistogram
        What the palette is fitted to; the same where all pixels count alike.
    solid : (U,) int64
        How many 2x2 squares of similar pixels begin with each opaque color, from
        `colors.protect.solid_counts`.
    options : FitOptions
    """
    if len(histogram.codes) == 0:
        return options
    cells = ColorCells(histogram)
    trial = replace(options, effort="balanced")
    fit = fit_histogram(weighted, trial)
    mse = fit.inertia / weighted.n_pixels
    for _ in range((options.n_colors - len(options.locked)) // PROTECTED_SHARE):
        own = fit.palette
        if own.shape[1] == 4:
            own = own[own[:, 3] == OPAQUE, :3]
        if len(own) == 0:
            break
        labels, _ = cells.assign(own)
        color = find_lost_color(
            histogram.codes,
            solid,
            own,
            labels,
            mse=mse,
            least_count=LEAST_SHARE * histogram.n_pixels,
        )
        if color is None:
            break
        entry = np.append(color, np.uint8(OPAQUE))
        trial = replace(trial, locked=np.concatenate([trial.locked, entry[None]]))
        fit = fit_histogram(weighted, trial)
    return replace(options, locked=trial.locked)


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
        n_locked=n_locked,
    )
    return fit_to(chosen)
