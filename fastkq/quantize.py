"""Compose the stages: read, count colors, seed, K-means, remap, save."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from fastkq import blocks, image_io, kernels, seeding
from fastkq.alpha import TRANSPARENT, AlphaColors, AlphaLabels, fit_alpha
from fastkq.alpha_image import OPAQUE, AlphaImage
from fastkq.cells import ColorCells
from fastkq.colorspace import COLOR_SPACES, to_colors, to_points
from fastkq.dither import Ditherer, Dithering
from fastkq.escape import escape
from fastkq.histogram import (
    SORT_LIMIT,
    ColorHistogram,
    decode_colors,
    histogram_of_array,
    histogram_of_blocks,
)
from fastkq.kmeans import (
    DEFAULT_MAX_ITER,
    check_init,
    complete_centers,
    lloyd,
)
from fastkq.locked import check_locked, drop_nearest, own_palette
from fastkq.metrics import MAX_LEVEL, inertia_from_sums, psnr_from_mse
from fastkq.protect import LEAST_SHARE, find_lost_color, solid_counts
from fastkq.remap import (
    CUBE_BITS,
    MAX_COLORS,
    OPAQUE_ONLY,
    apply_alpha_labels,
    apply_cubes,
    apply_labels,
    apply_table,
    check_palette,
    dither_opaque,
    label_cubes,
    label_table,
)
from fastkq.sampling import sample_pixels, sample_step
from fastkq.types import Array, ImageSource, PathOrFile, UInt8Array
from fastkq.validate import check_flag, check_integer, check_number
from fastkq.weights import check_weights, weigh_colors

INITS = ("wu", "k-means++", "random")
EFFORTS = ("fast", "balanced", "best")
# Where K-means stops, for each color: after 6 to 27 iterations on a photo, within 1 % of where it
# would end. Steps for few colors are cheap, so they may go on for longer.
TOL_PER_COLOR = 2e-5
# Half the iterations of plain Lloyd (1) for the same error.
RELAXATION = 1.8
# A sample with fewer colors is of a drawing or a screen: its rare colors matter, and all of it is
# counted and labeled in little time.
FEW_COLORS = 4096
# At most one entry in so many, of those that are not locked, goes to protected colors.
PROTECTED_SHARE = 4
# Time in which most bad files are found out: their error need not wait for the kernels.
BAD_FILE_SECONDS = 0.02


@dataclass(frozen=True, eq=False)
class QuantizeResult:
    """An image of few colors.

    Attributes
    ----------
    palette : (K, 3) uint8, or (K, 4) for an image with transparent pixels
    labels : (H, W) uint8
        Each pixel's nearest row of the palette, or another where the image is dithered.
    inertia : float
        Squared error to the palette, summed over channels and pixels; of an image with transparent
        pixels, the mean of that over black and over white.
    n_iter : int
        K-means iterations done; 0 where the image had no more colors than asked for.
    is_gray : bool
        Whether the image came as gray, (H, W) or with alpha (H, W, 2).
    icc_profile : bytes or None
        The RGB profile that came with the image.
    """

    palette: UInt8Array
    labels: UInt8Array
    inertia: float
    n_iter: int
    is_gray: bool = False
    icc_profile: bytes | None = None

    @property
    def mse(self) -> float:
        """The squared error a pixel, summed over R, G and B (gray counts as R = G = B)."""
        return self.inertia / self.labels.size

    @property
    def psnr(self) -> float:
        """The peak signal-to-noise ratio in dB: 10 log10(3 * 255^2 / mse)."""
        return psnr_from_mse(self.mse)

    def to_array(self) -> UInt8Array:
        """Return the image with every pixel replaced by its centroid, in its original shape."""
        colors = self.palette
        if self.is_gray:
            colors = colors[:, 0] if colors.shape[1] == 3 else colors[:, [0, 3]]
        return np.take(colors, self.labels, axis=0)

    def save(self, target: PathOrFile) -> int:
        """Write an indexed PNG of 1, 2, 4 or 8 bits a pixel; return its size in bytes.

        Parameters
        ----------
        target : path ending in .png, or binary file object
            An existing file is replaced, in one step.

        Raises
        ------
        ValueError, OSError
            The target is not a .png, or cannot be written.
        """
        from fastkq.png import encode_indexed_png

        if isinstance(target, (str, os.PathLike)):
            target = image_io.check_target(target)
        if self.labels.size > blocks.LARGE_PIXELS:
            shape = self.labels.shape
            return _write_blocks(target, shape, [self.labels], self.palette, self.icc_profile)
        data = encode_indexed_png(self.labels, self.palette, icc_profile=self.icc_profile)
        image_io.write_file(target, data)
        return len(data)


@dataclass(frozen=True)
class CompressReport:
    """What `compress` did.

    Attributes
    ----------
    source, target : str
    source_bytes, target_bytes : int
    width, height : int, in pixels, as the image is meant to be seen
    n_colors : int, of the palette
    mse : float, squared error a pixel, summed over channels
    psnr : float, in dB
    n_iter : int
    seconds : float, from opening the source to the finished target
    """

    source: str
    target: str
    source_bytes: int
    target_bytes: int
    width: int
    height: int
    n_colors: int
    mse: float
    psnr: float
    n_iter: int
    seconds: float

    @property
    def saving(self) -> float:
        """The share of the source's bytes that is saved; negative where the result is larger."""
        return 1 - self.target_bytes / self.source_bytes


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
) -> QuantizeResult:
    """Replace the colors of an image by the few that represent it best.

    Exact K-means over all pixels (through their distinct colors), squared error in sRGB.

    Parameters
    ----------
    image : path, bytes, file object, PIL image or array
        (H, W) gray, (H, W, 2) gray + alpha, (H, W, 3) RGB or (H, W, 4) RGBA of uint8.
    n_colors : int
        1 to 256. The palette has exactly so many, or all the image's colors where it has fewer;
        the result is then lossless.
    effort : {"fast", "balanced", "best"}
        "balanced" is exact K-means from the initial centers. "best" goes on from where that ends:
        it merges and splits clusters as long as that helps, for 1 to 5 % less error in about ten
        times the time. "fast" takes half the time for photos of over 2 MP, at 1 to 3 % more error:
        it fits the palette to a sample of the pixels, labels the colors of each 2x2x2 cube alike,
        and estimates `inertia` from the sample. Images of few colors, those of over 67 MP, and
        K-means in another space than sRGB, stay exact ("balanced").
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
        most `tol` times the mean variance of a channel. 0: when no center moves. Default: 2e-5
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
        still from frame to frame. `labels` are then not the nearest entries, and `inertia` is that
        of the dithered image.
    dither_strength : float
        0 (none) to 1.

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
    unless `init` is "random", and any `effort` is "balanced" (without pixels between opaque and
    transparent: as for RGB, but "fast" is "balanced"). An opaque image with an alpha channel gives
    what it gives without.

    Raises
    ------
    ValueError, TypeError, OSError
        What is not such an image or option; the message says what came and what is allowed.

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    >>> result = fastkq.quantize(ramp, n_colors=4)
    >>> sorted(result.palette[:, 0].tolist()), result.labels.shape, round(result.psnr, 1)
    ([32, 96, 160, 224], (16, 16), 22.8)
    """
    options = _check_options(
        n_colors, effort, color_space, init, max_iter, tol, random_state, locked, protect=protect
    )
    dithering = Dithering(dither, dither_strength)
    source = _read_while_kernels_load(image)
    if image_io.has_alpha(source.array):
        _refuse_for_alpha(weights, options)
        return _quantize_alpha(source, options, dithering)
    counts_alike = weights is None and not protect
    sample = _sample(source.array, options) if counts_alike else None
    if sample is None:
        histogram = histogram_of_array(source.array)
        fit = (
            _fit(histogram, options)
            if counts_alike
            else _fit_pixels(source.array, histogram, options, weights)
        )
        labels, inertia = apply_labels(source.array, histogram.codes, fit.labels), fit.inertia
    else:
        cells = ColorCells(sample)
        fit = _fit_cells(cells, options)
        table = label_cubes(fit.palette)
        labels = apply_cubes(source.array, table)
        of_sample = table[sample.codes >> np.uint32(CUBE_BITS)]
        inertia = cells.squared_error(fit.palette, of_sample) * labels.size / sample.n_pixels
    if dithering:
        inertia = dithering.apply(source.array, fit.palette, labels)
    return QuantizeResult(
        palette=fit.palette,
        labels=labels,
        inertia=inertia,
        n_iter=fit.n_iter,
        is_gray=source.array.ndim == 2,
        icc_profile=source.icc_profile,
    )


