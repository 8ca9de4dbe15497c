"""Compose the stages: read, count colors, seed, K-means, remap, save."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Unpack, cast

import numpy as np
from numpy.typing import ArrayLike

from fastkq.colors.alpha_image import AlphaImage
from fastkq.colors.histogram import ColorHistogram, histogram_of_array, histogram_of_blocks
from fastkq.colors.metrics import psnr_from_mse
from fastkq.engine import seeding
from fastkq.engine.alpha import AlphaColors
from fastkq.engine.cells import ColorCells
from fastkq.engine.dense import (
    DEFAULT_TOL,
    DensePoints,
    KMeansResult,
    _check_points,
    _check_weights,
    check_init,
)
from fastkq.engine.fit import Fit, apply_to_cells, fit_histogram, search_palette
from fastkq.engine.lloyd import MAX_RELAXATION, complete_centers, lloyd
from fastkq.engine.model import DEFAULT_MAX_ITER
from fastkq.files import rows as blocks
from fastkq.files.formats import PNG, check_shape, format_of
from fastkq.files.palettes import check_palette
from fastkq.files.read import InputImage, read_image, read_opaque_image, refuse_alpha
from fastkq.files.rows import RowArray, RowBlocks
from fastkq.files.source import open_blocks, read_whole
from fastkq.files.write import Nowhere, check_output, write_file
from fastkq.options import FitKeywords, Options, QuantizeKeywords, check_options
from fastkq.paint.dither import Ditherer, Dithering
from fastkq.paint.labels import (
    OPAQUE_ONLY,
    apply_alpha_labels,
    apply_labels,
    apply_table,
    dither_opaque,
    label_table,
)
from fastkq.pipeline import (
    AlphaFitter,
    OpaqueFitter,
    SampleFitter,
    load_kernels,
    make_fitter,
    sample_colors,
)
from fastkq.result import CompressReport, QuantizeResult, encode_image, write_blocks
from fastkq.types import MAX_COLORS, ImageSource, PathOrFile, QualityRange, UInt8Array
from fastkq.validate import check_integer, check_number

# Time in which most bad files are found out: their error need not wait for the kernels.
BAD_FILE_SECONDS = 0.02


def quantize(
    image: ImageSource,
    n_colors: int = MAX_COLORS,
    *,
    effort: str = "balanced",
    color_space: str = "srgb",
    init: str | ArrayLike = "wu",
    max_iter: int = DEFAULT_MAX_ITER,
    tol: float | None = None,
    random_state: int | np.random.Generator | None = 0,
    weights: ArrayLike | None = None,
    locked: ArrayLike | None = None,
    protect: bool = False,
    dither: str = "none",
    dither_strength: float = 1.0,
    quality: QualityRange | None = None,
    max_mse: float | None = None,
    min_psnr: float | None = None,
) -> QuantizeResult:
    """Replace the colors of an image by the few that represent it best.

    Exact K-means over all pixels (through their distinct colors), squared error in sRGB.

    Parameters
    ----------
    image : path, bytes, file object, PIL image or array
        (H, W) gray, (H, W, 2) gray + alpha, (H, W, 3) RGB or (H, W, 4) RGBA of uint8.
    n_colors : int
        1 to 256. The palette has exactly so many, or all the image's colors where it has fewer;
        the result is then lossless. With one of the last three options, the most that the palette
        may have.
    effort : {"fast", "balanced", "best"}
        "balanced" is exact K-means from the initial centers. "best" goes on from where that ends:
        it merges and splits clusters as long as that helps, for 1 to 5 % less error in about ten
        times the time. "fast" takes half the time for photos of over 2 MP, at 1 to 3 % more error:
        it fits the palette to a sample of the pixels, labels the colors of each 2x2x2 cube alike,
        and estimates `inertia` from the sample. Images of few colors, those of over 67 MP, K-means
        in another space than sRGB and palettes with a target stay exact ("balanced").
    color_space : {"srgb", "oklab"}
        Where distances are measured. "srgb" has the least squared error and the highest PSNR;
        "oklab" spends more colors where the eye tells them apart, and looks closer to the original.
    init : {"wu", "k-means++", "random"} or (n_colors, 3) array_like
        The initial centers: Wu's variance cut of the color cube (the fastest and best), greedy
        k-means++ over the cube's cells, random distinct pixels, or those given.
    max_iter : int
        At most so many iterations, 0 (the rounded initial centers) or more.
    tol : float, optional
        Stop when the squared distances of all centers to the means of their clusters add up to at
        most `tol` times the mean variance of a channel. 0: when no center moves. Default: 1e-5
        times n_colors.
    random_state : int, numpy.random.Generator or None
        Seed of the random choices of `init`; None takes a fresh one each time.
    weights : (H, W) array_like of real numbers, optional
        How much each pixel counts for the palette, 0 or more; only their ratios matter. Integers
        count as if each pixel came so often, others are rounded to 16 bits of the largest. Pixels
        that do not count get the nearest entry as well; `inertia`, `mse` and `psnr` are those of
        all pixels, unweighted.
    locked : (L, 3) array_like of uint8, optional
        Up to n_colors distinct colors that the palette must have exactly, used or not: its first
        entries, in their order. The others are fitted around them.
    protect : bool
        Whether patches of a color far from all of the palette, such as a red sign in a gray street,
        get entries of their own, at the price of some error elsewhere. Single pixels of such a
        color, as noise has them, do not.
        With this or `weights`, effort "fast" takes all pixels, as "balanced" does.
    dither : {"none", "diffusion", "ordered", "adaptive"}
        Mix palette entries, so that smooth gradients show no steps. "diffusion" passes each pixel's
        error on to its neighbours (Floyd and Steinberg). "adaptive" does so less where
        the image is flat or smooth: less noise there, and smaller files. "ordered" decides by a
        mask of blue noise: a pixel's entry depends on its color and place alone, so that it holds
        still from frame to frame. All compare colors in Oklab. `labels` are then not the nearest
        entries, and `inertia` is that of the dithered image.
    dither_strength : float
        0 (none) to 1.
    quality : (min, max), 0 to 100, optional
        As few colors as reach `max`, on a scale like that of pngquant (100 is lossless, 0 anything;
        see `fastkq.targets.quality_to_mse`). If not even `n_colors` reach it, so many, as long as
        they reach `min`.
    max_mse : float, optional
        As few colors as keep the squared error a pixel, summed over channels, to so much.
    min_psnr : float, 0 to 200, optional
        As few colors as reach so many dB. At most one of these three is allowed; they bound the
        error before dithering. The result is that of `n_colors` set to the number that was found:
        it reaches the target, one less does not. Some smaller number still might, since the error
        does not fall strictly with the number.

    Returns
    -------
    QuantizeResult
        The same for the same input and options, on any number of threads.

    Notes
    -----
    An image with transparent pixels gets a palette (K, 4), its transparent entries first. The
    squared error is then that over black and over white, halved: over an unknown background, colors
    are alike if they look alike on both. Opaque pixels take opaque entries. Fully transparent ones
    have one entry, (0, 0, 0, 0), whatever color was stored under them. Seeds are by k-means++
    unless `init` is "random", effort "fast" is "balanced", and `color_space` is without effect
    (where no pixel is between opaque and transparent: as for RGB, but for "fast"). An opaque image
    with an alpha channel gives what it gives without.

    Raises
    ------
    TargetNotReachedError
        Not even `n_colors` reach the target; it says what they do. A ValueError.
    ValueError, TypeError, OSError
        What is not such an image or option; the message says what came and what is allowed.

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    >>> result = fastkq.quantize(ramp, n_colors=4)
    >>> sorted(result.palette[:, 0].tolist()), result.labels.shape, round(result.psnr, 1)
    ([32, 96, 160, 224], (16, 16), 22.8)
    >>> len(fastkq.quantize(ramp, min_psnr=30).palette)
    10
    """
    options = check_options(
        n_colors,
        effort=effort,
        color_space=color_space,
        init=init,
        max_iter=max_iter,
        tol=tol,
        random_state=random_state,
        weights=weights,
        locked=locked,
        protect=protect,
        dither=dither,
        dither_strength=dither_strength,
        quality=quality,
        max_mse=max_mse,
        min_psnr=min_psnr,
    )
    return quantize_and_encode(image, options)[0]


def quantize_and_encode(
    image: ImageSource, options: Options
) -> tuple[QuantizeResult, bytes | None]:
    """Quantize an image; return its file as well if the target made it necessary to encode it."""
    source = _read_while_kernels_load(image)
    check_shape(source.array.shape, options.output.format)
    if options.palette is not None:
        if options.palette.shape[1] == 3:
            refuse_alpha(source, image, OPAQUE_ONLY)
        return _apply_palette(source, options.palette, options), None
    sample = sample_colors(source.array, options)
    if sample is not None:
        sampled = SampleFitter(source.array, sample)
        fit = sampled.fit(options)
        return _to_result(source, fit, *sampled.label(fit, options.dithering), options), None
    fitter = make_fitter(source.array)

    def finish(fit: Fit) -> QuantizeResult:
        return _to_result(source, fit, *fitter.label(fit, options.dithering), options)

    if options.target is None:
        return finish(fitter.fit(options)), None
    files: dict[int, bytes] = {}

    def count_bytes(fit: Fit) -> int:
        data = encode_image(finish(fit), options.output)
        files[len(fit.palette)] = data
        return len(data)

    fit = search_palette(
        lambda fit_options: fitter.fit(replace(options, fit=fit_options)),
        options.fit,
        options.target,
        n_distinct=fitter.n_distinct,
        n_pixels=fitter.n_pixels,
        count_bytes=count_bytes,
    )
    return finish(fit), files.get(len(fit.palette))


def fit_palette(
    image: ImageSource | ColorHistogram,
    n_colors: int = MAX_COLORS,
    **options: Unpack[FitKeywords],
) -> UInt8Array:
    """Find the palette that represents an image, or a histogram of several, best.

    Parameters
    ----------
    image : ColorHistogram or what `quantize` takes
    n_colors, effort, color_space, init, max_iter, tol, random_state, locked
        As in `quantize`; a histogram is taken as it is.
    weights, protect
        As in `quantize`; for an image only, since a histogram does not know where its pixels are.

    Returns
    -------
    (K, 3) uint8, or (K, 4) for an image with transparent pixels

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> dark, light = np.full((4, 4), 10, np.uint8), np.full((4, 4), 200, np.uint8)
    >>> both = fastkq.color_histogram(dark) + fastkq.color_histogram(light)
    >>> fastkq.fit_palette(both, n_colors=2).tolist()
    [[10, 10, 10], [200, 200, 200]]
    """
    checked = check_options(n_colors, **options)
    if isinstance(image, ColorHistogram):
        if checked.needs_places:
            name = "protect" if checked.weights is None else "weights"
            raise ValueError(f"image is a ColorHistogram; {name} needs an image, with its places")
        return fit_histogram(image, checked.fit).palette
    array = read_image(image).array
    sample = sample_colors(array, checked)
    fitter = make_fitter(array) if sample is None else SampleFitter(array, sample)
    return fitter.fit(checked).palette


def compress(
    source: str | os.PathLike[str] | RowArray,
    target: str | os.PathLike[str],
    n_colors: int = MAX_COLORS,
    *,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    **options: Unpack[QuantizeKeywords],
) -> CompressReport:
    """Quantize an image into an indexed PNG, a WebP or a GIF; one of any size, by blocks of rows.

    Parameters
    ----------
    source : path, or array_like with shape, dtype and slicing
        JPEG, PNG, WebP, TIFF, BMP or GIF; or what `quantize` takes as an array, such as a memory
        map or a Zarr array. Arrays and TIFF (with `fastkq[tiff]`) of over 67 MP must be opaque;
        they are read twice, by blocks of rows, and must not change meanwhile; the result is the
        same as of the whole image in memory. A WebP or GIF is encoded whole.
    target : path ending in .png, .webp or .gif
        Replaced in one step if it exists; it may not be the source. For the formats, see
        `QuantizeResult.save`.
    palette : (K, 3) or (K, 4) uint8 array_like, or path of a palette file, optional
        These colors, in their order, instead of those that represent the image best; the options
        that choose them are then without effect, or refused. For the files, see `remap`.
    optimize : bool or "oxipng"
        Take several times as long for a smaller file of the same pixels; not where the image is
        read by blocks. For "oxipng", see `QuantizeResult.save`.
    max_bytes : int, optional
        The largest size of the target. As many colors as fit: one more does not, or is more than
        `n_colors`, or than `quality`, `max_mse` or `min_psnr` ask for. Each trial encodes the
        image.
    n_colors, effort, color_space, init, max_iter, tol, random_state, weights, locked, protect, \
    dither, dither_strength, quality, max_mse, min_psnr
        As in `quantize`; weights and protect not for what is read by blocks.

    Raises
    ------
    TargetNotReachedError
        Not even `n_colors`, or as many as `max_bytes` has room for, reach what is asked for.
    ValueError, TypeError, OSError
        As `quantize`, and where the target cannot be written. Nothing is left behind in any case.

    Examples
    --------
    >>> import fastkq, numpy as np, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scan = np.lib.format.open_memmap(f"{folder}/scan.npy", "w+", np.uint8, (30, 40, 3))
    ...     scan[:, 20:] = 200
    ...     report = fastkq.compress(scan, os.path.join(folder, "scan.png"))
    >>> report.source, report.n_colors, report.mse
    ('memmap (30, 40, 3)', 2, 0.0)
    """
    start = time.perf_counter()
    is_path = isinstance(source, (str, os.PathLike))
    path = check_output(target, cast("str", source) if is_path else None)
    checked = check_options(n_colors, palette=palette, format=format_of(path), **options)
    rows = open_blocks(source)
    if rows is not None:
        check_shape(rows.shape, checked.output.format)
    is_large = rows is not None and rows.n_pixels > blocks.LARGE_PIXELS
    if rows is not None and is_large and checked.output.format == PNG:
        height, width = rows.shape[:2]
        fit, inertia, target_bytes = _compress_blocks(rows, path, checked)
        n_colors, n_iter = len(fit.palette), fit.n_iter
    else:
        is_whole = rows is None or is_path
        image = cast("ImageSource", source) if is_whole else read_whole(cast("RowBlocks", rows))
        result, data = quantize_and_encode(image, checked)
        if data is None:
            target_bytes = result.save(path, optimize=checked.output.optimize)
        else:
            write_file(path, data)
            target_bytes = len(data)
        height, width = result.labels.shape
        n_colors, inertia, n_iter = len(result.palette), result.inertia, result.n_iter
    mse = inertia / (height * width)
    return CompressReport(
        source=os.fspath(cast("str", source)) if rows is None else rows.name,
        target=os.fspath(target),
        source_bytes=os.path.getsize(cast("str", source)) if rows is None else rows.n_bytes,
        target_bytes=target_bytes,
        width=width,
        height=height,
        n_colors=n_colors,
        mse=mse,
        psnr=psnr_from_mse(mse),
        n_iter=n_iter,
        seconds=time.perf_counter() - start,
    )


def _compress_blocks(rows: RowBlocks, path: Path, options: Options) -> tuple[Fit, float, int]:
    """Quantize an image in two passes, and one for each trial of its size.

    Returns its palette, inertia and the bytes written.
    """
    if options.needs_places:
        raise ValueError(
            f"{rows.name}: has {rows.n_pixels} pixels and is read by blocks of rows; weights and "
            f"protect are for images of up to {blocks.LARGE_PIXELS}"
        )
    histogram = histogram_of_blocks(rows, rows.shape)
    write = partial(_write_fit, rows, histogram, options)
    if options.palette is not None:
        fit = apply_to_cells(ColorCells(histogram), options.palette)
    elif options.target is None:
        fit = fit_histogram(histogram, options.fit)
    else:
        fit = search_palette(
            partial(fit_histogram, histogram),
            options.fit,
            options.target,
            n_distinct=len(histogram),
            n_pixels=histogram.n_pixels,
            count_bytes=lambda fit: write(fit, Nowhere())[1],
        )
    return fit, *write(fit, path)


def _write_fit(
    rows: RowBlocks,
    histogram: ColorHistogram,
    options: Options,
    fit: Fit,
    target: PathOrFile,
) -> tuple[float, int]:
    """Label and write the pixels of an image block by block; return its inertia and the bytes."""
    table = label_table(histogram.codes, cast("UInt8Array", fit.labels))
    errors: list[int] = []

    def label_blocks() -> Iterator[UInt8Array]:
        if not options.dithering:
            yield from (apply_table(block, table) for block in rows)
            return
        ditherer = Ditherer(fit.palette, options.dithering)
        for labels, error in ditherer.dither_blocks(rows, lambda block: apply_table(block, table)):
            errors.append(error)
            yield labels

    n_bytes = write_blocks(target, rows.shape[:2], label_blocks(), fit.palette, rows.icc_profile)
    return float(sum(errors)) if options.dithering else fit.inertia, n_bytes


def _apply_palette(source: InputImage, palette: UInt8Array, options: Options) -> QuantizeResult:
    """Replace the colors of an image by those of a palette, which keeps its order."""
    fitter = AlphaFitter(source.array) if palette.shape[1] == 4 else OpaqueFitter(source.array)
    fit = fitter.apply(palette)
    result = _to_result(source, fit, *fitter.label(fit, options.dithering), options)
    # Its colors, whatever those of the image: not gray.
    return replace(result, is_gray=False, n_ordered=None)


def _to_result(
    source: InputImage, fit: Fit, labels: UInt8Array, inertia: float, options: Options
) -> QuantizeResult:
    array = source.array
    return QuantizeResult(
        palette=fit.palette,
        labels=labels,
        inertia=inertia,
        n_iter=fit.n_iter,
        is_gray=array.ndim == 2 or array.shape[2] == 2,
        icc_profile=source.icc_profile,
        n_ordered=len(options.fit.locked),
    )


def _read_while_kernels_load(image: ImageSource) -> InputImage:
    """Read an image; where a process has no kernels yet, load them meanwhile.

    Numba and the kernels take 0.7 s to load from the cache, a JPEG of 24 MP 0.4 s to decode,
    mostly without the interpreter's lock.
    """
    if isinstance(image, np.ndarray) or "fastkq.kernels.cells" in sys.modules:
        return read_image(image)
    from concurrent.futures import ThreadPoolExecutor, wait

    with ThreadPoolExecutor(max_workers=1) as pool:
        reading = pool.submit(read_image, image)
        wait([reading], timeout=BAD_FILE_SECONDS)
        if not (reading.done() and reading.exception()):
            load_kernels()
        return reading.result()


def remap(
    image: ImageSource,
    palette: ArrayLike | str | os.PathLike[str],
    *,
    dither: str = "none",
    dither_strength: float = 1.0,
) -> UInt8Array:
    """Label every pixel with its nearest palette entry, or dither.

    Parameters
    ----------
    image : path, bytes, file object, PIL image or array
        (H, W) gray, (H, W, 2) gray + alpha, (H, W, 3) RGB or (H, W, 4) RGBA of uint8.
    palette : (K, 3) or (K, 4) uint8 array_like, or path of a palette file
        1 to 256 colors. One with alpha is for any image; one without, for opaque images only.
        Files: .gpl (GIMP), .act (Photoshop), .hex, .json, or an image of so few colors; an indexed
        one's palette in its order.
    dither, dither_strength
        As in `quantize`.

    Returns
    -------
    (H, W) uint8
        Rows of the palette, which keeps its order; of equally near entries, the lowest. With alpha,
        near is what looks alike over black and white backgrounds, and opaque pixels take opaque
        entries if there are any; see `quantize`.

    Raises
    ------
    ValueError, TypeError, OSError
        What is not such an image or palette, or cannot be read.

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> image = np.array([[[9, 9, 9], [240, 240, 240], [90, 90, 90]]], np.uint8)
    >>> fastkq.remap(image, [[0, 0, 0], [255, 255, 255]]).tolist()
    [[0, 1, 0]]
    """
    colors, dithering = check_palette(palette), Dithering(dither, dither_strength)
    if colors.shape[1] == 4:
        pixels = AlphaImage(read_image(image).array)
        nearest = AlphaColors(pixels, with_transparent=True).assign(colors)
        labels = apply_alpha_labels(pixels, nearest)
        if dithering:
            dither_opaque(pixels, colors, labels, dithering)
        return labels
    array = read_opaque_image(image, OPAQUE_ONLY).array
    histogram = histogram_of_array(array)
    of_colors, _ = ColorCells(histogram).assign(colors)
    labels = apply_labels(array, histogram.codes, of_colors)
    if dithering:
        dithering.apply(array, colors, labels)
    return labels


def color_histogram(image: ImageSource) -> ColorHistogram:
    """Count the distinct colors of an image.

    Parameters
    ----------
    image : path, bytes, file object, PIL image or (H, W) or (H, W, 3) uint8 array
        Opaque. Gray is counted as R = G = B.

    Raises
    ------
    ValueError, TypeError, OSError
        What is not a readable, opaque 8-bit image.
    """
    return histogram_of_array(read_opaque_image(image, "in a histogram").array)


def kmeans(
    points: ArrayLike,
    n_clusters: int,
    *,
    sample_weight: ArrayLike | None = None,
    init: str | ArrayLike = "k-means++",
    max_iter: int = DEFAULT_MAX_ITER,
    tol: float = DEFAULT_TOL,
    relaxation: float = 1.0,
    random_state: int | np.random.Generator | None = 0,
) -> KMeansResult:
    """Cluster points by K-means, every point compared with every center.

    Parameters
    ----------
    points : (N, C) array_like
        float32 stays float32; every other real dtype is computed in float64.
    n_clusters : int
        1 to N.
    sample_weight : (N,) array_like, optional
        Weight of each point, 0 or more. Default: 1 each.
    init : {"k-means++", "random"} or (n_clusters, C) array_like
        The initial centers: greedy k-means++ (Arthur and Vassilvitskii 2007), the textbook's random
        distinct points, or those given.
    max_iter : int
        At most so many iterations, 1 or more.
    tol : float
        Stop when the squared shifts of all centers add up to at most `tol` times the mean variance
        of a channel. 0: when no center moves.
    relaxation : float
        How far an update goes, of the way to the means of the clusters, 1 to 1.9: 1 is the
        textbook's, 1.8 needs half as many iterations and never increases the error either.
    random_state : int, numpy.random.Generator or None
        Seed of the random choices; None takes a fresh one each time.

    Returns
    -------
    KMeansResult
        The same for the same input on any number of threads. A cluster that falls empty moves to
        the point farthest from its center; clusters stay empty only where there are fewer distinct
        points than clusters.

    Raises
    ------
    ValueError, TypeError
        What is not an array of finite numbers of these shapes and ranges.

    Examples
    --------
    >>> import fastkq
    >>> result = fastkq.kmeans([[0.0], [1.0], [10.0], [12.0]], 2)
    >>> sorted(result.centers.ravel().tolist()), result.inertia
    ([0.5, 11.0], 2.5)
    """
    points = _check_points(points, "points")
    weights = _check_weights(sample_weight, len(points))
    n_clusters = check_integer(n_clusters, "n_clusters", 1, len(points))
    max_iter = check_integer(max_iter, "max_iter", 1)
    tol = check_number(tol, "tol", 0)
    relaxation = check_number(relaxation, "relaxation", 1, MAX_RELAXATION)

    data = DensePoints(points, weights)
    if isinstance(init, str):
        rng = np.random.default_rng(random_state)
        if init == "k-means++":
            centers = seeding.kmeans_plus_plus(points, weights, n_clusters, rng)
        elif init == "random":
            centers = seeding.random_points(points, weights, n_clusters, rng)
        else:
            raise ValueError(f"init is {init!r}; use 'k-means++', 'random' or an array of centers")
        centers = complete_centers(data, centers, n_clusters)
    else:
        centers = check_init(init, n_clusters, points.shape[1]).astype(points.dtype)
    centers, n_iter = lloyd(data, centers, max_iter=max_iter, tol=tol, relaxation=relaxation)
    labels, distances = data.assign(centers)
    return KMeansResult(centers, labels, float(np.sum(weights * distances)), n_iter)
