"""Entries for the colors under an alpha of 0, which only filters that mix neighbours see.

The palette of what is visible has one transparent entry. Here it gives way to several, which differ
in their color, and each fully transparent pixel takes the nearest of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import tee

import numpy as np

from fastkq.colors.histogram import ColorHistogram, histogram_of_blocks
from fastkq.colors.pixels import OPAQUE, as_rows, drop_alpha, split_with_alpha
from fastkq.engine.model import Fit, FitOptions, HiddenEntries
from fastkq.engine.opaque import fit_opaque
from fastkq.paint.labels import ColorTable, Labeler
from fastkq.types import UInt8Array

HIDDEN_SHARE = 16  # at most one entry in so many, and always one, is for what nobody sees


def count_hidden(blocks: Iterable[UInt8Array], shape: tuple[int, ...]) -> ColorHistogram:
    """Count the colors under an alpha of 0 of an image (H, W, 2) or (H, W, 4), as opaque ones."""

    def reveal() -> Iterator[UInt8Array]:
        for block in blocks:
            for part in split_with_alpha(block):
                revealed = part.copy()
                revealed[..., 3] = np.where(part[..., 3] == 0, np.uint8(OPAQUE), np.uint8(0))
                yield as_rows(revealed)

    counted = histogram_of_blocks(reveal(), (*shape[:2], 4))
    return ColorHistogram(counted.codes, counted.counts)


def fit_hidden(
    hidden: ColorHistogram, fit: Callable[[FitOptions], Fit], options: FitOptions
) -> Fit:
    """Fit a palette to an image, with several transparent entries.

    Parameters
    ----------
    hidden : ColorHistogram, from `count_hidden`
    fit : callable
        Fits a palette to the image, with one transparent entry.
    options : FitOptions, of the whole palette
    """
    if (options.locked[:, 3] == 0).any():  # it keeps its place, and serves them all
        return fit(options)
    n_free = options.n_colors - len(options.locked)
    n_hidden = max(1, min(len(hidden), options.n_colors // HIDDEN_SHARE, n_free))
    visible = fit(replace(options, n_colors=options.n_colors - n_hidden + 1))
    transparent = np.flatnonzero(visible.palette[:, -1] == 0)
    if visible.palette.shape[1] == 3 or len(transparent) == 0:  # a single entry, which is seen
        return visible
    colors = fit_opaque(hidden, FitOptions(n_hidden))
    entries = np.pad(colors.palette, ((0, 0), (0, 1)))
    first = int(transparent[0])
    before, after = visible.palette[:first], visible.palette[first + 1 :]
    palette = np.concatenate([before, entries, after])
    return replace(visible, palette=palette, hidden=HiddenEntries(visible, colors, first))


class HiddenLabeler:
    """A `Labeler` of images whose transparent pixels take entries by the color under them."""

    def __init__(self, hidden: HiddenEntries, labeler: Labeler) -> None:
        self._labeler, self._first = labeler, hidden.first
        self.base_error = labeler.base_error
        self._table = ColorTable(hidden.colors)
        self._numbers = np.arange(len(hidden.visible.palette), dtype=np.uint8)
        self._numbers[hidden.first + 1 :] += np.uint8(len(hidden.colors.palette) - 1)

    def label(self, rows: UInt8Array) -> tuple[UInt8Array, float]:
        """Do what `Labeler.label` does."""
        labels, error = self._labeler.label(rows)
        return self._relabel(rows, labels), error

    def label_blocks(self, blocks: Iterable[UInt8Array]) -> Iterator[tuple[UInt8Array, float]]:
        """Do what `Labeler.label_blocks` does."""
        read, kept = tee(blocks)  # keeps the rows that are read, and not labeled yet
        waiting = next(kept)
        for labels, error in self._labeler.label_blocks(read):
            while len(waiting) < len(labels):
                waiting = np.concatenate([waiting, next(kept)])
            yield self._relabel(as_rows(waiting[: len(labels)]), labels), error
            waiting = waiting[len(labels) :]

    def _relabel(self, rows: UInt8Array, labels: UInt8Array) -> UInt8Array:
        """Return labels (h, W) of the palette with several transparent entries."""
        result, top = self._numbers[labels], 0
        for part in split_with_alpha(rows):
            own = result[top : top + len(part)]
            hidden = np.empty(own.shape, np.uint8)
            pixels = drop_alpha(part).reshape(-1, 3)
            self._table.look_up(pixels, hidden.reshape(-1))
            is_hidden = part[..., 3] == 0
            own[is_hidden] = hidden[is_hidden] + np.uint8(self._first)
            top += len(part)
        return result
