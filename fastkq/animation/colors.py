"""The palettes of an animation: one of all frames, or one a frame of what changes there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastkq.animation.shots import Shot, count_frames_together
from fastkq.colors.histogram import histogram_of_array
from fastkq.colors.pixels import OPAQUE, as_rows, drop_alpha
from fastkq.engine.fit import apply_palette, fit_histogram, search_palette
from fastkq.engine.model import Fit
from fastkq.files.deltas import Mask, Packed, pack_colors
from fastkq.files.formats import GIF, WEBP
from fastkq.files.frames import Animation
from fastkq.files.gif_blocks import check_opaque_or_clear
from fastkq.files.source import convert_palette
from fastkq.options import Options
from fastkq.paint.dither import Dithering
from fastkq.paint.labels import Labeler
from fastkq.types import MAX_COLORS, UInt8Array

FEWEST_TO_SHARE = 3  # of fewer colors, none is given up


@dataclass(frozen=True, eq=False)
class FrameColors:
    """What frames are drawn with.

    Attributes
    ----------
    labeler : Labeler
    is_opaque : bool, whether it labels opaque pixels only
    palette : (K, 3) or (K, 4) uint8, as it is written
    packed : (K,) uint32, the same
    shift : int, what labels are more than those of the labeler
    transparent : int or None, the entry that shows what was there before
    n_iter : int, of K-means
    is_exact : bool, whether the palette has all colors that it was fitted to
    """

    labeler: Labeler
    is_opaque: bool
    palette: UInt8Array
    packed: Packed
    shift: int
    transparent: int | None
    n_iter: int
    is_exact: bool


def fit_all_frames(animation: Animation, options: Options) -> FrameColors:
    """Return one palette for all frames."""
    histogram = count_frames_together(animation, options.background)
    is_held = len(animation) > 1 or histogram.n_transparent > 0
    given = options.fit
    is_marked = is_held and options.output.format != WEBP and not histogram.n_transparent
    if is_marked and len(histogram) > given.n_colors >= FEWEST_TO_SHARE:
        # One entry is given up for a transparent one, which holds pixels.
        given = replace(given, n_colors=max(given.n_colors - 1, len(given.locked)))
    if options.palette is not None:
        palette = options.palette
        if options.palette_is_srgb:
            palette = convert_palette(palette, animation)
        fit = apply_palette(histogram, palette)
    elif options.target is None:
        fit = fit_histogram(histogram, given)
    else:
        fit = search_palette(
            lambda trial: fit_histogram(histogram, trial),
            given,
            options.target,
            n_distinct=len(histogram),
            n_pixels=histogram.n_pixels,
            count_bytes=lambda fit: 0,
        )
    return _complete(fit, options, is_opaque=histogram.is_opaque, is_held=is_held)


def fit_frame(shot: Shot, is_new: Mask, options: Options) -> FrameColors:
    """Return a palette for what is new in a frame (H, W)."""
    pixels = shot.pixels[is_new] if is_new.any() else shot.pixels[:1, 0]
    is_opaque = bool((pixels[:, 3] == OPAQUE).all())
    histogram = histogram_of_array(as_rows(pixels[None, :, : 3 if is_opaque else 4]))
    given = options.fit
    is_held = not is_new.all() or options.dithering.lossy > 0
    if is_held and options.output.format == GIF and not histogram.n_transparent:
        most = MAX_COLORS - 1
        if len(histogram) > given.n_colors >= FEWEST_TO_SHARE:
            most = given.n_colors - 1
        given = replace(given, n_colors=max(min(given.n_colors, most), len(given.locked)))
    fit = fit_histogram(histogram, given)
    if fit.codes is not None and not is_new.all():
        # What is not new may be drawn all the same, as its nearest entry.
        rows = drop_alpha(shot.pixels) if is_opaque else shot.pixels
        every = apply_palette(histogram_of_array(as_rows(rows)), fit.palette, fit.space)
        fit = replace(fit, labels=every.labels, codes=every.codes)
    return _complete(fit, options, is_opaque=is_opaque, is_held=is_held)


def _complete(fit: Fit, options: Options, *, is_opaque: bool, is_held: bool) -> FrameColors:
    """Return colors with a transparent entry, where pixels are held and there is room for one.

    It comes first, where a PNG needs a single alpha for it, unless the order is given.
    """
    dithering, palette, shift = options.dithering, fit.palette, 0
    is_gif = options.output.format == GIF
    if is_gif:
        check_opaque_or_clear(palette)
        # The writer of GIFs chooses labels by their codes itself.
        dithering = Dithering(dithering.method, dithering.strength)
    labeler = Labeler(fit, dithering, 3 if is_opaque else 4)
    alphas = np.full(len(palette), OPAQUE, np.uint8)
    if palette.shape[1] == 4:
        alphas = palette[:, 3]
    clear = np.flatnonzero(alphas == 0)
    transparent = int(clear[0]) if len(clear) else None
    has_room = len(palette) < MAX_COLORS and options.output.format != WEBP
    if transparent is None and has_room and is_held:
        is_ordered = options.palette is not None or len(options.fit.locked) > 0
        entry, entries = np.zeros((1, 4), np.uint8), np.column_stack([palette[:, :3], alphas])
        palette = np.concatenate([entries, entry] if is_ordered else [entry, entries])
        transparent = len(palette) - 1 if is_ordered else 0
        shift = 0 if is_ordered else 1
    packed = pack_colors(palette)
    is_exact = fit.inertia == 0
    return FrameColors(
        labeler, is_opaque, palette, packed, shift, transparent, fit.n_iter, is_exact
    )
