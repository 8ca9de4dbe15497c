"""The one way of every image: read its rows, count colors, fit a palette, label pixels, write."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from fastkq import kernels
from fastkq.colors.histogram import (
    ColorHistogram,
    histogram_of_array,
    histogram_of_blocks,
)
from fastkq.colors.masking import mask_colors
from fastkq.colors.pixels import OPAQUE, has_alpha
from fastkq.colors.protect import solid_counts
from fastkq.colors.sampling import sample_pixels, sample_step
from fastkq.colors.weights import check_weights, weigh_colors
from fastkq.engine.fit import apply_palette, fit_histogram, lock_lost_colors, search_palette
from fastkq.engine.model import Fit, FitOptions
from fastkq.engine.sample import fit_sample
from fastkq.files import rows as blocks
from fastkq.files.formats import GIF, PNG, check_attached, check_shape
from fastkq.files.reading import KEEP, SRGB, ReadOptions
from fastkq.files.rows import Source
from fastkq.files.source import (
    bleed_source,
    convert_palette,
    flatten_source,
    smooth_paper,
)
from fastkq.files.verify import check_bytes, checker_of
from fastkq.files.write import Nowhere, write_file
from fastkq.loading import open_while_kernels_load
from fastkq.look import find_clearest, find_lossiest
from fastkq.options import BLACK, BLEED, Options
from fastkq.paint.dither import MOST_LOSSY
from fastkq.paint.hidden import HiddenLabeler, count_hidden, fit_hidden
from fastkq.paint.labels import Labeler
from fastkq.result import QuantizeResult, Written, write_blocks
from fastkq.score import check_scorable, score_labels
from fastkq.types import Array, ImageSource, PathOrFile, UInt8Array

# A sample with fewer colors is of a drawing or a screen: its rare colors matter, and all of it is
# counted and labeled in little time.
FEW_COLORS = 4096


def open_image(image: ImageSource, options: Options) -> Source:
    """Open an image of any kind, while the kernels are loaded, with what comes before its colors.

    That is a background that it is laid over, paper that gets one color, and transparent pixels
    that get those of their neighbours.
    """
    format = options.output.format
    source = open_while_kernels_load(image, reading_for(options))
    check_shape(source.shape, format)
    check_attached(source.attached, format)
    if options.score or options.min_score is not None:
        check_scorable(source)
    if options.min_score is not None and _is_streamed(source, options):
        raise ValueError(
            f"image has {source.n_pixels / 1e6:.0f} MP, and min_score is given; a PNG of up to "
            f"{blocks.LARGE_PIXELS / 1e6:.0f} MP is allowed"
        )
    if options.background is not None:
        source = flatten_source(source, options.background)
    if options.paper:
        source = smooth_paper(source)
    return bleed_source(source) if options.transparent == BLEED else source


def reading_for(options: Options) -> ReadOptions:
    """Return how files are read: in sRGB for a GIF, which has no place for a profile."""
    reading = options.reading
    if options.output.format == GIF and reading.icc == KEEP:
        return replace(reading, icc=SRGB)
    return reading


def _cores_for(options: Options) -> AbstractContextManager[None]:
    """Return what keeps Numba's threads off the cores, before and while an image is dithered."""
    return kernels.threads.numba_rests(bool(options.dithering))


def quantize_source(source: Source, options: Options) -> QuantizeResult:
    """Count, fit, label, and collect the labels."""
    result = collect_look(source, find_fit(source, options), options)
    if not options.score or result.score is not None:
        return result
    return replace(result, score=score_labels(source, result.labels, result.palette))


def compress_source(
    source: Source,
    options: Options,
    target: PathOrFile | None = None,
    *,
    exclusive: bool = False,
    most: int | None = None,
) -> Written:
    """Count, fit, label, and write the labels as they come; to memory where there is no target.

    With `exclusive`, a target that exists is an error. A new one is no more readable than its
    source. No path is written with more than `most` bytes; memory and file objects have them.
    """
    if _is_streamed(source, options):
        fit = find_fit(source, options, lambda fit: _stream(source, fit, options, Nowhere())[0])
        buffer = io.BytesIO()
        file = buffer if target is None else target
        is_kept = options.score or options.safety.verify
        labels = np.empty(source.shape[:2], np.uint8) if is_kept else None
        n_bytes, inertia = _stream(
            source, fit, options, file, exclusive=exclusive, most=most, labels=labels
        )
        if labels is not None and options.safety.verify and target is None:
            check_bytes(buffer.getvalue(), labels, fit.palette)
        return Written(
            fit.palette,
            inertia,
            fit.n_iter,
            n_bytes,
            buffer.getvalue(),
            fits=most is None or n_bytes <= most,
            score=score_labels(source, labels, fit.palette)
            if labels is not None and options.score
            else None,
        )
    fit, encoded = _encode_fit(source, options)
    data, score, labels = encoded.data, encoded.score, encoded.labels
    if labels is not None and options.score and score is None:
        score = score_labels(source, labels, fit.palette)
    fits = most is None or len(data) <= most
    if labels is not None and options.safety.verify and fits:
        check_bytes(data, labels, fit.palette)
    if target is not None and (fits or not isinstance(target, (str, os.PathLike))):
        write_file(target, data, like=source.path, exclusive=exclusive, safety=options.safety)
    return Written(
        fit.palette,
        encoded.inertia,
        fit.n_iter,
        len(data),
        data if target is None else b"",
        fits=fits,
        score=score,
    )


