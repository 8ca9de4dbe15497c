"""Animated GIF: frames of one table of colors or of one each, and who shows through where.

The codes are this package's own: where a pixel may have either of two labels, no other writer that
takes indices can choose.
"""

from __future__ import annotations

from fastkq.files import gif_blocks
from fastkq.files.compose import KEEP
from fastkq.files.deltas import Drawing
from fastkq.files.gif_codes import Costs, choose_labels, encode_labels
from fastkq.files.timing import gif_clock
from fastkq.types import UInt8Array


class GifWriter:
    """Puts the frames of a GIF together.

    Parameters
    ----------
    shape : (H, W)
    loop : int, how often it is played, 0 for ever
    palette : (K, 3) or (K, 4) uint8
        Of the first frame, and of all that come with the same one.
    """

    def __init__(self, shape: tuple[int, int], loop: int, palette: UInt8Array) -> None:
        self._table = palette
        self._clock = gif_clock()
        self._parts = [gif_blocks.begin(shape, palette), gif_blocks.looping(loop)]

    def encode(self, drawing: Drawing) -> bytes:
        """Return the pixels of a frame behind its header and colors."""
        codes = encode_labels(drawing.labels, drawing.kinds, drawing.transparent)
        return self._put_together(drawing, codes)

    def encode_lossy(self, drawing: Drawing, costs: Costs) -> tuple[bytes, UInt8Array]:
        """Return a frame with errors that save codes, and the labels (h, w) that it shows then."""
        codes, labels = choose_labels(costs, drawing)
        return self._put_together(drawing, codes), labels

    def write(
        self, data: bytes, duration: float, disposal: int = KEEP, transparent: int | None = None
    ) -> None:
        """Append a frame that was encoded."""
        ticks = self._clock.ticks(duration)
        self._parts += [gif_blocks.control(transparent, ticks, disposal), data]

    def finish(self) -> bytes:
        """Return the file."""
        return b"".join([*self._parts, gif_blocks.TRAILER])

    def _put_together(self, drawing: Drawing, codes: bytes) -> bytes:
        place = drawing.place
        palette = None if drawing.palette is self._table else drawing.palette
        return gif_blocks.picture((place.x, place.y, place.width, place.height), codes, palette)