def _quantize_alpha(
    source: image_io.InputImage, options: _Options, dithering: Dithering
) -> QuantizeResult:
    """Quantize an image with transparent pixels."""
    image = AlphaImage(source.array)
    palette, nearest, n_iter = _fit_alpha(image, options)
    return _alpha_result(source, image, palette, nearest, n_iter, dithering)


def _alpha_result(
    source: image_io.InputImage,
    image: AlphaImage,
    palette: UInt8Array,
    nearest: AlphaLabels,
    n_iter: int,
    dithering: Dithering | None,
) -> QuantizeResult:
    labels, inertia = apply_alpha_labels(image, nearest), nearest.inertia
    if dithering:
        inertia = dither_opaque(image, palette, labels, dithering)
    return QuantizeResult(
        palette=palette,
        labels=labels,
        inertia=inertia,
        n_iter=n_iter,
        is_gray=source.array.ndim == 2 or source.array.shape[2] == 2,
        icc_profile=source.icc_profile,
    )


def apply_palette(
    image: ImageSource, palette: UInt8Array, dithering: Dithering | None = None
) -> QuantizeResult:
    """Replace the colors of an image by those of a palette (K, 3 or 4), which keeps its order."""
    source = _read_while_kernels_load(image)
    if palette.shape[1] == 4:
        pixels = AlphaImage(source.array)
        nearest = AlphaColors(pixels, with_transparent=True).assign(palette)
        return _alpha_result(source, pixels, palette, nearest, 0, dithering)
    image_io.refuse_alpha(source, image, OPAQUE_ONLY)
    histogram = histogram_of_array(source.array)
    fit = _apply(ColorCells(histogram), palette)
    labels, inertia = apply_labels(source.array, histogram.codes, fit.labels), fit.inertia
    if dithering:
        inertia = dithering.apply(source.array, palette, labels)
    return QuantizeResult(
        palette=palette,
        labels=labels,
        inertia=inertia,
        n_iter=0,
        icc_profile=source.icc_profile,
    )


