"""The way of an animation: count the colors of all frames, fit a palette, draw frame upon frame.

The stages are those of one image: histograms of frames add up, as those of blocks of rows do, and
each frame is labeled as a picture of its own. What is new is that a frame is drawn upon what is
seen already, so that only what changes is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from fastkq.colors.histogram import histogram_of_array, histogram_of_blocks
from fastkq.colors.metrics import squared_error
from fastkq.colors.pixels import OPAQUE, as_rows, drop_alpha, flatten, with_alpha
from fastkq.colors.ssimulacra2 import Picture, check_sizes, score_pictures
from fastkq.engine.fit import apply_palette, fit_histogram, search_palette
from fastkq.engine.model import Fit
from fastkq.files.animations import open_animation
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
    pack_colors,
    unpack_colors,
    whole,
)
from fastkq.files.formats import GIF, PNG, WEBP, check_shape
from fastkq.files.frames import Animation
from fastkq.files.gif_writer import GifWriter, check_opaque_or_clear
from fastkq.files.rows import Source
from fastkq.files.source import read_once
from fastkq.files.timing import can_merge
from fastkq.files.webp_writer import WebpWriter
from fastkq.files.write import write_file
from fastkq.options import BLACK, Options
from fastkq.paint.labels import Labeler
from fastkq.pipeline import compress_source, open_image
from fastkq.result import Written
from fastkq.types import MAX_COLORS, ImageSource, PathOrFile, UInt8Array

Writer: TypeAlias = "GifWriter | ApngWriter | WebpWriter"


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame, and what comes after it.

    Attributes
    ----------
    pixels : (H, W, 4) uint8
    packed : (H, W) uint32
    duration : float, in ms
    following : (H, W) uint32, the next frame; the first one again behind the last
    """

    pixels: UInt8Array
    packed: Packed
    duration: float
    following: Packed


@dataclass(frozen=True, eq=False)
class Colors:
    """What a frame is drawn with.

    Attributes
    ----------
    labeler : Labeler
    is_opaque : bool, whether it labels opaque pixels only
    palette : (K, 3) or (K, 4) uint8, as it is written
    packed : (K,) uint32, the same
    shift : int, what labels are more than those of the labeler
    transparent : int or None, the entry that shows what was there before
    n_iter : int, of K-means
    """

    labeler: Labeler
    is_opaque: bool
    palette: UInt8Array
    packed: Packed
    shift: int
    transparent: int | None
    n_iter: int


def check_animation(options: Options, animation: Animation) -> None:
    """Raise ValueError for options that an animation cannot follow."""
    given = {
        "weights": options.weights is not None,
        "protect": options.fit.protect,
        "paper": options.paper,
        "transparent": options.transparent != BLACK,
        "min_score": options.min_score is not None,
        "max_bytes": options.target is not None and options.target.max_bytes is not None,
        "optimize='oxipng'": isinstance(options.output.optimize, str),
    }
    name = animation.origin.name
    for option, is_given in given.items():
        if is_given:
            raise ValueError(
                f"{name}: is an animation of {len(animation)} frames, and {option} is for one "
                "picture; frame=0 takes the first frame"
            )
    if options.frame_palettes:
        if options.output.format == PNG:
            raise ValueError(
                f"{name}: frame_palettes is given, and a png has one palette for all frames; gif "
                "and webp are allowed"
            )
        if options.palette is not None or options.target is not None:
            other = "palette" if options.palette is not None else "a target"
            raise ValueError(f"frame_palettes is given, and {other}; one of the two is allowed")
    check_shape(animation.shape[1:], options.output.format)
    if options.score:
        height, width = animation.shape[1:3]
        check_sizes((height, width), (height, width))


def compress_animation(
    animation: Animation,
    options: Options,
    target: PathOrFile | None = None,
    *,
    exclusive: bool = False,
    most: int | None = None,
) -> Written:
    """Count, fit, label and write an animation; see `pipeline.compress_source`."""
    check_animation(options, animation)
    drawn = _Painter(animation, options).draw_all()
    data = drawn.data
    fits = most is None or len(data) <= most
    if target is not None and (fits or not isinstance(target, (str, os.PathLike))):
        write_file(target, data, like=animation.origin.path, exclusive=exclusive)
    return replace(drawn, data=data if target is None else b"", fits=fits)


def open_any(image: ImageSource | Animation, options: Options) -> Source | Animation:
    """Open an animation whose frames are all wanted, or an image."""
    if options.frame is None:
        image = image if isinstance(image, Animation) else read_once(image)
        animation = open_animation(image)
        if animation is not None:
            return animation
    return open_image(image, options)


def compress_any(
    source: Source | Animation,
    options: Options,
    target: PathOrFile | None = None,
    *,
    exclusive: bool = False,
    most: int | None = None,
) -> Written:
    """Write what `open_any` gave; see `pipeline.compress_source`."""
    compress = compress_animation if isinstance(source, Animation) else compress_source
    return compress(source, options, target, exclusive=exclusive, most=most)


