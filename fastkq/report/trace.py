"""How the error falls from iteration to iteration: K-means, watched while it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.metrics import inertia_from_sums
from fastkq.colors.pixels import OPAQUE
from fastkq.engine.cells import ColorCells
from fastkq.engine.fit import fit_histogram
from fastkq.engine.model import FitOptions
from fastkq.engine.opaque import find_centers
from fastkq.types import Array, UInt8Array

# Where colors have alpha, each point is a run of its own: so many at most, and one for 0.
MOST_RUNS = 16


@dataclass(frozen=True)
class Trace:
    """The inertia of K-means by its iterations.

    Attributes
    ----------
    iterations : list of int, ascending; 0 is that of the initial centers
    inertia : list of float, over the weighted colors, of which the first is 1
    space : str, where distances are measured
    """

    iterations: list[int]
    inertia: list[float]
    space: str


class WatchedCells(ColorCells):
    """The colors of a histogram, which note the inertia of all centers that Lloyd's loop has.

    Attributes
    ----------
    inertias : list of float, in the space
    """

    def __init__(self, histogram: ColorHistogram, space: str) -> None:
        super().__init__(histogram, space)
        self.inertias: list[float] = []

    def accumulate(self, centers: Array) -> Array:
        """Assign, and note the inertia; see `ColorCells`."""
        sums = super().accumulate(centers)
        self.inertias.append(inertia_from_sums(sums, self.squared_norm, centers))
        return sums

    def assign(self, centers: Array) -> tuple[UInt8Array, Array]:
        """Assign, and note nothing: that looks for what an empty cluster gets."""
        n_known = len(self.inertias)
        assigned = super().assign(centers)
        del self.inertias[n_known:]
        return assigned


def trace_inertia(histogram: ColorHistogram, options: FitOptions) -> Trace | None:
    """Return the inertia by iterations; None where there is nothing to iterate.

    Parameters
    ----------
    histogram : ColorHistogram
        The colors that the palette is fitted to, as they are weighted.
    options : FitOptions
        An effort other than "balanced" counts as that.
    """
    options = replace(options, effort="balanced")
    if len(histogram) <= options.n_colors or len(options.locked) >= options.n_colors:
        return None
    is_opaque = histogram.is_opaque and (options.locked[:, 3] == OPAQUE).all()
    found = _watch(histogram, options) if is_opaque else _run_often(histogram, options)
    if not found or found[0][1] == 0:
        return None
    first = found[0][1]
    return Trace(
        [n_iter for n_iter, _ in found],
        [inertia / first for _, inertia in found],
        options.color_space if is_opaque else "srgb",
    )


def _watch(histogram: ColorHistogram, options: FitOptions) -> list[tuple[int, float]]:
    """Run K-means once; return the number and the inertia of each iteration."""
    cells = WatchedCells(histogram, options.color_space)
    centers, _ = find_centers(cells, options)
    cells.accumulate(centers)  # those that the last iteration ends with
    return list(enumerate(cells.inertias))


def _run_often(histogram: ColorHistogram, options: FitOptions) -> list[tuple[int, float]]:
    """Run K-means with more and more iterations; return their number and the inertia in sRGB."""
    last = fit_histogram(histogram, options)
    found = {last.n_iter: last.inertia}
    for most in _spread(last.n_iter):
        fit = fit_histogram(histogram, replace(options, max_iter=most))
        found[fit.n_iter] = fit.inertia
    return sorted(found.items())


def _spread(n_iter: int) -> list[int]:
    """Return 0 and at most `MOST_RUNS` other numbers up to `n_iter`, the first ones densely.

    Examples
    --------
    >>> _spread(5), _spread(60)
    ([0, 1, 2, 3, 4, 5], [0, 1, 2, 4, 6, 8, 11, 15, 19, 23, 28, 34, 40, 46, 53, 60])
    """
    if n_iter <= MOST_RUNS:
        return list(range(n_iter + 1))
    return sorted({round(n_iter * (i / MOST_RUNS) ** 2) for i in range(MOST_RUNS + 1)})
