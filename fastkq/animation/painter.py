"""Frames drawn upon each other, so that only what changes is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from fastkq.animation.colors import FrameColors, fit_all_frames, fit_frame
from fastkq.animation.shots import Shot, read_shots
from fastkq.animation.steady import Steady
from fastkq.animation.verify import WrittenFrame, check_film, digest
from fastkq.colors.metrics import squared_error
from fastkq.colors.pixels import OPAQUE, as_rows, drop_alpha
from fastkq.colors.ssimulacra2 import Picture, score_pictures
from fastkq.defaults import FILE_LOSSY
from fastkq.files.apng_writer import ApngWriter
from fastkq.files.compose import BACKGROUND, KEEP, PREVIOUS
from fastkq.files.deltas import (
    DRAWN,
    MAY_HOLD,
    MUST_HOLD,
    Drawing,
    Mask,
    Packed,
    Rectangle,
    align,
    bounds,
    choose_disposal,
    clearing,
    join,
    unpack_colors,
    whole,
)
from fastkq.files.formats import GIF, WEBP
from fastkq.files.frames import Animation
from fastkq.files.gif_writer import GifWriter
from fastkq.files.timing import can_merge
from fastkq.files.webp_writer import WebpWriter
from fastkq.options import Options
from fastkq.result import Written
from fastkq.types import UInt8Array

Writer: TypeAlias = "GifWriter | ApngWriter | WebpWriter"
NOTHING = Rectangle(0, 0, 1, 1)  # what is drawn of a frame that changes nothing


@dataclass(frozen=True, eq=False)
class Waiting:
    """A frame that was encoded, and may be shown longer if the next one is equal."""

    data: Any
    duration: float
    disposal: int
    mark: int | None
    digest: bytes  # of what is seen, where the file is verified


class Painter:
    """Draws the frames of an animation, each upon what is seen before it."""

    def __init__(self, animation: Animation, options: Options) -> None:
        self._animation, self._options = animation, options
        self._format = options.output.format
        # What is seen before a frame: its colors, their labels, and the source's own.
        self._canvas = np.zeros(animation.size, np.uint32)
        self._labels = np.zeros(animation.size, np.uint8)
        self._source = np.zeros(animation.size, np.uint32)
        self._shared = None if options.frame_palettes else fit_all_frames(animation, options)
        self._writer: Writer | None = None
        self._waiting: Waiting | None = None
        self._written: list[WrittenFrame] = []

    def draw_all(self) -> Written:
        """Return the file and what there is to tell of it."""
        inertia, scores, n_iter = 0.0, 0.0, 0
        palette = np.zeros((0, 3), np.uint8)
        for shot in read_shots(self._animation, self._options.background):
            colors = self._shared or fit_frame(shot, shot.packed != self._source, self._options)
            n_iter = max(n_iter, colors.n_iter)
            if len(colors.palette) > len(palette):
                palette = colors.palette
            seen = unpack_colors(self._draw(shot, colors))
            inertia += shot.n_frames * squared_error(shot.pixels, seen)
            if self._options.score:
                pair = Picture(_without_alpha(shot.pixels)), Picture(_without_alpha(seen))
                scores += shot.n_frames * score_pictures(*pair)
        self._flush()
        data = b"" if self._writer is None else self._writer.finish()
        if self._options.safety.verify:
            check_film(data, self._format, self._written, self._animation.loop)
        return Written(
            palette,
            inertia,
            n_iter,
            len(data),
            data,
            score=scores / len(self._animation) if self._options.score else None,
            n_frames=len(self._written),
        )

    def _draw(self, shot: Shot, colors: FrameColors) -> Packed:
        """Write what a frame changes; return what is seen then, (H, W)."""
        is_first = self._writer is None
        steady = self._find_steady(colors)
        if self._writer is None:
            self._writer = self._make_writer(colors.palette)
        labels, seen = self._label(shot, colors, steady)
        place = whole(seen.shape) if is_first else bounds(seen != self._canvas)
        place, disposal = self._dispose(shot, place, is_first=is_first)
        if place is None and self._prolong(shot.duration):
            return seen
        place = place or NOTHING
        drawing = self._cut(place, labels, seen, colors)
        data: Any = self._writer.encode(drawing)
        if isinstance(self._writer, GifWriter) and steady is not None:
            known = shot.pixels, self._canvas, colors.palette, labels, place
            smaller, shown = self._writer.encode_lossy(drawing, steady.weigh(*known))
            if len(smaller) < len(data):  # mostly, but not where little is allowed
                data, is_held = smaller, shown == colors.transparent
                labels[place.slices] = np.where(is_held, self._labels[place.slices], shown)
                drawn = colors.packed[shown]
                seen[place.slices] = np.where(is_held, self._canvas[place.slices], drawn)
        self._flush()
        # Where frames are seen through, each has the mark: Pillow takes later ones for opaque else.
        is_marked = steady is not None or not colors.is_opaque or (drawing.kinds != DRAWN).any()
        mark = drawing.transparent if is_marked else None
        shown_digest = digest(seen) if self._options.safety.verify else b""
        self._waiting = Waiting(data, shot.duration, disposal, mark, shown_digest)
        self._advance(shot, labels, seen, place, disposal)
        return seen

    def _find_steady(self, colors: FrameColors) -> Steady | None:
        """Return what tells where errors are hardly seen, if any are to be made.

        The default makes none where the palette has all colors: drawings stay as they are.
        """
        lossy = self._options.dithering.lossy
        return None if lossy <= FILE_LOSSY * colors.is_exact else Steady(lossy)

    def _label(
        self, shot: Shot, colors: FrameColors, steady: Steady | None
    ) -> tuple[UInt8Array, Packed]:
        """Return the labels (H, W) of a frame, and what is seen of it.

        What the source does not change stays as it is seen, whatever dithering would make of it;
        with errors allowed, what changes little does so as well.
        """
        rows = drop_alpha(shot.pixels) if colors.is_opaque else shot.pixels
        labels, _ = colors.labeler.label(as_rows(rows))
        labels = labels + np.uint8(colors.shift)
        stays = shot.packed == self._source
        if steady is not None:
            seen = colors.packed[labels]
            stays |= steady.find(shot.pixels, self._canvas, seen)
        if self._shared is not None:
            labels = np.where(stays & (self._canvas != 0), self._labels, labels)
        seen = colors.packed[labels]
        if colors.transparent is not None or self._format == WEBP:
            seen[stays] = self._canvas[stays]
        if colors.transparent is not None:
            labels[seen == 0] = colors.transparent
        return labels, seen

    def _dispose(
        self, shot: Shot, place: Rectangle | None, *, is_first: bool
    ) -> tuple[Rectangle | None, int]:
        """Return what is drawn of a frame, and what becomes of it before the next one."""
        if self._format != GIF:
            return (align(place) if place and self._format == WEBP else place), KEEP
        cleared = bounds(clearing(shot.packed, shot.following))
        before = None if is_first else self._source
        around = join(place, cleared)
        disposal = choose_disposal(before, shot.packed, shot.following, around)
        return (around if disposal == BACKGROUND else place), disposal

    def _cut(
        self, place: Rectangle, labels: UInt8Array, seen: Packed, colors: FrameColors
    ) -> Drawing:
        """Return a rectangle of a frame, and which of its pixels are seen already."""
        own, shown = np.ascontiguousarray(labels[place.slices]), seen[place.slices]
        kinds = np.zeros(own.shape, np.uint8)
        if colors.transparent is not None or self._format == WEBP:
            is_held: Mask = shown == self._canvas[place.slices]
            kinds[is_held] = MAY_HOLD
            kinds[is_held & ((colors.packed[own] != shown) | (shown == 0))] = MUST_HOLD
        is_over = bool((shown[kinds == DRAWN] >> 24 == OPAQUE).all())
        return Drawing(place, own, kinds, shown, colors.palette, colors.transparent, is_over)

    def _advance(
        self, shot: Shot, labels: UInt8Array, seen: Packed, place: Rectangle, disposal: int
    ) -> None:
        """Go on to what is seen before the next frame."""
        if disposal == PREVIOUS:
            return
        self._canvas, self._labels, self._source = seen.copy(), labels, shot.packed.copy()
        if disposal == BACKGROUND:
            for array in (self._canvas, self._source):
                array[place.slices] = 0

    def _prolong(self, duration: float) -> bool:
        """Show the frame before for longer, if it stays and players go by durations so short."""
        last = self._waiting
        if last is None or last.disposal != KEEP or not can_merge(last.duration, duration):
            return False
        self._waiting = replace(last, duration=last.duration + duration)
        return True

    def _flush(self) -> None:
        """Write the frame that waits."""
        last, self._waiting = self._waiting, None
        if last is not None and self._writer is not None:
            self._writer.write(last.data, last.duration, last.disposal, last.mark)
            self._written.append(WrittenFrame(last.digest, last.duration))

    def _make_writer(self, palette: UInt8Array) -> Writer:
        options, animation = self._options, self._animation
        if self._format == GIF:
            return GifWriter(animation.size, animation.loop, palette)
        attached, optimize = animation.attached, bool(options.output.optimize)
        if self._format == WEBP:
            return WebpWriter(animation.size, animation.loop, attached=attached, optimize=optimize)
        return ApngWriter(
            animation.size,
            animation.loop,
            palette,
            attached=attached,
            optimize=optimize,
            bit_depth=options.output.bit_depth,
        )


def _without_alpha(pixels: UInt8Array) -> UInt8Array:
    """Return a frame without its alpha where that is opaque."""
    return drop_alpha(pixels) if (pixels[..., 3] == OPAQUE).all() else as_rows(pixels)