class _Encoded(NamedTuple):
    """A file of a fit; with labels only where they are still to be scored, or compared."""

    data: bytes
    inertia: float
    score: float | None
    labels: UInt8Array | None


def _encode_fit(source: Source, options: Options) -> tuple[Fit, _Encoded]:
    """Count, fit, label and encode, as a target asks for it if there is one."""

    def encode(fit: Fit, options: Options) -> _Encoded:
        result = collect_look(source, fit, options)
        output = options.output
        data = result.encode(
            format=output.format, optimize=output.optimize, bit_depth=output.bit_depth
        )
        is_scored = options.score and result.score is None
        labels = result.labels if is_scored or options.safety.verify else None
        return _Encoded(data, result.inertia, result.score, labels)

    target = options.target
    if target is not None and target.max_bytes is not None and options.is_clearest:
        fit = find_fit(source, replace(options, target=target.without_bytes()))

        def encode_lossy(lossy: float) -> tuple[_Encoded, int]:
            encoded = encode(fit, options.with_lossy(lossy))
            return encoded, len(encoded.data)

        clearest = find_clearest(encode_lossy, target.max_bytes)
        if clearest is not None:
            return fit, clearest
        options = options.with_lossy(MOST_LOSSY)  # and fewer colors
    tried: dict[int, _Encoded] = {}  # by the number of colors

    def count_bytes(fit: Fit) -> int:
        tried[len(fit.palette)] = encode(fit, options)
        return len(tried[len(fit.palette)].data)

    fit = find_fit(source, options, count_bytes)
    if len(fit.palette) not in tried:
        count_bytes(fit)
    return fit, tried[len(fit.palette)]


def count_source(source: Source) -> ColorHistogram:
    """Count the colors of an image."""
    return histogram_of_blocks(source, source.shape)


def find_fit(
    source: Source,
    options: Options,
    count_bytes: Callable[[Fit], int] | None = None,
    histogram: ColorHistogram | None = None,
) -> Fit:
    """Find the palette of an image: given, fitted, or searched for.

    Parameters
    ----------
    source, options
    count_bytes : callable, optional
        Tells the size of the file that a fit leads to, for a target that bounds it.
    histogram : ColorHistogram, optional
        The colors of the image, where they are counted already.
    """
    with _cores_for(options):
        return _find_fit(source, options, count_bytes, histogram)


def _find_fit(
    source: Source,
    options: Options,
    count_bytes: Callable[[Fit], int] | None,
    histogram: ColorHistogram | None,
) -> Fit:
    sample = _take_sample(source, options)
    if sample is not None:
        return fit_sample(sample, source.n_pixels, options.fit)
    if histogram is None:
        histogram = count_source(source)
    if options.palette is not None:
        palette = options.palette
        if options.palette_is_srgb:
            palette = convert_palette(palette, source)
        return apply_palette(histogram, palette)
    fit = partial(_fit_counted, histogram, *look_at_places(source, histogram, options))
    if options.transparent != BLACK and histogram.n_transparent:
        fit = partial(fit_hidden, count_hidden(source, source.shape), fit)
    if options.target is None:
        return fit(options.fit)
    return search_palette(
        fit,
        options.fit,
        options.target,
        n_distinct=len(histogram),
        n_pixels=source.n_pixels,
        count_bytes=count_bytes or (lambda fit: 0),
    )


def collect(source: Source, fit: Fit, options: Options) -> QuantizeResult:
    """Label all pixels of an image."""
    labeler = _make_labeler(source, fit, options)
    if source.array is not None:
        with _cores_for(options):
            labels, inertia = labeler.label(source.array)
    else:
        labels, inertia, first = np.empty(source.shape[:2], np.uint8), 0.0, 0
        for part, error in labeler.label_blocks(source):
            labels[first : first + len(part)] = part
            inertia, first = inertia + error, first + len(part)
    has_grays_only = bool((fit.palette[:, :3] == fit.palette[:, :1]).all())
    gray = source.is_gray and options.palette is None and has_grays_only
    return QuantizeResult(
        palette=fit.palette,
        labels=labels,
        inertia=labeler.base_error + inertia,
        n_iter=fit.n_iter,
        is_gray=gray,
        attached=source.attached,
        n_ordered=None if options.palette is not None else len(options.fit.locked),
    )


