"""Replace pixels by the labels of their palette entries: nearest ones, or dithered."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

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
        self._table = ColorTable(fit)
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
            self._table.look_up_grays(rows, labels)
        else:
            self._table.look_up(rows.reshape(-1, rows.shape[2]), labels.reshape(-1))

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


class ColorTable:
    """The labels of the colors that a palette was fitted to, by their Morton codes.

    Those of other colors are any.
    """

    def __init__(self, fit: Fit) -> None:
        if fit.codes is None:  # the table of 2 MB stays near the core
            self._labels, self._shift = fit.labels, np.uint32(CUBE_BITS)
            return
        self._labels, self._shift = _borrow_table(), np.uint32(0)
        weakref.finalize(self, _give_back, self._labels).atexit = False
        kernels.remap.fill_table(fit.codes, fit.labels, self._labels)

    def look_up(self, pixels: UInt8Array, labels: UInt8Array) -> None:
        """Write the labels (N,) of opaque pixels (N, 3) or (N, 4)."""
        kernels.remap.remap_pixels(pixels, self._shift, self._labels, labels)

    def look_up_grays(self, levels: UInt8Array, labels: UInt8Array) -> None:
        """Write the labels of gray levels, in the same shape."""
        codes = SPREAD.sum(axis=0, dtype=np.uint32) >> self._shift
        np.take(self._labels[codes], levels, out=labels)


# A table that a labeler has left, for the next: 16 MB that the system need not clear again, 0.7 ms
# of the 7 that a picture of 0.4 MP takes. One is kept, however many were in use at once.
_spare_tables: list[UInt8Array] = []


def _borrow_table() -> UInt8Array:
    try:
        return _spare_tables.pop()
    except IndexError:
        return np.zeros(1 << CODE_BITS, np.uint8)


def _give_back(table: UInt8Array) -> None:
    _spare_tables[:] = [table]
