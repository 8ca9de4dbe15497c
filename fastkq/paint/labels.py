"""Replace pixels by the labels of their palette entries: nearest ones, or dithered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.histogram import CODE_BITS, SPREAD
from fastkq.colors.pixels import OPAQUE, drop_alpha, has_alpha, split_with_alpha, with_alpha
from fastkq.engine.model import CUBE_BITS, Fit
from fastkq.paint.dither import Dithering
from fastkq.paint.lossy import make_ditherer
from fastkq.paint.nearest import NearestEntries
from fastkq.types import UInt8Array


class Labeler:
    """Labels the pixels of an image with the entries of the palette that was fitted to it.

    The image may come whole, in blocks of rows, or in parts that are read with the rows around
    them: the labels are the same. Opaque pixels are labeled through a table of colors, the others
    by their own values.

    Parameters
    ----------
    fit : Fit
        Its colors are at least those of the image.
    dithering : Dithering
    n_channels : int
        Of the image: 1, gray, or 2, 3, 4.

    Attributes
    ----------
    base_error : float
        The squared error of all pixels beyond what the calls return.
    """

    def __init__(self, fit: Fit, dithering: Dithering, n_channels: int) -> None:
        self._entries: UInt8Array | None = None  # those of `fit` that are used, where not all are
        if fit.palette.shape[1] == 4 and n_channels in (1, 3):
            fit, self._entries = _keep_opaque_entries(fit)
        self.base_error = 0.0 if dithering else fit.opaque_inertia
        self._with_alpha = fit.palette.shape[1] == 4
        self._table, self._spread = make_table(fit)
        self._nearest = NearestEntries(fit.palette, fit.space) if self._with_alpha else None
        self._ditherer = make_ditherer(fit.palette, dithering)
        # Diffused errors choose every entry anew; ordered dithering starts from the nearest.
        self._needs_nearest = not dithering or dithering.method == "ordered"

    def label(self, rows: UInt8Array) -> tuple[UInt8Array, float]:
        """Return the labels (H, W) of a whole image (H, W) or (H, W, C), and their error."""
        labels, error = self._label_nearest(rows)
        if self._ditherer is not None:
            error = float(self._ditherer.dither(self._convert(rows), labels))
        return self._rename(labels), error

    def label_blocks(self, blocks: Iterable[UInt8Array]) -> Iterator[tuple[UInt8Array, float]]:
        """Yield the labels (h, W) of an image that comes in blocks of rows, and their errors.

        They may be cut in other places than the blocks.
        """
        if self._ditherer is None:
            yield from map(self.label, blocks)
        else:
            converted = map(self._convert, blocks)
            for labels, error in self._ditherer.dither_blocks(converted, self._label_only):
                yield self._rename(labels), float(error)

    def label_part(self, rows: UInt8Array, lead: int, n_rows: int, first: int) -> UInt8Array:
        """Return the labels (n_rows, W) of a part of an image.

        Parameters
        ----------
        rows : (h, W) or (h, W, C) uint8
            The part, and the rows around it that dithering depends on.
        lead : int
            How many rows there are above the part.
        n_rows : int
            How many to label.
        first : int
            The number of the first of these in the image, a whole number of strips.
        """
        if self._ditherer is None:
            return self.label(rows[lead : lead + n_rows])[0]
        converted = self._convert(rows)
        labels, _ = self._ditherer.dither_part(converted, lead, n_rows, first, self._label_only)
        return self._rename(labels)

    def _label_only(self, rows: UInt8Array) -> UInt8Array:
        return self._label_nearest(rows)[0]

    def _label_nearest(self, rows: UInt8Array) -> tuple[UInt8Array, float]:
        """Return the nearest entries (h, W), and the squared error of what is not opaque.

        Where dithering does not look at them, they are any.
        """
        labels = np.empty(rows.shape[:2], np.uint8)
        if not self._needs_nearest:
            return labels, 0.0
        if self._nearest is None:
            self._look_up(drop_alpha(rows) if rows.shape[2:] == (2,) else rows, labels)
            return labels, 0.0
        error, first = 0.0, 0
        for part in split_with_alpha(rows):
            own = labels[first : first + len(part)]
            self._look_up(part, own)
            error += self._nearest.label(part.reshape(-1, 4), own.reshape(-1))
            first += len(part)
        return labels, error

    def _look_up(self, rows: UInt8Array, labels: UInt8Array) -> None:
        """Write the labels of rows (h, W), (h, W, 3) or (h, W, 4) as if all were opaque."""
        if rows.ndim == 2:
            codes = self._spread.sum(axis=0, dtype=np.uint32)
            np.take(self._table[codes], rows, out=labels)
        else:
            pixels = rows.reshape(-1, rows.shape[2])
            kernels.remap.remap_pixels(pixels, self._spread, self._table, labels.reshape(-1))

    def _convert(self, rows: UInt8Array) -> UInt8Array:
        """Return rows with as many channels as dithering takes."""
        if self._with_alpha:
            return with_alpha(rows)
        return drop_alpha(rows) if has_alpha(rows) else rows

    def _rename(self, labels: UInt8Array) -> UInt8Array:
        return labels if self._entries is None else self._entries[labels]


def _keep_opaque_entries(fit: Fit) -> tuple[Fit, UInt8Array | None]:
    """Return a fit of the opaque entries alone, and which they are; all, if there are none."""
    entries = np.flatnonzero(fit.palette[:, 3] == OPAQUE).astype(np.uint8)
    if len(entries) == 0:
        return fit, None
    ranks = np.zeros(len(fit.palette), np.uint8)
    ranks[entries] = np.arange(len(entries), dtype=np.uint8)
    palette = np.ascontiguousarray(fit.palette[entries, :3])
    return replace(fit, palette=palette, labels=ranks[fit.labels]), entries


def make_table(fit: Fit) -> tuple[UInt8Array, NDArray[np.uint32]]:
    """Return a table of the labels of colors, and (3, 256) by which a color finds its place."""
    if fit.codes is None:  # the table of 2 MB stays near the core
        return fit.labels, SPREAD >> np.uint32(CUBE_BITS)
    # 16 MB, of which only the pages that hold a color of the image are ever touched.
    table = np.zeros(1 << CODE_BITS, np.uint8)
    kernels.remap.fill_table(fit.codes, fit.labels, table)
    return table, SPREAD