def fit_palette(
    image: ImageSource | ColorHistogram,
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
    options = _check_options(
        n_colors, effort, color_space, init, max_iter, tol, random_state, locked, protect=protect
    )
    if isinstance(image, ColorHistogram):
        if weights is not None or protect:
            name = "protect" if weights is None else "weights"
            raise ValueError(f"image is a ColorHistogram; {name} needs an image, with its places")
        return _fit(image, options).palette
    array = image_io.read_image(image).array
    if image_io.has_alpha(array):
        _refuse_for_alpha(weights, options)
        return _fit_alpha(AlphaImage(array), options)[0]
    if weights is not None or protect:
        return _fit_pixels(array, histogram_of_array(array), options, weights).palette
    sample = _sample(array, options)
    return _fit(histogram_of_array(array) if sample is None else sample, options).palette


def compress(
    source: str | os.PathLike[str] | blocks.ArrayLike,
    target: str | os.PathLike[str],
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
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    dither: str = "none",
    dither_strength: float = 1.0,
) -> CompressReport:
    """Quantize an image into an indexed PNG; one of any size, by blocks of rows.

    Parameters
    ----------
    source : path, or array_like with shape, dtype and slicing
        JPEG, PNG, WebP, TIFF, BMP or GIF; or what `quantize` takes as an array, such as a memory
        map or a Zarr array. Arrays and TIFF (with `fastkq[tiff]`) of over 67 MP must be opaque;
        they are read twice, by blocks of rows, and must not change meanwhile; the result is the
        same as of the whole image in memory.
    target : path ending in .png
        Replaced in one step if it exists; it may not be the source.
    n_colors, effort, color_space, init, max_iter, tol, random_state, weights, locked, protect, \
    dither, dither_strength
        As in `quantize`; weights and protect not for what is read by blocks.
    palette : (K, 3) uint8 array_like, or path of a palette file, optional
        These colors, in their order, instead of those that represent the image best; the options
        that choose them are then without effect, or refused (weights, locked, protect). For the
        files, see `remap`.

    Raises
    ------
    ValueError, TypeError, OSError
        As `quantize`, and where the target cannot be written. Nothing is left behind then.

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
    path = image_io.check_target(target, cast("str", source) if is_path else None)
    options = _check_options(
        n_colors, effort, color_space, init, max_iter, tol, random_state, locked, protect=protect
    )
    dithering = Dithering(dither, dither_strength)
    if palette is not None:
        if weights is not None or locked is not None or protect:
            raise ValueError(
                "palette is given; weights, locked and protect are for one that is fitted"
            )
        palette = check_palette(palette)
    rows = blocks.open_blocks(source)
    if rows is not None and rows.n_pixels > blocks.LARGE_PIXELS:
        if weights is not None or protect:
            raise ValueError(
                f"{rows.name}: has {rows.n_pixels} pixels and is read by blocks of rows; weights "
                f"and protect are for images of up to {blocks.LARGE_PIXELS}"
            )
        height, width = rows.shape[:2]
        fit, inertia, target_bytes = _compress_blocks(rows, path, options, dithering, palette)
        n_colors, n_iter = len(fit.palette), fit.n_iter
    else:
        image = cast("ImageSource", source) if rows is None else blocks.read_whole(rows)
        result = (
            apply_palette(image, palette, dithering)
            if palette is not None
            else quantize(
                image,
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
            )
        )
        target_bytes = result.save(path)
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


def _compress_blocks(
    rows: blocks.RowBlocks,
    path: Path,
    options: _Options,
    dithering: Dithering,
    palette: UInt8Array | None,
) -> tuple[_Fit, float, int]:
    """Quantize an image in two passes; return its palette, inertia and the bytes written."""
    histogram = histogram_of_blocks(rows, rows.shape)
    fit = _fit(histogram, options) if palette is None else _apply(ColorCells(histogram), palette)
    table = label_table(histogram.codes, fit.labels)
    errors: list[int] = []

    def label_blocks() -> Iterator[UInt8Array]:
        if not dithering:
            yield from (apply_table(block, table) for block in rows)
            return
        ditherer = Ditherer(fit.palette, dithering)
        for labels, error in ditherer.dither_blocks(rows, lambda block: apply_table(block, table)):
            errors.append(error)
            yield labels

    shape, palette = rows.shape[:2], fit.palette
    target_bytes = _write_blocks(path, shape, label_blocks(), palette, rows.icc_profile)
    return fit, float(sum(errors)) if dithering else fit.inertia, target_bytes


def _write_blocks(
    target: PathOrFile,
    shape: tuple[int, ...],
    labels: Iterable[UInt8Array],
    palette: UInt8Array,
    icc_profile: bytes | None,
) -> int:
    """Write the labels (h, W) of blocks of rows as they come; return the bytes written."""
    from fastkq.png import write_indexed_png

    with image_io.open_target(target) as file:
        return write_indexed_png(
            file,
            (shape[0], shape[1]),
            labels,
            palette,
            icc_profile=icc_profile,
            n_threads=kernels.threads.n_threads(),
        )


def _read_while_kernels_load(image: ImageSource) -> image_io.InputImage:
    """Read an image; where a process has no kernels yet, load them meanwhile.

    Numba and the kernels take 0.7 s to load from the cache, a JPEG of 24 MP 0.4 s to decode,
    mostly without the interpreter's lock.
    """
    if isinstance(image, np.ndarray) or "fastkq.kernels.cells" in sys.modules:
        return image_io.read_image(image)
    from concurrent.futures import ThreadPoolExecutor, wait

    with ThreadPoolExecutor(max_workers=1) as pool:
        reading = pool.submit(image_io.read_image, image)
        wait([reading], timeout=BAD_FILE_SECONDS)
        if not (reading.done() and reading.exception()):
            load_kernels()
        return reading.result()


def load_kernels() -> None:
    """Load, or compile, the kernels that quantizing an image needs, by quantizing some noise."""
    shape = (SORT_LIMIT // 256, 256, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    quantize(noise, 2, max_iter=1)


@dataclass(frozen=True, eq=False)
class _Fit:
    palette: UInt8Array  # (K, 3)
    labels: UInt8Array  # (U,), of the histogram's colors
    inertia: float
    n_iter: int


@dataclass(frozen=True, eq=False)
class _Options:
    n_colors: int
    effort: str
    color_space: str
    init: str | Array
    max_iter: int
    tol: float
    random_state: int | np.random.Generator | None
    locked: UInt8Array  # (L, 3)
    protect: bool


def _check_options(
    n_colors: int,
    effort: str,
    color_space: str,
    init: str | ArrayLike,
    max_iter: int,
    tol: float | None,
    random_state: int | np.random.Generator | None,
    locked: ArrayLike | None = None,
    *,
    protect: bool = False,
) -> _Options:
    n_colors = check_integer(n_colors, "n_colors", 1, MAX_COLORS)
    locked = check_locked(locked, n_colors)
    check_flag(protect, "protect")
    max_iter = check_integer(max_iter, "max_iter", 0)
    if effort not in EFFORTS:
        raise ValueError(f"effort is {effort!r}; one of {EFFORTS} is allowed")
    if color_space not in COLOR_SPACES:
        raise ValueError(f"color_space is {color_space!r}; one of {COLOR_SPACES} is allowed")
    tol = TOL_PER_COLOR * n_colors if tol is None else check_number(tol, "tol", 0)
    if isinstance(init, str):
        if init not in INITS:
            raise ValueError(f"init is {init!r}; one of {INITS} or an array of centers is allowed")
    else:
        init = check_init(init, n_colors, 3).astype(np.float32)
        if init.min() < 0 or init.max() > MAX_LEVEL:
            raise ValueError(
                f"init has values from {init.min():g} to {init.max():g}; colors from 0 to "
                f"{MAX_LEVEL} are allowed"
            )
    return _Options(
        n_colors, effort, color_space, init, max_iter, tol, random_state, locked, protect
    )


def _sample(array: UInt8Array, options: _Options) -> ColorHistogram | None:
    """Return the histogram of a sample of an image, or None if it should be taken whole."""
    # The cubes that get a label each lie close together in sRGB only.
    if options.effort != "fast" or options.color_space != "srgb":
        return None
    n_pixels = array.size // 3
    # Of large images, which come by blocks, writing takes most of the time: no sample.
    if array.ndim == 2 or sample_step(n_pixels) == 1 or n_pixels > blocks.LARGE_PIXELS:
        return None
    histogram = histogram_of_array(sample_pixels(array))
    return histogram if len(histogram) > FEW_COLORS else None


def _fit(histogram: ColorHistogram, options: _Options) -> _Fit:
    """Find the palette of a histogram: its own colors where they are few enough."""
    own = own_palette(histogram, options.n_colors, options.locked)
    if own is not None:
        return _Fit(*own, inertia=0.0, n_iter=0)
    return _fit_cells(ColorCells(histogram, options.color_space), options)


def _fit_pixels(
    array: UInt8Array,
    histogram: ColorHistogram,
    options: _Options,
    weights: ArrayLike | None,
) -> _Fit:
    """Find the palette of an image whose pixels count by their weights, or by their neighbors."""
    scaled = None if weights is None else check_weights(weights, array.shape)
    own = own_palette(histogram, options.n_colors, options.locked)
    if own is not None:
        return _Fit(*own, inertia=0.0, n_iter=0)
    counted = histogram if scaled is None else weigh_colors(histogram, array, scaled)
    if options.protect:
        counts = solid_counts(array, histogram.codes, scaled)
        options = _lock_lost_colors(histogram, counted, counts, options)
    fit = _fit(counted, options)
    if counted is histogram:
        return fit
    return _apply(ColorCells(histogram, options.color_space), fit.palette, fit.n_iter)


def _apply(cells: ColorCells, palette: UInt8Array, n_iter: int = 0) -> _Fit:
    """Label the colors of an image with the nearest entries of a palette."""
    labels, sums = cells.assign_palette(palette)
    return _Fit(palette, labels, _squared_error(cells, palette, labels, sums), n_iter)


def _squared_error(
    cells: ColorCells, palette: UInt8Array, labels: UInt8Array, sums: Array
) -> float:
    """Return the squared error of a palette in sRGB, without a look at the colors if possible."""
    if cells.space == "srgb":
        return inertia_from_sums(sums, cells.squared_norm, palette)
    return cells.squared_error(palette, labels)


def _lock_lost_colors(
    histogram: ColorHistogram, counted: ColorHistogram, counts: Array, options: _Options
) -> _Options:
    """Return options that lock the colors of patches which the palette has no entry near to."""
    cells = ColorCells(histogram)
    trial = replace(options, effort="balanced")
    fit = _fit(counted, trial)
    mse = fit.inertia / counted.n_pixels
    for _ in range((options.n_colors - len(options.locked)) // PROTECTED_SHARE):
        labels, _ = cells.assign(fit.palette)
        color = find_lost_color(
            histogram.codes,
            counts,
            fit.palette,
            labels,
            mse=mse,
            least_count=LEAST_SHARE * histogram.n_pixels,
        )
        if color is None:
            break
        trial = replace(trial, locked=np.concatenate([trial.locked, color[None]]))
        fit = _fit(counted, trial)
    return replace(options, locked=trial.locked)


def _refuse_for_alpha(weights: ArrayLike | None, options: _Options) -> None:
    if weights is not None or len(options.locked) or options.protect:
        raise ValueError(
            "the image has transparent pixels; weights, locked and protect are for opaque ones"
        )


def _fit_alpha(image: AlphaImage, options: _Options) -> tuple[UInt8Array, AlphaLabels, int]:
    """Find the palette (K, 4) of an image with transparent pixels, the labels, the iterations."""
    n_transparent = int(image.n_transparent > 0)
    is_lossless = len(image) <= options.n_colors
    if not is_lossless and not isinstance(options.init, str):
        raise ValueError(
            f"init is an array of centers; for an image with transparent pixels, one of {INITS} is "
            "allowed"
        )
    if is_lossless or (len(image.translucent) == 0 and options.n_colors > 1):
        # The opaque colors as of any photo, beside the entries that are exact.
        n_exact = n_transparent + len(image.translucent)
        fit = _fit(image.opaque, replace(options, n_colors=options.n_colors - n_exact))
        opaque = np.pad(fit.palette, ((0, 0), (0, 1)), constant_values=OPAQUE)
        palette = np.concatenate([TRANSPARENT[:n_transparent], image.translucent, opaque])
        translucent = np.arange(n_transparent, n_exact, dtype=np.uint8)
        labels = AlphaLabels(fit.labels + np.uint8(n_exact), translucent, 0, fit.inertia)
        return palette, labels, fit.n_iter
    return fit_alpha(
        image,
        options.n_colors,
        init=cast("str", options.init),
        max_iter=options.max_iter,
        tol=options.tol,
        relaxation=RELAXATION,
        random_state=options.random_state,
    )


def _fit_cells(cells: ColorCells, options: _Options) -> _Fit:
    """Run K-means over more colors than are wanted and round its centers to a palette."""
    centers, n_iter = _find_centers(cells, options)
    palette, labels, sums = _round_centers(cells, centers, len(options.locked))
    return _Fit(palette, labels, _squared_error(cells, palette, labels, sums), n_iter)


def _find_centers(cells: ColorCells, options: _Options) -> tuple[Array, int]:
    """Return the centers (K, 3) float32 of K-means, and its iterations."""
    locked = to_points(options.locked, cells.space)
    n_free = options.n_colors - len(locked)
    if n_free == 0:
        return locked, 0
    if isinstance(options.init, str):
        start = seed_centers(cells, n_free, options.init, options.random_state)
    else:
        start = options.init
        if cells.space != "srgb":
            start = to_points(np.rint(start).astype(np.uint8), cells.space)
        start = drop_nearest(start, locked)
    start = np.concatenate([locked, start])
    stop: dict[str, Any] = {
        "max_iter": options.max_iter,
        "tol": options.tol,
        "relaxation": RELAXATION,
        "n_locked": len(locked),
    }
    centers, n_iter = lloyd(cells, start, **stop)
    if options.effort == "best":
        centers, n_more = escape(cells, centers, **stop)
        n_iter += n_more
    return centers, n_iter


def seed_centers(
    cells: ColorCells,
    n_colors: int,
    init: str,
    random_state: int | np.random.Generator | None,
) -> Array:
    """Return the initial centers (n_colors, 3) float32."""
    rng = np.random.default_rng(random_state)
    if init == "wu":
        positions = decode_colors(cells.grid_ids)
        centers = seeding.wu_centers(positions, cells.grid_totals, n_colors)
    elif init == "k-means++":  # over the cells: the colors would take 50 times as long
        weights = np.ascontiguousarray(cells.grid_totals[:, 0])
        means = (cells.grid_totals[:, 1:4] / weights[:, None]).astype(np.float32)
        centers = seeding.kmeans_plus_plus(means, weights, n_colors, rng)
    else:
        points = np.ascontiguousarray(cells.points.T)
        centers = seeding.random_points(points, cells.weights, n_colors, rng)
    return complete_centers(cells, centers, n_colors)


def _round_centers(
    cells: ColorCells, centers: Array, n_locked: int
) -> tuple[UInt8Array, UInt8Array, Array]:
    """Round centers to a palette whose every entry is used, but for the first, locked ones.

    Centers that round to the same color, or that have no pixel after rounding, give way to the
    colors that the others serve worst. It ends: an entry on a color of the image stays used.
    """
    palette = to_colors(centers, cells.space)
    while True:
        labels, sums = cells.assign_palette(palette)
        unused = sums[:, 0] == 0
        unused[:n_locked] = False
        if not unused.any():
            return palette, labels, sums
        palette[unused] = cells.farthest_colors(palette[~unused], int(unused.sum()))