def read_frames(animation: Animation, options: Options) -> Iterator[UInt8Array]:
    """Yield the frames (H, W, 4) of an animation, laid over a background if there is one."""
    for frame in animation:
        if options.background is not None and frame.shape[2:] in ((2,), (4,)):
            yield with_alpha(flatten(frame, options.background))
        else:
            yield with_alpha(frame)


def count_animation(animation: Animation, options: Options):
    """Count the colors of all frames together."""
    n_frames, height, width = animation.shape[:3]
    return histogram_of_blocks(read_frames(animation, options), (n_frames * height, width, 4))


class _Painter:
    """Draws the frames of an animation, each upon what is seen before it."""

    def __init__(self, animation: Animation, options: Options) -> None:
        self._animation, self._options = animation, options
        self._format = options.output.format
        height, width = animation.shape[1:3]
        # What is seen before a frame: its colors, their labels, and the source's own.
        self._canvas = np.zeros((height, width), np.uint32)
        self._labels = np.zeros((height, width), np.uint8)
        self._source = np.zeros((height, width), np.uint32)
        self._shared = None if options.frame_palettes else self._fit_shared()

    def draw_all(self) -> Written:
        """Return the file and what there is to tell of it."""
        writer: Writer | None = None
        waiting: tuple[object, float, int, int | None] | None = None
        inertia, scores, n_frames, n_iter = 0.0, [], 0, 0
        palette = np.zeros((0, 3), np.uint8)
        for number, shot in enumerate(self._shots()):
            colors = self._shared or self._fit_frame(shot)
            n_iter = max(n_iter, colors.n_iter)
            if len(colors.palette) > len(palette):
                palette = colors.palette
            if writer is None:
                writer = self._make_writer(colors.palette)
            labels, seen = self._label(shot, colors)
            inertia += squared_error(shot.pixels, unpack_colors(seen))
            if self._options.score:
                pair = Picture(_shown(shot.pixels)), Picture(_shown(unpack_colors(seen)))
                scores.append(score_pictures(*pair))
            place = bounds(seen != self._canvas) if number else whole(seen.shape)
            place, disposal = self._dispose(shot, place, is_first=number == 0)
            if place is None and waiting is not None:
                data, duration, before, mark = waiting
                if before == KEEP and can_merge(duration, shot.duration):
                    waiting = data, duration + shot.duration, before, mark
                    continue
            drawing = self._cut(place or Rectangle(0, 0, 1, 1), labels, seen, colors)
            if waiting is not None:
                writer.write(*waiting)
            mark = drawing.transparent if (drawing.kinds != DRAWN).any() else None
            waiting = writer.encode(drawing), shot.duration, disposal, mark
            n_frames += 1
            self._advance(shot, labels, seen, drawing.place, disposal)
        writer.write(*waiting)
        data = writer.finish()
        return Written(
            palette,
            inertia,
            n_iter,
            len(data),
            data,
            score=float(np.mean(scores)) if scores else None,
            n_frames=n_frames,
        )

    def _shots(self) -> Iterator[Shot]:
        """Yield the frames, equal ones that follow each other as one, with the next one each."""
        first: Packed | None = None
        waiting: tuple[UInt8Array, Packed, float] | None = None
        frames = read_frames(self._animation, self._options)
        for pixels, duration in zip(frames, self._animation.durations, strict=True):
            packed = pack_colors(pixels)
            first = packed if first is None else first
            if waiting is not None:
                if can_merge(waiting[2], duration) and np.array_equal(packed, waiting[1]):
                    waiting = (*waiting[:2], waiting[2] + duration)
                    continue
                yield Shot(*waiting, following=packed)
            waiting = pixels, packed, duration
        # Some players draw the first frame upon the last one.
        is_clear = bool((first == 0).any())
        yield Shot(*waiting, following=first if is_clear else waiting[1])

    def _fit_shared(self) -> Colors:
        """Return the palette of all frames."""
        options = self._options
        histogram = count_animation(self._animation, options)
        is_held = len(self._animation) > 1 or histogram.n_transparent > 0
        if options.palette is not None:
            fit = apply_palette(histogram, options.palette)
            return self._mix(fit, histogram.is_opaque, is_held=is_held, is_ordered=True)
        fit_options = options.fit
        n_colors = fit_options.n_colors
        is_marked = self._format != WEBP and len(self._animation) > 1 and n_colors > 2
        if is_marked and not histogram.n_transparent and len(histogram) > n_colors:
            # One entry is given up for a transparent one, that holds pixels.
            fit_options = replace(fit_options, n_colors=n_colors - 1)
        if options.target is None:
            fit = fit_histogram(histogram, fit_options)
        else:
            fit = search_palette(
                lambda given: fit_histogram(histogram, given),
                fit_options,
                options.target,
                n_distinct=len(histogram),
                n_pixels=histogram.n_pixels,
                count_bytes=lambda fit: 0,
            )
        is_ordered = len(options.fit.locked) > 0
        return self._mix(fit, histogram.is_opaque, is_held=is_held, is_ordered=is_ordered)

    def _fit_frame(self, shot: Shot) -> Colors:
        """Return a palette of what changes in a frame."""
        is_new = shot.packed != self._source
        changed = shot.pixels[is_new]
        if len(changed) == 0:
            changed = shot.pixels[:1, 0]
        opaque = bool((changed[:, 3] == OPAQUE).all())
        rows = as_rows(changed[None, :, :3] if opaque else changed[None])
        histogram = histogram_of_array(rows)
        options = self._options.fit
        if self._format == GIF and not histogram.n_transparent and not is_new.all():
            most = options.n_colors - 1 if len(histogram) > options.n_colors > 2 else MAX_COLORS - 1
            options = replace(options, n_colors=min(options.n_colors, most))
        fit = fit_histogram(histogram, options)
        is_held, is_ordered = not is_new.all(), len(options.locked) > 0
        return self._mix(fit, opaque, is_held=is_held, is_ordered=is_ordered)

    def _mix(self, fit: Fit, is_opaque: bool, *, is_held: bool, is_ordered: bool) -> Colors:
        """Return colors with a transparent entry, if there is room for one.

        It comes first, where a PNG needs a single alpha for it, unless the order is given.
        """
        labeler = Labeler(fit, self._options.dithering, 3 if is_opaque else 4)
        palette, shift = fit.palette, 0
        if self._format == GIF:
            check_opaque_or_clear(palette)
        alphas = palette[:, 3] if palette.shape[1] == 4 else np.full(len(palette), OPAQUE)
        clear = np.flatnonzero(alphas == 0)
        transparent = int(clear[0]) if len(clear) else None
        has_room = self._format != WEBP and len(palette) < MAX_COLORS
        if transparent is None and has_room and is_held:
            entry = np.zeros((1, 4), np.uint8)
            entries = np.column_stack([palette[:, :3], alphas]).astype(np.uint8)
            palette = np.concatenate([entries, entry] if is_ordered else [entry, entries])
            transparent = len(palette) - 1 if is_ordered else 0
            shift = 0 if is_ordered else 1
        packed = pack_colors(palette)
        return Colors(labeler, is_opaque, palette, packed, shift, transparent, fit.n_iter)

    def _label(self, shot: Shot, colors: Colors) -> tuple[UInt8Array, Packed]:
        """Return the labels (H, W) of a frame, and what is seen of it.

        What the source does not change stays as it is seen.
        """
        rows = drop_alpha(shot.pixels) if colors.is_opaque else shot.pixels
        labels, _ = colors.labeler.label(as_rows(rows))
        labels = labels + np.uint8(colors.shift)
        stays = shot.packed == self._source
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
        disposal = choose_disposal(before, shot.packed, shot.following, join(place, cleared))
        return (join(place, cleared) if disposal == BACKGROUND else place), disposal

    def _cut(self, place: Rectangle, labels: UInt8Array, seen: Packed, colors: Colors) -> Drawing:
        """Return a rectangle of a frame, and which of its pixels are seen already."""
        own, shown = np.ascontiguousarray(labels[place.slices]), seen[place.slices]
        kinds = np.zeros(own.shape, np.uint8)
        if colors.transparent is not None or self._format == WEBP:
            is_held: Mask = shown == self._canvas[place.slices]
            kinds[is_held] = MAY_HOLD
            kinds[is_held & ((colors.packed[own] != shown) | (shown == 0))] = MUST_HOLD
        drawn = shown[kinds == DRAWN]
        is_over = bool((drawn >> 24 == OPAQUE).all())
        return Drawing(place, own, kinds, shown, colors.palette, colors.transparent, is_over)

    def _advance(
        self, shot: Shot, labels: UInt8Array, seen: Packed, place: Rectangle, disposal: int
    ) -> None:
        """Go on to what is seen before the next frame."""
        if disposal == PREVIOUS:
            return
        self._canvas, self._labels, self._source = seen, labels, shot.packed.copy()
        if disposal == BACKGROUND:
            for array in (self._canvas, self._source):
                array[place.slices] = 0

    def _make_writer(self, palette: UInt8Array) -> Writer:
        options, animation = self._options, self._animation
        shape = (animation.shape[1], animation.shape[2])
        if self._format == GIF:
            return GifWriter(shape, animation.loop, palette)
        profile, optimize = animation.origin.icc_profile, bool(options.output.optimize)
        if self._format == WEBP:
            return WebpWriter(shape, animation.loop, icc_profile=profile, optimize=optimize)
        return ApngWriter(
            shape, animation.loop, palette, icc_profile=profile, optimize=optimize
        )


def _shown(pixels: UInt8Array) -> UInt8Array:
    """Return a frame without its alpha where that is opaque."""
    return drop_alpha(pixels) if (pixels[..., 3] == OPAQUE).all() else as_rows(pixels)