def collect_look(source: Source, fit: Fit, options: Options) -> QuantizeResult:
    """Label all pixels of an image; with `min_score`, as lossily as that allows, and scored."""
    if options.min_score is None:
        return collect(source, fit, options)

    def label(lossy: float) -> tuple[QuantizeResult, float]:
        result = collect(source, fit, options.with_lossy(lossy))
        score = score_labels(source, result.labels, result.palette)
        return replace(result, score=score), score

    return find_lossiest(label, options.min_score)


def _make_labeler(source: Source, fit: Fit, options: Options) -> Labeler | HiddenLabeler:
    with _cores_for(options):
        if fit.hidden is None:
            return Labeler(fit, options.dithering, source.n_channels)
        labeler = Labeler(fit.hidden.visible, options.dithering, source.n_channels)
        return HiddenLabeler(fit.hidden, labeler)


def _is_streamed(source: Source, options: Options) -> bool:
    """Return whether an image is written row by row: so it has the same bytes from any source."""
    return options.output.format == PNG and source.n_pixels > blocks.LARGE_PIXELS


def _stream(
    source: Source,
    fit: Fit,
    options: Options,
    target: PathOrFile,
    *,
    exclusive: bool = False,
    most: int | None = None,
    labels: UInt8Array | None = None,
) -> tuple[int, float]:
    """Label an image and write it, and fill `labels` (H, W); return the bytes and the inertia."""
    labeler = _make_labeler(source, fit, options)
    errors: list[float] = []

    def label() -> Iterator[UInt8Array]:
        first = 0
        for part, error in labeler.label_blocks(source):
            errors.append(error)
            if labels is not None:
                labels[first : first + len(part)] = part
            first += len(part)
            yield part

    shape = (source.shape[0], source.shape[1])
    n_bytes = write_blocks(
        target,
        shape,
        label(),
        fit.palette,
        source.attached,
        options.output.bit_depth,
        like=source.path,
        exclusive=exclusive,
        most=most,
        safety=options.safety,
        check=checker_of(labels if options.safety.verify else None, fit.palette),
    )
    return n_bytes, labeler.base_error + sum(errors)


def _take_sample(source: Source, options: Options) -> ColorHistogram | None:
    """Return the histogram of a sample of an image, or None if it should be taken whole."""
    if options.fit.effort != "fast" or options.needs_places or options.palette is not None:
        return None
    # The cubes that get a label each lie close together in sRGB only; a target needs the error.
    if options.fit.color_space != "srgb" or options.target is not None or len(options.fit.locked):
        return None
    # Of large images, which come by blocks, writing takes most of the time: no sample.
    array = source.array
    if array is None or array.ndim == 2 or has_alpha(array):
        return None
    if sample_step(source.n_pixels) == 1 or source.n_pixels > blocks.LARGE_PIXELS:
        return None
    histogram = histogram_of_array(sample_pixels(array))
    return histogram if len(histogram) > FEW_COLORS else None


def look_at_places(
    source: Source, histogram: ColorHistogram, options: Options
) -> tuple[ColorHistogram, Array | None]:
    """Return the colors as the pixels' weights count them, and of `protect`, the solid ones."""
    weights = None
    if options.weights is not None:
        weights = check_weights(options.weights, source.shape)
    weighted = histogram if weights is None else weigh_colors(histogram, source, weights)
    if options.masking:
        weighted = mask_colors(histogram, source)
    solid = solid_counts(source, histogram.codes, weights) if options.fit.protect else None
    return weighted, solid


def _fit_counted(
    histogram: ColorHistogram,
    weighted: ColorHistogram,
    solid: Array | None,
    options: FitOptions,
) -> Fit:
    """Find the palette of an image whose colors were counted."""
    if len(histogram) <= options.n_colors:
        fit = fit_histogram(histogram, options)
        if fit.inertia == 0:  # its own colors, whatever the pixels weigh
            return fit
    if solid is not None:
        options = lock_lost_colors(histogram, weighted, solid, options)
    fit = fit_histogram(weighted, options)
    if weighted is histogram:
        return fit
    palette = fit.palette
    if palette.shape[1] == 3 and not histogram.is_opaque:
        palette = np.pad(palette, ((0, 0), (0, 1)), constant_values=OPAQUE)
    return apply_palette(histogram, palette, options.color_space, fit.n_iter)
